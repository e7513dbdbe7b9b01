"""Hyperlane: logs to sightings and notices.

A block is read in two passes. The first notes what one log says of another: the payments for a message, and of which
origin, sender and recipient a `ProcessId` speaks (the `Process` log right before it). The second makes facts of them.

`Process` does not tell the message's nonce, and a delivery that fails leaves no log at all: the relayer's transaction
reverts. So there are no commits and no failures here; a message that is not delivered is one that stays final.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from seamark.core.ids import Address, ChainId, Hash32
from seamark.evm.abi import DecodeError, Event
from seamark.evm.address import ZERO_ADDRESS
from seamark.evm.ports import Block
from seamark.evm.types import Log
from seamark.messages.model import (
    UNTOLD,
    ConfigChange,
    Contract,
    Decoded,
    Evidence,
    Executed,
    LaneKey,
    Malformed,
    Notice,
    NoticeKind,
    Sent,
    Sighting,
)
from seamark.messages.protocols.hyperlane import events
from seamark.messages.protocols.hyperlane.discovery import MAILBOX
from seamark.messages.protocols.hyperlane.message import account, message_id, parse_message

__all__ = ["PROTOCOL", "BlockReader"]

PROTOCOL = "hyperlane"
_MAILBOX_EVENTS = (events.DISPATCH, events.DISPATCH_ID, events.PROCESS, events.PROCESS_ID, *events.CONFIGURATION)
_NOTHING = Decoded()


@dataclass(slots=True)
class _Findings:
    """What one block has told so far."""

    block: Block
    paid: defaultdict[tuple[Hash32, str], list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))
    processes: dict[tuple[Hash32, int], Any] = field(default_factory=dict)
    sightings: list[Sighting] = field(default_factory=list)
    changes: list[ConfigChange] = field(default_factory=list)
    malformed: list[Malformed] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)


class BlockReader:
    """Reads the logs of one chain.

    Args:
        chain_id: The chain.
        domain: Its number in Hyperlane.
        mailboxes: The Mailbox of each domain that is watched.
        contracts: What is watched on this chain.
    """

    def __init__(
        self, chain_id: ChainId, domain: int, mailboxes: Mapping[int, Address], contracts: Mapping[Address, Contract]
    ) -> None:
        self._chain_id = chain_id
        self._domain = domain
        self._mailboxes = mailboxes
        self._versions = {address: item.version for address, item in contracts.items() if item.role == MAILBOX}
        self._events: dict[Address, dict[Hash32, Event]] = {
            address: {e.topic0: e for e in (_MAILBOX_EVENTS if item.role == MAILBOX else events.PAYMASTER_EVENTS)}
            for address, item in contracts.items()
        }

    def read(self, block: Block, whole: bool) -> Decoded:  # noqa: ARG002 - no fact here follows from a missing log
        if not block.logs:
            return _NOTHING
        found = _Findings(block)
        known = [(log, event) for log in block.logs if (event := self._event_of(log)) is not None]
        for log, event in known:
            self._guarded(self._note, log, event, found)
        for log, event in known:
            self._guarded(self._take, log, event, found)
        return Decoded(tuple(found.sightings), tuple(found.changes), tuple(found.malformed), tuple(found.notices))

    def _event_of(self, log: Log) -> Event | None:
        return self._events.get(log.address, {}).get(log.topics[0]) if log.topics else None

    @staticmethod
    def _guarded(read: Any, log: Log, event: Event, found: _Findings) -> None:
        try:
            read(log, event, found)
        except (DecodeError, ValueError) as error:
            found.malformed.append(
                Malformed(
                    transaction=log.transaction_hash, log_index=log.log_index, address=log.address, problem=str(error)
                )
            )

    # ---- first pass -------------------------------------------------------------------------------------------------

    @staticmethod
    def _note(log: Log, event: Event, found: _Findings) -> None:
        if event is events.GAS_PAYMENT:
            record = event.decode(log)
            key = (log.transaction_hash, "0x" + record.messageId.hex())
            found.paid[key].append((record.gasAmount, record.payment))
        elif event is events.PROCESS:
            found.processes[log.transaction_hash, log.log_index] = event.decode(log)

    # ---- second pass ------------------------------------------------------------------------------------------------

    def _take(self, log: Log, event: Event, found: _Findings) -> None:
        if event is events.DISPATCH:
            found.sightings.append(self._sent(log, found))
        elif event is events.PROCESS_ID:
            found.sightings.append(self._executed(log, found))
        elif event is events.GAS_PAYMENT:
            found.notices.append(self._payment(log, found))
        elif event in events.CONFIGURATION:
            self._configured(log, event, found)

    def _sent(self, log: Log, found: _Findings) -> Sighting:
        raw = events.DISPATCH.decode(log).message
        message = parse_message(raw)
        if message.origin != self._domain:
            raise ValueError(f"a Mailbox of domain {self._domain} sends for domain {message.origin}")
        own_id = message_id(raw)
        paid = found.paid.get((log.transaction_hash, own_id), [])
        payment = sum(amount for _, amount in paid)
        return Sighting(
            LaneKey(PROTOCOL, str(self._domain), log.address, str(message.destination)),
            self._versions[log.address],
            self._evidence(log, found.block),
            message.nonce,
            Sent(
                sender=account(message.sender),
                receiver=account(message.recipient),
                fee_token=ZERO_ADDRESS if paid else "",
                fee_amount=str(payment),
                size=len(message.body),
                details={
                    "data": "0x" + message.body.hex(),
                    "gas_paid_for": str(sum(gas for gas, _ in paid)),  # gas at the destination; "0": nobody paid yet
                },
            ),
            own_id,
        )

    def _executed(self, log: Log, found: _Findings) -> Sighting:
        told = found.processes.get((log.transaction_hash, log.log_index - 1))
        if told is None:
            raise ValueError("ProcessId without the Process log before it")
        return Sighting(
            LaneKey(PROTOCOL, str(told.origin), self._mailboxes.get(told.origin, ""), str(self._domain)),
            self._versions[log.address],
            self._evidence(log, found.block),
            UNTOLD,
            # Anybody may relay, so "by hand" means nothing here; and the Mailbox reverts where the recipient does.
            Executed(True, callback=True, details={"sender": account(told.sender), "recipient": told.recipient}),
            "0x" + events.PROCESS_ID.decode(log).messageId.hex(),
        )

    def _payment(self, log: Log, found: _Findings) -> Notice:
        record = events.GAS_PAYMENT.decode(log)
        return Notice(
            kind=NoticeKind.GAS_PAID,
            evidence=self._evidence(log, found.block),
            contract=log.address,
            subject="0x" + record.messageId.hex(),
            details={
                "destination": str(record.destinationDomain),
                "gas": str(record.gasAmount),
                "payment": str(record.payment),
            },
        )

    def _configured(self, log: Log, event: Event, found: _Findings) -> None:
        record = event.decode(log)
        role = event is events.OWNERSHIP_TRANSFERRED
        found.notices.append(
            Notice(
                kind=NoticeKind.ROLE_CHANGED if role else NoticeKind.CONFIGURED,
                evidence=self._evidence(log, found.block),
                contract=log.address,
                details={"event": event.name, **{name: str(value) for name, value in record._asdict().items()}},
            )
        )
        if event in (events.DEFAULT_HOOK_SET, events.REQUIRED_HOOK_SET):
            found.changes.append(
                ConfigChange(
                    chain_id=self._chain_id,
                    block_number=found.block.ref.number,
                    event=event.name,
                    addresses=(record.hook,),
                )
            )

    def _evidence(self, log: Log, block: Block) -> Evidence:
        ref = block.ref
        return Evidence(self._chain_id, ref.number, ref.hash, log.transaction_hash, log.log_index, ref.timestamp)
