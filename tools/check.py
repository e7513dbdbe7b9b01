"""Every check and test, in the order in which they fail fastest; the last line printed is pytest's.

    python tools/check.py [--lint-only] [pytest arguments…]

Needs the environment that tools/setup.py makes. Debian packages that some tests need (a PostgreSQL server, Chromium)
are installed when this runs as root, and promtool is taken out of its package; otherwise those tests say in one line
what is missing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".venv" / "bin"
PYTHON_CODE = ["src", "tests", "bench", "tools"]

CHECKS: dict[str, list[str]] = {
    "format": ["ruff", "format", "--check", "-q", *PYTHON_CODE],
    "lint": ["ruff", "check", "-q", *PYTHON_CODE],
    "types": ["mypy", "--no-error-summary"],
    "imports": ["lint-imports", "--no-cache"],
}

DEBIAN_PACKAGES: dict[str, Callable[[], bool]] = {
    "postgresql": lambda: any(Path("/usr/lib/postgresql").glob("*/bin/initdb")),
    "chromium": lambda: bool(shutil.which("chromium")),
}

# Packages of which a program is wanted and not the service that their installation starts.
DEBIAN_PROGRAMS = {"prometheus": "promtool"}


def say(text: str) -> None:
    print(f"check: {text}", flush=True)


def install_debian_packages() -> None:
    missing = [name for name, is_there in DEBIAN_PACKAGES.items() if not is_there()]
    if not missing:
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        say(f"not installed and not root: {', '.join(missing)}; the tests that need them will say so")
        return
    say(f"installing {', '.join(missing)} from Debian")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "update", "-q"],
        ["apt-get", "install", "-y", "-q", "--no-install-recommends", *missing],
    ):
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-3:])
            say(f"{' '.join(command[:2])} failed; the tests that need {', '.join(missing)} will say so\n{tail}")
            return


def fetch_debian_programs() -> None:
    """Take the program out of the package into .venv/bin, without installing anything."""
    for package, program in DEBIAN_PROGRAMS.items():
        if shutil.which(program) or (BIN / program).exists() or not shutil.which("apt-get"):
            continue
        say(f"fetching {program} out of the Debian package {package}")
        with tempfile.TemporaryDirectory() as folder:
            script = f"(apt-get download -q {package} || (apt-get update -q && apt-get download -q {package}))"
            script += f" && dpkg-deb --fsys-tarfile {package}_*.deb | tar -x ./usr/bin/{program}"
            done = subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, text=True, check=False)
            found = Path(folder, "usr", "bin", program)
            if done.returncode or not found.exists():
                say(f"{program} cannot be had; the tests that need it will say so\n{done.stderr.strip()[-300:]}")
                continue
            shutil.copy(found, BIN / program)


def run_checks() -> list[str]:
    """The names of the checks that failed."""
    failed = []
    for name, command in CHECKS.items():
        started = time.monotonic()
        done = subprocess.run(
            [str(BIN / command[0]), *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False
        )
        say(f"{name}: {'FAILED' if done.returncode else 'ok'} ({time.monotonic() - started:.0f} s)")
        if done.returncode:
            failed.append(name)
            print((done.stdout + done.stderr).strip(), flush=True)
    return failed


def run_tests(arguments: list[str]) -> int:
    """All tests in as many processes as there are cores; with arguments, what they say in one process."""
    whole = ["--numprocesses", str(os.cpu_count() or 1), "--dist", "worksteal", "--cov", "--cov-report=term"]
    return subprocess.run([str(BIN / "pytest"), *(arguments or whole)], cwd=ROOT, check=False).returncode


def main(arguments: list[str]) -> int:
    if "--lint-only" in arguments:
        return bool(run_checks())
    install_debian_packages()
    fetch_debian_programs()
    failed = run_checks()
    if failed:
        say(f"failed: {', '.join(failed)} (details above); the tests run all the same")
    tests = run_tests(arguments)
    return tests or bool(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
