"""schemathesis over the server's own description, as each kind of caller: no 5xx, and nothing that is not described.

Short in `make test`, for those to whom least and most is open; `make test-fuzz` tries all callers, each as long as you
like (FUZZ_S seconds, SEED).
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from tests.integration.web.harness import ADMIN_EMAIL, ADMIN_PASSWORD, PAST, Web, web_server

FUZZ_S = int(os.environ.get("FUZZ_S", "0"))
LINE_MAX = 400
SEED = int(os.environ.get("SEED", "1"))
WITHOUT_LIMIT_S = 170
pytestmark = [pytest.mark.postgres, pytest.mark.slow, pytest.mark.timeout(2 * FUZZ_S + WITHOUT_LIMIT_S)]

PEOPLE = {
    "user without right": "none@plant.example",
    "View": "viewer@plant.example",
    "Edit": "editor@plant.example",
    "Admin": ADMIN_EMAIL,
}
ROLES = ("nobody", "API key", *PEOPLE)
# In the short run an Admin, to whom all is open, tries every limit of every parameter, the others a sample.
ARGUMENTS = {role: ["--phases", "fuzzing,stateful", "--max-examples", "6"] for role in ROLES}
ARGUMENTS["Admin"] = ["--max-examples", "10"]
ALWAYS_401_MAX = 2  # routes that answer 401 to whoever has no refresh token or old password
# What signs in must stay, however often an Admin's requests delete or change it and wrong passwords are tried for it.
KEEP = """
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN IF TG_OP = 'UPDATE' THEN RETURN OLD; END IF; RETURN NULL; END $$;
CREATE TRIGGER keep BEFORE UPDATE OR DELETE ON users FOR EACH ROW WHEN (OLD.email LIKE '%@plant.example')
       EXECUTE FUNCTION keep();
CREATE TRIGGER keep BEFORE UPDATE OR DELETE ON permissions FOR EACH ROW WHEN (OLD.facility_id = 'own')
       EXECUTE FUNCTION keep();
CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER forgive BEFORE INSERT ON sign_in_counts FOR EACH ROW EXECUTE FUNCTION skip();
"""


@pytest.mark.parametrize(
    "role", [pytest.param(role, marks=() if role in {"nobody", "Admin"} else pytest.mark.long) for role in ROLES]
)
async def test_nothing_answers_otherwise_than_described(database_url: str, tmp_path: Path, role: str) -> None:
    async with filled_server(database_url, tmp_path) as web:
        config = tmp_path / "schemathesis.toml"
        config.write_text(settings(await authentication(web, role)))
        arguments = ["--max-time", str(FUZZ_S), "--max-examples", "200"] if FUZZ_S else ARGUMENTS[role]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "--no-color"),
            *("run", f"http://127.0.0.1:{web.port}/openapi.json", "--seed", str(SEED), "--continue-on-failure"),
            *arguments,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=tmp_path,
        )
        try:
            said, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
    report = "\n".join(line[:LINE_MAX] for line in said.decode().splitlines())
    assert process.returncode == 0, report[-20_000:]
    assert (tried := re.search(r"(\d+) generated", report)) and int(tried[1]) > 200, report
    refused = re.search(r"401 Unauthorized \((\d+)", report)
    assert role == "nobody" or refused is None or int(refused[1]) <= ALWAYS_401_MAX, report


@asynccontextmanager
async def filled_server(database_url: str, folder: Path) -> AsyncIterator[Web]:
    """Two facilities with sensors, readings and alerts, and somebody for each role."""
    async with web_server(database_url, folder) as web:
        for facility_id in ("own", "foreign"):
            await web.facility(facility_id, name=f"Facility {facility_id}")
            number = await web.sensor(f"{facility_id}-1", facility_id)
            await web.sensor(f"{facility_id}-2", facility_id, kind="Pressure", freq="1T", expected_interval_s=60)
            await web.readings(number, *((PAST + timedelta(seconds=15 * n), f"{n / 4}") for n in range(100)))
            for n in range(3):
                await web.alert(facility_id, number, f"alert {n}")
        await web.user("none")
        await web.user("viewer", ("own", "View"))
        await web.user("editor", ("own", "Edit"))
        await web.database.execute(KEEP)
        yield web


async def authentication(web: Web, role: str) -> str:
    """For schemathesis' configuration; people sign in again after a 401."""
    if role == "nobody":
        return ""
    if role == "API key":
        key = (await web.api_key("fuzz", ("own", "Edit")))["key"]
        return f'[auth.openapi.bearer]\nbearer = "{key}"'
    email = PEOPLE[role]
    password = ADMIN_PASSWORD if email == ADMIN_EMAIL else f"pw {email.partition('@')[0]}"
    return f"""
[auth.dynamic.openapi.token]
path = "/auth/token"
payload_content_type = "application/x-www-form-urlencoded"
payload = {{ username = "{email}", password = "{password}" }}
extract_selector = "/access_token"
retry_on = [401]
"""


def settings(authentication: str) -> str:
    """Ids that exist come often enough to reach what is behind them."""
    return f"""
{authentication}
[checks]  # all but: a description cannot say everything that is refused, and rights are in test_web_matrix
positive_data_acceptance.enabled = false
object_level_authorization.enabled = false
# The usual ones, and a query of more parameters than are read.
negative_data_rejection.expected-statuses = [400, 401, 403, 404, 405, 406, 409, 414, 415, 422, 428, 429, "5xx"]

[generation]  # a NUL, also under an unknown key, is refused before anything else is looked at: test_web_hostile
allow-x00 = false

[phases.fuzzing]  # ids seen in answers come from outside of what a seed repeats; the ones below are enough
extra-data-sources = {{ responses = false }}

[dictionaries]
facilities = {{ values = ["own", "foreign"] }}
sensors = {{ values = ["own-1", "own-2", "foreign-1"] }}
starts = {{ values = ["2026-01-01 00:00:00", "2026-01-01T00:10"] }}

[parameters]
"path.facility_id" = {{ dictionary = "facilities", probability = 0.7 }}
"query.facility_id" = {{ dictionary = "facilities", probability = 0.7 }}
"path.sensor_id" = {{ dictionary = "sensors", probability = 0.7 }}
"query.start_date" = {{ dictionary = "starts", probability = 0.7 }}

[[operations]]  # says 503 as long as there is no engine
include-path = "/readyz"
checks.not_a_server_error.enabled = false

[[operations]]  # one good spelling is enough, whatever the others hold
include-path = "/auth/refresh-token"
checks.negative_data_rejection.enabled = false

[[operations]]  # to other methods it is /users/{{user_id}}, with an id that is no number
include-path = "/users/me"
checks.unsupported_method.enabled = false
checks.allow_header_conformance.enabled = false
"""
