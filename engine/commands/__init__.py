"""What the subcommands of `gasinsight` do. `engine.cli` parses the words and imports one of these when it is asked."""
