"""A reporting network in virtual time: the true machines, a faulty network, a contract that checks as the real one.

Everything follows from a `Scenario`: the same one gives the same run. Until `calm_at` messages are late, lost, doubled
and overtaken, the network is parted, nodes crash (also between two effects of one step) and start again from what they
saved; sources, signers and the chain fail now and then. After it only the faulty nodes are faulty.

What must hold is checked wherever it could break: at each signature, each transmission, each start.
"""

from __future__ import annotations

import heapq
import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256

from coincurve import PrivateKey

from seamark.core.errors import RejectedError
from seamark.core.ids import Address
from seamark.core.units import Ppb
from seamark.evm.crypto import address_of_public_key, keccak256, recover_address
from seamark.oracle.reporting.codec import (
    MedianSettings,
    Observation,
    OnchainConfig,
    Report,
    ReportContext,
    Transmission,
    report_length,
)
from seamark.oracle.reporting.config import MILLISECOND, SECOND, Network, Node, Timing
from seamark.oracle.reporting.digest import report_digest
from seamark.oracle.reporting.keys import ObservationKey, verify_observation
from seamark.oracle.reporting.machine import (
    Broadcast,
    Context,
    ContractRead,
    Effect,
    Event,
    MakeObservation,
    Observed,
    Persist,
    ReadContract,
    Received,
    ReportSigned,
    Saved,
    Send,
    SignReport,
    Transmit,
    Woke,
)
from seamark.oracle.reporting.messages import Message
from seamark.oracle.reporting.plugin import ContractView, EpochRound, MedianPlugin
from seamark.oracle.reporting.protocol import State, start, step, wake_at
from seamark.oracle.reporting.schedule import Schedule
from seamark.oracle.reporting.signatures import ReportSignature

DIGEST = b"\0\1" + b"simulated-reporting-network!!!"
ZERO = 1_700_000_000 * SECOND  # the time at which every run begins
PRICE = 1_000_000_000
BOUNDS = OnchainConfig(1, 10**24)
SETTINGS = MedianSettings(Ppb(1_000_000), Ppb(5_000_000), SECOND)
PATIENCE = 2 * SECOND  # DeltaProgress


@dataclass(frozen=True)
class Scenario:
    """One run. Times in nanoseconds since its beginning, chances from 0 to 1."""

    seed: int
    f: int = 1
    faulty: tuple[str, ...] = ()
    calm_at: int = 5 * SECOND
    delay: int = 100 * MILLISECOND  # the longest, before it is calm
    drop: float = 0.0
    double: float = 0.0
    failure: float = 0.0  # of sources, signers, reads of the chain
    partitions: tuple[tuple[int, int, int], ...] = ()  # from, to, bits of the nodes on one side
    crashes: tuple[tuple[int, int, int, int], ...] = ()  # when, which node, for how long, after how many effects
    forget: bool = False  # a mutation: nodes lose what they saved
    real: bool = False  # curves instead of hashes

    @property
    def n(self) -> int:
        return 3 * self.f + 1


def network_of(scenario: Scenario) -> Network:
    nodes = tuple(
        Node(Address(f"0x{index:040x}"), bytes((index,)) * 32, f"node-{index}", Address(f"0x{index + 99:040x}"))
        for index in range(scenario.n)
    )
    timing = Timing(
        PATIENCE, SECOND, 200 * MILLISECOND, 50 * MILLISECOND, 500 * MILLISECOND, 4, (1, 1, *[1] * scenario.n)
    )
    return Network(DIGEST, nodes, scenario.f, timing, SETTINGS, BOUNDS)


class ToyCrypto:
    """Signatures that only who knows a node's secret can make: a hash. Ten times faster than curves."""

    def __init__(self, n: int) -> None:
        self.secrets = [sha256(b"secret %d" % index).digest() for index in range(n)]

    def sign(self, node: int, payload: bytes) -> bytes:
        return sha256(self.secrets[node] + payload).digest()

    def verify(self, node: int, payload: bytes, signature: bytes) -> bool:
        return self.sign(node, payload) == signature

    def sign_digest(self, node: int, digest: bytes) -> ReportSignature:
        return ReportSignature(0, int.from_bytes(self.sign(node, digest), "big"), 1)

    def signer_of(self, digest: bytes, signature: ReportSignature) -> int | None:
        made = (node for node in range(len(self.secrets)) if self.sign_digest(node, digest) == signature)
        return next(made, None)


