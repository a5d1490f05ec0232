"""The web server: REST, websockets and pages for people, in a process of its own and without Ray.

Each folder is a room, and so are some files beside them; the others are leaves, which know nothing but other leaves.
"""
