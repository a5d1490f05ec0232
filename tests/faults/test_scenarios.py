"""Named bad days, each with the clock driven: what the design promises about them, to the message."""

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import replace

import pytest

import native
from engine.model import LogEntry, Outcome
from tests.faults.checks import us
from tests.faults.hub import (
    ACTIVATION,
    DATA,
    SETUP,
    Plan,
    Row,
    Sensor,
    Sent,
    activation_body,
    reading_fields,
    setup_body,
)
from tests.faults.hub import plan as planned
from tests.faults.menu import Menu
from tests.faults.run import Run, Tweaks, World
from tests.faults.scheduler import START_US, Process

POISON = "66.6"
FRESH: dict[str, object] = {"checkpoint_readings_max": 50_000, "checkpoint_s_max": 60.0, "tick_s": 10.0}


def play(world: World, runner: asyncio.Runner, sent: Plan, tweaks: Tweaks, menu: Menu | None = None) -> Run:
    """Play a scenario; everything that holds for every run holds for it too."""
    run = Run(world, 1, sent, menu or Menu([]), tweaks=tweaks)
    runner.run(run.go())
    runner.run(run.check())
    return run


def steady(world: World, facilities: int = 1, *, until_s: float = 60.0, every_s: float = 10.0) -> Plan:
    """Facilities with one temperature sensor each; setup at 1 s, activation at 2 s, then a message a reading."""
    tag = world.tag()
    made = Plan([f"{tag}-facility-{number:02d}" for number in range(facilities)], {}, [])
    for facility_id in made.facilities:
        sensor = Sensor(f"{facility_id}-sensor", facility_id, "Temperature", activated=True, activations_us=[START_US])
        made.sensors[sensor.sensor_id] = sensor
        made.sends.append((1.0, Sent(SETUP, setup_body(facility_id))))
        made.sends.append((2.0, Sent(ACTIVATION, activation_body(sensor, START_US))))
        for number in range(int((until_s - 10.0) / every_s)):
            made.sends.append(reading(sensor, 10.0 + number * every_s, f"{22 + number % 3 / 10:.2f}"))
    made.sends.sort(key=lambda send: send[0])
    return made


def reading(sensor: Sensor, at_s: float, data: str, *, dead: str | None = None) -> tuple[float, Sent]:
    """A reading sent when it was taken; `dead`: it is bound to die with this reason."""
    row = Row(sensor.facility_id, sensor.sensor_id, START_US + round(at_s * 1e6), data)
    return at_s, Sent(DATA, json.dumps(reading_fields(row)).encode(), () if dead else (row,), dead=dead)


def later(sent: Plan, *sends: tuple[float, Sent]) -> Plan:
    return replace(sent, sends=sorted([*sent.sends, *sends], key=lambda send: send[0]))


async def transitions(world: World, facility_id: str, rule: str) -> list[tuple[str, float]]:
    """(transition, seconds after the start) of a rule's journal."""
    rows = await world.db.fetch(
        "SELECT transition, event_time FROM alarm_events WHERE facility_id = $1 AND rule = $2 ORDER BY id",
        facility_id,
        rule,
    )
    return [(row["transition"], (us(row["event_time"]) - START_US) / 1e6) for row in rows]


def test_postgresql_away_for_fifteen_minutes(world: World, runner: asyncio.Runner) -> None:
    """It really is: no connection is let in. Nothing dies of it, and afterwards everything is there."""
    database = runner.run(world.db.fetchval("SELECT current_database()"))

    async def outage(run: Run) -> None:
        await run.fate.sleep(20)
        await world.server.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS false")
        await world.server.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1"
            " AND application_name = 'gasinsight historian'",
            database,
        )
        for _ in range(90):
            await run.fate.sleep(10)
            assert not any(run.broker.dead_letters(DATA)), "an outage of ours killed good data"
        assert run.broker.waiting(DATA), "nothing was waiting: the outage had no effect"
        await world.server.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS true")

    sent = steady(world, 2, until_s=900, every_s=45)
    run = play(world, runner, sent, Tweaks(errands=[outage], settings=FRESH))
    assert not any(run.broker.dead_letters(queue) for queue in (SETUP, ACTIVATION, DATA))
    assert run.broker.counts["deliveries_exceeded"] == 0
    assert run.broker.counts["renewed"] > 10, "the reader kept its messages by renewing their locks"
    assert runner.run(transitions(world, sent.facilities[0], "stale")) == [], "our outage is nobody's silence"


