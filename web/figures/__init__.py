"""Figures that alarms are judged by: load, floods, chattering, standing, each beside its target.

May import: contract, wire.
"""
