"""Structured logs: one event a line, as JSON for machines or as text for people. Every process calls it once."""

from __future__ import annotations

import logging
import sys
from typing import Any, TextIO

import structlog

from engine.settings import Settings


def configure_logging(settings: Settings, component: str, stream: TextIO | None = None) -> None:
    """Send our events and the libraries' warnings to `stream` (default: standard error), marked with `component`."""
    target = stream if stream is not None else sys.stderr
    level = logging.getLevelNamesMapping()[settings.log_level]
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    as_json = settings.log_format == "json"
    rendering: list[Any] = (
        [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer()]
        if as_json
        else [structlog.dev.ConsoleRenderer(colors=target.isatty())]
    )
    structlog.configure(
        processors=[*shared, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(target),
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.bind_contextvars(component=component)
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(level, logging.WARNING), force=True)


def open_actor_log(settings: Settings) -> TextIO | None:
    """Where actors log: beside the engine's log on this machine; on somebody else's Ray its own log files (None)."""
    if settings.ray_address is not None:
        return None
    path = settings.data_dir / "logs" / "engine-actors.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("a", encoding="utf-8", buffering=1)
