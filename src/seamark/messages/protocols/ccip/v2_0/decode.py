"""CCIP 2.0: logs to sightings and notices, per role of the contract that emits them.

A send is believed only where it agrees with itself: the id is the hash of the message, and what the topics name is what
the message says. Nothing tells who carried out an execution: anybody may, the network's executors are accounts like any
other, and no log names them; so `manual` stays None.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seamark.core.ids import Hash32, Selector
from seamark.evm.types import Log
from seamark.messages.model import Contract, Executed, Sent, Sighting
from seamark.messages.protocols.ccip.generation import (
    FEE_QUOTER,
    OFF_RAMP,
    ON_RAMP,
    Place,
    Reading,
    Scene,
    Take,
    checked_sequence,
)
from seamark.messages.protocols.ccip.notices import OWNERSHIP, configured, own, role_changed
from seamark.messages.protocols.ccip.v2_0 import events
from seamark.messages.protocols.ccip.v2_0.attempts import explain_attempt, is_provisional
from seamark.messages.protocols.ccip.v2_0.codec import (
    Finality,
    FinalityMode,
    MessageError,
    MessageV1,
    ccv_and_executor_hash,
    decode_message,
    message_id,
)
from seamark.messages.protocols.ccip.v2_0.keys import account, channel, lane_key

__all__ = ["EXECUTOR", "LINK", "RESOLVER", "VERIFIER", "fee_parts", "reading"]

RESOLVER, VERIFIER, EXECUTOR = "resolver", "verifier", "executor"
"""Roles that this generation alone has."""

LINK = "link"
"""Under this name the details of an OnRamp hold the LINK token of its chain."""

CCV, POOL, NETWORK, UNKNOWN = "ccv", "pool", "network", "unknown"  # who is paid, beside the executor
_BEHIND_CCVS = 2  # receipts behind those of verifiers and pool: executor and network


def reading(contract: Contract, place: Place) -> Reading:
    """How to read a contract of this generation."""
    if contract.role == ON_RAMP:
        return Reading({events.SENT.topic0: _sent(contract, place.selector), **_ON_RAMP})
    if contract.role == OFF_RAMP:
        return Reading({events.EXECUTED.topic0: _executed(contract, place.selector), **_OFF_RAMP})
    others = {FEE_QUOTER: _FEE_QUOTER, EXECUTOR: _EXECUTOR, VERIFIER: _VERIFIER, RESOLVER: _RESOLVER}
    return Reading(others[contract.role])


# ---- the OnRamp ------------------------------------------------------------------------------------------------------


def _sent(contract: Contract, own_selector: Selector) -> Take:
    def take(log: Log, scene: Scene) -> None:
        scene.sightings.append(sent(log, contract, own_selector, scene))

    return take


def sent(log: Log, contract: Contract, own_selector: Selector, scene: Scene) -> Sighting:
    """`CCIPMessageSent` of an OnRamp.

    Raises:
        ValueError: The event contradicts itself, or its message cannot be read.
    """
    record = events.SENT.decode(log)
    name = "0x" + record.messageId.hex()
    if message_id(record.encodedMessage) != name:
        raise ValueError("the message id is not the hash of the message")
    message = _message(record.encodedMessage)
    said = (message.source, message.destination, account(message.on_ramp), account(message.sender))
    if said != (own_selector, record.destChainSelector, log.address, record.sender):
        raise ValueError("message and event name different lanes or senders")
    fee = sum(receipt.feeTokenAmount for receipt in record.receipts)
    return Sighting(
        lane_key(message.source, log.address, message.destination),
        contract.version,
        scene.evidence(log),
        checked_sequence(message.number),
        Sent(
            sender=record.sender,
            receiver=account(message.receiver),
            fee_token=record.feeToken,
            fee_amount=str(fee),
            fee_juels=str(fee) if record.feeToken == contract.details.get(LINK) else None,
            size=len(message.data),
            details=_details(record, message),
            by_hand=_executor(record.receipts) == events.NO_EXECUTION,
        ),
        name,
    )


def _message(encoded: bytes) -> MessageV1:
    try:
        return decode_message(encoded)
    except MessageError as error:
        raise ValueError(str(error)) from error


def _details(record: Any, message: MessageV1) -> dict[str, Any]:
    finality = Finality.read(message.finality)
    parts = fee_parts(record.receipts, message)
    executor = _executor(record.receipts)
    details: dict[str, Any] = {
        "data": "0x" + message.data.hex(),
        # With the data behind it, the message as it was sent: executing it by hand takes these very bytes.
        "envelope": "0x" + record.encodedMessage[: len(record.encodedMessage) - len(message.data)].hex(),
        "gas_limit": str(message.callback_gas),
        "execution_gas": str(message.execution_gas),
        "finality": str(finality.mode),  # what the verifiers wait for; all but "finalized" is faster
        "executor": executor,
        "automatic": executor != events.NO_EXECUTION,  # false: somebody has to execute it by hand
        "fees": parts,
    }
    if finality.mode is FinalityMode.BLOCKS:
        details["finality_blocks"] = finality.blocks
    if message.destination_blob:
        details["destination_blob"] = "0x" + message.destination_blob.hex()
    if message.transfer:
        details["tokens"] = [_token(record, message)]
    return details


def _token(record: Any, message: MessageV1) -> dict[str, str]:
    transfer = message.transfer
    assert transfer is not None
    return {
        "source_token": account(transfer.source_token),
        "source_pool": account(transfer.source_pool),
        "destination_token": account(transfer.destination_token),
        "receiver": account(transfer.receiver),
        "amount": str(transfer.amount),
        "amount_before_fees": str(record.tokenAmountBeforeTokenPoolFees),
    }


def _executor(receipts: Sequence[Any]) -> str:
    return str(receipts[-_BEHIND_CCVS].issuer) if len(receipts) >= _BEHIND_CCVS else ""


def fee_parts(receipts: Sequence[Any], message: MessageV1) -> list[dict[str, str]]:
    """Who is paid how much: verifiers, then the token's pool, the executor and the network, in the contract's order.

    That the order is what it seems is proved by the message itself, which holds a hash of verifiers and executor; where
    it does not agree, the parts are "unknown".
    """
    count = len(receipts) - _BEHIND_CCVS - (message.transfer is not None)
    parts = [CCV] * count + [POOL] * (message.transfer is not None) + [EXECUTOR, NETWORK]
    if count < 0 or not _proved(receipts, count, message):
        parts = [UNKNOWN] * len(receipts)
    return [
        {"part": part, "issuer": receipt.issuer, "amount": str(receipt.feeTokenAmount)}
        for part, receipt in zip(parts, receipts, strict=True)
    ]


def _proved(receipts: Sequence[Any], ccvs: int, message: MessageV1) -> bool:
    issuers = [bytes.fromhex(receipt.issuer[2:]) for receipt in receipts]
    return ccv_and_executor_hash(issuers[:ccvs], issuers[-_BEHIND_CCVS]) == message.ccv_and_executor_hash


# ---- the OffRamp -----------------------------------------------------------------------------------------------------


def _executed(contract: Contract, own_selector: Selector) -> Take:
    def take(log: Log, scene: Scene) -> None:
        scene.sightings.append(executed(log, contract, own_selector, scene))

    return take


def executed(log: Log, contract: Contract, own_selector: Selector, scene: Scene) -> Sighting:
    """`ExecutionStateChanged` of an OffRamp.

    Raises:
        ValueError: A state that cannot be emitted.
    """
    record = events.EXECUTED.decode(log)
    if record.state not in (events.SUCCESS, events.FAILURE):
        raise ValueError(f"execution state {record.state}")
    name = "0x" + record.messageId.hex()
    body = _success(log, name, scene) if record.state == events.SUCCESS else _failure(record.returnData)
    return Sighting(
        lane_key(record.sourceChainSelector, channel(contract.details, record.sourceChainSelector), own_selector),
        contract.version,
        scene.evidence(log),
        checked_sequence(record.messageNumber),
        body,
        name,
    )


def _success(log: Log, name: str, scene: Scene) -> Executed:
    called = (log.transaction_hash, name) in scene.called
    return Executed(True, callback=True if called else False if scene.whole else None)


def _failure(data: bytes) -> Executed:
    failure = explain_attempt(data)
    details: dict[str, Any] = {"provisional": is_provisional(failure)}  # an honest attempt may still succeed
    if data:
        details["return_data"] = "0x" + data.hex()
    return Executed(False, reason=failure.reason, error=failure.text, details=details)


# ---- what else they tell ---------------------------------------------------------------------------------------------


def _dest(record: Any) -> int:
    return int(record.destChainSelector)


def _source(record: Any) -> int:
    return int(record.sourceChainSelector)


def _remote(record: Any) -> int:
    return int(record.remoteChainSelector)


_ON_RAMP: dict[Hash32, Take] = dict(
    (
        configured(events.ON_RAMP_CONFIG_SET, look=own),
        configured(events.DEST_CHAIN_CONFIG_SET, subject=_dest, look=own),
        *OWNERSHIP,
    )
)
_OFF_RAMP: dict[Hash32, Take] = dict(
    (
        configured(events.STATIC_CONFIG_SET),
        configured(events.SOURCE_CHAIN_CONFIG_SET, subject=_source, look=own),
        *OWNERSHIP,
    )
)
# Prices are not among them: they change all the time, and are asked for when somebody wants to know their age.
_FEE_QUOTER: dict[Hash32, Take] = dict(
    (
        configured(events.FEE_TOKEN_ADDED),
        configured(events.FEE_TOKEN_REMOVED),
        configured(events.TRANSFER_FEE_UPDATED, subject=_dest),
        configured(events.TRANSFER_FEE_DELETED, subject=_dest),
        configured(events.QUOTER_DEST_ADDED, subject=_dest),
        configured(events.QUOTER_DEST_UPDATED, subject=_dest),
        role_changed(events.AUTHORIZED_CALLER_ADDED),
        role_changed(events.AUTHORIZED_CALLER_REMOVED),
        *OWNERSHIP,
    )
)
_EXECUTOR: dict[Hash32, Take] = dict(
    (
        configured(events.EXECUTOR_CONFIG_SET),
        configured(events.EXECUTOR_DEST_ADDED, subject=_dest),
        configured(events.EXECUTOR_DEST_REMOVED, subject=_dest),
        configured(events.CCV_ALLOW_LIST_UPDATED),
        configured(events.CCV_ADDED),
        configured(events.CCV_REMOVED),
        configured(events.TARGET_UPDATED, look=own),
        configured(events.FEE_AGGREGATOR_UPDATED),
        *OWNERSHIP,
    )
)
_VERIFIER: dict[Hash32, Take] = dict(
    (
        role_changed(events.SIGNATURE_CONFIG_SET, subject=_source),
        configured(events.FINALITY_CONFIG_SET),
        configured(events.REMOTE_CHAIN_CONFIG_SET, subject=_remote),
        configured(events.VERIFIER_CONFIG_SET),
        role_changed(events.ALLOW_LIST_SENDERS_ADDED, subject=_dest),
        role_changed(events.ALLOW_LIST_SENDERS_REMOVED, subject=_dest),
        role_changed(events.ALLOW_LIST_STATE_CHANGED, subject=_dest),
        configured(events.STORAGE_LOCATIONS_UPDATED),
        role_changed(events.STORAGE_ADMIN_REQUESTED),
        role_changed(events.STORAGE_ADMIN_TRANSFERRED),
        *OWNERSHIP,
    )
)
_RESOLVER: dict[Hash32, Take] = dict(
    (
        configured(events.INBOUND_UPDATED, look=own),
        configured(events.INBOUND_REMOVED, look=own),
        configured(events.OUTBOUND_UPDATED, subject=_dest, look=own),
        configured(events.OUTBOUND_REMOVED, subject=_dest, look=own),
        configured(events.FEE_AGGREGATOR_UPDATED),
        *OWNERSHIP,
    )
)
