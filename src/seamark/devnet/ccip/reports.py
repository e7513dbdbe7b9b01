"""The two reports of CCIP's oracle networks for an OffRamp 1.6, as calldata.

A commit report carries roots, prices and F + 1 signatures over `keccak(keccak(report) ‖ config digest ‖ sequence
word)`; an execution report carries messages with their proof and no signatures. The OffRamp checks the length of the
calldata, so nothing may follow the encoding. Sources: `MultiOCR3Base.sol`, `OffRamp.sol` 1.6.0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from seamark.core.ids import Address, Selector
from seamark.devnet.ccip.ramp_messages import RampMessage
from seamark.evm.abi import Function, compile_encoder, parse_params
from seamark.evm.crypto import keccak256
from seamark.evm.merkle import Proof
from seamark.evm.ports import Signer

__all__ = [
    "COMMIT_DIGEST",
    "EXECUTE_DIGEST",
    "NO_PRICES",
    "Prices",
    "RootReport",
    "commit_call",
    "execute_call",
    "manual_call",
]

COMMIT_DIGEST = keccak256(b"seamark devnet commit")
EXECUTE_DIGEST = keccak256(b"seamark devnet execute")
F = 1  # faulty nodes that the network bears; a report needs F + 1 signatures, a configuration 3 F + 1 nodes
_WORD = 32

_ROOTS = "(uint64 source, bytes onRamp, uint64 minSeqNr, uint64 maxSeqNr, bytes32 root)[]"
_encode_commit = compile_encoder(
    parse_params(
        "(((address token, uint224 usd)[] tokens, (uint64 dest, uint224 usd)[] gas) prices,"
        f"{_ROOTS} blessed, {_ROOTS} unblessed, (bytes32 r, bytes32 s)[] rmnSignatures) report"
    )
)
_MESSAGE = (
    "((bytes32 messageId, uint64 source, uint64 dest, uint64 sequenceNumber, uint64 nonce) header, bytes sender,"
    " bytes data, address receiver, uint256 gasLimit, (bytes pool, address token, uint32 gas, bytes extra,"
    " uint256 amount)[] tokens)"
)
_EXECUTION = (
    f"(uint64 source, {_MESSAGE}[] messages, bytes[][] offchainTokenData, bytes32[] proofs, uint256 flags)[] reports"
)
_encode_execution = compile_encoder(parse_params(_EXECUTION))
_COMMIT = Function.parse("commit(bytes32[2] context, bytes report, bytes32[] rs, bytes32[] ss, bytes32 rawVs)")
_EXECUTE = Function.parse("execute(bytes32[2] context, bytes report)")
_EXECUTE_BY_HAND = Function.parse(
    f"manuallyExecute({_EXECUTION}, (uint256 receiverGasLimit, uint32[] tokenGas)[][] gasLimitOverrides)"
)
_encode_address = compile_encoder(parse_params("address"))


@dataclass(frozen=True, slots=True)
class Prices:
    """In US dollars with 18 decimals: (token, price of 1e18 units) and (destination, price of a unit of gas)."""

    tokens: tuple[tuple[Address, int], ...] = ()
    gas: tuple[tuple[Selector, int], ...] = ()


NO_PRICES = Prices()


@dataclass(frozen=True, slots=True)
class RootReport:
    """A root over the messages first..last of one source."""

    source: Selector
    onramp: Address
    first: int
    last: int
    root: bytes


async def commit_call(
    signers: Sequence[Signer], sequence: int, roots: Sequence[RootReport], prices: Prices = NO_PRICES
) -> bytes:
    """Calldata of `OffRamp.commit`, signed by the first F + 1 signers.

    The roots go where RMN's blessing is not asked for: a devnet has no risk management network.
    """
    unblessed = [(root.source, _encode_address([root.onramp]), root.first, root.last, root.root) for root in roots]
    report = _encode_commit([((prices.tokens, prices.gas), (), unblessed, ())])
    context = (COMMIT_DIGEST, sequence.to_bytes(_WORD, "big"))
    preimage = keccak256(report) + context[0] + context[1]
    signatures = [await signer.sign(preimage) for signer in signers[: F + 1]]
    rs = [r.to_bytes(_WORD, "big") for _, r, _ in signatures]
    ss = [s.to_bytes(_WORD, "big") for _, _, s in signatures]
    parities = bytes(parity for parity, _, _ in signatures).ljust(_WORD, b"\0")
    return _COMMIT.encode(context, report, rs, ss, parities)


def execute_call(sequence: int, messages: Sequence[RampMessage], proof: Proof) -> bytes:
    """Calldata of `OffRamp.execute` for messages of one root."""
    report = _encode_execution([[_execution(messages, proof)]])
    return _EXECUTE.encode((EXECUTE_DIGEST, sequence.to_bytes(_WORD, "big")), report)


def manual_call(messages: Sequence[RampMessage], proof: Proof, *, gas_limit: int = 0) -> bytes:
    """Calldata of `OffRamp.manuallyExecute`, which anybody may send after a failure.

    `gas_limit` above zero replaces the limit of each message.
    """
    overrides = [[(gas_limit, [0] * len(message.tokens)) for message in messages]]
    return _EXECUTE_BY_HAND.encode([_execution(messages, proof)], overrides)


def _execution(messages: Sequence[RampMessage], proof: Proof) -> tuple[Any, ...]:
    token_data = [[b""] * len(message.tokens) for message in messages]
    structs = [message.for_offramp() for message in messages]
    return messages[0].lane.source, structs, token_data, proof.hashes, proof.flags
