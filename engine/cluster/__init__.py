"""The cluster: Ray started or joined, its actors kept alive, and how the web side gets in.

May import: migrations, bus, replay, facility, notify, historian, placement, leaves.
"""
