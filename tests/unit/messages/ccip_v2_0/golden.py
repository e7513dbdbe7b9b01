"""What the published 2.0.0 contracts emitted (`record.py`), as the tests of this folder read it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from seamark.core.ids import Address, BlockRef, ChainId, Selector
from seamark.evm.ports import Block
from seamark.evm.types import Log
from seamark.messages.model import Contract, Decoded, Executed, Sent, Sighting
from seamark.messages.protocol import Watch
from seamark.messages.protocols.ccip import CcipChain, CcipProtocol

GOLDEN: dict[str, Any] = msgspec.json.decode((Path(__file__).parents[1] / "data" / "ccip_2_0.json").read_bytes())
HOME, REMOTE = GOLDEN["chains"]
FATES = {item["id"]: item["fate"] for item in GOLDEN["messages"]}
IDS = {fate: name for name, fate in FATES.items()}
ENCODED = {item["fate"]: bytes.fromhex(item["encoded"][2:]) for item in GOLDEN["messages"]}

ROLES = {
    "router": ("router", "1.2.0"),
    "rmn": ("rmn", "2.0.0"),
    "arm_proxy": ("armproxy", "1.0.0"),
    "on_ramp": ("onramp", "2.0.0"),
    "off_ramp": ("offramp", "2.0.0"),
    "quoter": ("feequoter", "2.0.0"),
    "verifier": ("verifier", "2.0.0"),
    "resolver": ("resolver", "2.0.0"),
    "fee_executor": ("executor", "2.0.0"),
}


def contracts(chain: dict[str, Any], peer: dict[str, Any]) -> list[Contract]:
    """What discovery finds on a chain."""
    details = {
        "on_ramp": {"link": chain["contracts"]["link"]},
        "off_ramp": {peer["selector"]: peer["contracts"]["on_ramp"]},
    }
    return [
        Contract(
            chain_id=ChainId(chain["chain_id"]),
            address=chain["contracts"][name],
            role=role,
            version=version,
            details=details.get(name, {}),
        )
        for name, (role, version) in ROLES.items()
    ]


def make_protocol() -> CcipProtocol:
    return CcipProtocol(
        [
            CcipChain(
                ChainId(chain["chain_id"]),
                Selector(int(chain["selector"])),
                chain["name"],
                Address(chain["contracts"]["router"]),
                0,
                "ccip",
            )
            for chain in (HOME, REMOTE)
        ]
    )


def peer_of(chain: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = REMOTE if chain is HOME else HOME
    return found


def make_watch(chain: dict[str, Any], known: list[Contract] | None = None) -> Watch:
    return make_protocol().watch(ChainId(chain["chain_id"]), known or contracts(chain, peer_of(chain)))


def blocks_of(chain: dict[str, Any]) -> list[Block]:
    return [
        Block(
            BlockRef(item["number"], item["hash"], item["parent_hash"], item["timestamp"]),
            tuple(msgspec.convert(log, Log) for log in item["logs"]),
        )
        for item in chain["blocks"]
    ]


def decode_all(chain: dict[str, Any], *, whole: bool = True) -> list[Decoded]:
    watch = make_watch(chain)
    return [watch.decode(block, whole) for block in blocks_of(chain)]


def sightings(chain: dict[str, Any]) -> list[Sighting]:
    return [item for decoded in decode_all(chain) for item in decoded.sightings]


def sent(fate: str) -> tuple[Sighting, Sent]:
    """The send of a message, by its fate."""
    for chain in (HOME, REMOTE):
        for item in sightings(chain):
            if item.message_id == IDS[fate] and isinstance(item.body, Sent):
                return item, item.body
    raise AssertionError(fate)


def runs(fate: str) -> list[Executed]:
    """The attempts to execute a message, in order."""
    found = [item for chain in (HOME, REMOTE) for item in sightings(chain) if item.message_id == IDS[fate]]
    return [item.body for item in found if isinstance(item.body, Executed)]
