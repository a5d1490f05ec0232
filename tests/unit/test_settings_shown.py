"""`gasinsight settings`: every value with its source, no secret in any of its outputs; secrets from files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine import runtime
from engine.commands.settings import effective, run_settings
from engine.errors import SettingsError
from engine.settings import Settings, load_settings

SECRETS = ("signing key of thirty-two letters", "pw-of-the-database", "bus-key=", "pw-of-the-admin")


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (*(name.upper() for name in Settings.model_fields), "SECRETS_DIR", "CREDENTIALS_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)


def shown(**overrides: object) -> dict[str, tuple[str | None, str]]:
    return {each.setting: (each.value, each.source) for each in effective(overrides)}


def test_each_value_says_where_it_comes_from(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("TICK_S=7\nWEB_PORT=1\n")
    (tmp_path / "mounted").mkdir()
    (tmp_path / "mounted/retention_days").write_text("9\n")
    (tmp_path / "mounted/tick_s").write_text("8\n")
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path / "mounted"))
    monkeypatch.setenv("WEB_PORT", "8123")
    found = shown(web_host="0.0.0.0")
    assert found["WEB_HOST"] == ("0.0.0.0", "option")
    assert found["WEB_PORT"] == ("8123", "environment")
    assert found["TICK_S"] == ("7.0", ".env")
    assert found["RETENTION_DAYS"] == ("9", f"file in {tmp_path / 'mounted'}")
    assert found["BUS_PORT"] == ("5672", "default")
    assert found["SECRET_KEY"] == ("***", "the data folder's secrets")
    assert list(found) == [name.upper() for name in Settings.model_fields]


def test_what_a_running_installation_tells_is_named(tmp_path: Path) -> None:
    runtime.publish(tmp_path, "up", database_url="postgresql://gasinsight:pw-of-the-database@127.0.0.1:5/g")
    found = shown(data_dir=tmp_path)
    assert found["DATABASE_URL"] == ("postgresql://gasinsight:***@127.0.0.1:5/g", "the running installation")


@pytest.mark.parametrize("as_json", [False, True])
def test_no_secret_is_printed(
    as_json: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setenv("SECRET_KEY", SECRETS[0])
    monkeypatch.setenv("DATABASE_URL", f"postgresql+asyncpg://u:{SECRETS[1]}@db.example/g?sslmode=verify-full")
    monkeypatch.setenv("SERVICEBUS_CONNECTION_STRING", f"Endpoint=sb://n/;SharedAccessKey={SECRETS[2]}")
    monkeypatch.setenv("ADMIN_PASSWORD", SECRETS[3])
    run_settings({}, as_json, as_markdown=False)
    printed = capsys.readouterr().out
    assert "postgresql://u:***@db.example/g?sslmode=verify-full" in printed
    assert not [secret for secret in SECRETS if secret in printed]
    if as_json:
        assert len([json.loads(line) for line in printed.splitlines()]) == len(Settings.model_fields)


def test_secrets_come_from_files_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "SECRET_KEY").write_text("signing key of thirty-two letters\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))  # as systemd does with LoadCredential=
    key = load_settings().secret_key
    assert key is not None
    assert key.get_secret_value() == "signing key of thirty-two letters"
    monkeypatch.setenv("SECRET_KEY", "the environment comes first, as ever")
    key = load_settings().secret_key
    assert key is not None
    assert key.get_secret_value() == "the environment comes first, as ever"


def test_a_folder_of_secrets_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path / "unmounted"))
    with pytest.raises(SettingsError, match="unmounted, which is no folder"):
        load_settings()
