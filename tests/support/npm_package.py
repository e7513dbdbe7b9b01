"""An npm package that only some tests need: packed by the machine's own npm, checked, unpacked, kept for the next run.

Too big for the lock file that `make demo` installs, or with dependencies that nobody needs here. The npm client fetches
it from whatever registry it is configured for; its SHA-512 is written down beside the version, as in a lock file.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import pytest

__all__ = ["npm_package"]

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / ".setup" / "npm"
PACK_TIMEOUT_S = 120
SAFELY: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # Debian 12 has 3.11.2 without


def npm_package(name: str, version: str, integrity: str) -> Path:
    """The package's folder; skips the test, in one line, where npm or its registry is not there.

    Args:
        name: Such as "@hyperlane-xyz/core".
        version: The exact one.
        integrity: SHA-512 of the tarball in base64, what npm shows behind "sha512-".
    """
    folder = KEPT / f"{name.replace('/', '+')}@{version}"
    if not folder.is_dir():
        npm = shutil.which("npm", path=f"{ROOT / '.venv' / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}")
        if npm is None:
            pytest.skip(f"npm is missing: needed to fetch {name}@{version}")
        _fetch(npm, f"{name}@{version}", integrity, folder)
    return folder / "package"


def _fetch(npm: str, package: str, integrity: str, folder: Path) -> None:
    KEPT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=KEPT) as scratch:
        command = [npm, "pack", package, "--ignore-scripts", "--silent", "--pack-destination", scratch]
        done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=False, timeout=PACK_TIMEOUT_S)
        tarballs = list(Path(scratch).glob("*.tgz"))
        if done.returncode or not tarballs:
            said = (done.stderr.strip().splitlines() or ["no output"])[-1]
            pytest.skip(f"npm cannot fetch {package}: {said}")
        raw = tarballs[0].read_bytes()
        found = base64.b64encode(hashlib.sha512(raw).digest()).decode()
        assert found == integrity, f"{package} is not what it was: sha512-{found}"
        unpacked = Path(scratch) / "unpacked"
        with tarfile.open(tarballs[0]) as archive:
            archive.extractall(unpacked, **SAFELY)
        try:
            unpacked.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another test process was faster
                raise
