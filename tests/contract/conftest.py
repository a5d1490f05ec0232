"""The stores that the contract of the historian is held against."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from engine.historian.port import HistorianPort
from tests.contract.stores import FakeStore, RealStore, Store


@pytest.fixture
def fake_store() -> FakeStore:
    return FakeStore()


@pytest_asyncio.fixture
async def real_store(database_url: str) -> AsyncIterator[RealStore]:
    async with RealStore.on(database_url) as opened:
        yield opened


@pytest.fixture(
    params=[pytest.param("fake_store", id="fake"), pytest.param("real_store", id="real", marks=pytest.mark.postgres)]
)
def store(request: pytest.FixtureRequest) -> Store:
    opened: Store = request.getfixturevalue(request.param)
    return opened


@pytest.fixture
def historian(store: Store) -> HistorianPort:
    return store.historian
