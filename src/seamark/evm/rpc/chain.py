"""One chain, read and written through a pool of distrusted endpoints.

`Chain` implements `evm.ports.ChainReader` and what `evm.transactions` needs to send. It holds no state about the chain
itself, only about the endpoints: every answer is read from one endpoint at the time of the question.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

import aiohttp
import msgspec
import structlog

from seamark.core.errors import SeamarkError, TemporaryError
from seamark.core.ids import Address, ChainId, Hash32
from seamark.evm.crypto import keccak256_hex
from seamark.evm.hexdata import to_data, to_quantity
from seamark.evm.ports import BlockLogs
from seamark.evm.rpc.endpoint import Endpoint, Request
from seamark.evm.rpc.errors import (
    AlreadyKnown,
    BadReply,
    BlockOutOfRange,
    CallReverted,
    MethodNotSupported,
    NodeFault,
    RequestRefused,
    RpcTimeout,
    RpcUnavailable,
    TransactionRefused,
)
from seamark.evm.rpc.headers import read_headers, read_one
from seamark.evm.rpc.observer import RpcObserver, SilentObserver
from seamark.evm.rpc.pinned import read_access_lists, read_block_logs
from seamark.evm.rpc.pool import MAX_LAG_BLOCKS, Member, Pool
from seamark.evm.rpc.ranges import LogRange
from seamark.evm.rpc.wire import (
    AccessList,
    FeeHistory,
    read_bytes,
    read_fee_history,
    read_input,
    read_number,
    read_receipt,
)
from seamark.evm.types import BlockHeader, BlockTag, Call, Log, LogFilter, Receipt
from seamark.runtime.clock import Clock, SystemClock

__all__ = ["Chain", "Witness"]

TAG_RECHECK_S: Final = 60.0  # a young chain learns what is final after its first epochs
TAG_TRUST_S: Final = 600.0  # a node that knew a tag knows it still; until then its lack is a failure, not a property
SECOND_DEADLINE_S: Final = 3.0  # a second opinion is worth a short wait
_FINALITY_TAGS: Final = frozenset({"finalized", "safe"})
_HEAD_TAGS: Final = frozenset({"latest", "pending"})

log = structlog.get_logger("seamark.evm.rpc")

_T = TypeVar("_T")


class Chain:
    """Typed, checked reads and writes of one chain.

    Args:
        chain_id: What every endpoint must serve.
        urls: The endpoints, the preferred one first; they may hold secrets.
        session: The process's HTTP session (`runtime.http.make_session`).
        clock: Time, for pauses and latency.
        observer: Told how the endpoints fare.
        max_lag: Blocks behind the best endpoint from which one is not asked about the head.
        deadline_s: For one HTTP request; None takes the default.
    """

    def __init__(
        self,
        chain_id: ChainId,
        urls: Sequence[str],
        *,
        session: aiohttp.ClientSession,
        clock: Clock | None = None,
        observer: RpcObserver | None = None,
        max_lag: int = MAX_LAG_BLOCKS,
        deadline_s: float | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self._observer = observer or SilentObserver()
        extra = {} if deadline_s is None else {"deadline_s": deadline_s}
        endpoints = [
            Endpoint(url, session=session, clock=self._clock, observer=self._observer, **extra) for url in urls
        ]
        self.pool = Pool(chain_id, endpoints, clock=self._clock, observer=self._observer, max_lag=max_lag)
        self._without_tag: dict[tuple[str, str], float] = {}
        self._tag_seen_at: dict[str, float] = {}
        self._sending: set[asyncio.Task[Any]] = set()

    @property
    def chain_id(self) -> ChainId:
        return self.pool.chain_id

    @property
    def witness(self) -> Witness | None:
        """Who can be asked for a second opinion; None where there is but one endpoint."""
        return Witness(self) if len(self.pool.members) > 1 else None

    async def close(self) -> None:
        """End what runs in the background. The session belongs to the caller."""
        await self.pool.close()
        for task in self._sending:
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)

    # ---- blocks -----------------------------------------------------------------------------------------------------

    async def header(self, block: BlockTag) -> BlockHeader | None:
        """None where the block does not exist (yet), and for "finalized" or "safe" where no endpoint knows the tag."""
        if block in _FINALITY_TAGS:
            return await self._tagged_header(str(block))
        if block in _HEAD_TAGS:
            return await self.pool.ask(lambda endpoint: self._head(endpoint, str(block)), about_head=True)
        return (await self._headers([block]))[0]

    async def headers(self, numbers: Sequence[int]) -> list[BlockHeader | None]:
        """All from one endpoint, so that they are of one chain; None for each that it does not have."""
        return await self._headers(numbers)

    def knows_tag(self, tag: str) -> bool:
        """False where every endpoint has lately shown that it has no "finalized" or "safe", and none had it before."""
        return self._had(tag) or not all(self._lacks(member.label, tag) for member in self.pool.members)

    async def _head(self, endpoint: Endpoint, tag: str) -> BlockHeader:
        header = await read_one(endpoint, tag)
        if header is None:
            raise BadReply(f"{endpoint.label}: it has no {tag} block")
        if tag == "latest":
            self.pool.saw_head(endpoint, header.number)
        return header

    async def _headers(self, blocks: Sequence[BlockTag]) -> list[BlockHeader | None]:
        """From the first endpoint that has all of those which should exist; else from the one that has the most."""
        best: list[BlockHeader | None] = [None] * len(blocks)
        if not blocks:
            return best
        answered = False

        async def read(endpoint: Endpoint) -> list[BlockHeader | None]:
            nonlocal best, answered
            found = await read_headers(endpoint, blocks)
            answered = True
            if found.count(None) < best.count(None):
                best = found
            missing = [block for block, header in zip(blocks, found, strict=True) if header is None]
            if self._should_exist(missing):
                raise BlockOutOfRange(f"{endpoint.label}: it does not have block {missing[0]} yet")
            return found

        try:
            return await self.pool.ask(read)
        except TemporaryError:
            if answered:
                return best
            raise

    def _should_exist(self, blocks: Sequence[BlockTag]) -> bool:
        head = self.pool.best_head
        if head is None or len(self.pool.members) == 1:
            return False
        return any(isinstance(block, int) and block <= head for block in blocks)

    async def _tagged_header(self, tag: str) -> BlockHeader | None:
        """A node without finality says so in many ways: null, "unknown block", "safe block not found", a parse
        error. Where no endpoint has ever shown the tag, one that lacks it speaks for those that do not answer.
        """
        if not self.knows_tag(tag):
            return None
        lacking = False

        async def read(endpoint: Endpoint) -> BlockHeader:
            nonlocal lacking
            header = await self._read_tagged(endpoint, tag)
            if header is None:
                lacking = True
                self._note_missing(endpoint.label, tag)
                raise BlockOutOfRange(f"{endpoint.label}: it knows no {tag} block")
            self._tag_seen_at[tag] = self._clock.monotonic()
            return header

        try:
            return await self.pool.ask(read)
        except TemporaryError:
            if not self.knows_tag(tag) or (lacking and not self._had(tag)):
                return None
            raise

    @staticmethod
    async def _read_tagged(endpoint: Endpoint, tag: str) -> BlockHeader | None:
        try:
            return await read_one(endpoint, tag)
        except (BlockOutOfRange, RequestRefused):
            return None
        except RpcUnavailable as error:
            if "pars" not in error.message:
                raise
            return None

    def _had(self, tag: str) -> bool:
        seen = self._tag_seen_at.get(tag)
        return seen is not None and self._clock.monotonic() - seen < TAG_TRUST_S

    def _lacks(self, label: str, tag: str) -> bool:
        noted = self._without_tag.get((label, tag))
        return noted is not None and self._clock.monotonic() - noted < TAG_RECHECK_S

    def _note_missing(self, label: str, tag: str) -> None:
        if (label, tag) not in self._without_tag:
            log.info("endpoint knows no such tag", endpoint=label, tag=tag)
        self._without_tag[label, tag] = self._clock.monotonic()

    # ---- logs -------------------------------------------------------------------------------------------------------

    async def logs(
        self, wanted: LogFilter, first: int, last: int, *, end: Hash32 | None = None, second: bool = False
    ) -> list[Log]:
        """All matching logs of blocks first..last, ordered, of one endpoint that has block `last` (as `end`).

        With `second` not of the endpoint that is asked first, and soon or not at all: `TemporaryError`.
        """
        if first > last:
            return []
        deadline = SECOND_DEADLINE_S if second else None
        try:
            async with asyncio.timeout(deadline):
                return await self.pool.ask(
                    lambda endpoint: LogRange(endpoint, wanted, first, last, end=end, observer=self._observer).read(),
                    second=second,
                )
        except TimeoutError as error:
            raise RpcTimeout(f"chain {self.chain_id}: no second opinion within {deadline:g} s") from error

    async def block_logs(
        self, number: int, addresses: Sequence[Address] = (), *, second: bool = False
    ) -> BlockLogs | None:
        """All logs of a block, or those of some addresses; None where no endpoint that answered has the block.

        With `second` and several endpoints, not of the one that is asked first: `TemporaryError` where no other can.
        """
        lacking = False

        async def read(endpoint: Endpoint) -> BlockLogs:
            nonlocal lacking
            try:
                return await read_block_logs(endpoint, number, addresses)
            except BlockOutOfRange:
                lacking = True
                raise

        try:
            return await self.pool.ask(read, second=second and len(self.pool.members) > 1)
        except TemporaryError:
            if lacking:
                return None
            raise

    async def access_lists(self, transactions: Sequence[Hash32]) -> list[AccessList | None]:
        """What each transaction declared (EIP-2930), all of one endpoint; None for one that it does not have."""
        return await self.pool.ask(lambda endpoint: read_access_lists(endpoint, transactions), about_head=True)

    # ---- state ------------------------------------------------------------------------------------------------------

    async def call(self, call: Call) -> bytes:
        """Raises `CallReverted` with the revert data."""
        return await self._ask_about(call.block, read_bytes, "eth_call", _call(call), _block(call.block))

    async def calls(self, calls: Sequence[Call]) -> list[bytes | Exception]:
        """Reverts and refusals stand in the list; a call that one endpoint cannot answer is put to the next."""
        answers: list[bytes | Exception | None] = [None] * len(calls)

        async def read(endpoint: Endpoint) -> None:
            missing = [at for at, answer in enumerate(answers) if answer is None or _may_differ(answer)]
            requests = [Request("eth_call", (_call(calls[at]), _block(calls[at].block))) for at in missing]
            for at, raw in zip(missing, await endpoint.ask_many(requests), strict=True):
                answers[at] = _read_or_error(raw, read_bytes)
            bad = [answer for answer in answers if isinstance(answer, NodeFault)]
            if bad:
                raise bad[0]

        try:
            await self.pool.ask(read, about_head=any(call.block in _HEAD_TAGS for call in calls))
        except TemporaryError:
            if any(answer is None for answer in answers):
                raise
        return [answer for answer in answers if answer is not None]

    async def receipt(self, transaction: Hash32) -> Receipt | None:
        """None while it is in no block."""
        return (await self.receipts([transaction]))[0]

    async def receipts(self, transactions: Sequence[Hash32]) -> list[Receipt | None]:
        """All from one endpoint, in batches."""
        requests = [Request("eth_getTransactionReceipt", (transaction,)) for transaction in transactions]

        async def read(endpoint: Endpoint) -> list[Receipt | None]:
            found: list[Receipt | None] = []
            for transaction, answer in zip(transactions, await endpoint.ask_many(requests), strict=True):
                if isinstance(answer, Exception):
                    raise answer
                found.append(read_receipt(answer, transaction))
            return found

        return await self.pool.ask(read, about_head=True)

    async def transaction_input(self, transaction: Hash32) -> bytes | None:
        """The calldata with which a transaction was sent; None where no endpoint knows it."""

        def read(raw: msgspec.Raw) -> bytes | None:
            return read_input(raw, transaction)

        return await self._ask_about("latest", read, "eth_getTransactionByHash", transaction)

    async def code(self, address: Address) -> bytes:
        """Empty where no contract lives."""
        return await self._ask_about("latest", read_bytes, "eth_getCode", address, "latest")

    async def balance(self, address: Address) -> int:
        """Wei."""
        return await self._ask_about("latest", read_number, "eth_getBalance", address, "latest")

    async def nonce(self, address: Address, block: BlockTag = "latest") -> int:
        """Transactions sent so far; with "pending" also those that wait at the node."""
        return await self._ask_about(block, read_number, "eth_getTransactionCount", address, _block(block))

    async def _ask_about(self, block: BlockTag, read: Callable[[msgspec.Raw], _T], method: str, *params: Any) -> _T:
        async def ask(endpoint: Endpoint) -> _T:
            return read(await endpoint.ask(method, *params))

        return await self.pool.ask(ask, about_head=block in _HEAD_TAGS)

    # ---- fees and sending -------------------------------------------------------------------------------------------

    async def gas_price(self) -> int:
        """Wei."""
        return await self._ask_about("latest", read_number, "eth_gasPrice")

    async def max_priority_fee(self) -> int:
        """Wei; raises `MethodNotSupported` on chains without a fee market."""
        return await self._ask_about("latest", read_number, "eth_maxPriorityFeePerGas")

    async def fee_history(self, blocks: int, newest: BlockTag, percentiles: Sequence[float]) -> FeeHistory:
        """Empty where no endpoint knows the method."""
        try:
            return await self._ask_about(
                newest, read_fee_history, "eth_feeHistory", to_quantity(blocks), _block(newest), list(percentiles)
            )
        except MethodNotSupported:
            return FeeHistory((), ())

    async def estimate_gas(self, *, sender: Address, to: Address | None, data: bytes, value: int = 0) -> int:
        """Gas that the transaction would use now; raises `CallReverted`."""
        return await self._ask_about("latest", read_number, "eth_estimateGas", _message(sender, to, data, value))

    async def simulate(
        self, *, sender: Address, to: Address | None, data: bytes, value: int = 0, gas: int | None = None
    ) -> bytes:
        """What the transaction would return now, with so much gas (None: all that the node allows); raises
        `CallReverted`.
        """
        message = _message(sender, to, data, value)
        if gas is not None:
            message["gas"] = to_quantity(gas)
        return await self._ask_about("latest", read_bytes, "eth_call", message, "latest")

    async def send_raw(self, raw: bytes) -> Hash32:
        """Give a signed transaction to all endpoints at once; returns when the first has it.

        The others go on in the background: the more nodes have it, the sooner it is mined. `AlreadyKnown` is
        acceptance.

        Raises:
            TransactionRefused: No endpoint took it, and at least one said why.
            TemporaryError: No endpoint answered.
        """
        transaction = keccak256_hex(raw)
        members = self.pool.usable()
        tasks = [self._spawn(self._send_to(member, raw, transaction)) for member in members]
        failures: list[SeamarkError] = []
        for done in asyncio.as_completed(tasks):
            try:
                await done
            except SeamarkError as error:
                failures.append(error)
            else:
                return transaction
        refused = [error for error in failures if isinstance(error, TransactionRefused)]
        if refused:
            raise refused[0]
        raise self.pool.sum_up(failures)

    def _spawn(self, work: Awaitable[None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._sending.add(task)
        task.add_done_callback(self._sent)
        return task

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        if not task.cancelled():
            task.exception()  # told to the observer by the endpoint; the first acceptance is what counts

    async def _send_to(self, member: Member, raw: bytes, transaction: Hash32) -> None:
        async def send(endpoint: Endpoint) -> None:
            try:
                echoed = to_data(read_bytes(await endpoint.ask("eth_sendRawTransaction", to_data(raw))))
            except AlreadyKnown:
                return
            if echoed != transaction:
                raise BadReply(f"{endpoint.label}: it took {transaction} and calls it {echoed}")

        await self.pool.ask_member(member, send)


class Witness:
    """The same chain, read from another endpoint than the preferred one: sees what that one leaves out."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain

    async def logs(self, wanted: LogFilter, first: int, last: int, *, end: Hash32 | None = None) -> list[Log]:
        """As `Chain.logs`; raises `TemporaryError` where no other endpoint is of use now."""
        return await self._chain.logs(wanted, first, last, end=end, second=True)


def _read_or_error(answer: msgspec.Raw | Exception, read: Callable[[msgspec.Raw], bytes]) -> bytes | Exception:
    if isinstance(answer, Exception):
        return answer
    try:
        return read(answer)
    except BadReply as error:
        return error


def _may_differ(answer: bytes | Exception) -> bool:
    """Whether another endpoint may answer better: a revert is an answer."""
    return isinstance(answer, NodeFault | RequestRefused) and not isinstance(answer, CallReverted)


def _block(block: BlockTag) -> str:
    return to_quantity(block) if isinstance(block, int) else block


def _call(call: Call) -> dict[str, str]:
    return {"to": call.to, "data": to_data(call.data)}


def _message(sender: Address, to: Address | None, data: bytes, value: int) -> dict[str, str]:
    message = {"from": sender, "data": to_data(data), "value": to_quantity(value)}
    return message if to is None else message | {"to": to}
