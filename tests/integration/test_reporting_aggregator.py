"""Our ReportingAggregator on a real node: it takes what the published OCR2Aggregator took, refuses what that refused,
in the same words, and costs no more.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import coincurve
import pytest

from seamark.core.errors import SettingsError
from seamark.core.ids import Address, ChainId, Hash32
from seamark.devnet.anvil import Anvil
from seamark.evm.artifacts import load
from seamark.evm.crypto import keccak256
from seamark.evm.rpc import Chain
from seamark.evm.rpc.errors import CallReverted
from seamark.evm.types import Log
from seamark.oracle.model import ContractKind
from seamark.oracle.reporting.codec import OnchainConfig, Report, ReportContext, Transmission
from seamark.oracle.reporting.digest import ConfigSet, config_digest, report_preimage
from seamark.oracle.targets.find import find_target, probe
from seamark.oracle.targets.ocr2 import Ocr2Target
from seamark.oracle.targets.receipts import PublishedLog, read_receipt
from seamark.oracle.targets.target import Verdict, Where
from seamark.runtime.http import make_session
from tests.support.anvil import ACCOUNT, anvil, send
from tests.unit.oracle.reporting.vectors import VECTORS, config_of, place_of, raw, report_of

pytestmark = pytest.mark.integration

CONTRACT = load("ReportingAggregator")
AT = Where("oracle.reporting.feeds[0].aggregator", "oracle.signer")
MIN, MAX = 1, 10**24
# What the published contract used for the same reports, without payments: (n, f, observations) to gas (ours may not
# exceed it); and for the configuration of a new contract.
PUBLISHED_GAS = {(4, 1, 3): 91_552, (4, 1, 4): 92_300, (7, 2, 5): 100_000, (16, 5, 16): 129_000, (31, 10, 31): 174_900}
PUBLISHED_CONFIG_GAS = 550_470  # four oracles


@dataclass
class Feed:
    """The contract, and who reports to it."""

    node: Anvil
    chain: Chain
    address: Address

    async def configure(self, config: ConfigSet) -> dict[str, str]:
        data = CONTRACT.abi.encode_call(
            "setConfig",
            config.signers,
            config.transmitters,
            config.f,
            config.onchain,
            config.offchain_version,
            config.offchain,
        )
        return await self.sent(Address(ACCOUNT), data)

    async def sent(self, sender: Address, data: bytes) -> dict[str, str]:
        await self.node.request("anvil_impersonateAccount", sender)
        await self.node.request("anvil_setBalance", sender, hex(10**20))
        message = {"from": sender, "to": self.address, "data": "0x" + data.hex(), "gas": hex(5_000_000)}
        transaction = await self.node.request("eth_sendTransaction", message)
        while (receipt := await self.node.request("eth_getTransactionReceipt", transaction)) is None:
            pass
        assert receipt["status"] == "0x1"
        return dict(receipt)

    async def read(self, name: str) -> Any:
        said = await self.node.request("eth_call", {"to": self.address, "data": self.selector(name)}, "latest")
        return CONTRACT.abi.decode_result(name, bytes.fromhex(said[2:]))

    def selector(self, name: str) -> str:
        return "0x" + CONTRACT.abi.encode_call(name).hex()


@pytest.fixture
async def feed() -> AsyncIterator[Feed]:
    """Of the first account's first transaction, so at the address that the vectors were made for."""
    async with anvil() as node, make_session() as session:
        creation = CONTRACT.creation(MIN, MAX, 8, "ETH / USD", ACCOUNT)
        receipt = await send(node, to=None, data="0x" + creation.hex())
        chain = Chain(ChainId(31337), [node.url], session=session)
        yield Feed(node, chain, Address(receipt["contractAddress"].lower()))
        await chain.close()


