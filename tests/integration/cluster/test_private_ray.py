"""The private Ray of one engine loses its control service or its raylet: the engine ends, and begins anew."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
from azure.servicebus.aio import ServiceBusClient

from engine.cluster.watch import RAY_LOST_STATUS
from engine.processes.process_table import descendants
from engine.runtime import published_values, read_secret
from tests.integration.cluster.field import QUEUES, Field
from tests.integration.cluster.harness import ENGINE_START_S_MAX, Engine, Hub, eventually, is_running, rows_of
from tests.integration.local_bus.harness import running_bus


def kill_part(engine: Engine, program: str) -> None:
    """SIGKILL the program of Ray's own that belongs to this engine."""
    assert engine.process is not None
    for pid in descendants(engine.process.pid):
        if Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].endswith(program.encode()):
            os.kill(pid, signal.SIGKILL)
            return
    raise AssertionError(f"no {program} runs")


async def joins(engine: Engine, token: str | None) -> bool:
    """Whether a program that knows the address, and this token, gets into the engine's Ray and runs something there."""
    mode = {"RAY_AUTH_MODE": "disabled"} if token is None else {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}
    address = published_values(engine.data_dir)["ray_address"]
    script = "import ray, sys; ray.init(sys.argv[1]); print('INSIDE', len(ray.nodes()))"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", script, address),
        env={**os.environ, "RAY_ADDRESS": "", "RAY_AUTH_TOKEN_PATH": "", **mode},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        told, _ = await asyncio.wait_for(process.communicate(), 60)
    except TimeoutError:  # it goes on trying
        process.kill()
        told, _ = await process.communicate()
    return b"INSIDE" in told


def command_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


async def _until_gone(pids: set[int]) -> None:
    async def are_gone() -> bool:
        return not any(is_running(pid) for pid in pids)

    await eventually(are_gone, 60, lambda: f"still there: {pids}")


@pytest.mark.ray
@pytest.mark.bus
@pytest.mark.postgres
@pytest.mark.timeout(900)
async def test_an_engine_that_lost_its_ray_ends_and_the_next_finds_everything(
    tmp_path: Path, database_url: str
) -> None:
    loop = asyncio.get_running_loop()
    async with running_bus(tmp_path / "bus", lock_s=5.0, queues=QUEUES) as bus:
        engine = Engine(tmp_path, database_url, bus.connection_string)
        await engine.start()
        try:
            async with (
                ServiceBusClient.from_connection_string(bus.connection_string) as client,
                rows_of(database_url) as rows,
            ):
                field = Field(Hub(client).send)

                async def all_stored() -> bool:
                    return bool(await rows.fetchval("SELECT count(*) FROM sensor_records") == field.sent)

                async def has_ended() -> bool:
                    return engine.process is not None and engine.process.returncode is not None

                await field.introduce()
                await field.send(30)
                await eventually(all_stored, ENGINE_START_S_MAX, engine.log_text)

                assert await joins(engine, read_secret(tmp_path, "ray_token"))
                assert not await joins(engine, "a token of somebody else's, which is as long as ours is")
                assert not await joins(engine, None)
                assert not [pid for pid in engine.pids_of("") if "dashboard.py" in command_of(pid)]

                for part in ("gcs_server", "raylet"):
                    assert engine.process is not None
                    left = descendants(engine.process.pid)
                    await field.send(30)
                    killed_at_s = loop.time()
                    kill_part(engine, part)
                    await field.send(30)
                    await eventually(has_ended, 30, engine.log_text)
                    ended_s = loop.time() - killed_at_s
                    assert engine.process.returncode == RAY_LOST_STATUS
                    await engine.start()  # as its keeper does
                    await _until_gone(left)
                    await field.send(30)
                    await eventually(all_stored, ENGINE_START_S_MAX, engine.log_text)
                    stored_s = loop.time() - killed_at_s
                    sys.stdout.write(
                        f"\n{part} killed: ended after {ended_s:.1f} s, all stored after {stored_s:.1f} s\n"
                    )
                assert sum(bus.counts[queue].dead_lettered for queue in QUEUES) == 0
        finally:
            if engine.process is not None and engine.process.returncode is None:
                os.killpg(engine.process.pid, signal.SIGKILL)
