"""What a protocol may leave out, and what is assumed then."""

from __future__ import annotations

from collections.abc import Sequence

from seamark.evm.ports import ChainReader
from seamark.messages.model import Contract, LaneKey
from seamark.messages.protocol import Counter, Profile, counters_of, profile_of
from tests.support.fake_chain import FakeChain, FakeReader
from tests.unit.messages.history import OUT, FakeProtocol


class Knowing(FakeProtocol):
    """Says more than it must."""

    async def counters(self, _reader: ChainReader, _contracts: Sequence[Contract]) -> list[Counter]:
        return [Counter(OUT, "sent", 7)]

    def profile(self, _lane: LaneKey) -> Profile:
        return Profile(finality_s=900.0)


async def test_a_protocol_without_calls_has_no_counters() -> None:
    assert await counters_of(FakeProtocol(), FakeReader(FakeChain()), []) == []
    assert await counters_of(Knowing(), FakeReader(FakeChain()), []) == [Counter(OUT, "sent", 7)]


def test_a_lane_nobody_knows_has_no_profile() -> None:
    assert profile_of(FakeProtocol(), OUT) == Profile(None, instant=False)
    assert profile_of(Knowing(), OUT).finality_s == 900
