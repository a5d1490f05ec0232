"""What the acceptance tests share: one whole system, started once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.acceptance.whole_system import System, running


@pytest.fixture(scope="session")
def system() -> Iterator[System]:
    with running() as started:
        yield started
