"""All that changes jobs, in one unit of work.

Three things lead to a change: what a chain tells (`record`, `retract`, `advance`), how safe a block is (`raise_level`),
and a verdict (`decide`). A job that something has touched is *due*: somebody must look again. `touches` counts that, so
a verdict that was under way meanwhile is not taken for the last word. Work follows what changed: every search here is a
range of an index over open jobs, or a key.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, bindparam, select, update

from seamark.core.ids import BlockRef, ChainId
from seamark.messages.protocols.op_interop import cycles
from seamark.messages.protocols.op_interop.model import (
    BAD,
    BadLog,
    ExecutingMessage,
    Level,
    Rule,
    Status,
    Verdict,
)
from seamark.messages.protocols.op_interop.network import Network
from seamark.messages.protocols.op_interop.rules import grade_of, judge_alone
from seamark.messages.protocols.op_interop.store import incidents
from seamark.messages.protocols.op_interop.store.heights import Height, read_heights, save_height
from seamark.messages.protocols.op_interop.store.rows import Job, contributions, init_label, job_key, new_row, to_job
from seamark.messages.protocols.op_interop.store.tables import bad_log, job, tally, verdict
from seamark.storage.bulk import chunks, insert_new, upsert
from seamark.storage.events import Event, append_events, take_turn
from seamark.storage.totals import TotalKey, add_totals, total_key

__all__ = ["Decision", "JobBook", "JobChanges"]

MAX_WALK = 1_000
"""Jobs visited on the way to the root of an invalid dependency; real chains of them are a handful."""

Pair = tuple[int, str]
_LIVE = job.c.retracted.is_(False)
_OPEN = _LIVE & job.c.settled.is_(False)


@dataclass(slots=True)
class JobChanges:
    """What a unit of work did, for metrics once it is committed. `due`: jobs wait for a look; `again`: they do because
    the last one led nowhere, so a pause is due as well.
    """

    tallies: dict[tuple[int, str, str], int] = field(default_factory=lambda: defaultdict(int))
    totals: dict[TotalKey, int] = field(default_factory=lambda: defaultdict(int))
    due: bool = False
    again: bool = False
    told: int = 0
    events: list[Event] = field(default_factory=list)


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What a look at a job led to. `verdict` None: nobody could look; the last word stays and is marked stale.
    `again`: look once more soon. `declared`: as far as it was found out now.
    """

    key: str
    touches: int
    verdict: Verdict | None
    declared: bool | None = None
    again: bool = False


