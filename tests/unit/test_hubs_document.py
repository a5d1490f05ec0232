"""docs/hubs.md at its word: its examples, spellings, limits and reasons through the decoders of the four queues."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import native
from engine import messages
from engine.errors import InputRefused
from engine.historian.limits import DEAD_LETTERS, WHAT
from engine.model import FacilityType, SensorType
from engine.settings import Settings

TEXT = (Path(__file__).resolve().parents[2] / "docs/hubs.md").read_text()
BLOCKS = dict(re.findall(r"^```\w+ (\w+)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL))
RECEIVED_US = native.parse_time("2026-11-22T19:00:00")
FUTURE_S_MAX = 300.0
ENTITIES: dict[str, Callable[[bytes], Any]] = {
    "setup": messages.setup_of,
    "activation": messages.activation_of,
    "deactivation": messages.deactivation_of,
}
QUEUES = (*ENTITIES, "data")
DEEP = b'{"a":' * 66 + b"1" + b"}" * 66
LONG = {"facility_id": "f" * 257}
NOT_SHOWN: dict[str, bytes | dict[str, str]] = {
    "too_deep": DEEP,
    "bad_arrow": b"\xff\xff\xff\xff",
    "id_too_long": LONG,
    "text_too_long": {"facility_name": "n" * 513, "address": "a" * 2049},
    "data_too_long": {"data": "1" * 257},
}
NOT_BY_DECODERS = {
    "too_large": "tried in Rust",
    "before_retention": "by the commit",
    "rejected": "by the inquiry",
    "poisoned": "by the inquiry",
}


def between(name: str) -> str:
    (found,) = re.findall(rf"<!-- {name} -->\n(.*?)<!-- end of {name} -->", TEXT, re.DOTALL)
    return str(found)


def cells(table: str) -> list[list[str]]:
    rows = [
        re.split(r"\s*\|\s*", line.strip().strip("|").strip(" "))
        for line in table.splitlines()
        if line.startswith("| `")
    ]
    return [[*row, ""][:4] if len(row) > 2 else row for row in rows]


REASONS = cells(between("reasons"))


def refusal(queue: str, body: bytes) -> tuple[str, str] | None:
    """Reason and description, as the queue's message handler finds them."""
    if queue == "data":
        decoded = native.decode([body], RECEIVED_US, FUTURE_S_MAX)
        return next(((each.reason, each.detail) for each in decoded.refused), None)
    try:
        messages.refuse_ahead(ENTITIES[queue](body), RECEIVED_US, FUTURE_S_MAX)
    except InputRefused as error:
        return error.reason, error.detail
    return None


@pytest.mark.parametrize("queue", QUEUES)
def test_the_example_of_a_message_is_accepted(queue: str) -> None:
    assert refusal(queue, BLOCKS[queue].encode()) is None
    fields = set(json.loads(BLOCKS[queue]))
    named = set(re.findall(r"`(\w+)`", TEXT))
    assert fields <= named


def test_the_batches_hold_the_same_two_readings() -> None:
    made: dict[str, Any] = {}
    exec(BLOCKS["arrow"], made)
    bodies = [BLOCKS["array"].encode(), BLOCKS["lines"].encode(), made["body"]]
    decoded = native.decode(bodies, RECEIVED_US, FUTURE_S_MAX)
    assert decoded.refused == []
    rows = [(row["sensor_id"], row["tracked_at_us"], row["data"]) for row in native.batch_rows(decoded.batch(0))]
    assert (
        rows[:2]
        == rows[2:4]
        == rows[4:]
        == [
            ("s-1", native.parse_time("2026-11-22T10:15:30"), "24.61"),
            ("s-2", native.parse_time("2026-11-22T10:15:30"), "1013.2"),
        ]
    )


@pytest.mark.parametrize("queue", QUEUES)
def test_what_may_be_null_and_what_may_not(queue: str) -> None:
    for name in json.loads(BLOCKS[queue]):
        said = refusal(queue, changed(queue, {name: "null"}))
        if name == "address":
            assert said is None
        else:
            assert said is not None and said[0] == ("wrong_type" if queue == "data" else "missing_field"), name


def test_digits_of_a_number_stay_as_they_were_sent() -> None:
    body = BLOCKS["data"].replace('"24.60"', "24.60").encode()
    assert b": 24.60}" in body
    assert native.batch_rows(native.decode([body], RECEIVED_US, 0).batch(0))[0]["data"] == "24.60"


