"""The page in a real browser: it changes by itself, stays honest when the server is away, and fits a phone."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.async_api import Browser, ConsoleMessage, Locator, Page, Playwright, Response, async_playwright, expect

from seamark.api.readers import StoredAlerts
from seamark.api.readers.interop_messages import StoredExecuting
from seamark.core.findings import Finding, Severity
from seamark.monitoring.alerts import store as alerts
from tests.support.browser import CHROMIUM, CHROMIUM_FLAGS, ServedApi, opened_story, serving
from tests.support.interop import Bed, executing, initiating
from tests.unit.api.fakes import HOME, NAMES, Story, chain_state, hash_of, make_message, now_ms
from tests.unit.monitoring.makers import finding

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (Debian: apt-get install chromium)"),
]

MINUS = "\N{MINUS SIGN}"
PHONE: Any = {"width": 360, "height": 740}


@pytest.fixture
async def story(tmp_path: Path) -> AsyncIterator[Story]:
    async with opened_story(tmp_path) as opened:
        yield opened


@pytest.fixture
async def api(story: Story) -> AsyncIterator[ServedApi]:
    async with serving(story, alerts=StoredAlerts(story.database)) as served:
        yield served


@pytest.fixture
async def playwright() -> AsyncIterator[Playwright]:
    async with async_playwright() as running:
        yield running


@pytest.fixture
async def browser(playwright: Playwright) -> AsyncIterator[Browser]:
    running = await playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
    yield running
    await running.close()


@pytest.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A page on which an error in the console fails the test."""
    opened = await browser.new_page(viewport={"width": 1440, "height": 1000})
    problems: list[str] = []

    def on_console(message: ConsoleMessage) -> None:
        # What cannot be loaded is judged by its answer below; a server that is away has none.
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            problems.append(message.text)

    def on_response(response: Response) -> None:
        if response.status >= 400 and "/api/messages/0x" not in response.url:
            problems.append(f"{response.status} {response.url}")

    opened.on("console", on_console)
    opened.on("response", on_response)
    opened.on("pageerror", lambda error: problems.append(str(error)))
    yield opened
    await opened.close()
    assert problems == []


async def open_live(page: Page, url: str) -> None:
    await page.goto(url)
    await expect(page.locator("#live")).to_have_attribute("data-state", "live")


def row_of(page: Page, number: int) -> Locator:
    return page.locator(f'.msg:has(a[href="#/messages/{hash_of(number)}"])')


async def test_a_message_moves_through_its_stages_by_itself(page: Page, api: ServedApi, story: Story) -> None:
    await open_live(page, api.url)
    await expect(page.get_by_text("No messages yet")).to_be_visible()
    sent = now_ms()
    expected = {
        "sent": "Waits for finality",
        "finalized": "Waits for commit",
        "committed": "Waits for execution",
        "executed": "Executed",
    }
    row = row_of(page, 1)
    for stage, words in expected.items():
        await story.move(make_message(1, stage, sent_ms=sent))
        await expect(row.locator(".msg-state .state")).to_have_text(words)
        done = list(expected).index(stage) + (stage == "executed")
        await expect(row.locator('.step[data-look="done"]')).to_have_count(done)
    await expect(row.locator(".step-time").nth(0)).to_have_text("2 s")
    await expect(row.locator(".step-time").nth(1)).to_have_text("3 s")
    await expect(row.locator(".msg-time")).to_have_text("in 6 s")
    await expect(page.locator(".msg")).to_have_count(1)


async def test_the_time_in_the_present_stage_counts(page: Page, api: ServedApi, story: Story) -> None:
    story.messages.put(make_message(1, "sent", sent_ms=now_ms() - 3000))
    await open_live(page, api.url)
    spent = row_of(page, 1).locator(".step-time").nth(0)
    first = await spent.text_content()
    await expect(spent).not_to_have_text(first or "")


