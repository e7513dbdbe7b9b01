"""Generate the contract artifacts that Python needs, and tell when they differ from the source.

`generate` compiles `contracts/` with forge and writes one JSON file per contract (ABI and bytecode) into
`src/seamark/evm/artifacts/`. `check` compiles and compares without writing, and exits 1 if a file is missing, stale or
superfluous. The output depends on the sources and the pinned compiler only: no metadata hash, no path, no time.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CONTRACTS = ROOT / "contracts"
ARTIFACTS = ROOT / "src" / "seamark" / "evm" / "artifacts"
FOUNDRY = ROOT / "node_modules" / "@foundry-rs"
NAMES = ("Aggregator", "OracleReceiver", "OracleWithCCIP", "ReportingAggregator", "WrappedNative")
BUILD_TIMEOUT_S = 300


class ContractsError(Exception):
    """The contracts cannot be built; the message says what to do."""


def forge_binary() -> Path:
    """The forge of this platform. Not `.bin/forge`: that wrapper exits 0 even when forge fails."""
    found = sorted(FOUNDRY.glob("forge-*/bin/forge*"))
    if not found:
        raise ContractsError("forge is not installed: run `make setup` (it runs `npm ci`)")
    return found[0]


def build(out: Path) -> None:
    """Compile the sources (not the tests) into `out`, without touching the caches in the tree."""
    command = [str(forge_binary()), "build", "--skip", "test", "--out", str(out), "--cache-path", str(out / "cache")]
    env = {**os.environ, "FOUNDRY_DISABLE_NIGHTLY_WARNING": "1", "NO_COLOR": "1"}
    done = subprocess.run(
        command, cwd=CONTRACTS, env=env, capture_output=True, text=True, check=False, timeout=BUILD_TIMEOUT_S
    )
    if done.returncode != 0:
        raise ContractsError(f"forge build failed:\n{done.stdout}{done.stderr}")


def artifact(out: Path, name: str) -> dict[str, Any]:
    """What Python needs of one contract, from forge's output."""
    built = json.loads((out / f"{name}.sol" / f"{name}.json").read_text())
    metadata = built["metadata"]
    settings = metadata["settings"]
    return {
        "contractName": name,
        "abi": built["abi"],
        "bytecode": built["bytecode"]["object"],
        "compiler": {
            "version": metadata["compiler"]["version"],
            "evmVersion": settings["evmVersion"],
            "optimizerRuns": settings["optimizer"]["runs"],
        },
    }


def render(out: Path) -> dict[str, str]:
    """File name to file content, for every artifact."""
    texts = {}
    for name in NAMES:
        texts[f"{name}.json"] = json.dumps(artifact(out, name), indent=1, sort_keys=True) + "\n"
    return texts


def differences(expected: dict[str, str]) -> list[str]:
    """One line for each file on disk that is not what the sources say."""
    lines = []
    for name, text in sorted(expected.items()):
        path = ARTIFACTS / name
        if not path.exists():
            lines.append(f"{path.relative_to(ROOT)} is missing")
        elif path.read_text() != text:
            lines.append(f"{path.relative_to(ROOT)} differs from contracts/src")
    extra = {path.name for path in ARTIFACTS.glob("*.json")} - expected.keys()
    lines.extend(f"{(ARTIFACTS / name).relative_to(ROOT)} belongs to no contract" for name in sorted(extra))
    return lines


def write(expected: dict[str, str]) -> None:
    """Bring the files on disk in line with the sources."""
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    for stale in ARTIFACTS.glob("*.json"):
        if stale.name not in expected:
            stale.unlink()
    for name, text in expected.items():
        (ARTIFACTS / name).write_text(text)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("command", choices=["generate", "check"], help="write the artifacts, or only compare them")
    command = parser.parse_args(argv).command
    try:
        with tempfile.TemporaryDirectory(prefix="seamark-contracts-") as directory:
            build(Path(directory))
            expected = render(Path(directory))
    except ContractsError as error:
        print(f"contracts: {error}", file=sys.stderr)
        return 1
    if command == "generate":
        write(expected)
        print(f"contracts: wrote {len(expected)} artifacts to {ARTIFACTS.relative_to(ROOT)}")
        return 0
    lines = differences(expected)
    for line in lines:
        print(f"contracts: {line}; run `python tools/contracts.py generate`", file=sys.stderr)
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
