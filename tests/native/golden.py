"""Writes the golden files of this core version: `python -m tests.native.golden`. Run it once when CORE_VERSION grows.

`log-N.json` is a commit log as stored, `checkpoint-N.bin` the state after it, `told-N.json` what that state shows.
"""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import native
from engine.facility.payloads import config_payload, tick_payload
from engine.messages import time_text
from engine.model import SensorConfig, SensorStatus, SensorType

DATA = Path(__file__).parent / "data"
T0_US = 1_767_262_500_000_000
KINDS = {"temperature": SensorType.TEMPERATURE, "pressure": SensorType.PRESSURE, "flow": SensorType.FLOW}

GROUPS = {
    "groups": [
        {
            "no": 10,
            "name": "hot or high",
            "kind": "vote",
            "votes": 1,
            "members": [
                {"sensor_id": name, "rules": ["high", "rate_of_change"]} for name in ("temperature", "pressure")
            ],
        }
    ],
    "rests": [
        {
            "name": "no flow",
            "while": {"sensor_id": "flow", "below": 2},
            "alarms": [{"sensor_id": "pressure", "rules": ["low"]}],
        }
    ],
}


def entries() -> list[tuple[str, bytes]]:
    """Something of everything: a warm detector, alarms, a late one, a text, silence, commands, a sensor out of use."""
    sensors = [
        SensorConfig(name, number, "plant", name.title(), kind, SensorStatus.ACTIVE, 15, T0_US, T0_US)
        for number, (name, kind) in enumerate(KINDS.items(), start=7)
    ]
    rules = [{"rule": "rate_of_change", "limit": 8, "latched": True}, {"rule": "high", "re_alarm_s": 600}]
    sensors[0] = replace(sensors[0], settings={"unit": "K", "rules": rules})
    readings = [("temperature", 15 * step, f"{20 + step * 7 % 13 / 10}") for step in range(320)]
    readings += [
        ("pressure", 10, "on"),
        ("flow", 20, "1.50"),
        ("temperature", 4_800, "30"),
        ("temperature", 4_795, "-9"),
    ]
    rows = [(name, T0_US + at_s * 1_000_000, data) for name, at_s, data in readings]
    out_of_use = [
        SensorConfig("flow", 9, "plant", "Flow", SensorType.FLOW, SensorStatus.INACTIVE, 15, T0_US, T0_US),
    ]
    return [
        ("config", config_payload(sensors, facility_name="Plant", groups=GROUPS, at_us=T0_US)),
        ("batch", native.encode_batch("plant", rows, T0_US + 4_801_000_000)),
        ("command", command("acknowledge", "7:high")),
        ("command", command("shelve", "8:stale", until_us=T0_US + 9_000_000_000)),
        ("command", command("assign", "7:rate_of_change", assignee="Ada")),
        *(("tick", tick_payload(T0_US + 10_000_000 * tick)) for tick in range(480, 492)),
        ("config", config_payload(out_of_use, at_us=T0_US + 4_920_000_000)),
    ]


def command(name: str, alarm_key: str, **more: object) -> bytes:
    asked = {"command_id": f"{name}-1", "at_us": T0_US + 4_801_000_000, "actor": "user:1", "reason": "golden"}
    return json.dumps(asked | {"command": name, "alarm_key": alarm_key} | more).encode()


def told_by(core: native.FacilityCore) -> dict[str, Any]:
    """What people see of a state, whatever its bytes."""
    return {
        "latest": [[each.sensor_id, time_text(each.tracked_at_us), each.data, each.flags] for each in core.latest()],
        "alarms": [[each.alarm_key, each.state, time_text(each.since_us)] for each in core.alarms()],
    }


def main() -> None:
    version = native.CORE_VERSION
    core = native.FacilityCore("plant", "{}")
    logged = [(kind, core.apply(kind, payload).log_payload) for kind, payload in entries()]
    log = [[kind, base64.b64encode(payload).decode()] for kind, payload in logged]
    DATA.joinpath(f"log-{version}.json").write_text(json.dumps(log) + "\n")
    DATA.joinpath(f"told-{version}.json").write_text(json.dumps(told_by(core), indent=1) + "\n")
    DATA.joinpath(f"checkpoint-{version}.bin").write_bytes(core.snapshot())


if __name__ == "__main__":
    main()
