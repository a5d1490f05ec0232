"""One table of spellings at every door that reads times: the same instant, or refused with the same words."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import typer
from pydantic import BaseModel, ValidationError

import native
from engine.client.history import spelled
from engine.commands import rules
from engine.commands.cli.app import app as cli
from engine.errors import InputRefused, SettingsError
from engine.exports import moments
from engine.exports.selection import SelectionRefused
from engine.imports.moments import Zone, moments_of
from engine.offline import FrameRefused, files
from engine.offline.shapes import readings_of
from tests.house.here import shipped
from tests.times_table import BAD, OUT_OF_RANGE, READ
from tests.unit.test_bad_input_entities import KINDS, body
from web.api.alarm_figures import FiguresQuery
from web.api.alarm_proposals import ProposalsQuery
from web.api.alarms import JournalQuery
from web.api.histories import RecordsQuery
from web.api.incidents import IncidentsQuery
from web.api.readings import ReadingsQuery
from web.api.records import SeveralQuery
from web.api.reports import HandoverQuery
from web.api.shift_notes import NotesQuery
from web.api.then import AtQuery
from web.app import NOUNS
from web.contract.alarm_shapes import NewAlarmCommand
from web.contract.declare import Endpoint
from web.contract.export_shapes import ExportQuery, NewExport
from web.contract.replay_shapes import NewReplay
from web.contract.rule_shapes import NewPlannedRules, NewPlannedTypeRules
from web.contract.set_aside_shapes import SetAsideFilter, SetAsideQuery
from web.wire.times import from_us, to_us

LATER_US = 253_402_300_800_000_000  # the year 10000
DAYS = {"2026-11-22", "2026-11-22\n"}
ONLY_REST_READS = {*DAYS, "2026-11-22T12:15:00 02:00"}
"""Where days are asked for, a bare one is one; and in a URL a plus may have become a blank."""
RANGE = ("start_date", "end_date")
WITH_RANGES: dict[str, type[BaseModel]] = {
    "/sensor-records/{sensor_id}": RecordsQuery,
    "/sensor-records": SeveralQuery,
    "/sensor-readings/{sensor_id}": ReadingsQuery,
    "/exports/{dataset}": ExportQuery,
    "/export-jobs": NewExport,
    "/replays": NewReplay,
    "/journal": JournalQuery,
    "/incidents": IncidentsQuery,
    "/alarm-figures": FiguresQuery,
    "/alarm-proposals": ProposalsQuery,
    "/shift-notes": NotesQuery,
    "/reports/handover": HandoverQuery,
    "/parked": SetAsideQuery,
    "/dead-letters": SetAsideQuery,
    "/redrives": SetAsideFilter,
    "/discards": SetAsideFilter,
}
OF_A_MOMENT = ("rules/sensor/{sensor_id}", "rules/facility/{facility_id}", "groups/facility/{facility_id}")
TIMES_OF_REST: list[tuple[str, type[BaseModel], str]] = [
    *((path, shape, name) for path, shape in WITH_RANGES.items() for name in RANGE),
    ("/sensor-readings/{sensor_id}", ReadingsQuery, "after"),
    ("/alarm-commands/{facility_id}", NewAlarmCommand, "until"),
    ("/planned-rules/sensor/{sensor_id}", NewPlannedRules, "effective_from"),
    ("/planned-rules/facility/{facility_id}", NewPlannedTypeRules, "effective_from"),
    *((f"/{what}", AtQuery, "at") for what in OF_A_MOMENT),
]
ALSO_NEEDED: dict[type[BaseModel], dict[str, Any]] = {
    SeveralQuery: {"sensor_id": ["s"]},
    NewReplay: {"end_date": "2026-11-23"},
}
OPTIONS_OF_EXPORT = {"start": moments.start_us, "end": moments.end_us}


class Refused(Exception):
    """A door's refusal: the word for machines, if it has one, and the sentence."""

    def __init__(self, reason: str | None, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


def entity(kind: str) -> Callable[[str], int]:
    def read(text: str) -> int:
        try:
            at_us: int = KINDS[kind][0](body(kind, "tracked_at", text)).tracked_at_us
        except InputRefused as error:
            raise Refused(error.reason, error.detail) from error
        return at_us

    return read


def reading(text: str) -> int:
    fields = {"facility_id": "f", "sensor_id": "s", "tracked_at": text, "data": "1"}
    decoded = native.decode([json.dumps(fields).encode()], LATER_US, 0)
    for refusal in decoded.refused:
        raise Refused(refusal.reason, refusal.detail)
    return native.batch_rows(decoded.batch(0))[0]["tracked_at_us"]


def query(shape: type[BaseModel], name: str) -> Callable[[str], int]:
    def read(text: str) -> int:
        try:
            more = ALSO_NEEDED.get(shape, {})
            said = {"alarm_id": "1:high", "command": "acknowledge", "sensor_type": "Flow"}
            asked = shape.model_validate(
                {
                    "dataset": "records",
                    "start_date": "2026-11-22T10:15:00",
                    "sensor_type": "Flow",
                    **said,
                    **more,
                    name: text,
                }
            )
        except ValidationError as error:
            raise Refused(None, str(error)) from error
        return to_us(getattr(asked, name))

    return read


def frame(text: str) -> int:
    try:
        return int(readings_of(pl.DataFrame({"tracked_at": [text], "value": [1.0]}), as_received=False).at_us[0])
    except FrameRefused as error:
        raise Refused(None, str(error)) from error


def imported(zone: Zone | None) -> Callable[[str], int]:
    def read(text: str) -> int:
        moments = moments_of(pl.Series([text]), pl.Series([""]), zone)
        if moments.reason[0] is not None:
            raise Refused(moments.reason[0], moments.detail[0])
        return int(moments.at_us[0])

    return read


def option(read: Callable[[str], int]) -> Callable[[str], int]:
    def told(text: str) -> int:
        try:
            return read(text)
        except SelectionRefused as error:
            raise Refused(None, str(error)) from error

    return told


def moment_of_rules(text: str) -> int:
    try:
        return to_us(rules.moment("--at", text))
    except SettingsError as error:
        raise Refused(None, str(error)) from error


REST_DOORS = {f"{path} {name}": query(shape, name) for path, shape, name in TIMES_OF_REST}
COMMAND_DOORS = {f"export --{name}": option(read) for name, read in OPTIONS_OF_EXPORT.items()}
COMMAND_DOORS["rules"] = moment_of_rules
DOORS: dict[str, Callable[[str], int]] = {
    **{kind: entity(kind) for kind in KINDS},
    "data": reading,
    **REST_DOORS,
    **COMMAND_DOORS,
    "file": frame,
    "import": imported(None),
    "import --zone": imported(Zone("UTC")),
}


@pytest.mark.parametrize("door", DOORS)
def test_what_is_read_is_the_same_instant(door: str) -> None:
    assert {text: DOORS[door](text) for text, _ in READ} == dict(READ)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    ("table", "reason"), [(BAD, "bad_time"), (OUT_OF_RANGE, "time_out_of_range")], ids=["bad", "out of range"]
)
def test_what_is_refused_is_refused_with_the_sentence(door: str, table: list[tuple[str, str]], reason: str) -> None:
    for text, words in table:
        if text in (ONLY_REST_READS if door in REST_DOORS else DAYS if door in COMMAND_DOORS else ()):
            DOORS[door](text)
            continue
        with pytest.raises(Refused) as refused:
            DOORS[door](text)
        assert words in refused.value.detail, repr(text)
        assert refused.value.reason in {None, reason}, repr(text)


