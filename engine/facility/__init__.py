"""A facility and the process that holds it: score, commit, publish; where each one is, and how it moves.

May import: historian, placement, leaves, native.
"""
