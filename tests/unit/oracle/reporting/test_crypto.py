"""Signatures of a network's nodes, and what is remembered of them."""

from dataclasses import replace

import pytest

from seamark.oracle.reporting import crypto as module
from seamark.oracle.reporting.codec import ReportContext
from seamark.oracle.reporting.crypto import REMEMBERED, NodeCrypto
from seamark.oracle.reporting.digest import report_preimage
from seamark.oracle.reporting.signatures import ReportSignature
from tests.support.reporting import DIGEST
from tests.support.reporting_nodes import World

WORLD = World(4)
CONTEXT = ReportContext(DIGEST, 3, 1, bytes(32))
PAYLOAD = b"\7" * 32


@pytest.fixture
def checks(monkeypatch):
    """How often a curve was asked."""
    asked = []
    for name in ("is_right", "is_signed_by"):
        real = getattr(module, name)

        def counted(*each, real=real):
            asked.append(each)
            return real(*each)

        monkeypatch.setattr(module, name, counted)
    return asked


def crypto_of(me):
    return NodeCrypto(WORLD.keys[me], WORLD.network)


async def signed(node, report):
    return ReportSignature(*await WORLD.signers[node].sign(report_preimage(CONTEXT, report)))


def test_each_node_is_known_by_its_own_key():
    signature = crypto_of(2).sign_observation(PAYLOAD)
    mine = crypto_of(0)
    assert [mine.verify_observation(node, PAYLOAD, signature) for node in range(4)] == [False, False, True, False]
    assert not mine.verify_observation(2, b"\x08" * 32, signature)
    assert not mine.verify_observation(2, PAYLOAD, signature[:-1])
    assert not mine.verify_observation(2, PAYLOAD, b"")


def test_what_was_right_is_checked_once(checks):
    mine, signature = crypto_of(0), crypto_of(2).sign_observation(PAYLOAD)
    assert all(mine.verify_observation(2, PAYLOAD, signature) for _ in range(3))
    assert len(checks) == 1
    assert not mine.verify_observation(1, PAYLOAD, signature), "remembered of that node only"
    assert not mine.verify_observation(2, bytes(32), signature), "and under those bytes only"


def test_what_was_wrong_is_checked_each_time(checks):
    mine = crypto_of(0)
    assert not any(mine.verify_observation(2, PAYLOAD, bytes(64)) for _ in range(3))
    assert len(checks) == 3


async def test_a_report_is_checked_once_for_each_signature(checks):
    mine = crypto_of(0)
    by_one = await signed(1, b"report")
    assert all(mine.verify_report(1, CONTEXT, b"report", by_one) for _ in range(2))
    assert len(checks) == 1
    assert not mine.verify_report(2, CONTEXT, b"report", by_one)
    assert not mine.verify_report(1, CONTEXT, b"other", by_one)
    assert not mine.verify_report(1, replace(CONTEXT, round=2), b"report", by_one)
    assert not mine.verify_report(1, CONTEXT, b"report", replace(by_one, parity=1 - by_one.parity))


def test_the_memory_is_bounded(checks):
    mine, other = crypto_of(0), crypto_of(1)
    for number in range(2 * REMEMBERED + 50):
        payload = number.to_bytes(32, "big")
        assert mine.verify_observation(1, payload, other.sign_observation(payload))
    assert len(mine._right) == 2 * REMEMBERED
    first = bytes(32)
    asked = len(checks)
    assert mine.verify_observation(1, first, other.sign_observation(first)), "forgotten, so checked again"
    assert len(checks) == asked + 1


def test_a_key_that_is_none_signs_nothing():
    nodes = (replace(WORLD.network.nodes[0], observation_key=b"short"), *WORLD.network.nodes[1:])
    mine = NodeCrypto(WORLD.keys[1], replace(WORLD.network, nodes=nodes))
    assert not mine.verify_observation(0, PAYLOAD, bytes(64))
