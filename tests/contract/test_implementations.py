"""Whoever implements a port has every method of it, to be called in the same way."""

from __future__ import annotations

import inspect

import pytest

from engine.bus.service_bus import ServiceBusSource
from engine.bus.source import BusSource
from engine.historian.actor import RemoteHistorian
from engine.historian.historian import Historian
from engine.historian.leadership import Leadership
from engine.historian.port import HistorianPort, HousekeepingPort, LeadershipPort
from tests.fakes.broker import ModelSource
from tests.fakes.historian import FakeHistorian
from tests.faults.history import Store
from tests.faults.stepped_source import SteppedSource

IMPLEMENTATIONS = [
    *((HistorianPort, kind) for kind in (Historian, RemoteHistorian, FakeHistorian, Store)),
    (HousekeepingPort, Historian),
    (LeadershipPort, Leadership),
    *((BusSource, kind) for kind in (ServiceBusSource, ModelSource, SteppedSource)),
]


def differences(port: type, kind: type) -> list[str]:
    found = []
    for name, promised in vars(port).items():
        if name.startswith("_"):
            continue
        there = inspect.getattr_static(kind, name, None)
        if type(there) is not type(promised):
            found.append(f"{name} is missing or no {type(promised).__name__}")
        elif inspect.isfunction(promised):
            if inspect.iscoroutinefunction(there) is not inspect.iscoroutinefunction(promised):
                found.append(f"{name} is awaited by one and not by the other")
            if inspect.signature(there).parameters != inspect.signature(promised).parameters:
                found.append(f"{name}{inspect.signature(there)} is not {name}{inspect.signature(promised)}")
    return found


@pytest.mark.parametrize(("port", "kind"), IMPLEMENTATIONS, ids=lambda each: each.__name__)
def test_every_method_of_the_port_is_there(port: type, kind: type) -> None:
    assert differences(port, kind) == []


def test_a_difference_is_found() -> None:
    class Port:
        async def missing(self) -> None: ...

        async def awaited(self) -> None: ...

        async def asked(self, facility_id: str, held_epoch: int | None = None) -> None: ...

        @property
        def held(self) -> bool:
            return True

    class Other:
        def awaited(self) -> None: ...

        async def asked(self, facility_id: str) -> None: ...

        def held(self) -> bool:
            return True

    assert [found.split()[0].split("(")[0] for found in differences(Port, Other)] == [
        "missing",
        "awaited",
        "asked",
        "held",
    ]
