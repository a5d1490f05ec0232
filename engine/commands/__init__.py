"""What each word of `gasinsight` does, one file a word; `engine.commands.cli` imports them when they are asked for."""
