"""What each word of `gasinsight` does, one file a word. `engine.commands.cli` parses them and imports what is asked for."""
