"""One block's logs without a topic, and what transactions declared: what stands at a place in a block.

The header and the logs are asked in one batch and must name the same hash, so an empty answer is one about that block.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seamark.core.ids import Address, Hash32
from seamark.evm.hexdata import to_quantity
from seamark.evm.ports import BlockLogs
from seamark.evm.rpc.endpoint import Endpoint, Request
from seamark.evm.rpc.errors import BlockOutOfRange
from seamark.evm.rpc.headers import header_request, header_result
from seamark.evm.rpc.wire import AccessList, read_access_list, read_logs_of

__all__ = ["read_access_lists", "read_block_logs"]


async def read_block_logs(endpoint: Endpoint, number: int, addresses: Sequence[Address]) -> BlockLogs:
    """All logs of a block, or those of some addresses.

    Raises:
        BlockOutOfRange: The endpoint does not have that block.
        BadReply: Logs of another block than the header's.
    """
    place = to_quantity(number)
    wanted: dict[str, Any] = {"fromBlock": place, "toBlock": place}
    if addresses:
        wanted["address"] = list(addresses)
    logs, header_answer = await endpoint.ask_together(
        [Request("eth_getLogs", (wanted,)), header_request(endpoint, number)]
    )
    header = header_result(endpoint, header_answer)
    if header is None:
        raise BlockOutOfRange(f"{endpoint.label}: it does not have block {number}")
    if isinstance(logs, Exception):
        raise logs
    return BlockLogs(header, tuple(read_logs_of(logs, header, addresses)), whole=not addresses)


async def read_access_lists(endpoint: Endpoint, transactions: Sequence[Hash32]) -> list[AccessList | None]:
    """What each transaction declared; None for one that the endpoint does not have."""
    answers = await endpoint.ask_many([Request("eth_getTransactionByHash", (item,)) for item in transactions])
    found: list[AccessList | None] = []
    for transaction, answer in zip(transactions, answers, strict=True):
        if isinstance(answer, Exception):
            raise answer
        found.append(read_access_list(answer, transaction))
    return found
