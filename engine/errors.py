"""The error tree. A message carries the numbers; a person can act on it without reading code.

GasInSightError
├── SettingsError            a setting is missing, weak or malformed: what it is and what would be right
├── FolderBusy               another process holds the lock of a data folder and does not let go
├── InputRefused             a message or row that can never be accepted; reason and detail go with it
├── BusError
│   ├── BusUnavailable       no connection to Service Bus now; retried by the reader
│   └── LockLost             the broker gave the message to somebody else; it will come again
├── StoreError
│   ├── StoreUnavailable     PostgreSQL is away or too slow; nothing was written
│   ├── CommitFenced         a newer incarnation owns the facility; this one must stop
│   ├── CommitRejected       PostgreSQL refused this outcome for good; nothing of it was written
│   └── CommitUnknown        the connection died during commit; reload to learn what is so
├── FacilityUnavailable      the facility's actor is restarting; retried by the caller
└── ClusterUnavailable       Ray cannot be reached now
"""

from __future__ import annotations

from typing import Final

BAD_SETTINGS_STATUS: Final = 2
"""Exit status of a program that would fail in the same way again: whoever keeps it ends too, and passes its word on."""


class GasInSightError(Exception):
    """Root of everything this project raises on purpose."""


class SettingsError(GasInSightError):
    """A setting is missing, weak or malformed."""


class FolderBusy(GasInSightError):
    """Another process holds the lock of a data folder; trying again later may help."""


class InputRefused(GasInSightError):
    """Input that can never be accepted.

    `reason` is a short stable word for machines (it becomes the DeadLetterReason);
    `detail` says in a sentence what is wrong and what would be right.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


class BusError(GasInSightError):
    """Service Bus did not do what was asked."""


class BusUnavailable(BusError):
    """No connection to Service Bus now."""


class LockLost(BusError):
    """The message is locked by somebody else or back on the queue."""


class StoreError(GasInSightError):
    """The database did not do what was asked."""


class StoreUnavailable(StoreError):
    """PostgreSQL is away, shutting down, full or too slow; nothing was written."""


class CommitFenced(StoreError):
    """A newer incarnation has taken the facility's epoch."""


class CommitRejected(StoreError):
    """PostgreSQL refused this outcome and would again; nothing of it was written."""


class CommitUnknown(StoreError):
    """The connection died between COMMIT and its answer."""


class FacilityUnavailable(GasInSightError):
    """The facility's actor cannot answer now; its messages stay locked and are tried again."""


class FacilityGone(FacilityUnavailable):
    """There is no such facility any more: it was removed, or retired and closed."""


class ClusterUnavailable(GasInSightError):
    """Ray cannot be reached now."""
