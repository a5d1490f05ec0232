"""What goes on beside the field while everything is killed: exports over REST and in a shell, and an import.

Exports are begun one after the other; some in the shell are told to end early or killed. The import is killed at one of
its points or at any time, run again, and once more at the end. Each export that says it is whole must be: readable,
nothing twice, and not less than was stored when it began.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import io
import json
import os
import random
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import asyncpg
import httpx
import polars as pl

from engine import runtime
from engine.exports.datasets import DATASETS, schema_of
from engine.faultpoints import ENVIRONMENT, IMPORT_POINTS
from engine.processes.polling import until
from tests.chaos.house import House
from tests.chaos.watch import Watch

FACILITY_ID: Final = "recorded"
SENSORS: Final = 4
READINGS_EACH: Final = 20_000
CALM_S: Final = (0.5, 3.0)
CHILD_S_MAX: Final = 60.0
HURRY_S: Final = (1.0, 6.0)
"""After which a child may be ended; it needs the first of them to start."""
ASK_S_MAX: Final = 60.0
LAST_S_MAX: Final = 120.0
SWEPT_S_MAX: Final = 150.0
"""The web server looks once a minute for what nobody finished."""
LAST_TRIES: Final = 5
EXPORTED: Final = ["sensor_id", "tracked_at", "value"]
SESSIONS: Final = """
    SELECT count(*) FROM pg_stat_activity
    WHERE application_name = 'gasinsight import'
        OR application_name = 'gasinsight-export' AND xact_start IS NOT NULL
        OR state LIKE 'idle in transaction%' AND xact_start < clock_timestamp() - interval '30 seconds'
"""
OF_RECORDING: Final = """
    SELECT sensors.id AS sensor_id, tracked_at, value FROM sensor_records JOIN sensors USING (sensor_no)
    WHERE facility_id = $1
"""
ROLLED_UP: Final = """
    SELECT width_s, sum(readings)::int8 AS readings FROM reading_rollups JOIN sensors USING (sensor_no)
    WHERE facility_id = $1 GROUP BY width_s
