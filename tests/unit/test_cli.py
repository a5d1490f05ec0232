"""The words of the command line: help that teaches, and mistakes answered in one sentence with status 2."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from engine import runtime
from engine.commands import doctor
from engine.commands.cli import app as cli
from engine.commands.doctor import Finding, check_origins, check_python, check_secret_key, sum_up
from engine.commands.following import HubFollower, total
from engine.commands.steps import Screen
from engine.commands.watch_view import Board
from engine.errors import SettingsError
from engine.processes.parts import web_url
from engine.processes.ports import check_free, free_port, listen
from engine.settings import Settings, load_settings

COMMANDS = tuple(typer.main.get_command(cli.app).commands)  # type: ignore[attr-defined]
HEAVY = ("ray", "azure", "sqlalchemy", "asyncpg", "numpy", "polars", "quart", "httpx", "pydantic")


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("DATABASE_URL", "SERVICEBUS_CONNECTION_STRING", "RAY_ADDRESS", "WEB_PORT", "GASINSIGHT_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))


def gasinsight(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str
) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["gasinsight", *words])
    monkeypatch.setenv("COLUMNS", "200")
    for module in ("engine.commands.up", "engine.commands.alone"):
        # What descends from this process are other tests' servers.
        monkeypatch.setattr(f"{module}.become_reaper", lambda: None)
        monkeypatch.setattr(f"{module}.end_descendants", lambda: None)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    printed = capsys.readouterr()
    return int(ended.value.code or 0), printed.out, printed.err


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = gasinsight(monkeypatch, capsys, command, "--help")
    assert status == 0
    assert "Usage:" in out
    assert command in gasinsight(monkeypatch, capsys, "--help")[1]


def test_help_loads_nothing_heavy() -> None:
    script = "import sys; sys.argv = ['gasinsight', '--help']\n"
    script += "from engine.commands.cli.app import main\ntry: main()\nexcept SystemExit: pass\n"
    script += f"print('LOADED', [name for name in {HEAVY!r} if name in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", script], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False
    )
    assert found.stdout.splitlines()[-1] == "LOADED []", found.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["simulate"], "no bus: start `gasinsight up`"),
        (["simulate", "--faults", "leek@3"], "fault 'leek@3' is not understood"),
        (["simulate", "--rate", "0"], "rate above 0"),
        (["up", "--faults", "leek@3"], "fault 'leek@3' is not understood"),
        (["status"], "no database: set DATABASE_URL"),
        (["db", "upgrade"], "no database: set DATABASE_URL"),
        (["engine"], "set DATABASE_URL and SERVICEBUS_CONNECTION_STRING"),
        (["watch", "--user", "ann@example.org"], "no password for ann@example.org"),
        (["bus", "--data-dir", "/proc/nowhere"], "cannot write in /proc/nowhere"),
        (["bus", "--tls-port", "1"], "need --tls"),
        (["up", "--tls-name", "bus.example"], "need --tls"),
    ],
)
def test_a_mistake_is_one_sentence(
    words: list[str], sentence: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = gasinsight(monkeypatch, capsys, *words)
    assert (status, out) == (2, "")
    assert err.startswith("gasinsight: ")
    assert sentence in err
    assert len(err.splitlines()) == 1


def paths_in(group: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str | None]]:
    """Every command with each option (None: argument) that names a file or folder."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from paths_in(command, (*words, name))
            continue
        for parameter in command.params:
            if parameter.type_descriptor.annotation is Path:
                yield (*words, name), parameter.opts[0] if parameter.param_type_name == "option" else None


