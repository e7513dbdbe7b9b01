"""The pure parts of the message commands: times, names, tables, notes."""

from __future__ import annotations

import msgspec
import pytest
from rich.console import Console

from seamark.cli.messages_amounts import Tokens
from seamark.cli.messages_filters import find_chain, parse_moment, parse_stages
from seamark.cli.messages_table import messages_table, note_of, plain_rows, shown_stage
from seamark.cli.messages_watch import matches
from seamark.core.errors import SettingsError
from seamark.evm.settings import ChainSettings
from seamark.messages.model import Stage
from seamark.messages.reports.model import ChainEnd
from seamark.messages.store import MessageFilter, MessageView, Seconds

NOW = 1_763_720_000
LINK = "0x" + "11" * 20
VIEW = MessageView(
    id="0x" + "ab" * 32,
    protocol="ccip",
    version="1.6.0",
    source="13801380138013801380",
    destination="7759470850252068959",
    source_name="Chain 138",
    destination_name="Anvil [local]",
    source_chain=138,
    destination_chain=31337,
    source_watched=True,
    destination_watched=True,
    channel="0x" + "a1" * 20,
    sequence=7,
    stage="executed",
    retracted=False,
    finalized=True,
    time=NOW - 90,
    sender="0x" + "5e" * 20,
    receiver="0x" + "4e" * 20,
    size=224,
    fee_token=LINK,
    fee_amount=str(39_572 * 10**12),
    fee_juels=str(39_572 * 10**12),
    sent_tx="0x" + "01" * 32,
    sent_block=1,
    sent_time=NOW - 90,
    finalized_time=NOW - 88,
    committed_tx="0x" + "02" * 32,
    committed_time=NOW - 87,
    executed_tx="0x" + "03" * 32,
    executed_time=NOW - 86,
    attempts=1,
    reason="",
    error="",
    callback=True,
    manual=False,
    conflicting=False,
    seconds=Seconds(2, 3, 1, 4),
)
ENDS = [ChainEnd("13801380138013801380", "Chain 138", 138), ChainEnd("555", "555", None)]
CHAINS = {"home": ChainSettings(chain_id=138, rpc=("http://127.0.0.1:1",), label="Chain 138")}


def changed(**values: object) -> MessageView:
    return msgspec.structs.replace(VIEW, **values)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2h", NOW - 7200),
        ("90m ago", NOW - 5400),
        ("1d12h", NOW - 129_600),
        ("1763700000", 1_763_700_000),
        ("2025-11-21", 1_763_683_200),
        ("2025-11-21T10:00:00", 1_763_719_200),
        ("2025-11-21T10:00:00Z", 1_763_719_200),
        ("2025-11-21T12:00:00+02:00", 1_763_719_200),
    ],
)
def test_times(text: str, seconds: int) -> None:
    assert parse_moment("--since", text, NOW) == seconds


@pytest.mark.parametrize("text", ["", "5", "yesterday", "2025-13-01", "-2h", "\uff11\uff12" * 5])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(SettingsError, match="--since"):
        parse_moment("--since", text, NOW)
    assert parse_moment("--since", None, NOW) is None


def test_stages_by_name_and_by_meaning() -> None:
    assert parse_stages([]) == []
    assert parse_stages(["failed", "FAILED"]) == [Stage.FAILED]
    assert parse_stages(["open,failed"]) == [Stage.SENT, Stage.FINALIZED, Stage.COMMITTED, Stage.FAILED]
    with pytest.raises(SettingsError, match="one of sent"):
        parse_stages(["done"])


@pytest.mark.parametrize("text", ["home", "HOME", "chain 138", "138", "13801380138013801380"])
def test_a_chain_by_any_of_its_names(text: str) -> None:
    assert find_chain("--source", text, ENDS, CHAINS) == "Chain 138"


def test_a_chain_that_nobody_named_is_its_number() -> None:
    assert find_chain("--source", "555", ENDS, {}) == "555"
    assert find_chain("--source", None, ENDS, {}) is None
    with pytest.raises(SettingsError, match="known: 555, Chain 138"):
        find_chain("--source", "home", ENDS, {})


