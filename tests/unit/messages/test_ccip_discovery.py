"""Discovery from the router's address, on contracts that answer from a table."""

from __future__ import annotations

from typing import Any

import pytest
from structlog.testing import capture_logs

from seamark.core.errors import SettingsError, TemporaryError
from seamark.messages.model import ConfigChange, Contract
from seamark.messages.protocol import TokenInfo
from seamark.messages.protocols.ccip import risk
from seamark.messages.protocols.ccip.discovery import fee_tokens
from seamark.messages.protocols.ccip.router import ROUTER
from seamark.messages.protocols.ccip.v1_6 import events
from seamark.messages.protocols.ccip.v1_6.keys import lane_key
from tests.unit.messages.ccip_node import (
    CHAIN,
    DECIMALS,
    DUMB,
    HOME,
    LEGACY,
    LINK,
    NONE,
    OFF,
    OLD_OFF,
    ON,
    PEER,
    PROXY,
    QUOTER,
    REMOTE_ON,
    RISK,
    ROUTER_AT,
    STRANGER,
    SYMBOL,
    TYPE,
    Node,
    address,
    discover,
    make_protocol,
)


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
            LINK: ("fee_token", ""),
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
        node.say(LEGACY, TYPE, lambda: ["EVM2EVMOffRamp 1.0.0"])
        found = await discover(node)
        assert (found[LEGACY].role, found[LEGACY].version) == ("unsupported", "EVM2EVMOffRamp 1.0.0")
        wanted = make_protocol().watch(CHAIN, list(found.values())).filter
        assert LEGACY not in wanted.addresses
        assert {ROUTER_AT, ON, OFF, QUOTER, PROXY, RISK} == set(wanted.addresses)

    async def test_an_address_that_says_nothing(self) -> None:
        node = Node()
        node.off_ramps.append((PEER, DUMB))
        assert (await discover(node))[DUMB].role == "unsupported"

    async def test_fee_tokens_are_kept_with_their_names_and_asked_once(self) -> None:
        node = Node()
        before = await discover(node)
        assert before[LINK].details == {"symbol": "LINK", "decimals": "18"}
        assert LINK not in make_protocol().watch(CHAIN, list(before.values())).filter.addresses
        node.say(LINK, SYMBOL, lambda: ["OTHER"])
        protocol = make_protocol()
        again = {item.address: item for item in await protocol.discover(node, before.values())}  # type: ignore[arg-type]
        assert again[LINK] == before[LINK]
        assert protocol.token(CHAIN, LINK) == TokenInfo("LINK", 18)

    async def test_a_new_fee_token_is_learned_from_its_quoter(self) -> None:
        node, protocol, other = Node(), make_protocol(), address(82)
        known = await protocol.discover(node, [])  # type: ignore[arg-type]
        node.say(QUOTER, events.FEE_QUOTER.function("getFeeTokens"), lambda: [[LINK, other]])
        node.say(other, SYMBOL, lambda: ["USDC"])
        node.say(other, DECIMALS, lambda: [6])
        change = ConfigChange(chain_id=CHAIN, block_number=5, event="FeeTokenAdded", addresses=(QUOTER,))
        (found,) = await protocol.identify(node, [change], known)  # type: ignore[arg-type]
        assert (found.address, found.role) == (other, "fee_token")
        assert protocol.token(CHAIN, other) == TokenInfo("USDC", 6)

    async def test_when_anybody_may_execute(self) -> None:
        node, protocol = Node(), make_protocol()
        node.say(OFF, events.OFF_RAMP.function("getDynamicConfig"), lambda: [(QUOTER, 28_800, NONE)])
        found = {item.address: item for item in await protocol.discover(node, [])}  # type: ignore[arg-type]
        assert found[OFF].details == {str(PEER): REMOTE_ON, "manual_after": "28800"}
        inbound = protocol.profile(lane_key(PEER, REMOTE_ON, HOME))
        assert (inbound.manual_after_s, inbound.commits) == (28_800, True)
        assert protocol.profile(lane_key(PEER, address(98), HOME)).manual_after_s is None, "another ramp's messages"
        assert protocol.profile(lane_key(STRANGER, REMOTE_ON, HOME)).manual_after_s is None
        node.say(OFF, events.OFF_RAMP.function("getDynamicConfig"), lambda: [(QUOTER, 60, NONE)])
        change = ConfigChange(chain_id=CHAIN, block_number=5, event="DynamicConfigSet", addresses=(OFF,))
        await protocol.identify(node, [change], found.values())  # type: ignore[arg-type]
        assert protocol.profile(lane_key(PEER, REMOTE_ON, HOME)).manual_after_s == 60

    async def test_a_router_that_does_not_tell_its_risk_contract_stops_nothing(self) -> None:
        node = Node()
        del node.answers[ROUTER_AT, ROUTER.function("getArmProxy").selector]
        with capture_logs() as lines:
            found = await discover(node)
        assert {ROUTER_AT, ON, OFF} <= set(found)
        assert PROXY not in found
        assert "router does not tell its risk contract" in {line["event"] for line in lines}

    async def test_what_refuses_now_stays_what_it_was(self) -> None:
        """One odd answer must not end the watching of a ramp."""
        node = Node()
        before = await discover(node)
        del node.answers[OFF, events.OFF_RAMP.function("getStaticConfig").selector]
        assert (await discover(node, list(before.values())))[OFF] == before[OFF]
        assert (await discover(node))[OFF].role == "unsupported", "unless it was never known"

    async def test_an_on_ramp_leads_to_its_nonce_manager_and_quoter(self) -> None:
        node, nonces = Node(), address(80)
        node.say(ON, events.ON_RAMP.function("getStaticConfig"), lambda: [(HOME, NONE, nonces, NONE)])
        node.say(nonces, TYPE, lambda: ["NonceManager 1.6.0"])
        found = await discover(node)
        assert (found[nonces].role, found[nonces].version) == ("noncemanager", "1.6.0")
        assert found[ON].details == {"noncemanager": nonces, "feequoter": QUOTER}

    async def test_another_risk_contract_behind_the_proxy(self) -> None:
        node, protocol = Node(), make_protocol()
        known = await protocol.discover(node, [])  # type: ignore[arg-type]
        other = address(81)
        node.say(PROXY, risk.PROXY.function("getARM"), lambda: [other])
        node.say(other, TYPE, lambda: ["RMN 2.0.0"])
        change = ConfigChange(chain_id=CHAIN, block_number=5, event="ARMSet", addresses=(other, PROXY))
        found = {item.address: item for item in await protocol.identify(node, [change], known)}  # type: ignore[arg-type]
        assert (found[other].role, found[PROXY].details) == ("rmn", {"rmn": other})

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
