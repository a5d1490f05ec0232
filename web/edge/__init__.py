"""What stands around every request: connections, sizes, origins, headers, rates. Imports nothing of ours but errors."""