def test_times_are_read_and_refused_as_the_document_says() -> None:
    spelled = re.findall(r"^- `(.+)`$", between("read"), re.MULTILINE)
    assert len(spelled) == 8
    assert {native.parse_time(text) for text in spelled} == {native.parse_time("2026-11-22T10:15:00")}
    refused = cells(between("refused"))
    assert len(refused) == 6
    for text, words in refused:
        with pytest.raises(native.TimeRefused, match=re.escape(words)):
            native.parse_time(text.strip("`"))


@pytest.mark.parametrize("row", REASONS, ids=[row[0].strip("`") for row in REASONS])
def test_each_reason_is_given_by_the_queues_that_it_names(row: list[str]) -> None:
    reason, example = row[0].strip("`"), row[3]
    queues = QUEUES if row[1] == "all" else row[1].split(", ")
    assert set(queues) <= set(QUEUES)
    if reason in NOT_BY_DECODERS:
        assert not example
        return
    shown = re.fullmatch("`(.*)`", example)
    bad: Any = NOT_SHOWN[reason] if shown is None else shown[1].encode()
    if isinstance(bad, bytes) and re.match(rb"\{.*\}$", bad) and bad is not DEEP:
        bad = dict(re.findall(r'"(\w+)": ("(?:[^"\\]|\\.)*"|[^,}]+)', bad.decode()))
    elif isinstance(bad, dict):
        bad = {name: json.dumps(text) for name, text in bad.items()}
    for queue in queues:
        found = refusal(queue, bad if isinstance(bad, bytes) else changed(queue, bad))
        assert found is not None, queue
        assert found[0] == reason, (queue, found)
        assert found[1]


def changed(queue: str, tokens: dict[str, str]) -> bytes:
    """The queue's example with fields written as these tokens, which need not be JSON that Python writes."""
    fields = json.loads(BLOCKS[queue])
    lines = [f'"{name}": {tokens.get(name) or json.dumps(value)}' for name, value in fields.items()]
    assert set(tokens) & set(fields), f"{queue} has none of {list(tokens)}"
    return ("{" + ", ".join(lines) + "}").encode()


def test_no_reason_is_missing() -> None:
    of_readings = re.search(r"reasons\s+(not_utf8,[\s\w,]+)\n\s+body ", native_stub())
    of_entities = re.search(r"Reasons: ([\s\w,]+)\.", messages.__doc__ or "")
    assert of_readings is not None and of_entities is not None
    known = {word for found in (of_readings, of_entities) for word in re.findall(r"\w+", found[1])}
    assert {row[0].strip("`") for row in REASONS} == known | {"before_retention", "rejected", "poisoned"}


def test_refusals_are_those_of_the_settings() -> None:
    named = {row[0].strip("`") for row in cells(between("refusals"))}
    assert named == set(WHAT) - {DEAD_LETTERS}
    assert set(WHAT) <= Settings.model_fields.keys()


def native_stub() -> str:
    return (Path(native.__file__).parent / "_native.pyi").read_text()


def test_limits_and_words_are_those_of_the_code() -> None:
    settings = Settings(_env_file=None)
    for said in (
        f"1 to {native.ID_BYTES_MAX} bytes of UTF-8",
        f"at most {native.DATA_BYTES_MAX} bytes, no NUL; a number",
        f"at most {messages.NAME_BYTES_MAX} bytes",
        f"at most {messages.ADDRESS_BYTES_MAX} bytes",
        f"1 to {native.INTERVAL_S_MAX} ({native.INTERVAL_S_MAX // 86_400} days)",
        f"nested deeper than {native.JSON_DEPTH_MAX} |",
        f"`FUTURE_S_MAX` ({settings.future_s_max:.0f} s)",
        f"`PARKED_DAYS_MAX` ({settings.parked_days_max:.0f})",
        ", ".join(f"`{kind}`" for kind in FacilityType),
        ", ".join(f"`{kind}`" for kind in SensorType),
    ):
        assert said in TEXT, said
    for kind, queue in settings.queues.items():
        name = next(name for name, value in settings.model_dump().items() if value == queue)
        assert f"| `{queue}` | `{name.upper()}` |" in TEXT, kind
