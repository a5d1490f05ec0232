"""One user who asks for too much: `python -m bench.greedy_user KIND REQUESTS`, until its standard input ends.

Asks for BENCH_TARGET as BENCH_TOKEN, so many times at once and over again; what comes is counted and thrown away. KIND
is `patient` (waits as `Retry-After` says), `rude` (asks again at once) or `slow` (reads 1 kB a second). Prints one JSON
object at its end: how many answers were whole, broken off, and refused with which status.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections import Counter
from contextlib import suppress
from urllib.parse import urlsplit

SLOW_BYTES = 1024
BUFFER_BYTES = 4096
FAST_BYTES = 65_536
LAST_CHUNK = b"0\r\n\r\n"


async def main(kind: str, requests: int) -> None:
    told: Counter[str] = Counter()
    asking = [asyncio.create_task(_keep_asking(kind, told)) for _ in range(requests)]
    await asyncio.to_thread(sys.stdin.read)
    for task in asking:
        task.cancel()
    await asyncio.gather(*asking, return_exceptions=True)
    print(json.dumps(told), flush=True)


async def _keep_asking(kind: str, told: Counter[str]) -> None:
    while True:
        try:
            status, wait_s = await _ask(kind)
        except (OSError, asyncio.IncompleteReadError):
            told["broken off"] += 1
            await asyncio.sleep(1)
            continue
        told["whole" if status == 200 else str(status)] += 1
        await asyncio.sleep(0 if kind == "rude" else wait_s)


async def _ask(kind: str) -> tuple[int, float]:
    """The status, and how long the answer says to wait."""
    url = urlsplit(os.environ["BENCH_TARGET"])
    connected = socket.socket()
    if kind == "slow":
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    connected.setblocking(False)
    await asyncio.get_running_loop().sock_connect(connected, (url.hostname, url.port))
    reader, writer = await asyncio.open_connection(sock=connected, limit=BUFFER_BYTES if kind == "slow" else FAST_BYTES)
    try:
        lines = [
            f"GET {url.path}?{url.query} HTTP/1.1",
            f"Host: {url.netloc}",
            f"Authorization: {os.environ['BENCH_TOKEN']}",
        ]
        writer.write("\r\n".join([*lines, "Connection: close", "", ""]).encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        status = int(head.split()[1])
        end = b""
        while data := await reader.read(SLOW_BYTES if kind == "slow" else FAST_BYTES):
            end = (end + data)[-len(LAST_CHUNK) :]
            if kind == "slow":
                await asyncio.sleep(1)
        if "transfer-encoding: chunked" in head and end != LAST_CHUNK:
            raise ConnectionError("the answer is not complete")
        wait_s = head.partition("retry-after:")[2].split("\r\n")[0].strip()
        return status, float(wait_s or 0)
    finally:
        with suppress(OSError):
            writer.transport.abort()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
