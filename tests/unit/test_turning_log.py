"""Logs that turn over while they are written: bounded, whole lines, none lost, whoever else writes into them."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from engine.commands.following import HubFollower
from engine.commands.steps import Screen
from engine.logs import open_actor_log
from engine.settings import Settings
from engine.turning_log import LogLimits, LogPump, TurningLog

ROOT = Path(__file__).parents[2]


def lines_of(path: Path, kept: int) -> list[str]:
    """Of all files, the oldest line first."""
    files = [Path(f"{path}.{number}") for number in range(kept, 0, -1)]
    return "".join(file.read_text() for file in [*files, path] if file.exists()).splitlines()


def test_two_loggers_of_one_process_lose_and_mix_no_line(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, data_dir=tmp_path, log_bytes_max=65_536, log_files_kept=90, ray_address=None)
    log = open_actor_log(settings)
    assert log is not None

    def write(letter: str) -> None:
        for number in range(2_000):
            log.write(f"{letter} {number}")
            log.write("\n")

    threads = [threading.Thread(target=write, args=(letter,)) for letter in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    written = lines_of(tmp_path / "logs/engine-actors.log", 90)
    assert sorted(written) == sorted(f"{letter} {number}" for letter in "abcd" for number in range(2_000))


@pytest.mark.parametrize("piece", [1, 7, 100, 5_000])
def test_whatever_the_pieces_no_line_is_lost_or_cut(tmp_path: Path, piece: int) -> None:
    path = tmp_path / "part.log"
    log = TurningLog(path, LogLimits(1_000, 100))
    written = [f"line {number} {'x' * (number % 50)}" for number in range(1_000)]
    text = "".join(f"{line}\n" for line in written).encode()
    for start in range(0, len(text), piece):
        log.write(text[start : start + piece])
    log.close()
    assert lines_of(path, 100) == written
    files = list(tmp_path.iterdir())
    assert len(files) > 3
    for file in files:
        assert file.read_bytes().endswith(b"\n")
        assert file.stat().st_size <= max(1_000, piece) + 60
        assert file.stat().st_mode & 0o777 == 0o600


def test_only_so_many_are_kept_and_each_as_large_as_may_be(tmp_path: Path) -> None:
    path = tmp_path / "part.log"
    log = TurningLog(path, LogLimits(100, 2))
    for number in range(50):
        log.write(f"{number:09}\n".encode())
    assert [len(file.read_bytes()) for file in sorted(tmp_path.iterdir())] == [100, 100, 100]
    log.write(b"x\n")
    assert path.read_bytes() == b"x\n"
    assert lines_of(path, 2) == [f"{number:09}" for number in range(30, 50)] + ["x"]
    log.close()


def test_processes_that_write_into_one_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "actors.log"
    script = "import sys; from pathlib import Path; from engine.turning_log import LogLimits, TurningLog\n"
    script += "log = TurningLog(Path(sys.argv[1]), LogLimits(2_000, 200))\n"
    script += "for number in range(1_000): log.write(f'{sys.argv[2]} {number}\\n'.encode())"
    writers = [subprocess.Popen([sys.executable, "-c", script, str(path), name], cwd=ROOT) for name in ("a", "b", "c")]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    found = lines_of(path, 200)
    for name in ("a", "b", "c"):
        assert [line for line in found if line[0] == name] == [f"{name} {number}" for number in range(1_000)]


def test_what_a_child_wrote_is_there_when_it_was_drained(tmp_path: Path) -> None:
    path = tmp_path / "part.log"
    pump = LogPump(TurningLog(path, LogLimits(65_536, 50)))
    script = "for number in range(100_000): print(number)"
    child = subprocess.Popen([sys.executable, "-c", script], stdout=pump.writing_end)
    pump.child_has_it()
    assert child.wait(60) == 0
    pump.drain()
    assert lines_of(path, 50) == [str(number) for number in range(100_000)]


def test_a_hub_is_followed_over_a_turn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "hub.log"
    log = TurningLog(path, LogLimits(400, 3))
    follower = HubFollower(path, Screen(as_json=True))
    fault = '{{"event": "fault", "kind": "leak", "facility_name": "North {}", "sensors": []}}\n'
    for number in range(20):
        log.write(fault.format(number).encode())
        if number % 4 == 3:
            follower.tell_news()
    log.close()
    told = [line for line in capsys.readouterr().out.splitlines() if "North" in line]
    assert [f"North {number}" in line for number, line in enumerate(told)] == [True] * 20
