"""One direction of the devnet's oracle network: reads the source's sends, commits them, executes them.

Model: three steps that can be called by hand or by a loop. `scan` reads new sends up to the source's final block and
new roots from the destination; `commit` puts the next messages without a gap under one root; `execute` carries out
what is committed. Everything is read from the two chains: after a restart the lane scans from the deployment's first
block on and knows what it knew.

Invariant: a message is committed at most once (the OffRamp's `minSeqNr` says what is next, and refuses anything else)
and executed by the network at most once (`getExecutionState` is asked before, and only messages that are UNTOUCHED go
in). A failed execution is final for the network, as in the real one: after it, people execute by hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from seamark.core.errors import RejectedError, TemporaryError
from seamark.devnet.artifacts import ccip_artifact
from seamark.devnet.ccip.cursor import LogCursor
from seamark.devnet.ccip.faults import Faults
from seamark.devnet.ccip.model import Execution, ExecutionState, Root
from seamark.devnet.ccip.ramp_messages import SENT_TOPIC, LaneId, RampMessage, leaf_hash, read_sent
from seamark.devnet.ccip.reports import NO_PRICES, Prices, RootReport, commit_call, execute_call, manual_call
from seamark.devnet.deployment import ChainDeployment
from seamark.devnet.node_client import NodeClient, Read, Tx, Wallet
from seamark.evm.merkle import MAX_LEAVES, merkle_root, prove
from seamark.evm.ports import Signer
from seamark.evm.types import Receipt
from seamark.runtime.clock import Clock

__all__ = ["Finality", "Lane"]

COMMIT_GAS = 1_000_000
EXECUTE_BASE_GAS = 300_000
EXECUTE_MESSAGE_GAS = 150_000  # around the receiver's own limit: routing, state and event; measured 110,000
EXECUTE_GAS_LIMIT = 12_000_000  # of one transaction, a fifth of a block
MANUAL_GAS = 3_000_000
READ_CHUNK = 500

log = structlog.get_logger("seamark.devnet.ccip")


@dataclass(frozen=True, slots=True)
class Finality:
    """When a source block is final: by the node's tag, or `depth` blocks below its head where `depth` is given."""

    depth: int | None = None

    async def final_block(self, node: NodeClient) -> int:
        """Number of the newest final block."""
        if self.depth is None:
            return await node.head("finalized")
        return max(0, await node.head() - self.depth)


