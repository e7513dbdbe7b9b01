"""CCIP 2.0: what verifiers said of a message, and where it can be found.

No contract holds it. It comes out of the calldata of an earlier attempt to execute the message (which carries the
message too), out of a file, or from an indexer of the verifiers' storage. Wherever it comes from, it is only a claim:
the destination's contracts decide (`recovery`).

    file or indexer's answer  {"results": [{"verifierResult": {"message_id", "verifier_dest_address", "ccv_data"}}, …]}
    file                      {"message_id": "0x…", "ccvs": ["0x…"], "verifier_results": ["0x…"]}, or a list of such

Source: `OffRamp.execute` 2.0.0; the indexer's `GET /v1/verifierresults/{message id}`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol, TypeAlias

import msgspec

from seamark.core.errors import RejectedError, TemporaryError
from seamark.core.ids import Address, Hash32
from seamark.evm.abi import DecodeError
from seamark.evm.address import parse_address
from seamark.evm.hexdata import hash32, parse_data
from seamark.messages.protocols.ccip.v2_0 import events
from seamark.messages.protocols.ccip.v2_0.codec import message_id
from seamark.runtime.logs import redact_url

__all__ = [
    "Attempt",
    "GivenProofs",
    "IndexerProofs",
    "Proof",
    "ProofSource",
    "Said",
    "attempts_in",
    "read_proofs",
    "read_said",
]

EXECUTE: Final = events.OFF_RAMP.function("execute")
_WORD: Final = 32
_REMEDY = "write the answer of an indexer (/v1/verifierresults/<message id>) into the file as it is"


@dataclass(frozen=True, slots=True)
class Proof:
    """Verifiers by their addresses on the destination, and what each says, in the same order."""

    ccvs: tuple[Address, ...]
    results: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Attempt:
    """What somebody handed to the OffRamp: the message as it is, and a proof that may be any bytes."""

    encoded: bytes
    proof: Proof


class ProofSource(Protocol):
    """Where proofs may be found."""

    async def find(self, name: Hash32) -> Sequence[Proof]:
        """Those of a message; none where it is not known.

        Raises:
            TemporaryError: No answer now.
            RejectedError: The source is not what it should be.
        """
        ...


# ---- calldata --------------------------------------------------------------------------------------------------------


def attempts_in(calldata: bytes, name: Hash32) -> list[Attempt]:
    """The attempts to execute a message in a transaction's calldata: the call itself, or one inside another contract's
    arguments (a multicall, a wallet).
    """
    found = []
    at = calldata.find(EXECUTE.selector)
    while at >= 0:
        attempt = _attempt(calldata[at : at + _size(calldata, at)])
        if attempt is not None and message_id(attempt.encoded) == name:
            found.append(attempt)
        at = calldata.find(EXECUTE.selector, at + 1)
    return found


def _size(calldata: bytes, at: int) -> int:
    """How long a call is that begins at `at`: an inner one is an argument of type bytes, behind its length."""
    return int.from_bytes(calldata[at - _WORD : at]) if at >= _WORD else len(calldata)


def _attempt(call: bytes) -> Attempt | None:
    try:
        encoded, ccvs, results, _ = EXECUTE.decode_call(call)
    except DecodeError:
        return None  # four bytes that only look like the function's selector
    if len(ccvs) != len(results):
        return None
    return Attempt(encoded, Proof(tuple(map(Address, ccvs)), tuple(results)))


# ---- files and indexers ----------------------------------------------------------------------------------------------


class _VerifierResult(msgspec.Struct):
    verifier_dest_address: str
    ccv_data: str
    message_id: str = ""
    timestamp: datetime | None = None


class _Metadata(msgspec.Struct, frozen=True):
    verifierName: str = ""  # noqa: N815 - the indexer's own name
    attestationTimestamp: datetime | None = None  # noqa: N815 - as above


class _Result(msgspec.Struct):
    verifierResult: _VerifierResult  # noqa: N815 - as above
    metadata: _Metadata = _Metadata()


class _Answer(msgspec.Struct):
    results: list[_Result]
    messageID: str = ""  # noqa: N815 - as above


class _Given(msgspec.Struct):
    message_id: str
    ccvs: list[str]
    verifier_results: list[str]


_ANSWER: Final = msgspec.json.Decoder(_Answer)
_GIVEN: Final = msgspec.json.Decoder(_Given)
_LIST: Final = msgspec.json.Decoder(list[_Given])


def read_proofs(text: bytes) -> dict[Hash32, Proof]:
    """Proofs by message id, from a file or an indexer's answer.

    Raises:
        RejectedError: Neither of the forms; says what is wrong.
    """
    try:
        return _read(text)
    except (msgspec.MsgspecError, RejectedError) as error:
        raise RejectedError(f"the verifier results cannot be read: {error}", remedy=_REMEDY) from error


def _read(text: bytes) -> dict[Hash32, Proof]:
    front = text.lstrip()[:1]
    if front == b"[":
        return _of_given(_LIST.decode(text))
    if b'"verifier_results"' in text:
        return _of_given([_GIVEN.decode(text)])
    return _of_answer(_ANSWER.decode(text))


def _of_given(items: Sequence[_Given]) -> dict[Hash32, Proof]:
    found = {}
    for item in items:
        if len(item.ccvs) != len(item.verifier_results):
            raise RejectedError(f"{len(item.ccvs)} ccvs and {len(item.verifier_results)} verifier_results")
        results = tuple(parse_data(result) for result in item.verifier_results)
        found[hash32(item.message_id)] = Proof(tuple(map(parse_address, item.ccvs)), results)
    return found


def _of_answer(answer: _Answer) -> dict[Hash32, Proof]:
    parts: dict[Hash32, list[tuple[Address, bytes]]] = defaultdict(list)
    for item in answer.results:
        said = item.verifierResult
        name = hash32(said.message_id or answer.messageID)
        parts[name].append((parse_address(said.verifier_dest_address), parse_data(said.ccv_data)))
    return {
        name: Proof(tuple(ccv for ccv, _ in items), tuple(result for _, result in items))
        for name, items in parts.items()
    }


@dataclass(frozen=True, slots=True)
class Said:
    """One verifier's word on a message. `time` is the verifier's own, in seconds; None where it is not told."""

    ccv: Address  # at the destination
    result: bytes
    time: int | None
    name: str = ""


def read_said(body: bytes, name: Hash32) -> list[Said]:
    """What verifiers said of one message, by an indexer's answer; each verifier once, its first word.

    Raises:
        RejectedError: Not the answer of an indexer.
    """
    try:
        answer = _ANSWER.decode(body)
        found: dict[Address, Said] = {}
        for item in answer.results:
            said = item.verifierResult
            if hash32(said.message_id or answer.messageID) == name:
                ccv, result = parse_address(said.verifier_dest_address), parse_data(said.ccv_data)
                at = _seconds(item.metadata.attestationTimestamp) or _seconds(said.timestamp)
                found.setdefault(ccv, Said(ccv, result, at, item.metadata.verifierName))
    except (msgspec.MsgspecError, RejectedError) as error:
        raise RejectedError(f"the answer is not an indexer's: {error}") from error
    return list(found.values())


def _seconds(at: datetime | None) -> int | None:
    """Go writes the year 1 for "not set"."""
    if at is None or at.year <= 1970:  # noqa: PLR2004 - the epoch
        return None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())


@dataclass(frozen=True, slots=True)
class GivenProofs:
    """What a person gave (`ProofSource`)."""

    proofs: Mapping[Hash32, Proof]

    async def find(self, name: Hash32) -> Sequence[Proof]:
        found = self.proofs.get(name)
        return [] if found is None else [found]


Get: TypeAlias = Callable[[str], Awaitable[bytes | None]]
"""Reads an address; None for "not found". Raises `TemporaryError`."""


@dataclass(frozen=True, slots=True)
class IndexerProofs:
    """An indexer of what verifiers have signed (`ProofSource`). `url` is its base address."""

    url: str
    get: Get

    async def find(self, name: Hash32) -> Sequence[Proof]:
        body = await self.ask(name)
        found = {} if body is None else read_proofs(body)
        return [found[name]] if name in found else []

    async def ask(self, name: Hash32) -> bytes | None:
        """Its answer as it is; None where it does not know the message.

        Raises:
            TemporaryError: No answer now.
        """
        try:
            return await self.get(f"{self.url.rstrip('/')}/v1/verifierresults/{name}")
        except TemporaryError as error:
            raise TemporaryError(f"the indexer at {redact_url(self.url)} does not answer: {error.message}") from error
