"""The one interface to the contracts that take answers.

    state   read()      at one pinned block: the latest round, its limits, and which round may come next (`Turn`)
    call    encode()    calldata of one round; the round is part of it, or of what was signed
    end     receipts.read_receipt() and refusal(): what a receipt or a revert tells

A target is bound to one contract and one account, holds no state, and decides nothing: whether to publish is decided by
`rules`, from the state alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol, TypeVar

from seamark.core.errors import RejectedError
from seamark.evm.abi import Error, decode_revert
from seamark.evm.rpc.errors import CallReverted, InsufficientFunds
from seamark.evm.transactions import OverBudget
from seamark.oracle.model import ContractKind, FeedState

__all__ = ["Refusal", "Target", "Verdict", "Where", "revert_of"]

What_contra = TypeVar("What_contra", contravariant=True)
"""What is published: an `Answer`, or a signed `Transmission`."""


class Verdict(StrEnum):
    """What to do about a refusal.

    DONE: nothing failed, the round is over or has what it needs; look at the contract and decide anew.
    RETRY: it may work a little later; back off.
    BROKEN: it will not work before somebody changes something; back off for as long as ever.
    """

    DONE = "done"
    RETRY = "retry"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a call was refused: `kind` is one of a few words (a metric label)."""

    kind: str
    verdict: Verdict = Verdict.RETRY


@dataclass(frozen=True, slots=True)
class Where:
    """What the user calls the settings that checks complain of."""

    contract: str
    signer: str


class Target(Protocol[What_contra]):
    """One contract, as one account publishes to it."""

    @property
    def kind(self) -> ContractKind: ...

    @property
    def look_every(self) -> float | None:
        """Seconds between two reads where others move the contract too; None: the feed's own interval will do."""
        ...

    async def read(self) -> FeedState:
        """The contract's state at the chain's newest block.

        Raises:
            RejectedError: The contract does not answer as one of this kind.
            TemporaryError: No node gave a usable answer.
        """
        ...

    async def check(self, at: Where) -> None:
        """Asked once, before anything is published: may the account write here, is the contract fit for it.

        Raises:
            SettingsError: No; names the setting and the remedy.
            TemporaryError: No node gave a usable answer.
        """
        ...

    def encode(self, round_id: int, what: What_contra) -> bytes:
        """Calldata that publishes `what` as this round (or as this account's part of it)."""
        ...

    def refusal(self, error: RejectedError) -> Refusal:
        """What a refused call means."""
        ...


_COMMON: Final = {"insufficient funds": Refusal("no_funds")}


def revert_of(error: RejectedError, known: Mapping[str, Refusal], errors: Iterable[Error] = ()) -> Refusal:
    """Look a refusal up by the contract's own words: the revert data where the node gave it, else the node's message.

    Args:
        error: What the sender or a read raised.
        known: By the name of a custom error, or by a reason's text; the longest that fits counts.
        errors: The contract's custom errors.
    """
    if isinstance(error, InsufficientFunds):
        return Refusal("no_funds")
    if isinstance(error, OverBudget):
        return Refusal("over_budget")
    text = str(error)
    if isinstance(error, CallReverted) and error.data:
        text = decode_revert(error.data, errors).text
    words = {**known, **_COMMON}
    found = max((word for word in words if word in text), key=len, default=None)
    return Refusal("rejected") if found is None else words[found]
