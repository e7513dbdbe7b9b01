"""Renew requirements/*.txt from pyproject.toml: every version pinned, every file hashed, no addresses.

Each file constrains the next, so that a development environment runs the very versions that production runs.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMPILE = ["uv", "pip", "compile", "-q", "--generate-hashes", "--no-header", "--no-annotate", "--universal"]
PROJECT = [*COMPILE, "--python-version", "3.11", "--group", "build"]
# What everybody gets. The other extras are large, and few need them: they are locked with what tests need.
RUNTIME = [*PROJECT, "--extra", "postgres"]
DEV = [*PROJECT, "--all-extras", "--group", "dev"]


def main() -> int:
    steps = [
        [*COMPILE, "requirements/bootstrap.in", "-o", "requirements/bootstrap.txt"],
        [*COMPILE, "requirements/node.in", "-o", "requirements/node.txt"],
        [*RUNTIME, "pyproject.toml", "-o", "requirements/runtime.txt"],
        [*DEV, "-c", "requirements/runtime.txt", "pyproject.toml", "-o", "requirements/dev.txt"],
        [*DEV, "--group", "bench", "-c", "requirements/dev.txt", "pyproject.toml",
         "-o", "requirements/bench.txt"],
    ]  # fmt: skip
    upgrade = ["--upgrade"] if "--upgrade" in sys.argv else []
    for step in steps:
        done = subprocess.run([*step, *upgrade], cwd=ROOT, check=False)
        if done.returncode:
            return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
