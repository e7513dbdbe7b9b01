"""CCIP 1.2 and 1.5 from the router's address, on contracts that answer from a table."""

from __future__ import annotations

from typing import Any

import pytest
from structlog.testing import capture_logs

from seamark.core.errors import SettingsError, TemporaryError
from seamark.messages.model import ConfigChange, Contract
from seamark.messages.protocol import Counter, TokenInfo, counters_of, profile_of
from seamark.messages.protocols.ccip.evm2evm import events
from seamark.messages.protocols.ccip.finality import INSTANT_S, finality_profile, published_finality
from seamark.messages.protocols.ccip.generation import lane_key
from seamark.messages.protocols.ccip.generations import GENERATIONS, generation_of, generation_of_type
from seamark.messages.protocols.ccip.selectors import published_selectors
from seamark.messages.protocols.ccip.v1_2 import events as v1_2
from seamark.messages.protocols.ccip.v1_5 import events as v1_5
from seamark.messages.protocols.ccip.v1_6 import events as v1_6
from tests.unit.messages.ccip_node import (
    CHAIN,
    FINAL,
    HOME,
    LINK,
    OFF,
    ON,
    PEER,
    REMOTE_ON,
    TYPE,
    Node,
    address,
    discover,
    make_protocol,
)

OLD_ON, OLD_OFF, STORE, FIRST_ON, FIRST_OFF, FIRST_STORE, REGISTRY = (address(number) for number in range(30, 37))
NEXT = events.NEXT_SEQUENCE.function("getExpectedNextSequenceNumber")


