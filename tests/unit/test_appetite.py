"""How many messages a reader asks for."""

from __future__ import annotations

from engine.bus.appetite import Appetite


def test_a_backlog_is_asked_for_in_full_soon() -> None:
    appetite = Appetite(500)
    for _ in range(12):
        appetite.took(appetite.messages, appetite.messages, 0.002)
    assert appetite.messages == 500


def test_at_a_low_rate_one_is_asked_for_so_that_nothing_waits() -> None:
    appetite = Appetite(500)
    appetite.messages = 64
    appetite.took(3, 64, 0.2)
    assert appetite.messages == 1
    appetite.took(1, 1, 0.5)
    assert appetite.messages == 1


def test_at_a_steady_rate_a_receive_takes_about_twenty_milliseconds() -> None:
    """1,000 a second: a receive of N takes N ms."""
    appetite, asked = Appetite(500), []
    for _ in range(50):
        asked.append(appetite.messages)
        appetite.took(appetite.messages, appetite.messages, appetite.messages / 1000)
    assert all(8 <= each <= 32 for each in asked[10:])