BESIDE = {"backup": ["backup.dump"], "restore": ["recording.csv"], "drain": ["node"], "score": ["recording.csv"]}
BESIDE |= {"import": ["recording.csv", "--dry-run"], "report note": ["north", "a note"]}
BESIDE |= {"api-key create": ["key", "--view", "North"], "api-key revoke": ["1"]}
BESIDE |= {f"{kind} {deed}": ["an id"] for kind in ("facility", "sensor") for deed in ("retire", "remove")}
BESIDE |= {f"alarms {word}": ["12:high"] for word in ("show", "ack", "unshelve", "unsuppress", "in-service", "reset")}
BESIDE |= {"alarms comment": ["12:high", "a line"], "alarms out-of-service": ["12:high", "-m", "why"]}
BESIDE |= {"alarms shelve": ["12:high", "--for", "2h", "-m", "why"], "alarms suppress": ["12:high", "-m", "why"]}
BESIDE |= {"notify test": ["control room"]}
BESIDE |= {f"notify add-{kind}": [f"{kind}.json"] for kind in ("channel", "subscription")}
BESIDE |= {"alarms assign": ["12:high", "Ada"]}
BESIDE |= {"alarms verdict": ["12:high", "true"]}
BESIDE |= {"rules show": ["PT-1"], "rules history": ["PT-1"], "rules set": ["PT-1", "rules.json"]}
BESIDE |= {"replay": ["--facility", "f", "--from", "2026-01-01", "--to", "2026-01-02"]}
BESIDE |= {"rules planned": ["PT-1"], "rules withdraw": ["PT-1", "12"]}
BESIDE |= {"groups show": ["ridge-1"], "groups set": ["ridge-1", "rules.json"]}
BESIDE |= {"dead-letters show": ["17"], "dead-letters redrive": ["17"]}
BESIDE |= {"dead-letters delete": ["17", "--because", "a test rig"]}
BEFORE = {"rules set": ["PT-1"], "groups set": ["ridge-1"]}
PATHS = list(paths_in(typer.main.get_command(cli.app)))


def test_all_commands_with_files_are_found() -> None:
    assert {option for _, option in PATHS} == {
        *(None, "--data-dir", "--ledger", "--truth", "--out", "--rules"),
        *("--tls-certificate", "--tls-key"),
    }
    assert len(PATHS) > 20


@pytest.mark.parametrize(("words", "option"), PATHS, ids=[f"{' '.join(words)} {option}" for words, option in PATHS])
def test_a_file_or_folder_that_cannot_be_is_a_sentence(
    words: tuple[str, ...],
    option: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "a-file").write_text("x")
    (tmp_path / "recording.csv").write_text("tracked_at,value\n2026-11-22T10:00:00,1\n2026-11-22T10:00:15,1\n")
    (tmp_path / "channel.json").write_text('{"name": "on call", "teams": {"url": "https://a.example"}}')
    (tmp_path / "subscription.json").write_text('{"channel_id": 1, "name": "all"}')
    (tmp_path / "rules.json").write_text("{}")
    bad = str(tmp_path / "a-file" / "below")
    beside = [*BESIDE.get(" ".join(words), []), option, bad] if option else [*BEFORE.get(" ".join(words), []), bad]
    if words[0] in {"up", "web", "bus"}:
        beside += ["--port", str(free_port("127.0.0.1", 0))]
    if option is not None and option.startswith("--tls-"):
        beside += ["--tls", "--tls-port", str(free_port("127.0.0.1", 0))]
        beside += ["--tls-certificate", bad] if option == "--tls-key" else []
    is_local = option == "--data-dir" or "--tls" in beside
    monkeypatch.setenv("SERVICEBUS_CONNECTION_STRING", "" if is_local else "Endpoint=sb://127.0.0.1:1/")
    if words == ("backup",) and option is None:
        monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nowhere")
    status, out, err = gasinsight(monkeypatch, capsys, *words, *beside)
    assert status in {1, 2}
    assert len(err.splitlines()) <= 1
    assert "a-file" in out + err


def test_the_folder_of_a_file_to_be_written_must_be_there_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (["simulate", "--ledger"], ["simulate", "--truth"], ["up", "--simulate", "--ledger"]):
        for name, said in (("nowhere/x.json", "nowhere is no folder"), ("folder", "that is a folder")):
            (tmp_path / "folder").mkdir(exist_ok=True)
            status, out, err = gasinsight(monkeypatch, capsys, *words, str(tmp_path / name))
            assert (status, out) == (2, "")
            assert f"({words[-1]}): " in err and said in err
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("word", ["bus", "up"])
@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--tls-name", "no name"], "'no name' is no name for a certificate"),
        (["--tls-certificate", "/nowhere.pem"], "cannot read /nowhere.pem: No such file or directory"),
        ([], "is taken by another program; choose a free one with --tls-port"),
    ],
)
def test_tls_that_cannot_be_had_is_told_before_anything_starts(
    word: str,
    options: list[str],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        tls_port = free_port("127.0.0.1", 0) if options else taken.getsockname()[1]
        ports = ["--port", str(free_port("127.0.0.1", 0)), "--tls-port", str(tls_port)]
        status, out, err = gasinsight(monkeypatch, capsys, word, *ports, "--tls", *options)
    assert status == 2
    assert "PostgreSQL" not in out
    assert sentence in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "data/bus").exists()


