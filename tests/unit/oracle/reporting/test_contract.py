"""Reading the contract: one call for what it has, one log for who reports to it, nothing believed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec import structs

from seamark.core.errors import RejectedError, TemporaryError
from seamark.evm.artifacts import load
from seamark.evm.types import Log, LogFilter
from seamark.oracle.reporting.contract import ABI, ReportingContract, encode_set_config
from seamark.oracle.reporting.digest import config_digest
from seamark.oracle.reporting.plugin import Requested
from tests.support.clock import FakeClock
from tests.support.reporting_config import CHAIN, CONTRACT, FakeContract, announced, config_log, request_log


def reader(chain: FakeContract, *, confirmations: int = 1) -> ReportingContract:
    return ReportingContract(chain=chain, address=CONTRACT, clock=FakeClock(), confirmations=confirmations)  # type: ignore[arg-type]


def test_our_words_for_it_are_those_of_the_contract() -> None:
    """Selectors and topics as our own contract has them, which are the published one's."""
    ours = load("ReportingAggregator").abi
    for function in ABI.functions:
        assert ours.function(function.name).selector == function.selector
    for event in ABI.events:
        assert ours.event(event.name).topic0 == event.topic0
    assert ABI.function("setConfig").selector.hex() == "e3d0e712"
    assert ABI.event("ConfigSet").topic0[2:].startswith("1591690b")


async def test_a_view_is_one_call_of_one_block() -> None:
    chain = FakeContract(transmission=(b"\7" * 32, 3, 9, -5, 1_700_000_123))
    view = await reader(chain).view()
    assert len(chain.calls_made) == 1
    assert (view.digest, view.at, view.answer, view.timestamp) == (b"\7" * 32, (3, 9), -5, 1_700_000_123)
    assert view.read_at == 1_700_000_000 * 10**9
    assert view.requested is None


async def test_a_configuration_is_read_from_its_log() -> None:
    item = announced(block=7)
    assert await reader(FakeContract(announced=[item])).announced() == item


async def test_there_is_none_before_set_config() -> None:
    assert await reader(FakeContract()).announced() is None


@pytest.mark.parametrize(("head", "there"), [(7, False), (8, False), (9, True), (30, True)])
async def test_one_that_a_reorg_may_undo_is_waited_for(head: int, there: bool) -> None:
    item = announced(block=7)
    found = await reader(FakeContract(head=head, announced=[item]), confirmations=3).announced()
    assert (found == item) is there


async def test_of_two_in_one_block_the_later_counts() -> None:
    first, second = announced(block=7), announced(block=7, count=2, deviation="1%")
    found = await reader(FakeContract(announced=[first, second])).announced()
    assert found == second


async def test_a_log_that_does_not_come_to_its_digest_is_not_believed() -> None:
    item = announced()
    chain = FakeContract(announced=[item])
    forged = config_log(item, f=2)

    async def lie(wanted: LogFilter, *_args: object) -> list[Log]:
        return [forged] if wanted.topics == (forged.topics[0],) else []

    chain.logs = lie  # type: ignore[method-assign, assignment]
    with pytest.raises(TemporaryError, match="no node has its log"):
        await reader(chain).announced()


async def test_a_node_without_logs_is_an_outage_not_a_network_without_configuration() -> None:
    with pytest.raises(TemporaryError, match="no node has its log; the next look asks again"):
        await reader(FakeContract(announced=[announced()], lose_logs=True)).announced()


async def test_a_configuration_that_is_known_is_not_read_again_and_a_moved_one_is() -> None:
    chain = FakeContract(announced=[announced(block=7)])
    contract = reader(chain)
    first = await contract.announced()
    chain.lose_logs = True
    chain.head = 12
    again = await contract.announced()
    assert again == first
    assert again is not None
    assert again.head == 12
    chain.announced = [announced(block=8)]  # a reorg put it elsewhere
    with pytest.raises(TemporaryError):
        await contract.announced()


async def test_what_is_no_ocr2_contract_is_told() -> None:
    chain = FakeContract()

    async def nothing(_call: object) -> bytes:
        return b""

    chain.call = nothing  # type: ignore[method-assign, assignment]
    with pytest.raises(RejectedError, match="returned no data"):
        await reader(chain).view()


async def test_rounds_that_somebody_requested_are_seen_once_and_kept() -> None:
    item = announced(block=7)
    chain = FakeContract(head=10, announced=[item], requests=[request_log(item.digest, 2, 3, 9)])
    contract = reader(chain)
    await contract.announced()
    assert (await contract.view()).requested == Requested(item.digest, (2, 3))
    chain.head = 12
    chain.requests.append(request_log(item.digest, 4, 1, 12))
    await contract.announced()
    assert (await contract.view()).requested == Requested(item.digest, (4, 1))
    chain.requests.clear()
    chain.head = 20
    await contract.announced()
    assert (await contract.view()).requested == Requested(item.digest, (4, 1))


async def test_a_request_that_cannot_be_read_stops_nothing() -> None:
    item = announced(block=7)
    chain = FakeContract(announced=[item], requests=[structs.replace(request_log(item.digest, 2, 3, 9), data="0x00")])
    contract = reader(chain)
    assert await contract.announced() == item
    assert (await contract.view()).requested is None


async def test_requests_older_than_the_configuration_do_not_count() -> None:
    item = announced(block=7)
    chain = FakeContract(head=10, announced=[item], requests=[request_log(b"\1" * 32, 2, 3, 6)])
    contract = reader(chain)
    await contract.announced()
    assert (await contract.view()).requested is None


async def test_a_silent_chain_is_temporary() -> None:
    contract = reader(FakeContract(down=True))
    with pytest.raises(TemporaryError):
        await contract.view()
    with pytest.raises(TemporaryError):
        await contract.announced()


def test_set_config_carries_the_configuration() -> None:
    config = announced().config
    told = ABI.function("setConfig").decode_call(encode_set_config(config))
    assert tuple(told.signers) == config.signers
    assert (told.f, told.offchainConfig) == (config.f, config.offchain)
    other = replace(config, f=0)
    assert config_digest(CHAIN, CONTRACT, config) != config_digest(CHAIN, CONTRACT, other)
