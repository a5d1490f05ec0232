"""Stored data as files: sent while they are made, or made as a job and fetched when they are whole.

An export sees with its caller's eyes, and whoever fetches the file later must still see all of its facilities.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing

from quart import Response, request

from engine.exports.datasets import DATASETS
from engine.exports.formats import FORMATS
from engine.exports.selection import SelectionRefused, find
from web.audit import Action, audit
from web.auth.guard import Need
from web.contract.declare import File, Noun
from web.contract.export_shapes import ExportJob, ExportQuery, NewExport
from web.errors import HttpRefusal, NotFound, NotUsable
from web.exports.following import follow
from web.exports.kept import About, State, Wanted
from web.exports.making import TooManyExports, asked_for
from web.serving.call import Call
from web.serving.lists import TOTAL
from web.serving.rows import Rows
from web.wire.times import from_us, to_us

noun = Noun("exports", "Stored data as files, for data scientists")

SENT_AT_ONCE_S_MAX = 3600.0
RETRY_AFTER_S = "5"
S_PER_HOUR = 3600.0
MANY_IDS_BYTES_MAX = 256 * 1024
_RANGE = re.compile(r"bytes=([0-9]{1,15})-([0-9]{1,15})?")
READ_SEEN = "SELECT count(*) FROM facilities WHERE id = ANY($1::text[])"


@noun.get("/exports/{dataset}", Need.VIEW, File, statuses=(404, 429))
async def export_at_once(call: Call, dataset: str, query: ExportQuery) -> Response:
    """The file as it is made, compressed but for CSV and NDJSON; nothing of it is kept. A connection that ends early
    did not carry all of it: for what takes long, make an export job."""
    if dataset not in DATASETS:
        raise NotFound("Dataset")
    wanted = Wanted(
        dataset=dataset,
        facility_ids=query.facility_id,
        sensor_ids=query.sensor_id,
        start_us=None if query.start_date is None else to_us(query.start_date),
        end_us=None if query.end_date is None else to_us(query.end_date),
        columns=[name.strip() for name in query.columns.split(",")] if query.columns else [],
        format=query.format,
    )
    about = await _begun(call, wanted, SENT_AT_ONCE_S_MAX, "query")
    exports = call.services.exports
    if request.method == "HEAD":
        await exports.cancel(about.id)
        return _file_response(about, b"")
    file = exports.kept.open(about.id)

    async def body() -> AsyncGenerator[bytes, None]:
        try:
            async with aclosing(follow(exports.kept, about.id, file)) as pieces:
                async for piece in pieces:
                    yield piece
        finally:
            await exports.cancel(about.id)

    return _file_response(about, body())


@noun.post("/export-jobs", Need.USER, ExportJob, statuses=(404, 429), body_bytes_max=MANY_IDS_BYTES_MAX)
async def create_export_job(call: Call, body: NewExport) -> ExportJob:
    """It goes on by itself; ask for it until its `state` is `done`, then fetch its file."""
    wanted = Wanted(
        dataset=body.dataset,
        facility_ids=body.facility_ids,
        sensor_ids=body.sensor_ids,
        start_us=None if body.start_date is None else to_us(body.start_date),
        end_us=None if body.end_date is None else to_us(body.end_date),
        columns=body.columns,
        format=body.format,
    )
    return _job(await _begun(call, wanted, body.keep_hours * S_PER_HOUR, "body"))


@noun.get("/export-jobs", Need.USER, list[ExportJob], is_list=True)
async def list_export_jobs(call: Call) -> Rows:
    """The caller's own, the newest first; always all."""
    kept = await asyncio.to_thread(lambda: list(call.services.exports.kept.all()))
    own = [about for about in kept if about.principal == call.caller.principal]
    own.sort(key=lambda about: -about.created_us)

    async def pieces() -> AsyncGenerator[bytes, None]:
        for about in own:
            yield _job(about).model_dump_json().encode()

    return Rows(len(own), pieces(), headers={TOTAL: str(len(own))})


@noun.get("/export-jobs/{job_id}", Need.USER, ExportJob, statuses=(404,))
async def read_export_job(call: Call, job_id: str) -> ExportJob:
    """How far it is."""
    return _job(await _own(call, job_id))


