"""Libraries that may not spread: each with the folders and files that may import it."""

from __future__ import annotations

from typing import Final

ONLY_IN: Final[dict[str, tuple[str, ...]]] = {
    "ray": (
        "engine.bus.actor",
        "engine.facility.actor",
        "engine.historian.actor",
        "engine.placement.ray_nodes",
        "engine.cluster",
    ),
    "asyncpg": (
        "engine.historian",
        "engine.imports.storing",
        "migrations.upgrade",
        "web.database",
        "web.history.grid_readings",
        "web.auth.sessions",
        "web.api",
    ),
    "sqlalchemy": ("engine.historian.schema", "migrations"),
    "alembic": ("migrations", "migrations.versions"),
    "sqlite3": ("engine.local_bus.store",),
    "azure": ("engine.bus.service_bus", "engine.bus.queue_lengths", "engine.hub.simulator"),
    "polars": ("engine.offline", "engine.exports", "engine.imports", "engine.notebook", "engine.client.frames"),
    "quart": ("web.app", "web.api", "web.serving", "web.edge.requests"),
    "hypercorn": ("web.edge",),
    "typer": ("engine.commands.cli",),
    "rich": ("engine.commands",),
}
