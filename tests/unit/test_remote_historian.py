"""What a historian in another process says of its database reaches the caller as it was said."""

from __future__ import annotations

import pytest
from ray.exceptions import RayTaskError

from engine.errors import StoreUnavailable
from engine.historian.actor import RemoteHistorian


class Call:
    """An actor's method that fails as Ray tells it: the error of the other process with its traceback in front."""

    async def remote(self, *_: object) -> None:
        there = RayTaskError("call", "Traceback of another process\n" * 20, StoreUnavailable("the database is away"))  # type: ignore[no-untyped-call]
        raise there.as_instanceof_cause()  # type: ignore[no-untyped-call]


class Handle:
    call = Call()


async def test_an_unavailable_store_is_told_without_the_traceback_of_another_process() -> None:
    historian = RemoteHistorian(1, "namespace")
    historian._handles = [Handle()]
    with pytest.raises(StoreUnavailable) as caught:
        await historian.facility_ids()
    assert str(caught.value) == "the database is away"
