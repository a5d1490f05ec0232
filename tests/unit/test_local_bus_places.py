"""Places of the local bus: strangers are few and go for newer ones, clients stay."""

from __future__ import annotations

import asyncio

import pytest

from engine.local_bus.places import Places


class Caller:
    """A visitor that remembers why it had to go."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        self.address = address
        self.turned_out: str | None = None

    def turn_out(self, reason: str) -> None:
        self.turned_out = reason


def entered(places: Places, *addresses: str) -> list[Caller]:
    callers = [Caller(address) for address in addresses]
    for caller in callers:
        places.enter(caller)
    return callers


@pytest.mark.parametrize("over", [0, 1])
async def test_of_too_many_strangers_of_one_address_the_oldest_goes(over: int) -> None:
    places = Places(strangers_max=10, strangers_per_address_max=4)
    callers = entered(places, *["127.0.0.1"] * (4 + over))
    assert [caller.turned_out is not None for caller in callers] == [True] * over + [False] * 4
    assert places.strangers_count == 4


@pytest.mark.parametrize("over", [0, 1])
async def test_of_too_many_strangers_one_of_the_address_with_most_goes(over: int) -> None:
    places = Places(strangers_max=5, strangers_per_address_max=4)
    lonely, *many, other = entered(places, "127.0.0.2", *["127.0.0.1"] * 3, "127.0.0.3")
    assert places.enter(Caller("127.0.0.4")) if over else places.strangers_count == 5
    assert [caller.turned_out is not None for caller in (lonely, *many, other)] == [False, bool(over), *[False] * 3]
    assert places.strangers_count == 5


async def test_who_has_shown_the_key_has_a_place_that_no_stranger_takes() -> None:
    places = Places(known_max=1, strangers_max=2, strangers_per_address_max=2)
    client, second = entered(places, "127.0.0.1", "127.0.0.1")
    assert places.know(client)
    assert places.know(client), "a second token takes no second place"
    entered(places, *["127.0.0.1"] * 5)
    assert client.turned_out is None
    assert not places.know(second)
    places.leave(client)
    assert places.know(Caller())
    assert places.known_count == 1


async def test_a_stranger_has_seconds_and_a_client_has_not() -> None:
    places = Places(stranger_s_max=0.05)
    client, stranger, gone = entered(places, "127.0.0.1", "127.0.0.1", "127.0.0.1")
    places.know(client)
    places.leave(gone)
    assert stranger.turned_out is None
    async with asyncio.timeout(10):
        while stranger.turned_out is None:
            await asyncio.sleep(0.01)
    assert "0.05 s were over" in stranger.turned_out
    assert (client.turned_out, gone.turned_out) == (None, None)
    assert places.strangers_count == 0
