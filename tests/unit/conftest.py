"""Unit tests take seconds: none of them may start a cluster or open a connection."""

from __future__ import annotations

import functools
import socket
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def no_cluster_no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A unit test that reaches for Ray or the network fails at once and says where it belongs."""
    import ray

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("unit tests use no Ray and no network; this test belongs in tests/integration")

    monkeypatch.setattr(ray, "init", functools.wraps(ray.init)(lambda *_, **__: refuse()))
    monkeypatch.setattr(socket.socket, "connect", refuse)
    yield