async def test_a_price_changes_by_itself_and_says_why(page: Page, api: ServedApi, story: Story) -> None:
    await story.publish("ETH/USD", "3400.10", carried=True)
    await open_live(page, api.url)
    card = page.locator(".feed")
    await expect(card.locator(".feed-price")).to_have_text("3,400.10")
    await story.publish("ETH/USD", "3451.00")
    await expect(card.locator(".feed-price")).to_have_text("3,451.00")
    await expect(card.locator(".points tr").nth(2)).to_contain_text("round 1, 1 behind")
    await expect(card.locator(".points tr").nth(2)).to_contain_text(f"{MINUS}1.47 % drift")
    newest = page.locator("#updates tr").first
    await expect(newest).to_contain_text("3,400.10 → 3,451.00")
    await expect(newest).to_contain_text("+1.50 %")
    await expect(newest).to_contain_text("Deviation")
    await story.deliver("ETH/USD")
    await expect(card.locator(".points tr").nth(2)).to_contain_text("same price")


async def test_failed_and_retracted_are_said_in_words(page: Page, api: ServedApi, story: Story) -> None:
    story.messages.put(make_message(1, "failed"))
    story.messages.put(make_message(2, "retracted"))
    await open_live(page, api.url)
    await expect(row_of(page, 1)).to_contain_text("the receiver reverted: EnforcedPause()")
    await expect(row_of(page, 1).locator(".msg-state .state svg")).to_have_count(1)
    await expect(row_of(page, 2)).to_contain_text("Retracted")
    await expect(row_of(page, 2)).to_contain_text("its send left the chain")


async def test_details_by_click_keyboard_and_address(page: Page, api: ServedApi, story: Story) -> None:
    story.messages.put(make_message(1, "failed"))
    await open_live(page, api.url)
    await row_of(page, 1).click(position={"x": 400, "y": 12})
    drawer = page.locator("#details")
    await expect(drawer).to_contain_text("Failed on the destination")
    await expect(drawer).to_contain_text("0xd93c0665")
    assert page.url.endswith(f"#/messages/{hash_of(1)}")
    await page.keyboard.press("Escape")
    await expect(drawer).to_be_hidden()
    await expect(page).to_have_url(re.compile(r"#/$"))
    await row_of(page, 1).locator(".msg-link").focus()
    await page.keyboard.press("Enter")
    await expect(drawer).to_be_visible()
    await page.goto("about:blank")
    await page.goto(f"{api.url}/#/messages/{hash_of(1)}")
    await expect(drawer).to_contain_text("Failed on the destination")
    await page.goto("about:blank")
    await page.goto(f"{api.url}/#/messages/{hash_of(9)}")
    await expect(drawer).to_contain_text("No message has this id")
    await page.keyboard.press("Escape")


async def test_open_details_move_along(page: Page, api: ServedApi, story: Story) -> None:
    sent = now_ms()
    story.messages.put(make_message(1, "sent", sent_ms=sent))
    await open_live(page, f"{api.url}/#/messages/{hash_of(1)}")
    await expect(page.locator("#details .state-large")).to_have_text("Waits for finality")
    await story.move(make_message(1, "committed", sent_ms=sent))
    await expect(page.locator("#details .state-large")).to_have_text("Waits for execution")


async def test_a_lost_connection_is_shown_and_caught_up(page: Page, story: Story) -> None:
    async with serving(story, alerts=StoredAlerts(story.database)) as first:
        port = first.service.address[1]
        url = first.url
        await story.publish("ETH/USD", "3400.00")
        await open_live(page, url)
        await expect(page.locator(".feed-price")).to_have_text("3,400.00")
    await expect(page.locator("#live")).to_have_attribute("data-state", "down")
    await expect(page.locator("#banner")).to_contain_text("last heard from the server")
    await story.publish("ETH/USD", "3500.00")
    await story.move(make_message(1, "committed"))
    async with serving(story, port=port, alerts=StoredAlerts(story.database)):
        await page.locator("#banner-retry").click()
        await expect(page.locator("#live")).to_have_attribute("data-state", "live", timeout=15_000)
        await expect(page.locator("#banner")).to_be_hidden()
        await expect(page.locator(".feed-price")).to_have_text("3,500.00")
        await expect(row_of(page, 1)).to_contain_text("Waits for execution")
        await page.goto("about:blank")


