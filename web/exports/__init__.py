"""Exports while somebody waits for them and after: each in a folder, so that any web process can hand it out.

May import: engine.exports, leaves.
"""
