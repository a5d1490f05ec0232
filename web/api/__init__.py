"""The routes, one module a noun, and the websockets: a new route goes here.

May import: exposition, serving, proposals, figures, contract, live, engine_report, auth, history, exports, edge,
wire, engine.notify, engine.replay, engine.exports, leaves, native.
"""
