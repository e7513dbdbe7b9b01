"""The ceremony: what operators write, what is refused, what comes out for the contract."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.core.errors import RejectedError, SettingsError
from seamark.evm.crypto import keccak256
from seamark.oracle.reporting.ceremony import (
    NetworkPlan,
    TimingPlan,
    configure,
    make_keys,
    read_keys,
    write_keys,
)
from seamark.oracle.reporting.codec import MedianSettings, OnchainConfig
from seamark.oracle.reporting.config import MILLISECOND, SECOND, OffchainConfig, read_network
from seamark.runtime.settings import SettingsProblems, validate_settings
from tests.support.reporting_config import EPHEMERAL, SECRET, operator, plan, plan_values


def problem_of(**changes: Any) -> str:
    with pytest.raises(SettingsProblems) as caught:
        validate_settings(NetworkPlan, plan_values(**changes))
    return str(caught.value)


def test_a_plan_becomes_what_the_nodes_will_read() -> None:
    made = configure(plan(), secret=SECRET, ephemeral=EPHEMERAL)
    network = read_network(bytes(32), made)
    assert [node.signer for node in network.nodes] == [operator(number).signer.address for number in range(4)]
    assert [node.transmitter for node in network.nodes] == [operator(n).transmitter.address for n in range(4)]
    assert [node.peer for node in network.nodes] == [operator(number).identity.peer for number in range(4)]
    assert network.f == 1
    assert network.bounds == OnchainConfig(1, 10**15)
    assert network.median == MedianSettings(5_000_000, 5_000_000, 60 * SECOND)  # type: ignore[arg-type]


def test_every_node_opens_the_same_secret_and_nobody_else_does() -> None:
    offchain = OffchainConfig.decode(configure(plan(7), secret=SECRET, ephemeral=EPHEMERAL).offchain)
    opened = {offchain.secret.open(number, operator(number).keys.encryption) for number in range(7)}
    assert opened == {SECRET}
    assert offchain.secret.hash == keccak256(SECRET)
    with pytest.raises(RejectedError, match="does not match its hash"):
        offchain.secret.open(0, operator(1).keys.encryption)


def test_each_run_deals_another_secret() -> None:
    one, other = (OffchainConfig.decode(configure(plan()).offchain).secret for _ in range(2))
    assert one.hash != other.hash
    assert one.point != other.point


def test_spans_are_whole_milliseconds_and_stages_one_after_the_other() -> None:
    timing = TimingPlan.model_validate({"round": "333ms", "grace": "7ms", "progress": "1.1s", "observation": "100ms",
                                        "report": "100ms"})  # fmt: skip
    offchain = OffchainConfig.decode(configure(plan(timing=timing)).offchain)
    assert offchain.timing.round == 333 * MILLISECOND
    assert offchain.timing.grace == 7 * MILLISECOND
    assert offchain.timing.progress == 1_100 * MILLISECOND
    assert offchain.timing.stages == (1, 1, 1, 1)
    own = OffchainConfig.decode(configure(plan(timing=timing.with_changes(stages=(2, 2)))).offchain)
    assert own.timing.stages == (2, 2)


def test_acceptance_has_its_own_threshold_where_one_is_given() -> None:
    made = configure(plan(accept_deviation="2%"))
    assert read_network(bytes(32), made).median.alpha_accept == 20_000_000


@pytest.mark.parametrize(
    ("nodes", "faulty"), [(4, 1), (5, 1), (6, 1), (7, 2), (10, 3), (31, 10)]
)  # fmt: skip
def test_a_network_bears_as_many_faulty_nodes_as_it_can(nodes: int, faulty: int) -> None:
    assert plan(nodes).faulty == faulty


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"count": 3}, "3 nodes bear no faulty one (3f < n)"),
        ({"f": 2}, "f = 2 of 4 nodes: fewer than a third may be faulty"),
        ({"deviation": 0.5}, "0.5 has no unit"),
        ({"heartbeat": "0s"}, "heartbeat"),
        ({"min_answer": 10, "max_answer": 9}, "min_answer is above max_answer"),
        ({"max_answer": 1 << 191}, "does not fit in an int192"),
        ({"nodes": ()}, "nodes: must not be empty"),
        ({"nonsense": 1}, "nonsense: unknown setting"),
    ],
)
def test_a_plan_that_cannot_work_is_refused_with_its_reason(changes: dict[str, Any], words: str) -> None:
    values = plan_values(**changes)
    with pytest.raises(SettingsProblems) as caught:
        validate_settings(NetworkPlan, values)
    assert words in str(caught.value)


@pytest.mark.parametrize("what", ["name", "signer", "transmitter", "observation_key", "encryption_key", "certificate"])
def test_two_nodes_that_share_something_are_refused(what: str) -> None:
    first, second = operator(0).identity, operator(1).identity
    twin = second.model_copy(update={what: getattr(first, what)})
    said = "peer" if what == "certificate" else what
    nodes = (first, twin, operator(2).identity, operator(3).identity)
    assert f"two nodes have the same {said}" in problem_of(nodes=nodes)


@pytest.mark.parametrize(
    ("what", "value", "words"),
    [
        ("address", "nowhere", "is no address; write host:port"),
        ("observation_key", "abcd", "is no public key"),
        ("certificate", "-----BEGIN", "is no certificate"),
        ("signer", "0x12", "signer"),
    ],
)
def test_an_identity_that_is_none_is_refused(what: str, value: str, words: str) -> None:
    values = operator(0).identity.model_dump() | {what: value}
    nodes = (values, *(operator(number).identity for number in range(1, 4)))
    assert words in problem_of(nodes=nodes)


def test_timing_that_contradicts_itself_is_refused_before_it_is_on_chain() -> None:
    timing = TimingPlan.model_validate({"round": "9s"})
    with pytest.raises(RejectedError, match="DeltaRound must be shorter than DeltaProgress"):
        configure(plan(timing=timing))


def test_keys_are_new_each_time_and_read_back() -> None:
    raw = make_keys()
    assert raw != make_keys()
    assert read_keys(raw, setting="keys").observation.public == read_keys(raw, setting="keys").observation.public
    fixed = read_keys(write_keys(b"\1" * 32, b"\2" * 32), setting="keys")
    assert fixed.observation.public == operator(0).keys.observation.public


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"observation_key": "00", "encryption_key": "00"}',
                                     b'{"observation_key": "zz", "encryption_key": "secretsecret"}'])  # fmt: skip
def test_a_file_that_holds_no_keys_is_refused_without_showing_it(content: bytes) -> None:
    with pytest.raises(SettingsError) as caught:
        read_keys(content, setting="oracle.reporting.keys")
    assert "oracle.reporting.keys: holds no off-chain keys" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_keys_are_never_shown() -> None:
    keys = operator(0).keys
    assert "01" * 32 not in repr(keys)
    assert repr(keys) == "NodeKeys()"
