"""States and logs of every core version, kept as bytes: each is read to the same meaning, or refused by its version."""

from __future__ import annotations

import base64
import json
import zlib

import pytest

import native
from engine.facility.payloads import config_payload, tick_payload
from engine.messages import time_text
from engine.model import SensorConfig, SensorStatus
from tests.native.golden import DATA, KINDS, T0_US, told_by

VERSIONS = sorted(int(path.stem.rpartition("-")[2]) for path in DATA.glob("checkpoint-*.bin"))


def test_this_version_has_its_files_and_none_is_from_the_future() -> None:
    assert VERSIONS[-1:] == [native.CORE_VERSION], "run `python -m tests.native.golden` and keep the older files"


@pytest.mark.parametrize("version", VERSIONS)
def test_a_checkpoint_means_what_it_meant(version: int) -> None:
    state = DATA.joinpath(f"checkpoint-{version}.bin").read_bytes()
    try:
        core = native.FacilityCore.restore("plant", state, "{}")
    except native.SnapshotVersionError as error:
        assert version < native.CORE_VERSION
        assert f"older core version {version}, this is {native.CORE_VERSION}" in str(error)
        return
    assert told_by(core) == json.loads(DATA.joinpath(f"told-{version}.json").read_text())
    if version == native.CORE_VERSION:
        assert core.snapshot() == state


@pytest.mark.parametrize("version", VERSIONS)
def test_a_log_of_any_version_is_replayed_or_refused_in_words(version: int) -> None:
    core = native.FacilityCore("plant", "{}")
    try:
        for kind, payload in json.loads(DATA.joinpath(f"log-{version}.json").read_text()):
            core.replay(kind, base64.b64decode(payload))
    except native.PayloadError as error:
        assert version < native.CORE_VERSION
        assert "version" in str(error)
        return
    told = json.loads(DATA.joinpath(f"told-{version}.json").read_text())
    if version < 4:  # since then a late reading counts as if it had come in time
        told["alarms"].insert(0, ["7:low", "unacknowledged", time_text(T0_US + 4_795_000_000)])
    assert told_by(core) == told
    if version == native.CORE_VERSION:
        assert core.snapshot() == DATA.joinpath(f"checkpoint-{version}.bin").read_bytes()


def test_a_checkpoint_of_version_2_knows_since_when_nothing_could_be_used() -> None:
    """Its newest reading tells, if that one was usable: of `temperature` it was 30, of `pressure` it is `on`."""
    core = native.FacilityCore.restore("plant", DATA.joinpath("checkpoint-2.bin").read_bytes(), "{}")
    for status in (SensorStatus.MAINTENANCE, SensorStatus.ACTIVE):
        sensors = [
            SensorConfig(name, number, "plant", name.title(), KINDS[name], status, 15, T0_US, T0_US)
            for number, name in ((7, "temperature"), (8, "pressure"))
        ]
        core.apply("config", config_payload(sensors, at_us=T0_US + 4_925_000_000))
    told = []
    for tick in range(493, 505):
        now_us = T0_US + 10_000_000 * tick
        rows = [(name, now_us, "Bad") for name in ("temperature", "pressure")]
        core.apply("batch", native.encode_batch("plant", rows, now_us))
        told += [event.message.partition(": ")[2] for event in core.apply("tick", tick_payload(now_us)).events]
    assert told == [
        f"no usable value since {time_text(T0_US + 4_800_000_000).removesuffix('.000000')}, last received 'Bad'",
        "no usable value so far, last received 'Bad'",
    ]


def test_what_a_newer_core_wrote_is_refused_by_its_version() -> None:
    state = DATA.joinpath("checkpoint-1.bin").read_bytes()
    newer = state[:3] + bytes([99]) + state[4:-4]
    with pytest.raises(native.SnapshotVersionError, match="newer core version 99, this is"):
        native.FacilityCore.restore("plant", newer + zlib.crc32(newer).to_bytes(4, "little"), "{}")
    batch = native.encode_batch("plant", [("temperature", 1, "2")], 1)
    newer = batch[:3] + b"\x02" + batch[4:-4]
    with pytest.raises(native.PayloadError, match=r"not a batch of version 1"):
        native.batch_info(newer + zlib.crc32(newer).to_bytes(4, "little"))