async def test_filters(page: Page, api: ServedApi, story: Story) -> None:
    for number, stage in enumerate(("sent", "committed", "executed", "failed"), start=1):
        story.messages.put(make_message(number, stage))
    await open_live(page, api.url)
    rows = page.locator(".msg")
    await expect(rows).to_have_count(4)
    await page.select_option("#filter-stage", label="In flight")
    await expect(rows).to_have_count(2)
    await story.move(make_message(1, "executed"))
    await expect(rows).to_have_count(1)
    await page.select_option("#filter-stage", label="Retracted")
    await expect(page.get_by_text("No message matches")).to_be_visible()
    await page.get_by_role("button", name="Clear the filter").click()
    await expect(rows).to_have_count(4)
    await page.fill("#filter-text", "enforcedpause")
    await expect(rows).to_have_count(1)
    await page.fill("#filter-text", hash_of(2))
    await expect(row_of(page, 2)).to_be_visible()
    await expect(rows).to_have_count(1)


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_phone_never_scrolls_sideways(
    browser: Browser, api: ServedApi, story: Story, scheme: Literal["light", "dark"]
) -> None:
    await story.publish("BTC/USD", "197240.5012")
    await story.publish("BTC/USD", "198250.5012")
    story.chain_states += [chain_state(HOME, 123_456_789)]
    for number, stage in enumerate(("sent", "failed", "retracted", "executed"), start=1):
        story.messages.put(make_message(number, stage))
    page = await browser.new_page(viewport=PHONE, color_scheme=scheme)
    for address in (api.url, f"{api.url}/#/messages/{hash_of(2)}"):
        await page.goto("about:blank")
        await open_live(page, address)
        await expect(page.locator(".feed-price")).to_be_visible()
        for place in ("document.documentElement", "document.getElementById('details')"):
            assert await page.evaluate(f"{place}.scrollWidth <= {place}.clientWidth"), (address, place)
    await page.close()


async def test_dark_by_the_system_light_by_choice_and_the_choice_stays(browser: Browser, api: ServedApi) -> None:
    page = await browser.new_page(color_scheme="dark")
    await open_live(page, api.url)

    async def background() -> int:
        text = await page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        return sum(int(part) for part in re.findall(r"\d+", text)[:3])

    assert await background() < 150
    toggle = page.get_by_role("button", name="Dark theme")
    await expect(toggle).to_have_attribute("aria-pressed", "true")
    await toggle.click()
    assert await background() > 600
    await page.reload()
    assert await background() > 600
    await expect(toggle).to_have_attribute("aria-pressed", "false")
    await page.close()


async def test_two_hundred_messages_stay_the_same_nodes_when_one_moves(
    page: Page, api: ServedApi, story: Story
) -> None:
    for number in range(1, 201):
        story.messages.put(make_message(number, "committed", sent_ms=1_700_000_000_000 + number * 1000))
    await open_live(page, api.url)
    for _ in range(2):
        await page.locator("#messages-more").click()
    await expect(page.locator(".msg")).to_have_count(200)
    await page.evaluate("for (const row of document.querySelectorAll('.msg')) row.marked = true")
    await story.move(make_message(100, "executed", sent_ms=1_700_000_000_000 + 100_000))
    await expect(row_of(page, 100)).to_contain_text("Executed")
    assert await page.evaluate("[...document.querySelectorAll('.msg')].filter((row) => row.marked).length") == 200


