"""What a feed's contract says, and how it is told a new answer.

The reads are those of any published feed (AggregatorV3Interface) plus what Seamark's own `Aggregator` adds; a contract
that lacks an addition is read without it. All reads of one state are made at one block, so they belong together, and
the state names that block: a reader that lags behind is recognised by it.

A submission ends in one of three ways, told by the receipt's logs alone: published (`AnswerUpdated`), parked
(`AnswerParked`, the round is not used up), or neither (reverted).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from seamark.core.errors import RejectedError, TemporaryError
from seamark.core.ids import Address
from seamark.evm.abi import Abi, DecodeError, Function
from seamark.evm.address import ZERO_ADDRESS
from seamark.evm.crypto import keccak256
from seamark.evm.ports import ChainReader
from seamark.evm.rpc.errors import CallReverted, InsufficientFunds
from seamark.evm.transactions import OverBudget
from seamark.evm.types import BlockHeader, Call, Receipt
from seamark.oracle.model import FeedState, Parked

__all__ = [
    "PUBLISHER_ROLE",
    "ParkedLog",
    "PublishedLog",
    "encode_submit",
    "failure_kind",
    "has_role",
    "read_outcome",
    "read_round",
    "read_state",
    "read_states",
]

PUBLISHER_ROLE: Final = keccak256(b"PUBLISHER_ROLE")

ABI: Final = Abi.parse(
    "function latestRoundData() view returns "
    "(uint80 roundId, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredInRound)",
    "function getRoundData(uint80 roundId) view returns "
    "(uint80 roundId, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredInRound)",
    "function decimals() view returns (uint8)",
    "function description() view returns (string)",
    "function minAnswer() view returns (int256)",
    "function maxAnswer() view returns (int256)",
    "function maxStepBps() view returns (uint32)",
    "function parkedAnswer() view returns (uint80 roundId, int256 answer, uint64 observedAt, address publisher)",
    "function paused() view returns (bool)",
    "function submitGasLimit() view returns (uint256)",
    "function hasRole(bytes32 role, address account) view returns (bool)",
    "function submit(uint80 roundId, int256 answer, uint64 observedAt) payable",
    "error UnexpectedRound(uint80 expected, uint80 given)",
    "error AnswerOutOfRange(int256 answer, int256 minAnswer, int256 maxAnswer)",
    "error ObservationNotNewer(uint64 lastObservedAt, uint64 given)",
    "error ObservationInFuture(uint64 latestAllowed, uint64 given)",
    "error ObservationTooOld(uint64 oldestAllowed, uint64 given)",
    "error ValueNotAccepted(uint256 value)",
    "error EnforcedPause()",
    "error AccessControlUnauthorizedAccount(address account, bytes32 neededRole)",
    "event NewRound(uint256 indexed roundId, address indexed startedBy, uint256 startedAt)",
    "event AnswerUpdated(int256 indexed current, uint256 indexed roundId, uint256 updatedAt)",
    "event AnswerParked(uint80 indexed roundId, int256 answer, uint64 observedAt, address indexed publisher)",
)

_ROUND: Final = ABI.function("latestRoundData")
_NEEDED: Final = ("decimals", "description")
_OPTIONAL: Final = ("minAnswer", "maxAnswer", "maxStepBps", "parkedAnswer", "paused", "submitGasLimit")
_READS: Final = tuple(ABI.function(name) for name in ("latestRoundData", *_NEEDED, *_OPTIONAL))
_FAILURES: Final = {
    "UnexpectedRound": "round_taken",
    "AnswerOutOfRange": "out_of_range",
    "ObservationNotNewer": "observation_old",
    "ObservationInFuture": "observation_future",
    "ObservationTooOld": "observation_too_old",
    "AccessControlUnauthorizedAccount": "not_publisher",
    "EnforcedPause": "contract_paused",
    "ValueNotAccepted": "value_refused",
    "insufficient funds": "no_funds",
}
_NO_DATA: Final = "No data present"  # what published feeds say before their first round


@dataclass(frozen=True, slots=True)
class PublishedLog:
    """A round was published."""

    round: int
    answer: int
    started_at: int
    updated_at: int


@dataclass(frozen=True, slots=True)
class ParkedLog:
    """An answer was parked."""

    parked: Parked


def encode_submit(round_id: int, answer: int, observed_at: int) -> bytes:
    """Calldata of a submission."""
    return ABI.encode_call("submit", round_id, answer, observed_at)


async def read_states(chain: ChainReader, addresses: Sequence[Address]) -> list[FeedState | RejectedError]:
    """The state of each contract at the chain's newest block; a contract that is no feed gives an error of its own.

    Raises:
        TemporaryError: No node gave a usable answer.
    """
    head = await chain.header("latest")
    if head is None:
        raise TemporaryError(f"chain {chain.chain_id} has no newest block")
    calls = [Call(address, read.encode(), head.number) for address in addresses for read in _READS]
    answers = await chain.calls(calls)
    size = len(_READS)
    return [_to_state(address, head, answers[at * size : (at + 1) * size]) for at, address in enumerate(addresses)]


async def read_state(chain: ChainReader, address: Address) -> FeedState:
    """One of them.

    Raises:
        RejectedError: The contract does not answer as a feed.
        TemporaryError: No node gave a usable answer.
    """
    state = (await read_states(chain, [address]))[0]
    if isinstance(state, RejectedError):
        raise state
    return state


def _to_state(address: Address, head: BlockHeader, answers: Sequence[bytes | Exception]) -> FeedState | RejectedError:
    values: dict[str, Any] = {}
    for function, answer in zip(_READS, answers, strict=True):
        try:
            values[function.name] = _decode(function, answer)
        except RejectedError as error:
            if function.name not in _OPTIONAL and not (function is _ROUND and _says_no_data(error)):
                return RejectedError(f"contract {address} does not answer {function.name}() as a feed does: {error}")
    latest = values.get("latestRoundData")
    parked = values.get("parkedAnswer")
    return FeedState(
        round=latest.roundId if latest else 0,
        answer=latest.answer if latest else 0,
        started_at=latest.startedAt if latest else 0,
        updated_at=latest.updatedAt if latest else 0,
        decimals=values["decimals"],
        description=values["description"],
        block_number=head.number,
        block_time=head.timestamp,
        min_answer=values.get("minAnswer"),
        max_answer=values.get("maxAnswer"),
        max_step_bps=values.get("maxStepBps", 0),
        parked=_to_parked(parked) if parked is not None else None,
        paused=values.get("paused", False),
        gas_limit=values.get("submitGasLimit"),
    )


def _says_no_data(error: RejectedError) -> bool:
    return _NO_DATA in str(error) or (isinstance(error, CallReverted) and _NO_DATA in ABI.decode_error(error.data).text)


def _to_parked(record: Any) -> Parked | None:
    if record.publisher == ZERO_ADDRESS:
        return None
    return Parked(record.roundId, record.answer, record.observedAt, record.publisher)


def _decode(function: Function, answer: bytes | Exception) -> Any:
    if isinstance(answer, RejectedError):
        raise answer
    if isinstance(answer, Exception):
        raise TemporaryError(f"{function.name}(): {answer}") from answer
    record = function.decode_result(answer)
    return record if len(record) > 1 else record[0]


async def has_role(chain: ChainReader, address: Address, role: bytes, account: Address) -> bool:
    """OpenZeppelin's `hasRole`.

    Raises:
        RejectedError: The contract has no roles.
    """
    data = await chain.call(Call(address, ABI.encode_call("hasRole", role, account)))
    return bool(ABI.decode_result("hasRole", data)[0])


def read_outcome(receipt: Receipt, address: Address) -> PublishedLog | ParkedLog | None:
    """What a submission came to; None: neither published nor parked."""
    started: dict[int, int] = {}
    for log in receipt.logs:
        if log.address != address or not log.topics or log.topics[0] not in ABI.events_by_topic:
            continue
        try:
            event, values = ABI.decode_log(log)
        except DecodeError:
            continue  # another event that happens to share the name and types, with other indexes
        if event.name == "AnswerParked":
            return ParkedLog(Parked(values.roundId, values.answer, values.observedAt, values.publisher))
        if event.name == "NewRound":
            started[values.roundId] = values.startedAt
        else:
            began = started.get(values.roundId, values.updatedAt)
            return PublishedLog(values.roundId, values.current, began, values.updatedAt)
    return None


async def read_round(chain: ChainReader, address: Address, round_id: int) -> int:
    """The answer of an earlier round.

    Raises:
        RejectedError: There is no such round.
    """
    data = await chain.call(Call(address, ABI.encode_call("getRoundData", round_id)))
    return int(ABI.decode_result("getRoundData", data).answer)


def failure_kind(error: RejectedError) -> str:
    """The class of a refusal, for metrics: a custom error of the contract by its name, else "rejected"."""
    if isinstance(error, InsufficientFunds):
        return "no_funds"
    if isinstance(error, OverBudget):
        return "over_budget"
    text = str(error)
    if isinstance(error, CallReverted) and error.data:
        text = ABI.decode_error(error.data).name
    return next((kind for name, kind in _FAILURES.items() if name in text), "rejected")