"""
CONFLICTS: Final = "SELECT count(*) FROM reading_conflicts JOIN sensors USING (sensor_no) WHERE facility_id = $1"


class Beside:
    """`counts` of what was begun and what became of it; `problems` in words."""

    def __init__(self, house: House, watch: Watch, seed: int) -> None:
        self.counts: Counter[str] = Counter()
        self.problems: list[str] = []
        self._house = house
        self._watch = watch
        self._chance = random.Random(f"{seed} beside")
        self._exports = house.folder / "exported"
        self._recording = house.folder / "recording"
        self._orders = house.folder / "orders"
        self._killed: set[int] = set()
        self._readings = _readings()
        self._over = asyncio.Event()

    async def run(self) -> None:
        """Until `finish`; then the import is run to its end."""
        for folder in (self._exports, self._recording, self._orders):
            folder.mkdir()
        _write_recording(self._recording, self._readings)
        await asyncio.gather(
            self._again_and_again(self._import),
            self._again_and_again(self._export_in_shell),
            self._again_and_again(self._export_over_rest),
        )
        await self._import_to_its_end()

    def finish(self) -> None:
        """Begin nothing more."""
        self._over.set()

    async def _again_and_again(self, work: Any) -> None:
        while not self._over.is_set():
            await work()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), self._chance.uniform(*CALM_S))

    # --- the import ---------------------------------------------------------------------------------------------------

    async def _import(self) -> None:
        """Killed at one of its points, at any time, or not at all."""
        self.counts["imports begun"] += 1
        how = self._chance.choice(("point", "point", "time", "not"))
        point = self._orders / self._chance.choice(sorted(IMPORT_POINTS))
        if how == "point":
            point.write_text("kill")
        killed_s = self._chance.uniform(*HURRY_S) if how == "time" else None
        status, _ = await self._child(["import", str(self._recording), "--yes", "--json"], killed_s, signal.SIGKILL)
        point.unlink(missing_ok=True)
        outcome = {0: "imports ended well", -signal.SIGKILL: "imports killed"}.get(status, "imports that failed")
        self.counts[outcome] += 1

    async def _import_to_its_end(self) -> None:
        words = ["import", str(self._recording), "--yes", "--json"]
        for _ in range(LAST_TRIES):
            status, out = await self._child(words, None)
            if status == 0:
                report = json.loads(out.splitlines()[-1])
                names = ("stored", "already_there", "facilities_made", "sensors_made")
                found = sum(report[name] for name in names) - SENSORS - 1
                if found != self._readings.height or report["conflicts"]:
                    self.problems.append(f"the last import says {report} of {self._readings.height} readings")
                return
        self.problems.append(f"the import does not come to its end: status {status}, {out[-500:]}")

    # --- exports ------------------------------------------------------------------------------------------------------

    async def _export_in_shell(self) -> None:
        self.counts["exports in a shell"] += 1
        stored = self._watch.stored
        out = self._exports / f"{self.counts['exports in a shell']}.parquet"
        hurry = self._chance.choice((None, None, signal.SIGTERM, signal.SIGKILL))
        ended_s = None if hurry is None else self._chance.uniform(*HURRY_S)
        status, _ = await self._child(["export", "-o", str(out)], ended_s, hurry or signal.SIGKILL)
        if out.exists():  # as a whole, also when it was told to end between that and its own end
            self.counts["exports in a shell that were whole"] += 1
            self._look(out.name, out.read_bytes(), stored)
            out.unlink()
        elif status == 0:
            self.problems.append(f"{out.name} is not there, and its export ended well")

    async def _export_over_rest(self) -> None:
        self.counts["exports over REST"] += 1
        stored = self._watch.stored
        try:
            async with self._client() as client:
                content = await (_at_once if self._chance.random() < 0.5 else _as_job)(client)
        except (httpx.HTTPError, TimeoutError, KeyError):
            return  # the server was away, or has ended amid it
        if content is not None:
            self.counts["exports over REST that were whole"] += 1
            self._look("an export over REST", content, stored)

    def _look(self, name: str, content: bytes, stored: int) -> pl.DataFrame | None:
        """What says that it is whole."""
        try:
            frame = pl.read_parquet(io.BytesIO(content), columns=EXPORTED)
        except pl.exceptions.PolarsError as error:
            self.problems.append(f"{name} cannot be read: {error}")
            return None
        if frame.height < stored:
            self.problems.append(f"{name} has {frame.height} readings, {stored} were stored when it began")
        if twice := frame.height - frame.n_unique(EXPORTED[:2]):
            self.problems.append(f"{name} has {twice} readings twice")
        return frame

    # --- the end ------------------------------------------------------------------------------------------------------

    async def judge(self) -> None:
        """When everything is stored and nobody strikes any more, and the web server still runs."""
        database = await asyncpg.connect(self._house.database_url)
        try:
            await self._judge_import(database)
            await self._judge_exports(database)
            await self._judge_leftovers(database)
        finally:
            await database.close()
        for what in ("imports killed", "exports in a shell that were whole", "exports over REST that were whole"):
            if not self.counts[what]:
                self.problems.append(f"{what}: none, so this run has shown nothing of them")

    async def _judge_import(self, database: Any) -> None:
        rows = [tuple(row) for row in await database.fetch(OF_RECORDING, FACILITY_ID)]
        stored = pl.DataFrame(rows, self._readings.schema, orient="row").sort(EXPORTED)
        if not stored.equals(self._readings.sort(EXPORTED)):
            lost = self._readings.join(stored, on=EXPORTED, how="anti").height
            beside = stored.join(self._readings, on=EXPORTED, how="anti").height
            self.problems.append(f"of the recording {lost} readings are lost, {beside} are beside it")
        rolled = {row["width_s"]: row["readings"] for row in await database.fetch(ROLLED_UP, FACILITY_ID)}
        if rolled != dict.fromkeys((60, 3_600, 86_400), self._readings.height):
            self.problems.append(f"rollups of the recording have {rolled} of {self._readings.height} readings")
        if conflicts := await database.fetchval(CONFLICTS, FACILITY_ID):
            self.problems.append(f"the recording has {conflicts} conflicts")

    async def _judge_exports(self, database: Any) -> None:
        """Now each way gives the same, and all there is."""
        stored = int(await database.fetchval("SELECT count(*) FROM sensor_records"))
        out = self._exports / "last.parquet"
        status, told = await self._child(["export", "-o", str(out)], None)
        if status != 0:
            self.problems.append(f"the last export in a shell ended with {status}: {told[-500:]}")
            return
        contents = {"the last export in a shell": out.read_bytes()}
        out.unlink()
        async with self._client() as client:
            for name, way in (("at once", _at_once), ("as a job", _as_job)):
                async with asyncio.timeout(LAST_S_MAX):
                    content = await way(client)
                contents[f"the last export over REST {name}"] = content or b""
        frames = [self._look(name, content, stored) for name, content in contents.items()]
        sorted_frames = [frame.sort(EXPORTED[:2]) for frame in frames if frame is not None]
        if not all(frame.height == stored and frame.equals(sorted_frames[0]) for frame in sorted_frames):
            self.problems.append(f"the last exports differ: {[frame.height for frame in sorted_frames]} of {stored}")

    async def _judge_leftovers(self, database: Any) -> None:
        async with self._client() as client:
            with contextlib.suppress(TimeoutError):
                await until(lambda: _all_swept(client), SWEPT_S_MAX, "the sweep")
            for job in await _json(client.get("/export-jobs")):
                if job["state"] == "running" or (job["state"] == "failed" and job["bytes"]):
                    self.problems.append(f"left behind: {job}")
                await client.delete(f"/export-jobs/{job['id']}")
        kept = self._house.settings.data_dir / "exports"
        for place in kept.iterdir() if kept.is_dir() else []:
            self.counts["folders of exports that were killed when they began"] += 1
            if (size := sum(file.stat().st_size for file in place.iterdir())) or (place / "about.json").exists():
                self.problems.append(f"left behind: {place.name} with {size} bytes")
        drafts = [f".draft of {pid}" for pid in self._killed]
        for file in self._exports.iterdir():
            if not any(file.name.endswith(f".{pid}.draft") for pid in self._killed):
                self.problems.append(f"left behind: {file.name} (killed were {drafts})")
        with contextlib.suppress(TimeoutError):
            await until(lambda: _no_sessions(database), LAST_S_MAX, "the sessions")
        if sessions := await database.fetchval(SESSIONS):
            self.problems.append(f"left behind: {sessions} sessions of exports, imports or open transactions")

    # --- means --------------------------------------------------------------------------------------------------------

    async def _child(
        self, words: list[str], ended_s: float | None, number: signal.Signals = signal.SIGKILL
    ) -> tuple[int, str]:
        """Status and output of `gasinsight …`, which gets `number` after so long."""
        direct = self._house.database_url
        through = direct.replace(f":{urlsplit(direct).port}/", f":{self._house.database_proxy.port}/")
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "engine.commands.cli.app",
            *words,
            env={**os.environ, "DATABASE_URL": through, ENVIRONMENT: str(self._orders)},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        telling = asyncio.create_task(process.communicate())
        for wait_s, each in ((ended_s or CHILD_S_MAX, number), (CHILD_S_MAX, signal.SIGKILL)):
            done, _ = await asyncio.wait({telling}, timeout=wait_s)
            if done:
                break
            if each == signal.SIGKILL:
                self._killed.add(process.pid)
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(each)
        out, _ = await telling
        assert process.returncode is not None
        return process.returncode, out.decode(errors="replace")

    @contextlib.asynccontextmanager
    async def _client(self) -> Any:
        """Signed in as the first admin."""
        settings = self._house.settings
        password = runtime.read_secret(settings.data_dir, "admin_password")
        async with httpx.AsyncClient(base_url=self._house.url, timeout=ASK_S_MAX) as client:
            form = {"username": settings.admin_email, "password": password}
            token = (await _json(client.post("/auth/token", data=form)))["access_token"]
            client.headers["Authorization"] = f"Bearer {token}"
            yield client

    def notes(self) -> list[str]:
        """For the report."""
        return ["beside it: " + ", ".join(f"{what} {count}" for what, count in sorted(self.counts.items()))]


async def _json(asking: Any) -> Any:
    answer = await asking
    answer.raise_for_status()
    return answer.json()


async def _at_once(client: httpx.AsyncClient) -> bytes | None:
    answer = await client.get("/exports/records", params={"format": "parquet"})
    answer.raise_for_status()
    return answer.content


async def _as_job(client: httpx.AsyncClient) -> bytes | None:
    """None: the server that made it has ended, and says so."""
    job = await _json(client.post("/export-jobs", json={"dataset": "records", "format": "parquet"}))
    async with asyncio.timeout(ASK_S_MAX):
        while job["state"] == "running":
            await asyncio.sleep(0.3)
            job = await _json(client.get(f"/export-jobs/{job['id']}"))
    content = None
    if job["state"] == "done":
        answer = await client.get(f"/export-files/{job['id']}")
        answer.raise_for_status()
        content = answer.content
    await client.delete(f"/export-jobs/{job['id']}")
    return content


async def _all_swept(client: httpx.AsyncClient) -> bool:
    return not any(job["bytes"] for job in await _json(client.get("/export-jobs")) if job["state"] != "done")


async def _no_sessions(database: Any) -> bool:
    return not await database.fetchval(SESSIONS)


def _readings() -> pl.DataFrame:
    """Of the night before yesterday, over midnight, so that two days are made."""
    midnight = dt.datetime.now(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0) - dt.timedelta(days=2)
    first = midnight - dt.timedelta(seconds=READINGS_EACH // 2)
    times = pl.datetime_range(
        first, first + dt.timedelta(seconds=READINGS_EACH - 1), "1s", time_zone="UTC", time_unit="us", eager=True
    )
    parts = [
        pl.DataFrame(
            {"sensor_id": f"{FACILITY_ID}-{number}", "tracked_at": times, "value": times.dt.second() + number * 0.5}
        )
        for number in range(SENSORS)
    ]
    return pl.concat(parts)


def _write_recording(folder: Path, readings: pl.DataFrame) -> None:
    place = {"longitude": 7.5, "latitude": 51.25, "address": None}
    made = {"status": "Active", "facility_id": FACILITY_ID, **place}
    since = readings["tracked_at"].min()
    facility = {**made, "name": "Recorded", "type": "TankFarm", "created_at": since}
    sensors = [
        {
            **made,
            "sensor_id": f"{FACILITY_ID}-{number}",
            "name": f"Recorded {number}",
            "type": "Pressure",
            "expected_freq": "1S",
            "expected_interval_s": 1,
            "installed_at": since,
            "status_changed_at": since,
        }
        for number in range(SENSORS)
    ]
    for name, rows in (("facilities", [facility]), ("sensors", sensors)):
        pl.DataFrame(rows, schema_of(DATASETS[name].columns)).write_parquet(folder / f"{name}.parquet")
    readings.write_parquet(folder / "readings.parquet")