async def test_hostile_text_stays_text(page: Page, api: ServedApi, story: Story) -> None:
    story.messages.put(make_message(1, "failed", failed="<img src=x onerror=alert(1)>"))
    await open_live(page, f"{api.url}/#/messages/{hash_of(1)}")
    await expect(page.locator("#details")).to_contain_text("<img src=x onerror=alert(1)>")
    assert await page.locator("img").count() == 0


async def test_ages_follow_the_server_not_a_wrong_clock_here(browser: Browser, api: ServedApi, story: Story) -> None:
    await story.publish("ETH/USD", "3400.00")
    page = await browser.new_page()
    await page.add_init_script("const real = Date.now; Date.now = () => real() + 3600 * 1000")
    await open_live(page, api.url)
    await expect(page.locator(".point-age").first).to_have_text(re.compile(r"^\d+ s$"))
    await page.close()


# --- alerts ---


async def find(story: Story, *findings: Finding) -> None:
    """These hold now, and no other."""
    await story.database.write(lambda connection: alerts.report(connection, "judge", findings, now_ms()))
    story.signal.fire()


STUCK = finding("message_stuck", "lane", severity=Severity.WARNING, title="besu to anvil: 3 messages not executed")
CURSED = finding(
    "cursed",
    "besu",
    severity=Severity.CRITICAL,
    title="besu is cursed",
    remedy="nothing moves until it is lifted; follow it with: seamark ccip check",
)


async def test_alerts_come_and_go_by_themselves(page: Page, api: ServedApi, story: Story) -> None:
    await open_live(page, api.url)
    await expect(page.locator("#alerts-calm")).to_have_text("All clearNo alert is open.")
    await find(story, STUCK)
    await expect(page.locator("#alerts-counts")).to_have_text("1 warning")
    await find(story, STUCK, CURSED)
    await expect(page.locator("#alerts-counts .state")).to_have_text(["1 critical", "1 warning"])
    await expect(page.locator(".alert-link")).to_have_text(["besu is cursed", "besu to anvil: 3 messages not executed"])
    await expect(page).to_have_title("(2) Seamark")
    await page.locator("#alerts-box summary").click()
    await expect(page.locator(".alert").first).to_be_hidden()
    await expect(page.locator("#alerts-worst")).to_have_text("besu is cursed")
    await page.reload()
    await expect(page.locator("#alerts-worst")).to_be_visible()
    await expect(page.locator(".alert").first).to_be_hidden()
    await find(story)
    await expect(page.locator("#alerts-calm")).to_be_visible()
    await expect(page.locator("#alerts-box")).to_be_hidden()
    await expect(page).to_have_title("Seamark")


async def test_an_alert_is_acknowledged_and_given_back(page: Page, api: ServedApi, story: Story) -> None:
    await find(story, CURSED)
    await open_live(page, api.url)
    await page.locator(".alert-link").focus()
    await page.keyboard.press("Enter")
    drawer = page.locator("#details")
    await expect(drawer.locator(".alert-title")).to_have_text("besu is cursed")
    await expect(drawer.locator(".command code")).to_have_text("seamark ccip check")
    await expect(drawer.locator(".advice")).to_contain_text("Nothing moves until it is lifted; follow it with:")
    await page.fill("[name=who]", "ann")
    await page.fill("[name=why]", "half a sent")
    await find(story, CURSED, STUCK)  # an event while somebody writes
    await expect(page.locator(".alert")).to_have_count(2)
    await expect(page.locator("[name=why]")).to_have_value("half a sent")
    await expect(page.locator("[name=why]")).to_be_focused()
    await page.keyboard.type("ence")
    await page.keyboard.press("Enter")
    await expect(drawer.locator(".note")).to_contain_text("half a sentence")
    await expect(page.locator(".alert-standing").nth(1)).to_have_text("ann has it")
    await expect(page.locator("#alerts-counts")).to_contain_text("1 in hand or silenced")
    await expect(drawer.locator(".history li").first).to_contain_text("Acknowledged by ann: half a sentence")
    await page.get_by_role("button", name="Give it back").click()
    await expect(page.locator("[name=who]")).to_have_value("ann")
    await expect(page.locator(".alert-standing").first).to_have_text("Firing")
    await find(story)
    await expect(drawer).to_contain_text("Resolved")
    await expect(page.locator("[name=who]")).to_have_count(0)
    await page.keyboard.press("Escape")
    await expect(page).to_have_url(re.compile(r"#/$"))


