"""One node of the protocol, message by message."""

from dataclasses import replace

import pytest

from seamark.oracle.reporting.codec import Observation, Report, ReportContext
from seamark.oracle.reporting.config import MILLISECOND, SECOND
from seamark.oracle.reporting.digest import extra_hash, observation_payload, report_digest
from seamark.oracle.reporting.machine import (
    Broadcast,
    ContractRead,
    MakeObservation,
    Observed,
    Pending,
    Persist,
    Purpose,
    ReadContract,
    Received,
    ReportSigned,
    Saved,
    Send,
    SignReport,
    Transmit,
    Woke,
)
from seamark.oracle.reporting.messages import (
    Final,
    FinalEcho,
    NewEpoch,
    Observe,
    ObserveRequest,
    ReportReply,
    ReportRequest,
    SignedObservation,
)
from seamark.oracle.reporting.pacemaker import LAST_EPOCH
from seamark.oracle.reporting.plugin import ContractView, EpochRound
from seamark.oracle.reporting.protocol import AHEAD_LIMIT, saved_of, start, step, wake_at
from seamark.oracle.reporting.signatures import AttestedReport
from tests.support.reporting import DIGEST, PATIENCE, PRICE, ZERO, Scenario, World

WORLD = World(Scenario(seed=7))
LEADER = WORLD.schedule.leader(1)
FOLLOWER = (LEADER + 1) % 4
OTHERS = [node for node in range(4) if node != LEADER]
EMPTY = ContractView(DIGEST, (0, 0), 0, ZERO // SECOND, ZERO)
QUIET = ContractView(DIGEST, (1, 0), PRICE, ZERO // SECOND, ZERO)


class Machine:
    """One node, its state and what it wanted done by the last event."""

    def __init__(self, me, saved=None, contract_epoch=0, now=ZERO):
        self.context, self.now = WORLD.context(me), now
        self.state, self.effects = start(self.context, saved, contract_epoch, now)

    def on(self, event, after=0):
        self.now += after
        self.state, self.effects = step(self.context, self.state, event, self.now)
        return self.effects

    def hear(self, sender, message):
        return self.on(Received(sender, message))

    def said(self, kind):
        messages = [effect.message for effect in self.effects if isinstance(effect, Send | Broadcast)]
        return [message for message in messages if isinstance(message, kind)]

    def wanted(self, kind):
        return [effect for effect in self.effects if isinstance(effect, kind)]


def signed(node, value, at: EpochRound = (1, 1)):
    observation = Observation(ZERO // SECOND, value, 0).encode()
    return SignedObservation(
        observation, WORLD.crypto.sign(node, observation_payload(DIGEST, at[0], at[1], b"", observation))
    )


def request(nodes=(0, 1, 2), at=(1, 1), first=PRICE):
    return ReportRequest(at[0], at[1], b"", tuple((node, signed(node, first + node, at)) for node in nodes))


def hash_of(message):
    return extra_hash(b"", [(node, one.observation) for node, one in message.observations])


def final_of(at=(1, 1), signers=(0, 1), median=PRICE):
    report = Report(1, (0, 1, 2), (median,) * 3, 0).encode()
    digest = report_digest(ReportContext(DIGEST, at[0], at[1], b"h" * 32), report)
    signatures = tuple((node, WORLD.crypto.sign_digest(node, digest)) for node in signers)
    return Final(at[0], at[1], b"h" * 32, AttestedReport(report, signatures))


def asked_to_report(message=None, saved=None):
    """A follower that has been asked for a report and reads the contract."""
    machine = Machine(FOLLOWER, saved)
    machine.hear(LEADER, ObserveRequest(1, 1))
    machine.hear(LEADER, message or request())
    return machine


def signing():
    machine = asked_to_report()
    machine.on(ContractRead(Purpose.REPORT, (1, 1), EMPTY))
    return machine


# ---- pacemaker ------------------------------------------------------------------------------------------------------


def test_f_nodes_alone_hurry_nobody():
    machine = Machine(FOLLOWER)
    machine.hear(LEADER, NewEpoch(9))
    assert not machine.said(NewEpoch)
    assert machine.state.pacemaker.epoch == 1


def test_more_than_f_are_repeated_and_more_than_2f_are_followed():
    """The node's own word is the third."""
    machine = Machine(FOLLOWER)
    others = [node for node in range(4) if node != FOLLOWER]
    machine.hear(others[0], NewEpoch(9))
    machine.hear(others[1], NewEpoch(5))
    assert machine.said(NewEpoch) == [NewEpoch(5)]
    assert machine.state.pacemaker.epoch == 5
    assert isinstance(machine.effects[0], Persist)
    assert machine.effects[0].saved == saved_of(machine.state)
    machine.hear(others[2], NewEpoch(9))
    assert machine.state.pacemaker.epoch == 9
    assert machine.state.rounds.leader == WORLD.schedule.leader(9)


def test_an_older_epoch_is_no_news():
    machine = Machine(FOLLOWER, Saved(6, 6, (6, 6, 6, 6), (0, 0), ()))
    for node in range(4):
        assert machine.hear(node, NewEpoch(6)) == []


def test_a_leader_without_progress_is_replaced_and_the_wish_repeated():
    machine = Machine(FOLLOWER)
    machine.on(Woke(), after=PATIENCE - 1)
    assert machine.said(NewEpoch) == [NewEpoch(1)]
    machine.on(Woke(), after=1)
    assert machine.said(NewEpoch) == [NewEpoch(2)]
    assert wake_at(machine.state) == machine.now + SECOND
    machine.on(Woke(), after=SECOND)
    assert machine.said(NewEpoch) == [NewEpoch(2)]
    assert machine.state.pacemaker.epoch == 1


def test_the_last_epoch_is_not_passed():
    machine = Machine(FOLLOWER, Saved(LAST_EPOCH, LAST_EPOCH, (LAST_EPOCH,) * 4, (0, 0), ()))
    machine.on(Woke(), after=PATIENCE)
    assert machine.said(NewEpoch) == [NewEpoch(LAST_EPOCH)]


def test_a_node_begins_where_it_was_and_asks_for_more_than_the_contract_has():
    saved = Saved(4, 6, (4, 4, 6, 4), (4, 2), ())
    assert Machine(FOLLOWER, saved).state.pacemaker.epoch == 4
    assert Machine(FOLLOWER, saved).said(NewEpoch) == [NewEpoch(6)]
    assert Machine(FOLLOWER, saved, contract_epoch=9).said(NewEpoch) == [NewEpoch(10)]
    assert Machine(FOLLOWER).said(NewEpoch) == [NewEpoch(1)]


def test_nothing_changed_is_not_written():
    machine = Machine(FOLLOWER)
    saved = saved_of(machine.state)
    again = Machine(FOLLOWER, saved)
    assert not again.wanted(Persist)


# ---- followers ------------------------------------------------------------------------------------------------------


def test_a_follower_observes_once_a_round_for_its_leader_alone():
    machine = Machine(FOLLOWER)
    assert machine.hear((LEADER + 2) % 4, ObserveRequest(1, 1)) == []
    assert machine.hear(LEADER, ObserveRequest(1, 1, b"query")) == []
    assert machine.hear(LEADER, ObserveRequest(1, 1)) == [MakeObservation((1, 1))]
    assert machine.hear(LEADER, ObserveRequest(1, 1)) == []
    assert machine.hear(LEADER, ObserveRequest(1, 3)) == [MakeObservation((1, 3))]
    assert machine.hear(LEADER, ObserveRequest(1, 2)) == []


def test_an_observation_is_signed_for_its_round_and_late_ones_are_dropped():
    machine = Machine(FOLLOWER)
    machine.hear(LEADER, ObserveRequest(1, 1))
    raw = signed(FOLLOWER, PRICE).observation
    assert machine.on(Observed((1, 1), raw)) == [Send(LEADER, Observe(1, 1, signed(FOLLOWER, PRICE)))]
    machine.hear(LEADER, ObserveRequest(1, 2))
    assert machine.on(Observed((1, 1), raw)) == []
    assert machine.on(Observed((1, 2), None)) == []


def test_a_leader_that_had_its_rounds_is_replaced_and_may_not_go_on():
    machine = Machine(FOLLOWER)
    rounds = machine.context.network.timing.max_rounds
    assert machine.hear(LEADER, ObserveRequest(1, rounds + 2)) == []
    machine.hear(LEADER, ObserveRequest(1, rounds + 1))
    assert machine.said(NewEpoch) == [NewEpoch(2)]
    assert not machine.wanted(MakeObservation)


def test_a_report_is_computed_by_the_follower_itself_and_signed_after_it_was_written_down():
    machine = asked_to_report()
    assert machine.effects == [ReadContract(Purpose.REPORT, (1, 1))]
    machine.on(ContractRead(Purpose.REPORT, (1, 1), EMPTY))
    persist, sign = machine.effects
    assert persist.saved.signed == (1, 1)
    assert isinstance(sign, SignReport)
    report = Report(ZERO // SECOND, (0, 1, 2), (PRICE, PRICE + 1, PRICE + 2), 0).encode()
    digest = report_digest(ReportContext(DIGEST, 1, 1, hash_of(request())), report)
    signature = WORLD.crypto.sign_digest(FOLLOWER, digest)
    assert machine.on(ReportSigned((1, 1), signature)) == [Send(LEADER, ReportReply(1, 1, report, signature))]


def test_whatever_order_the_leader_sends_the_report_is_sorted():
    machine = asked_to_report(replace(request(), observations=request((3, 1, 0, 2)).observations))
    machine.on(ContractRead(Purpose.REPORT, (1, 1), EMPTY))
    assert Report.decode(machine.state.rounds.follow.report).observers == (0, 1, 2, 3)


@pytest.mark.parametrize(
    "bad",
    [
        request((0, 1)),
        request((0, 1, 1)),
        request((0, 1, 2, 2)),
        replace(request(), observations=(*request().observations[:2], (4, signed(2, PRICE)))),
        replace(request(), observations=(*request().observations[:2], (-1, signed(2, PRICE)))),
        replace(request(), observations=(*request().observations[:2], (3, signed(2, PRICE)))),
        replace(request(), observations=(*request().observations[:2], (2, signed(2, PRICE, (1, 2))))),
        replace(request(), observations=(*request().observations[:2], (2, SignedObservation(b"lie", b"")))),
        replace(request(), query=b"query"),
        request(at=(1, 2)),
    ],
    ids=["2f", "twice", "twice too", "unknown", "negative", "another's", "replayed", "forged", "query", "round"],
)
def test_a_request_that_breaks_a_rule_is_not_answered(bad):
    assert asked_to_report(bad).effects == []


def test_a_second_request_of_a_round_is_not_looked_at():
    machine = asked_to_report()
    assert machine.hear(LEADER, request((0, 1, 3))) == []
    machine.on(ContractRead(Purpose.REPORT, (1, 1), EMPTY))
    assert machine.hear(LEADER, request((1, 2, 3))) == []
    assert machine.on(ContractRead(Purpose.REPORT, (1, 1), EMPTY)) == []


def test_no_second_report_of_a_round_after_a_restart():
    """A leader that repeats the round gets nothing, nor does the round before; the next round is new."""
    saved = saved_of(signing().state)
    again = Machine(FOLLOWER, saved)
    assert again.hear(LEADER, ObserveRequest(1, 1)) == []
    assert again.hear(LEADER, request((1, 2, 3))) == []
    assert again.hear(LEADER, ObserveRequest(1, 2)) == [MakeObservation((1, 2))]
    assert again.hear(LEADER, request(at=(1, 2))) == [ReadContract(Purpose.REPORT, (1, 2))]


def test_a_node_that_forgets_would_sign_twice():
    """What the test above is for."""
    signing()
    again = Machine(FOLLOWER, None)
    again.hear(LEADER, ObserveRequest(1, 1))
    again.hear(LEADER, request((1, 2, 3)))
    again.on(ContractRead(Purpose.REPORT, (1, 1), EMPTY))
    assert again.wanted(SignReport)


def test_nothing_to_report_is_said_and_is_progress():
    machine = asked_to_report()
    machine.now += 500 * MILLISECOND
    machine.on(ContractRead(Purpose.REPORT, (1, 1), QUIET))
    assert machine.effects == [Send(LEADER, ReportReply(1, 1, None, None))]
    assert machine.state.pacemaker.progress_at == machine.now + PATIENCE
    assert machine.state.rounds.signed == (0, 0)


def test_without_the_chain_or_a_signature_nothing_is_said():
    assert asked_to_report().on(ContractRead(Purpose.REPORT, (1, 1), None)) == []
    assert signing().on(ReportSigned((1, 1), None)) == []
    assert signing().on(ReportSigned((1, 1), WORLD.crypto.sign_digest(FOLLOWER, bytes(32)))) == []


# ---- the leader -----------------------------------------------------------------------------------------------------


def leading(observers=(0, 1, 2), view=EMPTY):
    """A leader that has asked for reports, and answered itself."""
    machine = Machine(LEADER)
    for node in observers:
        machine.hear(node, Observe(1, 1, signed(node, PRICE + node)))
    machine.on(Woke(), after=50 * MILLISECOND)
    return machine


def reply(node, message, median=None):
    observations = tuple(PRICE + one for one, _ in message.observations) if median is None else (median,) * 3
    report = Report(ZERO // SECOND, tuple(one for one, _ in message.observations), observations, 0).encode()
    digest = report_digest(ReportContext(DIGEST, 1, 1, hash_of(message)), report)
    return ReportReply(1, 1, report, WORLD.crypto.sign_digest(node, digest))


def test_a_leader_begins_at_once_and_waits_for_late_ones():
    machine = Machine(LEADER)
    assert machine.said(ObserveRequest) == [ObserveRequest(1, 1)]
    for node in (0, 1):
        machine.hear(node, Observe(1, 1, signed(node, PRICE + node)))
    machine.on(Woke(), after=100 * MILLISECOND)
    assert not machine.said(ReportRequest)
    machine.hear(2, Observe(1, 1, signed(2, PRICE + 2)))
    machine.hear(3, Observe(1, 1, signed(3, PRICE + 3)))
    machine.on(Woke(), after=50 * MILLISECOND)
    assert machine.said(ReportRequest) == [request((0, 1, 2, 3))]


def test_observations_count_once_for_their_node_and_round():
    machine = Machine(LEADER)
    for sender, one in ((0, signed(1, PRICE)), (0, signed(0, PRICE, (1, 2))), (0, signed(0, PRICE)), (0, signed(0, 7))):
        machine.hear(sender, Observe(1, 1, one))
    machine.hear(1, Observe(1, 2, signed(1, PRICE, (1, 2))))
    assert machine.state.rounds.lead is not None
    assert machine.state.rounds.lead.observed == {0: signed(0, PRICE)}


def test_f_plus_one_equal_reports_are_final():
    machine = leading()
    message = machine.said(ReportRequest)[0]
    machine.hear(OTHERS[0], reply(OTHERS[0], message))
    machine.hear(OTHERS[1], reply(OTHERS[1], message, median=5))
    assert not machine.said(Final)
    machine.hear(OTHERS[2], reply(OTHERS[2], message))
    (final,) = machine.said(Final)
    assert [node for node, _ in final.attested.signatures] == sorted((OTHERS[0], OTHERS[2]))
    assert final.extra_hash == hash_of(message)
    assert machine.said(FinalEcho) == [FinalEcho(final)]
    assert machine.wanted(ReadContract) == [ReadContract(Purpose.ACCEPT, (1, 1))]


def test_a_reply_counts_once_and_with_its_nodes_own_signature():
    machine = leading()
    message = machine.said(ReportRequest)[0]
    good = reply(OTHERS[0], message)
    for sender, one in (
        (OTHERS[0], good),
        (OTHERS[0], good),
        (OTHERS[1], good),
        (OTHERS[1], replace(good, signature=None)),
        (OTHERS[1], replace(good, report=None)),
        (OTHERS[1], replace(good, round=2)),
    ):
        machine.hear(sender, one)
        assert not machine.said(Final)
    assert set(machine.state.rounds.lead.replies) == {OTHERS[0]}


def test_the_next_round_waits_for_its_time_and_for_the_one_before():
    machine = leading()
    machine.on(Woke(), after=200 * MILLISECOND)
    assert not machine.said(ObserveRequest)
    machine.hear(OTHERS[0], ReportReply(1, 1, None, None))
    machine.hear(OTHERS[1], ReportReply(1, 1, None, None))
    assert machine.said(ObserveRequest) == [ObserveRequest(1, 2)]
    assert not machine.said(Final)


# ---- final reports --------------------------------------------------------------------------------------------------


def test_a_final_report_is_repeated_once_whoever_brought_it():
    machine = Machine(FOLLOWER)
    machine.hear(3, FinalEcho(final_of((7, 2))))
    assert machine.said(FinalEcho) == [FinalEcho(final_of((7, 2)))]
    assert machine.wanted(ReadContract) == [ReadContract(Purpose.ACCEPT, (7, 2))]
    assert machine.hear(2, FinalEcho(final_of((7, 2)))) == []


@pytest.mark.parametrize(
    "bad",
    [
        final_of(signers=(0,)),
        final_of(signers=(0, 0)),
        final_of(signers=(0, 1, 2)),
        replace(final_of(), round=2),
        replace(final_of(), extra_hash=bytes(32)),
        replace(final_of(), attested=replace(final_of().attested, report=b"other")),
        final_of((1, 0)),
        final_of((1, 5)),
    ],
)
def test_a_final_report_is_believed_for_its_signatures_alone(bad):
    assert Machine(FOLLOWER).hear(LEADER, FinalEcho(bad)) == []
    machine = Machine(FOLLOWER)
    machine.hear(LEADER, ObserveRequest(1, 1))
    assert machine.hear(LEADER, bad) == []


def test_a_final_report_comes_from_the_leader_of_its_round():
    machine = Machine(FOLLOWER)
    machine.hear(LEADER, ObserveRequest(1, 1))
    assert machine.hear((LEADER + 2) % 4, final_of()) == []
    machine.hear(LEADER, final_of())
    assert machine.said(FinalEcho)


def test_messages_of_the_next_epoch_wait_a_few_of_each_sender():
    machine = Machine(FOLLOWER)
    leader = WORLD.schedule.leader(2)
    for round_ in range(1, 30):
        machine.hear(leader, ObserveRequest(3, round_))
    assert len(machine.state.ahead[leader]) == AHEAD_LIMIT
    machine.hear(leader, ObserveRequest(2, 1))
    for node in range(4):
        machine.hear(node, NewEpoch(2))
        if machine.state.pacemaker.epoch == 2:
            break
    assert machine.wanted(MakeObservation) == [MakeObservation((2, 1))]
    assert all(message.epoch == 3 for message in machine.state.ahead[leader])


# ---- transmission ---------------------------------------------------------------------------------------------------


def accepted(view=EMPTY, me=FOLLOWER, at=(1, 1)):
    machine = Machine(me)
    machine.hear(3 if me != 3 else 0, FinalEcho(final_of(at)))
    machine.on(ContractRead(Purpose.ACCEPT, at, view))
    return machine


def delay_of(node, at=(1, 1)):
    timing = WORLD.network.timing
    return WORLD.schedule.delays(DIGEST, at[0], at[1], timing.stages, timing.stage)[node]


def test_each_node_waits_for_its_turn_and_asks_again():
    delays = [delay_of(node) for node in range(4)]
    assert sorted(delays) == [0, 500 * MILLISECOND, SECOND, 1500 * MILLISECOND]
    for node in range(4):
        machine = accepted(me=node)
        if delays[node]:
            assert machine.wanted(Persist)[0].saved.pending == (Pending(final_of(), ZERO + delays[node]),)
            machine.on(Woke(), after=delays[node])
        assert machine.wanted(ReadContract) == [ReadContract(Purpose.TRANSMIT, (1, 1))]
        assert saved_of(machine.state).pending == ()
        (transmit,) = machine.on(ContractRead(Purpose.TRANSMIT, (1, 1), EMPTY))
        assert isinstance(transmit, Transmit)
        assert transmit.call.report == final_of().attested.report
        assert transmit.call.context == ReportContext(DIGEST, 1, 1, b"h" * 32)


def test_what_another_node_has_transmitted_is_left_alone():
    machine = accepted(me=next(node for node in range(4) if not delay_of(node)))
    assert machine.on(ContractRead(Purpose.TRANSMIT, (1, 1), replace(EMPTY, at=(1, 1)))) == []
    assert machine.on(ContractRead(Purpose.TRANSMIT, (1, 1), EMPTY)) == []


def test_what_the_contract_has_or_does_not_tell_is_not_accepted():
    for view in (replace(EMPTY, at=(1, 1)), replace(EMPTY, digest=bytes(32)), None):
        assert saved_of(accepted(view).state).pending == ()
        assert not accepted(view).effects


def test_turns_outlive_a_restart_and_missed_ones_are_dropped():
    late = next(node for node in range(4) if delay_of(node) == SECOND)
    saved = saved_of(accepted(me=late).state)
    again = Machine(late, saved, now=ZERO + SECOND - 1)
    again.on(Woke(), after=1)
    assert again.wanted(ReadContract) == [ReadContract(Purpose.TRANSMIT, (1, 1))]
    assert not saved_of(Machine(late, saved, now=ZERO + SECOND).state).pending
