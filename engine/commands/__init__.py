"""What each word of `gasinsight` does, one file a word: a new command goes here.

May import: cluster, migrations, bus, historian, processes, embedded, local_bus, hub, imports, offline, exports, replay,
client, leaves, native.
"""
