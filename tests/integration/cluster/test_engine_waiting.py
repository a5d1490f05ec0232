"""An engine that waits for its database ends when it is told to."""

from __future__ import annotations

import asyncio
from pathlib import Path

from engine.processes.ports import free_port
from tests.integration.cluster.harness import Engine, eventually
from tests.integration.local_bus.harness import KEY


async def test_sigterm_ends_an_engine_that_waits_for_its_database(tmp_path: Path) -> None:
    nobody = free_port("127.0.0.1", 0)
    bus = f"Endpoint=sb://127.0.0.1:{nobody}/;SharedAccessKeyName=k;SharedAccessKey={KEY};UseDevelopmentEmulator=true"
    engine = Engine(tmp_path, f"postgresql://nobody@127.0.0.1:{nobody}/nothing", bus)
    await engine.start()

    async def waits() -> bool:
        return "waiting_for_the_store" in engine.log_text()

    try:
        await eventually(waits, 60, engine.log_text)
        await asyncio.sleep(0.5)  # between two tries
        assert await engine.stop() == 0
    finally:
        if engine.process is not None and engine.process.returncode is None:
            await engine.kill()