@noun.get("/export-files/{job_id}", Need.USER, File, statuses=(403, 404, 409, 416))
async def read_export_file(call: Call, job_id: str) -> Response:
    """The same bytes each time; `Range: bytes=N-` goes on where a download broke off."""
    about = await _own(call, job_id)
    if about.state is State.FAILED:
        raise HttpRefusal(409, f"The export failed: {about.problem}")
    if await call.database.value(READ_SEEN, about.facilities) != len(about.facilities):
        raise HttpRefusal(403, "Not enough permissions: a facility in it may not be seen any more")
    start, end, is_part = _asked_range(about)
    kept = call.services.exports.kept
    try:
        file = kept.open(about.id)
    except FileNotFoundError:
        raise NotFound("Export job") from None
    file.seek(start)
    response = _file_response(about, follow(kept, about.id, file, None if end is None else end - start))
    response.headers["ETag"] = f'"{about.id}"'
    response.headers["Accept-Ranges"] = "bytes"
    if end is not None:
        response.headers["Content-Length"] = str(end - start)
    if is_part:
        response.status_code = 206
        response.headers["Content-Range"] = f"bytes {start}-{(about.bytes if end is None else end) - 1}/{about.bytes}"
    return response


@noun.delete("/export-jobs/{job_id}", Need.USER, ExportJob, statuses=(404,))
async def delete_export_job(call: Call, job_id: str) -> ExportJob:
    """Ended if it is running, and its file is gone."""
    about = await _own(call, job_id)
    await call.services.exports.cancel(about.id)
    return _job(about)


async def _begun(call: Call, wanted: Wanted, keep_s: float, where: str) -> About:
    services = call.services
    try:
        async with call.database.transaction() as connection:
            selection = await find(connection, asked_for(wanted))
        words = call.database.words
        about = await services.exports.begin(call.caller.principal, words, wanted, selection, keep_s)
    except SelectionRefused as error:
        if str(error).startswith("there is no"):
            raise HttpRefusal(404, str(error)[0].upper() + str(error)[1:]) from error
        raise NotUsable.of(where, "end_date", str(error)) from error
    except ValueError as error:
        raise NotUsable.of(where, "columns", str(error)) from error
    except TooManyExports as error:
        raise HttpRefusal(429, str(error)[0].upper() + str(error)[1:], {"Retry-After": RETRY_AFTER_S}) from error
    try:
        async with services.database.transaction() as connection:
            after = wanted.model_dump(exclude_none=True)
            await audit(connection, call.actor, Action.EXPORT_CREATED, f"export:{about.id}", after=after)
    except BaseException:  # nobody takes anything that is not written down
        await services.exports.cancel(about.id)
        raise
    return about


async def _own(call: Call, job_id: str) -> About:
    about = await asyncio.to_thread(call.services.exports.kept.find, job_id)
    if about is None or about.principal != call.caller.principal:
        raise NotFound("Export job")
    return about


def _asked_range(about: About) -> tuple[int, int | None, bool]:
    """First byte, end (not included; none while it grows), and whether that is a part that was asked for.

    A range that is not understood, or of another file, counts as none.
    """
    if about.state is not State.DONE:
        if "Range" in request.headers:
            raise HttpRefusal(409, "The export is not whole yet, so nothing can go on in it")
        return 0, None, False
    found = _RANGE.fullmatch(request.headers.get("Range", ""))
    if found is None or request.headers.get("If-Range", f'"{about.id}"') != f'"{about.id}"':
        return 0, about.bytes, False
    start = int(found[1])
    end = about.bytes if found[2] is None else min(about.bytes, int(found[2]) + 1)
    if start >= end:
        raise HttpRefusal(416, f"The file has {about.bytes} bytes", {"Content-Range": f"bytes */{about.bytes}"})
    return start, end, True


def _file_response(about: About, body: AsyncGenerator[bytes, None] | bytes) -> Response:
    kind = FORMATS[about.wanted.format]
    response = Response(body, content_type=kind.mime_type)
    response.headers["Content-Disposition"] = f'attachment; filename="{about.wanted.dataset}{kind.suffix}"'
    response.headers["X-Export-Id"] = about.id
    response.timeout = None
    return response


def _job(about: About) -> ExportJob:
    return ExportJob.model_validate(
        {
            "id": about.id,
            "dataset": about.wanted.dataset,
            "format": about.wanted.format,
            "facility_ids": about.facilities,
            "sensor_ids": about.wanted.sensor_ids,
            "state": about.state.value,
            "rows": about.rows,
            "rows_expected": about.rows_expected,
            "bytes": about.bytes,
            "problem": about.problem,
            "created_at": from_us(about.created_us),
            "expires_at": from_us(about.expires_us),
        }
    )
