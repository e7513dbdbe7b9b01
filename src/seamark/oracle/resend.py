"""Sending a round to another chain once more: `OracleWithCCIP.resend(round, destination)`.

    facts (the feed's contract, the far end, the messages of the round) -> may it be sent again, and is it of any use

A far end takes strictly newer rounds only. So a round that it has, or one older than that, is of no use there; and a
round whose message is still on its way, or failed on arrival and can be executed by hand, needs no second message.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from seamark.core.errors import RejectedError
from seamark.core.ids import Address, Selector
from seamark.evm import artifacts
from seamark.evm.abi import Abi
from seamark.evm.contract import Contract
from seamark.evm.crypto import keccak256
from seamark.evm.ports import ChainReader
from seamark.evm.rpc.errors import CallReverted

__all__ = ["OPERATOR_ROLE", "Carrier", "Facts", "Resend", "judge_resend", "read_facts", "resend_call"]

OPERATOR_ROLE: Final = keccak256(b"OPERATOR_ROLE")
ARRIVED: Final = ("executed", "recovered")
FAILED: Final = "failed"
GONE: Final = "retracted"
_FAR_END = Abi.parse("function latestRound() view returns (uint256)")
_EVM_RECEIVER_BYTES = 32


@dataclass(frozen=True, slots=True)
class Carrier:
    """A message that carries the round to the destination; `stage` as the ledger has it."""

    id: str
    stage: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known. `far_round` is the newest round of the far end, None where nobody can ask it. `problem` is why the
    contract would refuse, in words; `fee` in base units of `fee_token` (zero address: native).
    """

    round: int
    latest: int
    enabled: bool = True
    paused: bool = False
    far_round: int | None = None
    last_sent: int = 0
    fee: int | None = None
    fee_token: str = ""
    problem: str = ""
    carriers: tuple[Carrier, ...] = ()


@dataclass(frozen=True, slots=True)
class Resend:
    """The answer: `possible` (the contract would take it), `useful` (the far end would), why, and what to do."""

    possible: bool
    useful: bool
    text: str
    remedy: str = ""


def judge_resend(facts: Facts) -> Resend:
    """May a round be sent again, and would it help?"""
    return _impossible(facts) or _useless(facts) or _worthwhile(facts)


def _impossible(facts: Facts) -> Resend | None:
    if facts.latest == 0:
        return Resend(False, False, "The feed has published no round yet.", "publish one first")
    if not 1 <= facts.round <= facts.latest:
        return Resend(
            False, False, f"There is no round {facts.round}: the newest is {facts.latest}.", "leave out --round"
        )
    if facts.paused:
        return Resend(False, False, "Sending is paused on the feed's contract.", "a pauser calls unpauseSending()")
    if not facts.enabled:
        return Resend(False, False, "The destination is switched off.", "its admin enables it with setDestination()")
    if facts.problem:
        return Resend(False, False, f"The contract would refuse: {facts.problem}.", _remedy(facts.problem))
    return None


def _useless(facts: Facts) -> Resend | None:
    if facts.far_round is not None and facts.far_round >= facts.round:
        newer = "has it" if facts.far_round == facts.round else f"is at round {facts.far_round} already"
        return Resend(True, False, f"The far end {newer}: it would ignore round {facts.round}.")
    for carrier in facts.carriers:
        if carrier.stage == FAILED:
            remedy = f"execute that message by hand: seamark messages recover {carrier.id}"
            return Resend(True, False, f"Message {carrier.id} has brought it, and failed on arrival.", remedy)
        if carrier.stage not in (*ARRIVED, GONE):
            text = f"Message {carrier.id} is on its way with it ({carrier.stage})."
            return Resend(True, False, text, f"wait: seamark messages watch {carrier.id}")
    return None


def _worthwhile(facts: Facts) -> Resend:
    gone = any(carrier.stage == GONE for carrier in facts.carriers)
    why = "its message left the chain in a reorg" if gone else "no message is known to carry it"
    if any(carrier.stage in ARRIVED for carrier in facts.carriers):
        why = "a message brought it, but the far end does not show it: it was ignored or parked there"
    older = f" The newest is {facts.latest}; sending that is mostly better." if facts.round < facts.latest else ""
    return Resend(True, True, f"Round {facts.round} can be sent again: {why}.{older}")


def _remedy(problem: str) -> str:
    for word, remedy in _REMEDIES.items():
        if word in problem:
            return remedy
    return ""


_REMEDIES = {
    "AccessControl": "give the signer the operator's role, or sign with a key that has it",
    "InsufficientFunds": "fund the feed's contract with the fee token",
    "FeeAboveCap": "wait for a lower fee, or raise maxFee with setDestination()",
    "UnknownDestination": "add the destination with setDestination()",
}


def resend_call(round_id: int, selector: Selector) -> bytes:
    """Calldata of `resend`."""
    return artifacts.load("OracleWithCCIP").abi.encode_call("resend", round_id, selector)


async def read_facts(
    reader: ChainReader,
    feed: Address,
    selector: Selector,
    *,
    round_id: int | None,
    far: ChainReader | None,
    carriers: Sequence[tuple[int, Carrier]] = (),
) -> Facts:
    """Ask the feed's contract and, where there is a node for it, the far end.

    Args:
        reader: The feed's chain.
        feed: An OracleWithCCIP.
        selector: Of the destination.
        round_id: Which round; None: the newest.
        far: The destination's chain.
        carriers: Messages known to carry rounds there, with their round.

    Raises:
        RejectedError: The contract is no OracleWithCCIP.
        TemporaryError: No node answers.
    """
    contract = Contract(reader, feed, artifacts.load("OracleWithCCIP").abi)
    try:
        latest, paused, last = await contract.read_many(
            [("latestRound", ()), ("sendingPaused", ()), ("lastSent", (selector,))]
        )
    except RejectedError as error:
        raise RejectedError(
            f"{feed} on chain {reader.chain_id} is no OracleWithCCIP: {error.message}",
            remedy="only feeds that carry their rounds over CCIP can send them again",
        ) from error
    wanted = int(latest) if round_id is None else round_id
    facts = Facts(
        round=wanted,
        latest=int(latest),
        paused=bool(paused),
        last_sent=int(last.roundId),
        carriers=tuple(carrier for number, carrier in carriers if number == wanted),
    )
    return await _with_destination(contract, selector, facts, far)


async def _with_destination(contract: Contract, selector: Selector, facts: Facts, far: ChainReader | None) -> Facts:
    try:
        target = await contract.read("destination", selector)
        token, fee = await contract.read("quote", selector)
    except CallReverted as error:
        return replace(facts, problem=str(contract.abi.decode_error(error.data)) if error.data else error.message)
    far_round = await _far_round(far, target.receiver)
    return replace(facts, enabled=bool(target.enabled), far_round=far_round, fee=int(fee), fee_token=str(token))


async def _far_round(far: ChainReader | None, receiver: bytes) -> int | None:
    """The newest round of the receiver; None where it is not ours or does not tell."""
    if far is None or len(receiver) != _EVM_RECEIVER_BYTES:
        return None
    try:
        return int(await Contract(far, Address("0x" + receiver[-20:].hex()), _FAR_END).read("latestRound"))
    except RejectedError:
        return None
