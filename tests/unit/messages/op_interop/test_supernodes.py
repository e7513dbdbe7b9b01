"""Supernodes: who answers, and how far each chain is safe and final there."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from seamark.core.errors import TemporaryError
from seamark.messages.protocols.op_interop.metrics import InteropMetrics
from seamark.messages.protocols.op_interop.supernodes import Heads, SupernodeWatch, read_heads
from tests.support.clock import FakeClock


def block(number: int) -> dict[str, Any]:
    return {"hash": "0x" + "aa" * 32, "number": number, "parentHash": "0x" + "ab" * 32, "timestamp": 1_750_000_000}


def status(**chains: tuple[int, int]) -> msgspec.Raw:
    """As the server writes it, with parts that nobody reads here; `c901=(cross-safe, final)`."""
    answer = {
        "chains": {
            name[1:]: {
                "current_l1": block(7),
                "unsafe_l2": block(safe + 5),
                "safe_l2": block(safe),
                "finalized_l2": block(final),
            }
            for name, (safe, final) in chains.items()
        },
        "chain_ids": [name[1:] for name in chains],
        "current_l1": {"hash": "0x" + "cc" * 32, "number": 7},
        "safe_timestamp": 1_750_000_000,
        "local_safe_timestamp": 1_750_000_000,
        "finalized_timestamp": 1_749_999_000,
    }
    return msgspec.Raw(msgspec.json.encode(answer))


class Node:
    def __init__(self, label: str, answer: msgspec.Raw | Exception) -> None:
        self.label, self.answer = label, answer

    async def sync_status(self) -> msgspec.Raw:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def watched(*nodes: Node) -> tuple[SupernodeWatch, CollectorRegistry]:
    registry = CollectorRegistry()
    return SupernodeWatch(nodes, metrics=InteropMetrics((), registry), clock=FakeClock(0.0)), registry


def heads(registry: CollectorRegistry, endpoint: str) -> dict[tuple[str, str], float]:
    return {
        (sample.labels["chain_id"], sample.labels["level"]): sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "interop_supernode_safe_head" and sample.labels["endpoint"] == endpoint
    }


def is_up(registry: CollectorRegistry, endpoint: str) -> float | None:
    return registry.get_sample_value("interop_supernode_up", {"endpoint": endpoint})


async def test_two_heads_of_each_chain_are_shown() -> None:
    looking, registry = watched(Node("a", status(c901=(20, 10), c902=(40, 30))), Node("b", status(c901=(19, 10))))
    await looking.look()
    assert heads(registry, "a") == {
        ("901", "cross_safe"): 20,
        ("901", "finalized"): 10,
        ("902", "cross_safe"): 40,
        ("902", "finalized"): 30,
    }
    assert heads(registry, "b") == {("901", "cross_safe"): 19, ("901", "finalized"): 10}
    assert is_up(registry, "a") == is_up(registry, "b") == 1


async def test_one_that_is_down_shows_no_heads_and_is_told_once() -> None:
    node, other = Node("a", status(c901=(20, 10))), Node("b", status(c901=(20, 10)))
    looking, registry = watched(node, other)
    await looking.look()
    node.answer = TemporaryError("no answer")
    with capture_logs() as lines:
        await looking.look()
        await looking.look()
    assert [line["endpoint"] for line in lines] == ["a"]
    assert (is_up(registry, "a"), heads(registry, "a")) == (0, {})
    assert (is_up(registry, "b"), len(heads(registry, "b"))) == (1, 2)
    node.answer = status(c901=(21, 11))
    await looking.look()
    assert (is_up(registry, "a"), heads(registry, "a")[("901", "cross_safe")]) == (1, 21)


@pytest.mark.parametrize("answer", ["null", "{}", '{"chains": {"901": {}}}', '{"chains": []}', '"ok"'])
async def test_another_answer_is_none(answer: str) -> None:
    with pytest.raises(TemporaryError, match="supernode_syncStatus"):
        read_heads(msgspec.Raw(answer.encode()))
    looking, registry = watched(Node("a", msgspec.Raw(answer.encode())))
    assert await looking.look() == {"a": None}
    assert is_up(registry, "a") == 0


def test_a_set_without_chains_is_an_answer() -> None:
    assert read_heads(status()) == {}
    assert read_heads(status(c1=(2, 1))) == {"1": Heads(2, 1)}


def test_without_supernodes_there_is_no_such_metric() -> None:
    _, registry = watched()
    assert not [family for family in registry.collect() if "supernode" in family.name]
