"""The database, step by step: how one gets to the newest schema, and whether it has the one that this program needs.

A step is a file in `versions/`.

May import: engine.historian, leaves.
"""
