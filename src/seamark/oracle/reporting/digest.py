"""The hashes that tie everything together: what a configuration is called, and what is signed.

    configDigest   names one configuration of one contract on one chain; first two bytes 0x0001
    observation    sha256 over digest, epoch, round, query, observation; signed with ed25519
    extraHash      sha256 over the query and all observations that a report was made from
    report         keccak256 over keccak256(report) and the three words of its context; signed with secp256k1

Source: libocr (MIT), `OCR2Abstract._configDigestFromConfigData` and `OCR2Aggregator.transmit`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from seamark.core.ids import Address, ChainId
from seamark.evm.abi import compile_encoder, parse_params
from seamark.evm.crypto import keccak256
from seamark.oracle.reporting.codec import ReportContext

__all__ = [
    "ConfigSet",
    "config_digest",
    "extra_hash",
    "observation_payload",
    "report_digest",
    "report_preimage",
]

DIGEST_PREFIX: Final = b"\x00\x01"  # of EVM chains (libocr, ConfigDigestPrefixEVM)
_encode_config = compile_encoder(
    parse_params(
        "uint256 chainId, address contract_, uint64 configCount, address[] signers, address[] transmitters, uint8 f, "
        "bytes onchainConfig, uint64 offchainConfigVersion, bytes offchainConfig"
    )
)


@dataclass(frozen=True, slots=True)
class ConfigSet:
    """A configuration as the contract announced it (event `ConfigSet`)."""

    count: int
    signers: tuple[Address, ...]
    transmitters: tuple[Address, ...]
    f: int
    onchain: bytes
    offchain_version: int
    offchain: bytes


def config_digest(chain: ChainId, contract: Address, config: ConfigSet) -> bytes:
    """The 32 bytes that name this configuration. Raises `EncodeError`."""
    encoded = _encode_config(
        (
            chain,
            contract,
            config.count,
            config.signers,
            config.transmitters,
            config.f,
            config.onchain,
            config.offchain_version,
            config.offchain,
        )
    )
    return DIGEST_PREFIX + keccak256(encoded)[len(DIGEST_PREFIX) :]


def observation_payload(digest: bytes, epoch: int, round_: int, query: bytes, observation: bytes) -> bytes:
    """The 32 bytes that a node signs to say: this is what I saw in this round."""
    return hashlib.sha256(
        b"".join((digest, _u32(epoch), bytes((round_,)), _u64(len(query)), query, _u64(len(observation)), observation))
    ).digest()


def extra_hash(query: bytes, observations: Sequence[tuple[int, bytes]]) -> bytes:
    """Over the query and (observer, observation) in the order in which the leader sent them."""
    hashed = hashlib.sha256(_u64(len(query)) + query + _u64(len(observations)))
    for observer, observation in observations:
        hashed.update(_u64(len(observation)) + observation + bytes((observer,)))
    return hashed.digest()


def report_preimage(context: ReportContext, report: bytes) -> bytes:
    """The 128 bytes whose keccak256 is signed: a remote signer that hashes by itself is given these."""
    return keccak256(report) + b"".join(context.words())


def report_digest(context: ReportContext, report: bytes) -> bytes:
    """What the contract recovers the signers from; no EIP-191 prefix."""
    return keccak256(report_preimage(context, report))


def _u32(number: int) -> bytes:
    return number.to_bytes(4, "big")


def _u64(number: int) -> bytes:
    return number.to_bytes(8, "big")
