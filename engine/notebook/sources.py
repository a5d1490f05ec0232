"""Where a notebook's rows come from: the database itself, or a server by its API key."""

from __future__ import annotations

import asyncio
import queue
import tempfile
import threading
from collections.abc import Callable, Container, Coroutine, Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol, TypeAlias

import httpx
import polars as pl

from engine.clock import US_PER_S
from engine.errors import GasInSightError
from engine.exports.datasets import FACILITIES, SENSORS, Dataset, schema_of
from engine.exports.reading import read
from engine.exports.selection import WHOLE_US, Asked, find
from engine.exports.snapshot import open_snapshot
from engine.runtime import find_database_url
from engine.settings import load_settings

ANSWER_S_MAX: Final = 300.0
AHEAD: Final = 2
QUERY_BYTES_MAX: Final = 8_192
QUERY_FIELDS_MAX: Final = 100
"""What the server takes of a query (web/edge/request_limits.py)."""
IDS: Final = ("facility_id", "sensor_id")


class NotRead(GasInSightError):
    """What was asked for was not given. Of a server's refusal the message is its status and its own words."""


class Source(Protocol):
    def frames(self, dataset: Dataset, asked: Asked, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Rows with these columns, in the data set's order; at least one frame. Raises SelectionRefused or NotRead."""


@dataclass(frozen=True, slots=True)
class Database:
    """`url`: postgresql://…; None: DATABASE_URL of the environment or `.env`, or the database running here."""

    url: str | None = None

    def frames(self, dataset: Dataset, asked: Asked, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        url = self.url or find_database_url(load_settings())
        return _from_thread(lambda put: _read(url, dataset, asked, columns, put))


@dataclass(frozen=True, slots=True)
class Server:
    """`url`: of the web server; `key`: an API key or access token."""

    url: str
    key: str

    def frames(self, dataset: Dataset, asked: Asked, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        if _fits(_query(asked, columns)):
            yield from self._given(dataset, asked, columns)
            return
        # More ids than a request may name: their facilities are, or none, and what is wanted of them is chosen here.
        known = pl.concat(self._given(SENSORS, Asked(), IDS))
        facilities = set(known["facility_id"])
        if asked.facility_ids:
            facilities = {each for frame in self._given(FACILITIES, Asked(), IDS[:1]) for each in frame["facility_id"]}
        wanted = pl.lit(value=True)
        for name, ids, seen in zip(
            IDS, (asked.facility_ids, asked.sensor_ids), (facilities, set(known["sensor_id"])), strict=True
        ):
            if ids:
                _check_seen(name, ids, seen)
                wanted &= pl.col(name).is_in(ids)
        of_facilities = asked.facility_ids or tuple(known.filter(wanted)["facility_id"].unique(maintain_order=True))
        wider = Asked(of_facilities, (), asked.start_us, asked.end_us)
        read = [*columns, *(name for name in IDS if name not in columns)]
        if not _fits(_query(wider, read)):
            wider = Asked((), (), asked.start_us, asked.end_us)
        for frame in self._given(dataset, wider, read):
            yield frame.filter(wanted).select(columns)

    def _given(self, dataset: Dataset, asked: Asked, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        headers = {"Authorization": f"Bearer {self.key}"}
        with tempfile.TemporaryFile() as file:
            try:
                with httpx.stream(
                    "GET",
                    f"{self.url.rstrip('/')}/exports/{dataset.name}",
                    params=_query(asked, columns),
                    headers=headers,
                    timeout=ANSWER_S_MAX,
                ) as answer:
                    if answer.status_code != 200:
                        answer.read()
                        raise NotRead(f"{answer.status_code}: {_detail(answer)}")
                    for piece in answer.iter_bytes():
                        file.write(piece)
            except httpx.HTTPError as error:
                raise NotRead(f"{self.url} did not give all of it: {str(error) or type(error).__name__}") from error
            file.seek(0)
            yield from pl.scan_parquet(file).collect_batches(maintain_order=True)
        yield pl.DataFrame(schema=schema_of(dataset.chosen(columns)))


def _query(asked: Asked, columns: Sequence[str]) -> httpx.QueryParams:
    query: dict[str, str | list[str]] = {"format": "parquet", "columns": ",".join(columns)}
    query["facility_id"], query["sensor_id"] = list(asked.facility_ids), list(asked.sensor_ids)
    if asked.start_us > WHOLE_US[0]:
        query["start_date"] = _spelled(asked.start_us)
    if asked.end_us < WHOLE_US[1]:
        query["end_date"] = _spelled(asked.end_us)
    return httpx.QueryParams(query)


def _fits(query: httpx.QueryParams) -> bool:
    return len(query.multi_items()) <= QUERY_FIELDS_MAX and len(str(query)) <= QUERY_BYTES_MAX


def _check_seen(name: str, ids: Iterable[str], seen: Container[str]) -> None:
    for one in ids:
        if one not in seen:
            raise NotRead(f"there is no {name.removesuffix('_id')} {one!r}")


def _spelled(time_us: int) -> str:
    seconds, us = divmod(time_us, US_PER_S)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{us:06}Z"


def _detail(answer: httpx.Response) -> object:
    try:
        return answer.json()["detail"]
    except (ValueError, KeyError, TypeError):
        return answer.text[:300]


_Put: TypeAlias = Callable[[pl.DataFrame], bool]
"""Says whether somebody still wants more."""


async def _read(url: str, dataset: Dataset, asked: Asked, names: Sequence[str], put: _Put) -> None:
    columns = dataset.chosen(names)
    async with open_snapshot(url) as snapshot:
        selection = await find(snapshot.planner, asked)
        async with aclosing(read(snapshot, dataset, selection, columns)) as frames:
            async for frame in frames:
                if not await asyncio.to_thread(put, frame):
                    return
    put(pl.DataFrame(schema=schema_of(columns)))


def _from_thread(reading: Callable[[_Put], Coroutine[None, None, None]]) -> Iterator[pl.DataFrame]:
    """What a coroutine puts, run in a thread with a loop of its own: a notebook's loop is busy with the notebook."""
    full: queue.Queue[pl.DataFrame | BaseException | None] = queue.Queue(AHEAD)
    is_over = threading.Event()

    def put(item: pl.DataFrame | BaseException | None) -> bool:
        while not is_over.is_set():
            try:
                full.put(item, timeout=0.2)
            except queue.Full:
                continue
            return True
        return False

    def run() -> None:
        try:
            asyncio.run(reading(put))
            put(None)
        except BaseException as error:
            put(error)

    thread = threading.Thread(target=run, name="readings", daemon=True)
    thread.start()
    try:
        while (item := full.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        is_over.set()
        thread.join()
