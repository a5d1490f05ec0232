"""Every setting once: read from the environment and `.env`, checked at start, unit in the name.

Names that existing installations use (`DATABASE_URL`, `SECRET_KEY`, …) are fixed by the wire contract; the rest follow
the same style. `docs/operations.md` carries the table; a test compares the two.
"""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

import native
from engine.database_url import parse
from engine.errors import SettingsError
from engine.printable import control_in
from engine.retention import DAYS_MAX, LOG_DAYS, Retention, days_by_type
from engine.secrecy import KEY_ADVICE, PASSWORD_CHARACTERS_MIN, weakness_of_key
from engine.turning_log import LogLimits

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


PRIVATE_RAY: Final = "local"
"""RAY_ADDRESS of an engine that starts a Ray of its own."""
TICK_GAP_TICKS: Final = 2
"""Between two of them the core counts no more silence than so many: beyond that it was we who were away."""


class Settings(BaseSettings):
    """All processes read the same settings; each uses its part."""

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", extra="ignore", frozen=True, hide_input_in_errors=True
    )

    environment: Literal["development", "production"] = Field(
        "development", description="production refuses to start on missing, short or well-known secrets"
    )
    data_dir: Path = Field(
        Path(".gasinsight"), description="embedded PostgreSQL, local bus, generated secrets and logs live here"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="lowest level that is logged")
    log_format: Literal["json", "text"] = Field("json", description="one JSON object a line, or text for people")

    log_bytes_max: int = Field(
        16 * 1024 * 1024, ge=65_536, description="a log file of the data folder that would grow larger is turned over"
    )
    log_files_kept: int = Field(3, ge=1, le=100, description="older files that are kept of each log")

    # PostgreSQL
    database_url: str | None = Field(
        None, description="postgresql://user:password@host/database; none: the embedded PostgreSQL"
    )
    database_direct_url: str | None = Field(
        None, description="PostgreSQL itself, where DATABASE_URL leads to a pooler (pgbouncer=true)"
    )
    database_connections_max: int = Field(8, ge=2, le=200, description="connections of one process' pool")
    statement_timeout_s: float = Field(30.0, gt=0, description="longest statement of the web server")
    commit_timeout_s: float = Field(30.0, gt=0, description="longest group commit before its outcome is unknown")

    # Service Bus
    servicebus_connection_string: SecretStr | None = Field(
        None, description="Azure Service Bus or the local bus; none: the local bus"
    )
    facility_setup_queue: str = Field("facility-setup-queue", description="queue of facility setups")
    sensor_activation_queue: str = Field("sensor-activation-queue", description="queue of sensor activations")
    sensor_data_queue: str = Field("sensor-data-queue", description="queue of readings")
    sensor_deactivation_queue: str = Field("sensor-deactivation-queue", description="queue of sensor deactivations")
    bus_port: int = Field(5672, ge=1, le=65535, description="loopback port of the local bus")
    receive_messages_max: int = Field(500, ge=1, le=2000, description="messages a reader takes at once")
    receive_wait_s_max: float = Field(5.0, gt=0, description="how long a reader waits for a first message")
    receive_silence_s_max: float = Field(90.0, gt=0, description="a receiver silent longer is replaced (watchdog)")

    # Engine
    ray_address: str | None = Field(
        None, description="host:port of an existing Ray cluster; local (in development also none): a private Ray"
    )
    facilities_per_actor: int = Field(
        1, ge=1, le=10_000, description="facilities that share one actor process at least"
    )
    historian_actors: int = Field(1, ge=1, le=16, description="actors that write to PostgreSQL")
    group_commit_wait_ms: float = Field(3.0, ge=0, le=1000, description="how long a commit waits for its neighbours")
    checkpoint_s_max: float = Field(60.0, gt=0, description="longest time between two checkpoints of a facility")
    checkpoint_readings_max: int = Field(50_000, ge=1, description="most readings between two checkpoints")
    tick_s: float = Field(
        10.0,
        gt=0,
        le=native.SETTING_MAX / TICK_GAP_TICKS,
        description="how often time itself is told to the facilities",
    )
    future_s_max: float = Field(
        300.0,
        ge=0,
        le=native.SETTING_MAX,
        description="what is stamped further ahead of its receipt is set aside",
    )
    late_alarm_s_max: float = Field(
        300.0, ge=0, le=native.SETTING_MAX, description="a late violation younger than this still annunciates"
    )
    stale_intervals: float = Field(
        5.0, gt=1, le=native.SETTING_MAX, description="expected intervals of silence until a sensor is stale"
    )
    stale_s_min: float = Field(60.0, gt=0, le=native.SETTING_MAX, description="shortest silence that counts as stale")
    shelve_s_max: float = Field(
        28_800.0, gt=0, le=native.SETTING_MAX, description="longest time for which an alarm may be shelved"
    )
    parked_days_max: float = Field(7.0, gt=0, description="parked input older than this becomes a dead letter")
    retention_days: int = Field(400, ge=1, le=DAYS_MAX, description="days of readings that are kept")
    retention_days_by_type: str = Field(
        "", description="comma-separated types of sensors with days of their own, as GasDetection=3650,Vibration=90"
    )
    replay_days: int = Field(
        LOG_DAYS, ge=0, le=DAYS_MAX, description="days that can be replayed: their commit log is kept; 0: none"
    )
    minute_rollups_days: int | None = Field(
        None, ge=1, le=DAYS_MAX, description="days of rollups of a minute that are kept; none: all"
    )
    hour_rollups_days: int | None = Field(
        None, ge=1, le=DAYS_MAX, description="days of rollups of an hour that are kept; none: all"
    )
    day_rollups_days: int | None = Field(
        None, ge=1, le=DAYS_MAX, description="days of rollups of a day that are kept; none: all"
    )

    # What a sender on the bus may make
    facilities_max: int = Field(1_000, ge=1, description="facilities; setups of more are refused")
    sensors_per_facility_max: int = Field(
        10_000, ge=1, description="sensors of one facility; activations of more are refused"
    )
    sensors_max: int = Field(100_000, ge=1, description="sensors in all; activations of more are refused")
    parked_per_facility_max: int = Field(100_000, ge=1, description="parked rows of one facility; more are refused")
    parked_max: int = Field(1_000_000, ge=1, description="parked rows in all; more are refused")
    dead_letters_max: int = Field(100_000, ge=1, description="dead letters in the database; the oldest go")
    dead_letters_days_max: float = Field(90.0, gt=0, description="dead letters older than this go")

    # Notifications
    notification_key: SecretStr | None = Field(
        None,
        description="seals what notification channels keep secret and signs their links; at least 32 characters in"
        " production; none: in development a random one",
    )
    notification_networks: str = Field(
        "",
        description="comma-separated private networks that notifications may be sent to, as 10.0.0.0/8; public"
        " addresses always may",
    )
    public_url: str | None = Field(
        None, description="where people reach this server, for the links in notifications; none: no links"
    )

    # Web
    web_host: str = Field("127.0.0.1", description="address the web server listens on")
    web_port: int = Field(8000, ge=1, le=65535, description="port the web server listens on")
    web_processes: int = Field(1, ge=1, le=64, description="web server processes")
    cors_origins: str = Field("*", description="comma-separated origins that may call the API; * admits any")
    trusted_proxies: str = Field(
        "", description="comma-separated addresses or networks of proxies whose X-Forwarded-For and -Proto count"
    )
    secret_key: SecretStr | None = Field(None, description="signs tokens; at least 32 characters in production")
    secret_key_also_accepted: SecretStr | None = Field(
        None, description="a second key whose tokens are good, while SECRET_KEY is changed"
    )
    algorithm: Literal["HS256", "HS384", "HS512", "EdDSA"] = Field(
        "HS256", description="how tokens are signed; EdDSA: with SIGNING_KEYS instead of SECRET_KEY"
    )
    signing_keys: str = Field(
        "",
        description="comma-separated PEM files of Ed25519 keys; the first signs (EdDSA), the tokens of all are good",
    )
    access_token_expire_minutes: float = Field(300, gt=0, description="life of an access token")
    refresh_token_expire_days: float = Field(30, gt=0, description="life of a refresh token")
    refresh_reuse_s: float = Field(30, ge=0, description="a used refresh token answers with the same pair this long")
    admin_email: str = Field("admin@example.com", description="e-mail address of the first admin")
    admin_password: SecretStr | None = Field(None, description="of the first admin; none: a random one, shown once")
    password_characters_min: int | None = Field(
        None,
        ge=1,
        le=128,
        description="fewest characters of a new password, which must not be a common one then; none: 8 in production,"
        " any in development",
    )
    rate_limit_per_s: float = Field(
        500, ge=0, description="requests of one caller that each web process answers in the long run; 0: any number"
    )
    rate_limit_burst: int = Field(10_000, ge=1, description="requests of one caller that it answers at once")
    large_answers_per_caller_max: int = Field(
        8, ge=1, description="answers of more than 1,000 rows that are under way to one caller in one web process"
    )
    answer_bytes_per_caller_max: int = Field(
        16_777_216, ge=1_048_576, description="bytes that one web process holds for one caller who has not taken them"
    )
    websockets_per_caller_max: int = Field(
        5_000, ge=1, description="open websockets of one user or key in one web process"
    )
    websockets_max: int = Field(10_000, ge=1, description="open websockets in one web process")
    oidc_issuer: str | None = Field(
        None, description="OpenID Connect provider for single sign-on, as it names itself; none: off"
    )
    oidc_client_id: str | None = Field(None, description="how the provider knows this server")
    oidc_client_secret: SecretStr | None = Field(None, description="what proves it to the provider")
    oidc_redirect_url: str | None = Field(
        None, description="public address of /auth/oidc/callback, as registered at the provider"
    )
    oidc_front_end_url: str | None = Field(
        None, description="page of the front end that single sign-on ends at, with #code=…"
    )
    body_bytes_max: int = Field(1_048_576, ge=1024, description="largest request body, where a route reads no less")
    exports_mb_max: int = Field(10_000, ge=1, description="room of all exports that are kept in DATA_DIR/exports")

    @field_validator("database_url", "database_direct_url")
    @classmethod
    def _plain_scheme(cls, url: str | None) -> str | None:
        """Refuse what cannot be understood; store the plain scheme, whatever library the address was made for."""
        if not url:
            return None
        parse(url)
        return f"postgresql://{url.strip().partition('://')[2]}"

    @model_validator(mode="after")
    def _pooler_beside_postgresql(self) -> Settings:
        """What belongs to a session (leading, listening, a lock) and pg_dump need PostgreSQL itself."""
        direct = self.database_direct_url
        if direct is None and self.database_url and parse(self.database_url).is_pooled:
            raise ValueError("DATABASE_URL says pgbouncer=true: set DATABASE_DIRECT_URL to PostgreSQL itself as well")
        if direct is not None and parse(direct).is_pooled:
            raise ValueError("DATABASE_DIRECT_URL says pgbouncer=true: it must lead to PostgreSQL itself")
        if direct is not None and self.database_url is None:
            raise ValueError("DATABASE_DIRECT_URL is set without DATABASE_URL: without a pooler set that one")
        return self

    @field_validator(
        "servicebus_connection_string",
        "secret_key",
        "secret_key_also_accepted",
        "notification_key",
        "public_url",
        "admin_password",
        "password_characters_min",
        "ray_address",
        "minute_rollups_days",
        "hour_rollups_days",
        "day_rollups_days",
        mode="before",
    )
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        """`KEY=` in a `.env` means: not set."""
        return None if value == "" else value

    @field_validator("retention_days_by_type")
    @classmethod
    def _days_of_types(cls, text: str) -> str:
        days_by_type(text)
        return text

    @model_validator(mode="after")
    def _wider_stays_longer(self) -> Settings:
        if contradiction := self.retention.contradiction():
            raise ValueError(
                f"MINUTE_ROLLUPS_DAYS, HOUR_ROLLUPS_DAYS or DAY_ROLLUPS_DAYS is too short: {contradiction}"
            )
        return self

    @model_validator(mode="after")
    def _key_of_notifications(self) -> Settings:
        key = None if self.notification_key is None else self.notification_key.get_secret_value()
        if key is not None and self.environment != "development" and (weakness := weakness_of_key(key)):
            raise ValueError(f"NOTIFICATION_KEY has {weakness} in production: {KEY_ADVICE}")
        return self

    @field_validator("admin_email")
    @classmethod
    def _readable(cls, text: str) -> str:
        if control := control_in(text):
            raise ValueError(f"must hold no control characters, holds {control}")
        return text

    @field_validator("public_url")
    @classmethod
    def _web_address(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("must be an address such as https://gas.example.com")
        return url.rstrip("/")

    @field_validator("trusted_proxies", "notification_networks")
    @classmethod
    def _networks(cls, text: str) -> str:
        for part in _parts(text):
            try:
                ipaddress.ip_network(part)
            except ValueError as error:
                raise ValueError(f"must hold addresses or networks such as 10.0.0.0/8 ({error})") from error
        return text

    @field_validator("ray_address")
    @classmethod
    def _address_of_ray(cls, address: str | None) -> str | None:
        """host:port or `local`; a word that Ray would understand as something else starts nothing by accident."""
        if address is None or address == PRIVATE_RAY:
            return address
        if address.startswith("ray://"):
            raise ValueError(
                f"{address} is the Ray client's protocol, which the engine does not speak; give the host:port of the"
                " cluster's head (its GCS port, 6379 by default) and run on a machine that is a node of the cluster"
            )
        host, _, port = address.rpartition(":")
        if not host or "/" in host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise ValueError(
                f"must be the host:port of the Ray cluster's head, or local for a private Ray (got {address})"
            )
        return address

    @property
    def log_limits(self) -> LogLimits:
        """Of each log file in the data folder."""
        return LogLimits(self.log_bytes_max, self.log_files_kept)

    @property
    def postgresql_url(self) -> str | None:
        """Where a connection may keep something from one statement to the next."""
        return self.database_direct_url or self.database_url

    @property
    def new_password_characters_min(self) -> int | None:
        """Fewest characters of a password that somebody sets; None: any password is taken."""
        if self.password_characters_min is not None or self.environment == "development":
            return self.password_characters_min
        return PASSWORD_CHARACTERS_MIN

    @property
    def retention(self) -> Retention:
        """How long readings and rollups are kept."""
        rollups = {60: self.minute_rollups_days, 3600: self.hour_rollups_days, 86_400: self.day_rollups_days}
        given = {width_s: days for width_s, days in rollups.items() if days is not None}
        return Retention(self.retention_days, days_by_type(self.retention_days_by_type), given, self.replay_days)

    @property
    def proxy_networks(self) -> tuple[Network, ...]:
        """`trusted_proxies` as networks."""
        return tuple(ipaddress.ip_network(part) for part in _parts(self.trusted_proxies))

    @property
    def networks_of_notifications(self) -> tuple[Network, ...]:
        """`notification_networks` as networks."""
        return tuple(ipaddress.ip_network(part) for part in _parts(self.notification_networks))

    @property
    def origins(self) -> frozenset[str]:
        """`cors_origins`, each by itself."""
        return frozenset(_parts(self.cors_origins))

    @property
    def admits_any_origin(self) -> bool:
        return "*" in self.origins

    @property
    def ray_is_private(self) -> bool:
        """Whether the engine starts a Ray of its own."""
        return self.ray_address in {None, PRIVATE_RAY}

    @property
    def queues(self) -> dict[str, str]:
        """Queue names by what they carry."""
        return {
            "setup": self.facility_setup_queue,
            "activation": self.sensor_activation_queue,
            "data": self.sensor_data_queue,
            "deactivation": self.sensor_deactivation_queue,
        }


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def secrets_dir() -> str | None:
    """A folder with one file a setting, named like it: SECRETS_DIR, else where systemd puts a service's credentials."""
    folder = os.environ.get("SECRETS_DIR") or os.environ.get("CREDENTIALS_DIRECTORY")
    if folder and not Path(folder).is_dir():
        raise SettingsError(f"SECRETS_DIR is {folder}, which is no folder; mount the secrets there, or unset it")
    return folder or None


def load_settings(**overrides: object) -> Settings:
    """Settings from `overrides`, environment, `.env`, and files of secrets, the first that names one; raises
    SettingsError that names each bad variable.
    """
    try:
        return Settings(_secrets_dir=secrets_dir(), **overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        lines = [_told(str(item["loc"][0]) if item["loc"] else "", item["msg"]) for item in error.errors()]
        raise SettingsError("these settings are not usable: " + "; ".join(lines)) from error
    except (OSError, ValueError) as error:  # of `.env` or a file of a secret
        raise SettingsError(f"the settings cannot be read: {error}") from error


def _told(name: str, what: str) -> str:
    what = what.removeprefix("Value error, ")
    return f"{name.upper()}: {what}" if name else what
