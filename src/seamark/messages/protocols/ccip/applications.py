"""Our own contracts at both ends (OracleWithCCIP, OracleReceiver): who may do what with them, how they are configured,
and sends that failed.

CCIP knows nothing of them, so they are named in the settings. A send that the router refuses leaves no log of CCIP's:
the sender's own `SendFailed` is the only trace.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from seamark.core.ids import Address, ChainId
from seamark.evm import artifacts
from seamark.evm.abi import Event
from seamark.evm.crypto import keccak256
from seamark.evm.ports import ChainReader
from seamark.evm.types import Log
from seamark.messages.model import Contract, NoticeKind
from seamark.messages.protocols.ccip.failures import (
    LANE_CLOSED,
    NO_FUNDS,
    NOT_ENOUGH_GAS,
    OTHER,
    Failure,
    explain_refusal,
)
from seamark.messages.protocols.ccip.generation import Found, Identified, Place, Reading, Scene, identified
from seamark.messages.protocols.ccip.notices import Entry, configured, notice, role_changed

__all__ = ["APPLICATION", "ApplicationFamily", "application"]

APPLICATION: Final = "application"
VERSION: Final = "1"  # of our contracts; they have no `typeAndVersion`

_SENDER, _RECEIVER = artifacts.load("OracleWithCCIP").abi, artifacts.load("OracleReceiver").abi
_ROLES: Final = {bytes(32): "DEFAULT_ADMIN_ROLE"} | {
    keccak256(name.encode()): name for name in ("PUBLISHER_ROLE", "PAUSER_ROLE", "OPERATOR_ROLE")
}


# Our own contract's refusals, in the words of CCIP's.
_REASONS: Final = {
    "InsufficientFunds": NO_FUNDS,
    "FeeAboveCap": "fee_above_cap",
    "NotEnoughGasToSend": NOT_ENOUGH_GAS,
    "DestinationDisabled": LANE_CLOSED,
    "UnknownDestination": LANE_CLOSED,
}
_SELECTOR_BYTES: Final = 4


def application(chain_id: ChainId, address: Address) -> Contract:
    """One of our contracts, as it is watched."""
    return Contract(chain_id=chain_id, address=address, role=APPLICATION, version=VERSION)


def _role(event: Event) -> Entry:
    """A grant or a revocation, with the role's name."""

    def take(log: Log, scene: Scene) -> None:
        record = event.decode(log)
        name = _ROLES.get(record.role, "0x" + record.role.hex())
        found = notice(NoticeKind.ROLE_CHANGED, log, scene, event, record, subject=record.account, role=name)
        scene.notices.append(found)

    return event.topic0, take


def _sending_paused(log: Log, scene: Scene) -> None:
    event = _SENDER.event("SendingPausedSet")
    record = event.decode(log)
    kind = NoticeKind.PAUSED if record.paused else NoticeKind.UNPAUSED
    scene.notices.append(notice(kind, log, scene, event, record, subject="sending"))


def _paused(name: str, kind: NoticeKind) -> Entry:
    event = _SENDER.event(name)

    def take(log: Log, scene: Scene) -> None:
        scene.notices.append(notice(kind, log, scene, event, event.decode(log), subject="feed"))

    return event.topic0, take


def _send_failed(log: Log, scene: Scene) -> None:
    event = _SENDER.event("SendFailed")
    record = event.decode(log)
    why = _why(record.reason)
    about = str(record.destinationChainSelector)
    found = notice(NoticeKind.SEND_FAILED, log, scene, event, record, subject=about, reason=why.reason, text=why.text)
    scene.notices.append(found)


def _why(data: bytes) -> Failure:
    """What our own contract refused by itself, else what the router refused."""
    error = next((item for item in _SENDER.errors if item.selector == data[:_SELECTOR_BYTES]), None)
    if error is None:
        return explain_refusal(data)
    return Failure(_REASONS.get(error.name, OTHER), f"the send was refused: {_SENDER.decode_error(data)}")


_READING: Final = Reading(
    dict(
        (
            _role(_SENDER.event("RoleGranted")),
            _role(_SENDER.event("RoleRevoked")),
            role_changed(_SENDER.event("DefaultAdminTransferScheduled")),
            role_changed(_SENDER.event("DefaultAdminTransferCanceled")),
            role_changed(_RECEIVER.event("AllowedSenderSet"), subject=lambda record: record.sourceChainSelector),
            configured(_SENDER.event("DestinationSet"), subject=lambda record: record.selector),
            configured(_SENDER.event("DestinationRemoved"), subject=lambda record: record.selector),
            configured(_SENDER.event("DestinationHeartbeatSet"), subject=lambda record: record.selector),
            configured(_SENDER.event("RouterProposed")),
            configured(_SENDER.event("RouterChanged")),
            configured(_SENDER.event("BoundsChanged")),
            configured(_SENDER.event("MaxStepChanged")),
            configured(_SENDER.event("MaxObservationAgeSet")),
            configured(_SENDER.event("SendGasLimitSet")),
            configured(_SENDER.event("Withdrawn")),
            (_SENDER.event("SendingPausedSet").topic0, _sending_paused),
            _paused("Paused", NoticeKind.PAUSED),
            _paused("Unpaused", NoticeKind.UNPAUSED),
            (_SENDER.event("SendFailed").topic0, _send_failed),
        )
    )
)


class ApplicationFamily:
    """`generation.Generation`; its contracts are named by the settings, never found by their type."""

    name = "application"
    serves: Mapping[str, str] = {f"Seamark {VERSION}": APPLICATION}

    async def identify(self, reader: ChainReader, found: Found, place: Place) -> Identified:  # noqa: ARG002
        return identified(reader, found)

    def reading(self, contract: Contract, place: Place) -> Reading:  # noqa: ARG002
        return _READING

    async def fee_tokens(self, reader: ChainReader, contract: Contract) -> Sequence[Address]:  # noqa: ARG002
        return ()