class RealCrypto(ToyCrypto):
    """Curves, as a network has them."""

    def __init__(self, n: int) -> None:
        super().__init__(n)
        self.observation_keys = [ObservationKey(secret) for secret in self.secrets]
        self.report_keys = [PrivateKey(secret) for secret in self.secrets]
        self.addresses = [address_of_public_key(key.public_key.format(compressed=False)) for key in self.report_keys]

    def sign(self, node: int, payload: bytes) -> bytes:
        return self.observation_keys[node].sign(payload)

    def verify(self, node: int, payload: bytes, signature: bytes) -> bool:
        return verify_observation(self.observation_keys[node].public, payload, signature)

    def sign_digest(self, node: int, digest: bytes) -> ReportSignature:
        made = self.report_keys[node].sign_recoverable(digest, hasher=None)
        return ReportSignature(made[64], int.from_bytes(made[:32], "big"), int.from_bytes(made[32:64], "big"))

    def signer_of(self, digest: bytes, signature: ReportSignature) -> int | None:
        try:
            return self.addresses.index(recover_address(digest, signature.parity, signature.r, signature.s))
        except (RejectedError, ValueError):
            return None


@dataclass(frozen=True)
class NodeCrypto:
    """What one node may do: sign as itself, verify everybody."""

    crypto: ToyCrypto
    me: int

    def sign_observation(self, payload: bytes) -> bytes:
        return self.crypto.sign(self.me, payload)

    def verify_observation(self, node: int, payload: bytes, signature: bytes) -> bool:
        return self.crypto.verify(node, payload, signature)

    def verify_report(self, node: int, context: ReportContext, report: bytes, signature: ReportSignature) -> bool:
        return self.crypto.signer_of(report_digest(context, report), signature) == node


@dataclass
class Contract:
    """OCR2Aggregator: the ten reasons to revert, in its order."""

    network: Network
    crypto: ToyCrypto
    at: EpochRound = (0, 0)
    answer: int = 0
    timestamp: int = ZERO // SECOND
    accepted: list[tuple[EpochRound, int, int]] = field(default_factory=list)

    def view(self, now: int) -> ContractView:
        return ContractView(DIGEST, self.at, self.answer, self.timestamp, now)

    def transmit(self, calldata: bytes, now: int) -> str | None:
        """Why it reverts, or None."""
        try:
            call = Transmission.decode(calldata)
        except RejectedError:
            return "calldata length mismatch"
        at = (call.context.epoch, call.context.round)
        if at <= self.at:
            return "stale report"
        if call.context.digest != DIGEST:
            return "configDigest mismatch"
        fault = self._signatures(call) or self._report(call)
        if fault is None:
            report = Report.decode(call.report)
            self.at, self.answer, self.timestamp = at, report.median, now // SECOND
            self.accepted.append((at, report.median, now))
        return fault

    def _signatures(self, call: Transmission) -> str | None:
        if len(call.rs) != self.network.f + 1:
            return "wrong number of signatures"
        digest = report_digest(call.context, call.report)
        made = zip(call.parities, call.rs, call.ss, strict=True)
        signers = [self.crypto.signer_of(digest, ReportSignature(*each)) for each in made]
        if None in signers:
            return "signature error"
        return "duplicate signer" if len(set(signers)) != len(signers) else None

    def _report(self, call: Transmission) -> str | None:
        try:
            report = Report.decode(call.report)
        except RejectedError:
            return "report length mismatch"
        if len(report.observations) <= self.network.f:
            return "too few values to trust median"
        if len(call.report) > report_length(self.network.n):
            return "report length mismatch"
        inside = BOUNDS.minimum <= report.median <= BOUNDS.maximum
        return None if inside else "median is out of min-max range"


