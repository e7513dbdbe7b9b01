"""The files of a node of a reporting network, and the file in which all operators' identities meet.

Secrets go into files that their owner alone can read, each made once: a key that exists is never overwritten.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from seamark.core.errors import SettingsError
from seamark.core.ids import Address
from seamark.evm.signers import RawKeySigner
from seamark.oracle.reporting.ceremony import NetworkPlan, NodeIdentity, make_keys, read_keys
from seamark.oracle.reporting.network import create_identity
from seamark.oracle.reporting.settings import split_address
from seamark.runtime.settings import read_yaml, validate_settings

__all__ = ["Files", "make_files", "read_plan", "write_private"]

ACCOUNTS: Final = ("signer", "transmitter")


@dataclass(frozen=True, slots=True)
class Files:
    """A node's folder after the ceremony. `identity` is what the others may see."""

    folder: Path
    identity: NodeIdentity

    @property
    def settings(self) -> Path:
        return self.folder / "seamark.yaml"

    @property
    def log(self) -> Path:
        return self.folder / "seamark.log"


def make_files(folder: Path, name: str, address: str, accounts: Mapping[str, Address | None] | None = None) -> Files:
    """All that a node needs of its own, new: off-chain keys, certificate, two accounts, its public identity.

    Args:
        folder: Made where it is missing.
        name: For people.
        address: host:port for the other nodes.
        accounts: Of "signer" and "transmitter", whose keys are elsewhere; a key file is made for one that is missing.

    Raises:
        SettingsError: The folder holds some already, or cannot be written; or the address is none.
    """
    _check_address(address)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError("--folder", f"cannot make {folder}: {error.strerror}", remedy="choose another") from error
    addresses = {role: (accounts or {}).get(role) or _make_account(folder, role) for role in ACCOUNTS}
    raw = make_keys()
    write_private(folder / "offchain.json", raw)
    keys = read_keys(raw, setting="keys")
    tls = create_identity(folder / "certificate.key", folder / "certificate.pem")
    identity = NodeIdentity(
        name=name,
        address=address,
        signer=addresses["signer"],
        transmitter=addresses["transmitter"],
        observation_key=keys.observation.public.hex(),
        encryption_key=keys.encryption.public.hex(),
        certificate=tls.certificate.decode(),
    )
    write_identity(folder / "identity.yaml", identity)
    return Files(folder, identity)


def write_identity(file: Path, identity: NodeIdentity) -> None:
    """The file that an operator gives to the others."""
    file.write_text(yaml.dump(identity.model_dump(mode="json"), Dumper=_Dumper, sort_keys=False))


class _Dumper(yaml.SafeDumper):
    """Writes a text of several lines as it is, so that people can compare certificates."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def write_private(file: Path, content: bytes) -> None:
    """A new file that its owner alone can read.

    Raises:
        SettingsError: There is one already: a key is never overwritten.
    """
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SettingsError(
            str(file), f"cannot be made: {error.strerror}", remedy="choose a folder without keys"
        ) from error
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(content)


def _make_account(folder: Path, role: str) -> Address:
    """A new account; its key in a file."""
    key = secrets.token_bytes(32)
    write_private(folder / f"{role}.key", ("0x" + key.hex() + "\n").encode())
    return RawKeySigner.from_hex(key.hex()).address


def _check_address(address: str) -> None:
    try:
        split_address(address)
    except ValueError as error:
        problem, _, remedy = str(error).partition("; ")
        raise SettingsError("--address", problem, remedy=remedy) from None


def read_plan(file: Path) -> NetworkPlan:
    """What operators agreed on. A node may be written out, or as the path of its identity file (relative to this one).

    Raises:
        SettingsError: A file cannot be read.
        SettingsProblems: They can, and something in them is wrong; carries every problem.
    """
    document = read_yaml(file, os.environ)
    values = dict(document.values)
    nodes = values.get("nodes")
    if isinstance(nodes, list):
        values["nodes"] = [_node(file, node) for node in nodes]
    return validate_settings(NetworkPlan, values, source=str(file), lines=document.lines)


def _node(file: Path, node: Any) -> Any:
    return read_yaml(file.parent / node, os.environ).values if isinstance(node, str) else node
