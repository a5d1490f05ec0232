"""Live values and alerts to open websockets, each for as long as the right to it stands.

May import: auth, edge, database, wire, leaves.
"""
