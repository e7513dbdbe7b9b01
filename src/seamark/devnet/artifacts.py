"""Chainlink's compiled contracts, from their npm package.

They stay where npm puts them (`node_modules/@chainlink/contracts-ccip`): their licence allows to run them for
development, not to copy them into another project.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

from seamark.core.errors import StopError
from seamark.devnet.anvil import node_module_roots
from seamark.evm.abi import Abi
from seamark.evm.artifacts import Artifact

__all__ = ["ccip_artifact"]

CCIP_PACKAGE = "@chainlink/contracts-ccip"
_REMEDY = "run `make demo` or `npm ci` in the project's folder"


@lru_cache(maxsize=64)
def ccip_artifact(version: str, name: str) -> Artifact:
    """One contract of the package, such as ("v1_6_0", "offramp").

    Raises:
        StopError: The package is not installed, or has no such contract.
    """
    package = _ccip_package()
    try:
        entries = json.loads((package / "abi" / version / f"{name}.json").read_text())
        code = (package / "bytecode" / version / f"{name}.bin").read_text().strip()
    except OSError as error:
        raise StopError(f"{CCIP_PACKAGE} has no {version}/{name}", remedy=_REMEDY) from error
    return Artifact(name, Abi.from_json(entries), bytes.fromhex(code.removeprefix("0x")))


def _ccip_package() -> Path:
    for root in node_module_roots():
        package = root / CCIP_PACKAGE
        if (package / "bytecode").is_dir():
            return package
    raise StopError(f"the npm package {CCIP_PACKAGE} is not installed", remedy=_REMEDY)
