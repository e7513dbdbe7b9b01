"""CCIP 1.6: logs to sightings and notices, per role of the contract that emits them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from seamark.core.ids import Hash32, Selector
from seamark.evm.abi import Event
from seamark.evm.types import Log
from seamark.messages.model import (
    MAX_COMMITTED_AT_ONCE,
    Committed,
    Contract,
    Evidence,
    Executed,
    LaneKey,
    NoticeKind,
    Revoked,
    Sent,
    Sighting,
)
from seamark.messages.protocols.ccip.failures import explain_failure
from seamark.messages.protocols.ccip.generation import (
    FEE_QUOTER,
    NONCE_MANAGER,
    OFF_RAMP,
    ON_RAMP,
    PROTOCOL,
    Place,
    Reading,
    Scene,
    Take,
    checked_sequence,
)
from seamark.messages.protocols.ccip.notices import OWNERSHIP, Entry, configured, notice, own, role_changed
from seamark.messages.protocols.ccip.v1_6 import events
from seamark.messages.protocols.ccip.v1_6.keys import account, lane_key

__all__ = ["reading"]


def reading(contract: Contract, place: Place) -> Reading:
    """How to read a contract of this generation."""
    if contract.role == ON_RAMP:
        return Reading({events.SENT.topic0: _sent(contract.version), **_ON_RAMP})
    if contract.role == OFF_RAMP:
        takes = {
            events.COMMITTED.topic0: _committed(contract.version, place.selector),
            events.EXECUTED.topic0: _executed(contract.version, place.selector, contract.details),
            events.ROOT_REMOVED.topic0: _root_removed(contract.version, place.selector),
        }
        return Reading(takes | _OFF_RAMP, {events.TRANSMITTED.topic0: _transmitted})
    return Reading({NONCE_MANAGER: _NONCE_MANAGER, FEE_QUOTER: _FEE_QUOTER}[contract.role])


# ---- the OnRamp -----------------------------------------------------------------------------------------------------


def _sent(version: str) -> Take:
    def take(log: Log, scene: Scene) -> None:
        scene.sightings.append(sent(events.SENT.decode(log), version, log.address, scene.evidence(log)))

    return take


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
        checked_sequence(header.sequenceNumber),
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
                # What the pools say to each other: without it the message cannot be built again.
                "extra_data": "0x" + token.extraData.hex(),
                "exec_data": "0x" + token.destExecData.hex(),
            }
            for token in message.tokenAmounts
        ]
    return details


# ---- the OffRamp ----------------------------------------------------------------------------------------------------


def _committed(version: str, own: Selector) -> Take:
    def take(log: Log, scene: Scene) -> None:
        found = tuple(committed(events.COMMITTED.decode(log), version, own, scene.evidence(log)))
        scene.sightings.extend(found)

    return take


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
            checked_sequence(root.minSeqNr),
            Committed(checked_sequence(root.maxSeqNr), {"root": "0x" + root.merkleRoot.hex()}),
            part=part,
        )


def _executed(version: str, own: Selector, on_ramps: Mapping[str, str]) -> Take:
    def take(log: Log, scene: Scene) -> None:
        scene.sightings.append(executed(log, version, scene, on_ramps=on_ramps, own=own))

    return take


def executed(log: Log, version: str, scene: Scene, *, on_ramps: Mapping[str, str], own: Selector) -> Sighting:
    """`ExecutionStateChanged` of an OffRamp. `on_ramps` is its OnRamp by source selector.

    Raises:
        ValueError: A state that cannot be emitted.
    """
    record = events.EXECUTED.decode(log)
    if record.state not in (events.SUCCESS, events.FAILURE):
        raise ValueError(f"execution state {record.state}")
    message_id = "0x" + record.messageId.hex()
    good = record.state == events.SUCCESS
    failure = None if good else explain_failure(record.returnData)
    called = (log.transaction_hash, message_id) in scene.called
    by_network = (log.transaction_hash, log.address) in scene.transmitted
    details = {"gas_used": str(record.gasUsed)}
    if record.returnData:
        details["return_data"] = "0x" + record.returnData.hex()
    return Sighting(
        lane_key(record.sourceChainSelector, on_ramps.get(str(record.sourceChainSelector), ""), own),
        version,
        scene.evidence(log),
        checked_sequence(record.sequenceNumber),
        Executed(
            good,
            reason=failure.reason if failure else "",
            error=failure.text if failure else "",
            callback=(True if called else False if scene.whole else None) if good else None,
            manual=False if by_network else True if scene.whole else None,
            details=details,
        ),
        message_id,
    )


def _transmitted(log: Log, scene: Scene) -> None:
    if events.TRANSMITTED.decode(log).ocrPluginType == events.EXECUTION_PLUGIN:
        scene.transmitted.add((log.transaction_hash, log.address))


def _root_removed(version: str, own: Selector) -> Take:
    """A commit taken back; the event tells the root alone."""

    def take(log: Log, scene: Scene) -> None:
        root = "0x" + events.ROOT_REMOVED.decode(log).root.hex()
        lane = LaneKey(PROTOCOL, "", "", str(own))
        scene.sightings.append(Sighting(lane, version, scene.evidence(log), 0, Revoked(root)))

    return take


# ---- what else they tell --------------------------------------------------------------------------------------------


def _skipped(event: Event, kind: NoticeKind) -> Entry:
    """The network tried something that the OffRamp would not do; the subject is the source chain."""

    def take(log: Log, scene: Scene) -> None:
        record = event.decode(log)
        scene.notices.append(notice(kind, log, scene, event, record, subject=str(record.sourceChainSelector)))

    return event.topic0, take


def _skipped_nonce(log: Log, scene: Scene) -> None:
    """An ordered message that came before its turn; the subject is its sender."""
    record = events.SKIPPED_NONCE.decode(log)
    sender = account(record.sender)
    scene.notices.append(
        notice(
            NoticeKind.NONCE_SKIPPED,
            log,
            scene,
            events.SKIPPED_NONCE,
            record,
            subject=sender,
            sender=sender,
            nonce=str(record.nonce),
            source=str(record.sourceChainSelector),
        )
    )


def _dest(record: Any) -> int:
    return int(record.destChainSelector)


def _source(record: Any) -> int:
    return int(record.sourceChainSelector)


_ON_RAMP: dict[Hash32, Take] = dict(
    (
        configured(events.CONFIG_SET, look=own),
        configured(events.DEST_CHAIN_CONFIG_SET, subject=_dest, look=own),
        role_changed(events.ALLOW_LIST_ADMIN_SET),
        role_changed(events.ALLOW_LIST_SENDERS_ADDED, subject=_dest),
        role_changed(events.ALLOW_LIST_SENDERS_REMOVED, subject=_dest),
        *OWNERSHIP,
    )
)
_OFF_RAMP: dict[Hash32, Take] = dict(
    (
        configured(events.STATIC_CONFIG_SET),
        configured(events.DYNAMIC_CONFIG_SET, look=own),
        configured(events.SOURCE_CHAIN_SELECTOR_ADDED, subject=_source),
        configured(events.SOURCE_CHAIN_CONFIG_SET, subject=_source, look=own),
        role_changed(events.OCR_CONFIG_SET, subject=lambda record: record.ocrPluginType),
        _skipped(events.ALREADY_ATTEMPTED, NoticeKind.ALREADY_ATTEMPTED),
        _skipped(events.SKIPPED_ALREADY_EXECUTED, NoticeKind.ALREADY_ATTEMPTED),
        _skipped(events.SKIPPED_REPORT, NoticeKind.EXECUTION_SKIPPED),
        *OWNERSHIP,
    )
)
_NONCE_MANAGER: dict[Hash32, Take] = dict(
    (
        (events.SKIPPED_NONCE.topic0, _skipped_nonce),
        configured(events.PREVIOUS_RAMPS_UPDATED, subject=lambda record: record.remoteChainSelector, look=own),
        role_changed(events.AUTHORIZED_CALLER_ADDED),
        role_changed(events.AUTHORIZED_CALLER_REMOVED),
        *OWNERSHIP,
    )
)
# Prices are not among them: they change with every commit, and are asked for when somebody wants to know their age.
_FEE_QUOTER: dict[Hash32, Take] = dict(
    (
        configured(events.FEE_TOKEN_ADDED, look=own),
        configured(events.FEE_TOKEN_REMOVED),
        configured(events.PREMIUM_UPDATED),
        configured(events.TRANSFER_FEE_UPDATED, subject=_dest),
        configured(events.TRANSFER_FEE_DELETED, subject=_dest),
        configured(events.DEST_CHAIN_ADDED, subject=_dest),
        configured(events.DEST_CHAIN_CONFIG_UPDATED, subject=_dest),
        role_changed(events.AUTHORIZED_CALLER_ADDED),
        role_changed(events.AUTHORIZED_CALLER_REMOVED),
        *OWNERSHIP,
    )
)
