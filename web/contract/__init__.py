"""The wire contract as data: routes as declarations, the shapes that go in and out, and OpenAPI written from both.

May import: auth, wire, leaves, native.
"""
