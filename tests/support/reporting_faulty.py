"""Faulty nodes of a simulated reporting network: up to f of them, together, with each other's keys and all they heard.

silent         says nothing
slow           is right, and late
lying          observes nonsense: extremes, junk that cannot be read, values out of range
equivocating   tells each node something else: epochs, requests, observations, reports
replaying      repeats what it heard, to anybody, as its own; transmits old reports
unsorted       shuffles, doubles and forges observations and signatures, and reports in any order
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from seamark.core.errors import RejectedError
from seamark.oracle.reporting.codec import Observation, Report, ReportContext, Transmission
from seamark.oracle.reporting.config import MILLISECOND, SECOND
from seamark.oracle.reporting.digest import extra_hash, observation_payload, report_digest
from seamark.oracle.reporting.machine import Broadcast, Effect, Persist, ReportSigned, Send, Transmit
from seamark.oracle.reporting.messages import (
    Final,
    FinalEcho,
    Message,
    NewEpoch,
    Observe,
    ObserveRequest,
    ReportReply,
    ReportRequest,
    SignedObservation,
)
from seamark.oracle.reporting.plugin import EpochRound
from seamark.oracle.reporting.signatures import AttestedReport, ReportSignature, transmission
from tests.support.reporting import BOUNDS, DIGEST, PRICE, Honest, Scenario, World

KINDS = ("silent", "slow", "lying", "equivocating", "replaying", "unsorted")
LIES = (BOUNDS.maximum, BOUNDS.minimum, 0, -PRICE, 2**191 - 1, -(2**191), PRICE * 2, PRICE // 2)
MEDDLES_EVERY = 150 * MILLISECOND
REMEMBERED = 200


class Faulty(Honest):
    """Runs the true machine to know where the others stand, and says something else."""

    def __init__(self, world: World, me: int, kind: str, gang: list[Faulty]) -> None:
        super().__init__(world, me)
        self.kind, self.gang = kind, gang
        self.heard: list[Message] = []
        self.forged: dict[EpochRound, bytes] = {}

    def boot(self) -> None:
        if self.kind == "silent":
            return
        super().boot()
        self.world.after(MEDDLES_EVERY, self._meddle)

    def receive(self, sender: int, message: Message) -> None:
        if len(self.heard) < REMEMBERED or self.world.random.random() < 0.3:
            self.heard = [*self.heard[-REMEMBERED:], message]
        if isinstance(message, ReportReply):
            self._collect(sender, message)
        super().receive(sender, message)

    # ---- what the machine wants said --------------------------------------------------------------------------------

    def do(self, effect: Effect) -> None:
        match effect:
            case Persist(saved=saved):
                self.disk = saved
            case Send(to=to, message=message):
                self.say(to, message)
            case Broadcast(message=ReportRequest() as request) if (
                self.kind == "unsorted" and self.world.random.random() < 0.5
            ):
                self._forge(request)
            case Broadcast(message=message):
                for to in self.others():
                    self.say(to, message)
            case Transmit(call=call):
                self.throw_at_contract(call)
            case _:
                super().do(effect)

    def say(self, to: int, message: Message) -> None:
        rand = self.world.random
        extra = rand.randint(0, 3 * SECOND) if self.kind == "slow" else 0
        for said in self._versions(message):
            self.world.send(self.me, to, said, extra)

    def observe(self, at: EpochRound) -> bytes:
        """Not counted among what honest nodes saw."""
        rand = self.world.random
        now = self.world.now // SECOND
        if self.kind == "slow":
            return Observation(now, PRICE, 0).encode()
        if rand.random() < 0.2:
            return rand.randbytes(rand.randint(0, 60))
        return Observation(rand.choice((0, now, 2**32 - 1)), rand.choice(LIES), rand.choice(LIES)).encode()

    def sign(self, at: EpochRound, preimage: bytes) -> None:
        self.answer(ReportSigned(at, self.signature(preimage)))

    def transmit(self, call: Transmission) -> None:
        self.throw_at_contract(call)

    def throw_at_contract(self, call: Transmission) -> None:
        calldata = call.encode()
        self.world.after(self.world.some_delay(), lambda: self.world.transmit(calldata))

    # ---- other versions of a message --------------------------------------------------------------------------------

    def _versions(self, message: Message) -> Sequence[Message]:
        if self.kind == "equivocating":
            return (self._another(message),)
        if self.kind == "unsorted":
            return (self._disordered(message),)
        return (message,)

    def _another(self, message: Message) -> Message:
        rand = self.world.random
        match message:
            case NewEpoch(epoch=epoch):
                return NewEpoch(max(0, min(2**32 - 1, epoch + rand.choice((-1, 0, 1, 2, 10**6, 2**32)))))
            case ObserveRequest(epoch=epoch, round=round_):
                return ObserveRequest(
                    epoch, max(0, round_ + rand.choice((0, 0, 0, 1, -1))), rand.choice((b"", b"", b"q"))
                )
            case Observe(epoch=epoch, round=round_):
                return Observe(epoch, round_, self._own((epoch, round_)))
            case ReportRequest(observations=observations):
                chosen = rand.sample(observations, rand.randint(len(observations) // 2, len(observations)))
                own = (self.me, self._own((message.epoch, message.round)))
                return replace(message, observations=(*(one for one in chosen if one[0] != self.me), own))
            case ReportReply(report=report) if report is not None and rand.random() < 0.5:
                return ReportReply(message.epoch, message.round, None, None)
            case _:
                return message

    def _disordered(self, message: Message) -> Message:
        rand = self.world.random
        match message:
            case ReportRequest(observations=observations):
                return replace(message, observations=self._disorder(observations))
            case ReportReply(report=report) if report is not None:
                changed = self._turned(report)
                hashed = rand.randbytes(32)
                return ReportReply(
                    message.epoch, message.round, changed, self._sign((message.epoch, message.round), hashed, changed)
                )
            case Final():
                return self._forged(message)
            case FinalEcho(final=final):
                return FinalEcho(self._forged(final))
            case _:
                return message

    def _disorder(
        self, observations: tuple[tuple[int, SignedObservation], ...]
    ) -> tuple[tuple[int, SignedObservation], ...]:
        rand = self.world.random
        shuffled = rand.sample(observations, len(observations))
        match rand.randint(0, 4):
            case 0:
                shuffled.append(shuffled[0])
            case 1:
                shuffled[0] = (rand.randint(-1, self.world.network.n), shuffled[0][1])
            case 2:
                lie = Observation(0, rand.choice(LIES), 0).encode()
                shuffled = [(who, SignedObservation(lie, signed.signature)) for who, signed in shuffled]
            case 3:
                del shuffled[0]
        return tuple(shuffled)

    def _turned(self, raw: bytes) -> bytes:
        try:
            report = Report.decode(raw)
        except RejectedError:
            return raw
        return replace(report, observations=report.observations[::-1], observers=report.observers[::-1]).encode()

    def _forged(self, final: Final) -> Final:
        """The gang's signatures under another report, filled up with honest ones under the true report."""
        rand = self.world.random
        report = rand.choice((self._turned(final.attested.report), Report(1, (0, 1, 2), (1, 1, 1), 0).encode()))
        ours = {node.me: node._sign(final.at, final.extra_hash, report) for node in self.gang}
        theirs = [one for one in final.attested.signatures if one[0] not in ours]
        doubled = list(ours.items()) * (self.world.network.f + 1)
        signatures = rand.choice(([*ours.items(), *theirs], doubled))[: self.world.network.f + 1]
        return replace(final, attested=AttestedReport(report, tuple(signatures)))

    # ---- by itself --------------------------------------------------------------------------------------------------

    def _meddle(self) -> None:
        self.world.after(MEDDLES_EVERY, self._meddle)
        if self.state is None:
            return
        acts: dict[str, Callable[[], None]] = {
            "replaying": self._replay,
            "equivocating": self._push,
            "unsorted": self._usurp,
        }
        acts.get(self.kind, lambda: None)()

    def _replay(self) -> None:
        rand = self.world.random
        for message in rand.sample(self.heard, min(3, len(self.heard))):
            self.world.send(self.me, rand.randrange(self.world.network.n), message)
        finals = [one.final for one in self.heard if isinstance(one, FinalEcho)]
        if finals:
            final = rand.choice(finals)
            context = ReportContext(DIGEST, final.epoch, final.round, final.extra_hash)
            self.throw_at_contract(
                transmission(context, final.attested.report, [one for _, one in final.attested.signatures])
            )

    def _push(self) -> None:
        """Hurries epochs and begins rounds that are not its own."""
        assert self.state is not None
        rand, epoch = self.world.random, self.state.rounds.epoch
        for to in self.others():
            self.world.send(self.me, to, NewEpoch(epoch + rand.randint(0, 5)))
            self.world.send(self.me, to, ObserveRequest(epoch, rand.randint(0, 6)))
            requests = [one for one in self.heard if isinstance(one, ReportRequest) and one.epoch == epoch]
            if requests:
                self.world.send(self.me, to, self._another(rand.choice(requests)))

    def _usurp(self) -> None:
        """Asks for signatures, and finishes rounds, as if it led; transmits what the gang alone has signed."""
        assert self.state is not None
        rand = self.world.random
        at = (self.state.rounds.epoch, self.state.rounds.follow.round)
        gang = [(node.me, node._own(at)) for node in self.gang]
        heard = [message for message in self.heard if isinstance(message, ReportRequest)]
        others = rand.choice(heard).observations if heard else ()
        request = ReportRequest(*at, b"", (*gang, *(one for one in others if one[0] not in dict(gang))))
        hashed = extra_hash(b"", [(who, one.observation) for who, one in request.observations])
        lie = Report(0, (0, 1, 2), (rand.choice(LIES),) * 3, 0).encode()
        final = self._forged(Final(*at, hashed, AttestedReport(lie, ())))
        for to in self.others():
            self.world.send(self.me, to, rand.choice((request, final, FinalEcho(final))))
        signatures = [one for _, one in final.attested.signatures]
        self.throw_at_contract(transmission(ReportContext(DIGEST, *at, hashed), final.attested.report, signatures))

    def _forge(self, request: ReportRequest) -> None:
        """As a leader: the same lie in everybody's name, to everybody; what they sign is collected."""
        lie = Observation(self.world.now // SECOND, PRICE * 2, 0).encode()
        lies = tuple((who, SignedObservation(lie, signed.signature)) for who, signed in request.observations)
        self.forged[request.epoch, request.round] = extra_hash(b"", [(who, lie) for who, _ in lies])
        for to in self.others():
            self.world.send(self.me, to, replace(request, observations=lies))

    def _collect(self, sender: int, reply: ReportReply) -> None:
        """One honest signature is enough: the gang has f of its own."""
        at = (reply.epoch, reply.round)
        if at not in self.forged or reply.report is None or reply.signature is None:
            return
        context = ReportContext(DIGEST, *at, self.forged[at])
        if self.world.crypto.signer_of(report_digest(context, reply.report), reply.signature) == sender:
            ours = [node._sign(at, context.extra_hash, reply.report) for node in self.gang if node.me != sender]
            signatures = [reply.signature, *ours][: self.world.network.f + 1]
            self.throw_at_contract(transmission(context, reply.report, signatures))

    def _own(self, at: EpochRound) -> SignedObservation:
        """A fresh lie for a round, rightly signed."""
        observation = self.observe(at)
        payload = observation_payload(DIGEST, *at, b"", observation)
        return SignedObservation(observation, self.world.crypto.sign(self.me, payload))

    def _sign(self, at: EpochRound, hashed: bytes, report: bytes) -> ReportSignature:
        return self.world.crypto.sign_digest(self.me, report_digest(ReportContext(DIGEST, *at, hashed), report))


def world_of(scenario: Scenario) -> World:
    """The network of a scenario, switched on; the first nodes are the faulty ones (leaders are drawn anyway)."""
    world = World(scenario)
    gang: list[Faulty] = []
    nodes: list[Honest] = [Faulty(world, me, kind, gang) for me, kind in enumerate(scenario.faulty)]
    gang.extend(node for node in nodes if isinstance(node, Faulty))
    nodes += [Honest(world, me) for me in range(len(nodes), scenario.n)]
    world.receive = [node.receive for node in nodes]
    for node in nodes:
        world.after(world.random.randint(0, SECOND), node.boot)
    honest = nodes[len(scenario.faulty) :]
    for at, index, down_for, effects in scenario.crashes:
        victim = honest[index % len(honest)]
        back = max(0, min(down_for, scenario.calm_at - at))
        if at < scenario.calm_at:
            world.after(at, partial(victim.crash, back, effects))
    return world