async def test_past_alerts_have_a_place_and_silences_are_made_and_ended(
    page: Page, api: ServedApi, story: Story
) -> None:
    await story.database.write(lambda c: alerts.report(c, "judge", [finding(), finding("cursed", "138/*")], now_ms()))
    await story.database.write(lambda c: alerts.report(c, "judge", [finding("cursed", "138/*")], now_ms() + 60_000))
    await open_live(page, f"{api.url}/#/alerts/1")
    drawer = page.locator("#details")
    await drawer.locator(".silence summary").click()
    await drawer.locator("[name=silencer]").fill("ann")
    await drawer.locator("[name=reason]").fill("upgrade")
    await drawer.locator("[data-focus=silence]").click()
    await expect(drawer).to_contain_text("By ann until")
    await open_live(page, f"{api.url}/#/alerts/history")
    await expect(drawer.locator(".past a")).to_have_text(["message_stuck on besu to anvil"])
    await expect(drawer).to_contain_text("kind=cursed group=besu to anvil")
    await drawer.locator("[data-focus=end-1]").click()
    await expect(drawer).not_to_contain_text("Silenced now")
    await drawer.locator(".past a").click()
    await expect(drawer.locator(".alert-title")).to_have_text("message_stuck on besu to anvil")


async def test_what_an_alert_explains_is_shown_below_it(page: Page, api: ServedApi, story: Story) -> None:
    held = {"labels": {"source": "besu", "dest": "anvil"}}
    curse = finding("cursed", "besu", severity=Severity.CRITICAL, title="besu is cursed", labels={"chain": "besu"})
    await find(story, curse, finding("message_stuck", "lane", title="3 messages are stuck", **held))
    await story.database.write(lambda connection: alerts.refold(connection, now_ms()))
    await open_live(page, f"{api.url}/#/alerts/1")
    await expect(page.locator(".below a")).to_have_text("3 messages are stuck")
    await page.locator(".below a").click()
    await expect(page.locator("#details")).to_contain_text("Explained by another alert")
    await page.locator("#details .note a").click()
    await expect(page.locator(".alert-title")).to_have_text("besu is cursed")
    await page.keyboard.press("Escape")
    await expect(page.locator(".alert")).to_have_count(1)
    await expect(page.locator(".alert-sub")).to_contain_text("explains 1 more")


async def test_without_alerts_the_page_says_nothing_of_them(browser: Browser, story: Story) -> None:
    page = await browser.new_page()
    async with serving(story) as bare:
        await open_live(page, bare.url)
        await expect(page.get_by_text("No messages yet")).to_be_visible()
        await expect(page.locator("#alerts")).to_be_hidden()
        await page.goto("about:blank")
    await page.close()


# --- messages of other protocols, and side states ---


async def test_recovered_is_told_from_executed(page: Page, api: ServedApi, story: Story) -> None:
    story.messages.put(make_message(1, "recovered", manual=True))
    story.messages.put(make_message(2, "recovered", attempts=2))
    story.messages.put(make_message(3, "executed"))
    await open_live(page, f"{api.url}/#/messages/{hash_of(1)}")
    await expect(page.locator("#details .state-large")).to_have_text("Recovered by hand")
    await expect(page.locator("#details .way")).to_contain_text("executed by hand")
    await page.keyboard.press("Escape")
    await expect(row_of(page, 2).locator(".msg-state .state")).to_have_text("Recovered")
    await expect(row_of(page, 3).locator(".msg-state .state")).to_have_text("Executed")
    assert await row_of(page, 2).locator(".step").nth(3).inner_html() != (
        await row_of(page, 3).locator(".step").nth(3).inner_html()
    )
    await page.select_option("#filter-stage", value="recovered")
    await expect(page.locator(".msg")).to_have_count(2)
    await page.select_option("#filter-stage", label="Delivered")
    await expect(page.locator(".msg")).to_have_count(3)


