"""Messenger and bridges: logs to sightings.

A bridge writes its log right after the messenger's `SentMessage` and right before its `RelayedMessage`: so the money
that goes with a message is found beside it in the same transaction, and becomes part of its details.

A relay that fails reverts and leaves no log; so there are no failures and no commits here, and a message that nobody
relays stays final until it expires. `resendMessage` writes `SentMessage` again for the same message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from seamark.core.ids import ChainId
from seamark.evm.abi import DecodeError, Event
from seamark.evm.ports import Block
from seamark.evm.types import Log
from seamark.messages.model import (
    MAX_SEQUENCE,
    Decoded,
    Evidence,
    Executed,
    LaneKey,
    Malformed,
    Sent,
    Sighting,
)
from seamark.messages.protocols.op_interop import events
from seamark.messages.protocols.op_interop.encodings import message_hash, split_nonce
from seamark.messages.protocols.op_interop.model import PROTOCOL
from seamark.messages.protocols.op_interop.rules import find_executing

__all__ = ["MessengerReader", "lane"]

_NOTHING: Final = Decoded()
_BRIDGES: Final = {event.topic0: event for event in events.BRIDGES}
_SHOWN_BYTES: Final = 4096  # of a message's data, for people


def lane(source: int, destination: int) -> LaneKey:
    return LaneKey(PROTOCOL, str(source), events.MESSENGER, str(destination))


class MessengerReader:
    """Reads the logs of one chain."""

    def __init__(self, chain_id: ChainId) -> None:
        self._chain_id = chain_id

    def read(self, block: Block, whole: bool) -> Decoded:  # noqa: ARG002 - no fact here follows from a missing log
        if not block.logs:
            return _NOTHING
        sightings: list[Sighting] = []
        malformed = [
            Malformed(transaction=bad.transaction, log_index=bad.log_index, address=events.INBOX, problem=bad.problem)
            for bad in find_executing(self._chain_id, block).bad
        ]
        for log in block.logs:
            take = self._take(log)
            if take is None:
                continue
            try:
                sightings.append(take(log, block))
            except (DecodeError, ValueError) as error:
                malformed.append(
                    Malformed(
                        transaction=log.transaction_hash,
                        log_index=log.log_index,
                        address=log.address,
                        problem=str(error),
                    )
                )
        return Decoded(tuple(sightings), malformed=tuple(malformed))

    def _take(self, log: Log) -> Callable[[Log, Block], Sighting] | None:
        if log.address != events.MESSENGER or not log.topics:
            return None
        if log.topics[0] == events.SENT.topic0:
            return self._sent
        return self._relayed if log.topics[0] == events.RELAYED.topic0 else None

    def _sent(self, log: Log, block: Block) -> Sighting:
        record = events.SENT.decode(log)
        version, number = _checked_nonce(record.messageNonce)
        money = _neighbour(block.logs, log, events.SENT_OFF, step=1) if record.sender in _MONEY else None
        return Sighting(
            lane(self._chain_id, record.destination),
            str(version),
            self._evidence(log, block),
            number,
            Sent(
                sender=record.sender,
                receiver=record.target,
                size=len(record.message),
                details={"data": "0x" + record.message[:_SHOWN_BYTES].hex(), **_money(money)},
            ),
            message_hash(
                destination=record.destination,
                source=self._chain_id,
                nonce=record.messageNonce,
                sender=record.sender,
                target=record.target,
                message=record.message,
            ),
        )

    def _relayed(self, log: Log, block: Block) -> Sighting:
        record = events.RELAYED.decode(log)
        version, number = _checked_nonce(record.messageNonce)
        money = _neighbour(block.logs, log, events.RECEIVED, step=-1)
        details = {"return_data_hash": "0x" + record.returnDataHash.hex(), **_money(money)}
        return Sighting(
            lane(record.source, self._chain_id),
            str(version),
            self._evidence(log, block),
            number,
            Executed(True, callback=True, details=details),
            "0x" + record.messageHash.hex(),
        )

    def _evidence(self, log: Log, block: Block) -> Evidence:
        ref = block.ref
        return Evidence(self._chain_id, ref.number, ref.hash, log.transaction_hash, log.log_index, ref.timestamp)


_MONEY: Final = frozenset({events.ETH_BRIDGE, events.TOKEN_BRIDGE})


def _checked_nonce(nonce: int) -> tuple[int, int]:
    version, number = split_nonce(nonce)
    if number > MAX_SEQUENCE:
        raise ValueError(f"message number {number} is no count")
    return version, number


def _neighbour(logs: Sequence[Log], log: Log, wanted: Iterable[Event], *, step: int) -> tuple[Event, Any] | None:
    """The bridge's log on that side of the messenger's, with no other messenger's log in between."""
    topics = {event.topic0 for event in wanted}
    at = logs.index(log) + step
    while 0 <= at < len(logs) and logs[at].transaction_hash == log.transaction_hash:
        found = logs[at]
        if found.address == events.MESSENGER:
            return None
        if found.address in _MONEY and found.topics and found.topics[0] in topics:
            event = _BRIDGES[found.topics[0]]
            return event, event.decode(found)
        at += step
    return None


def _money(found: tuple[Event, Any] | None) -> dict[str, Any]:
    if found is None:
        return {}
    event, record = found
    bridge = {"event": event.name, "from": record.from_, "to": record.to, "amount": str(record.amount)}
    return {"bridge": bridge | ({"token": record.token} if "token" in record._fields else {})}
