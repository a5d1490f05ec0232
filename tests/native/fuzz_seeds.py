"""Beginnings for the fuzzer, made with the native library: `python tests/native/fuzz_seeds.py FOLDER`."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import polars as pl

import native

START_US = 1_767_225_600_000_000
FACILITY = "plant"
TYPES = {"free": "CompressorStatus", "limited": "Temperature", "level": "LevelIndicator", "counter": "Volume"}
BATCH, CONFIG, TICK, COMMAND = (bytes([kind]) for kind in range(4))


def config(sensors: int) -> bytes:
    upserts = [
        {
            "op": "upsert",
            "sensor_id": name,
            "sensor_no": number,
            "type": kind,
            "expected_interval_s": 15,
            "status": "Active",
        }
        for number, (name, kind) in enumerate(list(TYPES.items())[:sensors], start=1)
    ]
    return json.dumps({"version": 1, "sensors": upserts}).encode()


def batch(sensors: int, rows: int) -> bytes:
    names = list(TYPES)[:sensors]
    texts = ["20.5", "21", "NaN", "1e300", "5e-324", "open", "-3.25"]
    readings = [
        (names[row % sensors], START_US + row * 15_000_000, str(20 + row % 9 / 10) if row % 11 else texts[row % 7])
        for row in range(rows)
    ]
    return native.encode_batch(FACILITY, readings, START_US)


def seeds() -> dict[str, list[bytes]]:
    snapshots = []
    for sensors, rows in ((1, 0), (1, 3), (2, 700), (1, 1500)):
        core = native.FacilityCore(FACILITY, "{}")
        core.apply("config", config(sensors))
        core.replay("batch", batch(sensors, rows))
        snapshots.append(core.snapshot()[:-4])
    row = {"sensor_id": "limited", "facility_id": FACILITY, "tracked_at": "2026-01-01T00:00:00.5", "data": "24.60"}
    stream = io.BytesIO()
    frame = pl.DataFrame({**row, "tracked_at": pl.Series([START_US], dtype=pl.Datetime("us"))})
    frame.write_ipc_stream(stream, compat_level=pl.CompatLevel.oldest())
    one = json.dumps(row).encode()
    return {
        "readings": [bytes(range(200)), bytes(600)],
        "snapshots": snapshots,
        "payloads": [
            BATCH + batch(4, 8),
            BATCH + batch(1, 40),
            CONFIG + config(4),
            TICK + json.dumps({"watermark_us": START_US}).encode(),
            COMMAND + b"{}",
        ],
        "bodies": [
            one,
            b"[" + one + b"," + one + b"]",
            one + b"\n" + one,
            one + b"\0" + b"{}\0" + one,
            stream.getvalue(),
        ],
    }


def main(folder: Path) -> None:
    for target, found in seeds().items():
        (folder / target).mkdir(parents=True, exist_ok=True)
        for number, data in enumerate(found):
            (folder / target / f"seed-{number}").write_bytes(data)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
