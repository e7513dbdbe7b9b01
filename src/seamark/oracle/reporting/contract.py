"""The OCR2 contract as a node reads it: what it has now, and which configuration nodes run.

    view()      one call, so of one block: digest, epoch and round, answer, time; beside it the newest RoundRequested
    announced() the newest ConfigSet at one pinned block, once it is deep enough to stay

Nothing is believed: the digest is computed anew from what the log says, and a log that does not come to the digest that
the contract names is refused. Reads go to any node of the chain; one that lags behind tells an older round, which costs
a useless transaction at worst, because the contract takes each round once.

Source: libocr `contract2/OCR2Abstract.sol`, `OCR2Aggregator.sol` (MIT).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Final

from seamark.core.errors import TemporaryError
from seamark.core.ids import Address, ChainId
from seamark.evm.abi import Abi, DecodeError
from seamark.evm.ports import ChainReader
from seamark.evm.types import Call, Log, LogFilter
from seamark.oracle.reporting.config import SECOND
from seamark.oracle.reporting.digest import ConfigSet, config_digest
from seamark.oracle.reporting.plugin import ContractView, Requested
from seamark.runtime.clock import Clock

__all__ = ["ABI", "Announced", "ReportingContract", "encode_set_config"]

ABI: Final = Abi.parse(
    "function latestConfigDetails() view returns (uint32 configCount, uint32 blockNumber, bytes32 configDigest)",
    "function latestTransmissionDetails() view returns "
    "(bytes32 configDigest, uint32 epoch, uint8 round, int192 latestAnswer, uint64 latestTimestamp)",
    "function setConfig(address[] signers, address[] transmitters, uint8 f, bytes onchainConfig, "
    "uint64 offchainConfigVersion, bytes offchainConfig)",
    "event ConfigSet(uint32 previousConfigBlockNumber, bytes32 configDigest, uint64 configCount, address[] signers, "
    "address[] transmitters, uint8 f, bytes onchainConfig, uint64 offchainConfigVersion, bytes offchainConfig)",
    "event RoundRequested(address indexed requester, bytes32 configDigest, uint32 epoch, uint8 round)",
)
REQUESTS_BACK: Final = 1_000
"""Blocks before the first look in which a RoundRequested still counts: three hours of Ethereum."""

_CONFIG_SET: Final = ABI.event("ConfigSet")
_ROUND_REQUESTED: Final = ABI.event("RoundRequested")
_TRANSMISSION: Final = ABI.function("latestTransmissionDetails")
_DETAILS: Final = ABI.function("latestConfigDetails")


@dataclass(frozen=True, slots=True)
class Announced:
    """A configuration that the contract announced, and what it is called.

    `block` is that of its `ConfigSet`, `head` the chain's newest one when it was read.
    """

    digest: bytes
    config: ConfigSet
    block: int
    head: int = field(default=0, compare=False)


class ReportingContract:
    """One contract on one chain.

    Args:
        chain: Reads the chain.
        address: The contract.
        clock: Says when a view was read.
        confirmations: Blocks, with its own, that a configuration needs on top before nodes run it.
    """

    def __init__(self, *, chain: ChainReader, address: Address, clock: Clock, confirmations: int = 1) -> None:
        self.address = address
        self._chain = chain
        self._clock = clock
        self._confirmations = confirmations
        self._transmission = Call(address, _TRANSMISSION.encode())
        self._requested: Requested | None = None
        self._looked_to: int | None = None
        self._known: Announced | None = None

    @property
    def chain_id(self) -> ChainId:
        return self._chain.chain_id

    async def view(self) -> ContractView:
        """What the contract has now.

        Raises:
            RejectedError: The contract does not answer as an OCR2 contract does.
            TemporaryError: No node gave a usable answer.
        """
        told = _TRANSMISSION.decode_result(await self._chain.call(self._transmission))
        return ContractView(
            digest=told.configDigest,
            at=(told.epoch, told.round),
            answer=told.latestAnswer,
            timestamp=told.latestTimestamp,
            read_at=int(self._clock.now() * SECOND),
            requested=self._requested,
        )

    async def announced(self) -> Announced | None:
        """The newest configuration; None while there is none, or while the newest may still be undone by a reorg.

        Also looks for rounds that somebody requested since the last call.

        Raises:
            RejectedError: The contract, or its log, is not what an OCR2 contract has.
            TemporaryError: No node gave a usable answer.
        """
        head = await self._chain.header("latest")
        if head is None:
            raise TemporaryError(f"chain {self.chain_id} has no newest block")
        told = _DETAILS.decode_result(await self._chain.call(Call(self.address, _DETAILS.encode(), head.number)))
        await self._look_for_requests(head.number, told.blockNumber)
        if not told.configCount or head.number - told.blockNumber + 1 < self._confirmations:
            return None
        known = self._known
        if known is not None and (known.digest, known.block) == (told.configDigest, told.blockNumber):
            return replace(known, head=head.number)
        wanted = LogFilter((self.address,), (_CONFIG_SET.topic0,))
        for log in reversed(await self._chain.logs(wanted, told.blockNumber, told.blockNumber)):
            found = self._read(log)
            if found is not None and found.digest == told.configDigest:
                self._known = found
                return replace(found, head=head.number)
        raise TemporaryError(
            f"contract {self.address} names configuration {told.configDigest.hex()}, and no node has its log",
            remedy="the next look asks again; use a node that keeps logs",
        )

    def _read(self, log: Log) -> Announced | None:
        """None where the log does not come to the digest that it names."""
        try:
            values = _CONFIG_SET.decode(log)
        except DecodeError:
            return None
        config = _to_config(values)
        if config_digest(self.chain_id, self.address, config) != values.configDigest:
            return None
        return Announced(values.configDigest, config, log.block_number)

    async def _look_for_requests(self, head: int, config_block: int) -> None:
        first = max(config_block, head - REQUESTS_BACK) if self._looked_to is None else self._looked_to + 1
        wanted = LogFilter((self.address,), (_ROUND_REQUESTED.topic0,))
        for log in await self._chain.logs(wanted, first, head) if first <= head else ():
            try:
                values = _ROUND_REQUESTED.decode(log)
            except DecodeError:
                continue  # a wish that cannot be read; DeltaC sees to it that the price does not grow old
            self._requested = Requested(values.configDigest, (values.epoch, values.round))
        self._looked_to = head


def _to_config(values: Any) -> ConfigSet:
    return ConfigSet(
        count=values.configCount,
        signers=tuple(Address(signer) for signer in values.signers),
        transmitters=tuple(Address(transmitter) for transmitter in values.transmitters),
        f=values.f,
        onchain=values.onchainConfig,
        offchain_version=values.offchainConfigVersion,
        offchain=values.offchainConfig,
    )


def encode_set_config(config: ConfigSet) -> bytes:
    """Calldata of `setConfig`; `config.count` is the contract's business."""
    return ABI.encode_call(
        "setConfig",
        config.signers,
        config.transmitters,
        config.f,
        config.onchain,
        config.offchain_version,
        config.offchain,
    )
