"""Stored readings as a chart asks for them: the grid, which rollups serve it, and the query.

May import: database, wire, leaves.
"""
