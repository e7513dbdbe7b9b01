"""The judge over a ledger: what it finds, when that ends, whom it tells, what survives a restart."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from seamark.core.errors import TemporaryError
from seamark.core.findings import Severity
from seamark.messages.judgement import LaneProfile, read_curses, read_profile, store
from seamark.messages.judgement.model import LogGap, Origin
from seamark.messages.judgement.service import REPORT_EVERY_S
from seamark.messages.model import Malformed, NoticeKind, Sent
from seamark.messages.protocol import Profile
from seamark.storage.database import open_database
from seamark.storage.events import read_events
from tests.unit.messages.history import (
    BACK,
    GENESIS_TIME,
    OUT,
    A,
    B,
    Noticed,
    Told,
    committed,
    executed,
    final,
    hash32,
    message_id,
    reorg,
    revoked,
    sent,
)
from tests.unit.messages.judgement.scene import Scene, settings

MINUTE = 60
HOUR = 3600
STUDY_EVERY_S = 60  # twelve looks of five seconds
# finality 10 minutes: 1.5 x 10 + 1, + 3, + 5 minutes; critical 2 x 10 + 5, + 10, + 15
FINAL, COMMITTED, EXECUTED = 16 * MINUTE, 18 * MINUTE, 20 * MINUTE
EXECUTED_CRITICAL = 35 * MINUTE


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    database = await open_database("sqlite://")
    scene = Scene(database)
    await scene.begin()
    yield scene
    scene.world.close()
    await database.close()


async def deliver(scene: Scene, numbers: range, *, every: int = 120, took: int = 60, start: int = 0) -> int:
    """Messages that are committed and executed `took` seconds after each send; when the last one was."""
    sends, runs = [], []
    for place, number in enumerate(numbers):
        at = start + place * every
        sends.append(scene.block(A, at, sent(number)))
        runs.append(scene.block(B, at + took, committed(number, number), executed(number)))
    await scene.tell(A, *sends, final(sends[-1]))
    await scene.tell(B, *runs)
    return start + (len(numbers) - 1) * every + took


class TestStuck:
    async def test_a_message_is_late_in_each_stage_by_its_own_limit(self, scene: Scene) -> None:
        block = scene.block(A, 0, sent(1))
        await scene.tell(A, block)
        assert await scene.look(FINAL) == {}
        (stuck,) = (await scene.look(FINAL + 1))["message_stuck"]
        assert (stuck.labels["stage"], stuck.severity, stuck.count) == ("sent", Severity.WARNING, 1)
        assert stuck.since == GENESIS_TIME + FINAL
        assert "alpha → beta" in stuck.title

        await scene.tell(A, final(block))
        assert await scene.look(COMMITTED) == {}
        (stuck,) = (await scene.look(COMMITTED + 1))["message_stuck"]
        assert stuck.labels["stage"] == "finalized"

        await scene.tell(B, scene.block(B, COMMITTED, committed(1, 1)))
        assert await scene.look(EXECUTED) == {}
        (stuck,) = (await scene.look(EXECUTED + 1))["message_stuck"]
        assert stuck.labels["stage"] == "committed"
        (stuck,) = (await scene.look(EXECUTED_CRITICAL + 1))["message_stuck"]
        assert stuck.severity is Severity.CRITICAL

        await scene.tell(B, scene.block(B, EXECUTED_CRITICAL, executed(1)))
        assert await scene.look() == {}

    async def test_many_are_one_finding(self, scene: Scene) -> None:
        block = scene.block(A, 0, *(sent(number) for number in range(1, 30)))
        await scene.tell(A, block, final(block))
        await scene.tell(B, scene.block(B, 24, committed(1, 29)))
        await scene.tell(B, scene.block(B, 36, executed(29)))  # a later one got through: the lane is not at a stop
        found = await scene.look(EXECUTED + 1)
        (stuck,) = found["message_stuck"]
        assert stuck.count == 28

    async def test_a_lane_at_a_stop_is_said_to_be(self, scene: Scene) -> None:
        block = scene.block(A, 0, sent(1), sent(2), sent(3))
        await scene.tell(A, block, final(block))
        (stopped,) = (await scene.look(COMMITTED + 1))["sent_not_committed"]
        assert (stopped.severity, stopped.count) == (Severity.CRITICAL, 3)
        await scene.tell(B, scene.block(B, COMMITTED, committed(1, 3)))
        found = await scene.look(EXECUTED + 1)
        assert "sent_not_committed" not in found
        (stopped,) = found["committed_not_executed"]
        assert stopped.count == 3

    async def test_a_lane_without_commits_waits_for_executions(self, scene: Scene) -> None:
        scene.protocol.usual = Profile(600.0, commits=False)
        block = scene.block(A, 0, sent(1), sent(2), sent(3))
        await scene.tell(A, block, final(block))
        assert await scene.look(EXECUTED) == {}
        found = await scene.look(EXECUTED + 1)
        assert set(found) == {"message_stuck", "committed_not_executed"}
        assert "not executed" in found["message_stuck"][0].title

    async def test_when_anybody_may_execute(self, scene: Scene) -> None:
        scene.protocol.usual = Profile(600.0, manual_after_s=HOUR)
        block = scene.block(A, 0, sent(1), sent(2))
        await scene.tell(A, block, final(block))
        await scene.tell(B, scene.block(B, 600, committed(1, 1)))
        await scene.tell(B, scene.block(B, 1200, committed(2, 2)))
        await scene.look(600 + HOUR)
        assert scene.value("ccip_manual_exec_eligible") == 0
        (stuck,) = [
            item for item in (await scene.look(601 + HOUR))["message_stuck"] if item.labels["stage"] == "committed"
        ]
        assert scene.value("ccip_manual_exec_eligible") == 1
        assert stuck.remedy == f"1 message may be executed by hand: seamark messages recover {message_id(OUT, 1)}"

    async def test_what_was_not_read_yet_is_not_late(self, scene: Scene) -> None:
        block = scene.block(A, 0, sent(1))
        await scene.tell(A, block, final(block))
        await scene.tell(B, scene.block(B, 12))
        scene.messages.observers[B].position(100_000, 1, 0)  # the destination is being caught up with
        found = await scene.look(10 * HOUR)
        assert "message_stuck" not in found
        await scene.tell(B, scene.block(B, 10 * HOUR))
        assert "message_stuck" in await scene.look()

    async def test_an_unreachable_destination_makes_nothing_late_but_is_told(self, scene: Scene) -> None:
        block = scene.block(A, 0, sent(1))
        await scene.tell(A, block, final(block))
        await scene.look(5 * MINUTE)
        scene.messages.observers[B].poll_failed(TemporaryError("no answer"))
        found = await scene.look(HOUR)
        assert list(found) == ["chain_unreachable"]
        (blind,) = found["chain_unreachable"]
        assert (blind.severity, blind.labels) == (Severity.CRITICAL, {"chain": "beta"})
        scene.level(B, 1)
        assert list(await scene.look()) == ["message_stuck"]

    async def test_a_taken_back_commit_is_waited_for_again(self, scene: Scene) -> None:
        block = scene.block(A, 0, sent(1))
        await scene.tell(A, block, final(block))
        await scene.tell(B, scene.block(B, 600, committed(1, 1)))
        assert await scene.look(COMMITTED + 1) == {}
        await scene.tell(B, scene.block(B, COMMITTED, revoked(1, 1)))
        (stuck,) = (await scene.look())["message_stuck"]
        assert stuck.labels["stage"] == "finalized"

    async def test_instant_finality_means_the_runbooks_five_minutes(self, scene: Scene) -> None:
        scene.protocol.usual = Profile(finality_s=0.0, instant=True)
        block = scene.block(A, 0, sent(1))
        await scene.tell(A, block, final(block))
        await scene.tell(B, scene.block(B, 12, committed(1, 1)))
        assert await scene.look(5 * MINUTE) == {}
        assert list(await scene.look(5 * MINUTE + 1)) == ["message_stuck"]

    async def test_settings_have_the_last_word(self, scene: Scene) -> None:
        scene.settings = settings(lanes=[{"source": "alp*", "executed": "2m"}])
        scene.judge = scene.new_judge()
        block = scene.block(A, 0, sent(1))
        await scene.tell(A, block)
        assert list(await scene.look(2 * MINUTE + 1)) == ["message_stuck"]

    async def test_a_muted_lane_says_nothing_that_time_decides(self, scene: Scene) -> None:
        scene.settings = settings(lanes=[{"destination": "beta", "mute": True}])
        scene.judge = scene.new_judge()
        block = scene.block(A, 0, sent(1), sent(2))
        await scene.tell(A, block, final(block))
        await scene.tell(B, scene.block(B, 24, committed(1, 2)))
        await scene.tell(B, scene.block(B, 36, executed(1, good=False)))
        assert list(await scene.look(10 * HOUR)) == ["message_failed"]

    async def test_a_destination_that_nobody_watches(self, scene: Scene) -> None:
        away = OUT._replace(destination="99")
        block = scene.block(A, 0, sent(1, away), sent(2, away))
        await scene.tell(A, block, final(block))
        found = await scene.look(10 * HOUR)
        assert list(found) == ["destination_not_watched"]
        assert found["destination_not_watched"][0].count == 2


class TestLearned:
    async def test_a_fast_lane_is_late_sooner_and_the_next_process_knows(self, scene: Scene) -> None:
        end = await deliver(scene, range(1, 71))
        later = end + HOUR
        await scene.look(later)
        profile = await scene.database.read(lambda c: read_profile(c, OUT))
        assert profile is not None
        assert profile.executed.origin is Origin.LEARNED
        assert profile.executed.warn == 180, "three times the 60 s that each took"
        assert profile.learned.total is not None
        assert profile.learned.total.p95 == 60
        block = scene.block(A, later, sent(71))
        await scene.tell(A, block, final(block))
        await scene.tell(B, scene.block(B, later + 24, committed(71, 71)))
        assert "message_stuck" not in await scene.look(later + 170)
        assert "message_stuck" in await scene.look(later + 190)
        scene.judge = scene.new_judge()
        assert "message_stuck" in await scene.look(later + 191)

    async def test_few_messages_teach_nothing(self, scene: Scene) -> None:
        end = await deliver(scene, range(1, 40))
        await scene.look(end + HOUR)
        profile = await scene.database.read(lambda c: read_profile(c, OUT))
        assert profile is not None
        assert profile.executed.origin is Origin.DEFAULT
        assert profile.executed.warn == EXECUTED

    async def test_a_profile_is_stored_only_when_it_changes(self, scene: Scene) -> None:
        await deliver(scene, range(1, 3))
        await scene.look(HOUR)
        assert await scene.database.read(lambda c: read_profile(c, OUT)) is not None
        assert await scene.database.read(lambda c: read_profile(c, BACK)) is None
        stored: LaneProfile | None = await scene.database.read(lambda c: read_profile(c, OUT))
        await scene.look(HOUR + STUDY_EVERY_S)
        assert await scene.database.read(lambda c: read_profile(c, OUT)) == stored


class TestSilence:
    async def test_a_busy_lane_that_goes_quiet(self, scene: Scene) -> None:
        end = await deliver(scene, range(1, 71), every=60)
        await scene.look(end + 10 * MINUTE)
        assert "lane_silent" not in await scene.look(end + 25 * MINUTE)
        (silent,) = (await scene.look(end + 31 * MINUTE))["lane_silent"]
        assert silent.severity is Severity.WARNING
        block = scene.block(A, end + 32 * MINUTE, sent(71))
        await scene.tell(A, block, final(block))
        assert "lane_silent" not in await scene.look()

    async def test_a_lane_that_pauses_every_night_is_not_silent_at_night(self, scene: Scene) -> None:
        end = await deliver(scene, range(1, 61), every=60)
        morning = end + 6 * HOUR
        end = await deliver(scene, range(61, 121), every=60, start=morning - morning % 12)
        await scene.look(end + 15 * MINUTE)
        for minutes in (20, 40, 120, 480):
            assert "lane_silent" not in await scene.look(end + minutes * MINUTE)
        assert "lane_silent" in await scene.look(end + 9 * HOUR + 5 * MINUTE)

    async def test_a_lane_of_few_messages_is_never_silent(self, scene: Scene) -> None:
        end = await deliver(scene, range(1, 20), every=60)
        assert "lane_silent" not in await scene.look(end + 100 * HOUR)

    async def test_a_source_that_is_not_read_is_not_silent(self, scene: Scene) -> None:
        end = await deliver(scene, range(1, 71), every=60)
        await scene.look(end)
        scene.messages.observers[A].poll_failed(TemporaryError("no answer"))
        assert "lane_silent" not in await scene.look(end + 5 * HOUR)


class TestFailures:
    async def fail(self, scene: Scene, good: int, bad: int) -> None:
        numbers = range(1, good + bad + 1)
        block = scene.block(A, 0, *(sent(number) for number in numbers))
        await scene.tell(A, block, final(block))
        await scene.tell(B, scene.block(B, 24, committed(1, good + bad)))
        await scene.tell(B, scene.block(B, 36, *(executed(number, good=number > bad) for number in numbers)))

    async def test_failed_messages_with_their_reasons(self, scene: Scene) -> None:
        await self.fail(scene, 1, 2)
        (failed,) = (await scene.look(MINUTE))["message_failed"]
        assert (failed.count, failed.text) == (2, "2 refused by the receiver")
        assert message_id(OUT, 1) in failed.remedy
        await scene.tell(B, scene.block(B, 48, executed(1, manual=True), executed(2, manual=True)))
        found = await scene.look()
        assert "message_failed" not in found

    async def test_rates_are_of_matured_messages_only(self, scene: Scene) -> None:
        await self.fail(scene, 94, 6)
        assert set(await scene.look(EXECUTED)) == {"message_failed"}, "nothing is old enough yet"
        found = await scene.look(EXECUTED + 2 * STUDY_EVERY_S)
        assert set(found) == {"message_failed", "success_rate_low", "error_rate_high"}
        (rate,) = found["success_rate_low"]
        assert (rate.severity, rate.count) == (Severity.WARNING, 6)
        assert scene.value("ccip_success_ratio") == pytest.approx(0.94)

    async def test_exactly_the_limit_is_allowed(self, scene: Scene) -> None:
        await self.fail(scene, 95, 5)
        assert set(await scene.look(HOUR)) == {"message_failed"}

    async def test_an_outage_is_critical(self, scene: Scene) -> None:
        await self.fail(scene, 10, 20)
        (rate,) = (await scene.look(HOUR))["success_rate_low"]
        assert rate.severity is Severity.CRITICAL

    async def test_few_messages_make_no_rate(self, scene: Scene) -> None:
        await self.fail(scene, 1, 10)
        assert set(await scene.look(HOUR)) == {"message_failed"}

    async def test_what_was_repaired_counts_as_delivered_and_as_failed(self, scene: Scene) -> None:
        await self.fail(scene, 20, 10)
        repaired = [executed(number, manual=True) for number in range(1, 11)]
        await scene.tell(B, scene.block(B, 60, *repaired))
        (notice,) = (await scene.look(2 * MINUTE))["manual_execution"]
        assert (notice.severity, notice.count) == (Severity.INFO, 10)
        assert notice.text.startswith("done, nothing is left to do")
        assert not notice.remedy
        found = await scene.look(HOUR)
        assert "success_rate_low" not in found
        assert "error_rate_high" in found
        assert "manual_execution" not in found, "old news"

    async def test_slow(self, scene: Scene) -> None:
        end = await deliver(scene, range(1, 31), took=EXECUTED + 12)
        (slow,) = (await scene.look(end + HOUR))["latency_high"]
        assert "20m" in slow.text
        assert slow.count == 30


class TestWaitingForAHand:
    """Messages that nobody executes by himself."""

    @staticmethod
    def by_hand(number: int) -> Told:
        told = sent(number)
        return replace(told, body=msgspec.structs.replace(told.body, by_hand=True))

    async def test_they_are_never_late_and_lower_no_rate(self, scene: Scene) -> None:
        block = scene.block(A, 0, *(self.by_hand(number) for number in range(1, 11)))
        await scene.tell(A, block, final(block))
        assert await scene.look(99 * HOUR) == {}
        assert scene.value("ccip_messages_late") == 0
        assert scene.value("ccip_oldest_in_flight_seconds") == 0

    async def test_the_others_beside_them_are(self, scene: Scene) -> None:
        first = scene.block(A, 0, self.by_hand(1), self.by_hand(2))
        second = scene.block(A, 600, sent(3), self.by_hand(4))
        await scene.tell(A, first, second, final(second))
        (stuck,) = (await scene.look(10 * HOUR))["message_stuck"]
        assert (stuck.count, stuck.since) == (1, GENESIS_TIME + 600 + COMMITTED)
        assert scene.value("ccip_messages_late") == 1

    async def test_an_attempt_that_failed_is_told(self, scene: Scene) -> None:
        block = scene.block(A, 0, self.by_hand(1))
        await scene.tell(A, block, final(block))
        await scene.tell(B, scene.block(B, 60, executed(1, good=False)))
        assert "message_failed" in await scene.look(2 * MINUTE)


class TestOddities:
    async def test_delivered_without_a_callback(self, scene: Scene) -> None:
        block = scene.block(A, 0, sent(1), sent(2), sent(3, size=0))
        await scene.tell(A, block, final(block))
        await scene.tell(B, scene.block(B, 24, committed(1, 3)))
        runs = executed(1), executed(2, callback=False), executed(3, callback=False)
        await scene.tell(B, scene.block(B, 36, *runs))
        (odd,) = (await scene.look(MINUTE))["delivered_without_callback"]
        assert odd.count == 1, "a message without data has nothing to call with"
        assert message_id(OUT, 2) in odd.remedy

    async def test_a_reorg_after_the_delivery(self, scene: Scene) -> None:
        base, lost = scene.block(A, 0), scene.block(A, 12, sent(1), fork="x")
        await scene.tell(A, base, lost)
        await scene.tell(B, scene.block(B, 24, committed(1, 1)))
        await scene.tell(B, scene.block(B, 36, executed(1)))
        assert "reorged_after_delivery" not in await scene.look(MINUTE)
        await scene.tell(A, reorg(base, lost), scene.block(A, 12))
        (odd,) = (await scene.look(3 * MINUTE))["reorged_after_delivery"]
        assert odd.severity is Severity.CRITICAL
        await scene.look(400 * 24 * HOUR)
        assert "reorged_after_delivery" in await scene.look(), "however long ago"

    async def test_a_destination_that_contradicts(self, scene: Scene) -> None:
        await scene.tell(A, scene.block(A, 0, sent(1)))
        wrong = replace(executed(1), sequence=7)
        await scene.tell(B, scene.block(B, 36, wrong))
        assert "conflicting_destination" in await scene.look(MINUTE)

    async def test_numbers_that_lack(self, scene: Scene) -> None:
        block = scene.block(A, 0, sent(5), sent(6), sent(9), sent(12))
        await scene.tell(A, block)
        assert await scene.look(MINUTE) == {}, "not final: it may still change"
        await scene.tell(A, final(block))
        (gap,) = (await scene.look(MINUTE + STUDY_EVERY_S))["sequence_gap"]
        assert (gap.count, gap.severity) == (4, Severity.CRITICAL)
        assert "7-8, 10-11" in gap.text
        late = scene.block(A, 12, sent(7), sent(8), sent(10))
        await scene.tell(A, late, final(late))
        (gap,) = (await scene.look(MINUTE + 2 * STUDY_EVERY_S))["sequence_gap"]
        assert "missing: 11;" in gap.text
        assert scene.value("ccip_sequence_gaps") == 1
        scene.judge = scene.new_judge()
        assert "sequence_gap" in await scene.look(), "the next process knows"

    async def test_numbers_counted_over_all_destinations(self, scene: Scene) -> None:
        scene.protocol.numbering = "source"  # type: ignore[attr-defined]
        scene.judge = scene.new_judge()
        away = OUT._replace(destination="99")
        block = scene.block(A, 0, sent(1), sent(2, away), sent(3), sent(5, away))
        await scene.tell(A, block, final(block))
        found = await scene.look(MINUTE)
        (gap,) = found["sequence_gap"]
        assert "missing: 4;" in gap.text

    async def test_numbers_that_say_nothing(self, scene: Scene) -> None:
        scene.protocol.numbering = "none"  # type: ignore[attr-defined]
        scene.judge = scene.new_judge()
        block = scene.block(A, 0, sent(1), sent(5))
        await scene.tell(A, block, final(block))
        assert await scene.look(MINUTE) == {}

    async def test_an_ordered_sender_that_is_held_up(self, scene: Scene) -> None:
        def ordered(number: int, nonce: int) -> Told:
            told = sent(number)
            assert isinstance(told.body, Sent)
            return replace(told, body=msgspec.structs.replace(told.body, nonce=nonce))

        block = scene.block(A, 0, ordered(1, 4), ordered(2, 5), ordered(3, 6))
        await scene.tell(A, block, final(block))
        await scene.tell(B, scene.block(B, 24, committed(1, 3)))
        details = {"sender": "0x" + "5e" * 20, "nonce": "5", "source": OUT.source}
        await scene.tell(B, scene.block(B, 36, Noticed(NoticeKind.NONCE_SKIPPED, "0x" + "5e" * 20, details)))
        (blocked,) = (await scene.look(MINUTE))["nonce_blocked"]
        assert blocked.count == 2
        assert message_id(OUT, 1) in blocked.remedy
        await scene.tell(B, scene.block(B, 48, executed(1, good=False)))
        await scene.tell(B, scene.block(B, 60, executed(2), executed(3)))
        assert "nonce_blocked" not in await scene.look(MINUTE + STUDY_EVERY_S)

    async def test_malformed_logs_are_told_for_an_hour(self, scene: Scene) -> None:
        await scene.look(0)
        block = scene.block(A, 12)
        bad = Malformed(transaction=hash32("t"), log_index=0, address=OUT.channel, problem="short")  # type: ignore[arg-type]
        scene.protocol.malformed[block.ref.hash] = (bad, bad)
        await scene.tell(A, block)
        (found,) = (await scene.look(2 * MINUTE))["malformed_log"]
        assert found.count == 2
        await scene.look(HOUR)
        assert "malformed_log" not in await scene.look(2 * HOUR)

    async def test_a_clock_in_the_future(self, scene: Scene) -> None:
        await scene.tell(A, scene.block(A, HOUR))
        (skew,) = (await scene.look(MINUTE))["clock_skew"]
        assert "59m" in skew.title

    async def test_a_chain_far_behind(self, scene: Scene) -> None:
        await scene.look(0)
        await scene.tell(A, scene.block(A, 12))
        scene.messages.observers[A].position(5000, 1, 0)
        assert await scene.look(MINUTE) == {}
        (behind,) = (await scene.look(5 * MINUTE))["chain_behind"]
        assert "4999 blocks behind" in behind.title

    async def test_what_nobody_could_heal(self, scene: Scene) -> None:
        gap = LogGap(OUT, A, "alpha", "sent", 3, 4, 100, 200, GENESIS_TIME, 2)
        scene.judge = scene.new_judge(gaps=lambda: [gap])
        (found,) = (await scene.look(0))["log_gap"]
        assert (found.count, found.severity) == (2, Severity.CRITICAL)


class TestCurses:
    async def test_one_finding_and_its_consequences(self, scene: Scene) -> None:
        block = scene.block(A, 0, *(sent(number) for number in range(1, 11)))
        back = scene.block(B, 0, sent(1, BACK))
        await scene.tell(A, block, final(block))
        await scene.tell(B, back, final(back))
        await scene.tell(B, scene.block(B, 24, committed(1, 10)))
        await scene.tell(B, scene.block(B, 36, Noticed(NoticeKind.CURSED, OUT.source)))
        found = await scene.look(10 * HOUR)
        (cursed,) = found["cursed"]
        assert (cursed.severity, cursed.count) == (Severity.CRITICAL, 11)
        assert "alpha → beta" in cursed.text
        assert "beta → alpha" in cursed.text
        stuck = found["message_stuck"]
        assert {item.severity for item in stuck} == {Severity.INFO}
        assert {item.labels["cause"] for item in stuck} == {"cursed"}
        assert {item.group for item in stuck} == {cursed.group}
        assert not [item for items in found.values() for item in items if item.severity is Severity.WARNING]
        (curse,) = await scene.database.read(lambda c: read_curses(c, "ccip"))
        assert (curse.chain, curse.subject_name) == ("beta", "alpha")

        await scene.tell(B, scene.block(B, 48, Noticed(NoticeKind.UNCURSED, OUT.source)))
        found = await scene.look()
        assert "cursed" not in found
        assert {item.severity for item in found["message_stuck"]} == {Severity.CRITICAL}

    async def test_of_everything_and_of_another_lane(self, scene: Scene) -> None:
        block = scene.block(A, 0, sent(1))
        await scene.tell(A, block, final(block))
        await scene.tell(B, scene.block(B, 36, Noticed(NoticeKind.CURSED, "77")))
        found = await scene.look(10 * HOUR)
        assert found["message_stuck"][0].severity is Severity.CRITICAL, "the curse is about another chain"
        await scene.tell(A, scene.block(A, 36, Noticed(NoticeKind.CURSED, "*")))
        found = await scene.look()
        assert found["message_stuck"][0].severity is Severity.INFO


class TestTelling:
    async def stuck(self, scene: Scene) -> None:
        await scene.tell(A, scene.block(A, 0, sent(1)))
        await scene.look(FINAL)

    async def test_a_report_is_the_whole_set_when_it_changed_and_once_a_minute(self, scene: Scene) -> None:
        await self.stuck(scene)
        scene.reports.clear()
        await scene.look(FINAL + 1)
        await scene.look(FINAL + 2)
        assert [len(report) for report in scene.reports] == [1]
        await scene.look(FINAL + 1 + REPORT_EVERY_S)
        assert [len(report) for report in scene.reports] == [1, 1]
        await scene.tell(A, final(scene.block(A, 0)))
        await scene.look()
        assert [len(report) for report in scene.reports] == [1, 1, 0]

    async def test_without_anybody_who_takes_them_findings_are_events(self, scene: Scene) -> None:
        scene.reporting = False
        scene.judge = scene.new_judge()
        await self.stuck(scene)
        await scene.look(FINAL + 1)
        await scene.look(FINAL + 2)
        await scene.tell(A, final(scene.block(A, 0)))
        await scene.look()
        events = await scene.database.read(lambda c: read_events(c, 0, topics=["finding."]))
        assert [event.topic for event in events] == ["finding.opened", "finding.ended"]
        assert events[0].payload["kind"] == "message_stuck"
        assert events[0].payload["remedy"]

    async def test_a_failed_write_is_told_the_next_time(self, scene: Scene) -> None:
        def refuse(connection: Any, source: str, findings: Any) -> None:
            raise TemporaryError(f"disk full: {source}")

        await self.stuck(scene)
        scene.judge._report = refuse
        with pytest.raises(TemporaryError):
            await scene.look(FINAL + 1)
        reports: list[Any] = []
        scene.judge._report = lambda connection, source, findings: reports.append(findings)
        await scene.look(FINAL + 2)
        assert [len(report) for report in reports] == [1]

    async def test_metrics(self, scene: Scene) -> None:
        await self.stuck(scene)
        await scene.look(FINAL + 1)
        assert scene.value("ccip_messages_late", stage="sent") == 1
        assert scene.value("ccip_messages_late", stage="committed") == 0
        assert scene.value("ccip_lane_threshold_seconds", stage="executed", severity="warning") == EXECUTED
        assert scene.value("ccip_oldest_in_flight_seconds", source="alpha", onramp=OUT.channel) == FINAL + 1
        assert scene.value("ccip_lane_backlog") == 1
        assert scene.value("ccip_findings", kind="message_stuck", severity="warning") == 1
        assert scene.value("ccip_judge_last_look_timestamp_seconds") == GENESIS_TIME + FINAL + 1

    async def test_health(self, scene: Scene) -> None:
        assert (await scene.judge.health()).status == "degraded"
        await scene.look(0)
        assert (await scene.judge.health()).status == "ok"
        scene.at(HOUR)
        assert (await scene.judge.health()).status == "degraded"

    async def test_no_lanes_no_findings(self, scene: Scene) -> None:
        assert await scene.look(0) == {}
        assert await scene.database.read(lambda c: store.judged_lanes(c, "ccip")) == []


class TestChainsThatLeft:
    async def test_their_lanes_are_late_no_longer(self, scene: Scene) -> None:
        block = scene.block(A, 0, sent(1))
        await scene.tell(A, block, final(block))
        assert "message_stuck" in await scene.look(COMMITTED + 1)
        both = scene.protocol.names
        scene.protocol.names = lambda lane: replace(both(lane), destination_watched=False)  # type: ignore[method-assign]
        assert "message_stuck" not in await scene.look()
        scene.protocol.names = lambda lane: replace(  # type: ignore[method-assign]
            both(lane), source_watched=False, destination_watched=False
        )
        scene.judge = scene.new_judge()
        assert await scene.look() == {}
