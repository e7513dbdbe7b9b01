"""FluxAggregator: several oracles answer each round with a transaction of their own; the contract takes the median.

    nobody has begun the round   ours may begin it, when its own trigger says so and `restartDelay` rounds have passed
    the round is open            ours answers it, whatever its trigger says: the others count on it
    ours has answered, or must   it waits; a round that timed out may be started over by whoever may begin the next
      not begin yet

`oracleRoundState(oracle, 0)` says all of this in one call, with the chain's own clock, so nothing is computed again
here. An oracle answers a round at most once; the round is part of the call, so a call sent twice is taken once.

Source: @chainlink/contracts 0.8.0 `src/v0.6/FluxAggregator.sol` (MIT).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from seamark.core.errors import RejectedError, SettingsError
from seamark.core.ids import Address
from seamark.evm.abi import Abi
from seamark.evm.address import ZERO_ADDRESS, to_checksum
from seamark.evm.contract import Contract
from seamark.evm.ports import ChainReader
from seamark.oracle.model import Answer, ContractKind, FeedState, Turn
from seamark.oracle.targets.aggregator import feed_state
from seamark.oracle.targets.reads import FEED_ABI, read_pinned, values_of
from seamark.oracle.targets.target import Refusal, Verdict, Where, revert_of

__all__ = ["ABI", "FluxTarget"]

LOOK_EVERY_S: Final = 2.0
"""A round that another oracle opened is seen after this long at most; one batch of six reads each time."""

GAS_LIMIT: Final = 500_000
"""Of a submission. What earlier ones used says little: the oracle that begins a round and the one that completes it pay
for what the others do not (72,000 to 143,000 gas with 4 oracles). Chainlink's own default."""

RESERVE_ROUNDS: Final = 2
"""Rounds that the contract itself wants to be able to pay for (its RESERVE_ROUNDS)."""

ABI: Final = Abi.parse(
    "function oracleRoundState(address oracle, uint32 queriedRoundId) view returns (bool eligibleToSubmit, "
    "uint32 roundId, int256 latestSubmission, uint64 startedAt, uint64 timeout, uint128 availableFunds, "
    "uint8 oracleCount, uint128 paymentAmount)",
    "function minSubmissionValue() view returns (int256)",
    "function maxSubmissionValue() view returns (int256)",
    "function getOracles() view returns (address[])",
    "function submit(uint256 roundId, int256 submission)",
)

_READS: Final = (
    *(FEED_ABI.function(name) for name in ("latestRoundData", "decimals", "description")),
    ABI.function("minSubmissionValue"),
    ABI.function("maxSubmissionValue"),
)
_TURN: Final = ABI.function("oracleRoundState")
_SUBMIT: Final = ABI.function("submit")
_REFUSALS: Final = {
    "not enabled oracle": Refusal("not_oracle", Verdict.BROKEN),
    "not yet enabled oracle": Refusal("not_yet_oracle"),
    "no longer allowed oracle": Refusal("not_oracle", Verdict.BROKEN),
    "cannot report on previous rounds": Refusal("already_answered", Verdict.DONE),
    "invalid round to report": Refusal("round_over", Verdict.DONE),
    "previous round not supersedable": Refusal("round_open", Verdict.DONE),
    "round not accepting submissions": Refusal("round_closed", Verdict.DONE),
    "value below minSubmissionValue": Refusal("out_of_range", Verdict.BROKEN),
    "value above maxSubmissionValue": Refusal("out_of_range", Verdict.BROKEN),
    "SafeMath: subtraction overflow": Refusal("unfunded"),  # it cannot pay the oracle
    "off-chain reading only": Refusal("rejected"),
}


class FluxTarget:
    """One FluxAggregator, as one of its oracles."""

    kind: Final = ContractKind.FLUX
    look_every: Final = LOOK_EVERY_S

    def __init__(self, chain: ChainReader, address: Address, account: Address) -> None:
        self._chain = chain
        self._address = address
        self._account = account
        self._functions = (*_READS, _TURN)
        self._calls = [(address, read.encode()) for read in _READS]
        self._calls.append((address, _TURN.encode(account, 0)))

    async def read(self) -> FeedState:
        """The latest answer, and which round is ours."""
        head, answers = await read_pinned(self._chain, self._calls)
        values = values_of(self._address, self._functions, answers)
        bounds = {"min_answer": values["minSubmissionValue"], "max_answer": values["maxSubmissionValue"]}
        # A rehearsal without an account is no oracle and has no turn: it follows its own trigger alone.
        turn = None if self._account == ZERO_ADDRESS else turn_of(values["oracleRoundState"])
        return replace(feed_state(head, values), **bounds, gas_limit=GAS_LIMIT, turn=turn)

    async def check(self, at: Where) -> None:
        """Whether the account is one of the contract's oracles, and the contract has values to accept."""
        contract = Contract(self._chain, self._address, ABI)
        try:
            reads: list[tuple[str, tuple[Any, ...]]] = [
                ("getOracles", ()),
                ("minSubmissionValue", ()),
                ("maxSubmissionValue", ()),
            ]
            oracles, low, high = await contract.read_many(reads)
        except RejectedError as error:
            raise SettingsError(
                at.contract,
                f"the contract at {to_checksum(self._address)} is no FluxAggregator: {error}",
                remedy="set contract to what it is, or leave it out",
            ) from error
        if self._account not in oracles:
            raise SettingsError(
                at.signer,
                f"{to_checksum(self._account)} is no oracle of {to_checksum(self._address)}",
                remedy="let the contract's owner add it with changeOracles, or sign with another account",
            )
        if low >= high:
            raise SettingsError(
                at.contract,
                f"the contract at {to_checksum(self._address)} accepts values from {low} to {high} only",
                remedy="deploy it with room for the price (minSubmissionValue, maxSubmissionValue)",
            )

    def encode(self, round_id: int, what: Answer) -> bytes:
        """`submit(round, value)`; the contract keeps no time of observation."""
        return _SUBMIT.encode(round_id, what.value)

    def refusal(self, error: RejectedError) -> Refusal:
        """The contract's reasons, as it words them."""
        return revert_of(error, _REFUSALS)


def turn_of(told: Any) -> Turn:
    """From what `oracleRoundState(oracle, 0)` answered."""
    started_at = told.startedAt or None
    closes_at = told.startedAt + told.timeout if told.startedAt and told.timeout else None
    unpaid = _unpaid(told)
    broke = told.paymentAmount > told.availableFunds
    why = unpaid if broke else "" if told.eligibleToSubmit else _why(told)
    return Turn(told.roundId, bool(told.eligibleToSubmit) and not broke, started_at, closes_at, why, unpaid)


def _why(told: Any) -> str:
    """Why the contract takes nothing from us now, as far as it tells."""
    if told.startedAt:
        return f"round {told.roundId} is answered by us, or closed"
    return f"round {told.roundId} is for another oracle to begin"


def _unpaid(told: Any) -> str:
    reserve = RESERVE_ROUNDS * told.paymentAmount * told.oracleCount
    if told.availableFunds >= reserve:
        return ""
    left = told.availableFunds // told.paymentAmount
    return f"the contract can pay for {left} more submissions: fund it with LINK"
