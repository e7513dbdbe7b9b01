"""Nodes of a reporting network as they run: real keys, real TLS over loopback, a database each, one stub contract.

The contract checks what the published one checks (`tests/support/reporting.py`); the price is whatever `Market` says.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter, defaultdict
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import cached_property

from coincurve import PrivateKey

from seamark.core.errors import RejectedError
from seamark.core.ids import Address
from seamark.core.units import Ppb
from seamark.evm.crypto import address_of_public_key, keccak256, recover_address
from seamark.oracle.reporting.codec import MedianSettings, Observation
from seamark.oracle.reporting.config import MILLISECOND, SECOND, Network, Node, Timing
from seamark.oracle.reporting.crypto import NodeCrypto
from seamark.oracle.reporting.driver import Driver
from seamark.oracle.reporting.keys import ObservationKey
from seamark.oracle.reporting.machine import Context
from seamark.oracle.reporting.network import NetworkLimits, Peer, PeerNetwork
from seamark.oracle.reporting.network.identity import make_identity
from seamark.oracle.reporting.plugin import MedianPlugin
from seamark.oracle.reporting.ports import TimeLimits
from seamark.oracle.reporting.schedule import Schedule
from seamark.oracle.reporting.store import Place
from seamark.runtime.clock import SystemClock
from seamark.storage.database import Database, open_database
from tests.support.reporting import BOUNDS, DIGEST, Contract, ToyCrypto

PRICE = 1_000_000_000
QUICK = Timing(  # rounds of 100 ms: a test of ten rounds takes a second
    progress=600 * MILLISECOND,
    resend=300 * MILLISECOND,
    round=100 * MILLISECOND,
    grace=20 * MILLISECOND,
    stage=150 * MILLISECOND,
    max_rounds=20,
    stages=(1, 1, 1, 1),
)
EAGER = MedianSettings(Ppb(1), Ppb(1), SECOND)  # every change is worth a report
LIMITS = TimeLimits(*[200 * MILLISECOND] * 4)


class RawSigner:
    """`evm.ports.Signer`, and all that it signed."""

    def __init__(self, number: int) -> None:
        self._key = PrivateKey(keccak256(b"signer %d" % number))
        self.address: Address = address_of_public_key(self._key.public_key.format(compressed=False))
        self.signed: list[bytes] = []
        self.delay = 0.0

    async def sign(self, preimage: bytes) -> tuple[int, int, int]:
        if self.delay:
            await asyncio.sleep(self.delay)
        self.signed.append(preimage)
        made = self._key.sign_recoverable(keccak256(preimage), hasher=None)
        return made[64], int.from_bytes(made[:32], "big"), int.from_bytes(made[32:64], "big")


@dataclass
class Counts:
    """Both observers."""

    epochs: list[int] = field(default_factory=list)
    finished: list[tuple[int, int]] = field(default_factory=list)
    led: list[tuple[int, int]] = field(default_factory=list)
    sent_observations: int = 0
    included: int = 0
    transmissions: int = 0
    calls: Counter[tuple[str, str | None]] = field(default_factory=Counter)
    up: set[str] = field(default_factory=set)
    messages: Counter[str] = field(default_factory=Counter)
    drops: Counter[tuple[str, str]] = field(default_factory=Counter)
    slow: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    strangers: int = 0

    def epoch_began(self, epoch: int, leader: int) -> None:
        self.epochs.append(epoch)

    def round_began(self, at: tuple[int, int]) -> None:
        self.led.append(at)

    def observed(self, at: tuple[int, int]) -> None:
        self.sent_observations += 1

    def round_finished(self, at: tuple[int, int], *, led: bool, included: bool) -> None:
        self.finished.append(at)
        self.included += included

    def called(self, port: str, seconds: float, failure: str | None) -> None:
        self.calls[str(port), failure] += 1

    def transmitted(self, at: tuple[int, int]) -> None:
        self.transmissions += 1

    def connected(self, peer: str, *, up: bool) -> None:
        (self.up.add if up else self.up.discard)(peer)

    def sent(self, peer: str, messages: int, size: int) -> None:
        self.messages["sent"] += messages

    def received(self, peer: str, messages: int, size: int) -> None:
        self.messages[peer] += messages

    def dropped(self, peer: str, reason: str, messages: int) -> None:
        self.drops[peer, reason] += messages

    def slowed(self, peer: str, seconds: float) -> None:
        self.slow[peer] += seconds

    def refused(self, peer: str) -> None:
        self.strangers += 1


class Signers(ToyCrypto):
    """`tests.support.reporting.Contract` asks who signed: accounts, as the real one."""

    def __init__(self, addresses: list[Address]) -> None:
        super().__init__(0)
        self.addresses = addresses

    def signer_of(self, digest, signature):
        try:
            return self.addresses.index(recover_address(digest, signature.parity, signature.r, signature.s))
        except (RejectedError, ValueError):
            return None


class World:
    """Everything that nodes share."""

    def __init__(self, n: int, *, timing: Timing = QUICK, median: MedianSettings = EAGER) -> None:
        self.n = n
        self.signers = [RawSigner(index) for index in range(n)]
        self.identities = [make_identity() for _ in range(n)]
        self.keys = [ObservationKey(keccak256(b"observer %d" % index)) for index in range(n)]
        nodes = tuple(
            Node(signer.address, key.public, identity.fingerprint, Address(f"0x{index + 99:040x}"))
            for index, (signer, key, identity) in enumerate(zip(self.signers, self.keys, self.identities, strict=True))
        )
        self.network = Network(DIGEST, nodes, (n - 1) // 3, timing, median, BOUNDS)
        self.contract = Contract(self.network, Signers([signer.address for signer in self.signers]))
        self.contract.timestamp = int(time.time())
        self.schedule = Schedule.from_secret(bytes(16), n)
        self.ports = free_ports(n)

    @cached_property
    def limits(self) -> NetworkLimits:
        return NetworkLimits()

    def price(self) -> int:
        """It moves all the time."""
        return PRICE + time.monotonic_ns() // 1000 % 10**6

    def context(self, me: int) -> Context:
        plugin = MedianPlugin(self.network.median, BOUNDS, DIGEST, self.n, self.network.f)
        return Context(self.network, me, self.schedule, plugin, NodeCrypto(self.keys[me], self.network))

    def peers(self) -> list[Peer]:
        return [
            Peer(f"node-{index}", f"127.0.0.1:{self.ports[index]}", identity.certificate)
            for index, identity in enumerate(self.identities)
        ]


class LiveNode:
    """One node: its ports are its own methods, so that a test changes one."""

    def __init__(self, world: World, me: int, url: str = "sqlite://") -> None:
        self.world, self.me, self.url = world, me, url
        self.counts = Counts()
        self.database: Database | None = None
        self.network: PeerNetwork | None = None
        self.driver: Driver | None = None
        self.running: asyncio.Task[None] | None = None
        self._stack = AsyncExitStack()

    # ---- ports

    async def observe(self, at):
        return Observation(int(time.time()), self.world.price() + self.me, 0)

    async def view(self):
        return self.world.contract.view(time.time_ns())

    async def transmit(self, at, call):
        fault = self.world.contract.transmit(call.encode(), time.time_ns())
        if fault is not None:
            raise RuntimeError(fault)

    # ---- life

    async def begin(self, database: Database | None = None) -> None:
        self.network = PeerNetwork(
            self.world.identities[self.me],
            self.world.peers(),
            listen=f"127.0.0.1:{self.world.ports[self.me]}",
            limits=self.world.limits,
            observer=self.counts,
        )
        await self._stack.enter_async_context(self.network)
        if database is None:
            database = await open_database(self.url)
            self._stack.push_async_callback(database.close)
        self.database = database
        link = self.network.join(DIGEST, [node.peer for node in self.world.network.nodes])
        self.driver = Driver(
            self.world.context(self.me),
            Place("31337:0x01", DIGEST, self.me),
            transport=link,
            database=database,
            source=self,
            contract=self,
            signer=self.world.signers[self.me],
            transmitter=self,
            limits=LIMITS,
            clock=SystemClock(),
            observer=self.counts,
        )
        self.running = asyncio.create_task(self.driver.run())

    async def end(self) -> None:
        if self.running is not None:
            self.running.cancel()
            await asyncio.gather(self.running, return_exceptions=True)
        await self._stack.aclose()
        self._stack = AsyncExitStack()


def free_ports(count: int) -> list[int]:
    """Free now, and all different."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


async def until(true, limit: float = 20.0) -> None:
    """Look every few milliseconds."""
    async with asyncio.timeout(limit):
        while not true():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.005)
