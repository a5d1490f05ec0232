"""Which node holds what, and how an actor leaves one. Every actor asks here.

May import: leaves.
"""
