"""Whether a message is verified: an indexer's answer, whom the destination needs, and when to ask again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from eth_abi.abi import encode
from prometheus_client import CollectorRegistry

from seamark.core.errors import RejectedError, TemporaryError
from seamark.core.ids import Address, ChainId, Hash32
from seamark.evm.rpc.errors import CallReverted
from seamark.messages.model import LaneKey, Sent, Verified
from seamark.messages.protocols.ccip.v2_0 import watching
from seamark.messages.protocols.ccip.v2_0.proofs import IndexerProofs, Said, read_said
from seamark.messages.protocols.ccip.v2_0.verification import Needed, encoded_of, missing, proof_of, verify
from seamark.messages.protocols.ccip.v2_0.watching import VerificationWatch
from seamark.messages.store import find_message
from seamark.runtime.events import Signal
from seamark.runtime.health import Status
from seamark.storage.database import Database, open_database
from tests.support.clock import FakeClock
from tests.unit.messages.ccip_v2_0.golden import ENCODED, IDS
from tests.unit.messages.history import GENESIS_TIME, NAMES, A, B, FakeProtocol, Told, executed, final, message_id
from tests.unit.messages.judgement.scene import Scene

NAME = Hash32(IDS["delivered"])
MESSAGE = ENCODED["delivered"]
CCV, SECOND, THIRD = (Address("0x" + digits * 20) for digits in ("a1", "b2", "c3"))
REFUSED = bytes.fromhex("2665cea2")  # InboundImplementationNotFound


def result(ccv: str, *, name: str = NAME, attested: str = "2026-01-01T00:00:10Z", **more: Any) -> dict[str, Any]:
    """As the indexer's `VerifierResultWithMetadata`."""
    said = {"message_id": name, "message": {"version": 1}, "message_ccv_addresses": [], "verifier_dest_address": ccv}
    said |= {"verifier_source_address": ccv, "ccv_data": "0x01", "timestamp": "2026-01-01T00:00:05Z"}
    stamps = {"attestationTimestamp": attested, "ingestionTimestamp": "2026-01-01T00:00:20Z"}
    return {"verifierResult": said | more, "metadata": {"verifierName": "committee", **stamps}}


def answer(*results: dict[str, Any], name: str = NAME) -> bytes:
    return msgspec.json.encode({"success": True, "results": results, "messageID": name})


class TestAnswers:
    def test_who_said_it_and_when(self) -> None:
        (said,) = read_said(answer(result(CCV)), NAME)
        assert (said.ccv, said.result, said.name) == (CCV, b"\x01", "committee")
        assert said.time == 1767225610, "when it was signed, not when the indexer saw it"

    def test_a_time_that_go_has_not_set(self) -> None:
        (said,) = read_said(answer(result(CCV, attested="0001-01-01T00:00:00Z")), NAME)
        assert said.time == 1767225605

    def test_another_message_says_nothing_and_a_verifier_speaks_once(self) -> None:
        twice = answer(result(CCV), result(CCV, ccv_data="0x02"), result(SECOND, name=IDS["waits"]))
        assert [item.result for item in read_said(twice, NAME)] == [b"\x01"]

    @pytest.mark.parametrize("body", [b"", b"<html>", b'{"results": [{}]}', answer(result("0x12"))])
    def test_what_is_no_answer(self, body: bytes) -> None:
        with pytest.raises(RejectedError, match="not an indexer's"):
            read_said(body, NAME)


def said(*ccvs: Address, time: int | None = 5) -> list[Said]:
    return [Said(ccv, bytes([index]), time) for index, ccv in enumerate(ccvs)]


@pytest.mark.parametrize(
    ("needed", "spoke", "lack"),
    [
        (Needed((CCV,)), [], 1),
        (Needed((CCV,)), [SECOND], 1),
        (Needed((CCV,)), [CCV, SECOND], 0),
        (Needed((CCV,), (SECOND, THIRD), 1), [CCV], 1),
        (Needed((CCV,), (SECOND, THIRD), 1), [CCV, THIRD], 0),
        (Needed((CCV,), (SECOND, THIRD), 2), [CCV, THIRD], 1),
        (Needed(()), [], 0),
    ],
)
def test_how_many_lack(needed: Needed, spoke: list[Address], lack: int) -> None:
    assert missing(needed, said(*spoke)) == lack


def test_no_more_is_handed_over_than_is_needed() -> None:
    proof = proof_of(Needed((CCV,), (SECOND, THIRD), 1), said(THIRD, SECOND, CCV))
    assert proof.ccvs == (CCV, SECOND)
    assert proof.results == (b"\x02", b"\x01")


