"""The reference monitor's own test list, row by row, as acceptance tests of ours.

Each class is named after the reference's test. Rows about its internals (rings of blocks, tickers) are told as what
they are for: what a user sees after the same history.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from seamark.core.errors import SettingsError, TemporaryError
from seamark.core.ids import Address, BlockRef, ChainId, Hash32
from seamark.evm.abi import DecodeError
from seamark.evm.ports import Block
from seamark.messages.protocols.op_interop import InteropChain, interop_network
from seamark.messages.protocols.op_interop.failsafe import Failsafe
from seamark.messages.protocols.op_interop.metrics import InteropMetrics
from seamark.messages.protocols.op_interop.model import TERMINAL, ExecutingMessage, Rule, Status
from seamark.messages.protocols.op_interop.rules import parse_executing
from seamark.messages.protocols.op_interop.settings import InteropSettings
from seamark.messages.protocols.op_interop.store import job_key, ranges
from tests.support.interop import (
    GENESIS_TIME,
    OTHER,
    WINDOW_S,
    Bed,
    Draft,
    down,
    executing,
    initiating,
)


def one_message(bed: Bed, **changes: Any) -> None:
    """901 sends in block 1, 902 executes in block 2."""
    log = bed[901].mine(initiating())
    bed[902].mine(count=1)
    bed[902].mine(executing(log, **changes))


class TestFinder:
    async def test_first_block_is_told_and_its_jobs_start_unknown(self) -> None:
        bed = Bed(901, 902)
        one_message(bed)
        await bed.tell(902)
        assert bed.status() is Status.UNKNOWN

    async def test_a_child_block_is_told_too(self) -> None:
        bed = Bed(901, 902)
        one_message(bed)
        await bed.tell(902)
        bed[902].mine(executing(bed[901].mine(initiating(b"second"))))
        await bed.tell(902)
        assert len(bed.jobs()) == 2

    async def test_a_wrong_parent_is_a_reorg_and_never_a_child(self) -> None:
        bed = Bed(901, 902)
        one_message(bed)
        await bed.tell(902)
        bed[902].rollback(1)
        bed[902].mine()
        bed[902].mine()
        await bed.tell(902)
        assert bed.jobs() == []
        assert len(bed.jobs(live=False)) == 1

    async def test_walkback_ends_at_the_last_common_block(self) -> None:
        bed = Bed(901, 902)
        kept = bed[901].mine(initiating(b"kept"))
        bed[902].mine(executing(kept))  # a0, stays
        bed[902].mine(executing(kept))  # a1, goes
        await bed.follow()
        bed[902].rollback(1)
        bed[902].mine(), bed[902].mine()  # b1, b2
        await bed.follow()
        assert [item.message.block.number for item in bed.jobs()] == [1]
        assert [item.message.block.number for item in bed.jobs(live=False)] == [2]

    async def test_finality_reaches_the_jobs_of_the_right_chain(self) -> None:
        bed = Bed(901, 902)
        one_message(bed)
        await bed.follow()
        await bed.finalize(902)
        assert (int(bed.job().exec_level), int(bed.job().init_level)) == (2, 0)

    async def test_the_executing_blocks_time_is_the_jobs(self) -> None:
        bed = Bed(901, 902)
        one_message(bed)
        await bed.tell(902)
        assert bed.job().message.block.timestamp == bed[902].head.ref.timestamp


class TestJobUpdateStatus:
    async def test_starts_unknown_and_keeps_its_history(self) -> None:
        bed = Bed(901, 902)
        one_message(bed)
        await bed.tell(902)
        assert bed.status() is Status.UNKNOWN
        await bed.follow()
        assert bed.steps(bed.job()) == ["valid"]

    async def test_the_same_status_is_not_written_twice(self) -> None:
        bed = Bed(901, 902)
        one_message(bed)
        await bed.follow()
        await bed.safe(901, 1)
        await bed.safe(902, 2)
        assert len(bed[901].reads) == 3, "looked at again each time"
        assert bed.steps(bed.job()) == ["valid"]


def place(draft: Draft) -> tuple[Block, Any]:
    bed = Bed(902)
    bed[902].mine(draft)
    return bed[902].head, bed[902].head.logs[0]


class TestJobFromLog:
    def test_a_well_formed_event_gives_every_field(self) -> None:
        log = Bed(901)[901].mine(initiating())
        block, event = place(executing(log))
        found = parse_executing(ChainId(902), block, event)
        assert found.identifier == log.identifier
        assert (found.payload, found.chain_id, found.log_index) == (log.payload, 902, 0)
        assert found.transaction == event.transaction_hash

    def test_no_data(self) -> None:
        block, event = place(executing(Bed(901)[901].mine(initiating())))
        with pytest.raises(DecodeError):
            parse_executing(ChainId(902), block, msgspec.structs.replace(event, data="0x"))

    def test_no_topics(self) -> None:
        block, event = place(executing(Bed(901)[901].mine(initiating())))
        with pytest.raises(DecodeError):
            parse_executing(ChainId(902), block, msgspec.structs.replace(event, topics=()))

    async def test_another_address_is_no_executing_message(self) -> None:
        bed = Bed(901, 902)
        draft = executing(bed[901].mine(initiating()))
        bed[902].mine(Draft(OTHER, draft.topics, draft.data))
        await bed.tell(902)
        assert bed.jobs() == []


BASE = ExecutingMessage(
    ChainId(902),
    BlockRef(7, Hash32("0x" + "aa" * 32), Hash32(""), GENESIS_TIME),
    Hash32("0x" + "bb" * 32),
    3,
    Hash32("0x" + "cc" * 32),
    Bed(901)[901].mine(initiating()).identifier,
)


class TestJobId:
    """The reference's id has seven parts, but no block hash. Ours is the place of the log, hash included: what the log
    says follows from it."""

    @pytest.mark.parametrize(
        "other",
        [
            msgspec.structs.replace(BASE, chain_id=ChainId(903)),
            msgspec.structs.replace(BASE, log_index=4),
            msgspec.structs.replace(BASE, block=BlockRef(7, Hash32("0x" + "ab" * 32), Hash32(""), GENESIS_TIME)),
        ],
    )
    def test_changes_with_each_part_of_the_place(self, other: ExecutingMessage) -> None:
        assert job_key(other) != job_key(BASE)

    async def test_messages_with_other_contents_are_other_jobs(self) -> None:
        bed = Bed(901, 902, 903)
        log = bed[901].mine(initiating())
        bed[902].mine(
            executing(log),
            executing(log, payload=Hash32("0x" + "01" * 32)),
            executing(log, block_number=5),
            executing(log, log_index=5),
            executing(log, chain_id=903),
        )
        await bed.tell(902)
        assert len({item.key for item in bed.jobs()}) == 5


class TestStatusStrings:
    def test_terminal(self) -> None:
        assert {"valid", "invalid", "expired", "timestamp_mismatch"} == {item.value for item in TERMINAL}
        assert Status.UNKNOWN not in TERMINAL


class TestUpdaterExpiration:
    """When a job leaves the gauges."""

    async def test_both_final(self) -> None:
        bed = Bed(901, 902)
        one_message(bed)
        await bed.follow()
        await bed.finalize()
        assert (bed.job().settled, bed.counted("valid")) == (True, 0)

    async def test_initiating_block_not_final(self) -> None:
        bed = Bed(901, 902)
        one_message(bed)
        await bed.follow()
        await bed.finalize(902)
        assert (bed.job().settled, bed.counted("valid")) == (False, 1)

    async def test_executing_block_not_final(self) -> None:
        bed = Bed(901, 902)
        one_message(bed)
        await bed.follow()
        await bed.finalize(901)
        assert (bed.job().settled, bed.counted("valid")) == (False, 1)

    async def test_never_evaluated(self) -> None:
        bed = Bed(901, 902)
        one_message(bed)
        bed[901].faults = down(50)
        await bed.finalize()
        assert (bed.job().settled, bed.counted("unknown")) == (False, 1)

    async def test_a_verdict_is_counted_before_the_job_leaves(self) -> None:
        bed = Bed(901, 902)
        one_message(bed)
        await bed.finalize()
        assert bed.counted("valid") == 0
        assert bed.value("interop_verdicts_total", status="valid") == 1


class TestUpdaterStatus:
    async def test_match(self) -> None:
        bed = Bed(901, 902)
        one_message(bed)
        await bed.follow()
        assert bed.status() is Status.VALID

    async def test_index_absent(self) -> None:
        bed = Bed(901, 902)
        one_message(bed, log_index=1)
        await bed.follow()
        assert (bed.status(), bed.job().rule) == (Status.INVALID, Rule.NO_LOG)

    async def test_payload_differs(self) -> None:
        bed = Bed(901, 902)
        one_message(bed, payload=Hash32("0x" + "01" * 32))
        await bed.follow()
        assert (bed.status(), bed.job().rule) == (Status.INVALID, Rule.WRONG_PAYLOAD)

    async def test_no_logs_in_the_block(self) -> None:
        bed = Bed(901, 902)
        one_message(bed, block_number=0, timestamp=GENESIS_TIME)
        await bed.follow()
        assert (bed.status(), bed.job().rule) == (Status.INVALID, Rule.NO_LOG)

    async def test_error_of_the_node(self) -> None:
        bed = Bed(901, 902)
        one_message(bed)
        bed[901].faults = down(2)
        await bed.tell(901)
        await bed.tell(902)
        await bed.checkers[0].round()
        assert bed.status() is Status.UNKNOWN


class TestUpdaterInvariants:
    async def test_valid_in_the_window(self) -> None:
        bed = Bed(901, 902)
        log = bed[901].mine(initiating())
        bed[902].mine(executing(log), time=log.time + WINDOW_S - 1)
        await bed.follow()
        assert bed.status() is Status.VALID

    async def test_wrong_origin(self) -> None:
        bed = Bed(901, 902)
        one_message(bed, origin=Address("0x" + "0b" * 20))
        await bed.follow()
        assert (bed.status(), bed.job().rule) == (Status.INVALID, Rule.WRONG_ORIGIN)

    async def test_block_time_differs(self) -> None:
        bed = Bed(901, 902)
        one_message(bed, timestamp=GENESIS_TIME + 1)
        await bed.follow()
        assert (bed.status(), bed.job().rule) == (Status.TIMESTAMP_MISMATCH, Rule.WRONG_TIME)

    async def test_executed_one_second_after_the_window(self) -> None:
        bed = Bed(901, 902)
        log = bed[901].mine(initiating())
        bed[902].mine(executing(log), time=log.time + WINDOW_S + 1)
        await bed.follow()
        assert (bed.status(), bed.job().rule) == (Status.EXPIRED, Rule.TOO_LATE)

    async def test_executed_before_it_was_sent(self) -> None:
        bed = Bed(901, 902)
        log = bed[901].mine(initiating(), time=GENESIS_TIME + 100)
        bed[902].mine(executing(log), time=GENESIS_TIME + 99)
        await bed.follow()
        assert (bed.status(), bed.job().rule) == (Status.INVALID, Rule.FUTURE)


class Endpoint:
    """A supervisor."""

    def __init__(self, label: str = "supervisor:8545") -> None:
        self.label = label
        self.enabled = False
        self.calls = 0
        self.failures: list[Exception] = []

    async def set_failsafe(self, *, enabled: bool) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.calls += 1
        self.enabled = enabled

    async def get_failsafe(self) -> bool:
        return self.enabled


def failsafe(bed: Bed, *endpoints: Endpoint, trigger: bool = True) -> Failsafe:
    return Failsafe(
        endpoints, trigger=trigger, database=bed.database, metrics=bed.metrics, clock=bed.clock, interval_s=15
    )


class TestCollectorFailsafe:
    async def test_an_invalid_message_triggers(self) -> None:
        bed, endpoint = Bed(901, 902), Endpoint()
        one_message(bed, log_index=1)
        await bed.follow()
        await failsafe(bed, endpoint).look()
        assert endpoint.enabled

    async def test_valid_to_invalid_triggers(self) -> None:
        bed, endpoint = Bed(901, 902), Endpoint()
        one_message(bed)
        await bed.follow()
        await failsafe(bed, endpoint).look()
        assert not endpoint.enabled
        bed[901].rollback(1)
        bed[901].mine(), bed[901].mine()
        await bed.follow()
        await failsafe(bed, endpoint).look()
        assert endpoint.enabled

    async def test_a_valid_message_does_not(self) -> None:
        bed, endpoint = Bed(901, 902), Endpoint()
        one_message(bed)
        await bed.follow()
        await failsafe(bed, endpoint).look()
        assert endpoint.calls == 0

    async def test_no_endpoint_at_all(self) -> None:
        bed = Bed(901, 902)
        one_message(bed, log_index=1)
        await bed.follow()
        await failsafe(bed).look()
        assert bed.status() is Status.INVALID

    async def test_switched_off(self) -> None:
        bed, endpoint = Bed(901, 902), Endpoint()
        one_message(bed, log_index=1)
        await bed.follow()
        await failsafe(bed, endpoint, trigger=False).look()
        assert endpoint.calls == 0
        assert bed.value("interop_failsafe", endpoint="supervisor:8545") == 0


class TestCollectorMetrics:
    async def test_empty_shows_zero_for_all_pairs(self) -> None:
        bed = Bed(901, 902, 903)
        samples = [
            sample
            for family in bed.registry.collect()
            for sample in family.samples
            if sample.name == "interop_message_status"
        ]
        pairs = {(item.labels["executing_chain_id"], item.labels["initiating_chain_id"]) for item in samples}
        assert len({pair for pair in pairs if "unknown" not in pair}) == 9
        assert len(samples) == len(pairs) * len(Status)
        assert all(item.value == 0 for item in samples)

    async def test_one_valid(self) -> None:
        bed = Bed(901, 902)
        one_message(bed)
        await bed.follow()
        assert bed.counted("valid") == 1
        assert bed.value("interop_message_status") == 1

    async def test_a_flip_counts_as_a_terminal_change(self) -> None:
        bed = Bed(901, 902)
        one_message(bed)
        await bed.follow()
        bed[901].rollback(1)
        bed[901].mine(), bed[901].mine()
        await bed.follow()
        assert bed.steps(bed.job()) == ["valid", "invalid"]
        assert bed.value("interop_terminal_status_changes", executing_chain_id="902", initiating_chain_id="901") == 1

    async def test_two_jobs(self) -> None:
        bed = Bed(901, 902)
        log = bed[901].mine(initiating())
        bed[902].mine(executing(log), executing(log, log_index=4))
        await bed.follow()
        assert (bed.counted("valid"), bed.counted("invalid")) == (1, 1)

    async def test_three_chains(self) -> None:
        bed = Bed(901, 902, 903)
        log = bed[901].mine(initiating())
        bed[902].mine(executing(log))
        bed[903].mine(executing(log))
        await bed.follow()
        assert (bed.counted("valid", 902), bed.counted("valid", 903), bed.counted("valid", 901)) == (1, 1, 0)

    async def test_block_ranges_over_nine_jobs(self) -> None:
        bed = Bed(901, 902)
        logs = [bed[901].mine(initiating(bytes([number]))) for number in range(9)]
        bed[902].mine(count=9)
        for log in logs:
            bed[902].mine(executing(log))
        await bed.follow()
        found = await bed.database.read(lambda connection: ranges(connection, [901, 902]))
        bed.metrics.saw_ranges(found)
        labels = {"chain_id": "902", "range_type": "min"}
        assert bed.value("interop_executing_block_range", **labels) == 10
        assert bed.value("interop_executing_block_range", **labels | {"range_type": "max"}) == 18
        assert bed.value("interop_initiating_block_range", chain_id="901", range_type="min") == 1
        assert bed.value("interop_initiating_block_range", chain_id="901", range_type="max") == 9

    async def test_expired_is_counted(self) -> None:
        bed = Bed(901, 902)
        log = bed[901].mine(initiating())
        bed[902].mine(executing(log), time=log.time + WINDOW_S + 1)
        await bed.follow()
        assert bed.counted("expired") == 1

    async def test_two_initiating_hashes_are_one_reorg(self) -> None:
        bed = Bed(901, 902)
        log = bed[901].mine(initiating())
        bed[902].mine(executing(log))
        await bed.follow()
        bed[901].rollback(1)
        bed[901].mine(initiating())
        bed[901].mine()
        await bed.follow()
        assert bed.status() is Status.VALID
        assert bed.value("interop_initiating_reorgs_total") == 1


class TestConfig:
    def test_a_missing_dependency_set_file_is_an_error(self, tmp_path: Path) -> None:
        settings = InteropSettings.model_validate({"dependency_set": str(tmp_path / "none.json")})
        with pytest.raises(SettingsError, match=r"interop\.dependency_set.*none\.json"):
            interop_network(settings, [InteropChain(ChainId(901), "a")])

    def test_a_file_with_an_override(self, tmp_path: Path) -> None:
        file = tmp_path / "set.json"
        file.write_text(json.dumps({"dependencies": {"901": {}, "902": {}}, "overrideMessageExpiryWindow": 60}))
        network = interop_network(InteropSettings(dependency_set=file), [InteropChain(ChainId(901), "a")])
        assert (set(network.members), network.window_s) == ({901, 902}, 60)


class TestService:
    async def test_a_checker_works_without_anybody_reading_metrics(self) -> None:
        bed = Bed(901, 902)
        one_message(bed)
        await bed.finalize()
        assert bed.job().settled, "jobs are settled whoever scrapes"

    async def test_checkers_are_named_after_their_chain(self) -> None:
        assert [item.name for item in Bed(901, 902).checkers] == [
            "interop-checker:l2-901",
            "interop-checker:l2-902",
            "interop-checker:elsewhere",
        ]

    def test_metrics_need_no_database(self) -> None:
        registry = CollectorRegistry()
        InteropMetrics([901], registry)
        assert [family.name for family in registry.collect()]


class TestFilterAndObservers:
    async def test_the_endpoints_state_is_a_gauge(self) -> None:
        bed, endpoint = Bed(901, 902), Endpoint()
        endpoint.enabled = True
        await failsafe(bed, endpoint, trigger=False).look()
        assert bed.value("interop_failsafe", endpoint="supervisor:8545") == 1

    async def test_an_endpoint_that_is_down_is_no_state(self) -> None:
        class Silent(Endpoint):
            async def get_failsafe(self) -> bool:
                raise TemporaryError("no answer")

        bed = Bed(901, 902)
        service = failsafe(bed, Silent(), trigger=False)
        await service.look()
        assert bed.value("interop_failsafe") == -1
        assert service.errors == {"supervisor:8545": "no answer"}


class TestSupernodeObserver:
    """A bad job at or below the safe head, whose block is still canonical, is told once and as such."""

    async def test_above_the_head_it_is_unsafe(self) -> None:
        bed = Bed(901, 902)
        one_message(bed, log_index=1)
        await bed.follow()
        await bed.safe(902, 1)
        assert bed.job().exec_level == 0

    async def test_at_the_head_it_is_safe(self) -> None:
        bed = Bed(901, 902)
        one_message(bed, log_index=1)
        await bed.follow()
        await bed.safe(902, 2)
        assert bed.job().exec_level == 1
        assert bed.steps(bed.job()) == ["invalid"], "told once"

    async def test_an_orphaned_block_holds_none(self) -> None:
        bed = Bed(901, 902)
        one_message(bed, log_index=1)
        await bed.follow()
        bed[902].rollback(1)
        bed[902].mine()
        await bed.follow()
        await bed.safe(902, 2)
        assert bed.jobs() == []

    async def test_a_violation_is_counted_once(self) -> None:
        bed = Bed(901, 902)
        bed[902].mine(executing(bed[901].mine(initiating()), log_index=9))
        await bed.follow()
        assert bed.value("interop_cross_safety_violations_total") == 0
        for chain_id in (902, 901, 902):
            await bed.safe(chain_id, 1)
        await bed.finalize()
        assert violations(bed) == 1
        bed.start()
        assert violations(bed) == 1, "it survives a restart"

    async def test_so_is_one_that_is_found_below_the_head(self) -> None:
        bed = Bed(901, 902)
        log = bed[901].mine(initiating())
        bed[901].mine()
        await bed.safe(902, 1)
        bed[902].mine(executing(log), executing(log, log_index=9))
        await bed.follow()
        await bed.finalize()
        assert violations(bed) == 1, "the valid one is none"

    async def test_what_was_orphaned_before_it_was_safe_is_none(self) -> None:
        bed = Bed(901, 902)
        bed[902].mine(executing(bed[901].mine(initiating()), log_index=9))
        await bed.follow()
        bed[902].rollback(1)
        bed[902].mine()
        await bed.follow()
        await bed.finalize()
        assert violations(bed) == 0


def violations(bed: Bed) -> float:
    return bed.value("interop_cross_safety_violations_total", executing_chain_id="902", initiating_chain_id="901")


class TestAcceptance:
    async def test_two_chains_one_message_and_the_metric_appears(self) -> None:
        bed = Bed(901, 902)
        one_message(bed)
        await bed.follow()
        assert bed.counted("valid") == 1


def test_the_reference_knows_these_names() -> None:
    """Dashboards of the reference need another prefix and nothing else."""
    names = {family.name for family in Bed(901, 902).registry.collect()}
    assert {
        "interop_message_status",
        "interop_terminal_status_changes",
        "interop_executing_block_range",
        "interop_initiating_block_range",
        "interop_initiating_reorgs",
        "interop_failsafe",
    } <= names