async def test_a_lane_without_commits_has_three_steps(page: Page, api: ServedApi, story: Story) -> None:
    changes: dict[str, Any] = {"protocol": "hyperlane", "version": "3", "commits": False, "sequence": None}
    story.messages.put(make_message(1, "finalized", **changes))
    story.messages.put(make_message(2, "committed", version="1.5.0"))
    await open_live(page, api.url)
    row = row_of(page, 1)
    await expect(row.locator(".step:visible .step-word")).to_have_text(["Sent", "Finalized", "Executed"])
    await expect(row.locator(".msg-state .state")).to_have_text("Waits for execution")
    await expect(row.locator(".msg-sub")).to_have_text("Hyperlane · ETH/USD round 1")
    await expect(row_of(page, 2).locator(".msg-sub")).to_have_text("CCIP 1.5 · #2 · ETH/USD round 2")
    await row.locator(".msg-link").click()
    await expect(page.locator("#details .way strong")).to_have_text(["Sent", "Finalized", "Executed"])
    await expect(page.locator("#details .facts")).not_to_contain_text("Sequence")


async def test_late_and_not_called_are_said_beside_the_state(page: Page, api: ServedApi, story: Story) -> None:
    story.messages.put(make_message(1, "committed", late=True))
    story.messages.put(make_message(2, "executed", callback=False))
    await open_live(page, f"{api.url}/#/messages/{hash_of(2)}")
    await expect(page.locator("#details .note")).to_contain_text("the receiver was not called")
    await page.keyboard.press("Escape")
    await expect(row_of(page, 1).locator(".flag")).to_have_text("late")
    await expect(row_of(page, 2).locator(".flag")).to_have_text("not called")


async def test_messages_are_filtered_by_protocol_where_there_are_several(
    page: Page, api: ServedApi, story: Story
) -> None:
    story.messages.put(make_message(1))
    await open_live(page, api.url)
    await expect(page.locator(".msg")).to_have_count(1)
    await expect(page.locator("#filter-protocol")).to_be_hidden()
    await story.move(make_message(2, protocol="interop", version="1", commits=False))
    await expect(page.locator("#filter-protocol")).to_be_visible()
    await page.select_option("#filter-protocol", label="OP interop")
    await expect(page.locator(".msg")).to_have_count(1)
    await expect(row_of(page, 2)).to_be_visible()


ADVICE = [
    (
        "seamark messages report --daily; seamark messages list --stage failed",
        ["messages report --daily", "messages list --stage failed"],
    ),
    ("remove the cause, then: seamark messages recover 0xabc", ["messages recover 0xabc"]),
    ("sends revert; seamark ccip check shows the age of the fee data", ["ccip check"]),
    ("seamark messages list --from 'Chain 138' --late, then wait", ["messages list --from 'Chain 138' --late"]),
    ("add the chain to the settings", []),
]


async def test_commands_are_found_in_sentences(page: Page, api: ServedApi) -> None:
    await open_live(page, api.url)
    call = "async (text) => (await import('/js/advice.js')).partsOf(text).filter((p) => p.command).map((p) => p.text)"
    for text, expected in ADVICE:
        assert await page.evaluate(call, text) == [f"seamark {command}" for command in expected], text


