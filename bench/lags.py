"""When each reading was committed, to the microsecond: PostgreSQL keeps the time of every commit for us.

The house must have been opened with `commit_times`. A reading is known by (number of its sensor in the roster, the time
it was stamped with), which is how the ledger of `bench.steady` names it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bench.house import House
from bench.steady import Ledger

_COMMITTED = """
SELECT sensors.id AS sensor_id,
    (extract(epoch FROM records.tracked_at) * 1000000)::bigint AS tracked_at_us,
    (extract(epoch FROM pg_xact_commit_timestamp(records.xmin)) * 1000000)::bigint AS committed_us
FROM sensor_records AS records JOIN sensors USING (sensor_no)
WHERE records.tracked_at >= to_timestamp($1::bigint / 1000000.0)
"""


@dataclass(frozen=True, slots=True)
class Sent:
    """One message: stamped, accepted by the bus, committed (None: not yet). Microseconds since 1970."""

    facility: int
    sent_us: int
    accepted_us: int
    committed_us: int | None

    @property
    def lag_s(self) -> float:
        """From the moment before it was sent to its commit."""
        assert self.committed_us is not None
        return (self.committed_us - self.sent_us) / 1e6


async def sent_since(house: House, ledger: Ledger, since_us: int) -> list[Sent]:
    """What was stamped at or after `since_us`, in the order of acceptance."""
    numbers = {sensor.sensor_id: number for number, sensor in enumerate(house.roster.sensors)}
    accepted = [entry for entry in ledger.accepted if entry[2] >= since_us]
    rows = await house.database.fetch(_COMMITTED, since_us)
    committed = {(numbers[row["sensor_id"]], row["tracked_at_us"]): row["committed_us"] for row in rows}
    return [
        Sent(house.roster.sensors[number].facility, sent_us, accepted_us, committed.get((number, sent_us)))
        for accepted_us, number, sent_us in accepted
    ]


@dataclass(frozen=True, slots=True)
class Recovery:
    """Seconds from a kill until everything that was in flight was committed.

    seconds    of what nobody held locked any more
    locked_s   of what the dead reader had locked; None: nothing
    in_flight  how many messages there were
    """

    seconds: float
    locked_s: float | None
    in_flight: int


OVERTAKEN_US = 500_000


def recovery(messages: Iterable[Sent], kill_us: int, after_us: int) -> Recovery:
    """What was in flight at `kill_us`, or sent within `after_us` from then on, by when it was committed.

    A message waited for its lock when a later one of its facility was committed well before it: a reader that goes on
    takes what is free in the order of the queue.
    """
    free_us: list[int] = []
    locked_us: list[int] = []
    first_after: dict[int, int] = {}  # facility -> earliest commit among the later ones
    for message in sorted(messages, key=lambda message: message.accepted_us, reverse=True):
        if message.committed_us is None:
            if message.accepted_us <= kill_us + after_us:
                raise ValueError(f"a message accepted at {message.accepted_us} is not committed")
            continue
        overtaken = message.committed_us - first_after.get(message.facility, message.committed_us) > OVERTAKEN_US
        if message.accepted_us <= kill_us + after_us and message.committed_us > kill_us:
            (locked_us if overtaken else free_us).append(message.committed_us)
        earliest = first_after.get(message.facility, message.committed_us)
        first_after[message.facility] = min(earliest, message.committed_us)
    if not free_us and not locked_us:
        raise ValueError("nothing was in flight: send more")
    return Recovery(
        max(0, max(free_us, default=kill_us) - kill_us) / 1e6,
        (max(locked_us) - kill_us) / 1e6 if locked_us else None,
        len(free_us) + len(locked_us),
    )
