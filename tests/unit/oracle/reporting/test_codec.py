"""Exact bytes: what the published contract and its clients have."""

from dataclasses import replace

import pytest

from seamark.core.errors import RejectedError
from seamark.core.units import Ppb
from seamark.oracle.reporting.codec import (
    TRANSMIT,
    MedianSettings,
    Observation,
    OnchainConfig,
    Report,
    ReportContext,
    Transmission,
    report_length,
)
from seamark.oracle.reporting.protobuf import Fields, WireError, data_field, packed_field, uint_field

from .vectors import VECTORS, context_of, raw, report_of

MINUTE = 60 * 10**9
CASES = pytest.mark.parametrize("case", VECTORS, ids=lambda case: f"config {case['configCount']}")


def transmission_of(case):
    words = [int(one, 16) for one in case["rs"]], [int(one, 16) for one in case["ss"]]
    parities = tuple(raw(case["rawVs"])[: case["f"] + 1])
    return Transmission(context_of(case), raw(case["report"]), tuple(words[0]), tuple(words[1]), parities)


def test_settings_of_the_plugin_have_the_published_bytes():
    settings = MedianSettings(Ppb(5_000_000), Ppb(5_000_000), MINUTE)
    assert settings.encode().hex() == "10c096b10220c096b1022880b09dc2df01"
    assert MedianSettings.decode(settings.encode()) == settings


def test_never_by_deviation_is_a_flag_of_its_own():
    settings = MedianSettings(None, Ppb(1), MINUTE)
    assert settings.encode()[:2].hex() == "0801"
    assert MedianSettings.decode(settings.encode()) == settings
    assert MedianSettings.decode(b"") == MedianSettings(Ppb(0), Ppb(0), 0)


def test_an_observation_has_the_published_bytes():
    observation = Observation(1_700_000_000, 200_000_000_000, 0)
    expected = "0880e2cfaa061218" + "2e90edd000".rjust(48, "0") + "1a18" + "00" * 24
    assert observation.encode().hex() == expected
    assert len(observation.encode()) == 58
    assert Observation.decode(observation.encode()) == observation


@pytest.mark.parametrize("value", [-1, 0, -(2**191), 2**191 - 1])
def test_observations_hold_every_int192(value):
    observation = Observation(7, value, -value if value != -(2**191) else 0, gas_price=3)
    assert Observation.decode(observation.encode()) == observation


@pytest.mark.parametrize("value", [2**191, -(2**191) - 1])
def test_a_value_beyond_int192_is_refused(value):
    with pytest.raises(RejectedError, match="int192"):
        Observation(7, value, 0).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        data_field(2, bytes(24)),
        data_field(2, bytes(23)) + data_field(3, bytes(24)),
        data_field(2, bytes(25)) + data_field(3, bytes(24)),
        data_field(2, bytes(24)) + data_field(3, bytes(24)) + data_field(4, b"\1"),
        uint_field(1, 1 << 32) + data_field(2, bytes(24)) + data_field(3, bytes(24)),
        uint_field(2, 5) + data_field(3, bytes(24)),
    ],
)
def test_what_is_no_observation_is_refused(data):
    with pytest.raises(WireError):
        Observation.decode(data)


def test_onchain_config_has_49_bytes():
    config = OnchainConfig(1, 10**24)
    assert config.encode() == raw(VECTORS[0]["onchainConfig"])
    assert len(config.encode()) == 49
    assert OnchainConfig.decode(config.encode()) == config
    for bad in (config.encode()[:-1], b"\2" + config.encode()[1:], OnchainConfig(2, 1).encode()):
        with pytest.raises(WireError):
            OnchainConfig.decode(bad)


@CASES
def test_reports_have_the_bytes_that_the_contract_accepted(case):
    report = report_of(case)
    assert report.encode() == raw(case["report"])
    assert Report.decode(raw(case["report"])) == report
    assert len(report.encode()) == report_length(len(report.observations))
    assert report.median == int(case["median"])


