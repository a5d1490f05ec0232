"""The simulated field: the field hub, its facilities, their signals and planted faults. Pure but for the sender.

May import: leaves.
"""
