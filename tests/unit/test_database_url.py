"""DATABASE_URL as services hand it out: every word that libpq knows has its fate, and no secret is told."""

from __future__ import annotations

import asyncio
import re
import traceback
from pathlib import Path
from typing import Any

import pytest
from asyncpg import connect_utils

from engine.commands.settings import effective
from engine.database_url import FOR_ASYNCPG, OPTIONS, Host, parse
from engine.errors import SettingsError
from engine.historian import connecting
from engine.settings import Settings, load_settings

ROOT = Path(__file__).resolve().parents[2]
SECRET = "hunter2"
VALUES = {
    **dict.fromkeys(("connect_timeout", "keepalives_idle", "keepalives_interval", "keepalives_count"), "7"),
    "tcp_user_timeout": "7000",
    "sslnegotiation": "postgres",
    "passfile": "/nowhere",
    "service": "s",
    "port": "5432",
    "krbsrvname": "postgres",
    "options": "-c geqo=off",
}
REAL = [
    "postgresql://neondb_owner:npg_x@ep-a-1-pooler.eu-central-1.aws.neon.tech/neondb?sslmode=require&channel_binding=require",
    "postgres://postgres.ref:p@aws-0-eu-central-1.pooler.supabase.com:5432/postgres",
    "postgresql://doadmin:p@db-do-user-1-0.b.db.ondigitalocean.com:25060/defaultdb?sslmode=require",
    "postgres://avnadmin:p@pg-1.aivencloud.com:12691/defaultdb?sslmode=require",
    "postgres://app%40srv:p%40ss@srv.postgres.database.azure.com:5432/db?sslmode=verify-full&sslrootcert=/etc/ca.crt",
    "postgresql://user:p@/db?host=/cloudsql/project:region:instance",
    "postgresql://%2Fvar%2Frun%2Fpostgresql/db",
    "postgresql://u:p@a.example,b.example:5433/db?target_session_attrs=read-write&connect_timeout=10",
    "postgresql+asyncpg://u:p@h/db",
    "postgresql+psycopg://u:p@h/db?keepalives=1&keepalives_idle=30&keepalives_interval=10&keepalives_count=5",
    "postgresql://u:p@h/db?gssencmode=disable&application_name=app&options=-c%20search_path%3Dpublic",
    "postgresql://u:p@h/db?ssl=true",
]


@pytest.mark.parametrize("url", REAL)
def test_addresses_of_real_services_are_understood(url: str) -> None:
    assert load_settings(database_url=url, data_dir=Path()).database_url == re.sub(
        r"^postgres\w*(\+\w+)?:", "postgresql:", url
    )


def test_what_stands_where() -> None:
    read = parse("postgresql://u%40x:p%3Aw%25@[::1]:5433,h,%2Frun%2Fpg:6/d%2Fb?sslmode=require&sslmode=disable")
    assert read.hosts == (Host("::1", 5433), Host("h", None), Host("/run/pg", 6))
    assert (read.user, read.password, read.database) == ("u@x", "p:w%", "d/b")
    assert read.options == {"sslmode": "disable", "target_session_attrs": "read-write"}
    named = parse("postgresql://a:b@c/d?host=e,f&port=7&user=g&password=h&dbname=i&ssl=true")
    assert (named.hosts, named.user, named.password, named.database) == ((Host("e", 7), Host("f", 7)), "g", "h", "i")
    assert named.options["sslmode"] == "require"
    assert parse("postgresql://").hosts == ()
    assert parse("postgresql://u:a@b#c@h/d").password == "a@b#c"


