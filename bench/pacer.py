"""Single readings at a steady rate, stamped as they are sent: `python -m bench.pacer QUEUE RATE SECONDS FIRST_ALARM`.

Twice a second one reading lies far above its normal range, each time of another sensor, from number FIRST_ALARM on;
for each of those one JSON line is printed: {"sensor_id", "sent_us"}.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
import uuid

import numpy as np
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient

from bench.house import FACILITIES, SEED, SENSORS
from engine.hub.roster import make_roster, reading
from engine.hub.signals import SignalBank

STEP_S = 0.02
ALARM_EVERY_S = 0.5


async def main(queue: str, rate: float, seconds: float, first_alarm: int) -> None:
    roster = make_roster(FACILITIES, SENSORS, SEED)
    sensors = roster.sensors
    signals = SignalBank([sensor.type for sensor in sensors], [sensor.facility for sensor in sensors], SEED)
    turn, alarm = 0, first_alarm
    async with (
        ServiceBusClient.from_connection_string(os.environ["BENCH_BUS"]) as client,
        client.get_queue_sender(queue) as sender,
    ):
        started_s = time.monotonic()
        next_alarm_s = started_s + 1.0
        while (now_s := time.monotonic()) < started_s + seconds:
            due = int((now_s - started_s) * rate) - turn
            if due <= 0:
                await asyncio.sleep(STEP_S)
                continue
            index = np.arange(turn, turn + min(due, 200)) % len(sensors)
            turn += len(index)
            sent_us = time.time_ns() // 1000
            values = signals.sample(index, np.full(len(index), sent_us / 1e6))
            if now_s >= next_alarm_s:
                next_alarm_s += ALARM_EVERY_S
                index[0], alarm = alarm % len(sensors), alarm + 1
                values[0] = signals.middle[index[0]] + 4 * signals.half[index[0]]
                print(json.dumps({"sensor_id": sensors[index[0]].sensor_id, "sent_us": sent_us}), flush=True)
            bodies = [
                json.dumps(reading(sensors[i], roster.facilities[sensors[i].facility], sent_us, value)).encode()
                for i, value in zip(index.tolist(), values.tolist(), strict=True)
            ]
            await sender.send_messages([ServiceBusMessage(body, message_id=str(uuid.uuid4())) for body in bodies])


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])))
