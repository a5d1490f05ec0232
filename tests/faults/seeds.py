"""What a seed stands for: what is sent, which faults are due, how the broker behaves and how the engine is set up."""

from __future__ import annotations

import random
from dataclasses import replace

from tests.fakes.broker import Chaos
from tests.faults.hub import plan
from tests.faults.menu import draw
from tests.faults.run import Run, Tweaks, World
from tests.faults.telling import Telling
from tests.faults.upkeep import Upkeep, interruptions

UPKEEP_EVERY = 10
"""Fifty seeds interrupt maintenance and import at each of their points; such a run takes several times as long."""
TELLING_EVERY, TELLING_AT = 5, 3
"""In a hundred of five hundred runs, none of them with upkeep, people outside are told of alarms."""
CALM = Chaos()
ROUGH = Chaos(lost_answer=0.05, lost_settle=0.05, forgotten=0.05, receive_error=0.02, lost_delivery=0.02)


def seeded(world: World, seed: int) -> Run:
    """The run of a seed; the ids differ each time, so that a database can hold many runs."""
    chance = random.Random(f"{seed} plan")
    tag = world.tag()
    sent, menu, chaos = plan(tag, chance), draw(chance), chance.choice((CALM, ROUGH))
    tweaks = Tweaks(
        settings={"facilities_per_actor": chance.choice((1, 3))},
        after_s=chance.choice((60, 60, 150)),  # what stands of the past is told by then; silent sensors become stale
        closes=chance.random() < 0.3,
        asks=True,
    )
    if seed % UPKEEP_EVERY == 0:
        upkeep = Upkeep(world, chance, tag)
        menu.faults += interruptions(chance, seed // UPKEEP_EVERY)
        tweaks = replace(tweaks, errands=[upkeep.errand], checks=[upkeep.check, upkeep.forget])
    if seed % TELLING_EVERY == TELLING_AT:
        telling = Telling(world, chance)
        tweaks = replace(tweaks, errands=[telling.errand], checks=[telling.check])
    return Run(world, seed, sent, menu, chaos, tweaks)