def test_an_actor_that_dies_at_every_call_for_a_minute(world: World, runner: asyncio.Runner) -> None:
    deaths: list[float] = []

    def die(run: Run, point: str, process: Process | None) -> None:
        at_s = (run.scheduler.now_us - START_US) / 1e6
        if point == "before_score" and process is not None and 20 <= at_s < 80:
            deaths.append(at_s)
            process.kill()

    run = play(world, runner, steady(world, 1, until_s=120, every_s=5), Tweaks(at_point=die, settings=FRESH))
    assert len(deaths) >= 5, "it did not crash-loop"
    assert not any(run.broker.dead_letters(queue) for queue in (SETUP, ACTIVATION, DATA))


def test_a_message_that_kills_its_facility_is_found_and_dies_alone(world: World, runner: asyncio.Runner) -> None:
    """Its batch is halved until it stands alone; its neighbours, received with it, are stored."""
    sent = steady(world, 1, until_s=60, every_s=10)
    [sensor] = sent.sensors.values()
    neighbours = [reading(sensor, 70 + number / 10, f"22.{number}") for number in range(8)]
    poison = reading(sensor, 70.35, POISON, dead="poisoned")
    deaths: list[str] = []

    def die(run: Run, point: str, process: Process | None) -> None:
        if point == "before_score" and process is not None and run.hosts.holds(process, POISON):
            deaths.append(process.name)
            process.kill()

    async def stall(run: Run) -> None:  # so that the messages are received together
        await run.fate.sleep(69)
        assert run.intake is not None
        run.intake.pause()
        await run.fate.sleep(6)
        run.intake.resume()

    run = play(world, runner, later(sent, *neighbours, poison), Tweaks(at_point=die, errands=[stall], settings=FRESH))
    [dead] = run.broker.dead_letters(DATA)
    assert (dead.reason, dead.delivery_count) == ("poisoned", 0)
    assert len(deaths) >= 3, "condemned before it was tried often enough"


@pytest.mark.parametrize(("point", "deliveries"), [("decoded", 2), ("before_complete", 2), ("completed", 1)])
def test_a_reader_that_dies_over_a_bad_message_has_it_told_of_once(
    world: World, runner: asyncio.Runner, point: str, deliveries: int
) -> None:
    """Before anybody was told, between telling and burial, and after both."""
    deaths: list[str] = []

    def die(run: Run, passed: str, process: Process | None) -> None:
        if passed == point and process is run.intake and process is not None and not deaths and run._sent == count:
            deaths.append(process.name)
            process.kill()

    bad = (75.0, Sent(DATA, b"{", dead="not_json"))
    sent = later(steady(world, 1, until_s=60, every_s=10), bad)
    count = len(sent.sends)
    run = play(world, runner, sent, Tweaks(at_point=die, settings=FRESH))
    assert len(deaths) == 1
    assert run.broker.counts["redeliveries"] == deliveries - 1
    [told] = runner.run(world.db.fetch("SELECT source, queue, reason, body FROM dead_letters WHERE source = 'bus'"))
    assert tuple(told) == ("bus", DATA, "not_json", "{")


