"""A field hub, from the wire contract alone: two facilities, messages in batch envelopes, UTC without a suffix."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from azure.servicebus import ServiceBusClient, ServiceBusMessage

SETUP = "facility-setup-queue"
ACTIVATION = "sensor-activation-queue"
DATA = "sensor-data-queue"


class FieldHub:
    """`north` has two temperature sensors of 15 s, `south` one. Names and ids are new each time."""

    def __init__(self, connection_string: str) -> None:
        self._connection_string = connection_string
        self.north, self.south = str(uuid.uuid4()), str(uuid.uuid4())
        self.sensors = [str(uuid.uuid4()) for _ in range(2)]
        self.south_sensor = str(uuid.uuid4())
        self.started = naive(now())

    def set_up(self) -> None:
        """What a hub sends at its start."""
        names = {self.north: "North", self.south: "South"}
        place = {"address": None, "longitude": 7.5, "latitude": 51.25, "tracked_at": self.started}
        self.send(
            SETUP,
            [
                {"facility_id": one, "facility_name": f"{name} {one[:8]}", "facility_type": "TankFarm", **place}
                for one, name in names.items()
            ],
        )
        sensor = {"sensor_type": "Temperature", "signal_interval": 15, **place}
        self.send(
            ACTIVATION,
            [{"sensor_id": one, "facility_id": self.north, **sensor} for one in self.sensors]
            + [{"sensor_id": self.south_sensor, "facility_id": self.south, **sensor}],
        )

    def history(self, sensor_id: str, values: Iterable[str]) -> dict[str, str]:
        """Readings on a grid of 15 s that ended a minute ago; tracked_at -> data."""
        values = list(values)
        first = (now() - timedelta(minutes=1, seconds=15 * len(values))).replace(microsecond=0)
        sent = {naive(first + timedelta(seconds=15 * number)): text for number, text in enumerate(values)}
        self.send(DATA, [self.reading(sensor_id, text, at) for at, text in sent.items()])
        return sent

    def reading(self, sensor_id: str, text: str, tracked_at: str | None = None) -> dict[str, Any]:
        facility_id = self.south if sensor_id == self.south_sensor else self.north
        at = tracked_at or naive(now())
        return {"sensor_id": sensor_id, "facility_id": facility_id, "tracked_at": at, "data": text}

    def read(self, sensor_id: str, text: str) -> dict[str, Any]:
        """One reading of now, sent; what was sent."""
        body = self.reading(sensor_id, text)
        self.send(DATA, [body])
        return body

    def send(self, queue: str, bodies: list[dict[str, Any]]) -> None:
        with (
            ServiceBusClient.from_connection_string(self._connection_string) as client,
            client.get_queue_sender(queue) as sender,
        ):
            sender.send_messages([ServiceBusMessage(json.dumps(body)) for body in bodies])


def now() -> datetime:
    return datetime.now(UTC)


def naive(moment: datetime) -> str:
    return moment.replace(tzinfo=None).isoformat()
