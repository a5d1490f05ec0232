"""`gasinsight export`: stored data as a file, a stream or a folder, with a bar on a terminal."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from engine.all_or_nothing import draft_of, folders_of, unwound_by_signals
from engine.commands.behind import behind_others
from engine.commands.steps import Screen, forget_reader
from engine.errors import SettingsError
from engine.exports import moments
from engine.exports.datasets import DATASETS, RECORDS, Column, Dataset, schema_of
from engine.exports.folders import NEEDED, write_folder
from engine.exports.formats import FORMATS, Format, Frames
from engine.exports.reading import read
from engine.exports.selection import WHOLE_US, Asked, SelectionRefused, find
from engine.exports.snapshot import open_snapshot
from engine.exports.writing import in_thread
from engine.historian.connection import translated_errors
from engine.runtime import find_database_url
from engine.settings import load_settings

TO_STDOUT: Final = Path("-")


@dataclass(frozen=True)
class ExportOptions:
    """`out` is a file, `-`, or with `as_folder` a folder; None: named like the data set. `kind` None: as the name says.

    `start` and `end` are moments or days as people write them.
    """

    dataset: str
    facility_ids: tuple[str, ...]
    sensor_ids: tuple[str, ...]
    start: str | None
    end: str | None
    columns: tuple[str, ...]
    out: Path | None
    kind: str | None
    as_folder: bool
    as_json: bool


class _ReaderGone(Exception):
    """Who read our standard output has enough of it."""


def run_export(overrides: dict[str, object], options: ExportOptions) -> None:
    """Whole or not at all."""
    started_s = time.monotonic()
    try:
        export = _Export(options)
        url = find_database_url(load_settings(**overrides))
        with unwound_by_signals(), behind_others(), export.target() as target, export.bar:
            asyncio.run(export.run(url, target))
    except SelectionRefused as error:
        raise SettingsError(str(error)) from error
    except _ReaderGone:
        forget_reader()
    export.tell(time.monotonic() - started_s)


class _Export:
    def __init__(self, options: ExportOptions) -> None:
        self._options = options
        self._dataset = _dataset(options)
        self._columns = _columns(options, self._dataset)
        self._asked = _asked(options)
        self._out = _out(options)
        self._kind = _kind(options, self._out)
        self._rows = 0
        self._is_stream = self._out == TO_STDOUT
        # What is told must not stand between the rows.
        self._screen = Screen(options.as_json) if not self._is_stream else None
        self._terminal = Console(stderr=True)
        shown = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        is_off = options.as_json or not self._terminal.is_terminal
        self.bar = Progress(*shown, console=self._terminal, transient=True, disable=is_off)

    @contextmanager
    def target(self) -> Iterator[Path]:
        """Where to write: a draft that gets its name when it is whole."""
        out = self._out
        if self._is_stream:
            yield out
            return
        if self._options.as_folder:
            if out.exists():
                raise SettingsError(f"{out} exists; an export replaces no folder, choose another name")
            with _told_of_disk(out), folders_of(out), _draft_folder(out) as draft:
                yield draft
            return
        with _told_of_disk(out), folders_of(out), draft_of(out) as draft:
            yield draft

    async def run(self, url: str, target: Path) -> None:
        async with translated_errors("cannot export"), open_snapshot(url) as snapshot:
            selection = await find(snapshot.planner, self._asked)
            task = self.bar.add_task(self._dataset.name, total=None)

            def on_rows(rows: int) -> None:
                self._rows += rows
                self.bar.advance(task, rows)

            def expect(rows: int) -> None:
                self.bar.update(task, total=rows)

            async with aclosing(read(snapshot, self._dataset, selection, self._columns, expect)) as frames:
                await in_thread(frames, self._work(target), on_rows)

    def tell(self, took_s: float) -> None:
        if self._screen is None:
            return
        out = self._out
        size = sum(file.stat().st_size for file in (out.rglob("*") if out.is_dir() else [out]) if file.is_file())
        text = f"{self._rows:,} rows of {self._dataset.name}, {size / 1e6:,.1f} MB in {took_s:.1f} s: {out}"
        self._screen.event(
            "exported",
            text,
            dataset=self._dataset.name,
            rows=self._rows,
            bytes=size,
            seconds=round(took_s, 2),
            out=str(out),
        )

    def _work(self, target: Path) -> Callable[[Frames], object]:
        def work(frames: Frames) -> None:
            with _told_of_disk(self._out):
                if self._options.as_folder:
                    write_folder(target, frames)
                else:
                    _write_file(self._kind, frames, self._columns, target)

        return work


def _write_file(kind: Format, frames: Frames, columns: tuple[Column, ...], target: Path) -> None:
    if target == TO_STDOUT:
        kind.write(frames, schema_of(columns), sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return
    with target.open("wb") as file:
        kind.write(frames, schema_of(columns), file)


@contextmanager
def _told_of_disk(out: Path) -> Iterator[None]:
    try:
        yield
    except ConnectionError:
        raise  # of the database
    except OSError as error:
        if out == TO_STDOUT and "Broken pipe" in str(error):  # polars gives no number
            raise _ReaderGone from error
        raise SettingsError(f"cannot write {out}: {error.strerror or error}") from error


@contextmanager
def _draft_folder(out: Path) -> Iterator[Path]:
    draft = out.with_name(f".{out.name}.{os.getpid()}.draft")
    draft.mkdir()
    try:
        yield draft
        draft.replace(out)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _dataset(options: ExportOptions) -> Dataset:
    try:
        return DATASETS[options.dataset]
    except KeyError:
        raise SettingsError(f"there is no data set {options.dataset!r}; there are {', '.join(DATASETS)}") from None


def _columns(options: ExportOptions, dataset: Dataset) -> tuple[Column, ...]:
    if options.as_folder and dataset is not RECORDS:
        raise SettingsError(f"a folder by facility and day is for records, not for {dataset.name}")
    try:
        columns = dataset.chosen(options.columns)
    except ValueError as error:
        raise SettingsError(str(error)) from error
    missing = [name for name in NEEDED if name not in {column.name for column in columns}]
    if options.as_folder and missing:
        raise SettingsError(f"a folder by facility and day needs the column {missing[0]}")
    return columns


def _asked(options: ExportOptions) -> Asked:
    return Asked(
        options.facility_ids,
        options.sensor_ids,
        WHOLE_US[0] if options.start is None else moments.start_us(options.start),
        WHOLE_US[1] if options.end is None else moments.end_us(options.end),
    )


def _out(options: ExportOptions) -> Path:
    if options.out is not None:
        if options.as_folder and options.out == TO_STDOUT:
            raise SettingsError("a folder by facility and day has no place on standard output: name one")
        if options.as_folder or options.out == TO_STDOUT:
            return options.out
        if options.out.is_dir():
            raise SettingsError(f"{options.out} is a folder: name a file in it, or write a folder of files with --hive")
        if options.out.exists() and not options.out.is_file():
            raise SettingsError(f"{options.out} is neither a file nor a new name; - is standard output")
        return options.out
    return Path(options.dataset if options.as_folder else f"{options.dataset}.{options.kind or 'parquet'}")


def _kind(options: ExportOptions, out: Path) -> Format:
    if options.as_folder:
        if options.kind not in {None, "parquet"}:
            raise SettingsError(f"a folder by facility and day is of Parquet files, not of {options.kind}")
        return FORMATS["parquet"]
    if options.kind is not None:
        if options.kind not in FORMATS:
            raise SettingsError(f"there is no format {options.kind!r}; there are {', '.join(FORMATS)}")
        return FORMATS[options.kind]
    for kind in FORMATS.values():
        if out.name.lower().endswith(kind.suffix):
            return kind
    suffixes = ", ".join(kind.suffix for kind in FORMATS.values())
    raise SettingsError(f"the name {out} tells no format ({suffixes}): give one with --format")
