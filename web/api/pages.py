"""Pages for people: `/`, Swagger UI and ReDoc, from files in the package, under a strict Content-Security-Policy."""

from __future__ import annotations

import secrets
from pathlib import Path

from pydantic_core import to_json
from quart import Blueprint, Response, request, send_from_directory

from web.contract.openapi import product_version
from web.errors import NotFound
from web.serving.routes import json_response

NAME = "pages"
STATIC = Path(__file__).parent.parent / "static"
VENDOR_AGE_S = 86_400

_CLOSED = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
HOME_POLICY = _CLOSED + "style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'"
# Swagger UI draws with inline SVG images; its styles are set through the DOM, which the policy does not concern.
DOCS_POLICY = _CLOSED + "style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'"
# ReDoc writes style elements; each answer admits its own by a nonce, and the two that come before it was told the nonce
# by what they hold (nothing, and a scroll bar's look). Its search runs in a worker made from a blob.
REDOC_POLICY = (
    _CLOSED + "style-src 'self' 'nonce-{nonce}' 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=' "
    "'sha256-QMIg+bpjm3JdElJ388KYke01izlUW0UoNOeKjpMxdgc='; style-src-attr 'unsafe-inline'; script-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; worker-src blob:; child-src blob:"
)


def blueprint(description: bytes) -> Blueprint:
    pages = Blueprint(NAME, __name__)
    names = {path.relative_to(STATIC).as_posix() for path in STATIC.rglob("*") if path.is_file()}
    about = to_json(
        {
            "name": "GasInSight",
            "version": product_version(),
            "detail": "Realtime monitoring of gas facilities",
            "links": ["/console", "/docs", "/redoc", "/openapi.json", "/livez", "/readyz", "/metrics"],
        }
    )

    @pages.get("/")
    async def home() -> Response:
        if request.accept_mimetypes.best_match(["application/json", "text/html"]) != "text/html":
            return json_response(about)
        return _page("home.html", HOME_POLICY)

    @pages.get("/docs")
    async def docs() -> Response:
        return _page("docs.html", DOCS_POLICY)

    @pages.get("/redoc")
    async def redoc() -> Response:
        nonce = secrets.token_urlsafe(16)
        return _page("redoc.html", REDOC_POLICY.format(nonce=nonce), nonce)

    @pages.get("/openapi.json")
    async def openapi() -> Response:
        return json_response(description)

    @pages.get("/favicon.ico")
    async def favicon() -> Response:
        return await send_from_directory(STATIC, "favicon.svg", mimetype="image/svg+xml")

    @pages.get("/static/<path:name>")
    async def static_file(name: str) -> Response:
        if name not in names:  # a path is never made from what was asked for
            raise NotFound("Page")
        response: Response = await send_from_directory(STATIC, name, cache_timeout=VENDOR_AGE_S)
        return response

    return pages


def _page(name: str, policy: str, nonce: str = "") -> Response:
    html = (STATIC / name).read_text(encoding="utf-8").replace("{{nonce}}", nonce)
    response = Response(html, mimetype="text/html")
    response.headers["Content-Security-Policy"] = policy
    response.headers["Cache-Control"] = "no-cache"
    response.headers["Vary"] = "Accept"
    return response
