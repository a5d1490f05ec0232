"""Which Ray is meant must be said, and how it lets us in."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine import runtime
from engine.cluster.environment import check_ray_settings, ray_to_watch
from engine.errors import SettingsError
from engine.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "ENVIRONMENT"):
        monkeypatch.delenv(name, raising=False)


def settings_of(tmp_path: Path, **given: object) -> Settings:
    return load_settings(data_dir=tmp_path / "data", **given)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("ray://head:10001", "give the host:port of the cluster's head"),
        ("auto", "must be the host:port of the Ray cluster's head, or local"),
        ("head", "must be the host:port"),
        ("head:port", "must be the host:port"),
        ("http://head:8265", "must be the host:port"),
    ],
)
def test_an_address_of_another_kind_is_refused(address: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        load_settings(ray_address=address)


@pytest.mark.parametrize("unset", [None, ""])
def test_production_starts_a_private_ray_only_when_told(tmp_path: Path, unset: str | None) -> None:
    check_ray_settings(settings_of(tmp_path, ray_address=unset))
    with pytest.raises(SettingsError, match="RAY_ADDRESS is not set: in production"):
        check_ray_settings(settings_of(tmp_path, ray_address=unset, environment="production"))
    local = settings_of(tmp_path, ray_address="local", environment="production")
    check_ray_settings(local)
    assert local.ray_is_private


def test_a_cluster_is_joined_with_a_token_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    joined = settings_of(tmp_path, ray_address="head:6379")
    with pytest.raises(SettingsError, match="RAY_AUTH_MODE is not set"):
        check_ray_settings(joined)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    with pytest.raises(SettingsError, match=r"not readable at .*\.ray/auth_token .*No such file"):
        check_ray_settings(joined)
    path = tmp_path / "token"
    path.write_text("\n")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(path))
    with pytest.raises(SettingsError, match="holds no token"):
        check_ray_settings(joined)
    path.write_text("secret\n")
    check_ray_settings(joined)
    monkeypatch.delenv("RAY_AUTH_TOKEN_PATH")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "secret")
    check_ray_settings(joined)


def test_the_web_side_uses_the_private_token_for_a_private_ray_only(tmp_path: Path) -> None:
    unset, joined = settings_of(tmp_path), settings_of(tmp_path, ray_address="head:6379")
    assert ray_to_watch(unset) is None
    assert ray_to_watch(settings_of(tmp_path, ray_address="local")) is None
    assert ray_to_watch(joined) == ("head:6379", {})
    runtime.publish(tmp_path / "data", "engine", ray_address="here:1", ray_is_private=True)
    address, additions = ray_to_watch(unset) or ("", {})
    assert (address, additions["RAY_AUTH_TOKEN"]) == ("here:1", "")
    assert Path(additions["RAY_AUTH_TOKEN_PATH"]).read_text().strip()
    runtime.publish(tmp_path / "data", "engine", ray_address="head:6379", ray_is_private=False)
    assert ray_to_watch(unset) == ("head:6379", {})