@pytest.mark.parametrize("case", VECTORS, ids=["three observations", "four observations"])
async def test_what_the_published_contract_took_is_taken(feed: Feed, case: dict[str, Any]) -> None:
    assert (feed.chain.chain_id, feed.address) == place_of(case)
    config, calldata = config_of(case), raw(case["calldata"])
    for _ in range(case["configCount"]):
        await feed.configure(config)
    assert (await feed.read("latestConfigDetails")).configDigest == raw(case["configDigest"])
    receipt = await feed.sent(config.transmitters[0], calldata)
    assert int(receipt["gasUsed"], 16) <= PUBLISHED_GAS[4, 1, len(case["observations"])]
    details = await feed.read("latestTransmissionDetails")
    assert (details.epoch, details.round, details.latestAnswer_) == (case["epoch"], case["round"], int(case["median"]))
    assert (await feed.read("latestRoundData"))[:3] == (1, int(case["median"]), case["observationsTimestamp"])
    mined = await feed.chain.receipt(Hash32(receipt["transactionHash"]))
    assert mined is not None
    published = read_receipt(mined, feed.address)
    assert published == PublishedLog(1, int(case["median"]), case["observationsTimestamp"], details.latestTimestamp_)
    said = CONTRACT.abi.event("NewTransmission").decode(log_of(receipt, "NewTransmission"))
    assert (tuple(said.observations), said.observers) == (
        report_of(case).observations,
        bytes(report_of(case).observers),
    )


def log_of(receipt: dict[str, Any], name: str) -> Log:
    topic = CONTRACT.abi.event(name).topic0
    (found,) = [log for log in receipt["logs"] if log["topics"][0] == topic]
    return Log(Address(found["address"]), tuple(found["topics"]), found["data"], 0, topic, topic, 0)


# ---- what it refuses ------------------------------------------------------------------------------------------------


def keys(count: int) -> list[coincurve.PrivateKey]:
    return [coincurve.PrivateKey.from_int(number + 1) for number in range(count)]


def address_of(key: coincurve.PrivateKey) -> Address:
    return Address("0x" + keccak256(key.public_key.format(compressed=False)[1:])[-20:].hex())


def network(n: int, f: int) -> ConfigSet:
    signers = tuple(address_of(key) for key in keys(n))
    transmitters = tuple(Address(f"0x{0x1000 + number:040x}") for number in range(n))
    return ConfigSet(1, signers, transmitters, f, OnchainConfig(MIN, MAX).encode(), 2, bytes.fromhex("deadbeef"))


def report(observations: Sequence[int]) -> bytes:
    return Report(1_700_000_060, tuple(range(len(observations))), tuple(observations), 0).encode()


def transmission(feed: Feed, config: ConfigSet, told: bytes, *, by: Sequence[int], epoch: int = 1) -> Transmission:
    """A report with the signatures of these oracles; a number that is no oracle's signs with a key of its own."""
    digest = config_digest(feed.chain.chain_id, feed.address, config)
    context = ReportContext(digest, epoch, 1, bytes(32))
    everybody, rs, ss, parities = keys(max(by, default=0) + 1), [], [], []
    for oracle in by:
        signature = everybody[oracle].sign_recoverable(report_preimage(context, told), hasher=keccak256)
        rs.append(int.from_bytes(signature[:32], "big"))
        ss.append(int.from_bytes(signature[32:64], "big"))
        parities.append(signature[64])
    return Transmission(context, told, tuple(rs), tuple(ss), tuple(parities))


GOOD = (200, 201, 202)


