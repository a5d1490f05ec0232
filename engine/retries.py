"""How something that is tried again and again goes, for whoever asks from outside."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from engine.clock import Clock

REASON_CHARS_MAX = 300


class Retries:
    """One attempt at a time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began_s: float | None = None
        self._took_s: float | None = None
        self._failing_since_s: float | None = None
        self._error: str | None = None

    def began(self) -> None:
        """An attempt is under way."""
        self._began_s = self._clock.monotonic_s()

    def worked(self) -> None:
        """Whoever was asked has answered."""
        assert self._began_s is not None, "began first"
        self._took_s = self._clock.monotonic_s() - self._began_s
        self._began_s = self._failing_since_s = self._error = None

    def failed(self, reason: str) -> None:
        """The attempt has failed; it fails since the first one did that nothing came after."""
        if self._failing_since_s is None:
            self._failing_since_s = self._began_s
        self._began_s = None
        self._error = " ".join(reason.split())[:REASON_CHARS_MAX]

    @contextmanager
    def one(self) -> Iterator[None]:
        """Around one attempt; an exception is a failure."""
        self.began()
        try:
            yield
        except BaseException as error:
            self.failed(str(error) or type(error).__name__)
            raise
        self.worked()

    def status(self) -> dict[str, Any]:
        """took_s: of the last success; trying_s: the present attempt; failing_s and error: since and why it fails."""
        now_s = self._clock.monotonic_s()
        return {
            "took_s": _rounded(self._took_s),
            "trying_s": None if self._began_s is None else _rounded(now_s - self._began_s),
            "failing_s": None if self._failing_since_s is None else _rounded(now_s - self._failing_since_s),
            "error": self._error,
        }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
