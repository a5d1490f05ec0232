"""Who somebody is and what they may: passwords, tokens, API keys, single sign-on, and the one guard.

May import: database, wire, leaves.
"""