def test_the_bytes_come_out_of_the_ledger_if_they_are_this_message() -> None:
    told = Sent(details={"envelope": "0x" + MESSAGE[:-4].hex(), "data": "0x" + MESSAGE[-4:].hex()})
    assert encoded_of(told, NAME) == MESSAGE
    assert encoded_of(told, Hash32(IDS["waits"])) is None
    assert encoded_of(Sent(), NAME) is None


class FakeChain:
    """A destination that needs some verifiers, and refuses a proof or not."""

    def __init__(self, *required: Address, refusal: bytes | None = None) -> None:
        self.required = required
        self.refusal = refusal
        self.down = False

    async def call(self, _: Any) -> bytes:
        if self.down:
            raise TemporaryError("no node answers")
        return encode(["address[]", "address[]", "uint8"], [list(self.required), [], 0])

    async def simulate(self, **_: Any) -> bytes:
        if self.refusal is not None:
            raise CallReverted("reverted", data=self.refusal)
        return b""


async def judged(chain: FakeChain, *ccvs: Address, time: int | None = 5) -> Verified | str:
    return await verify(chain, NAME, MESSAGE, said(*ccvs, time=time), now=9)  # type: ignore[arg-type]


class TestVerdict:
    async def test_verified_as_of_the_last_word(self) -> None:
        found = await judged(FakeChain(CCV, SECOND), CCV, SECOND, THIRD)
        assert isinstance(found, Verified)
        assert (found.message_id, found.time) == (NAME, 5)
        assert (found.details["needed"], found.details["spoke"]) == (2, 3)
        assert [item["ccv"] for item in found.details["verifiers"]] == [CCV, SECOND]

    async def test_words_without_a_time_are_of_now(self) -> None:
        found = await judged(FakeChain(CCV), CCV, time=None)
        assert isinstance(found, Verified)
        assert found.time == 9

    async def test_not_all_have_spoken(self) -> None:
        assert await judged(FakeChain(CCV, SECOND), SECOND) == "1 of 2 verifiers have spoken"

    async def test_an_indexer_is_not_believed(self) -> None:
        told = await judged(FakeChain(CCV, refusal=REFUSED + bytes(96)), CCV)
        assert isinstance(told, str)
        assert told.startswith("the proof was refused")

    async def test_what_a_receiver_says_is_not_about_the_proof(self) -> None:
        reverts = bytes.fromhex("08c379a0") + bytes(31) + b"\x20" + bytes(32)
        assert isinstance(await judged(FakeChain(CCV, refusal=reverts), CCV), Verified)


# ---- the service ----------------------------------------------------------------------------------------------------


class Indexer:
    """Answers by message id; None: not known; an error: raised."""

    def __init__(self) -> None:
        self.known: dict[str, bytes] = {}
        self.error: Exception | None = None
        self.asked: list[str] = []

    async def get(self, url: str) -> bytes | None:
        self.asked.append(url.rpartition("/")[2])
        if self.error:
            raise self.error
        return self.known.get(self.asked[-1])


class Bench:
    """A ledger with one lane of 2.0, an indexer, and the service."""

    def __init__(self, database: Database) -> None:
        self.scene = Scene(database)
        self.clock = FakeClock(float(GENESIS_TIME + 600))
        self.indexer, self.other = Indexer(), Indexer()
        self.chain = FakeChain(CCV)
        self.changed: list[Any] = []
        self.registry = CollectorRegistry()
        self.watch = VerificationWatch(
            FakeProtocol().names,
            chains={B: self.chain},  # type: ignore[dict-item]
            indexers=[
                IndexerProofs("http://one.example", self.indexer.get),
                IndexerProofs("http://two", self.other.get),
            ],
            every_s=10,
            follow=self.changed.append,
            database=database,
            registry=self.registry,
            signal=Signal(),
            clock=self.clock,
        )

    async def send(self, *names: str) -> list[str]:
        """Final messages with real bytes."""
        block = self.scene.block(A, 0, *(_sent(name, number) for number, name in enumerate(names, 1)))
        await self.scene.tell(A, block, final(block))
        return [IDS[name] for name in names]

    async def view(self, name: str) -> Any:
        return await self.scene.database.read(lambda connection: find_message(connection, name))


LANE = LaneKey("ccip", "11", "0x" + "d4" * 20, "22")