def example(name: str) -> str:
    option = OPTIONS[name]
    value = option.allowed[0] if option.allowed else VALUES.get(name, "x")
    return f"postgresql://u:{SECRET}@h/d?{name}={value}"


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_has_its_fate(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if OPTIONS[name].fate == "refused":
        with pytest.raises(ValueError, match=f"^has {name}, which cannot be honoured: "):
            parse(example(name))
        return
    asked: dict[str, Any] = {}

    async def connect(dsn: str, **given: Any) -> None:
        asked.update(given, dsn=dsn)
        raise ConnectionRefusedError

    monkeypatch.setattr("asyncpg.connect", connect)
    with pytest.raises(ConnectionRefusedError):
        asyncio.run(connecting.connect(example(name)))
    of_the_server = {} if name == "pgbouncer" else connecting.OF_THE_SERVER
    expected = {"jit": "off", **of_the_server} | ({"options": VALUES["options"]} if name == "options" else {})
    assert asked["server_settings"] == expected, "asyncpg makes settings of the server of what it does not know"
    assert (f"{name}=" in asked["dsn"]) is (name in FOR_ASYNCPG)
    arguments = {key: asked.get(key) for key in ("host", "port", "user", "password", "database")}
    others = ("passfile", "ssl", "service", "servicefile", "direct_tls", "target_session_attrs", "krbsrvname", "gsslib")
    if name not in {"sslrootcert", "sslcert", "sslcrl"}:  # read there and then
        _, understood = connect_utils._parse_connect_dsn_and_args(
            dsn=asked["dsn"], server_settings=None, **arguments, **dict.fromkeys(others)
        )
        assert understood.server_settings is None


def test_values_that_cannot_be_honoured_are_refused() -> None:
    for pair in (
        "gssencmode=require",
        "channel_binding=maybe",
        "sslcertmode=require",
        "target_session_attrs=standby",
        "sslmode=no-verify",
        "sslrootcert=system",
        "connect_timeout=soon",
        "keepalives_idle=1.5",
        "pgbouncer=1",
        "ssl=require",
        "port=0",
        "port=65536",
        "port=1,2",
        "nothing",
        "connection_limit=5",
        "SSLMODE=require",
        "sslnegotiation=direct",
        "sslnegotiation=direct&sslmode=prefer",
        "dbname=%00",
    ):
        with pytest.raises(ValueError, match=r"^has "):
            parse(f"postgresql://u:{SECRET}@h/d?{pair}")
    assert parse("postgresql://h:65535/d?connect_timeout=0").number("connect_timeout") is None
    assert parse("postgresql://h:1/d?connect_timeout=-1").number("connect_timeout") is None
    assert parse("postgresql://h/d?connect_timeout=1").number("connect_timeout") == 1


WRONG = [
    f"host=h user=u password={SECRET}",
    f"jdbc:postgresql://h/d?user=u&password={SECRET}",
    f"Server=h;Database=d;User Id=u;Password={SECRET};",
    f"mysql://u:{SECRET}@h/d",
    f"u:{SECRET}@h/d",
    f"postgresql://u:{SECRET}/x@h/d",
    f"postgresql://u:{SECRET}?x@h/d",
    f"postgresql://u:x?{SECRET}=y@h/d",
    f"postgresql://u:{SECRET}%ff@h/d",
    f"postgresql://u:x@h:{SECRET}/d",
    f"postgresql://u:x@h/d?sslmode={SECRET}",
    f"postgresql://u:{SECRET}@h/d?unheard_of=1",
    f"postgresql://u:{SECRET}@h/d?replication=true",
    f"postgresql://u:{SECRET}@h/d?pgbouncer=true",
    f"postgresql://u:{SECRET}@[::1/d",
    f"postgresql://u:{SECRET}@h..x/d",
    f"postgresql://u:{SECRET}@{'x' * 64}.example/d",
    f"postgresql://u:{SECRET}%00@h/d",
]


@pytest.mark.parametrize("url", WRONG)
@pytest.mark.parametrize("name", ["database_url", "database_direct_url"])
def test_what_is_wrong_is_a_sentence_without_the_secret(name: str, url: str) -> None:
    given = {name: url} if name == "database_url" else {name: url, "database_url": "postgresql://h/d"}
    with pytest.raises(SettingsError) as refused:
        load_settings(**given)
    said = str(refused.value)
    assert name.upper() in said and "\n" not in said
    assert SECRET not in "".join(traceback.format_exception(refused.value))


def test_a_pooler_needs_postgresql_beside_it() -> None:
    pooled, direct = "postgresql://u:p@pool/d?pgbouncer=true", "postgresql://u:p@db/d"
    for given, said in (
        ({"database_url": pooled}, "set DATABASE_DIRECT_URL to PostgreSQL itself"),
        ({"database_url": pooled, "database_direct_url": pooled}, "DATABASE_DIRECT_URL says pgbouncer=true"),
        ({"database_direct_url": direct}, "DATABASE_DIRECT_URL is set without DATABASE_URL"),
    ):
        with pytest.raises(SettingsError, match=said):
            load_settings(**given)
    both = load_settings(database_url=pooled, database_direct_url=direct)
    assert (both.database_url, both.postgresql_url) == (pooled, direct)
    assert load_settings(database_url=direct).postgresql_url == direct


def test_addresses_are_shown_without_secrets(tmp_path: Path) -> None:
    url = f"postgresql://u:a/{SECRET}@x@h/d?sslpassword={SECRET}&password={SECRET}".replace("a/", "a")
    shown = {each.setting: each.value for each in effective({"database_url": url, "data_dir": tmp_path})}
    assert shown["DATABASE_URL"] == "postgresql://u:***@h/d?sslpassword=***"
    assert SECRET not in repr(parse(url)) and SECRET not in parse(url).for_libpq(18)


def test_nobody_else_connects() -> None:
    """What an address says is read in one place."""
    found = [
        path.relative_to(ROOT)
        for package in ("engine", "web", "migrations")
        for path in sorted((ROOT / package).rglob("*.py"))
        if re.search(r"asyncpg\.(connect|create_pool)\(", path.read_text())
    ]
    assert found == [Path("engine/historian/connecting.py")]


def test_each_host_has_its_time_and_the_next_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, float]] = []

    async def connect(_: str, *, host: str, timeout: float, **__: Any) -> None:
        asked.append((host, timeout))
        raise {"a": TimeoutError(), "b": ConnectionRefusedError("refused"), "c": OSError("no route")}[host]

    monkeypatch.setattr("asyncpg.connect", connect)
    with pytest.raises(ConnectionError, match="a: it does not answer; b: refused; c: no route"):
        asyncio.run(connecting.connect("postgresql://a,b,c/d?connect_timeout=3"))
    assert asked == [("a", 3), ("b", 3), ("c", 3)]
    assert connecting.connect_s_max("postgresql://a,b,c/d?connect_timeout=3") == 9
    assert connecting.connect_s_max("postgresql:///d") == connecting.CONNECT_S_MAX


def test_a_wrong_password_is_not_tried_on_the_next_host(monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncpg

    async def connect(_: str, **__: Any) -> None:
        raise asyncpg.InvalidPasswordError("wrong")

    monkeypatch.setattr("asyncpg.connect", connect)
    with pytest.raises(asyncpg.InvalidPasswordError):
        asyncio.run(connecting.connect("postgresql://a,b/d"))


def test_settings_keep_secrets_out_of_what_pydantic_says() -> None:
    with pytest.raises(ValueError) as refused:
        Settings(_env_file=None, database_url=f"host=h password={SECRET}")
    assert SECRET not in str(refused.value)