def test_tls_is_of_the_local_bus(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv(
        "SERVICEBUS_CONNECTION_STRING", "Endpoint=sb://a.example/;SharedAccessKeyName=a;SharedAccessKey=b"
    )
    status, _, err = gasinsight(monkeypatch, capsys, "up", "--port", str(free_port("127.0.0.1", 0)), "--tls")
    assert status == 2
    assert "--tls is for the local bus, and SERVICEBUS_CONNECTION_STRING names another one" in err


def test_an_unknown_option_is_a_usage_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, err = gasinsight(monkeypatch, capsys, "up", "--simulat")
    assert status == 2
    assert "--simulate" in err
    assert "Traceback" not in err


def test_a_bad_setting_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("WEB_PORT", "eighty")
    status, _, err = gasinsight(monkeypatch, capsys, "up")
    assert status == 2
    assert "WEB_PORT" in err


def test_production_wants_a_key_of_its_own(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("ENVIRONMENT", "production")
    monkeypatch.delenv("SECRET_KEY", raising=False)
    status, _, err = gasinsight(monkeypatch, capsys, "up")
    assert status == 2
    assert "SECRET_KEY has 0 characters in production: set at least 32 random ones" in err


def test_a_second_up_in_one_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runtime.publish(tmp_path / "data", "up", web_url="http://127.0.0.1:1")  # we are that other `up`
    status, _, err = gasinsight(monkeypatch, capsys, "up", "--port", str(free_port("127.0.0.1", 0)))
    assert status == 2
    assert "runs `gasinsight up`" in err
    assert "choose another --data-dir" in err
    assert runtime.running_components(tmp_path / "data"), "the other one's word must stand"


def test_a_taken_port_is_told_with_the_option_that_helps(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with listen("127.0.0.1", 0, "--port") as taken:
        port = taken.getsockname()[1]
        status, _, err = gasinsight(monkeypatch, capsys, "up", "--port", str(port))
        assert status == 2
        assert f"port {port} is taken by another program; choose a free one with --port" in err
        with pytest.raises(SettingsError, match="BUS_PORT"):
            check_free("127.0.0.1", port, "BUS_PORT")
        assert free_port("127.0.0.1", port) != port


def test_doctor_knows_old_pythons_and_weak_keys() -> None:
    assert check_python((3, 10, 4)).grade == "wrong"
    assert check_python((3, 13, 0)).grade == "ok"
    weak = check_secret_key(load_settings(environment="production", secret_key="short"))
    assert (weak.grade, weak.found) == ("wrong", "5 characters in production")
    good = "of this test, and of nothing else at all"
    assert check_secret_key(load_settings(environment="production", secret_key=good)).grade == "ok"
    for files, grade in (("", "wrong"), ("a.pem", "ok")):
        assert check_secret_key(load_settings(algorithm="EdDSA", signing_keys=files)).grade == grade


def test_doctor_counts_warnings_in_its_last_line() -> None:
    def found(*grades: Any) -> str:
        return sum_up([Finding("check", grade, "") for grade in grades])

    assert found("ok") == "nothing is wrong"
    assert found("ok", "warning") == "nothing is wrong, 1 warning"
    assert found("wrong", "warning", "warning") == "1 of 3 checks found something wrong, 2 warnings"
    assert found("wrong", "ok") == "1 of 2 checks found something wrong"


def test_doctor_warns_of_a_production_that_admits_every_web_page() -> None:
    for environment, origins, grade in (
        ("production", "*", "warning"),
        ("production", "https://gas.example, *", "warning"),
        ("production", "https://gas.example", "ok"),
        ("development", "*", "ok"),
    ):
        settings = load_settings(_env_file=None, environment=environment, cors_origins=origins)
        assert check_origins(settings).grade == grade, (environment, origins)


def test_doctor_finds_a_taken_port(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(doctor, "_check_web_server", lambda host, port: None)
    with listen("127.0.0.1", 0, "") as taken:
        monkeypatch.setenv("WEB_PORT", str(taken.getsockname()[1]))
        status, out, _ = gasinsight(monkeypatch, capsys, "doctor", "--json")
    assert status == 1
    assert '"check": "web port", "verdict": "wrong"' in out


def test_the_hubs_faults_are_told_as_they_are_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "hub.log"
    log.write_text("from an earlier start\n")
    follower = HubFollower(log, Screen())
    fault = '{"event": "fault", "kind": "gas_alarm", "facility_name": "North", "sensors": [{"type": "GasDetection"}]}'
    with log.open("a") as file:
        file.write("Traceback of something\n" + fault[:30])
        file.flush()
        follower.tell_news()
        assert capsys.readouterr().out == ""
        file.write(fault[30:] + "\n")
    follower.tell_news()
    assert "planted gas alarm at North (GasDetection)" in capsys.readouterr().out


@pytest.mark.parametrize(("host", "url"), [("127.0.0.1", "http://127.0.0.1:8001"), ("::1", "http://[::1]:8001")])
def test_where_the_web_server_answers(host: str, url: str) -> None:
    assert web_url(Settings(_env_file=None, web_host=host, web_port=8001)) == url


def test_a_hub_sends_when_the_bus_has_taken_its_facilities(tmp_path: Path) -> None:
    """In this start, not in an earlier one; the log may be turned over in between."""
    log = tmp_path / "hub.log"
    setup = '{"event": "setup", "facilities": 3}\n'
    log.write_text(setup + "and much more\n" * 100)
    follower = HubFollower(log, Screen())
    follower.tell_news()
    assert not follower.introduced
    log.rename(tmp_path / "hub.log.1")
    log.write_text('{"event": "waiting", "seconds": 1, "because": "the bus is away"}\n')
    follower.tell_news()
    assert not follower.introduced
    with log.open("a") as file:
        file.write(setup)
    follower.tell_news()
    assert follower.introduced


def test_metrics_are_added_up_over_their_series() -> None:
    text = 'a_total{queue="x"} 2\na_total{queue="y"} 3\na_total_other 100\nb 7\n'
    assert total(text, "a_total") == 5
    assert total(text, "b") == 7
    assert total(text, "c") == 0


def filled_board() -> Board:
    from engine.client import Facility, LiveAlert, Reading, Sensor

    board = Board("http://127.0.0.1:8000", 10)
    facility: dict[str, Any] = {"id": "f", "name": "North Ridge Processing Plant"}
    board.know_facility(Facility.model_construct(**facility))
    for number, kind in enumerate(["Flow", "HydrogenSulfideContent"]):
        sensor: dict[str, Any] = {"id": f"sensor-{number}", "facility_id": "f", "type": kind}
        board.know_sensor(Sensor.model_construct(**sensor))
        body = {"sensor_id": f"sensor-{number}", "facility_id": "f", "tracked_at": "2026-11-22T10:00:00"}
        for second in range(30):
            board.value(Reading.model_validate({**body, "data": f"{2000 + number}{second % 7}.50"}))
        board.value(Reading.model_validate({**body, "data": ("20.50", "open")[number]}))
    alert = {"alert_id": 1, "sensor_id": "sensor-1", "facility_id": "f", "alert_type": "Anomaly"}
    said = "Problem detected: HydrogenSulfideContent Sensor value in North Ridge is above maximum threshold (25.0)"
    board.alert(LiveAlert.model_validate({**alert, "created_at": "2026-11-22T10:00:02", "message": said}))
    return board


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_the_board_fits_and_shows_alerted_sensors_first(columns: int) -> None:
    from rich.console import Console

    console = Console(width=columns, height=24, record=True, soft_wrap=True)
    board = filled_board()
    board.trouble = "/ws/facility-data/f is lost (ConnectionClosedError: no close frame received or sent); it is opened"
    console.print(board.render(console.size))
    lines = console.export_text().splitlines()
    assert len(lines) <= 24 and max(map(len, lines)) <= columns
    shown = [line for line in lines if "10:00:00" in line]
    assert "HydrogenSulfide" in shown[0] and "open" in shown[0]
    assert "Flow" in shown[1] and "20.50" in shown[1]
    said = " ".join(line.strip("│ ") for line in lines)
    assert "above maximum threshold (25.0)" in said and "it is opened" in said


def test_a_facility_that_may_not_be_seen_any_more_leaves_the_board() -> None:
    board = filled_board()
    board.forget_facility("f")
    assert not board.has_facilities and board.has_room


@pytest.mark.parametrize("address", ["http://[::bad", "127.0.0.1"])
def test_a_wrong_address_is_a_sentence(
    address: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, err = gasinsight(monkeypatch, capsys, "watch", "--url", address, "--user", "a", "--password", "b")
    assert status == 2
    assert "is no address" in err and "http://127.0.0.1:8000" in err
