"""What stands around every request: connections, sizes, origins, headers, rates.

May import: leaves, native.
"""
