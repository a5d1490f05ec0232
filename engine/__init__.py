"""The realtime engine: readings in, alarms out, nothing lost. Knows nothing of HTTP.

Each folder is a room. A file beside them is a leaf, which knows nothing but other leaves; but `__main__` starts it all.
"""
