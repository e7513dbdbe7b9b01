"""How reports look: nothing missing, nothing that a contract's words could break out of."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from io import StringIO
from typing import Final

import msgspec
import pytest
from rich.console import Console

from seamark.messages.reports.builder import Question, build_report
from seamark.messages.reports.model import AccessChange, ErrorKind, Outlier, Report, Suggestion
from seamark.messages.reports.render import charts
from seamark.messages.reports.render.amounts import amount_text
from seamark.messages.reports.render.document import document_of, percent
from seamark.messages.reports.render.html import to_html
from seamark.messages.reports.render.markdown import to_markdown
from seamark.messages.reports.render.terminal import to_terminal
from tests.unit.messages.history import A, B, World, executed, sent
from tests.unit.messages.reports.test_builder import FIRST, LATER, PERIOD, deliver

EVIL = "<script>alert(1)</script> | `x` & \"'"


@pytest.fixture(scope="module")
def calm() -> Iterator[Report]:
    world = World()
    for index in range(30):
        deliver(world, index + 1, 1, at=FIRST + index)
    yield build_report(world.connection, Question(PERIOD, LATER))
    world.close()


@pytest.fixture(scope="module")
def evil(calm: Report) -> Report:
    """Everything that strangers choose the words of, with words that would do harm."""
    error = ErrorKind(reason=EVIL, cause=EVIL, messages=3, examples=("0x" + "ab" * 32,))
    outlier = Outlier(
        id="0x" + "cd" * 32, source=EVIL, destination="b", sequence=1, stage="sent", seconds=9, bound=3, sent_time=LATER
    )
    lane = msgspec.structs.replace(calm.lanes[0], source=EVIL)
    return msgspec.structs.replace(
        calm,
        errors=(error,),
        outliers=(outlier,),
        lanes=(lane,),
        lanes_chosen=EVIL,
        suggestions=(Suggestion(EVIL, EVIL),),
    )


class Tags(HTMLParser):
    """Checks that tags nest, and collects them."""

    VOID: Final = frozenset({"meta", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def parsed(page: str) -> Tags:
    tags = Tags()
    tags.feed(page)
    tags.close()
    assert tags.open == []
    return tags


def html(report: Report) -> str:
    return to_html(document_of(report), report, "1.2.3")


def test_the_page_stands_alone(calm: Report) -> None:
    tags = parsed(html(calm))
    assert not {"script", "link", "img", "iframe"} & set(tags.seen)
    assert not [value for name, value in tags.attributes if name in ("src", "srcset") or name.startswith("on")]
    assert all(str(value).startswith("#") for name, value in tags.attributes if name == "href")
    assert "url(" not in html(calm)
    assert "@import" not in html(calm)


def test_every_chart_says_in_words_what_it_shows(calm: Report) -> None:
    page = html(calm)
    assert page.count("<svg") == page.count('role="img"') >= 5
    ids = re.findall(r'id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    for pair in re.findall(r'aria-labelledby="([^"]+)"', page):
        assert set(pair.split()) <= set(ids)


def test_light_dark_and_print(calm: Report) -> None:
    page = html(calm)
    assert "prefers-color-scheme:dark" in page
    assert "@media print" in page
    assert 'lang="en"' in page


def test_words_of_strangers_stay_words(evil: Report) -> None:
    tags = parsed(html(evil))
    assert "script" not in tags.seen
    markdown = to_markdown(document_of(evil))
    for line in markdown.splitlines():
        assert not re.search(r"(?<!\\)<script", line)
    rows = [line for line in markdown.splitlines() if line.startswith("|") and "alert" in line]
    assert rows
    for row in rows:
        bars = len(re.findall(r"(?<!\\)\|", row))
        header = next(
            line for line in markdown.splitlines() if line.startswith("|") and len(line.split("|")) == bars + 1
        )
        assert header


def test_a_table_of_markdown_has_rows_of_equal_length(calm: Report) -> None:
    lengths: set[int] = set()
    for line in to_markdown(document_of(calm)).splitlines():
        if line.startswith("|"):
            lengths.add(len(re.findall(r"(?<!\\)\|", line)))
        elif lengths:
            assert len(lengths) == 1
            lengths.clear()


@pytest.mark.parametrize("width", [60, 80, 200])
def test_the_terminal_shows_every_section(calm: Report, width: int) -> None:
    console = Console(width=width, record=True, file=StringIO())
    for part in to_terminal(document_of(calm), calm):
        console.print(part)
    text = console.export_text()
    for section in document_of(calm).sections:
        assert section.title in text
    assert all(len(line.rstrip()) <= width for line in text.splitlines())


def on_terminal(report: Report, width: int) -> str:
    screen = StringIO()
    console = Console(file=screen, width=width, highlight=False, soft_wrap=True, color_system=None)  # as the CLI's
    for part in to_terminal(document_of(report), report):
        console.print(part)
    return screen.getvalue()


@pytest.mark.parametrize("width", [48, 56, 60, 64, 70, 76, 80, 100, 160])
def test_no_word_of_a_table_is_broken(calm: Report, width: int) -> None:
    text = on_terminal(calm, width)
    words = text.split()
    for word in ("delivered", "version", "longest", "30"):
        assert word in words, f"{word} is whole"
    parties = [account for line in text.splitlines() for account in re.findall(r"0x[0-9a-fA-F]+", line)]
    assert {len(account) for account in parties} <= {10, 42}, "ids short, accounts whole"
    assert all(len(line.rstrip()) <= width for line in text.splitlines()[1:]), "but for the headline"


def test_little_room_drops_what_another_table_has_then_stacks_rows(calm: Report) -> None:
    def heading(width: int) -> list[str]:
        lines = on_terminal(calm, width).splitlines()
        return " ".join(lines[lines.index("Lanes") + 1 : lines.index("Latency by stage")]).split()

    assert [name in heading(160) for name in ("average", "p50", "p95", "p99")] == [True] * 4
    assert [name in heading(70) for name in ("average", "p50", "p95", "p99")] == [False, False, True, False]
    assert " ".join(heading(50)).endswith(  # each message is delivered two blocks of 12 s after its send
        "alpha → beta version ccip 1.6.0 sent 30 delivered 30 failed 0 on their way 0 success 100 % "
        "average 24s p50 24s p95 24s p99 24s"
    )


@pytest.mark.parametrize("width", [50, 80])
def test_no_sentence_is_cut_at_the_edge_of_the_terminal(calm: Report, width: int) -> None:
    screen = StringIO()
    console = Console(file=screen, width=width, highlight=False, soft_wrap=True, color_system=None)  # as the CLI's
    for part in to_terminal(document_of(calm), calm):
        console.print(part)
    words = " ".join(screen.getvalue().split())
    sentences = [sentence for section in document_of(calm).sections for sentence in section.sentences]
    assert any(len(sentence) > width for sentence in sentences)
    for sentence in sentences:
        assert sentence in words


def test_a_change_is_told_as_its_event_tells_it(calm: Report) -> None:
    said: dict[str, object] = {
        "event": "RateLimitConfigured",
        "values": {"limits": [{"on": True, "rate": "7"}], "remoteToken": "0x" + "0a" * 20, "nobody": []},
        "role": "OPERATOR_ROLE",
    }
    change = AccessChange(
        time=FIRST,
        chain_id=A,
        contract="0x" + "0c" * 20,
        kind="role_changed",
        subject="",
        details=said,
        tx="0x" + "01" * 32,
    )
    page = html(msgspec.structs.replace(calm, access=(change,)))
    told = f"RateLimitConfigured: role OPERATOR_ROLE, limits (on True, rate 7), remoteToken 0x{'0a' * 20}, nobody none"
    assert f'<td class="prose">{told}</td>' in page
    bare = msgspec.structs.replace(change, details={"event": "Paused"})
    assert '<td class="prose">Paused</td>' in html(msgspec.structs.replace(calm, access=(bare,)))


def test_an_empty_period_is_said_plainly() -> None:
    world = World()
    empty = build_report(world.connection, Question(PERIOD, LATER))
    world.close()
    page = html(empty)
    parsed(page)
    assert "No message is known yet." in page
    assert "<svg" not in page
    assert "No message sent in this period stands failed." in to_markdown(document_of(empty))


def test_lanes_with_the_same_ends_are_told_apart(calm: Report) -> None:
    newer = msgspec.structs.replace(calm.lanes[0], version="2.0.0")
    both = msgspec.structs.replace(calm, lanes=(calm.lanes[0], newer))
    assert "alpha → beta (ccip 2.0.0)" in html(both)


def test_failures_colour_their_figure(calm: Report) -> None:
    world = World()
    world.tell(A, world.block(A, FIRST, [sent(1)]))
    world.tell(B, world.block(B, FIRST + 1, [executed(1, good=False)]))
    bad = build_report(world.connection, Question(PERIOD, LATER))
    world.close()
    tones = {tile.title: tile.tone for tile in document_of(bad).tiles}
    assert tones["Failed"] == tones["Success rate"] == "bad"
    assert {tile.title: tile.tone for tile in document_of(calm).tiles}["Success rate"] == "good"


@pytest.mark.parametrize(
    ("share", "text"),
    [(None, "-"), (1.0, "100 %"), (0.0, "0 %"), (0.99999, "99.99 %"), (0.00001, "0.01 %"), (0.5, "50.00 %")],
)
def test_a_share_is_never_rounded_to_a_whole_that_it_is_not(share: float | None, text: str) -> None:
    assert percent(share) == text


@pytest.mark.parametrize(
    ("highest", "ticks"),
    [
        (0, [0, 1]),
        (3, [0, 1, 2, 3]),
        (55, [0, 15, 30, 45, 60]),
        (1900, [0, 600, 1200, 1800, 2400]),
        (100_000, [0, 43_200, 86_400, 129_600]),
        (10 * 86_400, [0, 172_800, 345_600, 518_400, 691_200, 864_000]),
    ],
)
def test_ticks_of_time_are_those_of_clocks(highest: float, ticks: list[float]) -> None:
    assert charts.time_ticks(highest) == ticks
    assert ticks[-1] >= highest


@pytest.mark.parametrize("highest", [0, 0.003, 0.7, 1, 2, 3, 5, 17, 60, 99, 1000, 12_345, 9_999_999])
def test_ticks_are_round_few_and_reach_the_top(highest: float) -> None:
    ticks = charts.nice_ticks(highest)
    assert ticks[0] == 0
    assert ticks[-1] >= highest
    assert 2 <= len(ticks) <= 7
    assert ticks == sorted(set(ticks))


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "0 LINK"),
        (1, "0.000000000000000001 LINK"),
        (41_234_567 * 10**9, "0.041235 LINK"),
        (12345 * 10**18, "12,345 LINK"),
        (3 * 10**18, "3 LINK"),
    ],
)
def test_amounts_for_people(amount: int, text: str) -> None:
    assert amount_text(amount, 18, "LINK") == text
