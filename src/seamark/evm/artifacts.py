"""Compiled contracts that ship with the package: `artifacts/<Name>.json`, generated from the Solidity sources."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import msgspec

from seamark.core.errors import StopError
from seamark.evm.abi import Abi, AbiError
from seamark.evm.hexdata import HexError, parse_data

__all__ = ["Artifact", "load"]

_REMEDY = "generate the contract artifacts again"


@dataclass(frozen=True, slots=True)
class Artifact:
    """A compiled contract; `bytecode` is the creation code without constructor arguments."""

    name: str
    abi: Abi
    bytecode: bytes

    def creation(self, *arguments: Any) -> bytes:
        """Data of the transaction that deploys it; raises `EncodeError`."""
        return self.bytecode + self.abi.constructor.encode(*arguments)


class _File(msgspec.Struct):
    contractName: str  # noqa: N815 - the file's own name
    abi: list[dict[str, Any]]
    bytecode: str


@cache
def load(name: str) -> Artifact:
    """Read a contract by its name, such as "Aggregator".

    Raises:
        StopError: There is no such artifact, or it is damaged.
    """
    file = resources.files("seamark.evm").joinpath("artifacts", f"{name}.json")
    try:
        return parse_artifact(file.read_bytes())
    except OSError as error:
        raise StopError(f"contract artifact {name} is missing", remedy=_REMEDY) from error
    except (msgspec.MsgspecError, AbiError, HexError) as error:
        raise StopError(f"contract artifact {name} is damaged: {error}", remedy=_REMEDY) from error


def parse_artifact(raw: bytes) -> Artifact:
    """From the file's bytes: JSON with `contractName`, `abi`, `bytecode`; other fields are ignored."""
    read = msgspec.json.decode(raw, type=_File)
    code = read.bytecode if read.bytecode.startswith("0x") else "0x" + read.bytecode
    return Artifact(read.contractName, Abi.from_json(read.abi), parse_data(code))
