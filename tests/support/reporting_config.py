"""A network's configuration made as operators make it, and the contract that announces it: for tests."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any

from seamark.core.errors import TemporaryError
from seamark.core.ids import Address, ChainId, Hash32
from seamark.evm.abi import compile_encoder
from seamark.evm.signers import RawKeySigner
from seamark.evm.types import BlockHeader, BlockTag, Call, Log, LogFilter
from seamark.oracle.reporting.ceremony import NetworkPlan, NodeIdentity, NodeKeys, configure, read_keys, write_keys
from seamark.oracle.reporting.contract import ABI, Announced
from seamark.oracle.reporting.digest import ConfigSet, config_digest
from seamark.oracle.reporting.membership import Member
from seamark.oracle.reporting.network.identity import make_identity

CHAIN = ChainId(31_337)
CONTRACT = Address("0x5fbdb2315678afecb367f032d93f642f64180aa3")
SECRET = b"a secret of 16 B"
EPHEMERAL = bytes(range(32))


@dataclass(frozen=True)
class Operator:
    """A node's files as values."""

    identity: NodeIdentity
    keys: NodeKeys
    signer: RawKeySigner
    transmitter: RawKeySigner

    @property
    def member(self) -> Member:
        return Member(
            self.signer.address,
            self.transmitter.address,
            self.identity.peer,
            self.keys.observation,
            self.keys.encryption,
        )


@cache
def operator(number: int) -> Operator:
    """Always the same keys for a number; certificates differ from run to run."""
    keys = read_keys(write_keys(bytes((number + 1,)) * 32, bytes((number + 101,)) * 32), setting="keys")
    signer, transmitter = (RawKeySigner.from_hex(f"{number + offset:064x}") for offset in (1, 1001))
    identity = NodeIdentity(
        name=f"node-{number}",
        address=f"10.0.0.{number + 1}:7100",
        signer=signer.address,
        transmitter=transmitter.address,
        observation_key=keys.observation.public.hex(),
        encryption_key=keys.encryption.public.hex(),
        certificate=make_identity().certificate.decode(),
    )
    return Operator(identity, keys, signer, transmitter)


def plan_values(count: int = 4, **changes: Any) -> dict[str, Any]:
    return {
        "nodes": tuple(operator(number).identity for number in range(count)),
        "deviation": "0.5%",
        "heartbeat": "60s",
        "min_answer": 1,
        "max_answer": 10**15,
        **changes,
    }


def plan(nodes: int = 4, **changes: Any) -> NetworkPlan:
    return NetworkPlan.model_validate(plan_values(nodes, **changes))


def announced(nodes: int = 4, *, count: int = 1, block: int = 5, **changes: Any) -> Announced:
    """What the contract would say of this plan."""
    made = configure(plan(nodes, **changes), secret=SECRET, ephemeral=EPHEMERAL)
    config = ConfigSet(
        count, made.signers, made.transmitters, made.f, made.onchain, made.offchain_version, made.offchain
    )
    return Announced(config_digest(CHAIN, CONTRACT, config), config, block)


@dataclass
class FakeContract:
    """`evm.ports.ChainReader` of a chain with nothing but the OCR2 contract on it."""

    head: int = 10
    announced: list[Announced] = field(default_factory=list)
    transmission: tuple[Any, ...] = (bytes(32), 0, 0, 0, 0)
    requests: list[Log] = field(default_factory=list)
    lose_logs: bool = False
    down: bool = False
    final: int | None = None
    calls_made: list[Call] = field(default_factory=list)

    chain_id = CHAIN

    async def header(self, block: BlockTag) -> BlockHeader | None:
        self._check()
        number = self.final if block == "finalized" else self.head
        if number is None:
            return None
        return BlockHeader(number, Hash32(f"0x{number:064x}"), Hash32(f"0x{number - 1:064x}"), 1_700_000_000 + number)

    async def call(self, call: Call) -> bytes:
        self._check()
        self.calls_made.append(call)
        name = next(item.name for item in ABI.functions if call.data[:4] == item.selector)
        if name == "latestTransmissionDetails":
            return _returned(name, self.transmission)
        newest = self.announced[-1] if self.announced else None
        details = (newest.config.count, newest.block, newest.digest) if newest else (0, 0, bytes(32))
        return _returned(name, details)

    async def logs(self, wanted: LogFilter, first: int, last: int, *, end: Hash32 | None = None) -> list[Log]:
        self._check()
        if wanted.topics == (ABI.event("RoundRequested").topic0,):
            return [log for log in self.requests if first <= log.block_number <= last]
        if self.lose_logs:
            return []
        return [config_log(item) for item in self.announced if first <= item.block <= last]

    def _check(self) -> None:
        if self.down:
            raise TemporaryError("no node answers")


def config_log(item: Announced, **changes: Any) -> Log:
    """The `ConfigSet` of a configuration."""
    config = item.config
    values = {
        "previousConfigBlockNumber": 0,
        "configDigest": item.digest,
        "configCount": config.count,
        "signers": config.signers,
        "transmitters": config.transmitters,
        "f": config.f,
        "onchainConfig": config.onchain,
        "offchainConfigVersion": config.offchain_version,
        "offchainConfig": config.offchain,
        **changes,
    }
    return _log("ConfigSet", list(values.values()), item.block)


def _returned(name: str, values: tuple[Any, ...]) -> bytes:
    return compile_encoder(ABI.function(name).outputs)(values)


def _log(name: str, values: list[Any], block: int) -> Log:
    event = ABI.event(name)
    plain = [param for param in event.inputs if not param.indexed]
    data = compile_encoder(plain)(values)
    topics = [event.topic0, *(Hash32("0x" + "00" * 32) for param in event.inputs if param.indexed)]
    number = f"{block:064x}"
    return Log(CONTRACT, tuple(topics), "0x" + data.hex(), block, Hash32("0x" + number), Hash32("0x" + number), 0)


def request_log(digest: bytes, epoch: int, round_: int, block: int) -> Log:
    """Somebody asked for a round."""
    return _log("RoundRequested", [digest, epoch, round_], block)