def _sent(name: str, number: int) -> Told:
    encoded = ENCODED[name]
    details = {"envelope": "0x" + encoded.hex(), "data": "0x"}
    return Told(LANE, number, Sent(sender="0x" + "5e" * 20, size=3, details=details), IDS[name], version="2.0.0")


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    database = await open_database("sqlite://")
    bench = Bench(database)
    await bench.scene.begin()
    yield bench
    bench.scene.world.close()
    await database.close()


class TestService:
    async def test_a_message_becomes_verified(self, bench: Bench) -> None:
        (name,) = await bench.send("delivered")
        assert await bench.watch.look() == []
        assert (await bench.view(name)).message.stage == "finalized"
        bench.indexer.known[name] = answer(result(CCV))
        bench.clock.advance(120)
        assert [item.message_id for item in await bench.watch.look()] == [name]
        detail = await bench.view(name)
        view = detail.message
        assert (view.stage, view.verified, view.committed_tx) == ("committed", True, None)
        assert view.committed_time == 1767225610
        assert detail.verification.details["needed"] == 1
        assert detail.transitions[-1].step == "verified"
        assert len(bench.changed) == 1
        assert NAMES["22"][1] == B
        asked = len(bench.indexer.asked)
        bench.clock.advance(1000)
        assert await bench.watch.look() == []
        assert len(bench.indexer.asked) == asked, "it is not asked for again"

    async def test_older_ones_are_asked_for_less_often(self, bench: Bench) -> None:
        await bench.send("delivered", "waits")
        for _ in range(60):
            await bench.watch.look()
            bench.clock.advance(10)
        assert 2 * 5 <= len(bench.indexer.asked) <= 2 * 10, "once a minute at the age of ten"

    async def test_an_indexer_in_trouble_is_left_alone_and_the_next_one_asked(self, bench: Bench) -> None:
        (name,) = await bench.send("delivered")
        bench.indexer.error = TemporaryError("answers with status 429")
        bench.other.known[name] = answer(result(CCV))
        assert len(await bench.watch.look()) == 1
        assert (await bench.watch.health()).status is Status.OK, "one of them answers"

    async def test_without_any_answer_nothing_is_lost_and_nobody_is_hammered(self, bench: Bench) -> None:
        (name,) = await bench.send("delivered")
        bench.indexer.error = bench.other.error = TemporaryError("cannot be reached")
        for _ in range(60):
            await bench.watch.look()
            bench.clock.advance(10)
        assert len(bench.indexer.asked) < 12
        health = await bench.watch.health()
        assert health.status is Status.DEGRADED
        assert "one.example" in health.detail
        bench.indexer.error = None
        bench.indexer.known[name] = answer(result(CCV))
        bench.clock.advance(watching.INDEXER_LONGEST_S)
        assert len(await bench.watch.look()) == 1
        assert (await bench.watch.health()).status is Status.OK

    async def test_a_destination_that_does_not_answer_is_asked_later(self, bench: Bench) -> None:
        (name,) = await bench.send("delivered")
        bench.indexer.known[name] = answer(result(CCV))
        bench.chain.down = True
        assert await bench.watch.look() == []
        bench.chain.down = False
        bench.clock.advance(120)
        assert len(await bench.watch.look()) == 1

    async def test_what_is_executed_is_not_asked_for(self, bench: Bench) -> None:
        (name,) = await bench.send("delivered")
        run = Told(LANE, 1, executed(1).body, name, version="2.0.0")
        await bench.scene.tell(B, bench.scene.block(B, 24, run))
        await bench.watch.look()
        assert bench.indexer.asked == []

    async def test_nor_are_messages_of_generations_that_commit(self, bench: Bench) -> None:
        block = bench.scene.block(A, 0, Told(LANE, 1, Sent(), message_id(LANE, 1), version="1.6.0"))
        await bench.scene.tell(A, block, final(block))
        await bench.watch.look()
        assert bench.indexer.asked == []

    async def test_every_one_of_many_gets_its_turn(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(watching, "NEWEST", 2)
        monkeypatch.setattr(watching, "FURTHER", 3)
        sends = [Told(LANE, n, Sent(), message_id(LANE, n), version="2.0.0") for n in range(1, 21)]
        block = bench.scene.block(A, 0, *sends)
        await bench.scene.tell(A, block, final(block))
        for _ in range(8):
            await bench.watch.look()
        assert set(bench.indexer.asked) == {item.message_id for item in sends}


def test_chains_are_numbered_as_in_the_histories() -> None:
    assert ChainId(2) == B