def test_verified_is_a_word_for_people_and_a_stage_for_scripts() -> None:
    view = changed(stage="committed", verified=True)
    assert shown_stage(view) == "verified"
    assert " committed " in plain_rows([view], NOW, Tokens())[1]
    assert shown_stage(changed(stage="executed", verified=True)) == "executed"


@pytest.mark.parametrize("width", [48, 60, 70, 80, 100, 110, 160])
@pytest.mark.parametrize("error", ["", "x" * 300])
def test_the_table_fits_the_terminal(width: int, error: str) -> None:
    console = Console(width=width, force_terminal=False)
    views = [changed(stage="failed", error=error, seconds=Seconds()), VIEW, changed(stage="sent", seconds=Seconds())]
    with console.capture() as captured:
        console.print(messages_table(views, NOW, Tokens(), width))
    lines = captured.get().splitlines()
    assert len(lines) == 4
    assert all(len(line.rstrip()) <= width for line in lines)
    assert "Anvil [local]" in lines[1]
    assert "0xabababab" in lines[1]


@pytest.mark.parametrize(
    ("width", "gone"), [(48, ["age", "number", "took", "note"]), (60, ["note"]), (100, []), (30, ["age", "took"])]
)
def test_little_room_takes_columns_not_digits(width: int, gone: list[str]) -> None:
    table = messages_table([VIEW], NOW, Tokens(), width)
    titles = [str(column.header) for column in table.columns]
    assert not set(gone) & set(titles)
    assert {"id", "lane", "stage"} <= set(titles)
    console = Console(width=width, force_terminal=False)
    with console.capture() as captured:
        console.print(table)
    assert "0xabababab " in captured.get(), "an id is never cut"


def test_rows_of_a_pipe_have_equal_columns() -> None:
    heading, *rows = plain_rows([VIEW, changed(stage="failed", error="boom", sequence=123456)], NOW, Tokens())
    places = [heading.index(name) for name in ("sent", "protocol", "stage")]
    for row in rows:
        assert all(row[place - 1] == " " and row[place] != " " for place in places)


def test_fees_in_units_as_far_as_they_are_known() -> None:
    known = Tokens({(138, LINK): ("LINK", 18)})
    assert known.text(138, LINK, str(39_572 * 10**12)) == "0.039572 LINK"
    assert known.text(1, LINK, "5") == "5 base units of 0x111111…"
    assert known.text(138, "0x" + "00" * 20, str(10**18)) == "1 native"
    assert "~0.039572 LINK" in plain_rows([VIEW], NOW, Tokens())[1]
    assert " 0.039572 LINK" in plain_rows([VIEW], NOW, known)[1]


@pytest.mark.parametrize(
    ("view", "note"),
    [
        (VIEW, ""),
        (changed(stage="failed", error="", reason="no_reason"), "no_reason"),
        (changed(attempts=2, manual=True), "at attempt 2, by hand"),
        (changed(callback=False), "receiver's code did not run"),
        (changed(callback=False, size=0), ""),
        (changed(retracted=True, conflicting=True), "its send left the chain, conflicting facts"),
        (changed(stage="finalized", destination_watched=False), "destination not watched"),
        (changed(stage="finalized", by_hand=True), "waits for a hand"),
        (changed(stage="executed", by_hand=True), ""),
    ],
)
def test_notes(view: MessageView, note: str) -> None:
    assert note_of(view) == note


@pytest.mark.parametrize(
    ("wanted", "does"),
    [
        (MessageFilter(), True),
        (MessageFilter(source="Chain 138", destination="7759470850252068959"), True),
        (MessageFilter(source="Chain 1"), False),
        (MessageFilter(stage=[Stage.FAILED]), False),
        (MessageFilter(stage=[Stage.FAILED, Stage.EXECUTED], sender="0x" + "5e" * 20), True),
        (MessageFilter(receiver="0x" + "00" * 20), False),
        (MessageFilter(protocol="ccip", version="1.5.0"), False),
    ],
)
def test_events_are_chosen_as_lists_are(wanted: MessageFilter, does: bool) -> None:
    assert matches(msgspec.to_builtins(VIEW), wanted) is does
