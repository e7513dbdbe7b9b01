"""What Prometheus sees, and that it is the same after a restart."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from seamark.core.errors import TemporaryError
from seamark.messages.metrics import MessageMetrics
from seamark.messages.store import all_lanes, read_chains, read_tallies
from seamark.storage.totals import read_totals
from tests.unit.messages.history import OUT, A, B, World, committed, executed, final, reorg, sent


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.close()


def load(world: World) -> tuple[MessageMetrics, CollectorRegistry]:
    registry = CollectorRegistry()
    metrics = MessageMetrics(world.protocol, registry)
    connection = world.connection
    metrics.load(
        read_totals(connection, "ccip_"),
        read_tallies(connection, "ccip"),
        all_lanes(connection, "ccip"),
        read_chains(connection, "ccip"),
    )
    return metrics, registry


def live(world: World) -> None:
    """Four messages: one delivered, one failed, one on its way, one retracted; each step in a batch of its own."""
    base, lost = world.block(A, 5), world.block(A, 6, [sent(4, variant="x")], fork="lost")
    world.tell(A, *(world.block(A, number, [sent(number)]) for number in range(1, 4)))
    world.tell(A, base, lost, final(world.block(A, 3)))
    world.tell(A, reorg(base, lost), world.block(A, 6))
    world.tell(B, world.block(B, 10, [committed(1, 2)]))
    world.tell(B, world.block(B, 12, [executed(1), executed(2, good=False)]))


LANE = {"source": "alpha", "dest": "beta", "version": "1.6.0", "onramp": OUT.channel}


def test_following_commits_equals_loading_from_the_database(world: World) -> None:
    metrics, registry = load(world)
    live(world)
    for applied in world.applied:
        metrics.follow(applied.changes, applied.view)
    _, fresh = load(world)
    for text in generate_latest(fresh).decode().splitlines():
        assert text in generate_latest(registry).decode()


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("ccip_messages_sent_total", {}, 4),
        ("ccip_messages_received_total", {"state": "success"}, 1),
        ("ccip_messages_received_total", {"state": "failure"}, 1),
        ("ccip_errors_total", {"class": "receiver_reverted"}, 1),
        ("ccip_message_failures", {"reason": "receiver_reverted"}, 1),
        ("ccip_fees_total", {"fee_token": "LINK"}, 2.0),  # 4 messages of 5 base units, one decimal
        ("ccip_fees_juels_total", {}, 40),
        ("ccip_messages_tracked", {"stage": "executed"}, 1),
        ("ccip_messages_tracked", {"stage": "failed"}, 1),
        ("ccip_messages_tracked", {"stage": "finalized"}, 1),
        ("ccip_messages_tracked", {"stage": "retracted"}, 1),
        ("ccip_message_latency_seconds_count", {"stage": "total"}, 1),
        ("ccip_message_latency_seconds_sum", {"stage": "total"}, 132),
        ("ccip_message_latency_seconds_bucket", {"stage": "total", "le": "120"}, 0),
        ("ccip_message_latency_seconds_bucket", {"stage": "total", "le": "300"}, 1),
        ("ccip_message_latency_seconds_bucket", {"stage": "total", "le": "+Inf"}, 1),
        ("ccip_message_latency_seconds_count", {"stage": "commit"}, 2),
    ],
)
def test_values(world: World, name: str, labels: dict[str, str], value: float) -> None:
    live(world)
    _, registry = load(world)
    assert registry.get_sample_value(name, {**LANE, **labels}) == value


def test_chains(world: World) -> None:
    live(world)
    metrics, registry = load(world)
    metrics.observers[A].position(40, 6, 3)
    metrics.observers[A].poll_failed(TemporaryError("no answer"))
    metrics.observers[B].gap_healed(2)

    def value(name: str, chain: str) -> float | None:
        return registry.get_sample_value(name, {"chain": chain})

    assert value("ccip_chain_head_block", "alpha") == 40
    assert value("ccip_chain_scanned_block", "alpha") == 6
    assert value("ccip_chain_finalized_block", "alpha") == 3
    assert value("ccip_chain_lag_blocks", "alpha") == 34
    assert value("ccip_chain_lag_blocks", "beta") is None, "its head has not been seen"
    assert value("ccip_reorgs_total", "alpha") == 1
    assert value("ccip_poll_failures_total", "alpha") == 1
    assert value("ccip_late_logs_total", "beta") == 2


def test_a_fee_in_an_unknown_token_keeps_its_address(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    live(world)
    _, registry = load(world)
    monkeypatch.setattr(type(world.protocol), "token", lambda *_: None)
    address = "0x" + "fe" * 20
    assert registry.get_sample_value("ccip_fees_total", {**LANE, "fee_token": address}) == pytest.approx(20e-18)


def test_labels_are_bounded(world: World) -> None:
    """No message id, account or transaction: more messages do not make more series."""
    live(world)
    _, registry = load(world)
    before = len(generate_latest(registry).splitlines())
    for number in range(100, 130):
        world.tell(A, world.block(A, number, [sent(number)]))
    _, registry = load(world)
    text = generate_latest(registry).decode()
    assert len(text.splitlines()) <= before + 1
    assert "0x" + "5e" * 20 not in text
