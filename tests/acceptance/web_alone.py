"""Facilities in a database and a web server over it in a process of its own, for contract tests."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import httpx

ROOT = Path(__file__).resolve().parents[2]
EMAIL, PASSWORD = "chief@gas.example", "first password"
FORM = {"username": EMAIL, "password": PASSWORD}
T0 = datetime(2026, 11, 20, 10, 0, 30, tzinfo=UTC)
ENTITIES = """
INSERT INTO locations (address, longitude, latitude) VALUES ('Road 1', 7.5, 51.25), (NULL, 8, 52), ('Quay', 9.25, 53.5);
INSERT INTO facilities (id, name, status, type, location_id, created_at) VALUES
    ('fa-1', 'Bravo', 'Active', 'TankFarm', 1, '2026-11-01 08:00Z'),
    ('fa-2', 'Alpha', 'Maintenance', 'Pipelines', 2, '2026-11-01 08:00Z'),
    ('fa-3', 'Bravo', 'Offline', 'TankFarm', 3, '2026-11-01 08:00Z');
INSERT INTO sensors (id, facility_id, name, status, type, expected_freq, signal_interval_s, location_id, installed_at,
                     status_changed_at) VALUES
    ('se-1', 'fa-1', 'Sensor se-1', 'Active', 'Temperature', '15S', 15, 1, '2026-11-01 08:00Z', '2026-11-01 08:00Z'),
    ('se-2', 'fa-1', 'Sensor se-2', 'Inactive', 'HydrogenSulfideContent', '1T', 60, NULL, '2026-11-01 08:00:00.5Z',
     '2026-11-01 08:00Z'),
    ('se-3', 'fa-2', 'Sensor se-3', 'Fault', 'Temperature', '15S', 15, 2, '2026-11-01 08:00Z', '2026-11-01 08:00Z');
INSERT INTO alarm_events (id, facility_id, alarm_key, sensor_no, rule, rule_version, transition, event_time,
                          recorded_at, priority, alert_type, message, explanation, late, actor, reason)
SELECT n, CASE WHEN n % 3 = 0 THEN 'fa-2' ELSE 'fa-1' END, n::text, s.sensor_no, 'high', 1,
       CASE WHEN n % 5 = 0 THEN 'returned' ELSE 'activated' END, now(), now(), 'high', 'Anomaly',
       'Problem detected: Temperature Sensor value in Bravo is above maximum threshold (25.0)', '{}', false, 'x', ''
  FROM generate_series(1, 40) n JOIN sensors s ON s.id = CASE WHEN n % 3 = 0 THEN 'se-3' ELSE 'se-1' END;
"""


async def fill(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(ENTITIES)
        readings = [(T0 + timedelta(seconds=15 * n, microseconds=250_000), 20 + n / 4) for n in range(240)]
        await connection.executemany(
            """INSERT INTO sensor_records (sensor_no, tracked_at, value, flags)
               SELECT sensor_no, $1, $2, 0 FROM sensors WHERE id = 'se-1'""",
            readings,
        )
        await connection.execute(
            """INSERT INTO rollup_dirty (facility_id, minute)
               SELECT DISTINCT facility_id, date_trunc('minute', tracked_at)
                 FROM sensor_records JOIN sensors USING (sensor_no)"""
        )
    finally:
        await connection.close()


@contextmanager
def served(database_url: str, folder: Path) -> Iterator[str]:
    """Root URL of a running server."""
    asyncio.run(fill(database_url))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **{name: text for name, text in os.environ.items() if not name.startswith(("RAY", "WEB_", "SERVICEBUS"))},
        "DATABASE_URL": database_url.replace("postgresql://", "postgresql+asyncpg://"),
        "SECRET_KEY": "only of this test, and long enough for production",
        "ADMIN_EMAIL": EMAIL,
        "ADMIN_PASSWORD": PASSWORD,
        "DATA_DIR": str(folder / "data"),
        "ACCESS_TOKEN_EXPIRE_MINUTES": "0.1",
        "ENVIRONMENT": "production",
        "CORS_ORIGINS": "*",
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "hypercorn", "web.main:app", "--bind", f"127.0.0.1:{port}"]
    log = (folder / "server.log").open("w")
    server = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        until = time.monotonic() + 60
        while True:
            assert server.poll() is None and time.monotonic() < until, (folder / "server.log").read_text()
            try:
                if httpx.get(f"http://127.0.0.1:{port}/readyz?part=web", timeout=10).is_success:
                    break
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait(5)
        log.close()