@pytest.fixture(params=["1.2", "1.5"])
def version(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


def make_node(version: str, **changes: Any) -> Node:
    """The router sends through OLD_ON; it receives through OLD_OFF and, of 1.6, through OFF."""
    node = Node()
    node.evm2evm(version, on_ramp=OLD_ON, registry=REGISTRY, **changes)
    node.evm2evm(version, off_ramp=OLD_OFF, store=STORE, **changes)
    node.say(REGISTRY, TYPE, lambda: ["PriceRegistry 1.2.0"])
    node.say(REGISTRY, events.PRICE_REGISTRY.function("getFeeTokens"), lambda: [[LINK]])
    node.on_ramps = {PEER: OLD_ON}
    node.off_ramps.append((PEER, OLD_OFF))
    return node


class TestDiscover:
    async def test_a_lane_and_its_contracts(self, version: str) -> None:
        found = await discover(make_node(version))
        got = {at: (item.role, item.version) for at, item in found.items()}
        assert (
            got
            | {
                OLD_ON: ("onramp", f"{version}.0"),
                OLD_OFF: ("offramp", f"{version}.0"),
                STORE: ("commitstore", f"{version}.0"),
                REGISTRY: ("feequoter", "1.2.0"),
            }
            == got
        )
        assert found[OLD_ON].details == {"destination": str(PEER), "link": LINK, "feequoter": REGISTRY}
        source = {"source": str(PEER), "onramp": REMOTE_ON}
        assert found[STORE].details == source
        assert found[OLD_OFF].details == source | {"commitstore": STORE}

    async def test_ramps_of_two_generations_for_one_source(self, version: str) -> None:
        found = await discover(make_node(version))
        assert {OFF, OLD_OFF} <= set(found)
        watch = make_protocol().watch(CHAIN, list(found.values()))
        assert {OFF, OLD_OFF, STORE} <= set(watch.filter.addresses)
        assert {events.EXECUTED.topic0, v1_6.EXECUTED.topic0} <= set(watch.filter.topics)

    async def test_previous_ramps_are_found_too(self, version: str) -> None:
        node = make_node(version)
        node.evm2evm(version, on_ramp=OLD_ON, registry=REGISTRY, previous=FIRST_ON)
        node.evm2evm(version, off_ramp=OLD_OFF, store=STORE, previous=FIRST_OFF)
        node.evm2evm("1.2", on_ramp=FIRST_ON, registry=REGISTRY)
        node.evm2evm("1.2", off_ramp=FIRST_OFF, store=FIRST_STORE)
        found = await discover(node)
        assert {found[at].version for at in (FIRST_ON, FIRST_OFF, FIRST_STORE)} == {"1.2.0"}

    async def test_a_lane_that_moved_to_1_6_leads_back_to_where_it_came_from(self, version: str) -> None:
        """The router names the new ramps alone; the NonceManager knows those before."""
        node, nonces = Node(), address(80)
        node.evm2evm(version, on_ramp=FIRST_ON, registry=REGISTRY)
        node.evm2evm(version, off_ramp=FIRST_OFF, store=FIRST_STORE)
        node.say(ON, v1_6.ON_RAMP.function("getStaticConfig"), lambda: [(HOME, address(0), nonces, address(0))])
        node.say(nonces, TYPE, lambda: ["NonceManager 1.6.0"])
        ramps = {PEER: (FIRST_ON, FIRST_OFF)}
        function = v1_6.NONCE_MANAGER.function("getPreviousRamps")
        node.say(nonces, function, lambda selector: [ramps.get(selector, (address(0), address(0)))])
        found = await discover(node)
        assert [found[at].role for at in (FIRST_ON, FIRST_OFF, FIRST_STORE)] == ["onramp", "offramp", "commitstore"]
        assert address(0) not in found

    async def test_the_selector_is_checked_against_the_contracts(self, version: str) -> None:
        node = make_node(version)
        node.evm2evm(version, off_ramp=OLD_OFF, store=STORE, selector=7)
        with pytest.raises(SettingsError, match="set it to 7"):
            await discover(node)

    async def test_a_ramp_that_answers_less_than_it_should_is_not_supported(self) -> None:
        node = make_node("1.5")
        node.evm2evm("1.2", on_ramp=OLD_ON, registry=REGISTRY)
        node.say(OLD_ON, TYPE, lambda: ["EVM2EVMOnRamp 1.5.0"])
        with capture_logs() as lines:
            found = await discover(node)
        assert found[OLD_ON].role == "unsupported"
        assert "contract does not answer" in {line["event"] for line in lines}

    async def test_fee_tokens_come_from_the_price_registry(self, version: str) -> None:
        protocol = make_protocol()
        node = make_node(version)
        node.off_ramps = [(PEER, OLD_OFF)]
        await protocol.discover(node, [])  # type: ignore[arg-type]
        assert protocol.token(CHAIN, LINK) == TokenInfo("LINK", 18)

    async def test_a_new_off_ramp_brings_its_commit_store(self, version: str) -> None:
        protocol, node = make_protocol(), Node()
        known = await protocol.discover(node, [])  # type: ignore[arg-type]
        node.evm2evm(version, off_ramp=OLD_OFF, store=STORE)
        change = ConfigChange(chain_id=CHAIN, block_number=5, event="OffRampAdded", addresses=(OLD_OFF,))
        found = await protocol.identify(node, [change], known)  # type: ignore[arg-type]
        assert {item.address for item in found} == {OLD_OFF, STORE}


class TestGenerations:
    def test_no_two_serve_the_same(self) -> None:
        prefixes = [prefix for generation in GENERATIONS for prefix in generation.serves]
        assert len(prefixes) == len(set(prefixes))
        assert not [(a, b) for a in prefixes for b in prefixes if a != b and a.startswith(b)]

    @pytest.mark.parametrize(
        ("kind", "version", "name", "role"),
        [
            ("EVM2EVMOnRamp", "1.2.0", "1.2", "onramp"),
            ("CommitStore", "1.5.0", "1.5", "commitstore"),
            ("EVM2EVMOffRamp", "1.5.1", "1.5", "offramp"),
            ("OffRamp", "1.6.1", "1.6", "offramp"),
            ("NonceManager", "1.6.0", "1.6", "noncemanager"),
            ("OnRamp", "2.0.0", "2.0", "onramp"),
            ("RMNRemote", "1.6.0", "risk", "rmn"),
            ("Router", "1.2.0", "router", "router"),
        ],
    )
    def test_who_serves_a_contract(self, kind: str, version: str, name: str, role: str) -> None:
        found = generation_of_type(kind, version)
        assert found is not None
        assert (found[0].name, found[1]) == (name, role)
        contract = Contract(chain_id=CHAIN, address=ON, role=role, version=version)
        assert generation_of(contract) is found[0]

    @pytest.mark.parametrize(
        ("kind", "version"), [("OnRamp", "1.16.0"), ("OnRamp", "3.0.0"), ("Ramp", "1.6.0"), ("", "")]
    )
    def test_nobody(self, kind: str, version: str) -> None:
        assert generation_of_type(kind, version) is None


class TestCounters:
    def node(self, version: str) -> Node:
        node = make_node(version)
        node.say(OLD_ON, NEXT, lambda: [12])
        node.say(STORE, NEXT, lambda: [8])
        node.say(ON, v1_6.ON_RAMP.function("getExpectedNextSequenceNumber"), lambda _: [5])
        source = ("0x" + "00" * 20, True, 4, True, b"")
        node.say(OFF, v1_6.OFF_RAMP.function("getSourceChainConfig"), lambda _: [source])
        return node

    async def read(self, node: Node) -> dict[tuple[str, str], int]:
        protocol = make_protocol()
        known = await protocol.discover(node, [])  # type: ignore[arg-type]
        ramp = Contract(chain_id=CHAIN, address=ON, role="onramp", version="1.6.0")
        found = await counters_of(protocol, node, [*known, ramp])  # type: ignore[arg-type]
        assert all(isinstance(item, Counter) for item in found)
        return {(item.kind, item.lane.channel): item.value for item in found}

    async def test_sent_and_committed_of_all_generations_at_the_final_block(self, version: str) -> None:
        node = self.node(version)
        protocol = make_protocol()
        known = await protocol.discover(node, [])  # type: ignore[arg-type]
        node.asked_at.clear()
        found = await protocol.counters(node, known)  # type: ignore[arg-type]
        assert node.asked_at == {FINAL}
        assert set(found) == {
            Counter(lane_key(HOME, OLD_ON, PEER), "sent", 11),
            Counter(lane_key(PEER, REMOTE_ON, HOME), "committed", 7),
            Counter(lane_key(PEER, REMOTE_ON, HOME), "committed", 3),
        }

    async def test_an_on_ramp_of_1_6_is_asked_for_each_peer(self, version: str) -> None:
        assert (await self.read(self.node(version)))["sent", ON] == 4

    async def test_a_lane_that_was_never_used_has_none(self, version: str) -> None:
        node = self.node(version)
        node.say(OLD_ON, NEXT, lambda: [1])
        assert ("sent", OLD_ON) not in await self.read(node)

    @pytest.mark.parametrize("odd", [0, 2**64 - 1])
    async def test_numbers_that_cannot_be(self, version: str, odd: int) -> None:
        node = self.node(version)
        node.say(OLD_ON, NEXT, lambda: [odd])
        assert ("sent", OLD_ON) not in await self.read(node)

    async def test_a_ramp_younger_than_the_final_block_is_asked_at_the_head(self, version: str) -> None:
        node = self.node(version)
        node.young = {OLD_ON}
        assert (await self.read(node))["sent", OLD_ON] == 11

    async def test_without_a_final_block_the_head_counts(self, version: str) -> None:
        node = self.node(version)
        node.final = None
        assert (await self.read(node))["sent", OLD_ON] == 11
        assert node.asked_at == {"latest"}

    async def test_a_ramp_that_refuses_stops_no_other(self, version: str) -> None:
        node = self.node(version)
        del node.answers[OLD_ON, NEXT.selector]
        with capture_logs() as lines:
            found = await self.read(node)
        assert ("sent", OLD_ON) not in found
        assert found["sent", ON] == 4
        assert [line["address"] for line in lines if line["event"] == "ramp does not tell its counter"] == [OLD_ON]

    async def test_a_silent_node(self, version: str) -> None:
        node, protocol = self.node(version), make_protocol()
        known = await protocol.discover(node, [])  # type: ignore[arg-type]
        node.down = True
        with pytest.raises(TemporaryError):
            await protocol.counters(node, known)  # type: ignore[arg-type]


class TestFinality:
    def test_every_chain_of_the_table_is_a_chain_of_ccip_or_a_private_one(self) -> None:
        known = {chain.chain_id for chain in published_selectors()}
        assert set(published_finality()) - known == {138}

    @pytest.mark.parametrize(
        ("chain_id", "seconds", "instant"),
        [(1, 900, False), (43114, 1, True), (2020, 10, True), (592, 35, False), (138, 5, True), (99999, None, False)],
    )
    def test_profiles(self, chain_id: int, seconds: float | None, instant: bool) -> None:
        profile = finality_profile(chain_id)
        assert (profile.finality_s, profile.instant) == (seconds, instant)
        assert INSTANT_S == 10

    async def test_when_anybody_may_execute(self) -> None:
        """The OffRamps of 1.2 and 1.5 have it at different places of their configurations."""
        for version, config in (("1.5", (3_600, 0, 0, ON, ON)), ("1.2", (3_600, ON, ON, 0, 0, 0))):
            node, protocol = make_node(version), make_protocol()
            abi = {"1.2": v1_2, "1.5": v1_5}[version].OFF_RAMP
            node.say(OLD_OFF, abi.function("getDynamicConfig"), lambda config=config: [config])
            node.off_ramps = [(PEER, OLD_OFF)]
            await protocol.discover(node, [])  # type: ignore[arg-type]
            profile = protocol.profile(lane_key(PEER, REMOTE_ON, HOME))
            assert (profile.manual_after_s, profile.commits) == (3_600, True)
            assert protocol.profile(lane_key(PEER, ON, HOME)).manual_after_s is None

    def test_a_lane_without_commits(self) -> None:
        protocol = make_protocol()
        ramp = Contract(chain_id=CHAIN, address=ON, role="onramp", version="2.0.0")
        protocol._found[CHAIN, ON] = ramp
        assert not protocol.profile(lane_key(HOME, ON, PEER)).commits
        assert protocol.profile(lane_key(HOME, OLD_ON, PEER)).commits

    def test_of_a_lane_its_source_counts(self) -> None:
        protocol = make_protocol()
        assert profile_of(protocol, lane_key(HOME, ON, PEER)).instant, "the home chain is 138"
        ethereum = 5009297550715157269
        assert profile_of(protocol, lane_key(ethereum, ON, HOME)).finality_s == 900
        assert profile_of(protocol, lane_key(PEER, REMOTE_ON, HOME)).finality_s is None
        assert profile_of(protocol, lane_key(123456, REMOTE_ON, HOME)).finality_s is None
