"""What is told of what is wrong: kinds, severities, counts, and when it ends."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.core.findings import Finding, Severity
from seamark.messages.protocols.op_interop import findings
from seamark.messages.protocols.op_interop.settings import InteropSettings
from seamark.messages.protocols.op_interop.store import BadLogView
from seamark.messages.protocols.op_interop.views import LaneUnrelayed, Unrelayed
from seamark.messages.protocols.op_interop.watch import SOURCE, Watch, present_findings
from tests.support.interop import WINDOW_S, Bed, down, executing, initiating, malformed


def present(bed: Bed, **changes: Any) -> list[Finding]:
    settings = InteropSettings(**changes)
    return present_findings(bed.database.connection, bed.network, settings, now=bed.clock.now())


def kinds(bed: Bed, **changes: Any) -> list[str]:
    return [item.kind for item in present(bed, **changes)]


async def test_nothing_is_wrong() -> None:
    bed = Bed(901, 902)
    bed[902].mine(executing(bed[901].mine(initiating())))
    await bed.follow()
    assert present(bed) == []


async def test_an_invalid_message_is_graded_by_how_safe_its_block_is() -> None:
    bed = Bed(901, 902)
    bed[902].mine(executing(bed[901].mine(initiating()), log_index=4))
    await bed.follow()
    assert kinds(bed) == ["interop_invalid_unsafe"]
    await bed.safe(902, 1)
    assert kinds(bed) == ["interop_invalid_safe"]
    await bed.finalize()
    (item,) = present(bed)
    assert (item.kind, item.severity, item.count) == ("interop_invalid_final", Severity.CRITICAL, 1)
    assert "l2-902 from l2-901 (no_log, final block)" in item.title
    assert bed[902].blocks[1].logs[0].transaction_hash in item.text
    assert item.labels == {"chain": "l2-902", "initiating": "l2-901", "rule": "no_log"}


async def test_it_ends_when_the_block_is_replaced() -> None:
    bed = Bed(901, 902)
    bed[902].mine(executing(bed[901].mine(initiating()), log_index=4))
    await bed.follow()
    bed[902].rollback(1)
    bed[902].mine()
    await bed.follow()
    assert present(bed) == []


async def test_a_thousand_wrong_messages_are_one_finding() -> None:
    bed = Bed(901, 902)
    log = bed[901].mine(initiating())
    bed[902].mine(*[executing(log, chain_id=5_000 + number) for number in range(200)])
    await bed.follow()
    (item,) = present(bed)
    assert (item.kind, item.count) == ("interop_unknown_chain", 200)
    assert "chains outside the set" in item.title
    assert item.text.count("transaction") == 3, "some of them, not all"
    assert item.labels["initiating"] == "unknown"


async def test_undecided_only_after_a_while() -> None:
    bed = Bed(901, 902)
    bed[902].mine(executing(bed[901].mine(initiating())))
    bed[901].faults = down(100)
    await bed.follow()
    assert kinds(bed) == []
    bed.clock.advance(601)
    (item,) = present(bed)
    assert (item.kind, item.severity) == ("interop_undecided", Severity.WARNING)
    assert "check the nodes of l2-901" in item.remedy


async def test_a_verdict_that_nobody_can_confirm() -> None:
    bed = Bed(901, 902)
    bed[902].mine(executing(bed[901].mine(initiating())))
    await bed.follow()
    bed[901].faults = down(100)
    await bed.safe(901, 1)
    bed.clock.advance(601)
    (item,) = present(bed)
    assert (item.kind, item.text) == (
        "interop_undecided",
        "the initiating block cannot be read; the last verdict stands, unconfirmed",
    )


async def test_a_member_that_is_not_read() -> None:
    bed = Bed(901, 902, read=[902])
    bed[902].mine(executing(bed[901].mine(initiating())))
    await bed.follow()
    bed.clock.advance(601)
    (item,) = present(bed)
    assert (item.kind, item.severity, item.remedy) == (
        "interop_not_watched",
        Severity.INFO,
        "add l2-901 under interop.chains",
    )


async def test_a_flip_the_boundary_and_what_was_not_declared() -> None:
    bed = Bed(901, 902)
    log = bed[901].mine(initiating())
    bed[902].mine(executing(log), executing(log, declare=False), time=log.time + WINDOW_S)
    await bed.follow()
    found = {item.kind: item.count for item in present(bed)}
    assert found == {"interop_undeclared": 1, "interop_expiry_boundary": 2}
    bed[901].rollback(1)
    bed[901].mine(), bed[901].mine()
    await bed.follow()
    found = {item.kind: item.count for item in present(bed)}
    assert found["interop_verdict_changed"] == 2


async def test_malformed_logs_by_chain() -> None:
    bed = Bed(901, 902)
    bed[902].mine(malformed(), malformed())
    await bed.follow()
    (item,) = present(bed)
    assert (item.kind, item.subject, item.count) == ("interop_malformed", "902", 2)
    bed[902].rollback(1)
    bed[902].mine()
    await bed.follow()
    assert present(bed) == []


def unrelayed(*, expires: int, sends: int = 1) -> Unrelayed:
    return Unrelayed("0x" + "ab" * 32, "op", "base", expires - 100, expires - 100, sends, expires)


def test_messages_that_nobody_relays() -> None:
    lanes = [LaneUnrelayed("op", "base", 3, 1_000)]
    (item,) = findings.about_unrelayed(lanes, [], now=9_000, relay_after_s=3_600)
    assert (item.kind, item.count, item.since, item.subject) == ("interop_not_relayed", 3, 4_600, "op:base")
    assert "2h13m" in item.text


@pytest.mark.parametrize(
    ("now", "kind", "word"),
    [
        (4_000, "interop_expiring", "in 16m40s"),
        (5_000, "interop_expiring", "in 0ms"),
        (5_060, "interop_expired", "1m ago"),
    ],
)
def test_messages_whose_time_runs_out(now: int, kind: str, word: str) -> None:
    (item,) = findings.about_unrelayed([], [unrelayed(expires=5_000)], now=now, relay_after_s=60)
    assert item.kind == kind
    assert item.text.endswith(word)
    assert "resendMessage" in item.remedy


def test_the_last_second_is_still_in_time() -> None:
    assert not unrelayed(expires=5_000).expired(5_000)
    assert unrelayed(expires=5_000).expired(5_001)


def test_a_failsafe_that_is_on_and_one_that_is_silent() -> None:
    on, silent = findings.about_failsafe({"a:1": True, "b:2": False, "c:3": None}, {"c:3": "no answer"})
    assert (on.kind, on.subject) == ("interop_failsafe_on", "a:1")
    assert (silent.kind, silent.subject, silent.text) == ("interop_failsafe_unreachable", "c:3", "no answer")


def test_bad_logs_of_two_chains_are_two_findings() -> None:
    network = Bed(901, 902).network
    logs = [BadLogView(chain, 5, "0x01", 0, "broken") for chain in (901, 902, 902)]
    assert [(item.subject, item.count) for item in findings.about_bad_logs(logs, network)] == [("901", 1), ("902", 2)]


async def test_the_watch_reports_everything_each_time() -> None:
    bed = Bed(901, 902)
    bed[902].mine(executing(bed[901].mine(initiating()), log_index=4))
    await bed.follow()
    told: list[tuple[str, list[str]]] = []

    def report(connection: Any, source: str, found: Any) -> None:
        told.append((source, [item.kind for item in found]))

    watch = Watch(
        network=bed.network,
        settings=InteropSettings(),
        chains=[901, 902],
        database=bed.database,
        metrics=bed.metrics,
        report=report,
        failsafe=None,
        clock=bed.clock,
    )
    await watch.look()
    bed[902].rollback(1)
    bed[902].mine()
    await bed.follow()
    await watch.look()
    assert told == [(SOURCE, ["interop_invalid_unsafe"]), (SOURCE, [])]
