"""Declared routes at work: what they are served with, who is admitted, what reaches a handler.

May import: contract, live, engine_report, preparation, auth, exports, edge, database, wire, leaves.
"""
