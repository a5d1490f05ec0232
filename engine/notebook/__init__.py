"""What a notebook asks of stored data: lazy frames that read what is needed of them and no more.

    from engine.notebook import labelled, scan_alarms, scan_records, sensors

May import: exports, leaves.
"""

from engine.notebook.archive import Archive
from engine.notebook.labels import labelled
from engine.notebook.scans import facilities, scan_alarms, scan_records, scan_rollups, sensors
from engine.notebook.sources import Database, Server

__all__ = [
    "Archive",
    "Database",
    "Server",
    "facilities",
    "labelled",
    "scan_alarms",
    "scan_records",
    "scan_rollups",
    "sensors",
]
