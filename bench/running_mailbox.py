"""A stand-in for Hyperlane's Mailbox that emits logs of the real shape as it is told: a few bytes of EVM.

    4 bytes of calldata  -> a view: the word stored at the selector's slot is returned
    more calldata        -> a first word that becomes `nonce()`, then records: each one log

A record is: is it a LOG4 (else a LOG2), length of the data, four topics, the data padded to whole words.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from eth_abi import encode  # type: ignore[attr-defined]

from seamark.core.ids import Address
from seamark.devnet.anvil import Anvil
from seamark.evm.abi import Event
from seamark.evm.crypto import keccak256
from seamark.messages.protocols.hyperlane import events
from seamark.messages.protocols.hyperlane.message import HyperlaneMessage, message_id, pack_message

__all__ = ["MAILBOX", "VERSION", "Message", "dispatch", "install", "make_message", "process", "with_nonce"]

MAILBOX: Final = Address("0x" + "3a" * 20)
VERSION: Final = 3
ACCOUNT: Final = bytes(12) + b"\xab" * 20
BODY: Final = bytes(range(128))


def _selector(signature: str) -> int:
    return int.from_bytes(keccak256(signature.encode())[:4], "big")


_NONCE: Final = _selector("nonce()")
_CODES: Final = {
    "STOP": "00", "ADD": "01", "LT": "10", "ISZERO": "15", "AND": "16", "SHR": "1c", "CALLDATALOAD": "35",
    "CALLDATASIZE": "36", "CALLDATACOPY": "37", "MSTORE": "52", "SLOAD": "54", "SSTORE": "55", "JUMP": "56",
    "JUMPI": "57", "JUMPDEST": "5b", "PUSH0": "5f", "DUP1": "80", "DUP2": "81", "DUP3": "82", "DUP4": "83",
    "DUP5": "84", "NOT": "19", "LOG2": "a2", "LOG4": "a4", "RETURN": "f3",
}  # fmt: skip

# The stack holds the place of the record in calldata ("at") below what is shown.
_SOURCE: Final = f"""
    PUSH1 05 CALLDATASIZE LT ISZERO PUSH1 :emit JUMPI
    PUSH0 CALLDATALOAD PUSH1 e0 SHR SLOAD PUSH0 MSTORE PUSH1 20 PUSH0 RETURN
emit:
    PUSH0 CALLDATALOAD PUSH4 {_NONCE:08x} SSTORE
    PUSH1 20
next:
    CALLDATASIZE DUP2 LT ISZERO PUSH1 :end JUMPI
    DUP1 PUSH1 20 ADD CALLDATALOAD
    DUP1 DUP3 PUSH1 c0 ADD PUSH0 CALLDATACOPY
    DUP2 CALLDATALOAD PUSH1 :four JUMPI
    DUP2 PUSH1 60 ADD CALLDATALOAD DUP3 PUSH1 40 ADD CALLDATALOAD
    DUP3 PUSH0 LOG2
    PUSH1 :after JUMP
four:
    DUP2 PUSH1 a0 ADD CALLDATALOAD DUP3 PUSH1 80 ADD CALLDATALOAD
    DUP4 PUSH1 60 ADD CALLDATALOAD DUP5 PUSH1 40 ADD CALLDATALOAD
    DUP5 PUSH0 LOG4
after:
    PUSH1 1f ADD PUSH1 1f NOT AND ADD PUSH1 c0 ADD
    PUSH1 :next JUMP
end:
    STOP
"""


def _assemble(source: str) -> str:
    """Creation is not needed: the code is put in place. Every label is within the first 256 bytes."""
    places: dict[str, int] = {}
    for _ in range(2):
        code = ""
        for word in source.split():
            if word.endswith(":"):
                places[word[:-1]] = len(code) // 2
                code += _CODES["JUMPDEST"]
            elif word.startswith(":"):
                code += f"{places.get(word[1:], 0):02x}"
            elif word.startswith("PUSH") and word != "PUSH0":
                code += f"{0x5F + int(word[4:]):02x}"
            else:
                code += _CODES.get(word, word)
    return "0x" + code


async def install(node: Anvil, domain: int) -> None:
    """Put it in place, without hooks."""
    await node.request("anvil_setCode", MAILBOX, _assemble(_SOURCE))
    for signature, value in (("VERSION()", VERSION), ("localDomain()", domain)):
        await node.request("anvil_setStorageAt", MAILBOX, f"0x{_selector(signature):064x}", f"0x{value:064x}")


# ---- what it emits --------------------------------------------------------------------------------------------------


class Message:
    """One message and its id."""

    __slots__ = ("destination", "id", "nonce", "origin", "raw")

    def __init__(self, origin: int, nonce: int, destination: int) -> None:
        message = HyperlaneMessage(VERSION, nonce, origin, ACCOUNT, destination, ACCOUNT, BODY)
        self.raw = pack_message(message)
        self.id = message_id(self.raw)
        self.origin, self.nonce, self.destination = origin, nonce, destination


def make_message(origin: int, nonce: int, destination: int) -> Message:
    return Message(origin, nonce, destination)


def _word(value: int) -> bytes:
    return value.to_bytes(32, "big")


def _record(topics: Iterable[bytes], data: bytes = b"") -> bytes:
    words = [*topics]
    head = _word(len(words) == 4) + _word(len(data)) + b"".join(words).ljust(4 * 32, b"\0")
    return head + data.ljust(-(-len(data) // 32) * 32, b"\0")


def dispatch(message: Message) -> bytes:
    """Its `Dispatch` and `DispatchId`."""
    topics = (_topic(events.DISPATCH), ACCOUNT, _word(message.destination), ACCOUNT)
    own_id = bytes.fromhex(message.id[2:])
    return _record(topics, encode(["bytes"], [message.raw])) + _record((_topic(events.DISPATCH_ID), own_id))


def process(message: Message) -> bytes:
    """Its `Process` and `ProcessId`."""
    topics = (_topic(events.PROCESS), _word(message.origin), ACCOUNT, ACCOUNT)
    return _record(topics) + _record((_topic(events.PROCESS_ID), bytes.fromhex(message.id[2:])))


def with_nonce(nonce: int, records: Iterable[bytes]) -> str:
    """Calldata."""
    return "0x" + (_word(nonce) + b"".join(records)).hex()


def _topic(event: Event) -> bytes:
    return bytes.fromhex(event.topic0[2:])
