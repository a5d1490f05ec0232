"""Which child gets what of our environment: everything that is a secret is somebody's by name, and nobody else's."""

from __future__ import annotations

import os

import pytest
from pydantic import SecretStr

from engine.environments import SECRETS, basic_environment, forget_settings, ray_environment, settings_environment
from engine.settings import Settings

WITH_A_PASSWORD = {"database_url", "database_direct_url"}


@pytest.fixture(autouse=True)
def full_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        os,
        "environ",
        {name.upper(): f"of {name}" for name in Settings.model_fields}
        | {"PATH": "/bin", "LC_ALL": "C", "SECRETS_DIR": "/run/secrets", "secret_key": "in small letters"}
        | {
            "AWS_SECRET_ACCESS_KEY": "x",
            "GASINSIGHT_PASSWORD": "x",
            "PGPASSWORD": "x",
            "PGSSLMODE": "verify-full",
            "RAY_AUTH_TOKEN": "x",
        },
    )


def test_every_secret_is_named() -> None:
    secret = {
        name for name, field in Settings.model_fields.items() if field.annotation in {SecretStr, SecretStr | None}
    }
    assert secret | WITH_A_PASSWORD == set(SECRETS)


@pytest.mark.parametrize("program", ["engine", "web", "hub"])
def test_a_program_gets_its_settings_and_no_secret_of_others(program: str) -> None:
    given = settings_environment(program)
    assert {name for name in SECRETS if name.upper() in given} == {n for n, who in SECRETS.items() if program in who}
    assert ("secret_key" in given) == (program == "web")
    assert set(Settings.model_fields) - set(SECRETS) <= {name.lower() for name in given}
    assert not {"AWS_SECRET_ACCESS_KEY", "GASINSIGHT_PASSWORD"} & set(given)
    # What DATABASE_URL leaves out comes from there, for those who connect.
    assert {name for name in given if name.startswith("PG")} == (
        set() if program == "hub" else {"PGPASSWORD", "PGSSLMODE"}
    )
    assert given["SECRETS_DIR"] == "/run/secrets"


def test_what_any_program_gets_holds_nothing_of_ours() -> None:
    assert basic_environment() == {"PATH": "/bin", "LC_ALL": "C"}
    assert set(ray_environment()) == {"RAY_AUTH_TOKEN", "RAY_ADDRESS"}


def test_what_ray_is_started_from_has_forgotten_the_settings() -> None:
    forget_settings()
    assert set(os.environ) == {"PATH", "LC_ALL", "RAY_AUTH_TOKEN", "RAY_ADDRESS", "PGPASSWORD", "PGSSLMODE"}
