"""What the address of a database may say, and what becomes of each word of it, for all that connect alike.

    postgresql://user:password@host:port,host:port/database?name=value&…

Services hand out addresses for libpq, the C library of PostgreSQL. Here asyncpg connects, and pg_dump and pg_restore,
which have libpq. `OPTIONS` is what libpq knows (PostgreSQL 18), with `pgbouncer`, which others say of a pooler: each is
honoured, ignored, or refused where ignoring it would make a connection less than was asked for. All else is refused.
Nothing here says a password.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from urllib.parse import quote, unquote, urlencode

SCHEME: Final = re.compile(r"(postgresql|postgres)(\+\w+)?")
PORT: Final = re.compile(r"[0-9]{1,5}")
ENCODE: Final = "in a user, a password or a name write @ as %40, : as %3A, / as %2F, ? as %3F, # as %23, % as %25"
SECRET: Final = ("password", "sslpassword")


class Option(NamedTuple):
    """`since`: the libpq that first knew it; older ones would refuse the whole address. 0: none does."""

    fate: str
    how: str
    allowed: tuple[str, ...] | None = None
    since: int = 1


def _honoured(how: str, *allowed: str, since: int = 1) -> Option:
    return Option("honoured", how, allowed or None, since)


def _ignored(why: str, *allowed: str, since: int = 1) -> Option:
    return Option("ignored", why, allowed or None, since)


def _refused(why: str) -> Option:
    return Option("refused", why)


_NO_BINDING: Final = "asyncpg does not bind the password's proof to TLS; `sslmode=verify-full` says whom it speaks to"
_NO_GSS: Final = "asyncpg encrypts with TLS alone"
_PROGRAMS: Final = "each program says its own, by which a stalled writer is found"
_SOCKET: Final = "set on the connection, as libpq does"

# fmt: off
OPTIONS: Final[Mapping[str, Option]] = {
    "host": _honoured("of several the next is tried when one does not answer; a path is the folder of a Unix socket"),
    "port": _honoured("one for all hosts, or one for each"),
    "dbname": _honoured("as in the path"),
    "user": _honoured("as before the @"),
    "password": _honoured("as before the @"),
    "passfile": _honoured("where the password is looked for"),
    "service": _honoured("a section of the service file"),
    "connect_timeout": _honoured("seconds for each host; 0 and none: 5"),
    "options": _honoured("handed to the server"),
    "target_session_attrs": _honoured("of several hosts `read-write` without it: all programs write",
                                      "any", "read-write", "primary"),
    "keepalives": _honoured(_SOCKET, "0", "1"),
    "keepalives_idle": _honoured(f"{_SOCKET}, in seconds; 5 without it"),
    "keepalives_interval": _honoured(f"{_SOCKET}, in seconds; 2 without it"),
    "keepalives_count": _honoured(f"{_SOCKET}; 3 without it"),
    "tcp_user_timeout": _honoured(f"{_SOCKET}, in milliseconds; 10,000 without it"),
    "sslmode": _honoured("as by libpq", "disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "ssl": _honoured("`ssl=true` is `sslmode=require`", "true", since=0),
    "sslrootcert": _honoured("a file; not `system`"),
    "sslcert": _honoured("a file"),
    "sslkey": _honoured("a file"),
    "sslpassword": _honoured("but not by `backup` and `restore`: pg_dump would show it to all users of the machine"),
    "sslcrl": _honoured("a file"),
    "sslnegotiation": _honoured("as by libpq", "postgres", "direct", since=17),
    "ssl_min_protocol_version": _honoured("as by libpq", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"),
    "ssl_max_protocol_version": _honoured("as by libpq", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"),
    "krbsrvname": _honoured("as by libpq"),
    "gsslib": _honoured("as by libpq", "gssapi"),
    "pgbouncer": _honoured("`true`: this is a pooler; see Behind a pooler", "true", "false", since=0),

    "application_name": _ignored(_PROGRAMS),
    "fallback_application_name": _ignored(_PROGRAMS),
    "client_encoding": _ignored("it is always UTF-8"),
    "channel_binding": _ignored(_NO_BINDING, "disable", "prefer", "require"),
    "gssencmode": _ignored(f"{_NO_GSS}; `require` is refused", "disable", "prefer"),
    "gssdelegation": _ignored("nothing here acts for others", since=17),
    "load_balance_hosts": _ignored("hosts are tried in their order", since=16),
    "sslcompression": _ignored("nobody compresses any more"),
    "sslsni": _ignored("the name of the host is always said"),
    "sslcertmode": _ignored("one is sent when there is one; `require` is refused", "disable", "allow", since=16),
    "sslkeylogfile": _ignored("the environment's SSLKEYLOGFILE does it", since=18),
    "min_protocol_version": _ignored("asyncpg speaks 3.0", "3.0", "latest", since=18),
    "max_protocol_version": _ignored("asyncpg speaks 3.0", since=18),

    "hostaddr": _refused("the address goes into the place of the host"),
    "require_auth": _refused("asyncpg answers however the server asks; `sslmode=verify-full` says which server"),
    "requirepeer": _refused("asyncpg does not ask who serves a Unix socket"),
    "sslcrldir": _refused("asyncpg reads revoked certificates of one file: sslcrl"),
    "gssuser": _refused("asyncpg has no such choice"),
    "scram_client_key": _refused("asyncpg needs the password"),
    "scram_server_key": _refused("asyncpg needs the password"),
    "oauth_issuer": _refused("asyncpg does not know OAuth"),
    "oauth_client_id": _refused("asyncpg does not know OAuth"),
    "oauth_client_secret": _refused("asyncpg does not know OAuth"),
    "oauth_scope": _refused("asyncpg does not know OAuth"),
    "replication": _refused("no program here replicates"),
    "requiressl": _refused("sslmode says it"),
    "authtype": _refused("it means nothing any more"),
    "tty": _refused("it means nothing any more"),
}
# fmt: on
NUMBERS: Final = (
    "connect_timeout",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
)  # fmt: skip
FOR_ASYNCPG: Final = (
    "passfile", "service", "target_session_attrs", "sslmode", "sslrootcert", "sslcert", "sslkey", "sslpassword",
    "sslcrl", "sslnegotiation", "ssl_min_protocol_version", "ssl_max_protocol_version", "krbsrvname", "gsslib",
)  # fmt: skip
"""What asyncpg itself reads in an address; anything else there it would hand to the server as a setting."""


class Host(NamedTuple):
    """`name`: also an address, or the folder of a Unix socket."""

    name: str
    port: int | None


@dataclass(frozen=True)
class DatabaseUrl:
    """An address, understood. What is None or empty is left to the environment, as libpq leaves it (PGUSER, …)."""

    hosts: tuple[Host, ...]
    user: str | None
    password: str | None = field(repr=False)
    database: str | None
    options: Mapping[str, str] = field(repr=False)
    """Without those that are fields of their own."""

    @property
    def is_pooled(self) -> bool:
        return self.options.get("pgbouncer") == "true"

    def number(self, name: str) -> int | None:
        """Of an option that is a number; None when it says what libpq takes for nothing said."""
        said = int(self.options.get(name, "0"))
        return said if said > 0 else None

    def for_asyncpg(self) -> str:
        """The options that asyncpg reads by itself, in an address of nothing else."""
        known = {name: value for name, value in self.options.items() if name in FOR_ASYNCPG}
        return f"postgresql:///?{urlencode(known, quote_via=quote)}" if known else "postgresql:///"

    def for_libpq(self, major: int) -> str:
        """For a program with the libpq of this version; without passwords, which go another way."""
        known = {
            name: value
            for name, value in self.options.items()
            if 0 < OPTIONS[name].since <= major and name not in SECRET
        }
        return self._written(known)

    def without_secrets(self) -> str:
        """To be shown."""
        hidden = {name: "***" if name in SECRET else value for name, value in self.options.items()}
        return self._written(hidden, password="***" if self.password else None)

    def _written(self, options: Mapping[str, str], password: str | None = None) -> str:
        hosts = ",".join(_host_written(host) for host in self.hosts)
        user = quote(self.user, safe="") if self.user is not None else ""
        secret = f":{password}" if password else ""
        at = "@" if user or secret else ""
        database = "" if self.database is None else f"/{quote(self.database, safe='')}"
        query = f"?{urlencode(options, quote_via=quote, safe='/,:*')}" if options else ""
        return f"postgresql://{user}{secret}{at}{hosts}{database}{query}"


def parse(text: str) -> DatabaseUrl:
    """Raises ValueError in words that tell what is wrong and no secret."""
    scheme, is_url, rest = text.strip().partition("://")
    if not is_url or not SCHEME.fullmatch(scheme):
        raise ValueError(
            "must be postgresql://user:password@host:port/database?name=value, and not words of another library"
            " (host=… password=…, jdbc:…, Server=…;Password=…)"
        )
    before, _, query = rest.partition("?")
    authority, _, path = before.partition("/")
    login, _, where = authority.rpartition("@")
    user, _, password = login.partition(":")
    said = {name: _decoded(part) for name, part in (("user", user), ("password", password), ("dbname", path)) if part}
    options = {**said, **_options(query)}
    hosts = _hosts(options.pop("host", None), where, options.pop("port", None))
    if len(hosts) > 1:
        options.setdefault("target_session_attrs", "read-write")
    if options.get("sslnegotiation") == "direct" and options.get("sslmode") not in {
        "require",
        "verify-ca",
        "verify-full",
    }:
        raise ValueError("has sslnegotiation=direct, which needs sslmode=require, verify-ca or verify-full")
    user_name, secret, database = (options.pop(name, None) for name in ("user", "password", "dbname"))
    if options.pop("ssl", None):
        options.setdefault("sslmode", "require")
    return DatabaseUrl(hosts, user_name, secret, database, options)


def _options(query: str) -> dict[str, str]:
    options = {}
    for pair in query.split("&") if query else []:
        name, is_pair, value = pair.partition("=")
        if not is_pair:
            raise ValueError(f"has words after its ? that are no name=value; {ENCODE}")
        options[_decoded(name)] = _decoded(value)
    for name, value in options.items():
        if name not in OPTIONS:
            # with an @ behind it, it may be the second half of a password that has a ?
            shown = f"an option {name}" if re.fullmatch(r"\w{1,40}", name) and "@" not in query else "an option"
            raise ValueError(f"has {shown}, which PostgreSQL's library does not know: take it out; {ENCODE}")
        _check_option(name, value, OPTIONS[name])
    return options


def _check_option(name: str, value: str, option: Option) -> None:
    if option.fate == "refused":
        raise ValueError(f"has {name}, which cannot be honoured: {option.how}")
    if option.allowed is not None and value not in option.allowed:
        raise ValueError(f"has {name} with a value other than {', '.join(option.allowed)}, which is not supported")
    if name in NUMBERS and not re.fullmatch(r"-?[0-9]{1,9}", value):
        raise ValueError(f"has {name}, which must be a whole number")
    if name == "sslrootcert" and value == "system":
        raise ValueError("has sslrootcert=system: name the file, such as /etc/ssl/certs/ca-certificates.crt")


def _hosts(named: str | None, where: str, ports: str | None) -> tuple[Host, ...]:
    """From the option `host`, which is decoded already, or from what stands after the @."""
    if named is not None:
        names = [(name, "") for name in named.split(",")]
    else:
        names = [_name_and_port(part) for part in where.split(",")] if where else []
    given = [port for _, port in names] if ports is None else ports.split(",")
    if len(given) == 1:
        given *= len(names)
    if names and len(given) != len(names):
        raise ValueError(f"has {len(given)} ports for {len(names)} hosts")
    if not names and ports is not None:
        names, given = [("localhost", "")], given[:1]
    return tuple(Host(_host(name), _port(port)) for (name, _), port in zip(names, given, strict=True))


def _host(name: str) -> str:
    """Checked here, for what cannot be a name is no outage, and would end a program when it connects."""
    try:
        name.encode("utf-8" if name.startswith("/") else "idna")
    except UnicodeError:
        raise ValueError(f"has a host that cannot be one; {ENCODE}") from None
    return name or "localhost"


def _name_and_port(part: str) -> tuple[str, str]:
    if part.startswith("["):
        name, is_closed, rest = part[1:].partition("]")
        if not is_closed:
            raise ValueError("has a [ before a host and no ] behind it")
        return name, rest.removeprefix(":")
    name, _, port = part.partition(":")
    return _decoded(name), port


def _port(text: str) -> int | None:
    if not text:
        return None
    if not PORT.fullmatch(text) or not 0 < int(text) < 65536:
        raise ValueError(f"has a port that is no number from 1 to 65535; {ENCODE}")
    return int(text)


def _decoded(text: str) -> str:
    try:
        decoded = unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise ValueError(f"has bytes in % that are no UTF-8; {ENCODE}") from None
    if "\0" in decoded:
        raise ValueError("has a zero byte (%00), which no part of it may have")
    return decoded


def _host_written(host: Host) -> str:
    name = f"[{host.name}]" if ":" in host.name else quote(host.name, safe="")
    return name if host.port is None else f"{name}:{host.port}"
