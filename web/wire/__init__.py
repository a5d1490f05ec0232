"""How values are spelled in the wire contract: times, numbers, frequencies, CSV, explanations. Pure.

May import: leaves, native.
"""
