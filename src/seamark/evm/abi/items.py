"""Functions, events and errors of a contract: their identifiers, and their values to and from bytes.

Coders are compiled at first use and kept, so that reading an ABI of a hundred entries costs little. Every item can be
written as Solidity writes it: `Function.parse("function getRoundData(uint80 id) view returns (uint80 roundId, …)")`.
"""

from __future__ import annotations

import re
from binascii import a2b_hex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from seamark.core.ids import Hash32
from seamark.evm.abi.decoder import Decoder, EventDecoder, compile_decoder, compile_event_decoder
from seamark.evm.abi.encoder import Encoder, compile_encoder
from seamark.evm.abi.errors import AbiTypeError, DecodeError
from seamark.evm.abi.types import Param, canonical, parse_params
from seamark.evm.crypto import keccak256
from seamark.evm.types import Log

__all__ = ["Constructor", "Error", "Event", "Function"]

SELECTOR_BYTES: Final = 4
MAX_INDEXED: Final = 3
_HEAD: Final = re.compile(r"\s*(?:(function|event|error)\s+)?([A-Za-z_$][A-Za-z0-9_$]*)\s*\(", re.ASCII)
_RETURNS: Final = re.compile(
    r"(?P<words>(?:\s*\b(?:external|public|view|pure|payable|nonpayable|virtual|override)\b)*)\s*(?:returns\s*\((?P<outputs>.*)\))?\s*;?\s*",
    re.ASCII | re.DOTALL,
)
_EVENT_END: Final = re.compile(r"\s*(anonymous)?\s*;?\s*", re.ASCII)


@dataclass(frozen=True)
class Function:
    """A function of a contract."""

    name: str
    inputs: tuple[Param, ...]
    outputs: tuple[Param, ...] = ()
    mutability: str = "nonpayable"

    @classmethod
    def parse(cls, text: str) -> Function:
        """Read "function name(inputs) view returns (outputs)"; the word `function` may be missing.

        Raises:
            AbiTypeError: Not such a line.
        """
        name, inputs, rest = _split(text, "function")
        found = _RETURNS.fullmatch(rest)
        if found is None:
            raise AbiTypeError(f"{text[:80]!r}: {rest[:40]!r} is not understood")
        stated = [word for word in found["words"].split() if word in ("view", "pure", "payable")]
        mutability = stated[0] if stated else "nonpayable"
        return cls(name, parse_params(inputs), parse_params(found["outputs"] or ""), mutability)

    @cached_property
    def signature(self) -> str:
        return _signature(self.name, self.inputs)

    @cached_property
    def selector(self) -> bytes:
        """The first 4 bytes of calldata."""
        return keccak256(self.signature.encode())[:SELECTOR_BYTES]

    def encode(self, *arguments: Any) -> bytes:
        """Calldata; raises `EncodeError`."""
        return self.selector + self._encode_inputs(arguments)

    def decode_call(self, calldata: bytes) -> Any:
        """The arguments in calldata, as a record.

        Raises:
            DecodeError: Another function's calldata, or not a strict encoding.
        """
        if calldata[:SELECTOR_BYTES] != self.selector:
            raise DecodeError(f"the calldata is not a call of {self.signature}")
        return self._decode_inputs(calldata[SELECTOR_BYTES:])

    def decode_result(self, data: bytes) -> Any:
        """What a call returned, as a record of all outputs.

        Raises:
            DecodeError: Not a strict encoding; no data at all usually means that no contract lives at the address.
        """
        if not data and self.outputs:
            raise DecodeError(
                f"{self.signature} returned no data: no such contract at that address, or no such function"
            )
        return self._decode_outputs(data)

    @cached_property
    def _encode_inputs(self) -> Encoder:
        return compile_encoder(self.inputs)

    @cached_property
    def _decode_inputs(self) -> Decoder:
        return compile_decoder(self.inputs, self.name)

    @cached_property
    def _decode_outputs(self) -> Decoder:
        return compile_decoder(self.outputs, self.name)


@dataclass(frozen=True)
class Constructor:
    """A contract's constructor: arguments behind the bytecode."""

    inputs: tuple[Param, ...] = ()

    def encode(self, *arguments: Any) -> bytes:
        return self._encode_inputs(arguments)

    @cached_property
    def _encode_inputs(self) -> Encoder:
        return compile_encoder(self.inputs)


