"""The whole system under blows for two minutes, with people who ask and are told, and exports and an import beside it:
nothing lost, nothing doubled, nothing left behind, every command in force once, state equal to the folded log.
"""

from __future__ import annotations

import sys

import pytest

from tests.chaos.driver import Options, run_chaos

pytestmark = [pytest.mark.ray, pytest.mark.postgres, pytest.mark.bus, pytest.mark.slow, pytest.mark.timeout(900)]

OPTIONS = Options(seed=1, minutes=2.0, rate=200.0, kills=20, facilities=4, sensors=25, beside=True)


async def test_nothing_is_lost_or_doubled() -> None:
    judgement = await run_chaos(OPTIONS, print, lambda _: None)
    sys.stdout.write("\n".join(judgement.result.notes) + "\n")
    assert judgement.result.problems == [], f"logs and ledger are in {judgement.folder}"
    struck = {(kill.kind, kill.means) for kill in judgement.result.kills}
    assert ("engine", "SIGKILL") in struck and ("PostgreSQL", "SIGKILL") in struck
    assert len(struck) > 5, struck
    assert judgement.result.readings > 10_000
    assert all(kill.recovered_s is not None for kill in judgement.result.kills)
