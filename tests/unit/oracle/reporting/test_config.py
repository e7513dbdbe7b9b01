"""The off-chain configuration: its bytes, and the bounds that no network may break."""

from dataclasses import replace

import pytest

from seamark.core.errors import RejectedError
from seamark.core.ids import Address
from seamark.core.units import Ppb
from seamark.oracle.reporting.codec import MedianSettings, OnchainConfig
from seamark.oracle.reporting.config import MILLISECOND, SECOND, OffchainConfig, Timing, read_network
from seamark.oracle.reporting.digest import ConfigSet
from seamark.oracle.reporting.keys import EncryptionKey, encrypt_secret
from seamark.oracle.reporting.protobuf import WireError

MEDIAN = MedianSettings(Ppb(5_000_000), Ppb(5_000_000), 60 * SECOND)
TIMING = Timing(2 * SECOND, SECOND, SECOND, SECOND // 2, 2 * SECOND, 3, (1, 1, 1, 1))


def offchain(n=4, **changes):
    publics = [EncryptionKey(bytes((index + 1,)) * 32).public for index in range(n)]
    config = OffchainConfig(
        TIMING,
        tuple(bytes((index,)) * 32 for index in range(n)),
        tuple(f"node-{index}" for index in range(n)),
        MEDIAN.encode(),
        50 * MILLISECOND,
        50 * MILLISECOND,
        50 * MILLISECOND,
        50 * MILLISECOND,
        50 * MILLISECOND,
        encrypt_secret(b"0123456789abcdef", publics, EncryptionKey(b"\x63" * 32)),
    )
    return replace(config, **changes)


def announced(config=None, n=4, **changes):
    signers = tuple(Address(f"0x{index:040x}") for index in range(1, n + 1))
    transmitters = tuple(Address(f"0x{index:040x}") for index in range(101, n + 101))
    encoded = (config or offchain(n)).encode()
    made = ConfigSet(1, signers, transmitters, (n - 1) // 3, OnchainConfig(1, 10**24).encode(), 2, encoded)
    return replace(made, **changes)


def test_the_bytes_are_those_of_the_published_message():
    data = offchain().encode()
    head = "0880a8d6b907" + "108094ebdc03" + "188094ebdc03" + "2080cab5ee01" + "2880a8d6b907" + "3003" + "3a0401010101"
    assert data.hex().startswith(head + "4220" + "00" * 32 + "4220" + "01" * 32)
    assert b"\x4a\x06node-0" in data
    assert b"\x52" + bytes((len(MEDIAN.encode()),)) + MEDIAN.encode() in data


@pytest.mark.parametrize("initialization", [None, 0, SECOND])
def test_what_is_written_is_read(initialization):
    config = offchain(max_initialization=initialization)
    assert OffchainConfig.decode(config.encode()) == config


def test_a_network_is_read_whole():
    network = read_network(b"\0\1" + bytes(30), announced())
    assert (network.n, network.f, network.timing, network.median) == (4, 1, TIMING, MEDIAN)
    assert network.nodes[2].peer == "node-2"
    assert network.nodes[2].observation_key == b"\2" * 32
    assert network.bounds == OnchainConfig(1, 10**24)


def refusal(config=None, **changes):
    with pytest.raises(RejectedError) as refused:
        read_network(bytes(32), announced(config, **changes))
    return str(refused.value)


def timing(**changes):
    return offchain(timing=replace(TIMING, **changes))


def test_sizes():
    assert "third" in refusal(f=2)
    assert "third" in refusal(offchain(3), n=3, f=1)
    assert "more than 31" in refusal(offchain(32), n=32)
    assert read_network(bytes(32), announced(n=31)).f == 10
    assert read_network(bytes(32), announced(n=1)).f == 0


def test_timing():
    assert "254" in refusal(timing(max_rounds=255))
    assert "254" in refusal(timing(max_rounds=0))
    assert "200 ms" in refusal(timing(progress=199 * MILLISECOND, round=0))
    assert "200 ms" in refusal(timing(resend=0))
    assert "DeltaRound" in refusal(timing(round=2 * SECOND))
    assert "stages" in refusal(timing(stages=(1,) * 1000))
    assert "must fit into DeltaProgress" in refusal(offchain(max_report=2 * SECOND))


def test_identities():
    config = offchain()
    signers = announced().signers
    assert "signers are the same" in refusal(signers=(signers[0], *signers[:3]))
    assert "transmitters are the same" in refusal(transmitters=(signers[0],) * 4)
    assert "3 transmitters" in refusal(transmitters=signers[:3])
    assert "observation keys are the same" in refusal(replace(config, observation_keys=(bytes(32),) * 4))
    assert "peers are the same" in refusal(replace(config, peers=("one",) * 4))
    assert "dealt" in refusal(replace(config, secret=replace(config.secret, blocks=config.secret.blocks[:3])))


def test_what_cannot_be_read():
    assert "version 30" in refusal(offchain_version=30)
    assert "observation key" in refusal(offchain(observation_keys=(b"short",) * 4))
    assert "UTF-8" in refusal(offchain=offchain().encode().replace(b"node-0", b"node-\xff"))
    with pytest.raises(WireError, match="2000001 bytes"):
        OffchainConfig.decode(bytes(2_000_001))
    with pytest.raises(WireError, match="instead of 32"):
        OffchainConfig.decode(b"")
