"""Readings of the past into the database: what a file says, what of it can be stored, and storing it in small steps.

Beside the engine and without it: nothing here touches a facility's live state, raises an alert or writes the journal.

May import: offline, exports, historian, leaves, native.
"""