def test_one_poisoned_outcome_among_twenty(world: World, runner: asyncio.Runner) -> None:
    """What PostgreSQL refuses costs its own facility a retry; the other nineteen commit without loading again."""
    sent = steady(world, 20, until_s=30, every_s=10)
    victim = sent.facilities[7]
    [sensor] = [sensor for sensor in sent.sensors.values() if sensor.facility_id == victim]
    poison = reading(sensor, 22.0, POISON, dead="rejected")

    def spoil(outcome: Outcome) -> Outcome:
        if outcome.facility_id == victim and any(POISON in str(native.batch_rows(e.payload)) for e in batches(outcome)):
            return replace(outcome, copy_rows=outcome.copy_rows[:-3])
        return outcome

    async def poison_the_store(run: Run) -> None:
        run.weather.poison = spoil

    settings = {**FRESH, "facilities_per_actor": 20}
    run = play(world, runner, later(sent, poison), Tweaks(errands=[poison_the_store], settings=settings))
    assert run.history.counts["rejected"] > 0
    assert {
        facility_id: run.history.loads[facility_id] for facility_id in sent.facilities if facility_id != victim
    } == (dict.fromkeys((each for each in sent.facilities if each != victim), 1))


def batches(outcome: Outcome) -> list[LogEntry]:
    return [entry for entry in outcome.entries if entry.kind.value == "batch"]


def test_a_silent_facility_raises_a_stale_alarm_across_a_restart(world: World, runner: asyncio.Runner) -> None:
    """Nothing arrives after 30 s; the process dies in between; silence is counted through."""

    async def restart(run: Run) -> None:
        await run.fate.sleep(70)
        for process, _ in run.hosts.every:
            process.kill()
        await run.fate.sleep(90)

    sent = steady(world, 1, until_s=40, every_s=10)
    play(world, runner, sent, Tweaks(errands=[restart], settings=FRESH))
    [(transition, at_s)] = runner.run(transitions(world, sent.facilities[0], "stale"))
    assert transition == "activated"
    assert 30 + 75 <= at_s <= 30 + 75 + 3 * 10, "five intervals of 15 s after the last reading"


def test_time_without_the_engine_is_not_silence(world: World, runner: asyncio.Runner) -> None:
    """Ten minutes without any engine: no stale alarm; then one when the usual time has been listened to."""

    async def downtime(run: Run) -> None:
        await run.fate.sleep(45)
        run.no_intake_until_us = START_US + 645_000_000
        assert run.intake is not None
        run.intake.kill()
        for process, _ in run.hosts.every:
            process.kill()
        await run.fate.sleep(600 + 30)
        stale = await transitions(world, sent.facilities[0], "stale")
        assert stale == [], f"downtime was taken for silence: {stale}"
        await run.fate.sleep(120)

    sent = steady(world, 1, until_s=40, every_s=10)
    play(world, runner, sent, Tweaks(errands=[downtime], settings=FRESH))
    [(transition, at_s)] = runner.run(transitions(world, sent.facilities[0], "stale"))
    assert transition == "activated"
    assert 645 + 30 <= at_s <= 645 + 90


def test_a_backlog_is_no_silence(world: World, runner: asyncio.Runner) -> None:
    """The engine comes back to ten minutes of readings on the queue: every one counts, nobody is stale."""

    async def downtime(run: Run) -> None:
        await run.fate.sleep(20)
        run.no_intake_until_us = START_US + 620_000_000
        assert run.intake is not None
        run.intake.kill()
        await run.fate.sleep(700)

    sent = steady(world, 1, until_s=700, every_s=10)
    play(world, runner, sent, Tweaks(errands=[downtime], settings=FRESH))
    assert [each for each in runner.run(transitions(world, sent.facilities[0], "stale")) if each[1] < 690] == []


@pytest.mark.parametrize("number", range(3))
def test_fifteen_minutes_away_in_the_middle_of_everything(world: World, runner: asyncio.Runner, number: int) -> None:
    """As above, but with all that a hub sends, and the store merely unreachable."""
    sent = planned(world.tag(), random.Random(number))
    run = play(world, runner, sent, Tweaks(after_s=60), Menu([], away=(10.0, 910.0)))
    assert run.history.counts["unreachable"] > 50
