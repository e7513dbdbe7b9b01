"""CCIP 1.2 and 1.5: logs to sightings and notices, per role of the contract that emits them."""

from __future__ import annotations

from typing import Any

from seamark.core.ids import Hash32
from seamark.evm.abi import Event
from seamark.evm.types import Log
from seamark.messages.model import (
    MAX_COMMITTED_AT_ONCE,
    Committed,
    Contract,
    Executed,
    LaneKey,
    NoticeKind,
    Revoked,
    Sent,
    Sighting,
)
from seamark.messages.protocols.ccip.evm2evm import events
from seamark.messages.protocols.ccip.evm2evm.keys import LINK, lane_of
from seamark.messages.protocols.ccip.failures import explain_failure
from seamark.messages.protocols.ccip.generation import Place, Scene, Take, checked_sequence
from seamark.messages.protocols.ccip.notices import Entry, notice

__all__ = [
    "commit_store_takes",
    "off_ramp_takes",
    "on_ramp_takes",
    "skipped_sequence",
    "transmitted",
]

# ---- the OnRamp -----------------------------------------------------------------------------------------------------


def on_ramp_takes(contract: Contract, place: Place) -> dict[Hash32, Take]:
    lane, version, link = lane_of(contract, place), contract.version, contract.details.get(LINK)

    def take(log: Log, scene: Scene) -> None:
        message = events.SENT.decode(log).message
        if message.sourceChainSelector != place.selector:
            raise ValueError(f"a message of chain {message.sourceChainSelector} on chain {place.selector}")
        scene.sightings.append(
            Sighting(
                lane,
                version,
                scene.evidence(log),
                checked_sequence(message.sequenceNumber),
                _sent(message, link),
                "0x" + message.messageId.hex(),
            )
        )

    return {events.SENT.topic0: take}


def _sent(message: Any, link: str | None) -> Sent:
    fee = str(message.feeTokenAmount)
    return Sent(
        sender=message.sender,
        receiver=message.receiver,
        fee_token=message.feeToken,
        fee_amount=fee,
        fee_juels=fee if message.feeToken == link else None,  # the event has no price to convert another token by
        size=len(message.data),
        details=_details(message),
    )


def _details(message: Any) -> dict[str, Any]:
    details: dict[str, Any] = {
        "nonce": str(message.nonce),  # 0: may be executed out of order (1.5)
        "data": "0x" + message.data.hex(),
        "gas_limit": str(message.gasLimit),
    }
    if message.tokenAmounts:
        details["tokens"] = [
            {"source_token": token.token, "amount": str(token.amount)} for token in message.tokenAmounts
        ]
        details["source_token_data"] = ["0x" + data.hex() for data in message.sourceTokenData]
    return details


# ---- the CommitStore ------------------------------------------------------------------------------------------------


def commit_store_takes(contract: Contract, place: Place) -> dict[Hash32, Take]:
    lane, version = lane_of(contract, place), contract.version

    def accepted(log: Log, scene: Scene) -> None:
        report = events.COMMITTED.decode(log).report
        first, last = report.interval
        if not first <= last < first + MAX_COMMITTED_AT_ONCE:
            raise ValueError(f"a root from {first} to {last}")
        body = Committed(checked_sequence(last), {"root": "0x" + report.merkleRoot.hex()})
        scene.sightings.append(Sighting(lane, version, scene.evidence(log), first, body))

    def removed(log: Log, scene: Scene) -> None:
        root = "0x" + events.ROOT_REMOVED.decode(log).root.hex()
        scene.sightings.append(Sighting(lane, version, scene.evidence(log), 0, Revoked(root)))

    return {
        events.COMMITTED.topic0: accepted,
        events.ROOT_REMOVED.topic0: removed,
        **dict((_told(events.PAUSED, NoticeKind.PAUSED, lane), _told(events.UNPAUSED, NoticeKind.UNPAUSED, lane))),
    }


# ---- the OffRamp ----------------------------------------------------------------------------------------------------


def off_ramp_takes(contract: Contract, place: Place) -> dict[Hash32, Take]:
    lane, version = lane_of(contract, place), contract.version

    def executed(log: Log, scene: Scene) -> None:
        record = events.EXECUTED.decode(log)
        if record.state not in (events.SUCCESS, events.FAILURE):
            raise ValueError(f"execution state {record.state}")
        message_id = "0x" + record.messageId.hex()
        body = _executed(log, record, message_id, scene)
        number = checked_sequence(record.sequenceNumber)
        scene.sightings.append(Sighting(lane, version, scene.evidence(log), number, body, message_id))

    return {
        events.EXECUTED.topic0: executed,
        **dict((_waits(events.SKIPPED_NONCE, lane), _waits(events.SKIPPED_PREVIOUS_RAMP, lane))),
    }


def _executed(log: Log, record: Any, message_id: str, scene: Scene) -> Executed:
    good = record.state == events.SUCCESS
    failure = None if good else explain_failure(record.returnData)
    called = (log.transaction_hash, message_id) in scene.called
    by_network = (log.transaction_hash, log.address) in scene.transmitted
    return Executed(
        good,
        reason=failure.reason if failure else "",
        error=failure.text if failure else "",
        callback=(True if called else False if scene.whole else None) if good else None,
        manual=False if by_network else True if scene.whole else None,
        details={"return_data": "0x" + record.returnData.hex()} if record.returnData else {},
    )


def transmitted(log: Log, scene: Scene) -> None:
    """Note that the network itself executed."""
    events.TRANSMITTED.decode(log)
    scene.transmitted.add((log.transaction_hash, log.address))


# ---- what else they tell --------------------------------------------------------------------------------------------


def skipped_sequence(event: Event, lane: LaneKey) -> Entry:
    """The network tried again what had been tried or done; the subject is the source chain."""
    return _told(event, NoticeKind.ALREADY_ATTEMPTED, lane)


def _told(event: Event, kind: NoticeKind, lane: LaneKey) -> Entry:
    def take(log: Log, scene: Scene) -> None:
        record = event.decode(log)
        scene.notices.append(
            notice(kind, log, scene, event, record, subject=lane.source, source=lane.source, onramp=lane.channel)
        )

    return event.topic0, take


def _waits(event: Event, lane: LaneKey) -> Entry:
    """An ordered message that came before its turn; the subject is its sender."""

    def take(log: Log, scene: Scene) -> None:
        record = event.decode(log)
        scene.notices.append(
            notice(
                NoticeKind.NONCE_SKIPPED,
                log,
                scene,
                event,
                record,
                subject=record.sender,
                sender=record.sender,
                nonce=str(record.nonce),
                source=lane.source,
                onramp=lane.channel,
            )
        )

    return event.topic0, take
