"""What strangers can make the server's log say: one line each at most, bounded, printable, and no traceback."""

from __future__ import annotations

import asyncio
import socket
import struct
from pathlib import Path

import pytest

from tests.hostile.site import running_site

pytestmark = [pytest.mark.postgres, pytest.mark.busy]

LINE_BYTES_MAX = 2_500
WEBSOCKET = (
    b"Host: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
SENT: dict[str, bytes] = {
    "a bad token": b"GET /ws/notifications?token=abc HTTP/1.1\r\n" + WEBSOCKET + b"\r\n",
    "no token": b"GET /ws/sensor-data/s HTTP/1.1\r\n" + WEBSOCKET + b"\r\n",
    "a bad ticket": b"GET /ws/notifications?ticket=" + b"a" * 43 + b" HTTP/1.1\r\n" + WEBSOCKET + b"\r\n",
    "a websocket that leads nowhere": b"GET /ws/%1b%0anowhere HTTP/1.1\r\n" + WEBSOCKET + b"\r\n",
    "data behind a handshake": b"GET /ws/notifications HTTP/1.1\r\n" + WEBSOCKET + b"\r\n" + b"\xff" * 300,
    "Connection is not ASCII": b"GET /ws/notifications HTTP/1.1\r\n"
    + WEBSOCKET.replace(b"Upgrade\r", b"Upgrade, \xff\r", 1)
    + b"\r\n",
    "a key is not ASCII": b"GET /ws/notifications HTTP/1.1\r\n" + WEBSOCKET.replace(b"dGhl", b"\xff\xfe") + b"\r\n",
    "a protocol is not ASCII": b"GET /ws/notifications HTTP/1.1\r\n"
    + WEBSOCKET
    + b"Sec-WebSocket-Protocol: \xff\r\n\r\n",
    "extensions are not ASCII": b"GET /ws/notifications HTTP/1.1\r\n"
    + WEBSOCKET
    + b"Sec-WebSocket-Extensions: \xff\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "no HTTP": b"\x1b[31m\r\n\r\n",
    "escapes in a path": b"GET /nowhere%1b[31m%0aFAKE%0d%9b%7f%22 HTTP/1.1\r\nHost: x\r\n"
    b'User-Agent: a\x1bb\x7f\x9bc"\r\n\r\n',
    "a long agent": b"GET /" + b"a" * 4_000 + b" HTTP/1.1\r\nHost: x\r\nUser-Agent: " + b"u" * 9_000 + b"\r\n\r\n",
    "half a body": b"POST /auth/token HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\nabc",
    "half a body to nowhere": b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\nabc",
    "a whole body": b"POST /auth/token HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab",
    "a bad chunk": b"POST /auth/token HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\nzz",
    "too large": b"POST /auth/token HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n\r\n" + b"a" * 99_999,
    "a large answer": b"GET /static/vendor/swagger-ui/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n" * 3,
}


async def send(port: int, raw: bytes, patience_s: float) -> None:
    """And go, in the middle of whatever it is, with a reset."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(raw)
    try:
        async with asyncio.timeout(patience_s):
            await reader.read(100)
    except (OSError, TimeoutError):
        pass
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def until_quiet(log: Path) -> None:
    """A line is written after its answer was sent, on a busy machine a good while after."""
    size, same = -1, 0
    while same < 3:
        await asyncio.sleep(0.05)
        now = log.stat().st_size
        size, same = now, same + 1 if now == size else 0


async def lines_of(log: Path, port: int, raw: bytes, patience_s: float) -> list[str]:
    await until_quiet(log)
    before = log.stat().st_size
    await send(port, raw, patience_s)
    await until_quiet(log)
    return log.read_bytes()[before:].decode(errors="replace").split("\n")[:-1]


async def test_a_request_makes_one_printable_line_at_most(database_url: str, tmp_path: Path) -> None:
    """With an access log, which has a line of every request; a handshake's refusal is told besides."""
    wrong: dict[str, list[str]] = {}
    async with running_site(database_url, tmp_path, "--access-logfile", "-") as site:
        for patience_s in (0.3, 0.001):
            for name, raw in SENT.items():
                lines = await lines_of(site.log, site.web.port, raw, patience_s)
                told = [line for line in lines if '"handshake_refused"' not in line]
                requests = raw.count(b" HTTP/1.1\r\n")
                if len(told) > requests or any(not line.isprintable() or len(line) > LINE_BYTES_MAX for line in lines):
                    wrong[f"{name}, {patience_s}"] = lines
        assert "Traceback" not in site.log.read_text(errors="replace")
    assert wrong == {}, "\n".join(line[:300] for lines in wrong.values() for line in lines)


async def test_a_flood_of_refused_handshakes_is_counted_and_makes_few_lines(database_url: str, tmp_path: Path) -> None:
    async with running_site(database_url, tmp_path) as site:
        for _ in range(100):
            await send(site.web.port, SENT["a bad token"], 1)
        metrics = (await site.web.client.get("/metrics")).text
        assert 'gasinsight_handshakes_refused_total{status="403"} 100' in metrics
        log = site.log.read_text()
    lines = [line for line in log.splitlines() if "handshake_refused" in line]
    assert 1 <= len(lines) < 50
    assert all(len(line) < 400 for line in lines)
