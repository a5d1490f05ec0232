"""The contract of the historian, on every store: what will never take effect is kept where people look, once."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

import pytest

from engine.errors import CommitRejected
from engine.historian.port import Parking
from engine.model import DeadLetter, ParkedItem, Verdict
from tests.contract.stores import Store
from tests.integration.historian.outcomes import (
    T0_US,
    committed,
    dead_letter,
    facility_with_sensors,
    load,
    outcome,
    setup,
)


async def bodies(store: Store) -> list[str]:
    return sorted(each.body for each in await store.dead_letters())


async def test_a_dead_letter_is_shown_whole_with_a_nul_made_visible(store: Store) -> None:
    given = DeadLetter("bus", "q", "not_json", "line\0 1", "{\0", "f\0", "s\0", ("bus", "1\0"))
    await store.historian.record_dead_letters([given])
    texts = ("bus", "q", "not_json", "line\ufffd 1", "{\ufffd", "f\ufffd", "s\ufffd")
    assert await store.dead_letters() == [DeadLetter(*texts, identity=())]


async def test_the_same_again_adds_nothing_whatever_the_reason(store: Store) -> None:
    first, second = dead_letter("1"), dead_letter("2")
    await store.historian.record_dead_letters([first, second, first])
    await store.historian.record_dead_letters([])
    await store.historian.record_dead_letters([replace(first, reason="another"), dead_letter("3")])
    assert await bodies(store) == ["1", "2", "3"]
    assert {each.reason for each in await store.dead_letters()} == {"missing_field"}
    near = [replace(first, identity=(*first.identity[:-1], other)) for other in ("", "1\0", "1 ")]
    await store.historian.record_dead_letters(near)
    assert await bodies(store) == ["1", "1", "1", "1", "2", "3"]


async def test_many_may_keep_the_same_ones_at_once(store: Store) -> None:
    letters = [dead_letter(f"{number:03d}") for number in range(300)]
    mixed = [random.Random(seed).sample(letters, len(letters)) for seed in range(8)]
    await asyncio.gather(*(store.historian.record_dead_letters(each) for each in mixed))
    assert await bodies(store) == [each.body for each in letters]


async def test_refused_rows_are_kept_with_the_commit_and_once(store: Store) -> None:
    state, _ = await facility_with_sensors(store.historian, "f")
    one, two, three = (dead_letter(body) for body in "123")
    await committed(store.historian, replace(outcome(state, 2), dead_letters=(one, two, one)))
    await committed(store.historian, replace(outcome(state, 3), dead_letters=(two, three)))
    assert await bodies(store) == ["1", "2", "3"], "a redelivery of some adds the others"
    assert await store.historian.parked("f") == []


async def test_a_commit_that_is_not_made_keeps_none(store: Store) -> None:
    state, _ = await facility_with_sensors(store.historian, "f")
    present = await load(store.historian, "f")
    refused = (dead_letter("1"),)
    assert (await store.historian.commit(replace(outcome(state, 2), dead_letters=refused))).verdict is Verdict.FENCED
    assert (await store.historian.commit(replace(outcome(present, 9), dead_letters=refused))).verdict is Verdict.UNKNOWN
    nobodys = replace(outcome(present, 2, [(1_000, T0_US, 1.0, None)]), dead_letters=refused)
    assert (await store.historian.commit(nobodys)).verdict is Verdict.REJECTED
    assert await store.dead_letters() == []


async def test_refused_rows_of_an_unknown_facility_are_kept_with_what_is_parked(store: Store) -> None:
    await store.historian.create_facility(setup("known"))
    items = [ParkedItem("reading", facility_id, "s", T0_US, "{}", "unknown_facility") for facility_id in ("f", "known")]
    letters = [dead_letter("1", "f"), dead_letter("2", "known")]
    assert await store.historian.park_unknown_facility(items, letters) == [Parking.PARKED, Parking.KNOWN]
    assert await store.historian.park_unknown_facility(items[:1], letters[:1]) == [Parking.PARKED]
    assert await bodies(store) == ["1"], "those of the other go with its commit"


async def test_a_text_that_can_never_be_stored_is_refused_and_keeps_none(store: Store) -> None:
    with pytest.raises(CommitRejected):
        await store.historian.record_dead_letters([dead_letter("1"), dead_letter("\ud800")])
    assert await store.dead_letters() == []
