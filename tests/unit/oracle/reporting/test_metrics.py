"""Metrics by the names that dashboards of OCR2 nodes read, with labels that stay few."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

from seamark.core.ids import Address, ChainId
from seamark.oracle.model import FeedRef
from seamark.oracle.reporting.metrics import NetworkMeter, ReportingMeter, ReportingMetrics
from seamark.oracle.reporting.ports import Port
from tests.support.clock import FakeClock

REF = FeedRef("ETH/USD", "besu", ChainId(138), Address("0x" + "5f" * 20))
FEED = {"feed": "ETH/USD", "chain": "besu"}


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def meter(registry: CollectorRegistry, clock: FakeClock) -> ReportingMeter:
    return ReportingMeter(ReportingMetrics(registry), REF, clock=clock)


def test_counters_of_a_new_node_are_zero_not_missing(registry: CollectorRegistry, meter: ReportingMeter) -> None:
    assert meter.epoch == 0
    for name in ("sent_observations", "included_observations", "completed_rounds", "led_completed_rounds"):
        assert registry.get_sample_value(f"ocr2_{name}_total", FEED) == 0
    assert registry.get_sample_value("reporting_oid", FEED) == -1


def test_epoch_and_leader_are_shown(registry: CollectorRegistry, meter: ReportingMeter) -> None:
    meter.epoch_began(7, 3)
    assert registry.get_sample_value("ocr2_epoch", FEED) == 7
    assert registry.get_sample_value("ocr2_experimental_leader_oid", FEED) == 3
    assert (meter.epoch, meter.leader) == (7, 3)


def test_a_round_counts_once_for_each_thing_it_is(registry: CollectorRegistry, meter: ReportingMeter) -> None:
    meter.observed((1, 1))
    meter.round_finished((1, 1), led=False, included=True)
    meter.observed((1, 2))
    meter.round_finished((1, 2), led=True, included=False)
    assert registry.get_sample_value("ocr2_sent_observations_total", FEED) == 2
    assert registry.get_sample_value("ocr2_completed_rounds_total", FEED) == 2
    assert registry.get_sample_value("ocr2_included_observations_total", FEED) == 1
    assert registry.get_sample_value("ocr2_led_completed_rounds_total", FEED) == 1


def test_rounds_that_this_node_leads_are_timed(
    registry: CollectorRegistry, clock: FakeClock, meter: ReportingMeter
) -> None:
    for round_ in range(1, 10):
        meter.round_began((1, round_))  # unfinished ones are forgotten, the newest are not
    clock.advance(0.2)
    meter.round_finished((1, 9), led=True, included=True)
    meter.round_finished((1, 1), led=True, included=True)
    assert registry.get_sample_value("reporting_round_seconds_count", FEED) == 1
    assert registry.get_sample_value("reporting_round_seconds_sum", FEED) == pytest.approx(0.2)


def test_time_since_progress_is_told_at_the_scrape(
    registry: CollectorRegistry, clock: FakeClock, meter: ReportingMeter
) -> None:
    clock.advance(5)
    assert registry.get_sample_value("reporting_seconds_since_progress", FEED) == 5
    meter.progressed()
    assert registry.get_sample_value("reporting_seconds_since_progress", FEED) == 0
    clock.advance(2)
    meter.seated(me=2, nodes=4, f=1, connected=lambda: 3)
    assert meter.since_progress() == 0, "a new configuration begins anew"
    assert registry.get_sample_value("reporting_connected_nodes", FEED) == 3
    meter.unseated()
    assert registry.get_sample_value("reporting_oid", FEED) == -1


def test_steps_are_timed_and_their_failures_have_few_names(registry: CollectorRegistry, meter: ReportingMeter) -> None:
    meter.called(Port.SIGN, 0.02, None)
    for failure in ("timeout", "RejectedError", "SomethingOfALibrary", "AnotherOne"):
        meter.called(Port.READ, 0.5, failure)
    assert registry.get_sample_value("reporting_call_seconds_count", {**FEED, "step": "sign"}) == 1
    reasons = {
        sample.labels["reason"]: sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "reporting_call_failures_total"
    }
    assert reasons == {"timeout": 1, "RejectedError": 1, "other": 2}


def test_what_becomes_of_transactions_is_counted_with_its_price(
    registry: CollectorRegistry, meter: ReportingMeter
) -> None:
    meter.transmitted((1, 1))
    meter.settled("mined", fee=5)
    meter.settled("reverted", fee=7)
    for outcome in ("sent", "mined", "reverted"):
        assert registry.get_sample_value("reporting_transmissions_total", {**FEED, "outcome": outcome}) == 1
    assert registry.get_sample_value("reporting_transmission_fees_wei_total", FEED) == 12


def test_wrong_signatures_are_told_by_node(registry: CollectorRegistry, meter: ReportingMeter) -> None:
    meter.bad_signature(3)
    meter.bad_signature(3)
    assert registry.get_sample_value("reporting_bad_signatures_total", {**FEED, "node": "3"}) == 2


def test_connections_are_shown_by_peer(registry: CollectorRegistry) -> None:
    meter = NetworkMeter(ReportingMetrics(registry), ["b:1", "c:1"])
    assert registry.get_sample_value("reporting_peer_connected", {"peer": "b:1"}) == 0
    meter.connected("b:1", up=True)
    assert registry.get_sample_value("reporting_peer_connected", {"peer": "b:1"}) == 1
    assert meter.up == {"b:1": True, "c:1": False}
    meter.connected("b:1", up=False)
    assert not meter.up["b:1"]
    meter.sent("b:1", 3, 300)
    meter.received("c:1", 2, 200)
    meter.dropped("c:1", "incoming_full", 4)
    meter.slowed("c:1", 1.5)
    meter.refused("a stranger's name that is no label")
    out = {"peer": "b:1", "direction": "out"}
    assert registry.get_sample_value("reporting_messages_total", out) == 3
    assert registry.get_sample_value("reporting_message_bytes_total", {"peer": "c:1", "direction": "in"}) == 200
    dropped = {"peer": "c:1", "reason": "incoming_full"}
    assert registry.get_sample_value("reporting_messages_dropped_total", dropped) == 4
    assert registry.get_sample_value("reporting_peer_slowed_seconds_total", {"peer": "c:1"}) == 1.5
    assert registry.get_sample_value("reporting_connections_refused_total") == 1