class JobBook:
    """Jobs, for one unit of work."""

    def __init__(self, connection: Connection, network: Network, *, now_ms: int) -> None:
        take_turn(connection)
        self._connection = connection
        self._network = network
        self._now_ms = now_ms
        self._heights = read_heights(connection)
        self._rotten_blocks: dict[tuple[int, int, str], str] = {}
        self._before = dict(self._heights)
        self._pending: dict[str, dict[str, Any]] = {}
        self._history: list[dict[str, Any]] = []
        self._events: list[Event] = []
        self.changes = JobChanges()

    # ---- what a chain tells -----------------------------------------------------------------------------------------

    def record(self, messages: Sequence[ExecutingMessage], bad: Sequence[BadLog]) -> None:
        """Logs of the inbox. Those that are known already change nothing."""
        by_key = {job_key(message): message for message in messages}
        known = self._load(by_key)
        for item in known.values():
            if item.retracted:
                self._return(item)
        new = [message for key, message in by_key.items() if key not in known]
        if new:
            rows = [new_row(message, now_ms=self._now_ms, exec_level=self._level_of_exec(message)) for message in new]
            insert_new(self._connection, job, rows)
            self._begin(new)
        self._record_bad(bad)

    def _begin(self, new: Sequence[ExecutingMessage]) -> None:
        """What can be said of new jobs without a look at the other chain."""
        self.changes.due = True
        jobs = self._load({job_key(message) for message in new})
        for item in jobs.values():
            self._count("executing_messages", item)
            self._move(None, item)
            if (early := judge_alone(item.message, self._network)) is not None:
                self._apply(item, early, due=True)
        self._touch_times({item.message.block.timestamp for item in jobs.values() if _same_time(item)})

    def _record_bad(self, bad: Sequence[BadLog]) -> None:
        if not bad:
            return
        rows = [
            {
                "chain_id": item.chain_id,
                "block_hash": item.block.hash,
                "log_index": item.log_index,
                "block_number": item.block.number,
                "time": item.block.timestamp,
                "tx": item.transaction,
                "problem": item.problem[:500],
                "retracted": False,
                "seen_ms": self._now_ms,
            }
            for item in bad
        ]
        upsert(self._connection, bad_log, rows, update=["retracted"])

    def retract(self, chain_id: ChainId, ancestor: BlockRef) -> None:
        """Everything above `ancestor` left the chain: so do its jobs; what was drawn from it is looked at again."""
        self._flush()
        gone = job.c.exec_chain == chain_id, job.c.exec_block > ancestor.number, _LIVE
        for row in self._connection.execute(select(job).where(*gone)).all():
            self._retract(to_job(row))
        above = bad_log.c.chain_id == chain_id, bad_log.c.block_number > ancestor.number
        self._connection.execute(update(bad_log).where(*above).values(retracted=True))
        self._touch(job.c.init_chain == str(chain_id), job.c.init_block > ancestor.number, _LIVE)
        now = self._height(chain_id)
        self._heights[chain_id] = Height(
            min(now.scanned, ancestor.number), min(now.safe, ancestor.number), min(now.finalized, ancestor.number)
        )

    def advance(self, chain_id: ChainId, scanned: int) -> None:
        """The chain has been read so far: jobs that wait for these blocks are due, and those whose verdict was ahead of
        it, because no reorg is told of a block that was never read.
        """
        now = self._height(chain_id)
        if scanned <= now.scanned:
            return
        self._touch(
            job.c.init_chain == str(chain_id),
            job.c.init_block > now.scanned,
            job.c.init_block <= scanned,
            _OPEN,
        )
        self._heights[chain_id] = msgspec.structs.replace(now, scanned=scanned)

    def raise_level(self, chain_id: ChainId, level: Level, number: int) -> None:
        """Blocks up to `number` are so safe now: all jobs that stand in or point to the new ones are due."""
        now = self._height(chain_id)
        before = now.finalized if level is Level.FINALIZED else max(now.safe, now.finalized)
        if number <= before:
            return
        self._flush()
        mine = job.c.exec_chain == chain_id, job.c.exec_block > before, job.c.exec_block <= number
        bad = job.c.exec_level < int(Level.SAFE), job.c.status.in_([status.value for status in BAD]), _OPEN
        for row in self._connection.execute(select(job).where(*mine, *bad)):
            self._count("cross_safety_violations", to_job(row))
        raised = {"exec_level": int(level), "due": True, "touches": job.c.touches + 1}
        self._note(self._connection.execute(update(job).where(*mine, _OPEN).values(raised)).rowcount)
        self._touch(job.c.init_chain == str(chain_id), job.c.init_block > before, job.c.init_block <= number, _OPEN)
        name = "finalized" if level is Level.FINALIZED else "safe"
        self._heights[chain_id] = msgspec.structs.replace(now, **{name: number})

    # ---- verdicts ---------------------------------------------------------------------------------------------------

    def decide(self, decisions: Iterable[Decision]) -> None:
        """Take over what was found, where nothing has touched the job since it was read."""
        by_key = {item.key: item for item in decisions}
        circles: dict[int, frozenset[cycles.Place]] = {}
        for item in self._load(by_key).values():
            decision = by_key[item.key]
            if item.retracted or item.touches != decision.touches:
                continue
            if decision.declared is not None and item.declared is None:
                item = self._change(item, declared=decision.declared)  # noqa: PLW2901 - the same job, further on
            if decision.verdict is None:
                self._change(item, stale=True)
                continue
            self.changes.again |= decision.again
            self._apply(item, self._graded(item, decision.verdict, circles), due=decision.again)

    def _graded(self, item: Job, own: Verdict, circles: dict[int, frozenset[cycles.Place]]) -> Verdict:
        if own.status is not Status.VALID:
            return own
        cyclic = False
        if _same_time(item):
            time = item.message.block.timestamp
            if time not in circles:
                circles[time] = self._circular(time)
            cyclic = _executing(item.message) in circles[time]
        rotten = "" if cyclic else self._rotten_below(item, own.block_hash)
        return grade_of(own, cyclic=cyclic, rotten=rotten)

    def _apply(self, item: Job, found: Verdict, *, due: bool) -> None:
        """The new word on a job; tells of it where it differs from the last."""
        exec_level = self._level_of_exec(item.message)
        init_level = self._level(item.message.identifier.chain_id, item.message.identifier.block_number)
        lagging = found.rule is Rule.NO_BLOCK and self._is_scanned(item.message)
        if item.status is not Status.UNKNOWN and (lagging or found.rule is Rule.DISPUTED):
            self._change(item, stale=True)  # a node that is behind or lies takes nothing back
            self.changes.again = True
            return
        alone = judge_alone(item.message, self._network) is not None
        final = exec_level is Level.FINALIZED and (alone or init_level is Level.FINALIZED)
        settled = final and found.status is not Status.UNKNOWN and not due
        after = self._change(
            item,
            status=found.status,
            rule=found.rule,
            detail=found.detail,
            boundary=found.boundary,
            init_hash=found.block_hash or item.init_hash,
            exec_level=exec_level,
            init_level=init_level,
            stale=False,
            due=due or lagging,
            settled=settled,
            was_valid=item.was_valid or found.status is Status.VALID,
            was_bad=item.was_bad or found.status in BAD,
            decided_ms=self._now_ms,
        )
        self.changes.again |= lagging
        if item.init_hash and found.block_hash and item.init_hash != found.block_hash:
            self._count("initiating_reorgs", item)
        if (item.status, item.rule) != (after.status, after.rule):
            self._tell(item, after, found)

    def _tell(self, before: Job, after: Job, found: Verdict) -> None:
        self._remember(after, after.status.value)
        if before.status is not after.status and after.status is not Status.UNKNOWN:
            self._count("verdicts", after, status=after.status.value)
        if after.status in BAD and before.status not in BAD and after.exec_level >= Level.SAFE:
            self._count("cross_safety_violations", after)
        if after.status in BAD or before.status in BAD:
            self._rotten_blocks.clear()
            self._event(after, after.status.value)
            self._touch_dependents(after)
        if after.status in BAD and after.incident is None:
            number = incidents.join(self._connection, after.key, found.detail, now_ms=self._now_ms)
            self._change(after, incident=number)

    # ---- jobs among each other --------------------------------------------------------------------------------------

    def _circular(self, time: int) -> frozenset[cycles.Place]:
        self._flush()
        query = select(job).where(job.c.exec_time == time, job.c.same_time.is_(True), _LIVE)
        return cycles.circular(
            cycles.Link(_executing(item.message), _initiating(item.message))
            for item in map(to_job, self._connection.execute(query))
        )

    def _rotten_below(self, item: Job, block_hash: str) -> str:
        """As `_rotten`; jobs that rest on one block share the answer."""
        here, told = item.message, item.message.identifier
        block = told.chain_id, told.block_number, block_hash
        if block[:2] == (here.chain_id, here.block.number):
            return self._rotten(item, block_hash)  # of its own block: it must not count itself
        if block not in self._rotten_blocks:
            self._rotten_blocks[block] = self._rotten(item, block_hash)
        return self._rotten_blocks[block]

    def _rotten(self, item: Job, block_hash: str) -> str:
        """A message that is invalid by itself and that this one rests on; "" where there is none."""
        self._flush()
        wanted, visited = [(item.message.identifier, block_hash)], {item.key}
        while wanted and len(visited) < MAX_WALK:
            told, seen_hash = wanted.pop()
            query = select(job).where(
                job.c.exec_chain == _as_chain(told.chain_id),
                job.c.exec_block == min(told.block_number, 2**63 - 1),
                job.c.exec_hash == seen_hash,
                job.c.status.in_([status.value for status in BAD]),
                _LIVE,
            )
            for other in map(to_job, self._connection.execute(query)):
                if other.key in visited:
                    continue
                if other.rule is not Rule.DEPENDS_ON_INVALID:
                    return f"log {other.message.log_index} of block {other.message.block.number} ({other.rule})"
                visited.add(other.key)
                wanted.append((other.message.identifier, other.init_hash))
        return ""

    def _touch_dependents(self, item: Job) -> None:
        here = item.message
        self._touch(job.c.init_chain == str(here.chain_id), job.c.init_block == here.block.number, _LIVE)

    def _touch_times(self, times: Collection[int]) -> None:
        for time in times:
            self._touch(job.c.exec_time == time, job.c.same_time.is_(True), _LIVE)

    # ---- rows -------------------------------------------------------------------------------------------------------

    def _load(self, keys: Collection[str]) -> dict[str, Job]:
        self._flush()
        found = {}
        for chunk in chunks(sorted(keys)):
            for row in self._connection.execute(select(job).where(job.c.key.in_(chunk))):
                found[row.key] = to_job(row)
        return found

    def _retract(self, item: Job) -> None:
        self._change(item, retracted=True, due=False, settled=False)
        self._remember(item, "retracted")
        self._count("retracted", item)
        if item.status in BAD:
            self._event(item, "retracted")
            self._touch_dependents(item)
        if _same_time(item):
            self._touch_times({item.message.block.timestamp})

    def _return(self, item: Job) -> None:
        """The very block is part of the chain again."""
        self._change(item, retracted=False, due=True, touches=item.touches + 1)
        self._remember(item, "returned")
        self.changes.due = True

    def _change(self, item: Job, **values: Any) -> Job:
        after = msgspec.structs.replace(item, **values)
        self._move(item, after)
        stored = {name: value.value if isinstance(value, Status | Rule) else value for name, value in values.items()}
        self._pending.setdefault(item.key, {"looked_ms": self._now_ms}).update(stored)
        return after

    def _flush(self) -> None:
        """Write changed rows, those with the same columns together; before whatever reads or touches rows."""
        groups: defaultdict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
        for key, values in self._pending.items():
            groups[tuple(sorted(values))].append(values | {"the_key": key})
        self._pending.clear()
        for names, rows in groups.items():
            statement = update(job).where(job.c.key == bindparam("the_key"))
            self._connection.execute(statement.values({name: bindparam(name) for name in names}), rows)

    def _touch(self, *where: ColumnElement[bool]) -> None:
        self._flush()
        touched = update(job).where(*where).values(due=True, settled=False, touches=job.c.touches + 1)
        # What is settled and valid left the tallies: it comes back to them before it is looked at.
        for row in self._connection.execute(select(job).where(*where, job.c.settled.is_(True))).all():
            item = to_job(row)
            self._move(item, msgspec.structs.replace(item, settled=False))
        self._note(self._connection.execute(touched).rowcount)

    def _note(self, touched: int) -> None:
        self.changes.due |= touched > 0

    # ---- levels -----------------------------------------------------------------------------------------------------

    def _height(self, chain_id: int) -> Height:
        return self._heights.get(chain_id, Height(-1, -1, -1))

    def _level(self, chain_id: int, number: int) -> Level:
        now = self._height(chain_id)
        if number <= now.finalized:
            return Level.FINALIZED
        return Level.SAFE if number <= now.safe else Level.UNSAFE

    def _level_of_exec(self, message: ExecutingMessage) -> Level:
        return self._level(int(message.chain_id), message.block.number)

    def _is_scanned(self, message: ExecutingMessage) -> bool:
        told = message.identifier
        return told.block_number <= self._height(told.chain_id).scanned

    # ---- telling ----------------------------------------------------------------------------------------------------

    def _pair(self, item: Job) -> Pair:
        return int(item.message.chain_id), init_label(item.message.identifier.chain_id, self._network.members)

    def _move(self, before: Job | None, after: Job) -> None:
        pair = self._pair(after)
        for kind in contributions(before) if before else ():
            self.changes.tallies[(*pair, kind)] -= 1
        for kind in contributions(after):
            self.changes.tallies[(*pair, kind)] += 1

    def _count(self, name: str, item: Job, **labels: str) -> None:
        executing, initiating = self._pair(item)
        key = total_key(
            f"interop_{name}_total",
            {"executing_chain_id": str(executing), "initiating_chain_id": initiating, **labels},
        )
        self.changes.totals[key] += 1

    def _remember(self, item: Job, step: str) -> None:
        row = {"job": item.key, "at_ms": self._now_ms, "step": step, "rule": item.rule.value, "detail": item.detail}
        self._history.append({**row, "init_hash": item.init_hash})
        self.changes.told += 1

    def _event(self, item: Job, what: str) -> None:
        message, told = item.message, item.message.identifier
        payload = {
            "executing_chain_id": str(message.chain_id),
            "initiating_chain_id": str(told.chain_id),
            "block": message.block.number,
            "tx": message.transaction,
            "log_index": message.log_index,
            "status": item.status.value,
            "rule": item.rule.value,
            "detail": item.detail,
        }
        self._events.append(Event(f"interop.{what}", item.key, payload, at_ms=self._now_ms))

    def close(self) -> JobChanges:
        """Write what was gathered; the last thing to do."""
        self._flush()
        if self._history:
            self._connection.execute(verdict.insert(), self._history)
        append_events(self._connection, self._events)
        self.changes.events = self._events
        add_totals(self._connection, self.changes.totals)
        _add_tallies(self._connection, self.changes.tallies)
        for chain_id, now in self._heights.items():
            if now != self._before.get(chain_id):
                save_height(self._connection, chain_id, now)
        return self.changes


def _add_tallies(connection: Connection, added: Mapping[tuple[int, str, str], int]) -> None:
    rows = [
        {"exec_chain": chain_id, "init_chain": label, "kind": kind, "jobs": 0}
        for (chain_id, label, kind), amount in sorted(added.items())
        if amount
    ]
    insert_new(connection, tally, rows)
    for row in rows:
        key = row["exec_chain"], row["init_chain"], row["kind"]
        where = [tally.c.exec_chain == key[0], tally.c.init_chain == key[1], tally.c.kind == key[2]]
        connection.execute(update(tally).where(*where).values(jobs=tally.c.jobs + added[key]))  # type: ignore[index]


def _same_time(item: Job) -> bool:
    return item.message.identifier.timestamp == item.message.block.timestamp


def _executing(message: ExecutingMessage) -> cycles.Place:
    return cycles.Place(int(message.chain_id), message.block.number, message.log_index)


def _initiating(message: ExecutingMessage) -> cycles.Place:
    told = message.identifier
    return cycles.Place(told.chain_id, told.block_number, told.log_index)


def _as_chain(chain_id: int) -> int:
    """No chain that is read has a larger number than the column holds."""
    return min(chain_id, 2**63 - 1)
