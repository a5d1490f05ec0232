"""Declared routes at work: what they are served with, who is admitted, what reaches a handler."""
