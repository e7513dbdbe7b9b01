"""CCIP 2.0 contracts identified, on a chain that answers from a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest

from seamark.core.errors import RejectedError, SettingsError, TemporaryError
from seamark.core.ids import Address, ChainId, Selector
from seamark.evm.abi import Abi, Function, compile_encoder
from seamark.evm.ports import ChainReader
from seamark.evm.types import Call
from seamark.messages.protocols.ccip.generation import Counts, Found, Generation, Identified, Place
from seamark.messages.protocols.ccip.generations import GENERATIONS, generation_of, generation_of_type
from seamark.messages.protocols.ccip.v2_0 import events
from seamark.messages.protocols.ccip.v2_0.generation import GENERATION
from seamark.messages.protocols.ccip.v2_0.keys import lane_key

HOME, PEER, THIRD = Selector(138_000), Selector(22_000), Selector(33_000)
CHAIN = ChainId(138)


def address(number: int) -> Address:
    return Address(f"0x{number:040x}")


RAMP, QUOTER, LINK, EXECUTOR, CCV, MANDATED, VERIFIER, TARGET = (address(number) for number in range(1, 9))
REMOTE, SECOND, NONE = address(98), address(99), address(0)
PLACE = Place(CHAIN, HOME, address(50), "chains.home.selector")


class Table:
    """Functions and what they return; everything else reverts."""

    chain_id = CHAIN

    def __init__(self) -> None:
        self.down = False
        self.answers: dict[tuple[Address, bytes], tuple[Function, Sequence[Any]]] = {}

    def say(self, at: Address, abi: Abi, name: str, *values: Any) -> None:
        function = abi.function(name)
        self.answers[at, function.selector] = (function, values)

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
        function, values = found
        return compile_encoder(function.outputs)(values)


async def identify(table: Table, kind: str, at: Address = RAMP, version: str = "2.0.0") -> Identified:
    served = generation_of_type(kind, version)
    assert served is not None
    generation, role = served
    assert generation is GENERATION
    return await generation.identify(cast(ChainReader, table), Found(at, kind, version, role), PLACE)


def on_ramp(selector: int = HOME) -> Table:
    table = Table()
    lane = (address(50), 7, 20, False, 10, 25, 100_000, EXECUTOR, [MANDATED], [CCV], bytes(20))
    other: tuple[Any, ...] = (address(50), 0, 20, False, 10, 25, 100_000, NONE, [], [CCV], bytes(20))
    table.say(RAMP, events.ON_RAMP, "getStaticConfig", (selector, NONE, 100, NONE))
    table.say(RAMP, events.ON_RAMP, "getDynamicConfig", (QUOTER, False, NONE))
    table.say(RAMP, events.ON_RAMP, "getAllDestChainConfigs", [PEER, THIRD], [lane, other])
    table.say(QUOTER, events.FEE_QUOTER, "getStaticConfig", (10**24, LINK))
    table.say(QUOTER, events.FEE_QUOTER, "getFeeTokens", [LINK])
    return table


def encoded(raw: Address) -> bytes:
    return bytes(12) + bytes.fromhex(raw[2:])


class TestOnRamp:
    async def test_it_leads_to_quoter_executors_and_verifiers(self) -> None:
        found = await identify(on_ramp(), "OnRamp")
        assert found.contract.details == {"feequoter": QUOTER, "link": LINK}
        assert found.leads == (QUOTER, EXECUTOR, CCV, MANDATED), "each once, and nothing at the zero address"
        assert (found.contract.role, found.contract.version) == ("onramp", "2.0.0")

    async def test_another_selector_is_a_mistake_in_the_settings(self) -> None:
        with pytest.raises(SettingsError, match=r"is 138000, but OnRamp 2\.0\.0") as caught:
            await identify(on_ramp(PEER), "OnRamp")
        assert caught.value.setting == PLACE.setting

    async def test_a_quoter_that_refuses_stops_nothing(self) -> None:
        table = on_ramp()
        del table.answers[QUOTER, events.FEE_QUOTER.function("getStaticConfig").selector]
        assert (await identify(table, "OnRamp")).contract.details == {"feequoter": QUOTER}

    async def test_a_ramp_that_does_not_answer_is_not_supported(self) -> None:
        with pytest.raises(RejectedError):
            await identify(Table(), "OnRamp")

    async def test_a_node_that_does_not_answer_is_asked_again(self) -> None:
        table = on_ramp()
        table.down = True
        with pytest.raises(TemporaryError):
            await identify(table, "OnRamp")

    async def test_fee_tokens(self) -> None:
        table = on_ramp()
        contract = (await identify(table, "OnRamp")).contract
        assert list(await GENERATION.fee_tokens(cast(ChainReader, table), contract)) == [LINK]
        quoter = (await identify(table, "FeeQuoter", QUOTER)).contract
        assert list(await GENERATION.fee_tokens(cast(ChainReader, table), quoter)) == []

    async def test_its_counters(self) -> None:
        contract = (await identify(on_ramp(), "OnRamp")).contract
        assert isinstance(GENERATION, Counts)
        counts = GENERATION.counts(contract, PLACE, [PEER, THIRD])
        assert [(count.lane, count.kind, count.arguments) for count in counts] == [
            (lane_key(HOME, RAMP, PEER), "sent", (PEER,)),
            (lane_key(HOME, RAMP, THIRD), "sent", (THIRD,)),
        ]
        assert counts[0].next_of(counts[0].function.decode_result((8).to_bytes(32))) == 8


class TestOffRamp:
    @staticmethod
    def table(selector: int = HOME) -> Table:
        table = Table()
        one: tuple[Any, ...] = (address(50), True, [encoded(REMOTE)], [CCV], [])
        two = (address(50), True, [encoded(REMOTE), encoded(SECOND)], [CCV], [MANDATED])
        closed: tuple[Any, ...] = (address(50), False, [], [CCV], [])
        table.say(RAMP, events.OFF_RAMP, "getStaticConfig", (selector, 5_000, NONE, NONE, 12_000))
        table.say(RAMP, events.OFF_RAMP, "getAllSourceChainConfigs", [PEER, THIRD, 5], [one, two, closed])
        return table

    async def test_the_on_ramps_by_source(self) -> None:
        found = await identify(self.table(), "OffRamp")
        assert found.contract.details == {str(PEER): REMOTE, str(THIRD): f"{REMOTE},{SECOND}"}
        assert found.leads == (CCV, MANDATED)
        assert isinstance(GENERATION, Counts)
        assert GENERATION.counts(found.contract, PLACE, [PEER]) == (), "nothing is committed"

    async def test_another_selector(self) -> None:
        with pytest.raises(SettingsError):
            await identify(self.table(PEER), "OffRamp")


class TestOthers:
    async def test_a_resolver_leads_to_the_verifiers_behind_it(self) -> None:
        table = Table()
        table.say(RAMP, events.RESOLVER, "getAllInboundImplementations", [(b"\x01\x02\x03\x04", VERIFIER)])
        table.say(RAMP, events.RESOLVER, "getAllOutboundImplementations", [(PEER, VERIFIER), (THIRD, TARGET)])
        found = await identify(table, "VersionedVerifierResolver")
        assert (found.contract.role, found.leads) == ("resolver", (VERIFIER, TARGET))

    async def test_a_proxy_leads_to_its_target(self) -> None:
        table = Table()
        table.say(RAMP, events.PROXY, "getTarget", TARGET)
        found = await identify(table, "Proxy")
        assert (found.contract.role, found.contract.details, found.leads) == ("executor", {"target": TARGET}, (TARGET,))

    @pytest.mark.parametrize(
        ("kind", "role"),
        [
            ("CommitteeVerifier", "verifier"),
            ("CCTPVerifier", "verifier"),
            ("LombardVerifier", "verifier"),
            ("Executor", "executor"),
            ("FeeQuoter", "feequoter"),
        ],
    )
    async def test_the_rest_is_read_as_it_is(self, kind: str, role: str) -> None:
        found = await identify(Table(), kind)
        assert (found.contract.role, found.leads) == (role, ())
        assert generation_of(found.contract) is GENERATION
        assert GENERATION.reading(found.contract, PLACE).takes


def test_each_contract_is_served_by_one_generation() -> None:
    served = [prefix for generation in GENERATIONS for prefix in generation.serves]
    assert len(served) == len(set(served))
    typed: Generation = GENERATION
    assert typed.name == "2.0"
