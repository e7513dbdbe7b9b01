"""From the ledger to values: one look at all lanes, and one study of a lane; plain functions of a connection.

A look is what changes with every block: who waits where, since when. A study is what changes slowly and costs more:
what is normal, rates, sequence numbers, oddities. `Memory` keeps what the last study of a lane found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection

from seamark.core.ids import ChainId
from seamark.messages.judgement import store
from seamark.messages.judgement.explain import WAITING, limit_of
from seamark.messages.judgement.limits import lane_profile, learn, silence_limit
from seamark.messages.judgement.model import (
    MANUAL_TOLD_S,
    BlockedSender,
    Few,
    JudgedLane,
    LaneNow,
    LaneProfile,
    Learned,
    Odd,
    Rates,
    SequenceCheck,
    Waiting,
)
from seamark.messages.judgement.rules import STOPPED_MESSAGES
from seamark.messages.judgement.settings import JudgeSettings, rule_for
from seamark.messages.model import Stage
from seamark.messages.protocol import Profile

__all__ = ["AsOf", "Memory", "look", "remember", "study"]

COUNTED_AT_ONCE = 20_000
"""Late messages that a look counts one by one, over all lanes and stages: some 40 ms."""
_DELIVERED = (Stage.EXECUTED, Stage.RECOVERED)
_SENT = tuple(stage for stage in Stage if stage is not Stage.RETRACTED)

QUIET_SHARE = 0.5
"""From this share of its silence limit on, a quiet lane's past pauses are looked at: before it would be called
silent."""


@dataclass(frozen=True, slots=True)
class AsOf:
    """The time, and up to when each chain has been read; seconds since the epoch. Other chains count as read."""

    now: int
    chains: Mapping[ChainId, int] = field(default_factory=dict)

    def of(self, chain_id: ChainId | None) -> int:
        return self.now if chain_id is None else self.chains.get(chain_id, self.now)


@dataclass(frozen=True, slots=True)
class Memory:
    """What the last study of a lane found; `studied_at` None: there was none in this process."""

    lane: JudgedLane
    profile: LaneProfile
    rates: Rates | None = None
    odd: Odd = field(default_factory=Odd)
    sequences: SequenceCheck | None = None
    studied_at: int | None = None


def remember(lane: JudgedLane, stored: LaneProfile | None, default: Profile, settings: JudgeSettings) -> Memory:
    """A lane before its first study: what an earlier process learned, under the present settings."""
    if stored is None:
        return Memory(lane, _profile(lane, default, Learned(), settings, 0))
    return Memory(lane, _profile(lane, default, stored.learned, settings, stored.at))


def _profile(lane: JudgedLane, default: Profile, learned: Learned, settings: JudgeSettings, at: int) -> LaneProfile:
    rule = rule_for(settings, lane.key.protocol, lane.names)
    return lane_profile(lane.key, default, learned, rule, settings, at=at)


# ---- a study --------------------------------------------------------------------------------------------------------


def study(
    connection: Connection,
    memory: Memory,
    default: Profile,
    settings: JudgeSettings,
    as_of: AsOf,
    *,
    relearn: bool,
    numbered: Sequence[int],
) -> Memory:
    """Look at one lane closely; reads only.

    Args:
        default: What the protocol says is normal.
        relearn: Also learn anew what is normal.
        numbered: The lanes to look for missing sequence numbers in (`numbering.numbered_with`).
    """
    lane, profile, now = memory.lane, memory.profile, as_of.now
    source_at = as_of.of(lane.names.source_chain)
    read_to = min(source_at, as_of.of(lane.names.destination_chain))
    if relearn:
        since = now - round(settings.window)
        slices = store.window(connection, lane.id, since, max(read_to - profile.executed.critical, since))
        profile = _profile(lane, default, learn(slices, settings.min_messages), settings, now)
    profile = _with_pauses(connection, lane, profile, settings, source_at)
    since = now - round(settings.rate_window)
    rates = None
    if lane.names.destination_watched:
        rates = store.rates(connection, lane, since, read_to - profile.executed.warn)
    sequences = store.check_sequences(connection, numbered, memory.sequences) if numbered else None
    odd = store.odd_ones(connection, lane.id, since, news_since=now - MANUAL_TOLD_S)
    return Memory(lane, profile, rates, odd, sequences, now)


def _with_pauses(
    connection: Connection, lane: JudgedLane, profile: LaneProfile, settings: JudgeSettings, source_at: int
) -> LaneProfile:
    """The profile of a lane that has been quiet for a while, seen how long it has paused before."""
    rule = rule_for(settings, lane.key.protocol, lane.names)
    if profile.silence_s is None or rule.silence is not None:
        return profile
    last = store.last_sent(connection, lane.id)
    if last is None or source_at - last < profile.silence_s * QUIET_SHARE:
        return profile
    since = source_at - round(settings.window)
    pause = store.longest_pause(connection, lane.id, since, last + 1, round(settings.silence))
    return msgspec.structs.replace(profile, silence_s=silence_limit(profile, pause))


# ---- a look ---------------------------------------------------------------------------------------------------------


def look(
    connection: Connection,
    protocol: str,
    memories: Mapping[int, Memory],
    as_of: AsOf,
    blocked: Mapping[int, tuple[BlockedSender, ...]],
) -> list[LaneNow]:
    """How every remembered lane stands."""
    edges = store.stage_edges(connection, protocol)
    failed = store.failed_by_reason(connection, protocol)
    held = sum(stage in WAITING for stages in edges.values() for stage in stages)
    most = min(store.COUNTED, COUNTED_AT_ONCE // max(held, 1))
    return [
        _lane_now(
            connection,
            memory,
            as_of,
            _Told(edges.get(lane_id, {}), failed.get(lane_id, {}), blocked.get(lane_id, ()), most),
        )
        for lane_id, memory in memories.items()
    ]


class _Told(NamedTuple):
    """What was asked of all lanes at once."""

    edges: Mapping[str, Waiting]
    failed: Mapping[str, int]
    blocked: tuple[BlockedSender, ...]
    most: int


def _lane_now(connection: Connection, memory: Memory, as_of: AsOf, told: _Told) -> LaneNow:
    lane, profile = memory.lane, memory.profile
    source_at, destination_at = as_of.of(lane.names.source_chain), as_of.of(lane.names.destination_chain)
    held: dict[str, Waiting] = {}
    for stage in (*WAITING, Stage.FAILED):
        if (known := told.edges.get(stage)) is not None:
            # A failed message is late like one that was not executed.
            limit = limit_of(profile, stage) or profile.executed
            at = source_at if stage is Stage.SENT else destination_at
            held[stage] = store.count_late(connection, lane.id, stage, known, at - limit.warn, most=told.most)
    return LaneNow(
        lane,
        profile,
        source_at,
        destination_at,
        waiting=held,
        failed=told.failed,
        ripe=_ripe(connection, lane.id, held, profile, destination_at),
        failed_first=store.first_of(connection, lane.id, Stage.FAILED) if Stage.FAILED in held else "",
        # Only where silence would mean something, and past pauses are known.
        last_sent=_newest(told.edges, _SENT) if memory.studied_at is not None else None,
        last_commit=store.last_commit(connection, lane.id) if _many_late(held, Stage.FINALIZED) else None,
        last_delivery=_newest(told.edges, _DELIVERED),
        rates=memory.rates,
        odd=memory.odd,
        sequences=memory.sequences,
        blocked=told.blocked,
    )


def _newest(edges: Mapping[str, Waiting], stages: Sequence[Stage]) -> int | None:
    return max((edges[stage].newest for stage in stages if stage in edges), default=None)


def _many_late(held: Mapping[str, Waiting], stage: Stage) -> bool:
    waiting = held.get(stage)
    return waiting is not None and waiting.late >= STOPPED_MESSAGES


def _ripe(
    connection: Connection, lane_id: int, held: Mapping[str, Waiting], profile: LaneProfile, destination_at: int
) -> Few:
    committed = held.get(Stage.COMMITTED)
    if committed is None or profile.manual_after_s is None:
        return Few()
    return store.committed_before(connection, lane_id, committed, destination_at - profile.manual_after_s)
