"""Hosts of our own need root and a kernel that makes them; elsewhere these tests are left out with a line."""

from __future__ import annotations

import pytest

from tests.hosts.network import why_not


@pytest.fixture(scope="session", autouse=True)
def hosts_can_be_made() -> None:
    """Asked once a session, and not where the tests are only collected."""
    if (reason := why_not()) is not None:
        pytest.skip(reason)
