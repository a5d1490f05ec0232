"""The runtime file and generated secrets: who sees what, in which order, and what a dead publisher leaves behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from engine import runtime
from engine.errors import SettingsError


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No `.env` and no settings of the machine."""
    monkeypatch.chdir(tmp_path)
    for name in ("DATABASE_URL", "SERVICEBUS_CONNECTION_STRING", "RAY_ADDRESS", "SECRET_KEY", "ADMIN_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))


def test_published_values_reach_the_settings(tmp_path: Path) -> None:
    runtime.publish(tmp_path / "data", "up", database_url="postgresql://h/d", servicebus_connection_string="Endpoint=x")
    settings = runtime.effective_settings()
    assert settings.database_url == "postgresql://h/d"
    assert settings.servicebus_connection_string is not None
    assert settings.servicebus_connection_string.get_secret_value() == "Endpoint=x"


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime.publish(tmp_path / "data", "up", database_url="postgresql://file/d")
    monkeypatch.setenv("DATABASE_URL", "postgresql+asyncpg://environment/d")
    assert runtime.effective_settings().database_url == "postgresql://environment/d"


def test_values_of_a_dead_publisher_do_not_count(tmp_path: Path) -> None:
    script = "import sys; from pathlib import Path; from engine import runtime; "
    script += "runtime.publish(Path(sys.argv[1]), 'up', database_url='postgresql://gone/d')"
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "data")], check=True, cwd=Path(__file__).parents[2])
    assert "up" in json.loads((tmp_path / "data" / "runtime.json").read_text())["components"]
    assert runtime.effective_settings().database_url is None
    assert runtime.running_components(tmp_path / "data") == {}


def test_a_recycled_pid_is_not_the_publisher(tmp_path: Path) -> None:
    runtime.publish(tmp_path / "data", "up", database_url="postgresql://h/d")
    path = tmp_path / "data" / "runtime.json"
    content = json.loads(path.read_text())
    content["components"]["up"]["started_ticks"] -= 1
    path.write_text(json.dumps(content))
    assert runtime.published_values(tmp_path / "data") == {}


def test_withdrawing_leaves_the_others_and_then_no_file(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    runtime.publish(data_dir, "up", database_url="postgresql://h/d")
    runtime.publish(data_dir, "engine", ray_address="a:1")
    runtime.withdraw(data_dir, "up")
    assert runtime.published_values(data_dir) == {"ray_address": "a:1"}
    runtime.withdraw(data_dir, "engine")
    assert not (data_dir / "runtime.json").exists()


def test_secrets_are_made_once_and_private(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    key = runtime.effective_settings().secret_key
    again = runtime.effective_settings().secret_key
    assert key is not None and again is not None
    assert key.get_secret_value() == again.get_secret_value()
    assert len(key.get_secret_value()) >= 32
    runtime.publish(data_dir, "up", database_url="postgresql://h/d")
    assert runtime.secret_path(data_dir, "secret_key").stat().st_mode & 0o777 == 0o600
    assert (data_dir / "runtime.json").stat().st_mode & 0o777 == 0o600
    assert (data_dir / "secrets").stat().st_mode & 0o777 == 0o700


def test_production_gets_no_development_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVIRONMENT", "production")
    assert runtime.effective_settings().secret_key is None
    assert not runtime.secret_path(tmp_path / "data", "secret_key").exists()


def test_a_damaged_file_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "runtime.json").write_text("{")
    with pytest.raises(SettingsError, match=r"delete it and start again"):
        runtime.effective_settings()


def test_a_newer_file_is_not_guessed_at(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "runtime.json").write_text('{"version": 2, "components": {}}')
    with pytest.raises(SettingsError, match=r"has version 2, this program reads 1: a newer one runs here"):
        runtime.effective_settings()
