"""Every setting once: read from the environment and `.env`, checked at start, unit in the name.

Names that existing installations use (`DATABASE_URL`, `SECRET_KEY`, …) are fixed by the wire contract; the rest follow
the same style. `docs/operations.md` carries the table; a test compares the two.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from engine.errors import SettingsError


class Settings(BaseSettings):
    """All processes read the same settings; each uses its part."""

    model_config = SettingsConfigDict(env_file=".env", env_file_encoding="utf-8", extra="ignore", frozen=True)

    environment: Literal["development", "production"] = Field(
        "development", description="production refuses to start on missing, short or well-known secrets"
    )
    data_dir: Path = Field(
        Path(".gasinsight"), description="embedded PostgreSQL, local bus, generated secrets and logs live here"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="lowest level that is logged")
    log_format: Literal["json", "text"] = Field("json", description="one JSON object a line, or text for people")

    # PostgreSQL
    database_url: str | None = Field(
        None, description="postgresql://user:password@host/database; none: the embedded PostgreSQL"
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
    ray_address: str | None = Field(None, description="an existing Ray cluster; none: a private Ray on this machine")
    facilities_per_actor: int = Field(1, ge=1, le=10_000, description="facilities that share one actor process")
    historian_actors: int = Field(1, ge=1, le=16, description="actors that write to PostgreSQL")
    group_commit_wait_ms: float = Field(3.0, ge=0, le=1000, description="how long a commit waits for its neighbours")
    checkpoint_s_max: float = Field(60.0, gt=0, description="longest time between two checkpoints of a facility")
    checkpoint_readings_max: int = Field(50_000, ge=1, description="most readings between two checkpoints")
    tick_s: float = Field(10.0, gt=0, description="how often time itself is told to the facilities")
    future_s_max: float = Field(300.0, ge=0, description="a reading further ahead of its receipt is set aside")
    late_alarm_s_max: float = Field(300.0, ge=0, description="a late violation younger than this still annunciates")
    stale_intervals: float = Field(5.0, gt=1, description="expected intervals of silence until a sensor is stale")
    stale_s_min: float = Field(60.0, gt=0, description="shortest silence that counts as stale")
    parked_days_max: float = Field(7.0, gt=0, description="parked input older than this becomes a dead letter")
    retention_days: int = Field(400, ge=1, description="days of readings that are kept")

    # Web
    web_host: str = Field("127.0.0.1", description="address the web server listens on")
    web_port: int = Field(8000, ge=1, le=65535, description="port the web server listens on")
    web_processes: int = Field(1, ge=1, le=64, description="web server processes")
    cors_origins: str = Field("*", description="comma-separated origins that may call the API; * admits any")
    secret_key: SecretStr | None = Field(None, description="signs tokens; at least 32 characters in production")
    algorithm: Literal["HS256", "HS384", "HS512"] = Field("HS256", description="how tokens are signed")
    access_token_expire_minutes: float = Field(300, gt=0, description="life of an access token")
    refresh_token_expire_days: float = Field(30, gt=0, description="life of a refresh token")
    refresh_reuse_s: float = Field(30, ge=0, description="a used refresh token answers with the same pair this long")
    admin_email: str = Field("admin@example.com", description="e-mail address of the first admin")
    admin_password: SecretStr | None = Field(None, description="of the first admin; none: a random one, shown once")
    body_bytes_max: int = Field(1_048_576, ge=1024, description="largest request body")

    @field_validator("database_url")
    @classmethod
    def _plain_scheme(cls, url: str | None) -> str | None:
        """Accept the older `postgresql+asyncpg://` spelling and store the plain one."""
        if not url:
            return None
        scheme, separator, rest = url.partition("://")
        if not separator or scheme not in {"postgresql", "postgres", "postgresql+asyncpg"}:
            raise ValueError(f"must start with postgresql:// (got {scheme!r})")
        return f"postgresql://{rest}"

    @field_validator("servicebus_connection_string", "secret_key", "admin_password", "ray_address", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        """`KEY=` in a `.env` means: not set."""
        return None if value == "" else value

    @property
    def queues(self) -> dict[str, str]:
        """Queue names by what they carry."""
        return {
            "setup": self.facility_setup_queue,
            "activation": self.sensor_activation_queue,
            "data": self.sensor_data_queue,
            "deactivation": self.sensor_deactivation_queue,
        }


def load_settings(**overrides: object) -> Settings:
    """Settings from environment, `.env` and `overrides`; raises SettingsError that names each bad variable."""
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        lines = [f"{str(item['loc'][0]).upper()}: {item['msg']}" for item in error.errors()]
        raise SettingsError("these settings are not usable: " + "; ".join(lines)) from error
