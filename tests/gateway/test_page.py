"""How the chat page is served; tests/browser shows what it does."""

import re

import pytest

from tests.support.gateways import made_up_gateway

HTML = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
FILES = {
    "/": "text/html",
    "/static/page.js": "text/javascript",
    "/static/page.css": "text/css",
    "/static/icon.svg": "image/svg+xml",
}


async def test_a_browser_gets_the_page_and_others_the_status() -> None:
    async with made_up_gateway({}) as client:
        page = await client.get("/", headers=HTML)
        assert page.text.startswith("<!doctype html>")
        assert "accept" in page.headers["vary"]
        for accept in ("*/*", "application/json"):
            assert (await client.get("/", headers={"accept": accept})).json() == {"status": "ok"}


@pytest.mark.parametrize(("path", "kind"), FILES.items())
async def test_a_file_of_the_page_has_its_type_and_is_sent_once(path: str, kind: str) -> None:
    async with made_up_gateway({}) as client:
        first = await client.get(path, headers=HTML)
        assert first.headers["content-type"].startswith(kind)
        assert first.headers["cache-control"] == "no-cache"
        again = await client.get(path, headers=HTML | {"if-none-match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        packed = await client.get(path, headers=HTML | {"accept-encoding": "gzip"})
        assert packed.headers["content-encoding"] == "gzip"
        assert packed.content == first.content
        assert packed.num_bytes_downloaded <= first.num_bytes_downloaded


async def test_the_page_needs_nothing_from_elsewhere_and_has_no_script_or_style_in_it() -> None:
    async with made_up_gateway({}) as client:
        page = await client.get("/", headers=HTML)
        assert set(re.findall(r'(?:src|href)="([^"]+)"', page.text)) == {
            "#message",
            "static/icon.svg",
            "static/page.css",
            "static/page.js",
        }
        assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son\w+=", page.text)
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        style = (await client.get("/static/page.css")).text
        assert "url(" not in style
        assert "@import" not in style


async def test_other_paths_under_static_are_not_found() -> None:
    async with made_up_gateway({}) as client:
        for path in (
            "/static/",
            "/static/index.html",
            "/static/../docs.html",
            "/static/%2e%2e/docs.html",
            "/static/page/page.js",
        ):
            assert (await client.get(path)).status_code == 404, path
