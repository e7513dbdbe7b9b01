import pytest

from seamark.oracle.sources.paths import JsonPath, PathError

DOCUMENT = {
    "last": "1",
    "result": {"XXBTZUSD": {"c": ["2", "0.1"]}},
    "data": [{"px": "3"}, {"px": "4"}],
    "24h": "5",
    "odd key": {"a.b": "6"},
    "one": ["7"],
    "empty": [],
    "none": None,
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("last", "1"),
        ("result.*.c[0]", "2"),
        ("data[1].px", "4"),
        ("24h", "5"),
        ('["odd key"]["a.b"]', "6"),
        ('result["XXBTZUSD"].c[1]', "0.1"),
        ("one.*", "7"),
        ("none", None),
        ("data", [{"px": "3"}, {"px": "4"}]),
    ],
)
def test_a_path_names_one_value(text, value):
    path = JsonPath.parse(text)
    assert path.find(DOCUMENT) == value
    assert str(path) == text


def test_a_list_may_be_the_whole_document():
    assert JsonPath.parse("[1][0]").find([["a"], ["b"]]) == "b"


@pytest.mark.parametrize(
    "text",
    [
        "price",
        "last.more",
        "last[0]",
        "data[2].px",
        "data.px",
        "result.*.c[2]",
        "data.*",
        "empty.*",
        "*",
        "none.x",
        "[0]",
    ],
)
def test_a_value_that_is_not_there_is_an_error(text):
    with pytest.raises(PathError, match="no value at"):
        JsonPath.parse(text).find(DOCUMENT)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".a",
        "a.",
        "a..b",
        "a b",
        "a[b]",
        "a[-1]",
        "a[",
        "a.[0]",
        "$.a",
        "a[0]b",
        "[]",
        "a[?x]",
        "ab*",
        '[""]',
        "a\n",
    ],
)
def test_what_is_no_path_is_refused(text):
    with pytest.raises(ValueError, match="JSON path"):
        JsonPath.parse(text)
