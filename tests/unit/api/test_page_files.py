"""The page's files: types, revalidation, nothing from outside, nothing outside the folder."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import aiohttp
import pytest

from seamark.api.page import TYPES, find_web_root
from tests.support.browser import ServedApi

Shared = tuple[ServedApi, aiohttp.ClientSession]
pytestmark = pytest.mark.asyncio(loop_scope="module")

ROOT = find_web_root()
FILES = sorted(path for path in ROOT.rglob("*") if path.is_file())
TEXTS = {path: path.read_text(encoding="utf-8") for path in FILES}


async def test_the_page_is_at_the_root(shared: Shared) -> None:
    api, client = shared
    async with client.get(f"{api.url}/") as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/html; charset=utf-8"
        assert "<title>Seamark</title>" in await response.text()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
async def test_each_file_has_its_type_and_is_revalidated(shared: Shared, path: Path) -> None:
    api, client = shared
    name = str(path).removeprefix(str(ROOT))
    async with client.get(f"{api.url}{name}") as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == TYPES[name[name.rindex(".") :]]
        assert response.headers["Cache-Control"] == "no-cache"
        etag = response.headers["ETag"]
    async with client.get(f"{api.url}{name}", headers={"If-None-Match": etag}) as response:
        assert response.status == 304
        assert await response.read() == b""


@pytest.mark.parametrize(
    "path", ["/../pyproject.toml", "/%2e%2e/pyproject.toml", "/js/..%2f..%2fREADME.md", "/js", "/.git"]
)
async def test_nothing_else_is_served(shared: Shared, path: str) -> None:
    api, _ = shared
    reader, writer = await asyncio.open_connection(*api.service.address)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    status = (await reader.readline()).decode()
    writer.close()
    await writer.wait_closed()
    assert " 404 " in status


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
async def test_no_file_needs_the_network_or_builds_markup_from_data(path: Path) -> None:
    text = TEXTS[path]
    outside = re.findall(r"(?:src|href|url|from|import)\s*[=(]?\s*['\"(]?\s*((?:https?:)?//[^\s'\")]+)", text)
    assert outside == []
    if str(path).endswith(".js"):
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text)
    if str(path).endswith(".html"):
        assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=|<style", text)
