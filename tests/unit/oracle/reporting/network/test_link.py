"""One configuration's view of the network: who is who, whose turn it is, what is said once."""

from collections import Counter

import pytest

from seamark.core.errors import SettingsError
from seamark.oracle.reporting.messages import Final, FinalEcho, NewEpoch
from seamark.oracle.reporting.network.echoes import REMEMBERED, Echoes
from seamark.oracle.reporting.network.frames import read_frame
from seamark.oracle.reporting.network.link import Link
from seamark.oracle.reporting.network.ports import Uncounted
from seamark.oracle.reporting.signatures import AttestedReport, ReportSignature
from seamark.oracle.reporting.wire import decode_message, encode_message, is_echo

DIGEST = b"\0\1" + bytes(30)
NODES = ["a" * 64, "b" * 64, "c" * 64, "d" * 64]


class Way:
    def __init__(self, name):
        self.name, self.out = name, []

    def put(self, made):
        self.out += [decode_message(data) for _, data in read_frame(made)]


class Drops(Uncounted):
    def __init__(self):
        self.counted: Counter[tuple[str, str]] = Counter()

    def dropped(self, peer, reason, messages):
        self.counted[peer, reason] += messages


@pytest.fixture
def ways():
    return {node: Way(f"node-{index}") for index, node in enumerate(NODES) if index != 1}


@pytest.fixture
def drops():
    return Drops()


@pytest.fixture
def link(ways, drops):
    """Node 1's."""
    return Link(DIGEST, NODES, me=NODES[1], ways=ways, queue=3, observer=drops, leave=lambda _: None)


def echo(number):
    return FinalEcho(Final(7, number, bytes(32), AttestedReport(b"report", ((1, ReportSignature(1, 5, 6)),))))


def test_each_message_goes_to_its_node(link, ways):
    link.send(2, NewEpoch(5))
    link.broadcast(NewEpoch(6))
    assert [ways[node].out for node in (NODES[0], NODES[2], NODES[3])] == [
        [NewEpoch(6)],
        [NewEpoch(5), NewEpoch(6)],
        [NewEpoch(6)],
    ]
    link.send(1, NewEpoch(7))  # to itself: the machine hears itself without us


def test_a_node_is_the_key_of_its_connection(link):
    link.arrived(NODES[3], encode_message(NewEpoch(5)))
    assert link.receive() == (3, NewEpoch(5))
    assert link.receive() is None


def test_who_is_no_member_is_not_heard(link, drops):
    link.arrived("e" * 64, encode_message(NewEpoch(5)))
    link.arrived(NODES[1], encode_message(NewEpoch(5)))  # nor this node's own key, from outside
    assert link.receive() is None
    assert drops.counted == {("eeeeeeee", "not_a_member"): 1, ("bbbbbbbb", "not_a_member"): 1}


def test_nodes_are_heard_in_turn_whoever_is_loud(link):
    for number in range(3):
        link.arrived(NODES[0], encode_message(NewEpoch(number)))
    link.arrived(NODES[2], encode_message(NewEpoch(10)))
    link.arrived(NODES[3], encode_message(NewEpoch(20)))
    assert [link.receive()[0] for _ in range(5)] == [0, 2, 3, 0, 0]
    assert link.receive() is None


def test_a_flood_loses_its_own_older_messages(link, drops):
    link.arrived(NODES[2], encode_message(NewEpoch(1)))
    for number in range(10):
        link.arrived(NODES[0], encode_message(NewEpoch(number)))
    got = [link.receive() for _ in range(4)]
    assert sorted(got, key=str) == [(0, NewEpoch(7)), (0, NewEpoch(8)), (0, NewEpoch(9)), (2, NewEpoch(1))]
    assert drops.counted == {("node-0", "incoming_full"): 7}


def test_bytes_that_are_no_message_are_dropped_and_the_next_is_heard(link, drops):
    link.arrived(NODES[0], b"\xff")
    link.arrived(NODES[0], b"\x42\x00")
    link.arrived(NODES[2], encode_message(NewEpoch(1)))
    assert link.receive() == (2, NewEpoch(1))
    assert link.receive() is None
    assert drops.counted == {("node-0", "malformed"): 2}


def test_arrivals_are_told(link):
    told = []
    link.arrived(NODES[0], encode_message(NewEpoch(1)))
    link.on_arrival(lambda: told.append(1))
    link.arrived(NODES[0], encode_message(NewEpoch(2)))
    assert told == [1]


def test_who_is_missing_is_told_and_not_sent_to(drops):
    ways = {NODES[0]: Way("node-0")}
    link = Link(DIGEST, NODES, me=NODES[1], ways=ways, queue=3, observer=drops, leave=lambda _: None)
    assert link.missing == (NODES[2], NODES[3])
    link.send(2, NewEpoch(1))
    link.broadcast(NewEpoch(2))
    assert ways[NODES[0]].out == [NewEpoch(2)]


def test_a_configuration_without_this_node_is_refused(ways, drops):
    with pytest.raises(SettingsError, match="no node with the key"):
        Link(DIGEST, NODES[2:], me=NODES[1], ways=ways, queue=3, observer=drops, leave=lambda _: None)
    with pytest.raises(SettingsError, match="names a node twice"):
        Link(DIGEST, [*NODES, NODES[0]], me=NODES[1], ways=ways, queue=3, observer=drops, leave=lambda _: None)


# ---- echoes ---------------------------------------------------------------------------------------------------------


def test_an_echo_is_told_by_its_first_byte():
    assert is_echo(encode_message(echo(1)))
    assert not is_echo(encode_message(NewEpoch(1)))
    assert not is_echo(b"")


def test_an_echo_is_read_once(link):
    data = encode_message(echo(1))
    link.arrived(NODES[0], data)
    link.arrived(NODES[2], data)
    assert link.receive() == (0, echo(1))
    assert link.receive() is None
    link.arrived(NODES[3], data)
    link.arrived(NODES[3], encode_message(echo(2)))
    assert link.receive() == (3, echo(2))


def test_an_echo_that_was_pushed_out_unread_is_read_when_it_comes_again(link):
    link.arrived(NODES[0], encode_message(echo(1)))
    for number in range(3):
        link.arrived(NODES[0], encode_message(NewEpoch(number)))
    link.arrived(NODES[2], encode_message(echo(1)))
    assert (2, echo(1)) in [link.receive() for _ in range(4)]


def test_an_echo_goes_to_who_has_none(link, ways):
    link.arrived(NODES[0], encode_message(echo(1)))
    link.broadcast(echo(1))
    link.broadcast(NewEpoch(1))
    assert ways[NODES[0]].out == [NewEpoch(1)]
    assert ways[NODES[2]].out == ways[NODES[3]].out == [echo(1), NewEpoch(1)]


def test_the_memory_of_echoes_is_bounded():
    echoes = Echoes()
    for number in range(1000):
        assert not echoes.arrived(b"%d" % number, 0)
    assert len(echoes._known) == REMEMBERED
    assert not echoes.who_has(b"0")
    assert echoes.who_has(b"999") == {0}
    assert echoes.read(b"999")
    assert not echoes.read(b"999")
    assert echoes.arrived(b"999", 1)
