"""The page's own files, with the right types, revalidated on each load, and nothing outside their folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import FileResponse, Response
from starlette.staticfiles import NotModifiedResponse, StaticFiles
from starlette.types import Scope

__all__ = ["PageFiles", "find_web_root"]

# By hand, because the system's own table differs from machine to machine.
TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".txt": "text/plain; charset=utf-8",
}


def find_web_root() -> Path:
    """The page inside an installed package, else `web/` of a source tree."""
    packaged = Path(__file__).parent / "static"
    return packaged if packaged.is_dir() else Path(__file__).parents[3] / "web"


class PageFiles(StaticFiles):
    """Static files of the kinds listed above; any other is sent as plain bytes, which no browser runs or shows."""

    def __init__(self, root: Path) -> None:
        super().__init__(directory=root, html=True)

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        kind = TYPES.get(Path(full_path).suffix, "application/octet-stream")
        response = FileResponse(full_path, status_code=status_code, stat_result=stat_result, media_type=kind)
        response.headers["Cache-Control"] = "no-cache"  # ask each time; the ETag makes it cheap
        if self.is_not_modified(response.headers, Headers(scope=scope)):
            return NotModifiedResponse(response.headers)
        return response
