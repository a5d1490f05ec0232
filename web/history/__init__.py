"""Stored readings as a chart asks for them: the grid, which rollups serve it, the query, and lines of few points.

May import: database, wire, leaves, native.
"""