FORMATS = [
    ("price", ["3412.18000000"], "3,412.18"),
    ("price", ["17.4310"], "17.4310"),
    ("price", ["1"], "1.00"),
    ("price", ["1.50000000"], "1.5000"),
    ("price", ["0.000012345678"], "0.000012345"),
    ("price", ["-1234567.891"], f"{MINUS}1,234,567.89"),
    ("price", [None], "\N{EN DASH}"),
    ("percent", ["0.5213"], "+0.52 %"),
    ("percent", ["-0.0010"], "0.00 %"),
    ("percent", ["-12"], f"{MINUS}12.00 %"),
    ("span", [0], "0 s"),
    ("span", [65], "1 m 05 s"),
    ("span", [7380], "2 h 03 m"),
    ("span", [273600], "3 d 4 h"),
    ("limit", [60], "1 m"),
    ("limit", [3600], "1 h"),
    ("limit", [90], "1 m 30 s"),
    ("limit", [30], "30 s"),
    ("took", [0.42], "0.4 s"),
    ("took", [6], "6 s"),
    ("took", [61], "1 m 01 s"),
    ("ago", [0.3], "just now"),
    ("short", ["0x1234567890abcdef1234"], "0x123456…1234"),
    ("plural", [1, "message"], "1 message"),
    ("plural", [12345, "message"], "12,345 messages"),
]


async def test_numbers_read_as_people_write_them(page: Page, api: ServedApi) -> None:
    await open_live(page, api.url)
    call = "async ([name, values]) => (await import('/js/format.js'))[name](...values)"
    for name, values, expected in FORMATS:
        assert await page.evaluate(call, [name, values]) == expected, (name, values)


async def test_without_interop_nothing_is_said_of_it(page: Page, api: ServedApi) -> None:
    await open_live(page, f"{api.url}/#/interop")
    await expect(page.get_by_text("No messages yet")).to_be_visible()
    await expect(page.locator("#interop")).to_be_hidden()


async def test_executing_messages_are_counted_and_those_that_are_not_valid_are_named(page: Page, story: Story) -> None:
    bed = Bed(901, 902)
    log = bed[901].mine(initiating())
    bed[902].mine(executing(log))
    await bed.follow()
    reader = StoredExecuting(bed.database, NAMES)
    async with serving(story, alerts=StoredAlerts(story.database), executing=reader) as api:
        await open_live(page, f"{api.url}/#/interop")
        section = page.locator("#interop")
        await expect(section).to_be_in_viewport()
        await expect(section).to_contain_text("0 invalid")
        await expect(section).to_contain_text("1 valid, not final yet")
        await expect(section).to_contain_text("Every executing message is valid")
        bed[902].mine(executing(log, log_index=9), executing(log, chain_id=2**255))
        await bed.follow()
        await page.reload()
        await expect(section).to_contain_text("2 invalid")
        await expect(section.locator(".executing")).to_have_count(2)
        await section.get_by_role("link", name="There is no log 9 of block 1").click()
        drawer = page.locator("#details")
        await expect(drawer).to_contain_text("no_log")
        await expect(drawer.locator(".history")).to_contain_text("Invalid: there is no log 9 of block 1")
        await page.keyboard.press("Escape")
        await expect(drawer).to_be_hidden()
        await page.set_viewport_size(PHONE)
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it fits a phone"


async def test_a_new_verdict_appears_by_itself(page: Page, story: Story) -> None:
    bed = Bed(901, 902)
    async with serving(
        story, alerts=StoredAlerts(story.database), executing=StoredExecuting(bed.database, NAMES)
    ) as api:
        await page.goto(f"{api.url}/#/interop")
        await expect(page.locator("#live")).to_have_attribute("data-state", "live")
        await expect(page.locator("#interop")).to_contain_text("0 invalid")
        bed[902].mine(executing(bed[901].mine(initiating()), log_index=9))
        await bed.follow()
        await story.tell("interop.invalid", bed.job().key)
        await expect(page.locator("#interop .executing")).to_have_count(1, timeout=4000)
