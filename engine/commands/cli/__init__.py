"""The words of the `gasinsight` command, and what each of them takes. Imports `engine.commands` when a word is said."""
