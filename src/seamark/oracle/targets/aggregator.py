"""Our own `Aggregator`, written by one publisher (or by one at a time), and every feed that is only read.

The reads are those of any published feed (AggregatorV3Interface) plus what Seamark's own contract adds; a contract that
lacks an addition is read without it. The round is part of the call, so the contract takes each round once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from seamark.core.errors import RejectedError, SettingsError
from seamark.core.ids import Address
from seamark.evm.abi import Abi
from seamark.evm.address import ZERO_ADDRESS, to_checksum
from seamark.evm.crypto import keccak256
from seamark.evm.ports import ChainReader
from seamark.evm.types import BlockHeader, Call
from seamark.oracle.model import Answer, ContractKind, FeedState, Parked
from seamark.oracle.targets.reads import FEED_ABI, read_pinned, values_of
from seamark.oracle.targets.target import Refusal, Verdict, Where, revert_of

__all__ = ["ABI", "PUBLISHER_ROLE", "AggregatorTarget", "encode_submit", "has_role", "read_state", "read_states"]

PUBLISHER_ROLE: Final = keccak256(b"PUBLISHER_ROLE")

ABI: Final = Abi.parse(
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
)

_NEEDED: Final = tuple(FEED_ABI.function(name) for name in ("latestRoundData", "decimals", "description"))
_OPTIONAL: Final = ("minAnswer", "maxAnswer", "maxStepBps", "parkedAnswer", "paused", "submitGasLimit")
_READS: Final = (*_NEEDED, *(ABI.function(name) for name in _OPTIONAL))
_REFUSALS: Final = {
    "UnexpectedRound": Refusal("round_taken"),
    "AnswerOutOfRange": Refusal("out_of_range"),
    "ObservationNotNewer": Refusal("observation_old"),
    "ObservationInFuture": Refusal("observation_future"),
    "ObservationTooOld": Refusal("observation_too_old"),
    "AccessControlUnauthorizedAccount": Refusal("not_publisher", Verdict.BROKEN),
    "EnforcedPause": Refusal("contract_paused"),
    "ValueNotAccepted": Refusal("value_refused", Verdict.BROKEN),
}


def encode_submit(round_id: int, answer: int, observed_at: int) -> bytes:
    """Calldata of a submission."""
    return ABI.encode_call("submit", round_id, answer, observed_at)


async def read_states(chain: ChainReader, addresses: Sequence[Address]) -> list[FeedState | RejectedError]:
    """The state of each feed, of whatever kind, at the chain's newest block; a contract that is none gives an error of
    its own.

    Raises:
        TemporaryError: No node gave a usable answer.
    """
    head, answers = await read_pinned(chain, [(address, read.encode()) for address in addresses for read in _READS])
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
    try:
        values = values_of(address, _READS, answers, optional=_OPTIONAL)
    except RejectedError as error:
        return error
    return feed_state(head, values)


def feed_state(head: BlockHeader, values: Mapping[str, Any]) -> FeedState:
    """From what the reads gave, by the functions' names."""
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


def _to_parked(record: Any) -> Parked | None:
    if record.publisher == ZERO_ADDRESS:
        return None
    return Parked(record.roundId, record.answer, record.observedAt, record.publisher)


async def has_role(chain: ChainReader, address: Address, role: bytes, account: Address) -> bool:
    """OpenZeppelin's `hasRole`.

    Raises:
        RejectedError: The contract has no roles.
    """
    data = await chain.call(Call(address, ABI.encode_call("hasRole", role, account)))
    return bool(ABI.decode_result("hasRole", data)[0])


class AggregatorTarget:
    """One Aggregator, as one account publishes to it."""

    kind: Final = ContractKind.AGGREGATOR
    look_every: Final = None  # nobody else writes: receipts tell nearly all

    def __init__(self, chain: ChainReader, address: Address, account: Address) -> None:
        self._chain = chain
        self._address = address
        self._account = account

    async def read(self) -> FeedState:
        """See `Target`."""
        return await read_state(self._chain, self._address)

    async def check(self, at: Where) -> None:
        """A contract without roles passes: its first submission will tell."""
        try:
            allowed = await has_role(self._chain, self._address, PUBLISHER_ROLE, self._account)
        except RejectedError:
            return
        if not allowed:
            raise SettingsError(
                at.signer,
                f"{to_checksum(self._account)} may not publish to {to_checksum(self._address)}",
                remedy="let the contract's admin grant it PUBLISHER_ROLE, or sign with another account",
            )

    def encode(self, round_id: int, what: Answer) -> bytes:
        """`submit(round, answer, observedAt)`."""
        return encode_submit(round_id, what.value, what.observed_at)

    def refusal(self, error: RejectedError) -> Refusal:
        """The contract's custom errors, by name."""
        return revert_of(error, _REFUSALS, ABI.errors)
