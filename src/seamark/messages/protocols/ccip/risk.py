"""The risk management network: one contract per chain behind a proxy that the router names, shared by all ramps.

    Router.getArmProxy() -> ARMProxy.getARM() -> RMN 1.5, RMNRemote 1.6 or RMN 2.0

A curse stops a lane (its subject is the remote chain's selector) or everything (the global subject). Source: `RMN.sol`
1.5.0, `RMNRemote.sol` 1.6.0, `RMN.sol` 2.0.0, `RMNProxy.sol` of @chainlink/contracts-ccip.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from seamark.core.ids import Address
from seamark.evm.abi import Abi, Event
from seamark.evm.contract import Contract as Reader
from seamark.evm.ports import ChainReader
from seamark.evm.types import Log
from seamark.messages.model import Contract, NoticeKind
from seamark.messages.protocols.ccip.generation import (
    ARM_PROXY,
    RMN,
    Found,
    Identified,
    Place,
    Reading,
    Scene,
    identified,
)
from seamark.messages.protocols.ccip.notices import OWNERSHIP, Entry, configured, notice, role_changed

__all__ = ["EVERYTHING", "GLOBAL_SUBJECT", "RiskFamily", "subject_name"]

EVERYTHING = "*"
GLOBAL_SUBJECT = bytes.fromhex("01000000000000000000000000000001")
_SELECTOR_BYTES = 8

PROXY = Abi.parse("function getARM() view returns (address)")

ARM_SET = Event.parse("event ARMSet(address arm)")
CURSED = Event.parse("event Cursed(bytes16[] subjects)")
UNCURSED = Event.parse("event Uncursed(bytes16[] subjects)")
CURSED_1_5 = Event.parse("event Cursed(uint32 indexed configVersion, bytes16 subject, uint64 blockTimestamp)")
LIFTED_1_5 = Event.parse("event CurseLifted(bytes16 subject)")
CONFIG_SET_1_6 = Event.parse(
    "event ConfigSet(uint32 indexed version, (bytes32 rmnHomeContractConfigDigest,"
    " (address onchainPublicKey, uint64 nodeIndex)[] signers, uint64 fSign) config)"
)
CONFIG_SET_1_5 = Event.parse(
    "event ConfigSet(uint32 indexed configVersion, ((address blessVoteAddr, address curseVoteAddr, uint8 blessWeight,"
    " uint8 curseWeight)[] voters, uint16 blessWeightThreshold, uint16 curseWeightThreshold) config)"
)


def subject_name(subject: bytes) -> str:
    """What a curse is on: "*", a chain selector as text, or the bytes themselves for any other subject."""
    if subject == GLOBAL_SUBJECT:
        return EVERYTHING
    if any(subject[:-_SELECTOR_BYTES]):
        return "0x" + subject.hex()
    return str(int.from_bytes(subject))


def _curses(event: Event, kind: NoticeKind) -> Entry:
    """A notice for each subject of the event."""

    def take(log: Log, scene: Scene) -> None:
        record = event.decode(log)
        subjects: Sequence[Any] = record.subjects if hasattr(record, "subjects") else (record.subject,)
        scene.notices.extend(
            notice(kind, log, scene, event, record, subject=subject_name(subject), part=part)
            for part, subject in enumerate(subjects)
        )

    return event.topic0, take


_PROXY = Reading(
    dict((configured(ARM_SET, look=lambda record, log: (record.arm, log.address)), *OWNERSHIP)),
)
_RISK = Reading(
    dict(
        (
            _curses(CURSED, NoticeKind.CURSED),
            _curses(UNCURSED, NoticeKind.UNCURSED),
            _curses(CURSED_1_5, NoticeKind.CURSED),
            _curses(LIFTED_1_5, NoticeKind.UNCURSED),
            role_changed(CONFIG_SET_1_6),
            role_changed(CONFIG_SET_1_5),
            *OWNERSHIP,
        )
    )
)


class RiskFamily:
    """The proxy and what is behind it (`generation.Generation`)."""

    name = "risk"
    serves: Mapping[str, str] = {"ARMProxy 1.": ARM_PROXY, "RMN 1.5.": RMN, "RMNRemote 1.6.": RMN, "RMN 2.": RMN}

    async def identify(self, reader: ChainReader, found: Found, place: Place) -> Identified:  # noqa: ARG002
        if found.role != ARM_PROXY:
            return identified(reader, found)
        behind = await Reader(reader, found.address, PROXY).read("getARM")
        return identified(reader, found, {RMN: behind}, (behind,))

    def reading(self, contract: Contract, place: Place) -> Reading:  # noqa: ARG002
        return _PROXY if contract.role == ARM_PROXY else _RISK

    async def fee_tokens(self, reader: ChainReader, contract: Contract) -> Sequence[Address]:  # noqa: ARG002
        return ()
