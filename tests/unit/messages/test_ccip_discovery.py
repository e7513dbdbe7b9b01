"""Discovery from the router's address, on contracts that answer from a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from seamark.core.errors import RejectedError, SettingsError, TemporaryError
from seamark.core.ids import Address, ChainId, Selector
from seamark.evm.abi import Function, compile_encoder
from seamark.evm.types import Call
from seamark.messages.model import ConfigChange, Contract
from seamark.messages.protocol import TokenInfo
from seamark.messages.protocols.ccip import CcipChain, CcipProtocol, risk
from seamark.messages.protocols.ccip.discovery import fee_tokens
from seamark.messages.protocols.ccip.router import ROUTER
from seamark.messages.protocols.ccip.v1_6 import events
from seamark.messages.protocols.ccip.v1_6.keys import lane_key

HOME, PEER, STRANGER = Selector(138_000), Selector(22_000), Selector(33_000)
CHAIN = ChainId(138)


def address(number: int) -> Address:
    return Address(f"0x{number:040x}")


ROUTER_AT, ON, OFF, OLD_OFF, LEGACY, QUOTER, LINK, DUMB = (address(number) for number in range(1, 9))
PROXY, RISK = address(9), address(10)
REMOTE_ON = address(99)
NONE = address(0)

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


class TestCheck:
    async def test_a_router(self) -> None:
        await make_protocol().check(Node())  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        ("answer", "words"), [(["OnRamp 1.6.0"], "answers OnRamp 1.6.0"), (None, "no typeAndVersion")]
    )
    async def test_another_contract(self, answer: list[str] | None, words: str) -> None:
        node = Node()
        del node.answers[ROUTER_AT, TYPE.selector]
        if answer:
            node.say(ROUTER_AT, TYPE, lambda: answer)
        with pytest.raises(SettingsError, match=words) as caught:
            await make_protocol().check(node)  # type: ignore[arg-type]
        assert caught.value.setting == "ccip.chains[0].router"

    async def test_no_contract(self) -> None:
        node = Node()
        node.code_at.clear()
        with pytest.raises(SettingsError, match="no contract"):
            await make_protocol().check(node)  # type: ignore[arg-type]

    async def test_a_silent_node_is_not_a_wrong_setting(self) -> None:
        node = Node()
        node.down = True
        with pytest.raises(TemporaryError):
            await make_protocol().check(node)  # type: ignore[arg-type]


class TestDiscover:
    async def test_router_and_ramps(self) -> None:
        found = await discover(Node())
        assert {key: (item.role, item.version) for key, item in found.items()} == {
            ROUTER_AT: ("router", "1.2.0"),
            ON: ("onramp", "1.6.0"),
            OFF: ("offramp", "1.6.1"),
            QUOTER: ("feequoter", "1.6.0"),
            PROXY: ("armproxy", "1.0.0"),
            RISK: ("rmn", "1.6.0"),
        }
        assert found[OFF].details == {str(PEER): REMOTE_ON}

    async def test_several_off_ramps_for_a_source_and_a_peer_found_by_them(self) -> None:
        node = Node()
        second_on = address(60)
        node.off_ramps = [(PEER, OFF), (PEER, OLD_OFF), (STRANGER, OLD_OFF)]
        node.on_ramps[STRANGER] = second_on
        node.on_ramp(second_on)
        node.off_ramp(OLD_OFF, {PEER: REMOTE_ON, STRANGER: address(98)})
        found = await discover(node)
        assert {OFF, OLD_OFF, ON, second_on} <= set(found)
        assert found[OLD_OFF].details == {str(PEER): REMOTE_ON, str(STRANGER): address(98)}

    async def test_a_removed_ramp_stays_and_is_read_again(self) -> None:
        node = Node()
        node.off_ramp(OLD_OFF, {PEER: REMOTE_ON})
        known = Contract(chain_id=CHAIN, address=OLD_OFF, role="offramp", version="1.6.0", details={})
        assert (await discover(node, [known]))[OLD_OFF].details == {str(PEER): REMOTE_ON}

    async def test_an_unsupported_generation_is_remembered_and_not_watched(self) -> None:
        node = Node()
        node.off_ramps.append((PEER, LEGACY))
        node.say(LEGACY, TYPE, lambda: ["EVM2EVMOffRamp 1.5.0"])
        found = await discover(node)
        assert (found[LEGACY].role, found[LEGACY].version) == ("unsupported", "EVM2EVMOffRamp 1.5.0")
        wanted = make_protocol().watch(CHAIN, list(found.values())).filter
        assert LEGACY not in wanted.addresses
        assert {ROUTER_AT, ON, OFF, QUOTER, PROXY, RISK} == set(wanted.addresses)

    async def test_an_address_that_says_nothing(self) -> None:
        node = Node()
        node.off_ramps.append((PEER, DUMB))
        assert (await discover(node))[DUMB].role == "unsupported"

    async def test_the_selector_is_checked_against_the_contracts(self) -> None:
        node = Node()
        node.on_ramp(ON, selector=7)
        with pytest.raises(SettingsError, match="set it to 7"):
            await discover(node)

    async def test_a_silent_node(self) -> None:
        node = Node()
        node.down = True
        with pytest.raises(TemporaryError):
            await discover(node)


class TestIdentify:
    async def test_only_what_is_new_or_different(self) -> None:
        node, protocol = Node(), make_protocol()
        known = await protocol.discover(node, [])  # type: ignore[arg-type]
        new = address(70)
        node.on_ramp(new)
        change = ConfigChange(chain_id=CHAIN, block_number=5, event="OnRampSet", addresses=(ON, new))
        (found,) = await protocol.identify(node, [change], known)  # type: ignore[arg-type]
        assert found.address == new
        node.off_ramp(OFF, {PEER: address(97)})
        change = ConfigChange(chain_id=CHAIN, block_number=6, event="SourceChainConfigSet", addresses=(OFF,))
        (found,) = await protocol.identify(node, [change], known)  # type: ignore[arg-type]
        assert found.details == {str(PEER): address(97)}

    async def test_a_ramp_of_another_chain_that_comes_later_stops_nothing(self) -> None:
        node, protocol = Node(), make_protocol()
        known = await protocol.discover(node, [])  # type: ignore[arg-type]
        stray = address(71)
        node.on_ramp(stray, selector=7)
        change = ConfigChange(chain_id=CHAIN, block_number=5, event="OnRampSet", addresses=(stray,))
        (found,) = await protocol.identify(node, [change], known)  # type: ignore[arg-type]
        assert (found.address, found.role) == (stray, "unsupported")
        node.on_ramps[PEER] = stray
        again = await protocol.discover(node, [*known, found])  # type: ignore[arg-type]
        assert next(item for item in again if item.address == stray).role == "unsupported", "nor the next start"
        assert stray not in protocol.watch(CHAIN, again).filter.addresses


class TestNames:
    async def test_fee_tokens(self) -> None:
        node, protocol = Node(), make_protocol()
        await protocol.discover(node, [])  # type: ignore[arg-type]
        assert protocol.token(CHAIN, LINK) == TokenInfo("LINK", 18)
        assert protocol.token(CHAIN, DUMB) is None, "it does not tell its name"
        assert protocol.token(None, LINK) is None

    @pytest.mark.parametrize("config", [None, (address(77), False, NONE, NONE, NONE)])
    async def test_a_ramp_that_does_not_tell_its_fee_tokens_stops_nothing(self, config: Any) -> None:
        """It reverts, or names a quoter that does."""
        node, protocol = Node(), make_protocol()
        mute = address(72)
        node.on_ramp(mute)
        node.on_ramps[STRANGER] = mute
        node.off_ramps.append((STRANGER, OFF))
        function = events.ON_RAMP.function("getDynamicConfig")
        if config is None:
            del node.answers[mute, function.selector]
        else:
            node.say(mute, function, lambda: [config])
        with capture_logs() as lines:
            found = await protocol.discover(node, [])  # type: ignore[arg-type]
        assert {ON, mute} <= {item.address for item in found if item.role == "onramp"}
        assert protocol.token(CHAIN, LINK) == TokenInfo("LINK", 18)
        told = [line for line in lines if line["event"] == "ramp does not tell its fee tokens"]
        assert [line["address"] for line in told] == [mute]

    async def test_a_node_that_falls_silent_over_fee_tokens_is_no_refusal(self) -> None:
        node = Node()
        node.down = True
        with pytest.raises(TemporaryError):
            await fee_tokens(node, [Contract(chain_id=CHAIN, address=ON, role="onramp", version="1.6.0")])  # type: ignore[arg-type]

    def test_lanes(self) -> None:
        names = make_protocol().names(lane_key(HOME, ON, PEER))
        assert (names.source, names.source_chain, names.source_watched) == ("home", CHAIN, True)
        other = make_protocol().names(lane_key(5009297550715157269, ON, 77))
        assert (other.source, other.source_chain, other.source_watched) == ("ethereum-mainnet", 1, False)
        assert (other.destination, other.destination_chain) == ("77", None)

    def test_roles(self) -> None:
        assert [(role.chain_id, role.name, role.start_block) for role in make_protocol().chains] == [
            (138, "home", 0),
            (22, "peer", 0),
        ]
