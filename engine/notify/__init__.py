"""Tells people of alarms outside of this system: webhooks, mail, Microsoft Teams.

What is told is made from the journal (engine/historian/outbox.py); here it is put into words and sent, again and again
until it has arrived or a day is over.

May import: historian, leaves.
"""
