"""What commands print and logs say of text from elsewhere: no control character but our own ends of lines."""

from __future__ import annotations

import ast
import io
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from engine.client import (
    Alarm,
    AlarmCounts,
    AlarmFrame,
    AlarmWithHistory,
    ApiKey,
    Channel,
    Commanded,
    Facility,
    FacilityGroups,
    FacilityRules,
    JournalEntry,
    LiveAlert,
    Notification,
    Part,
    PlannedRules,
    Reading,
    RuleInForce,
    RulesThen,
    Sensor,
    SensorRules,
    Subscription,
)
from engine.client.shapes import Alert
from engine.commands import (
    alarms,
    api_keys,
    audit,
    doctor,
    drain,
    groups,
    notify,
    out_of_use,
    planned_rules,
    rule_history,
    rules,
    score,
    simulate,
    watch_view,
)
from engine.commands import settings as shown_settings
from engine.commands.cli import app
from engine.commands.following import fault_text
from engine.commands.login import NotDone
from engine.commands.steps import Screen, plain
from engine.errors import SettingsError
from engine.local_bus.__main__ import Lines
from engine.logs import configure_logging
from engine.offline.recordings import Recording
from engine.printable import control_in
from engine.settings import Settings
from tests.unit.test_status_view import lines

HOSTILE = "\x1b[2J\x1b]0;x\x07\u202eevil\u2066\u2028\x85\x7f\r\nFORGED\ud800 [red]b[/] [/]"
ROOT = Path(__file__).parents[2]
PRINTERS = {
    "engine/__main__.py",
    "engine/commands/alarms.py",
    "engine/commands/api_keys.py",
    "engine/commands/cli/app.py",
    "engine/commands/dead_letters.py",
    "engine/commands/doctor.py",
    "engine/commands/drain.py",
    "engine/commands/groups.py",
    "engine/commands/keys.py",
    "engine/commands/login.py",
    "engine/commands/notify.py",
    "engine/commands/out_of_use.py",
    "engine/commands/planned_rules.py",
    "engine/commands/rule_history.py",
    "engine/commands/rules.py",
    "engine/commands/settings.py",
    "engine/commands/status.py",
    "engine/commands/status_view.py",
    "engine/commands/steps.py",
    "engine/local_bus/__main__.py",
    "engine/private_files.py",
    "web/auth/first_admin.py",
    "web/main.py",
}
NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOSTILE_TEXTS = st.one_of(st.just(HOSTILE), st.text(st.characters(exclude_categories=()), max_size=30))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def printed(say: Callable[[], object]) -> Iterator[str]:
    """What standard output and error got."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        say()
    yield out.getvalue()
    yield err.getvalue()


def board_of(text: str, columns: int) -> str:
    board = watch_view.Board(text, 10)
    common = {"id": text, "name": text, "status": text, "type": text, "created_at": NOW}
    place = {"location_id": 1, "location": {"id": 1, "address": text, "longitude": 0, "latitude": 0}}
    board.know_facility(Facility.model_validate(common | place))
    sensor = common | {"facility_id": text, "installed_at": NOW, "expected_freq": "15S", "location_id": None}
    board.know_sensor(Sensor.model_validate(sensor | {"location": None}))
    board.value(Reading.model_validate({"sensor_id": text, "facility_id": text, "tracked_at": NOW, "data": text}))
    alert = {"sensor_id": text, "facility_id": text, "message": text, "created_at": NOW}
    said = board.alert(LiveAlert.model_validate(alert | {"alert_id": 1, "alert_type": text}))
    board.old_alert(Alert.model_validate(alert | {"id": 1, "type": text}))
    board.trouble = text
    screen = io.StringIO()
    console = Console(file=screen, width=columns, height=40)
    console.print(board.render(console.size))
    Screen().event("alert", said)
    return screen.getvalue()


def key_of(text: str) -> ApiKey:
    grant = {"facility_id": text, "permission_type": "View"}
    fields = {"id": 1, "name": text, "status": text, "facilities": [grant], "created_at": NOW, "created_by_name": text}
    return ApiKey.model_validate(fields | {"expires_at": NOW, "revoked_at": None, "last_used_at": None, "key": text})


def facility_of(text: str) -> Facility:
    fields: dict[str, Any] = dict.fromkeys(("id", "name", "status", "type"), text)
    location = {"id": 1, "address": text, "longitude": 7.5, "latitude": 51.25}
    return Facility.model_validate(fields | {"created_at": NOW, "location_id": 1, "location": location})


def alarm_of(text: str) -> Alarm:
    names = (
        "id",
        "facility_id",
        "facility_name",
        "sensor_id",
        "sensor_name",
        "rule",
        "state",
        "suppression",
        "message",
    )
    by = dict.fromkeys(("suppressed_by", "suppression_reason", "priority", "assignee"), text)
    is_so = dict.fromkeys(("active", "acknowledged", "latched"), True)
    moments = {"since": NOW, "suppressed_until": NOW, "last_event_id": 1}
    return Alarm.model_validate(dict.fromkeys(names, text) | by | is_so | moments)


def entry_of(text: str) -> JournalEntry:
    names = (
        "facility_id",
        "alarm_id",
        "sensor_id",
        "rule",
        "transition",
        "priority",
        "type",
        "message",
        "actor",
        "reason",
    )
    moments = {"id": 1, "event_time": NOW, "recorded_at": NOW, "until": NOW}
    return JournalEntry.model_validate(dict.fromkeys(names, text) | moments | {"actor_name": text})


def said_of_alarms(text: str, monkeypatch: pytest.MonkeyPatch, as_json: bool) -> None:
    alarm, counts = alarm_of(text), AlarmCounts.model_validate(dict.fromkeys(AlarmCounts.model_fields, 1))
    nobody: Any = None  # is asked
    monkeypatch.setattr(alarms, "asked", lambda *_: ([alarm], counts))
    alarms.run_list({}, nobody, {}, as_json)
    monkeypatch.setattr(alarms, "asked", lambda *_: AlarmWithHistory(alarm=alarm, history=[entry_of(text)]))
    alarms.run_show({}, nobody, text, None, as_json)
    done = Commanded(command_id=text, state="done", alarm=alarm)
    monkeypatch.setattr(alarms, "asked", lambda *_: (text, done))
    alarms.run_command({}, nobody, alarms.Wanted(text, None, "comment"), as_json)
    sys.stdout.write(alarms._frame_text(AlarmFrame(type="event", after_id=1, event=entry_of(text))))


def said_of_rules(text: str, monkeypatch: pytest.MonkeyPatch, folder: Path, as_json: bool) -> None:
    held = dict.fromkeys(RuleInForce.model_fields) | dict.fromkeys(("rule", "unit", "priority", "source"), text)
    held |= {"limit": 1, "deadband": 1, "on_delay_s": 1, "off_delay_s": 1, "latched": False, "message": text}
    version = {"version": 1, "set_at": NOW, "set_by": text, "set_by_name": text, "settings": {"unit": text}}
    of_type = {"sensor_type": text, "of_type": {}, "in_force": [held], "versions": [version]}
    of_sensor = SensorRules.model_validate({"sensor_id": text, "of_sensor": {}} | of_type)
    nobody: Any = None  # is asked
    monkeypatch.setattr(rules, "asked", lambda *_: of_sensor)
    rules.run_show({}, nobody, rules.Asked(text, False, None), as_json)
    monkeypatch.setattr(
        rules, "asked", lambda *_: FacilityRules.model_validate({"facility_id": text, "types": [of_type]})
    )
    rules.run_show({}, nobody, rules.Asked(text, True, None), as_json)
    monkeypatch.setattr(rules, "asked", lambda *_: of_sensor.in_force)
    (folder / "rules.json").write_text("{}")
    for is_dry_run in (False, True):
        change = rules.Change(rules.Subject(text, text), folder / "rules.json", is_dry_run)
        rules.run_set({}, nobody, change, as_json)
    then: dict[str, Any] = dict.fromkeys(("set_by", "set_by_name", "reason", "sensor_id", "sensor_type"), text)
    then |= {"version": 1, "valid_from": NOW, "valid_to": None, "effective_from": NOW, "settings": {"unit": text}}
    versions = Part([RulesThen.model_validate(then)], 2)
    monkeypatch.setattr(rule_history, "asked", lambda *_: versions)
    wanted = rule_history.Versions(text, False, 0, 1)
    rule_history.run_history({}, nobody, wanted, as_json)
    plan = PlannedRules.model_validate(then | {"id": 1, "facility_id": text, "filed_at": NOW, "refusal": text})
    monkeypatch.setattr(planned_rules, "asked", lambda *_: Part([plan], 2))
    planned_rules.run_planned({}, nobody, wanted, as_json)
    monkeypatch.setattr(planned_rules, "asked", lambda *_: plan)
    planned_rules.run_withdraw({}, nobody, (text, True), 1, as_json)
    change = rules.Change(rules.Subject(text, text), folder / "rules.json", False)
    planned_rules.run_plan({}, nobody, change, "2026-12-01", as_json)


def said_of_groups(text: str, monkeypatch: pytest.MonkeyPatch, folder: Path, as_json: bool) -> None:
    member = {"sensor_id": text, "rules": [text]}
    asked = {"all": [{"not": {"sensor_id": text, "is": text}}, {"sensor_id": text, "rule": text}]}
    kinds = ("vote", "first_out", "discrepancy", "combination", text)
    of = {"name": text, "priority": text, "members": [member], "commanded": text, "reported": text, "when": asked}
    held = {
        "groups": [{**of, "kind": kind} for kind in kinds],
        "rests": [{"name": text, "while": asked, "alarms": [member]}],
    }
    version = {"version": 1, "set_at": NOW, "set_by": text, "set_by_name": text, "settings": held}
    found = FacilityGroups.model_validate({"facility_id": text, "versions": [version], **held})
    nobody: Any = None  # is asked
    monkeypatch.setattr(groups, "asked", lambda *_: found)
    groups.run_show({}, nobody, text, as_json)
    became = {part: {text: "new", text + "x": "ends"} for part in held}
    monkeypatch.setattr(groups, "asked", lambda *_: groups._Done(held, became))
    (folder / "groups.json").write_text("{}")
    for is_dry_run in (False, True):
        groups.run_set({}, nobody, groups.Change(text, folder / "groups.json", is_dry_run), as_json)


def status_of(text: str) -> str:
    node = {"node_id": text, "hostname": text, "address": "x" + text, "alive": True, "services": [text]}
    reader = dict.fromkeys(("connected", "last_receive_age_s", "held_s", "full")) | {"held": text}
    facility = {"id": text, "name": text, "status": text, "sensors": 1, "active_alarms": 0, "parked": 0}
    engine = {"state": text, "age_s": 1.0, "nodes": [node], "readers": {text: reader}, "restarting": [text]}
    changes: dict[str, Any] = {
        "problems": [text.replace("\n", "")],
        "engine": engine,
        "facilities": [facility | {"last_commit_age_s": None}],
        "queues": {text: {"waiting": text, "dead_letters": None}},
    }
    away = lines(100, queues={"error": "away" + text.replace("\n", "")})
    return "\n".join([*lines(100, **changes), *away])


def said_of_notifications(text: str, patched: pytest.MonkeyPatch, as_json: bool) -> None:
    """The same of `gasinsight notify`."""
    channel = Channel.model_validate(
        dict.fromkeys(("name", "kind", "host", "security", "user", "sender"), text)
        | {"id": 1, "enabled": True, "acknowledge": True, "port": 25, "to": [text], "created_at": NOW}
    )
    subscription = Subscription.model_validate(
        dict.fromkeys(("name", "channel_name", "least_priority", "from_time", "to_time", "zone"), text)
        | {"id": 1, "channel_id": 1, "facility_ids": [text], "alarm_rules": [text], "created_at": NOW}
    )
    names = ("message_id", "channel_name", "recipient", "subject", "state", "error")
    times = {"made_at": NOW, "next_try_at": None, "ended_at": None}
    message = Notification.model_validate(
        dict.fromkeys(names, text) | {"id": 1, "channel_id": 1, "alarms": 1, "attempts": 1, **times}
    )
    new = {"add_channel": (channel, {"name": "x"}), "add_subscription": (subscription, {"name": "x", "channel_id": 1})}
    for word, (made, said) in new.items():
        patched.setattr(notify, "_read", lambda _, said=said: dict(said))
        patched.setattr(notify, "asked", lambda *_, made=made: made)
        getattr(notify, f"run_{word}")({}, None, Path("x"), as_json)
    patched.setattr(notify, "asked", lambda *_: [channel])
    notify.run_channels({}, None, as_json)  # type: ignore[arg-type]
    patched.setattr(notify, "asked", lambda *_: [subscription])
    notify.run_subscriptions({}, None, as_json)  # type: ignore[arg-type]
    patched.setattr(notify, "asked", lambda *_: ([message], 1))
    notify.run_list({}, None, notify.Wanted(None, None, 1), as_json)  # type: ignore[arg-type]
    patched.setattr(notify, "asked", lambda *_: [message])
    with suppress(NotDone):
        notify.run_test({}, None, text, as_json)  # type: ignore[arg-type]


def said_by_commands(text: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """One call for each thing that prints; what is said goes to the standard streams."""
    sys.stdout.write(status_of(text))
    for columns in (80, 140):
        sys.stdout.write(board_of(text, columns))
    with monkeypatch.context() as patched:
        for as_json in (False, True):
            said_of_alarms(text, patched, as_json)
            said_of_notifications(text, patched, as_json)
            said_of_rules(text, patched, folder, as_json)
            said_of_groups(text, patched, folder, as_json)
        patched.setattr(api_keys, "asked", lambda *_: [key_of(text)])
        for as_json in (False, True):
            api_keys.run_list({}, None, as_json)  # type: ignore[arg-type]  # nobody is asked
            api_keys._show(key_of(text), as_json)
        patched.setattr(api_keys, "asked", lambda *_: key_of(text))
        api_keys.run_revoke({}, None, 1)  # type: ignore[arg-type]
        for as_json in (False, True):
            patched.setattr(out_of_use, "asked", lambda *_: facility_of(text))
            out_of_use.run({}, None, out_of_use.Wanted("facility", "retire", text, lambda _: True), as_json)  # type: ignore[arg-type]
        finding = doctor.Finding(text.replace("\n", ""), "warning", text.replace("\n", ""), text.replace("\n", ""))
        patched.setattr(doctor, "_findings", lambda _: iter([finding]))
        doctor.run_doctor({}, False)
        doctor.run_doctor({}, True)
        shown = shown_settings.Shown("NAME", text, text, "")
        patched.setattr(shown_settings, "effective", lambda _: iter([shown]))
        shown_settings.run_settings({}, False, False)
        shown_settings.run_settings({}, True, False)
        names = ("id", "at", "action", "subject", "actor", "actor_name", "impersonated_by", "address")
        entry = dict.fromkeys(names, text) | {"before": {text: text}, "after": None}
        patched.setattr(audit, "find_database_url", lambda _: "")
        patched.setattr(audit, "read_last", lambda *_: as_awaited([entry]))
        audit.run_show({}, 1, False)
        audit.run_show({}, 1, True)
    for as_json in (False, True):
        drain._say(as_json, text, "moving", text)
        run = score._Run(score.ScoreOptions(Path("x"), None, None, None, False, as_json))
        run.tell_refused(Path(f"x{text}".replace("\0", "")), text)
        recording = Recording(Path(f"x{text}".replace("\0", "")), ())
        run._tell_scored(recording, Path("y"), 1, 1, [text])
        fault = {"kind": text, "facility_name": text, "sensors": [{"type": text}]}
        simulate._teller(Screen(as_json))("fault", fault)
    app._say(SettingsError(text.replace("\n", "")))


def test_a_name_makes_no_line_of_its_own() -> None:
    fault: dict[str, object] = {"kind": "leak", "facility_name": "a\nb", "sensors": [{"type": "Flow"}]}
    entry = dict.fromkeys(("id", "at", "action", "subject", "actor", "impersonated_by", "address"), "a\nb")
    message = {"alert_id": 1, "sensor_id": "a\nb", "facility_id": "f", "message": "a\nb", "created_at": NOW}
    alert = LiveAlert.model_validate(message | {"alert_type": "System"})
    for said in (
        plain("a\nb").plain,
        fault_text(fault),
        audit._line(entry | {"actor_name": "a\nb", "before": None, "after": {"name": "a\nb"}}),
        watch_view.Board("a\nb", 1).alert(alert),
        watch_view._folded("a\nb", "").plain,
    ):
        assert "\\x0a" in said or "\\n" in said
        assert "\n" not in said


def test_a_file_makes_no_line_of_its_own(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    run = score._Run(score.ScoreOptions(folder, None, None, None, False, False))
    run.tell_refused(Path("a\nb"), "c\nd")
    run._tell_scored(Recording(Path("a\nb")), Path("c\nd"), 1, 1, ["e\nf"])
    assert capsys.readouterr().out.splitlines() == [
        "a\\x0ab: c\\x0ad",
        "a\\x0ab: 1 rows, 1 alarming → c\\x0ad",
        "  e\\x0af",
    ]


def test_whoever_prints_is_known_here() -> None:
    """One more in the list needs its text from elsewhere escaped, and a line in `said_by_commands`."""
    found = {
        str(path.relative_to(ROOT))
        for room in ("engine", "web")
        for path in (ROOT / room).rglob("*.py")
        if any(map(prints, ast.walk(ast.parse(path.read_text(encoding="utf-8")))))
    }
    assert found == PRINTERS


def prints(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and (
        ast.unparse(node.func) in {"print", "sys.stdout.write", "sys.stderr.write", "getpass.getpass"}
        or (isinstance(node.func, ast.Attribute) and node.func.attr == "print")
    )


async def as_awaited(value: Any) -> Any:
    return value


@given(text=HOSTILE_TEXTS)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_commands_print_holds_no_control_but_ends_of_lines(
    text: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for said in printed(lambda: said_by_commands(text, monkeypatch, folder)):
        assert not [character for character in said if control_in(character) and character != "\n"]


@given(text=HOSTILE_TEXTS)
@settings(max_examples=30, deadline=None)
def test_a_line_of_the_log_is_a_line_for_people_too(text: str) -> None:
    handlers = logging.root.handlers[:]
    try:
        for log_format in ("text", "json"):
            stream = io.StringIO()
            configure_logging(Settings(_env_file=None, log_format=log_format), "test", stream)
            structlog.get_logger().warning(text or "-", name=text, inner=[text], error=ValueError(text))
            logging.getLogger("theirs").warning("%s", text)
            said = stream.getvalue()
            assert not [character for character in said if control_in(character) and character != "\n"]
            assert said.count("\n") == 2, said
            try:
                raise ValueError(text)
            except ValueError:
                structlog.get_logger().exception("failed")
            assert not [each for each in stream.getvalue() if control_in(each) and each != "\n"]
    finally:
        structlog.reset_defaults()
        logging.root.handlers[:] = handlers


@given(text=HOSTILE_TEXTS)
def test_the_local_bus_logs_lines(text: str) -> None:
    record = logging.LogRecord("bus", logging.INFO, "", 0, "link %s", (text,), None)
    assert not any(map(control_in, Lines("%(message)s").format(record)))
    record.exc_info = (ValueError, ValueError(text), None)
    assert not [each for each in Lines("%(message)s").format(record) if control_in(each) and each != "\n"]
