from decimal import Decimal
from typing import Any

import pytest

from seamark.oracle.sources.paths import JsonPath
from seamark.oracle.sources.source import ContentError, Fields, Request, Source, TimeUnit, decode_json, read_quote

NOW = 1_700_000_100.0


def read(body, **fields):
    paths: dict[str, Any] = {
        name: JsonPath.parse(text) if isinstance(text, str) and name != "time_unit" else text
        for name, text in {"price": "p", **fields}.items()
    }
    source = Source("s", "v", Request("http://127.0.0.1/"), Fields(**paths))
    return read_quote(source, decode_json(body.encode()), NOW)


@pytest.mark.parametrize(
    ("written", "price"),
    [
        ('"2000.10"', "2000.10"),
        ("2000.10", "2000.10"),
        ("0.1", "0.1"),
        ("9007199254740993", "9007199254740993"),
        ("9007199254740993.1234567890123456789", "9007199254740993.1234567890123456789"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ("1e-8", "1E-8"),
        ("-1.5", "-1.5"),
        ("0", "0"),
        ('"1E3"', "1E+3"),
    ],
)
def test_a_price_keeps_every_digit_the_venue_wrote(written, price):
    quote = read(f'{{"p": {written}}}')
    assert quote.price == Decimal(price)
    assert quote.price.as_tuple() == Decimal(price).as_tuple()


@pytest.mark.parametrize(
    "written",
    [
        "null",
        "true",
        "false",
        "[]",
        "{}",
        '""',
        '" 1"',
        '"NaN"',
        '"Infinity"',
        '"1,000.5"',
        '"0x10"',
        '"1_000"',
        '"١٢"',
        "1e400",
        '"' + "9" * 81 + '"',
        '"--"',
    ],
)
def test_what_is_no_number_is_a_failure(written):
    with pytest.raises(ContentError) as caught:
        read(f'{{"p": {written}}}')
    assert caught.value.kind == "number"


@pytest.mark.parametrize(
    "body", ["", "{", "nope", '{"p": NaN}', '{"p": Infinity}', '{"p": 01}', "[" * 100_000, '{"p": 1} x', "\x00"]
)
def test_what_is_not_json_is_a_failure(body):
    with pytest.raises(ContentError) as caught:
        decode_json(body.encode())
    assert caught.value.kind == "json"


def test_bytes_that_are_not_utf8_are_a_failure():
    with pytest.raises(ContentError) as caught:
        decode_json(b'{"p": "\xff"}')
    assert caught.value.kind == "json"


def test_an_absurd_number_elsewhere_in_the_reply_does_no_harm():
    assert read('{"p": 1, "x": 1e999999}').price == 1


@pytest.mark.parametrize("body", ['{"q": 1}', "[]", '"x"', "5", "null"])
def test_a_changed_shape_is_a_failure(body):
    with pytest.raises(ContentError, match="no value at p") as caught:
        read(body)
    assert caught.value.kind == "shape"


@pytest.mark.parametrize(
    ("unit", "written", "seconds"),
    [
        (TimeUnit.SECONDS, "1700000000", 1_700_000_000.0),
        (TimeUnit.SECONDS, '"1700000000"', 1_700_000_000.0),
        (TimeUnit.SECONDS, "1700000000.25", 1_700_000_000.25),
        (TimeUnit.MILLISECONDS, "1700000000500", 1_700_000_000.5),
        (TimeUnit.MICROSECONDS, '"1700000000500000"', 1_700_000_000.5),
        (TimeUnit.ISO8601, '"2023-11-14T22:13:20Z"', 1_700_000_000.0),
        (TimeUnit.ISO8601, '"2023-11-14T22:13:20.500000Z"', 1_700_000_000.5),
        (TimeUnit.ISO8601, '"2023-11-14T22:13:20.500000000Z"', 1_700_000_000.5),
        (TimeUnit.ISO8601, '"2023-11-15T00:13:20+02:00"', 1_700_000_000.0),
        (TimeUnit.ISO8601, '"2023-11-14T22:13:20"', 1_700_000_000.0),  # UTC where no zone is told
    ],
)
def test_a_venues_time_is_read_in_its_unit(unit, written, seconds):
    quote = read(f'{{"p": 1, "t": {written}}}', time="t", time_unit=unit)
    assert quote.observed_at == seconds
    assert quote.received_at == NOW
    assert not quote.untimed


@pytest.mark.parametrize(
    ("unit", "written"),
    [
        (TimeUnit.SECONDS, "1700000000500"),  # milliseconds taken for seconds: the year 55840
        (TimeUnit.MILLISECONDS, "1700000000"),  # and the other way round: January 1970
        (TimeUnit.SECONDS, '"yesterday"'),
        (TimeUnit.SECONDS, "null"),
        (TimeUnit.SECONDS, "0"),
        (TimeUnit.ISO8601, '"14.11.2023"'),
        (TimeUnit.ISO8601, "1700000000"),
    ],
)
def test_a_time_that_cannot_be_is_a_failure(unit, written):
    with pytest.raises(ContentError) as caught:
        read(f'{{"p": 1, "t": {written}}}', time="t", time_unit=unit)
    assert caught.value.kind == "time"


def test_a_source_without_time_is_untimed():
    quote = read('{"p": 1}')
    assert (quote.untimed, quote.observed_at) == (True, NOW)


def test_a_cached_reply_of_an_untimed_source_is_as_old_as_the_cache_says():
    source = Source("s", "v", Request("http://127.0.0.1/"), Fields(JsonPath.parse("p")))
    assert read_quote(source, {"p": 1}, NOW, age=30.0).observed_at == NOW - 30


def test_errors_of_the_venue_are_failures():
    required = ((JsonPath.parse("code"), "0"),)
    assert read('{"p": 1, "code": "0"}', require=required).price == 1
    assert read('{"p": 1, "code": 0}', require=required).price == 1
    with pytest.raises(ContentError, match=r"code is '50001', not 0") as caught:
        read('{"p": 1, "code": "50001"}', require=required)
    assert caught.value.kind == "venue"
    with pytest.raises(ContentError, match="EQuery:Unknown asset pair"):
        read('{"p": 1, "error": ["EQuery:Unknown asset pair"]}', error_list="error")
    assert read('{"p": 1, "error": []}', error_list="error").price == 1


def test_a_message_quotes_only_the_start_of_what_came():
    with pytest.raises(ContentError) as caught:
        read('{"p": "' + "x" * 5000 + '"}')
    assert len(str(caught.value)) < 120


def test_a_request_never_shows_its_address_or_headers():
    source = Source("s", "v", Request("https://host/?key=hidden", (("X-Key", "hidden"),)), Fields(JsonPath.parse("p")))
    assert "hidden" not in repr(source)
