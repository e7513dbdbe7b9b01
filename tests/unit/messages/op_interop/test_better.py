"""What the reference monitor gets wrong, and ours must not: one class per known weakness.

The numbers in the names of the classes follow the list of weaknesses that was drawn up from the reference's source.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from structlog.testing import capture_logs

from seamark.core.errors import TemporaryError
from seamark.core.ids import Hash32
from seamark.evm.ports import BlockLogs
from seamark.messages.protocols.op_interop.model import Rule, Status
from seamark.messages.protocols.op_interop.store import bad_logs, read_due
from seamark.storage.events import read_events
from tests.support.interop import (
    GENESIS_TIME,
    WINDOW_S,
    Batch,
    Bed,
    down,
    executing,
    initiating,
    malformed,
    without_a_trace,
    without_logs,
)


class TestRulesThatAreMissing1:
    async def test_a_message_before_activation(self) -> None:
        bed = Bed(901, 902, activation={901: GENESIS_TIME + 2})
        at, after = bed[901].mine(initiating(b"at")), bed[901].mine(initiating(b"after"))
        bed[902].mine(count=3)
        bed[902].mine(executing(at), executing(after))
        await bed.follow()
        assert {(item.status, item.rule) for item in bed.jobs()} == {
            (Status.INVALID, Rule.NOT_ACTIVE),
            (Status.VALID, Rule.NONE),
        }

    async def test_a_message_in_the_executing_chains_activation_block(self) -> None:
        bed = Bed(901, 902, activation={902: GENESIS_TIME + 4})
        log = bed[901].mine(initiating())
        bed[902].mine()
        bed[902].mine(executing(log))
        await bed.follow()
        assert (bed.status(), bed.job().rule) == (Status.INVALID, Rule.NOT_ACTIVE)

    async def test_a_circle_of_one_timestamp(self) -> None:
        bed = Bed(901, 902)
        # Block 1 of each chain: log 0 executes log 1 of the other chain.
        here = bed[901].mine_all(initiating(b"x"), initiating(b"y"))[1]
        there = bed[902].mine_all(executing(here), initiating(b"z"))[1]
        bed[901].rollback(1)
        replaced = bed[901].mine_all(executing(there), initiating(b"y"))[1]
        assert replaced.log.log_index == here.log.log_index
        await bed.follow()
        assert {(item.status, item.rule) for item in bed.jobs()} == {(Status.INVALID, Rule.CYCLE)}

    async def test_messages_of_one_timestamp_that_have_an_order_are_valid(self) -> None:
        bed = Bed(901, 902)
        first = bed[901].mine_all(initiating(b"x"))[0]
        reply = bed[902].mine_all(executing(first), initiating(b"z"))[1]
        bed[901].rollback(1)
        bed[901].mine(initiating(b"x"), executing(reply))
        await bed.follow()
        assert [item.status for item in bed.jobs()] == [Status.VALID, Status.VALID]

    async def test_what_rests_on_an_invalid_message_is_invalid(self) -> None:
        bed = Bed(901, 902, 903)
        log = bed[901].mine(initiating())
        bed[902].mine()
        relay = bed[902].mine_all(executing(log, log_index=9), initiating(b"next"))[1]
        bed[903].mine(count=3)
        bed[903].mine(executing(relay))
        await bed.follow()
        assert bed.job(exec_chain=903).rule is Rule.DEPENDS_ON_INVALID
        assert bed.job(exec_chain=902).rule is Rule.NO_LOG

    async def test_and_is_valid_again_when_its_ground_is(self) -> None:
        bed = Bed(901, 902, 903)
        bed[901].mine()
        draft = executing(Bed(901)[901].mine(initiating()))
        bed[902].mine()
        relay = bed[902].mine_all(draft, initiating(b"next"))[1]
        bed[903].mine(count=3)
        bed[903].mine(executing(relay))
        await bed.follow()
        assert bed.job(exec_chain=903).status is Status.INVALID
        bed[901].rollback(1)
        bed[901].mine(initiating())
        bed[901].mine()
        await bed.follow()
        assert bed.job(exec_chain=902).status is Status.VALID
        assert bed.job(exec_chain=903).status is Status.VALID

    async def test_the_access_list_is_looked_at_once(self) -> None:
        bed = Bed(901, 902)
        log = bed[901].mine(initiating())
        bed[902].mine(executing(log), executing(log, declare=False))
        await bed.follow()
        await bed.finalize()
        assert sorted(item.declared for item in bed.jobs() if item.declared is not None) == [False, True]
        assert len(bed[902].transactions_read) == 2


class TestNothingIsDropped2:
    async def test_an_unknown_chain_is_invalid_at_once(self) -> None:
        bed = Bed(901, 902)
        bed[902].mine(executing(bed[901].mine(initiating()), chain_id=2**200))
        await bed.tell(902)
        assert (bed.status(), bed.job().rule) == (Status.INVALID, Rule.UNKNOWN_CHAIN)
        assert bed.job().message.identifier.chain_id == 2**200
        assert bed.counted("invalid", 902, "unknown") == 1

    async def test_a_malformed_log_is_on_record(self) -> None:
        bed = Bed(901, 902)
        bed[902].mine(malformed())
        await bed.follow()
        (found,) = bad_logs(bed.database.connection)
        assert (found.chain_id, found.block_number) == (902, 1)

    async def test_numbers_that_no_chain_reaches(self) -> None:
        bed = Bed(901, 902)
        log = bed[901].mine(initiating())
        bed[902].mine(executing(log, block_number=2**64 - 1), executing(log, block_number=2**64))
        await bed.follow()
        assert bed.job().message.identifier.block_number == 2**64 - 1
        assert "does not fit" in bad_logs(bed.database.connection)[0].problem

    async def test_a_member_that_is_not_read_is_said_to_be_so(self) -> None:
        bed = Bed(901, 902, 903, read=[902])
        bed[902].mine(executing(bed[901].mine(initiating())))
        await bed.follow()
        assert (bed.status(), bed.job().rule) == (Status.UNKNOWN, Rule.NOT_WATCHED)


class TestTheFutureNeedsNoLook3:
    async def test_a_future_identifier_is_decided_without_a_request(self) -> None:
        bed = Bed(901, 902)
        log = bed[901].mine(initiating())
        bed[902].mine(executing(log, block_number=10**6, timestamp=GENESIS_TIME + 10**6))
        await bed.tell(902)
        assert (bed.status(), bed.job().rule) == (Status.INVALID, Rule.FUTURE)
        assert bed[901].reads == []

    async def test_a_block_that_comes_later_is_waited_for_and_found(self) -> None:
        bed = Bed(901, 902)
        ahead = Bed(901)[901].mine(initiating(), count=3)
        bed[902].mine(count=4)
        bed[902].mine(executing(ahead))
        await bed.follow()
        assert (bed.status(), bed.job().rule) == (Status.UNKNOWN, Rule.NO_BLOCK)
        reads = len(bed[901].reads)
        await bed.check()
        assert len(bed[901].reads) == reads, "nobody asks again until something has happened"
        bed[901].mine(initiating(), count=3)
        await bed.follow()
        assert bed.status() is Status.VALID


class TestOrphanedBlocks4:
    async def test_a_job_goes_with_its_block(self) -> None:
        bed = Bed(901, 902)
        log = bed[901].mine(initiating())
        bed[902].mine(executing(log, log_index=7))
        await bed.follow()
        assert bed.counted("invalid") == 1
        bed[902].rollback(1)
        bed[902].mine()
        await bed.follow()
        assert bed.counted("invalid") == 0
        (gone,) = bed.jobs(live=False)
        assert bed.steps(gone) == ["invalid", "retracted"]
        assert bed.value("interop_retracted_total") == 1

    async def test_the_same_log_in_another_block_is_a_new_job(self) -> None:
        bed = Bed(901, 902)
        log = bed[901].mine(initiating())
        bed[902].mine(executing(log, log_index=7))
        await bed.follow()
        bed[902].rollback(1)
        bed[902].mine(executing(log))
        bed[902].mine()
        await bed.follow()
        (gone,), live = bed.jobs(live=False), bed.job()
        assert (gone.message.block.number, gone.message.log_index) == (live.message.block.number, 0)
        assert (gone.status, live.status) == (Status.INVALID, Status.VALID)
        assert (bed.steps(gone), bed.steps(live)) == (["invalid", "retracted"], ["valid"])

    async def test_a_block_that_comes_back_brings_its_job_back(self) -> None:
        bed = Bed(901, 902)
        log = bed[901].mine(initiating())
        bed[902].mine(executing(log))
        await bed.follow()
        back = bed[902].rollback(1)
        bed[902].mine()
        await bed.follow()
        bed[902].rollback(1)
        bed[902].blocks += back
        await bed.follow()
        assert bed.steps(bed.job()) == ["valid", "retracted", "returned"]
        assert bed.counted("valid") == 1

    async def test_what_rested_on_the_orphan_is_looked_at_again(self) -> None:
        bed = Bed(901, 902)
        log = bed[901].mine(initiating())
        bed[902].mine(executing(log))
        await bed.follow()
        bed[901].rollback(1)
        bed[901].mine()
        await bed.follow()
        assert (bed.status(), bed.job().rule) == (Status.INVALID, Rule.NO_LOG)


class TestNothingIsForgotten5:
    async def test_an_invalid_message_that_became_final_stays(self) -> None:
        bed = Bed(901, 902)
        log = bed[901].mine(initiating())
        bed[902].mine(executing(log, log_index=7))
        await bed.follow()
        await bed.finalize()
        for _ in range(3):
            bed[901].mine(), bed[902].mine()
            await bed.finalize()
        bed.start()
        assert bed.job().settled
        assert bed.counted("invalid") == 1
        assert bed.value("interop_verdicts_total", status="invalid") == 1

    async def test_a_message_that_is_final_when_first_seen_is_counted(self) -> None:
        bed = Bed(901, 902)
        bed[902].mine(executing(bed[901].mine(initiating())))
        await bed.finalize()
        assert bed.value("interop_executing_messages_total") == 1
        assert bed.value("interop_verdicts_total", status="valid") == 1


class TestOneNodesWord6:
    async def test_an_error_keeps_the_last_verdict_and_marks_it(self) -> None:
        bed = Bed(901, 902)
        bed[902].mine(executing(bed[901].mine(initiating())))
        await bed.follow()
        bed[901].faults = down(1)
        await bed.safe(901, 1)
        job = bed.job()
        assert (job.status, job.stale, job.due) == (Status.VALID, True, True)
        await bed.check()
        assert (bed.job().stale, bed.steps(bed.job())) == (False, ["valid"])

    async def test_logs_left_out_once_are_no_alarm(self) -> None:
        bed = Bed(901, 902)
        bed[902].mine(executing(bed[901].mine(initiating())))
        bed[901].lies = [without_logs]
        await bed.follow()
        assert (bed.status(), bed.job().rule) == (Status.UNKNOWN, Rule.DISPUTED)
        await bed.check()
        assert bed.steps(bed.job()) == ["unknown", "valid"]
        assert [second for _, _, second in bed[901].reads] == [False, True, False]

    async def test_nor_do_they_take_back_what_was_said(self) -> None:
        bed = Bed(901, 902)
        bed[902].mine(executing(bed[901].mine(initiating())))
        await bed.follow()
        bed[901].lies = [without_logs]
        await bed.safe(901, 1)
        assert (bed.status(), bed.job().stale) == (Status.VALID, True)
        await bed.check()
        assert (bed.job().stale, bed.steps(bed.job())) == (False, ["valid"])

    async def test_logs_left_out_of_every_look_are_no_alarm_where_the_header_tells_of_them(self) -> None:
        bed = Bed(901, 902)
        bed[902].mine(executing(bed[901].mine(initiating())))
        bed[901].lies = [without_logs] * 3
        await bed.follow()
        assert (bed.status(), bed.job().rule) == (Status.UNKNOWN, Rule.DISPUTED)
        assert "leaves out logs" in bed.job().detail
        assert (await bed.checkers[0].health()).detail == "the nodes of l2-901 leave out logs of block 1"
        await bed.check()
        assert bed.steps(bed.job()) == ["unknown", "valid"]
        assert (await bed.checkers[0].health()).status == "ok"

    async def test_a_second_node_that_leaves_out_logs_hides_no_wrong_message(self) -> None:
        bed = Bed(901, 902)
        bed[902].mine(executing(bed[901].mine(initiating()), log_index=9))
        bed[901].lies = [lambda found: found, without_logs]
        await bed.follow()
        assert bed.steps(bed.job()) == ["invalid"]
        assert [second for _, _, second in bed[901].reads] == [False, True, False]

    async def test_nor_does_one_that_leaves_out_a_log_in_the_middle(self) -> None:
        bed = Bed(901, 902)
        logs = bed[901].mine_all(*[initiating() for _ in range(3)])
        bed[902].mine(executing(logs[1]))

        def without_the_second(found: BlockLogs) -> BlockLogs:
            return replace(found, logs=tuple(log for log in found.logs if log.log_index != 1))

        bed[901].lies = [without_the_second] * 3  # of the same address and topic as its neighbours
        await bed.follow()
        assert bed.job().rule is Rule.DISPUTED
        await bed.check()
        assert bed.status() is Status.VALID

    async def test_where_nothing_tells_of_them_the_next_level_of_safety_heals(self) -> None:
        bed = Bed(901, 902)
        bed[902].mine(executing(bed[901].mine(initiating())))
        bed[901].lies = [without_a_trace] * 2
        await bed.follow()
        assert (bed.status(), bed.job().rule) == (Status.INVALID, Rule.NO_LOG)
        await bed.safe(901, 1)
        assert bed.steps(bed.job()) == ["invalid", "valid"]

    async def test_a_node_that_is_behind_takes_nothing_back(self) -> None:
        bed = Bed(901, 902)
        bed[902].mine(executing(bed[901].mine(initiating())))
        await bed.follow()
        bed[901].lies = [lambda _: None]
        await bed.safe(901, 1)
        assert (bed.status(), bed.job().stale) == (Status.VALID, True)
        await bed.check()
        assert not bed.job().stale

    async def test_a_block_that_the_chain_lost_takes_the_verdict_with_it(self) -> None:
        bed = Bed(901, 902)
        bed[902].mine(executing(bed[901].mine(initiating())))
        await bed.follow()
        bed[901].rollback(1)
        await bed.follow()
        assert (bed.status(), bed.job().rule) == (Status.UNKNOWN, Rule.NO_BLOCK)
        assert bed.steps(bed.job()) == ["valid", "unknown"]

    async def test_a_false_word_is_confirmed_at_the_whole_block(self) -> None:
        bed = Bed(901, 902)
        log = bed[901].mine(initiating())
        bed[902].mine(executing(log, origin="0x" + "0b" * 20))
        await bed.follow()
        assert [bool(addresses) for _, addresses, _ in bed[901].reads] == [True, False]
        assert bed.job().detail == f"log 0 of block 1 is of {log.log.address}, not of 0x{'0b' * 20}"


class TestWorkFollowsChanges8:
    async def test_nothing_is_read_while_nothing_happens(self) -> None:
        bed = Bed(901, 902)
        for number in range(20):
            bed[902].mine(executing(bed[901].mine(initiating(bytes([number])))))
        await bed.follow()
        before = len(bed[901].reads)
        bed[902].mine(count=50)
        bed[901].mine(count=50)
        for _ in range(5):
            await bed.follow()
        assert len(bed[901].reads) == before

    async def test_a_thousand_messages_of_one_block_are_one_read(self) -> None:
        bed = Bed(901, 902)
        log = bed[901].mine(initiating())
        bed[902].mine()
        bed[902].mine(*[executing(log)] * 1_000)
        await bed.follow()
        assert bed.counted("valid") == 1_000
        assert len(bed[901].reads) == 1

    async def test_levels_touch_only_their_blocks(self) -> None:
        bed = Bed(901, 902)
        logs = [bed[901].mine(initiating(bytes([number]))) for number in range(4)]
        bed[902].mine(count=4)
        for log in logs:
            bed[902].mine(executing(log))
        await bed.follow()
        bed[901].reads.clear()
        await bed.safe(901, 2)
        assert [number for number, _, _ in bed[901].reads] == [1, 2]


class TestCatchUp7:
    async def test_a_batch_of_history_is_one_unit_of_work(self) -> None:
        """500 blocks in one go; speed itself is measured by bench/rpc_volume.py."""
        bed = Bed(901, 902)
        for number in range(250):
            log = bed[901].mine(initiating(number.to_bytes(2, "big")))
            bed[902].mine()
            bed[902].mine(executing(log))
        await bed.finalize()
        assert len(bed.jobs(limit=1_000)) == 250
        assert all(item.settled for item in bed.jobs(limit=1_000))


class TestRestart12:
    async def test_after_500_blocks_nothing_is_missing_and_nothing_is_twice(self) -> None:
        bed = Bed(901, 902)
        first = bed[901].mine(initiating())
        bed[902].mine(executing(first))
        await bed.follow()
        bed.start()
        late = bed[901].mine(initiating(b"late"), count=500)
        bed[902].mine(executing(late), count=600)
        await bed.follow()
        assert [item.status for item in bed.jobs()] == [Status.VALID, Status.VALID]
        assert bed.counted("valid") == 2
        assert bed.value("interop_executing_messages_total") == 2

    async def test_a_batch_that_comes_again_changes_nothing(self) -> None:
        bed = Bed(901, 902)
        bed[902].mine(executing(bed[901].mine(initiating())))
        batch = Batch(bed[902].chain_id, list(bed[902].blocks), 1)
        await bed.save(batch)
        await bed.save(batch)
        assert bed.value("interop_executing_messages_total") == 1
        assert bed.counted("unknown") == 1

    async def test_jobs_that_were_due_are_still_due(self) -> None:
        bed = Bed(901, 902)
        bed[902].mine(executing(bed[901].mine(initiating())))
        await bed.tell(902)
        bed.start()
        await bed.check()
        assert bed.status() is Status.VALID


class TestChainsAreApart13:
    async def test_a_dead_chain_holds_up_nobody_else(self) -> None:
        bed = Bed(901, 902, 903)
        one, other = bed[901].mine(initiating()), bed[903].mine(initiating())
        bed[902].mine(executing(one), executing(other))
        bed[901].faults = down(1_000)
        await bed.follow()
        by_chain = {item.message.identifier.chain_id: item.status for item in bed.jobs()}
        assert by_chain == {901: Status.UNKNOWN, 903: Status.VALID}
        health = await bed.checkers[0].health()
        assert "block 1 of l2-901 cannot be read" in health.detail

    async def test_a_block_that_nobody_can_read_holds_up_no_other(self) -> None:
        bed = Bed(901, 902)
        lost, good = bed[901].mine(initiating(b"lost")), bed[901].mine(initiating(b"good"))
        honest = bed[901].block_logs

        async def pruned(number: int, *args: Any, **more: Any) -> Any:
            if number == 1:
                raise TemporaryError("pruned")
            return await honest(number, *args, **more)

        bed[901].block_logs = pruned  # type: ignore[method-assign]
        bed[902].mine(executing(lost))
        await bed.tell(901)
        await bed.tell(902)
        checker = bed.checkers[0]
        checker._pause = 1_000.0
        running = asyncio.create_task(checker.run())
        for _ in range(100):  # turns of the loop: it has looked in vain, and waits for a long time
            await asyncio.sleep(0)
        assert bed.job().stale
        bed[902].mine(executing(good))
        await bed.tell(902)
        checker.bell.ring()
        for _ in range(100):
            await asyncio.sleep(0)
        assert bed.counted("valid") == 1
        running.cancel()
        assert bed.counted("unknown") == 1

    async def test_a_verdict_under_way_when_a_reorg_comes_is_not_the_last_word(self) -> None:
        bed = Bed(901, 902)
        bed[902].mine(executing(bed[901].mine(initiating())))
        await bed.tell(901)
        await bed.tell(902)
        due = read_due(bed.database.connection, [901], others=False, limit=10)
        assert [item.touches for item in due] == [bed.job().touches]
        old = bed[901].block_logs

        async def slow(number: int, *args: object, **more: object) -> object:
            found = await old(number)
            bed[901].rollback(1)
            bed[901].mine()
            bed[901].mine()
            bed[901].block_logs = old  # type: ignore[method-assign]
            await bed.tell(901)
            return found

        bed[901].block_logs = slow  # type: ignore[method-assign,assignment]
        await bed.checkers[0].round()
        assert bed.job().due, "the look was at a chain that is no more"
        await bed.check()
        assert bed.status() is Status.INVALID


class TestBoundary:
    async def test_the_last_second_is_valid_and_flagged(self) -> None:
        bed = Bed(901, 902)
        log = bed[901].mine(initiating())
        bed[902].mine(executing(log), time=log.time + WINDOW_S)
        await bed.follow()
        assert (bed.status(), bed.job().boundary) == (Status.VALID, True)

    async def test_no_stranger_makes_a_label(self) -> None:
        bed = Bed(901, 902)
        log = bed[901].mine(initiating())
        bed[902].mine(*[executing(log, chain_id=10_000 + number) for number in range(50)])
        await bed.follow()
        labels = {
            sample.labels["initiating_chain_id"]
            for family in bed.registry.collect()
            for sample in family.samples
            if "initiating_chain_id" in sample.labels
        }
        assert labels == {"901", "902", "unknown"}


class TestIdentity:
    async def test_the_payload_hash_binds_data_and_topics(self) -> None:
        bed = Bed(901, 902)
        log = bed[901].mine(initiating())
        bed[902].mine(executing(log, payload=Hash32(log.payload[:-1] + ("0" if log.payload[-1] != "0" else "1"))))
        await bed.follow()
        assert bed.job().rule is Rule.WRONG_PAYLOAD


class TestLogs11:
    async def test_one_line_for_each_wrong_message_and_none_for_the_others(self) -> None:
        bed = Bed(901, 902)
        log = bed[901].mine(initiating())
        bed[902].mine(executing(log), executing(log, log_index=4))
        with capture_logs() as lines:
            await bed.follow()
            bed[902].mine(count=30)
            await bed.finalize()
        assert [(line["event"], line["rule"], line["log_level"]) for line in lines] == [
            ("interop.invalid", "no_log", "warning")
        ]

    async def test_a_burst_does_not_flood_the_log(self) -> None:
        bed = Bed(901, 902)
        log = bed[901].mine(initiating())
        bed[902].mine(*[executing(log, log_index=4 + number) for number in range(100)])
        with capture_logs() as lines:
            await bed.follow()
        assert len(lines) == 21
        assert lines[-1]["messages"] == 80
        topics = [item.topic for item in read_events(bed.database.connection, 0)]
        assert topics.count("interop.invalid") == 100
