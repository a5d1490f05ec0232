"""The words of the command line: help that teaches, and mistakes answered in one sentence with status 2."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from engine import cli, runtime
from engine.commands.client import Login, Server
from engine.commands.doctor import check_python, check_secret_key
from engine.commands.following import HubFollower, total
from engine.commands.ports import check_free, free_port, listen
from engine.commands.steps import Screen
from engine.commands.watch_view import Board
from engine.errors import SettingsError
from engine.settings import load_settings

COMMANDS = ("up", "simulate", "web", "engine", "bus", "db", "watch", "status", "doctor", "bench")
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
    script += "from engine.cli import main\ntry: main()\nexcept SystemExit: pass\n"
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
    assert check_python((3, 10, 4)).verdict == "wrong"
    assert check_python((3, 13, 0)).verdict == "ok"
    weak = check_secret_key(load_settings(environment="production", secret_key="short"))
    assert (weak.verdict, weak.found) == ("wrong", "5 characters in production")
    assert check_secret_key(load_settings(environment="production", secret_key="x" * 40)).verdict == "ok"


def test_doctor_finds_a_taken_port(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
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


def test_metrics_are_added_up_over_their_series() -> None:
    text = 'a_total{queue="x"} 2\na_total{queue="y"} 3\na_total_other 100\nb 7\n'
    assert total(text, "a_total") == 5
    assert total(text, "b") == 7
    assert total(text, "c") == 0


def test_the_board_shows_alerted_sensors_first() -> None:
    from rich.console import Console

    board = Board("http://x", 10)
    board.know_facility({"id": "f", "name": "North"})
    for number, kind in enumerate(["Flow", "Temperature"]):
        board.know_sensor({"id": f"s{number}", "facility_id": "f", "name": "", "type": kind})
        board.value({"sensor_id": f"s{number}", "tracked_at": "2026-11-22T10:00:00", "data": f"2{number}.50"})
    board.value({"sensor_id": "s1", "tracked_at": "2026-11-22T10:00:01", "data": "open"})
    board.alert({"sensor_id": "s1", "created_at": "2026-11-22T10:00:02", "message": "Problem detected: …"})
    console = Console(width=100, height=30, record=True)
    console.print(board.render(console.size))
    lines = console.export_text().splitlines()
    shown = [line for line in lines if "North" in line]
    assert "Temperature" in shown[0] and "open" in shown[0]
    assert "Flow" in shown[1] and "20.50" in shown[1]
    assert any("Problem detected" in line for line in lines)


@pytest.mark.parametrize("address", ["http://[::bad", "127.0.0.1"])
async def test_a_wrong_address_is_a_sentence(address: str) -> None:
    with pytest.raises(SettingsError, match="is no address"):
        await Server(address, Login("a", "b")).log_in()
