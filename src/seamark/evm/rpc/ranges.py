"""eth_getLogs over any range, from one endpoint, complete or not at all.

The range is cut into parts of the width that the endpoint has shown to take, and a few parts are read side by side.
Each part is asked for in one batch with the header of the whole range's last block: an endpoint that does not have that
block answers an empty list for blocks it has never seen, and nothing in the list says so. With `end` given, the block
must also have that hash, so that the whole range is of the chain the caller means.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from seamark.core.errors import RejectedError
from seamark.core.ids import Hash32
from seamark.evm.hexdata import to_quantity
from seamark.evm.rpc.endpoint import Endpoint, Request
from seamark.evm.rpc.errors import (
    BadReply,
    BlockOutOfRange,
    EndpointBehind,
    NodeFault,
    RangeTooWide,
    RateLimited,
    RequestRefused,
    ResultTooLarge,
    RpcTimeout,
)
from seamark.evm.rpc.headers import header_request, header_result
from seamark.evm.rpc.observer import RpcObserver
from seamark.evm.rpc.wire import read_logs
from seamark.evm.types import BlockHeader, Log, LogFilter

__all__ = ["LogRange"]

PARTS_AT_ONCE: Final = 6  # parts under way; measured: more bring nothing
LOGS_AT_ONCE: Final = 2_000  # in one reply, some 4 MB of typical logs
FEW_LOGS: Final = LOGS_AT_ONCE // 8
PART_ATTEMPTS: Final = 3  # one bad reply in a long range must not cost the whole range


class LogRange:
    """One reading of one range at one endpoint."""

    def __init__(
        self,
        endpoint: Endpoint,
        wanted: LogFilter,
        first: int,
        last: int,
        *,
        end: Hash32 | None,
        observer: RpcObserver,
    ) -> None:
        self._endpoint = endpoint
        self._wanted = wanted
        self._last = last
        self._end = end
        self._observer = observer
        self._pending = [(first, last)]
        self._parts: list[tuple[int, list[Log]]] = []
        self._last_hash: Hash32 | None = None
        self._timeouts = 0

    async def read(self) -> list[Log]:
        """All logs, in order.

        Raises:
            NodeFault: This endpoint cannot answer for the whole range.
        """
        if self._is_one_part():
            await self._worker()
        else:
            await self._work_together()
        self._parts.sort(key=lambda part: part[0])
        return [log for _, logs in self._parts for log in logs]

    def _is_one_part(self) -> bool:
        first, last = self._pending[0]
        return last - first < self._endpoint.block_range.value

    async def _work_together(self) -> None:
        workers = [asyncio.ensure_future(self._worker()) for _ in range(PARTS_AT_ONCE)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _worker(self) -> None:
        limit = self._endpoint.block_range
        while self._pending:
            first, last = self._pending.pop()
            if last - first + 1 > limit.value:
                self._pending.append((first + limit.value, last))
                last = first + limit.value - 1
            try:
                logs = await self._read_part(first, last)
            except RangeTooWide as error:
                self._narrow(first, last, error)
            except RpcTimeout as error:
                await self._narrow_slow(first, last, error)
            else:
                self._parts.append((first, logs))
                self._widen(last - first + 1, len(logs))

    def _widen(self, width: int, logs: int) -> None:
        """Large replies are read slower than several smaller ones side by side, and are nearer to a refusal."""
        if logs > LOGS_AT_ONCE and width > 1:
            self._endpoint.block_range.refused(width, lasting=False)
        else:
            self._endpoint.block_range.accepted(width, easily=logs < FEW_LOGS)

    def _narrow(self, first: int, last: int, error: RangeTooWide) -> None:
        """Put the part back, to be read in smaller ones."""
        width = last - first + 1
        if width == 1:
            raise error
        suggested = error.suggested
        if error.suggested_range is not None and error.suggested_range[0] == first:
            suggested = error.suggested_range[1] - first + 1
        limit = self._endpoint.block_range
        limit.refused(width, suggested=suggested, lasting=not isinstance(error, ResultTooLarge))
        self._observer.limit(self._endpoint.label, "block_range", limit.value)
        middle = first + max(1, min(width - 1, limit.value))
        self._pending += [(middle, last), (first, middle - 1)]

    async def _narrow_slow(self, first: int, last: int, error: RpcTimeout) -> None:
        """A range that takes too long would do so every time: put it back in halves, and remember for later reads.

        Where the endpoint is silent whatever it is asked, the range is not to blame.
        """
        width = last - first + 1
        try:
            await self._endpoint.ask("eth_blockNumber")
        except (NodeFault, RejectedError):
            raise error from None
        limit = self._endpoint.block_range
        limit.refused(width, suggested=max(1, width // 2))
        self._observer.limit(self._endpoint.label, "block_range", limit.value)
        self._timeouts += 1
        if self._timeouts >= PART_ATTEMPTS or width == 1:
            raise error
        middle = first + width // 2
        self._pending += [(middle, last), (first, middle - 1)]

    async def _read_part(self, first: int, last: int) -> list[Log]:
        for attempt in range(1, PART_ATTEMPTS + 1):
            try:
                return await self._ask(first, last)
            except (RangeTooWide, RpcTimeout, RateLimited, BlockOutOfRange, EndpointBehind):
                raise
            except NodeFault:
                if attempt == PART_ATTEMPTS:
                    raise
        raise AssertionError("the loop above returns or raises")

    async def _ask(self, first: int, last: int) -> list[Log]:
        parameters: dict[str, Any] = {
            "fromBlock": to_quantity(first),
            "toBlock": to_quantity(last),
            "address": self._wanted.addresses,
            "topics": [self._wanted.topics],
        }
        if self._end is not None and first == self._last and self._endpoint.lean.pins:
            pinned = await self._ask_pinned(self._end, parameters)
            if pinned is not None:
                return pinned
        logs_raw, header_raw = await self._endpoint.ask_together(
            [Request("eth_getLogs", (parameters,)), header_request(self._endpoint, self._last)]
        )
        if isinstance(logs_raw, Exception):
            raise logs_raw
        header = self._check_header(header_result(self._endpoint, header_raw))
        logs = read_logs(logs_raw, self._wanted, first, last)
        if logs and logs[-1].block_number == header.number and logs[-1].block_hash != header.hash:
            raise BadReply(f"its logs of block {header.number} are of another block than its header")
        return logs

    async def _ask_pinned(self, block: Hash32, parameters: dict[str, Any]) -> list[Log] | None:
        """One block by its hash; None where the endpoint shows no sign of that block, or cannot be asked so."""
        wanted = {"blockHash": block, "address": parameters["address"], "topics": parameters["topics"]}
        logs_raw, count_raw = await self._endpoint.ask_together(
            [Request("eth_getLogs", (wanted,)), Request("eth_getBlockTransactionCountByHash", (block,))]
        )
        if isinstance(logs_raw, Exception) or isinstance(count_raw, Exception):
            if any(isinstance(answer, RequestRefused) for answer in (logs_raw, count_raw)):
                self._endpoint.lean.unpinned()
            return None
        if bytes(count_raw) == b"null":
            return None
        logs = read_logs(logs_raw, self._wanted, self._last, self._last)
        if any(log.block_hash != block for log in logs):
            raise BadReply(f"logs of another block than {block} were sent for it")
        return logs

    def _check_header(self, header: BlockHeader | None) -> BlockHeader:
        label = self._endpoint.label
        if header is None:
            raise BlockOutOfRange(f"{label}: eth_getLogs: it does not have block {self._last} yet")
        if header.number != self._last:
            raise BadReply(f"block {header.number} was sent for block {self._last}")
        if self._end is not None and header.hash != self._end:
            raise EndpointBehind(f"{label}: eth_getLogs: its block {self._last} is {header.hash}, not {self._end}")
        if self._last_hash not in (None, header.hash):
            raise EndpointBehind(f"{label}: eth_getLogs: block {self._last} changed while the range was read")
        self._last_hash = header.hash
        return header
