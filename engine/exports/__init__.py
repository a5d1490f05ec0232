"""Stored data for data scientists: frames read under one snapshot, in pieces, written as files that grow.

May import: historian, leaves, native.
"""
