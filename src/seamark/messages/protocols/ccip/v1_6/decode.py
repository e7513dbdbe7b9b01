"""CCIP 1.6: logs to sightings.

A block is read in two passes: the first notes per transaction whose receivers were called (the Router's
`MessageExecuted`) and whether the network executed (`Transmitted` of the execution plugin), the second makes
sightings with that knowledge.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from seamark.core.ids import Hash32, Selector
from seamark.messages.model import MAX_COMMITTED_AT_ONCE, MAX_SEQUENCE, Committed, Evidence, Executed, Sent, Sighting
from seamark.messages.protocols.ccip.failures import explain_failure
from seamark.messages.protocols.ccip.v1_6 import events
from seamark.messages.protocols.ccip.v1_6.keys import account, lane_key

__all__ = ["BlockContext", "committed", "executed", "sent"]


@dataclass(slots=True)
class BlockContext:
    """What the other logs of a block say. `whole` is false where some of them are missing: absence proves nothing
    then.
    """

    whole: bool
    called: set[tuple[Hash32, str]] = field(default_factory=set)  # (transaction, message id)
    transmitted: set[Hash32] = field(default_factory=set)


def sent(record: Any, version: str, emitter: str, at: Evidence) -> Sighting:
    """`CCIPMessageSent` of an OnRamp.

    Raises:
        ValueError: The event contradicts itself.
    """
    message = record.message
    header = message.header
    if (header.destChainSelector, header.sequenceNumber) != (record.destChainSelector, record.sequenceNumber):
        raise ValueError("header and topics name different lanes or sequence numbers")
    return Sighting(
        lane_key(header.sourceChainSelector, emitter, header.destChainSelector),
        version,
        at,
        _checked(header.sequenceNumber),
        Sent(
            sender=message.sender,
            receiver=account(message.receiver),
            fee_token=message.feeToken,
            fee_amount=str(message.feeTokenAmount),
            fee_juels=str(message.feeValueJuels),
            size=len(message.data),
            details=_details(message),
        ),
        "0x" + header.messageId.hex(),
    )


def _details(message: Any) -> dict[str, Any]:
    details: dict[str, Any] = {
        "nonce": str(message.header.nonce),  # 0: may be executed out of order
        "data": "0x" + message.data.hex(),
        "extra_args": "0x" + message.extraArgs.hex(),
    }
    if message.tokenAmounts:
        details["tokens"] = [
            {
                "source_pool": token.sourcePoolAddress,
                "destination_token": account(token.destTokenAddress),
                "amount": str(token.amount),
            }
            for token in message.tokenAmounts
        ]
    return details


def committed(record: Any, version: str, own: Selector, at: Evidence) -> Iterator[Sighting]:
    """`CommitReportAccepted` of an OffRamp: one range per root; a report of prices alone has none.

    Raises:
        ValueError: A range that ends before it begins, or beyond any real size.
    """
    for part, root in enumerate((*record.blessedMerkleRoots, *record.unblessedMerkleRoots)):
        if not root.minSeqNr <= root.maxSeqNr < root.minSeqNr + MAX_COMMITTED_AT_ONCE:
            raise ValueError(f"a root from {root.minSeqNr} to {root.maxSeqNr}")
        yield Sighting(
            lane_key(root.sourceChainSelector, account(root.onRampAddress), own),
            version,
            at,
            _checked(root.minSeqNr),
            Committed(_checked(root.maxSeqNr), {"root": "0x" + root.merkleRoot.hex()}),
            part=part,
        )


def executed(
    record: Any, version: str, at: Evidence, *, on_ramps: Mapping[str, str], own: Selector, context: BlockContext
) -> Sighting:
    """`ExecutionStateChanged` of an OffRamp. `on_ramps` is its OnRamp by source selector.

    Raises:
        ValueError: A state that cannot be emitted.
    """
    if record.state not in (events.SUCCESS, events.FAILURE):
        raise ValueError(f"execution state {record.state}")
    message_id = "0x" + record.messageId.hex()
    good = record.state == events.SUCCESS
    failure = None if good else explain_failure(record.returnData)
    called = (at.transaction, message_id) in context.called
    by_network = at.transaction in context.transmitted
    details = {"gas_used": str(record.gasUsed)}
    if record.returnData:
        details["return_data"] = "0x" + record.returnData.hex()
    return Sighting(
        lane_key(record.sourceChainSelector, on_ramps.get(str(record.sourceChainSelector), ""), own),
        version,
        at,
        _checked(record.sequenceNumber),
        Executed(
            good,
            reason=failure.reason if failure else "",
            error=failure.text if failure else "",
            callback=(True if called else False if context.whole else None) if good else None,
            manual=False if by_network else True if context.whole else None,
            details=details,
        ),
        message_id,
    )


def _checked(sequence: int) -> int:
    if sequence > MAX_SEQUENCE:
        raise ValueError(f"sequence number {sequence} is beyond any real one")
    return sequence
