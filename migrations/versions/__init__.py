"""One file a step, in order of their numbers. Processes of the version before work on while a step runs and after it.

Each step says its `phase`. `expand` only adds: nothing that an older program uses goes away or changes its meaning.
`contract` removes what no program of this version or the one before uses any more; it belongs into a later release than
the step that replaced it. tests/unit/test_migrations.py holds the rules, with the safe way beside each.

May import: engine.historian.
"""