@dataclass(frozen=True)
class Event:
    """An event of a contract."""

    name: str
    inputs: tuple[Param, ...]
    anonymous: bool = False

    def __post_init__(self) -> None:
        if self._indexed > MAX_INDEXED + self.anonymous:
            raise AbiTypeError(f"event {self.name}: at most {MAX_INDEXED} parameters can be indexed")

    @classmethod
    def parse(cls, text: str) -> Event:
        """Read "event Name(uint64 indexed a, bytes b)"; the word `event` may be missing.

        Raises:
            AbiTypeError: Not such a line.
        """
        name, inputs, rest = _split(text, "event")
        found = _EVENT_END.fullmatch(rest)
        if found is None:
            raise AbiTypeError(f"{text[:80]!r}: {rest[:40]!r} is not understood")
        return cls(name, parse_params(inputs), found[1] is not None)

    @cached_property
    def signature(self) -> str:
        return _signature(self.name, self.inputs)

    @cached_property
    def topic0(self) -> Hash32:
        """The topic by which logs of this event are found (meaningless for an anonymous one)."""
        return Hash32("0x" + keccak256(self.signature.encode()).hex())

    def decode(self, log: Log) -> Any:
        """The values of a log, as a record; raises `DecodeError`."""
        return self.decode_log(log.topics, log.data)

    def decode_log(self, topics: Sequence[str], data: str | bytes) -> Any:
        """The values as a record in the order of declaration; hex text or bytes.

        Raises:
            DecodeError: Another event's log, a wrong number of topics, or not a strict encoding.
        """
        named = 0 if self.anonymous else 1
        if len(topics) != self._indexed + named:
            raise DecodeError(f"{self.name}: {len(topics)} topics instead of {self._indexed + named}")
        if named and topics[0] != self.topic0:
            raise DecodeError(f"{self.name}: the log is of another event, {topics[0]}")
        try:
            words = a2b_hex("".join([topic[2:] for topic in topics[named:]]))
            raw = data if isinstance(data, bytes) else a2b_hex(data[2:])
        except ValueError as error:
            raise DecodeError(f"{self.name}: topics or data are not hex") from error
        if len(words) != 32 * self._indexed:
            raise DecodeError(f"{self.name}: a topic has not 32 bytes")
        return self._decode(words, raw)

    @cached_property
    def _indexed(self) -> int:
        return sum(param.indexed for param in self.inputs)

    @cached_property
    def _decode(self) -> EventDecoder:
        return compile_event_decoder(self.inputs, self.name)


@dataclass(frozen=True)
class Error:
    """A custom error of a contract."""

    name: str
    inputs: tuple[Param, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Error:
        """Read "error Name(uint256 a)"; the word `error` may be missing.

        Raises:
            AbiTypeError: Not such a line.
        """
        name, inputs, rest = _split(text, "error")
        if rest.strip() not in ("", ";"):
            raise AbiTypeError(f"{text[:80]!r}: {rest[:40]!r} is not understood")
        return cls(name, parse_params(inputs))

    @cached_property
    def signature(self) -> str:
        return _signature(self.name, self.inputs)

    @cached_property
    def selector(self) -> bytes:
        """The first 4 bytes of revert data."""
        return keccak256(self.signature.encode())[:SELECTOR_BYTES]

    def encode(self, *arguments: Any) -> bytes:
        """Revert data."""
        return self.selector + compile_encoder(self.inputs)(arguments)

    def decode(self, data: bytes) -> Any:
        """The values in revert data, as a record; raises `DecodeError`."""
        if data[:SELECTOR_BYTES] != self.selector:
            raise DecodeError(f"the revert data is not of {self.signature}")
        return self._decode(data[SELECTOR_BYTES:])

    @cached_property
    def _decode(self) -> Decoder:
        return compile_decoder(self.inputs, self.name)


def _signature(name: str, params: Sequence[Param]) -> str:
    return f"{name}({','.join(canonical(param.type) for param in params)})"


def _split(text: str, word: str) -> tuple[str, str, str]:
    """Name, text between the first pair of parentheses, and the rest."""
    found = _HEAD.match(text)
    if found is None or found[1] not in (None, word):
        raise AbiTypeError(f"{text[:80]!r} is not of the form: {word} Name(type name, …)")
    depth, start = 1, found.end()
    for at in range(start, len(text)):
        depth += (text[at] == "(") - (text[at] == ")")
        if not depth:
            return found[2], text[start:at], text[at + 1 :]
    raise AbiTypeError(f"{text[:80]!r}: ')' is missing")
