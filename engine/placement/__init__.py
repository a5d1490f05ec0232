"""Which node holds what, and how an actor leaves one. Imports leaves only, so that every actor can ask."""
