"""Reads that all targets share: many calls at one pinned block, and what any published feed answers.

All reads of one state are made at one block, so they belong together, and the state names that block: a reader that
lags behind is recognised by it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from seamark.core.errors import RejectedError, TemporaryError
from seamark.core.ids import Address
from seamark.evm.abi import Abi, Function
from seamark.evm.ports import ChainReader
from seamark.evm.rpc.errors import CallReverted
from seamark.evm.types import BlockHeader, Call

__all__ = ["FEED_ABI", "LATEST_ROUND", "decode", "read_pinned", "read_round", "values_of"]

FEED_ABI: Final = Abi.parse(
    "function latestRoundData() view returns "
    "(uint80 roundId, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredInRound)",
    "function getRoundData(uint80 roundId) view returns "
    "(uint80 roundId, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredInRound)",
    "function decimals() view returns (uint8)",
    "function description() view returns (string)",
)
LATEST_ROUND: Final = FEED_ABI.function("latestRoundData")
_NO_DATA: Final = "No data present"  # what published feeds say before their first round


async def read_pinned(
    chain: ChainReader, reads: Sequence[tuple[Address, bytes]]
) -> tuple[BlockHeader, list[bytes | Exception]]:
    """The newest block, and the answers to these calls at it.

    Raises:
        TemporaryError: No node gave a usable answer.
    """
    head = await chain.header("latest")
    if head is None:
        raise TemporaryError(f"chain {chain.chain_id} has no newest block")
    return head, await chain.calls([Call(address, data, head.number) for address, data in reads])


def values_of(
    address: Address,
    functions: Sequence[Function],
    answers: Sequence[bytes | Exception],
    *,
    optional: Sequence[str] = (),
) -> Mapping[str, Any]:
    """Answers by the name of their function; one that the contract lacks is missing if it is optional, and so is the
    latest round of a feed that has none.

    Raises:
        RejectedError: The contract lacks another one.
        TemporaryError: A read got no answer at all.
    """
    values: dict[str, Any] = {}
    for function, answer in zip(functions, answers, strict=True):
        try:
            values[function.name] = decode(function, answer)
        except RejectedError as error:
            empty = function.name == LATEST_ROUND.name and _says_no_data(error)
            if function.name not in optional and not empty:
                raise RejectedError(
                    f"contract {address} does not answer {function.name}() as a feed does: {error}"
                ) from error
    return values


def decode(function: Function, answer: bytes | Exception) -> Any:
    """A bare value where the function has one output, else a record."""
    if isinstance(answer, RejectedError):
        raise answer
    if isinstance(answer, Exception):
        raise TemporaryError(f"{function.name}(): {answer}") from answer
    record = function.decode_result(answer)
    return record if len(record) > 1 else record[0]


def _says_no_data(error: RejectedError) -> bool:
    if isinstance(error, CallReverted) and _NO_DATA in FEED_ABI.decode_error(error.data).text:
        return True
    return _NO_DATA in str(error)


async def read_round(chain: ChainReader, address: Address, round_id: int) -> int:
    """The answer of an earlier round.

    Raises:
        RejectedError: There is no such round.
    """
    data = await chain.call(Call(address, FEED_ABI.encode_call("getRoundData", round_id)))
    return int(FEED_ABI.decode_result("getRoundData", data).answer)
