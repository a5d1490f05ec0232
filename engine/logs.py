"""Structured logs: one event a line, as JSON for machines or as text for people. Every process calls it once."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import threading
from collections.abc import MutableMapping
from typing import Any, Final, TextIO, cast

import structlog

from engine.printable import escaped, escaped_lines
from engine.settings import Settings
from engine.turning_log import TurningLog

# Without local variables: those hold passwords and tokens.
TRACEBACKS: Final = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
)


_OF_LINES: Final = ("exception", "stack")


def configure_logging(settings: Settings, component: str, stream: TextIO | None = None) -> None:
    """Send our events and the libraries' warnings to `stream` (default: standard error), marked with `component`."""
    target = _Unfailing(stream if stream is not None else sys.stderr)
    level = logging.getLevelNamesMapping()[settings.log_level]
    shared: list[Any] = [
        lambda _, __, event: {**event, "component": component},
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    as_json = settings.log_format == "json"
    rendering: list[Any] = (
        [TRACEBACKS, structlog.processors.JSONRenderer()]
        if as_json
        else [_shown, structlog.dev.ConsoleRenderer(colors=target.isatty(), exception_formatter=_shown_traceback)]
    )
    structlog.configure(
        processors=[*shared, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", target)),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(cast("TextIO", target))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(level, logging.WARNING), force=True)


def _shown(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """What a terminal would obey as escapes; values that are no text are shown by `repr`, which does the same."""
    return {name: _shown_value(name, value) for name, value in event.items()}


def _shown_value(name: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return escaped_lines(value) if name in _OF_LINES else escaped(value)


def _shown_traceback(stream: TextIO, raised: Any) -> None:
    traceback = io.StringIO()
    structlog.dev.plain_traceback(traceback, raised)
    stream.write(escaped_lines(traceback.getvalue()))


class _Unfailing:
    """A stream on a disk that may be full: the line is lost, but not the work that it tells of."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """As of a text file."""
        with contextlib.suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """As of a text file."""
        with contextlib.suppress(OSError):
            self._stream.flush()

    def isatty(self) -> bool:
        """Whether colors are seen."""
        return self._stream.isatty()


def open_actor_log(settings: Settings) -> TextIO | None:
    """Where actors log: beside the engine's log on this machine; on somebody else's Ray its own log files (None)."""
    if not settings.ray_is_private:
        return None
    path = settings.data_dir / "logs" / "engine-actors.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    return cast("TextIO", _Turning(TurningLog(path, settings.log_limits)))


class _Turning:
    """Of a text file what loggers use; several processes write lines into one."""

    def __init__(self, log: TurningLog) -> None:
        self._log = log
        self._begun = threading.local()  # loggers write a line and its end by themselves, each with a lock of its own
        self._turn = threading.Lock()

    def write(self, text: str) -> int:
        """A line is written whole, so that none of another process comes between."""
        begun: str = getattr(self._begun, "line", "")
        whole, newline, self._begun.line = (begun + text).rpartition("\n")
        if newline:
            with self._turn:
                self._log.write((whole + newline).encode())
        return len(text)

    def flush(self) -> None:
        """Lines never wait."""

    def isatty(self) -> bool:
        """Colors are for people who watch."""
        return False
