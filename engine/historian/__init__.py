"""PostgreSQL as the engine uses it: the schema, commits in groups, what a facility loads, housekeeping.

May import: placement, leaves.
"""