class World:
    """Time, the network, the chain, the price, and what was seen of honest nodes."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.random = random.Random(scenario.seed)
        self.network = network_of(scenario)
        self.crypto = RealCrypto(scenario.n) if scenario.real else ToyCrypto(scenario.n)
        self.contract = Contract(self.network, self.crypto)
        self.schedule = Schedule.from_secret(sha256(b"%d" % scenario.seed).digest()[:16], scenario.n)
        self.now = ZERO
        self.count = 0
        self.queue: list[tuple[int, int, Callable[[], None]]] = []
        self.receive: list[Callable[[int, Message], None]] = []
        self.honest_values: dict[EpochRound, list[int]] = defaultdict(list)
        self.signed: dict[tuple[int, EpochRound], bytes] = {}
        self.transmitted = 0
        self.reverts: list[str] = []

    @property
    def calm(self) -> bool:
        return self.now - ZERO >= self.scenario.calm_at

    def context(self, me: int) -> Context:
        plugin = MedianPlugin(SETTINGS, BOUNDS, DIGEST, self.network.n, self.network.f)
        return Context(self.network, me, self.schedule, plugin, NodeCrypto(self.crypto, me))

    def after(self, delay: int, action: Callable[[], None]) -> None:
        self.count += 1
        heapq.heappush(self.queue, (self.now + delay, self.count, action))

    def fails(self) -> bool:
        return not self.calm and self.random.random() < self.scenario.failure

    def some_delay(self) -> int:
        longest = 20 * MILLISECOND if self.calm else self.scenario.delay
        return self.random.randint(MILLISECOND // 10, max(longest, MILLISECOND))

    def send(self, sender: int, to: int, message: Message, extra: int = 0) -> None:
        if not self.calm and (self._parted(sender, to) or self.random.random() < self.scenario.drop):
            return
        copies = 2 if not self.calm and self.random.random() < self.scenario.double else 1
        for _ in range(copies):
            self.after(self.some_delay() + extra, lambda: self.receive[to](sender, message))

    def _parted(self, one: int, other: int) -> bool:
        since = self.now - ZERO
        return any(
            first <= since < last and (bits >> one & 1) != (bits >> other & 1)
            for first, last, bits in self.scenario.partitions
        )

    def honest_observation(self, at: EpochRound) -> bytes:
        drift = (self.now - ZERO) // (20 * MILLISECOND) * 100_000
        value = PRICE + drift + self.random.randint(-50_000, 50_000)
        self.honest_values[at].append(value)
        return Observation(self.now // SECOND, value, self.random.randint(0, 9)).encode()

    def transmit(self, calldata: bytes) -> None:
        before = self.contract.at
        fault = self.contract.transmit(calldata, self.now)
        if fault is not None:
            self.reverts.append(fault)
            return
        self.check_report(Transmission.decode(calldata))
        assert self.contract.at > before

    def check_report(self, call: Transmission) -> None:
        """What f + 1 nodes signed: sorted, and its answer within what honest nodes saw in that round."""
        report = Report.decode(call.report)
        seen = self.honest_values[call.context.epoch, call.context.round]
        assert report.is_sorted
        assert seen, "a report of a round that no honest node took part in"
        assert min(seen) <= report.median <= max(seen)
        assert len(set(report.observers)) == len(report.observers) > self.network.f  # junk is left out

    def run(self, until: Callable[[], bool], limit: int) -> bool:
        """Whether it came true before `limit` (nanoseconds since the beginning)."""
        while self.queue and not until():
            if self.queue[0][0] - ZERO > limit:
                return False
            self.now, _, action = heapq.heappop(self.queue)
            action()
        return until()


class Honest:
    """The true machine, with its disk; it may die between two effects."""

    def __init__(self, world: World, me: int) -> None:
        self.world, self.me = world, me
        self.context = world.context(me)
        self.state: State | None = None
        self.disk: Saved | None = None
        self.life = 0
        self.dies_after: int | None = None
        self.down_for = 0
        self.newest_epoch = 0
        self.wakes_at = 0

    def boot(self) -> None:
        if self.scenario_forgets():
            self.disk = None
        self.life += 1
        seen = 0 if self.world.fails() else self.world.contract.at[0]
        self.state, effects = start(self.context, self.disk, seen, self.world.now)
        self._carry_out(effects)

    def scenario_forgets(self) -> bool:
        return self.world.scenario.forget

    def crash(self, down_for: int, effects: int) -> None:
        self.dies_after, self.down_for = effects, down_for

    def receive(self, sender: int, message: Message) -> None:
        self.handle(Received(sender, message))

    def handle(self, event: Event) -> None:
        if self.state is None:
            return
        self.state, effects = step(self.context, self.state, event, self.world.now)
        self._carry_out(effects)

    def _carry_out(self, effects: list[Effect]) -> None:
        assert not any(isinstance(effect, Persist) for effect in effects[1:])
        if self.dies_after is not None:
            for effect in effects[: self.dies_after]:
                self.do(effect)
            self._die()
            return
        for effect in effects:
            self.do(effect)
        self._sleep()

    def _die(self) -> None:
        self.state, self.dies_after = None, None
        self.life += 1
        self.world.after(self.down_for, self.boot)

    def _sleep(self) -> None:
        assert self.state is not None
        at = wake_at(self.state)
        if at != self.wakes_at:
            self.wakes_at = at
            self.later(max(0, at - self.world.now), lambda: self._wake(at))

    def _wake(self, at: int) -> None:
        if self.state is not None and at == self.wakes_at:
            self.wakes_at = 0
            self.handle(Woke())

    def later(self, delay: int, action: Callable[[], None]) -> None:
        """Only in this life."""
        life = self.life
        self.world.after(delay, lambda: action() if life == self.life else None)

    def answer(self, event: Event) -> None:
        self.later(self.world.some_delay() // 4, lambda: self.handle(event))

    def do(self, effect: Effect) -> None:
        world = self.world
        match effect:
            case Persist(saved=saved):
                assert saved.epoch >= self.newest_epoch or world.scenario.forget
                self.newest_epoch = saved.epoch
                self.disk = saved
            case Send(to=to, message=message):
                world.send(self.me, to, message)
            case Broadcast(message=message):
                for to in self.others():
                    world.send(self.me, to, message)
            case MakeObservation(at=at):
                self.answer(Observed(at, None if world.fails() else self.observe(at)))
            case ReadContract(purpose=purpose, at=at):
                view = None if world.fails() else world.contract.view(world.now)
                self.answer(ContractRead(purpose, at, view))
            case SignReport(at=at, preimage=preimage):
                self.sign(at, preimage)
            case Transmit(call=call):
                self.transmit(call)

    def others(self) -> list[int]:
        return [node for node in range(self.context.n) if node != self.me]

    def observe(self, at: EpochRound) -> bytes | None:
        return self.world.honest_observation(at)

    def sign(self, at: EpochRound, preimage: bytes) -> None:
        world = self.world
        assert self.disk is not None
        assert self.disk.signed == at, "signed before it was on disk"
        assert (self.me, at) not in world.signed, "two reports of one round"
        world.signed[self.me, at] = preimage
        signature = None if world.fails() else self.signature(preimage)
        self.answer(ReportSigned(at, signature))

    def signature(self, preimage: bytes) -> ReportSignature:
        return self.world.crypto.sign_digest(self.me, keccak256(preimage))

    def transmit(self, call: Transmission) -> None:
        """An honest node sends only what the contract takes, unless another one is faster."""
        world = self.world
        world.check_report(call)
        digest = report_digest(call.context, call.report)
        made = zip(call.parities, call.rs, call.ss, strict=True)
        signers = {world.crypto.signer_of(digest, ReportSignature(*each)) for each in made}
        assert None not in signers
        assert len(signers) == len(call.rs) == world.network.f + 1
        world.transmitted += 1
        calldata = call.encode()
        world.after(world.some_delay(), lambda: world.transmit(calldata))
