"""What CCIP 1.5 and 1.2 emitted on two anvils (recorded by tests/support/record_ccip_v1_5.py)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from seamark.core.ids import Address, BlockRef, ChainId, Selector
from seamark.evm.ports import Block
from seamark.evm.types import Log
from seamark.messages.model import Contract, Decoded, Notice, Sighting
from seamark.messages.protocol import Watch
from seamark.messages.protocols.ccip import CcipChain, CcipProtocol

__all__ = ["Recording", "load"]


def load(version: str) -> Recording:
    path = Path(__file__).parent.parent / "data" / f"ccip_{version.replace('.', '_')}.json"
    return Recording(version, msgspec.json.decode(path.read_bytes()))


class Recording:
    """Two chains and the fates of their messages."""

    def __init__(self, version: str, raw: dict[str, Any]) -> None:
        self.version = f"{version}.0"
        self.home, self.remote = raw["chains"]
        self.fates = {item["id"]: item["fate"] for item in raw["messages"]}

    def peer(self, chain: dict[str, Any]) -> Any:
        return self.remote if chain is self.home else self.home

    def protocol(self) -> CcipProtocol:
        return CcipProtocol(
            [
                CcipChain(
                    ChainId(item["chain_id"]), Selector(int(item["selector"])), item["name"], item["router"], 0, "ccip"
                )
                for item in (self.home, self.remote)
            ]
        )

    def contracts(self, chain: dict[str, Any]) -> list[Contract]:
        source = {"source": self.peer(chain)["selector"], "onramp": chain["peer_onramp"]}
        found = [
            ("router", "router", "1.2.0", {}),
            ("arm_proxy", "armproxy", "1.0.0", {}),
            ("rmn", "rmn", "1.5.0", {}),
            ("prices", "feequoter", "1.2.0", {}),
            ("onramp", "onramp", self.version, {"destination": self.peer(chain)["selector"], "link": chain["link"]}),
            ("commitstore", "commitstore", self.version, source),
            ("offramp", "offramp", self.version, source | {"commitstore": chain["commitstore"]}),
        ]
        return [
            Contract(
                chain_id=ChainId(chain["chain_id"]),
                address=Address(chain[name]),
                role=role,
                version=version,
                details=details,
            )
            for name, role, version, details in found
        ]

    def watch(self, chain: dict[str, Any]) -> Watch:
        return self.protocol().watch(ChainId(chain["chain_id"]), self.contracts(chain))

    @staticmethod
    def blocks(chain: dict[str, Any]) -> list[Block]:
        return [
            Block(
                BlockRef(item["number"], item["hash"], item["parent_hash"], item["timestamp"]),
                tuple(msgspec.convert(log, Log) for log in item["logs"]),
            )
            for item in chain["blocks"]
        ]

    def decoded(self, chain: dict[str, Any], *, whole: bool = True) -> list[Decoded]:
        watch = self.watch(chain)
        return [watch.decode(block, whole) for block in self.blocks(chain)]

    def sightings(self, chain: dict[str, Any], kind: type, *, whole: bool = True) -> list[Sighting]:
        found = [item for decoded in self.decoded(chain, whole=whole) for item in decoded.sightings]
        return [item for item in found if isinstance(item.body, kind)]

    def notices(self, chain: dict[str, Any]) -> list[Notice]:
        return [item for decoded in self.decoded(chain) for item in decoded.notices]

    def of(self, items: list[Sighting], fate: str) -> list[Sighting]:
        return [item for item in items if self.fates[item.message_id] == fate]
