"""The words of the `gasinsight` command, and what each takes. Imports what a word does when it is said.

May import: commands, hub, leaves.
"""
