"""The nginx configuration of deploy/proxy, in front of a real web server: https, wss, and no token in any log."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import ssl
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from engine.processes.ports import free_port
from engine.settings import Settings
from tests.integration.web.certificates import make_certificate
from tests.integration.web.harness import bearer, web_server
from web.edge.server import PING_INTERVAL_S

CONFIGURATION = Path(__file__).parents[3] / "deploy/proxy/nginx.conf"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/sbin")
needs_nginx = pytest.mark.skipif(NGINX is None, reason="no nginx on this machine (Debian: apt-get install nginx-light)")
START_S_MAX = 10


@dataclass
class Proxy:
    """nginx in the foreground with our configuration: other ports, other files, the same directives."""

    folder: Path
    port: int
    plain_port: int
    process: asyncio.subprocess.Process

    @property
    def tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.folder / "fullchain.pem"))

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def logs(self) -> str:
        return "".join(path.read_text() for path in sorted(self.folder.glob("*.log")))


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="gasinsight-proxy-") as name:
        yield Path(name)


@asynccontextmanager
async def nginx(folder: Path, upstream_port: int) -> AsyncIterator[Proxy]:
    make_certificate(folder)
    port, plain_port = free_port("127.0.0.1", 0), free_port("127.0.0.1", 0)
    site = CONFIGURATION.read_text()
    for there, here in (
        ("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;"),
        ("listen 80;", f"listen 127.0.0.1:{plain_port};"),
        ("server 127.0.0.1:8000;", f"server 127.0.0.1:{upstream_port};"),
        ("gas.example.org", "127.0.0.1"),
        ("/etc/ssl/gasinsight", str(folder)),
        ("/var/log/nginx", str(folder)),
    ):
        assert there in site
        site = site.replace(there, here)
    paths = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{name}_temp_path {folder / name};" for name in paths)
    user = "user root;" if os.geteuid() == 0 else ""
    main = f"{user} daemon off; pid {folder / 'pid'}; error_log stderr; events {{}} http {{ {temporary}\n{site} }}"
    (folder / "main.conf").write_text(main)
    assert NGINX is not None
    command = [NGINX, "-p", str(folder), "-e", "stderr", "-c", str(folder / "main.conf")]
    checked = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
    try:
        async with asyncio.timeout(START_S_MAX):
            while not await _redirects(plain_port):
                await asyncio.sleep(0.02)
        yield Proxy(folder, port, plain_port, process)
    finally:
        process.terminate()
        await process.wait()


async def _redirects(port: int) -> bool:
    """What nginx answers by itself, whatever is behind it."""
    with suppress(httpx.TransportError):
        async with httpx.AsyncClient(trust_env=False) as client:
            return (await client.get(f"http://127.0.0.1:{port}/")).status_code == 308
    return False


@needs_nginx
@pytest.mark.postgres
async def test_rest_and_websockets_work_behind_nginx_and_no_log_has_a_token(database_url: str, folder: Path) -> None:
    async with web_server(
        database_url, folder, trusted_proxies="127.0.0.1", cors_origins="https://front.example"
    ) as web:
        await web.facility("f")
        await web.sensor("s", "f")
        async with nginx(folder, web.port) as proxy, httpx.AsyncClient(base_url=proxy.url, verify=proxy.tls) as client:
            pair = await web.sign_in()
            answer = await client.get("/facilities", headers=bearer(pair) | {"Origin": "https://front.example"})
            assert [facility["id"] for facility in answer.json()] == ["f"]
            assert answer.headers["Access-Control-Allow-Origin"] == "https://front.example"
            assert answer.headers.get_list("Strict-Transport-Security") == ["max-age=31536000"]
            again = await client.post("/auth/refresh-token", params={"refresh_token": pair["refresh_token"]})
            assert again.status_code == 200
            too_large = await client.post(
                "/users",
                headers=bearer(pair) | {"Origin": "https://front.example"},
                content=b" " * (web.settings.body_bytes_max + 1),
            )
            assert (too_large.status_code, list(too_large.json())) == (413, ["detail"])
            assert "Access-Control-Allow-Origin" in too_large.headers

            token = pair["access_token"]
            address = proxy.url.replace("https", "wss") + f"/ws/sensor-data/s?token={token}"
            async with connect(address, ssl=proxy.tls) as socket:
                await web.feed.until_watched("f")
                frames = web.feed.publish("f", ("s", "2026-11-22T10:15:00", "24.60"))
                assert await asyncio.wait_for(socket.recv(), 5) == frames[0]
            for wrong, origin in (
                ("?token=x", "https://front.example"),
                (f"?token={token}", "https://elsewhere.example"),
            ):
                with pytest.raises(InvalidStatus) as refused:
                    async with connect(address.partition("?")[0] + wrong, ssl=proxy.tls, origin=origin):  # type: ignore[arg-type]
                        pass
                assert refused.value.response.status_code == 403

            plain = await client.get(f"http://127.0.0.1:{proxy.plain_port}/facilities")
            assert (plain.status_code, plain.headers["Location"]) == (308, "https://127.0.0.1/facilities")
            logs = proxy.logs()
            assert '"GET /ws/sensor-data/s" 101' in logs
            assert '"POST /auth/refresh-token" 200' in logs
            assert not [secret for secret in (token, pair["refresh_token"], "token=") if secret in logs]


@needs_nginx
async def test_what_reaches_the_server_is_what_nginx_saw(folder: Path) -> None:
    seen: list[str] = []

    async def remember(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append((await reader.readuntil(b"\r\n\r\n")).decode().lower())
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        await writer.drain()
        writer.close()

    upstream = await asyncio.start_server(remember, "127.0.0.1", 0)
    forged = {"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "http"}
    async with (
        upstream,
        nginx(folder, upstream.sockets[0].getsockname()[1]) as proxy,
        httpx.AsyncClient(base_url=proxy.url, verify=proxy.tls) as client,
    ):
        assert (await client.get("/facilities?limit=5", headers=forged)).status_code == 200
    (request,) = seen
    assert request.startswith("get /facilities?limit=5 http/1.1")
    assert re.findall(r"^x-forwarded-(?:for|proto): (.*)\r$", request, re.MULTILINE) == ["127.0.0.1", "https"]
    assert "6.6.6.6" not in request


@needs_nginx
async def test_a_server_that_is_away_is_told_in_json_and_without_tokens(folder: Path) -> None:
    async with nginx(folder, free_port("127.0.0.1", 0)) as proxy:
        async with httpx.AsyncClient(base_url=proxy.url, verify=proxy.tls) as client:
            answer = await client.get("/ws/notifications?token=precious", headers={"Origin": "https://front.example"})
        assert (answer.status_code, list(answer.json())) == (503, ["detail"])
        assert answer.headers["Access-Control-Allow-Origin"] == "https://front.example"
        assert '"GET /ws/notifications" 503' in proxy.logs()
        assert "precious" not in proxy.logs()


def test_the_configuration_is_whole_and_patient_enough() -> None:
    """What can be seen without nginx."""
    text = re.sub(r"#.*", "", CONFIGURATION.read_text())
    assert text.count("{") == text.count("}")
    for line in re.sub(r"'[^']*'", "''", text).splitlines():
        assert not line.strip() or line.rstrip()[-1] in "{};" or "''" in line, line
    (patience,) = re.findall(r"proxy_read_timeout\s+(\d+)s;", text)
    assert float(patience) > 2 * PING_INTERVAL_S
    assert re.findall(r"client_max_body_size\s+(\w+);", text) == ["1m"]
    assert Settings.model_fields["body_bytes_max"].default == 1024**2
    for forbidden in ("$request ", "$request_uri'", "$args", "$query_string", "$http_referer"):
        assert forbidden not in "".join(re.findall(r"log_format[^;]*;", text))