def test_the_report_of_the_published_codec():
    """Values 300, 200, 250 of observers 0, 1, 2 come out as observers 1, 2, 0."""
    report = Report(124, (1, 2, 0), (200, 250, 300), 100)
    data = report.encode()
    assert data[:32] == (124).to_bytes(32, "big")
    assert data[32:64] == bytes((1, 2, 0)) + bytes(29)
    assert report.median == 250
    assert Report.decode(data) == report


def test_the_middle_of_an_even_number_is_the_upper_one():
    assert Report(1, (0, 1, 2, 3), (10, 20, 30, 40), 0).median == 30


def test_an_unsorted_report_can_be_read_and_says_so():
    report = Report(1, (0, 1, 2), (10, 5, 20), 0)
    assert not Report.decode(report.encode()).is_sorted
    assert replace(report, observations=(5, 5, 20)).is_sorted


@CASES
@pytest.mark.parametrize("change", ["longer", "shorter", "padding", "offset", "none"])
def test_a_report_with_other_bytes_is_refused(case, change):
    data = raw(case["report"])
    changed = {
        "longer": data + bytes(32),
        "shorter": data[:-1],
        "padding": data[:63] + b"\1" + data[64:],
        "offset": data[:95] + b"\xa0" + data[96:],
        "none": b"",
    }[change]
    with pytest.raises(RejectedError):
        Report.decode(changed)


@pytest.mark.parametrize("count", [0, 32])
def test_a_report_holds_1_to_31_observations(count):
    with pytest.raises(RejectedError):
        Report(1, tuple(range(count)), tuple(range(count)), 0).encode()


def test_every_observation_has_an_observer():
    with pytest.raises(RejectedError):
        Report(1, (0, 1), (5, 6, 7), 0).encode()


@CASES
def test_calldata_is_what_the_contract_accepted(case):
    transmission = transmission_of(case)
    assert TRANSMIT.selector.hex() == "b1dc65a4"
    assert transmission.encode() == raw(case["calldata"])
    assert Transmission.decode(raw(case["calldata"])) == transmission


@CASES
def test_the_context_is_three_words(case):
    context = context_of(case)
    assert ReportContext.from_words(context.words()) == context
    assert context.words()[1].hex() == "00" * 27 + "0000000101"
    with pytest.raises(WireError):
        ReportContext.from_words((context.digest, b"\1" + context.words()[1][1:], context.extra_hash))


@CASES
def test_calldata_is_taken_with_its_exact_length_only(case):
    data = raw(case["calldata"])
    for bad in (data + b"\0", data[:-1], data + bytes(32), b"\0" + data[1:], data[:4], b"", data[:-1] + b"\0" * 33):
        with pytest.raises(RejectedError):
            Transmission.decode(bad)


def test_a_transmission_has_as_many_r_as_s():
    transmission = transmission_of(VECTORS[0])
    for bad in (replace(transmission, ss=transmission.ss[:1]), replace(transmission, parities=(0,))):
        with pytest.raises(RejectedError):
            bad.encode()


# ---- protobuf itself ------------------------------------------------------------------------------------------------


def test_unknown_fields_are_skipped_and_the_last_of_several_counts():
    data = uint_field(1, 5) + data_field(99, b"new") + bytes.fromhex("f9 07 0102030405060708".replace(" ", ""))
    fields = Fields(data + uint_field(1, 300), "message")
    assert fields.uint(1, 16) == 300
    assert fields.uint(3, 8) == 0
    assert set(fields.numbers) == {1, 99, 127}


def test_repeated_numbers_are_read_packed_and_one_by_one():
    data = packed_field(7, (1, 300, 0)) + uint_field(7, 4)
    assert Fields(data, "message").uints(7, 32) == (1, 300, 0, 4)
    with pytest.raises(WireError):
        Fields(data, "message").uints(7, 8)


@pytest.mark.parametrize("data", ["08", "0a05aa", "0b", "00", "08" + "ff" * 10, "08" + "ff" * 9 + "02", "0d0000"])
def test_malformed_messages_are_refused(data):
    with pytest.raises(WireError):
        Fields(bytes.fromhex(data), "message")


def test_the_largest_number_has_64_bits():
    assert Fields(uint_field(1, 2**64 - 1), "message").uint(1, 64) == 2**64 - 1
    for bad in (2**64, -1):
        with pytest.raises(WireError):
            uint_field(1, bad)