class Lane:
    """One direction, from `source` to `dest`."""

    def __init__(
        self,
        source: ChainDeployment,
        dest: ChainDeployment,
        *,
        source_node: NodeClient,
        committer: Wallet,
        executor: Wallet,
        signers: Sequence[Signer],
        faults: Faults,
        clock: Clock,
        finality: Finality,
    ) -> None:
        self.id = LaneId(source.selector, dest.selector)
        self.source, self.dest = source, dest
        self._source_node, self._dest_node = source_node, committer.node
        self._committer, self._executor = committer, executor
        self._signers = tuple(signers)
        self._faults = faults
        self._clock = clock
        self._finality = finality
        self._offramp = ccip_artifact("v1_6_0", "offramp").abi
        self._last_sequence = 0
        self._sends = LogCursor(
            source_node, source.onramp, [SENT_TOPIC, "0x" + dest.selector.to_bytes(32, "big").hex()], source.first_block
        )
        committed = self._offramp.event("CommitReportAccepted").topic0
        self._commits = LogCursor(committer.node, dest.offramp, [committed], dest.first_block)
        self._forget()

    @property
    def waiting(self) -> int:
        """Messages that are known and not executed."""
        return len(self._sent) + sum(len(root.waiting) for root in self._roots)

    def _forget(self) -> None:
        self._sends.rewind()
        self._commits.rewind()
        self._sent: dict[int, tuple[RampMessage, float]] = {}  # not committed yet, with the moment they were seen
        self._held: list[tuple[int, int, bytes]] = []  # roots whose messages are not read yet: first, last, root
        self._roots: list[Root] = []

    # ---- reading ----------------------------------------------------------------------------------------------------

    async def scan(self) -> int:
        """Read what is new on both chains; returns how many new messages became final."""
        if await self._sends.lost() or await self._commits.lost():
            log.warning("a chain lost blocks that were read; reading again from the start", lane=str(self.id))
            self._forget()
        sends = await self._sends.advance(await self._finality.final_block(self._source_node))
        for entry in sends:
            message = read_sent(entry)
            self._sent[message.sequence] = (message, self._clock.monotonic())
        await self._read_commits()
        return len(sends)

    async def _read_commits(self) -> None:
        event = self._offramp.event("CommitReportAccepted")
        for entry in await self._commits.advance(await self._dest_node.head()):
            report = event.decode(entry)
            for root in (*report.blessedMerkleRoots, *report.unblessedMerkleRoots):
                if root.sourceChainSelector == self.id.source:
                    self._held.append((root.minSeqNr, root.maxSeqNr, root.merkleRoot))
        await self._settle()

    async def _settle(self) -> None:
        """Join roots with their messages, and drop what is executed."""
        held, self._held = self._held, []
        for first, last, expected in held:
            numbers = range(first, last + 1)
            if not all(number in self._sent for number in numbers):
                self._held.append((first, last, expected))
                continue
            messages = tuple(self._sent.pop(number)[0] for number in numbers)
            leaves = tuple(leaf_hash(message, self.source.onramp) for message in messages)
            if merkle_root(leaves) != expected:
                self._forget()
                raise TemporaryError(f"lane {self.id}: the root over {first}..{last} is not of the messages sent")
            self._roots.append(Root(first, last, leaves, messages, self._clock.monotonic(), set(numbers)))
        await self._drop_executed()

    async def _drop_executed(self) -> None:
        asked = [(root, number) for root in self._roots for number in sorted(root.waiting)]
        function = self._offramp.function("getExecutionState")
        for at in range(0, len(asked), READ_CHUNK):
            part = asked[at : at + READ_CHUNK]
            states = await self._dest_node.reads(
                [Read(self.dest.offramp, function, (self.id.source, number)) for _, number in part]
            )
            for (root, number), state in zip(part, states, strict=True):
                if state in (ExecutionState.SUCCESS, ExecutionState.FAILURE):
                    root.waiting.discard(number)
                    self._faults.forget(root.messages[number - root.first])
        self._roots = [root for root in self._roots if root.waiting]

    # ---- committing -------------------------------------------------------------------------------------------------

    async def commit(self, *, at_most: int = MAX_LEAVES, prices: Prices = NO_PRICES) -> tuple[RampMessage, ...]:
        """Put the next messages under one root (and write prices); returns the messages. Scan first."""
        config = await self._dest_node.read(
            self.dest.offramp, self._offramp.function("getSourceChainConfig"), self.id.source
        )
        batch = self._next_batch(config.minSeqNr, min(at_most, MAX_LEAVES))
        if not batch and prices == NO_PRICES:
            return ()
        roots = []
        if batch:
            leaves = [leaf_hash(message, self.source.onramp) for message in batch]
            first, last = batch[0].sequence, batch[-1].sequence
            roots = [RootReport(self.id.source, self.source.onramp, first, last, merkle_root(leaves))]
        data = await commit_call(self._signers, self._report_number(), roots, prices)
        await self._committer.run([Tx(self.dest.offramp, data, gas=COMMIT_GAS, label="commit")], abi=self._offramp)
        await self._read_commits()
        return batch

    def _next_batch(self, first: int, at_most: int) -> tuple[RampMessage, ...]:
        batch: list[RampMessage] = []
        now = self._clock.monotonic()
        while len(batch) < at_most and (entry := self._sent.get(first + len(batch))) is not None:
            message, seen_at = entry
            plan = self._faults.plan(message)
            if not plan.commit or now - seen_at < plan.commit_delay:
                break
            batch.append(message)
        return tuple(batch)

    def _report_number(self) -> int:
        """OCR's sequence number: it must rise for prices to be taken, also after a restart, so it follows the time."""
        self._last_sequence = max(self._last_sequence + 1, int(self._clock.now() * 1000))
        return self._last_sequence

    # ---- executing --------------------------------------------------------------------------------------------------

    async def execute(self, *, at_most: int = 10_000) -> list[Execution]:
        """Execute what is committed and due; returns the new states, of messages that were carried out."""
        txs: list[Tx] = []
        for root in self._roots:
            ready = self._ready(root)[: max(0, at_most)]
            at_most -= len(ready)
            txs += [await self._execution(root, part) for part in self._parts(ready)]
        receipts = await self._executor.run(txs, abi=self._offramp) if txs else []
        done = [execution for receipt in receipts for execution in self._read_states(receipt)]
        # Moves the cursor over the executions too: should a reorg remove them, the next scan starts again.
        await self._read_commits()
        return done

    def _ready(self, root: Root) -> list[RampMessage]:
        waited = self._clock.monotonic() - root.seen_at
        ready = []
        for number in sorted(root.waiting):
            message = root.messages[number - root.first]
            plan = self._faults.plan(message)
            if plan.execute and waited >= plan.execute_delay:
                ready.append(message)
        return ready

    def _parts(self, messages: Sequence[RampMessage]) -> list[list[RampMessage]]:
        """Messages that go into one transaction: as many as its gas allows, and one that is to fail by itself."""
        parts: list[list[RampMessage]] = []
        room = 0
        for message in messages:
            need = message.gas_limit + EXECUTE_MESSAGE_GAS
            alone = self._faults.plan(message).fail
            if not parts or alone or room < need:
                parts.append([])
                room = EXECUTE_GAS_LIMIT - EXECUTE_BASE_GAS
            parts[-1].append(message)
            room = 0 if alone else room - need
        return parts

    async def _execution(self, root: Root, part: Sequence[RampMessage]) -> Tx:
        proof = prove(root.leaves, [message.sequence - root.first for message in part])
        data = execute_call(self._report_number(), part, proof)
        if self._faults.plan(part[0]).fail:
            return Tx(self.dest.offramp, data, gas=await self._least_gas(data), label="execute (to fail)")
        gas = EXECUTE_BASE_GAS + sum(message.gas_limit + EXECUTE_MESSAGE_GAS for message in part)
        return Tx(self.dest.offramp, data, gas=gas, label="execute")

    async def _least_gas(self, data: bytes) -> int:
        """The least gas with which the transaction succeeds; the message inside it then fails.

        An OffRamp catches what the receiver does, so to a node's estimate a failed message is a success: executors that
        trust the estimate fail messages, a fault well known from practice.
        """
        call = {"from": self._executor.address, "to": self.dest.offramp, "data": "0x" + data.hex()}
        return int(await self._dest_node.request("eth_estimateGas", call), 16)

    def _read_states(self, receipt: Receipt) -> list[Execution]:
        event = self._offramp.event("ExecutionStateChanged")
        found = []
        for entry in receipt.logs:
            if entry.address != self.dest.offramp or entry.topics[0] != event.topic0:
                continue
            values = event.decode(entry)
            message = self._message(values.sequenceNumber)
            if message is not None:
                found.append(Execution(message, ExecutionState(values.state), receipt.transaction_hash))
        return found

    def _message(self, sequence: int) -> RampMessage | None:
        for root in self._roots:
            if root.first <= sequence <= root.last:
                return root.messages[sequence - root.first]
        return None

    # ---- by hand ----------------------------------------------------------------------------------------------------

    async def state(self, message: RampMessage) -> ExecutionState:
        """What the OffRamp says of a message."""
        function = self._offramp.function("getExecutionState")
        return ExecutionState(await self._dest_node.read(self.dest.offramp, function, self.id.source, message.sequence))

    async def execute_by_hand(self, message: RampMessage, wallet: Wallet, *, gas_limit: int = 0) -> ExecutionState:
        """What anybody may do after a failure: `manuallyExecute`; finds the message's root on the destination.

        Raises:
            CallFailed: The OffRamp refuses (not committed, not yet allowed, done, or it fails once more).
        """
        root_first, messages = await self._root_of(message)
        leaves = [leaf_hash(each, self.source.onramp) for each in messages]
        data = manual_call([message], prove(leaves, [message.sequence - root_first]), gas_limit=gas_limit)
        await wallet.run([Tx(self.dest.offramp, data, gas=MANUAL_GAS, label="manuallyExecute")], abi=self._offramp)
        return await self.state(message)

    async def _root_of(self, message: RampMessage) -> tuple[int, list[RampMessage]]:
        event = self._offramp.event("CommitReportAccepted")
        head = await self._dest_node.head()
        for entry in await self._dest_node.logs(self.dest.offramp, [event.topic0], self.dest.first_block, head):
            for root in event.decode(entry).unblessedMerkleRoots:
                if root.sourceChainSelector == self.id.source and root.minSeqNr <= message.sequence <= root.maxSeqNr:
                    return root.minSeqNr, await self._messages(root.minSeqNr, root.maxSeqNr)
        raise RejectedError(f"message {message.message_id} is not committed")

    async def _messages(self, first: int, last: int) -> list[RampMessage]:
        topics: list[Any] = [SENT_TOPIC, "0x" + self.id.dest.to_bytes(32, "big").hex()]
        head = await self._source_node.head()
        logs = await self._source_node.logs(self.source.onramp, topics, self.source.first_block, head)
        messages = [read_sent(entry) for entry in logs]
        return [message for message in messages if first <= message.sequence <= last]
