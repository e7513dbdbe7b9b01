"""CCIP contracts that answer from a table, for tests of discovery."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from seamark.core.errors import RejectedError, TemporaryError
from seamark.core.ids import Address, ChainId, Hash32, Selector
from seamark.evm.abi import Function, compile_encoder
from seamark.evm.types import BlockHeader, BlockTag, Call
from seamark.messages.model import Contract
from seamark.messages.protocols.ccip import CcipChain, CcipProtocol, risk
from seamark.messages.protocols.ccip.router import ROUTER
from seamark.messages.protocols.ccip.v1_2 import events as v1_2
from seamark.messages.protocols.ccip.v1_5 import events as v1_5
from seamark.messages.protocols.ccip.v1_6 import events

HOME, PEER, STRANGER = Selector(138_000), Selector(22_000), Selector(33_000)
CHAIN = ChainId(138)


def address(number: int) -> Address:
    return Address(f"0x{number:040x}")


ROUTER_AT, ON, OFF, OLD_OFF, LEGACY, QUOTER, LINK, DUMB = (address(number) for number in range(1, 9))
PROXY, RISK = address(9), address(10)
REMOTE_ON = address(99)
NONE = address(0)
FINAL = 7  # the final block

Answer = Callable[..., Sequence[Any]]
TYPE = Function.parse("function typeAndVersion() view returns (string)")
SYMBOL = Function.parse("function symbol() view returns (string)")
DECIMALS = Function.parse("function decimals() view returns (uint8)")


def encoded(raw: str) -> bytes:
    return bytes(12) + bytes.fromhex(raw[2:])


class Node:
    """Contracts by address: a function and what it returns; everything else reverts."""

    chain_id = CHAIN

    def __init__(self) -> None:
        self.down = False
        self.final: int | None = FINAL
        self.young: set[Address] = set()  # not there yet at the final block
        self.asked_at: set[BlockTag] = set()
        self.code_at = {ROUTER_AT}
        self.answers: dict[tuple[Address, bytes], tuple[Function, Answer]] = {}
        self.on_ramps = {PEER: ON}
        self.off_ramps = [(PEER, OFF)]
        self.say(ROUTER_AT, TYPE, lambda: ["Router 1.2.0"])
        self.say(ROUTER_AT, ROUTER.function("getOnRamp"), lambda selector: [self.on_ramps.get(selector, NONE)])
        self.say(ROUTER_AT, ROUTER.function("getOffRamps"), lambda: [self.off_ramps])
        self.on_ramp(ON)
        self.off_ramp(OFF, {PEER: REMOTE_ON})
        self.say(ROUTER_AT, ROUTER.function("getArmProxy"), lambda: [PROXY])
        self.say(PROXY, TYPE, lambda: ["ARMProxy 1.0.0"])
        self.say(PROXY, risk.PROXY.function("getARM"), lambda: [RISK])
        self.say(RISK, TYPE, lambda: ["RMNRemote 1.6.0"])
        self.say(QUOTER, TYPE, lambda: ["FeeQuoter 1.6.0"])
        self.say(QUOTER, events.FEE_QUOTER.function("getFeeTokens"), lambda: [[LINK, DUMB]])
        self.say(LINK, SYMBOL, lambda: ["LINK"])
        self.say(LINK, DECIMALS, lambda: [18])

    def say(self, at: Address, function: Function, answer: Answer) -> None:
        self.answers[at, function.selector] = (function, answer)

    def on_ramp(self, at: Address, version: str = "OnRamp 1.6.0", selector: int = HOME) -> None:
        self.say(at, TYPE, lambda: [version])
        self.say(at, events.ON_RAMP.function("getStaticConfig"), lambda: [(selector, NONE, NONE, NONE)])
        self.say(at, events.ON_RAMP.function("getDynamicConfig"), lambda: [(QUOTER, False, NONE, NONE, NONE)])

    def off_ramp(self, at: Address, sources: dict[Selector, Address]) -> None:
        configs = [(ROUTER_AT, True, 1, True, encoded(ramp)) for ramp in sources.values()]
        self.say(at, TYPE, lambda: ["OffRamp 1.6.1"])
        self.say(at, events.OFF_RAMP.function("getStaticConfig"), lambda: [(HOME, 5000, NONE, NONE, NONE)])
        self.say(at, events.OFF_RAMP.function("getAllSourceChainConfigs"), lambda: [list(sources), configs])

    def evm2evm(
        self,
        version: str,
        *,
        on_ramp: Address | None = None,
        off_ramp: Address | None = None,
        store: Address = NONE,
        previous: Address = NONE,
        registry: Address = NONE,
        selector: int = HOME,
    ) -> None:
        """An OnRamp towards PEER, or an OffRamp with its CommitStore for messages of REMOTE_ON there."""
        abis = {"1.2": v1_2, "1.5": v1_5}[version]
        tail = () if version == "1.2" else (NONE,)
        if on_ramp:
            static = (LINK, selector, PEER, 200_000, 0, previous, PROXY, *tail)
            dynamic = (ROUTER_AT, 0, 0, 0, 0, 0, 0, registry, 0, 0, *(() if version == "1.2" else (0, 0, False)))
            self.say(on_ramp, TYPE, lambda: [f"EVM2EVMOnRamp {version}.0"])
            self.say(on_ramp, abis.ON_RAMP.function("getStaticConfig"), lambda: [static])
            self.say(on_ramp, abis.ON_RAMP.function("getDynamicConfig"), lambda: [dynamic])
        if off_ramp:
            arrives = (store, selector, PEER, REMOTE_ON, previous, PROXY, *tail)
            self.say(off_ramp, TYPE, lambda: [f"EVM2EVMOffRamp {version}.0"])
            self.say(off_ramp, abis.OFF_RAMP.function("getStaticConfig"), lambda: [arrives])
            commits = abis.COMMIT_STORE.function("getStaticConfig")
            self.say(store, TYPE, lambda: [f"CommitStore {version}.0"])
            self.say(store, commits, lambda: [(selector, PEER, REMOTE_ON, PROXY)])

    async def header(self, tag: BlockTag) -> BlockHeader | None:
        if self.down:
            raise TemporaryError("no answer")
        assert tag == "finalized"
        block_hash = Hash32("0x" + "07" * 32)
        return None if self.final is None else BlockHeader(self.final, block_hash, block_hash, 5)

    async def code(self, at: Address) -> bytes:
        return b"\x60" if at in self.code_at else b""

    async def call(self, call: Call) -> bytes:
        (answer,) = await self.calls([call])
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def calls(self, calls: Sequence[Call]) -> list[bytes | Exception]:
        return [self._answer(call) for call in calls]

    def _answer(self, call: Call) -> bytes | Exception:
        if self.down:
            return TemporaryError("no answer")
        self.asked_at.add(call.block)
        if call.to in self.young and call.block != "latest":
            return b""
        found = self.answers.get((call.to, call.data[:4]))
        if found is None:
            return RejectedError("reverted")
        function, answer = found
        return compile_encoder(function.outputs)(answer(*function.decode_call(call.data)))


def make_protocol(**changes: Any) -> CcipProtocol:
    home = CcipChain(CHAIN, HOME, "home", changes.get("router", ROUTER_AT), 0, "ccip.chains[0]")
    return CcipProtocol([home, CcipChain(ChainId(22), PEER, "peer", address(50), 0, "ccip.chains[1]")])


async def discover(node: Node, known: Sequence[Contract] = ()) -> dict[Address, Contract]:
    found = await make_protocol().discover(node, known)  # type: ignore[arg-type]
    return {item.address: item for item in found}
