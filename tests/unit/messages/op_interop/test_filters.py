"""Interop filters: each verdict is asked once, what is no verdict is asked again, what differs is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from prometheus_client import generate_latest

from seamark.core.errors import TemporaryError
from seamark.core.findings import Severity
from seamark.messages.protocols.op_interop.encodings import access_list_keys
from seamark.messages.protocols.op_interop.filters import FilterWatch, Opinion, opinion_of
from seamark.messages.protocols.op_interop.findings import about_filters
from seamark.messages.protocols.op_interop.store.replays import divergences
from tests.support.interop import Bed, Placed, executing, initiating

YES, NO = Opinion(True), Opinion(False, "conflict (-320600)")


class Filter:
    def __init__(self, *answers: Opinion | Exception) -> None:
        self.label = "filter:8560"
        self.answers = list(answers)
        self.asked: list[tuple[list[str], int, int]] = []

    async def check(self, entries: Sequence[str], chain_id: int, timestamp: int) -> Opinion:
        self.asked.append((list(entries), chain_id, timestamp))
        answer = self.answers.pop(0) if self.answers else YES
        if isinstance(answer, Exception):
            raise answer
        return answer


class Scene:
    """Two chains, a monitor of both, and a filter."""

    def __init__(self, *answers: Opinion | Exception) -> None:
        self.bed = Bed(901, 902)
        self.filter = Filter(*answers)
        self.watch = FilterWatch(
            [self.filter],
            network=self.bed.network,
            chains=[901, 902],
            database=self.bed.database,
            metrics=self.bed.metrics,
            clock=self.bed.clock,
            interval_s=5,
        )

    async def begin(self, payload: bytes = b"x", *, log_index: int | None = None) -> Placed:
        """A message that is executed and judged, after the filter was first looked at."""
        await self.watch.look()
        start = self.bed[901].mine(initiating(payload))
        changes: dict[str, Any] = {} if log_index is None else {"log_index": log_index}
        placed = self.bed[902].mine(executing(start, **changes))
        await self.bed.follow()
        await self.watch.look()
        return placed if log_index is not None else start

    async def told(self) -> list[tuple[str, Severity, int]]:
        found = await self.bed.database.read(lambda c: divergences(c, [901, 902]))
        return [
            (item.kind, item.severity, item.count) for item in about_filters(found, self.watch.errors, self.bed.network)
        ]

    def counted(self) -> bool:
        return "interop_filter_divergence_total{" in generate_latest(self.bed.registry).decode()


async def test_a_filter_that_agrees_is_asked_once_and_nothing_is_kept() -> None:
    scene = Scene(YES)
    start = await scene.begin()
    for _ in range(3):
        await scene.watch.look()
    ((entries, chain_id, timestamp),) = scene.filter.asked
    assert entries == access_list_keys(start.identifier, start.payload)
    assert (chain_id, timestamp) == (902, scene.bed[902].head.ref.timestamp)
    assert await scene.told() == []
    assert not scene.counted()


async def test_a_filter_that_holds_back_what_is_valid() -> None:
    scene = Scene(NO)
    await scene.begin()
    await scene.watch.look()
    assert len(scene.filter.asked) == 1
    assert await scene.told() == [("interop_filter_divergence", Severity.WARNING, 1)]
    assert scene.counted()
    await scene.bed.finalize()
    assert await scene.told() == [], "what is valid for good is nobody's trouble any more"


async def test_a_filter_that_lets_pass_what_is_not_valid() -> None:
    scene = Scene(YES)
    await scene.begin(log_index=9)
    assert await scene.told() == [("interop_filter_divergence", Severity.CRITICAL, 1)]
    scene.bed[902].rollback(1)
    scene.bed[902].mine()
    await scene.bed.follow()
    assert await scene.told() == []


async def test_what_is_no_verdict_is_asked_again() -> None:
    scene = Scene(Opinion(None, "failsafe (-320602)"), Opinion(None, "future (-321401)"), NO)
    await scene.begin()
    assert (await scene.told(), scene.counted()) == ([], False)
    await scene.watch.look()
    await scene.watch.look()
    assert len(scene.filter.asked) == 3
    assert await scene.told() == [("interop_filter_divergence", Severity.WARNING, 1)]


async def test_a_filter_that_is_away_is_told_and_asked_again() -> None:
    scene = Scene(TemporaryError("filter:8560: no answer within 2 s"))
    await scene.begin()
    assert await scene.told() == [("interop_filter_unreachable", Severity.WARNING, 1)]
    await scene.watch.look()
    assert (await scene.told(), len(scene.filter.asked)) == ([], 2)


async def test_a_verdict_that_turns_is_compared_again() -> None:
    scene = Scene(YES, YES)
    await scene.begin()
    scene.bed[901].rollback(1)
    scene.bed[901].mine()
    await scene.bed.follow()
    await scene.watch.look()
    assert len(scene.filter.asked) == 2
    assert await scene.told() == [("interop_filter_divergence", Severity.CRITICAL, 1)]


async def test_it_goes_on_where_it_was_after_a_restart() -> None:
    scene = Scene(TemporaryError("away"))
    await scene.begin()
    again = Scene()
    again.bed.database.connection.close()
    again.bed.database = scene.bed.database
    watch = FilterWatch(
        [again.filter],
        network=scene.bed.network,
        chains=[901, 902],
        database=scene.bed.database,
        metrics=scene.bed.metrics,
        clock=scene.bed.clock,
        interval_s=5,
    )
    await watch.look()
    assert len(again.filter.asked) == 1


@pytest.mark.parametrize(("code", "text", "valid"), [
    (-320600, "conflict", False),
    (-320501, "unknown chain", False),
    (-320602, "failsafe is enabled", None),
    (-32602, "failsafe is enabled", None),
    (-32602, "unsupported safety level finalized", None),
    (-321401, "future data", None),
    (-321100, "out of scope", None),
    (-320400, "uninitialized chain database", None),
    (-32602, "invalid executing message", False),
])  # fmt: skip
def test_error_codes(code: int, text: str, valid: bool | None) -> None:
    opinion = opinion_of(code, text)
    assert opinion is not None
    assert opinion.valid is valid


@pytest.mark.parametrize("code", [-32603, -32601, -32000, -32005, 0])
def test_faults_of_a_server_are_no_opinion(code: int) -> None:
    assert opinion_of(code, "internal error") is None
