"""The console over the wire: types, caching and the policy, before there is a database too."""

from __future__ import annotations

import re
from pathlib import Path

import httpx

from tests.integration.web.harness import app_beside_no_database, serving


async def test_the_page_is_fresh_its_assets_are_kept_and_nothing_else_is_served(tmp_path: Path) -> None:
    async with (
        serving(app_beside_no_database(tmp_path)) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
    ):
        page = await client.get("/console")
        assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert page.headers["cache-control"] == "no-cache"
        assert "unsafe" not in page.headers["content-security-policy"]
        assert 'data-single-sign-on="no"' in page.text
        assets = re.findall(r'"(/console/assets/[^"]+)"', page.text)
        kinds = set()
        for name in assets:
            asset = await client.get(name)
            assert asset.status_code == 200
            assert "immutable" in asset.headers["cache-control"]
            kinds.add(asset.headers["content-type"].partition(";")[0])
        assert kinds == {"text/javascript", "text/css"}
        assert (await client.get("/console/")).headers["location"] == "/console"
        for name in ("none.js", "..%2fbuilt.json", "%2e%2e/index.html"):
            assert (await client.get(f"/console/assets/{name}")).status_code == 404