def test_no_other_parameter_or_field_of_rest_is_a_time() -> None:
    """One that comes to be belongs into DOORS."""
    found = {
        (endpoint.path, name)
        for endpoint in endpoints()
        for shape in (endpoint.query, endpoint.body, endpoint.form, endpoint.secret_query)
        for name in times_of(shape)
    }
    assert found == {(path, name) for path, _, name in TIMES_OF_REST}


def endpoints() -> Iterator[Endpoint]:
    for noun in NOUNS:
        yield from noun.endpoints


def times_of(shape: type[BaseModel] | None) -> list[str]:
    fields = {} if shape is None else shape.model_fields
    return [
        name for name, field in fields.items() if "datetime" in str(field.annotation) or re.search("_at|date", name)
    ]


def test_no_option_of_the_command_is_a_time() -> None:
    """One that comes to be belongs into DOORS."""
    named = options(typer.main.get_command(cli))
    assert "duration_s" in named
    assert [
        name for name in named if re.search("(^|_)(at|date|time|since|until|start|end|before|after)($|_)", name)
    ] == [*2 * list(OPTIONS_OF_EXPORT), "at", *OPTIONS_OF_EXPORT], "export, replay and proposals read them alike"


def options(command: Any) -> list[str]:
    inner = [line for each in getattr(command, "commands", {}).values() for line in options(each)]
    return inner + [str(option.name) for option in command.params]


def test_the_times_of_a_file_are_read_whatever_kind_of_file(tmp_path: Path) -> None:
    spelled = [text for text, _ in sorted(READ, key=lambda each: each[1])]
    wanted = sorted(us for _, us in READ)
    table = pl.DataFrame({"tracked_at": spelled, "value": range(len(spelled))})
    table.write_parquet(tmp_path / "r.parquet")
    table.write_csv(tmp_path / "r.csv", quote_style="always")
    for name in ("r.parquet", "r.csv"):
        assert readings_of(files.read(tmp_path / name).frame, as_received=False).at_us.tolist() == wanted, name


def test_what_the_client_spells_is_read_as_it_was_meant() -> None:
    for _, us in READ:
        assert native.parse_time(spelled(from_us(us))) == us
    with pytest.raises(ValueError, match="has no zone"):
        spelled(datetime(2026, 1, 1))
    assert spelled(datetime(2026, 1, 1, tzinfo=UTC)) == "2026-01-01T00:00:00Z"


def test_there_is_no_other_reader_of_times() -> None:
    """The client's takes what the server wrote, by pydantic."""
    other = re.compile(r"\b(fromisoformat|strptime|dateutil|str\.to_datetime|str\.strptime)\b")
    assert [module.path for module in shipped().modules.values() if other.search(module.text)] == []
