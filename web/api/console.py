"""The operator console: one page and its assets from files in the package, under a strict Content-Security-Policy."""

from __future__ import annotations

from pathlib import Path

from quart import Blueprint, Response, send_from_directory

from web.errors import NotFound

NAME = "console"
ASSETS = Path(__file__).parent.parent / "console_assets"
ASSET_AGE_S = 31_536_000
"""Names of assets hold a hash of what is in them."""
POLICY = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'"
)
TYPES = {".js": "text/javascript", ".css": "text/css"}


def blueprint(*, has_single_sign_on: bool) -> Blueprint:
    console = Blueprint(NAME, __name__)
    names = {path.name for path in (ASSETS / "assets").iterdir()}
    page = (ASSETS / "index.html").read_text(encoding="utf-8")
    page = page.replace("{{single_sign_on}}", "yes" if has_single_sign_on else "no")

    @console.get("/console")
    async def console_page() -> Response:
        response = Response(page, mimetype="text/html")
        response.headers["Content-Security-Policy"] = POLICY
        response.headers["Cache-Control"] = "no-cache"
        return response

    @console.get("/console/")
    async def with_a_slash() -> Response:
        return Response(b"", status=308, headers={"Location": "/console"})

    @console.get("/console/assets/<name>")
    async def asset(name: str) -> Response:
        if name not in names:  # a path is never made from what was asked for
            raise NotFound("Page")
        kind = TYPES.get(Path(name).suffix)
        response: Response = await send_from_directory(ASSETS / "assets", name, mimetype=kind)
        response.headers["Cache-Control"] = f"public, max-age={ASSET_AGE_S}, immutable"
        return response

    return console
