"""The past lived again: kept commit logs through the core of now, and what it tells held against the journal.

May import: facility, historian, leaves, native.
"""
