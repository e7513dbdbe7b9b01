"""Replicas of a supernode: one super root for a time that all of them call final."""

from __future__ import annotations

from typing import Any

import msgspec
from prometheus_client import CollectorRegistry, generate_latest

from seamark.core.errors import TemporaryError
from seamark.messages.protocols.op_interop.findings import about_replicas
from seamark.messages.protocols.op_interop.metrics import InteropMetrics
from seamark.messages.protocols.op_interop.replicas import ReplicaWatch
from tests.support.clock import FakeClock

FINAL = 1_750_000_000


class Node:
    def __init__(
        self, label: str, root: str = "0xaa", *, final: int = FINAL, chains: tuple[int, ...] = (901, 902)
    ) -> None:
        self.label, self.root, self.final, self.chains = label, root, final, chains
        self.asked: list[int] = []
        self.away = False

    async def super_root(self, timestamp: int) -> msgspec.Raw:
        self.asked.append(timestamp)
        if self.away:
            raise TemporaryError("no answer")
        answer: dict[str, Any] = {"finalized_timestamp": self.final, "chain_ids": [str(item) for item in self.chains]}
        if self.root and timestamp <= self.final:
            answer["data"] = {"super_root": self.root, "super": {}}
        return msgspec.Raw(msgspec.json.encode(answer))


def watch(*nodes: Node) -> ReplicaWatch:
    return ReplicaWatch(nodes, metrics=InteropMetrics((), CollectorRegistry()), clock=FakeClock(FINAL + 900.0))


async def test_replicas_that_agree() -> None:
    one, two = Node("a"), Node("b", final=FINAL - 60)
    found = await watch(one, two).look()
    assert found is not None
    assert not found.differing
    assert one.asked[-1] == two.asked[-1] == FINAL - 60, "the youngest that both call final"
    assert about_replicas(found) == []


async def test_replicas_that_differ_are_named() -> None:
    registry = CollectorRegistry()
    looking = ReplicaWatch(
        [Node("a"), Node("b"), Node("c", "0xbb")], metrics=InteropMetrics((), registry), clock=FakeClock(FINAL + 900.0)
    )
    (item,) = about_replicas(await looking.look())
    assert item.kind == "interop_replicas_differ"
    assert "0xaa: a, b; 0xbb: c" in item.text
    shown = generate_latest(registry).decode()
    assert "interop_replica_superroot_divergence 1.0" in shown
    assert "interop_replica_compared_replicas 3.0" in shown


async def test_who_does_not_answer_has_no_data_is_starting_or_knows_other_chains_is_left_out() -> None:
    away, empty, starting = Node("b", "0xbb"), Node("c", ""), Node("d", "0xdd", final=0)
    away.away = True
    other = Node("e", "0xee", chains=(901, 902, 903))
    found = await watch(Node("a"), Node("z"), away, empty, starting, other).look()
    assert found is not None
    assert found.roots == {"0xaa": ("a", "z")}


async def test_fewer_than_two_are_no_comparison_and_the_last_word_stays() -> None:
    one, two = Node("a"), Node("b", "0xbb")
    looking = watch(one, two)
    assert (await looking.look()) is not None
    two.away = True
    assert await looking.look() is None
    assert looking.last is not None
    assert looking.last.differing
