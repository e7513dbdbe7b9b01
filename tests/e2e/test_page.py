"""The page in a real browser: it changes by itself, stays honest when the server is away, and fits a phone."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.async_api import Browser, ConsoleMessage, Locator, Page, Playwright, Response, async_playwright, expect

from tests.support.browser import CHROMIUM, CHROMIUM_FLAGS, ServedApi, opened_story, serving
from tests.unit.api.fakes import HOME, Story, chain_state, hash_of, make_message, now_ms

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
    async with serving(story) as served:
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
    async with serving(story) as first:
        port = first.service.address[1]
        url = first.url
        await story.publish("ETH/USD", "3400.00")
        await open_live(page, url)
        await expect(page.locator(".feed-price")).to_have_text("3,400.00")
    await expect(page.locator("#live")).to_have_attribute("data-state", "down")
    await expect(page.locator("#banner")).to_contain_text("last heard from the server")
    await story.publish("ETH/USD", "3500.00")
    await story.move(make_message(1, "committed"))
    async with serving(story, port=port):
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