async def test_every_refusal_of_the_published_contract_is_ours_and_is_understood(feed: Feed) -> None:
    config = network(4, 1)
    await feed.configure(config)
    first, _, stranger = config.transmitters[0], config.transmitters[1], Address("0x" + "0e" * 20)
    target = Ocr2Target(feed.chain, feed.address, first)
    await feed.sent(first, transmission(feed, config, report(GOOD), by=(0, 1)).encode())

    def newer(told: bytes, by: Sequence[int] = (0, 1)) -> Transmission:
        return transmission(feed, config, told, by=by, epoch=2)

    longer = report(GOOD) + bytes(32)
    other = replace(newer(report(GOOD)), context=ReportContext(b"\x00\x01" + bytes(30), 2, 1, bytes(32)))
    cases = [
        ("stale report", first, transmission(feed, config, report(GOOD), by=(0, 1)).encode(), Verdict.DONE),
        ("configDigest mismatch", first, other.encode(), Verdict.DONE),
        ("unauthorized transmitter", stranger, newer(report(GOOD)).encode(), Verdict.BROKEN),
        ("wrong number of signatures", first, newer(report(GOOD), (0,)).encode(), Verdict.BROKEN),
        ("signature error", first, newer(report(GOOD), (0, 4)).encode(), Verdict.BROKEN),
        ("duplicate signer", first, newer(report(GOOD), (2, 2)).encode(), Verdict.BROKEN),
        ("too few values to trust median", first, newer(report((200,))).encode(), Verdict.BROKEN),
        ("median is out of min-max range", first, newer(report((1, 10**24 + 1, 10**24 + 1))).encode(), Verdict.BROKEN),
        ("calldata length mismatch", first, newer(report(GOOD)).encode() + b"\0", Verdict.BROKEN),
        ("report length mismatch", first, newer(longer).encode(), Verdict.BROKEN),
        ("observations not sorted", first, newer(report((201, 200, 202))).encode(), Verdict.BROKEN),
    ]
    kinds = set()
    for words, sender, data, verdict in cases:
        with pytest.raises(CallReverted) as refused:
            await feed.chain.simulate(sender=sender, to=feed.address, data=data)
        assert CONTRACT.abi.decode_error(refused.value.data).text == f"reverted: {words}"
        refusal = target.refusal(refused.value)
        assert refusal.verdict is verdict, words
        kinds.add(refusal.kind)
    assert "rejected" not in kinds  # none is strange to us


# ---- as a target ----------------------------------------------------------------------------------------------------


async def test_a_publisher_of_answers_is_told_that_reports_are_wanted(feed: Feed) -> None:
    assert await probe(feed.chain, feed.address, Address(ACCOUNT)) is ContractKind.OCR2
    with pytest.raises(SettingsError, match="takes reports that a network of oracles has signed"):
        await find_target(None, feed.chain, feed.address, Address(ACCOUNT), AT)
    with pytest.raises(SettingsError, match="is flux, but 0x5FbDB2315678afecb367f032d93F642f64180aa3 answers as ocr2"):
        await find_target(ContractKind.FLUX, feed.chain, feed.address, Address(ACCOUNT), AT)


async def test_as_a_target_of_reports(feed: Feed) -> None:
    config = network(4, 1)
    await feed.configure(config)
    target = Ocr2Target(feed.chain, feed.address, config.transmitters[2])
    await target.check(AT)
    state = await target.read()
    assert (state.round, state.answer, state.min_answer, state.max_answer) == (0, 0, MIN, MAX)
    call = transmission(feed, config, report(GOOD), by=(3, 1))
    await feed.sent(config.transmitters[2], target.encode(1, call))
    state = await target.read()
    assert (state.round, state.answer, state.started_at, state.decimals) == (1, 201, 1_700_000_060, 8)
    with pytest.raises(SettingsError, match=r"is no transmitter of .*setConfig"):
        await Ocr2Target(feed.chain, feed.address, Address(ACCOUNT)).check(AT)


# ---- what it costs --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", PUBLISHED_GAS, ids=str)
async def test_a_report_costs_no_more_than_the_published_contract_asks(feed: Feed, shape: tuple[int, int, int]) -> None:
    n, f, observed = shape
    config = network(n, f)
    await feed.configure(config)
    used = []
    for epoch in (1, 2, 3):
        told = report([200_000_000_000 + 1000 * number + epoch for number in range(observed)])
        call = transmission(feed, config, told, by=range(f + 1), epoch=epoch)
        used.append(int((await feed.sent(config.transmitters[0], call.encode()))["gasUsed"], 16))
    assert used[-1] <= PUBLISHED_GAS[shape], used


async def test_a_configuration_costs_no_more_either(feed: Feed) -> None:
    receipt = await feed.configure(network(4, 1))
    assert int(receipt["gasUsed"], 16) <= PUBLISHED_CONFIG_GAS
