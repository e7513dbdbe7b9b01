"""The poller against a real server on loopback that answers oddly."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import pytest
from aiohttp import ClientSession, web
from structlog.testing import capture_logs

from seamark.oracle.model import Quote, SourceFailure, SourceReport
from seamark.oracle.sources.paths import JsonPath
from seamark.oracle.sources.poller import MAX_REPLY_BYTES, QuotePoller
from seamark.oracle.sources.source import Fields, Request, Source
from seamark.runtime.clock import SystemClock
from seamark.runtime.http import make_session
from tests.unit.oracle.conftest import running
from tests.unit.oracle.fakes import FakeClock, until

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Venue:
    """A server whose answers tests set; counts what it was asked."""

    def __init__(self) -> None:
        self.asked: list[web.Request] = []
        self.base = ""
        self.answer: Handler = price

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        return await self.answer(request)

    def source(self, name: str = "a", *, path: str = "/", deadline: float = 1.0, field: str = "price") -> Source:
        return Source(name, name, Request(self.base + path), Fields(JsonPath.parse(field)), deadline)


async def price(request: web.Request) -> web.StreamResponse:
    return web.json_response({"price": "2000.10", "other": "7"})


@pytest.fixture
async def venue() -> AsyncIterator[Venue]:
    made = Venue()
    runner = web.AppRunner(web.Application())
    runner.app.router.add_get("/{tail:.*}", made.handle)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


@pytest.fixture
async def session() -> AsyncIterator[ClientSession]:
    async with make_session() as made:
        yield made


async def ask(session: ClientSession, source: Source) -> tuple[SourceReport, float]:
    """One request; the report and the pause that the venue wants."""
    poller = QuotePoller(session=session, clock=SystemClock())
    reports: list[SourceReport] = []
    poller.subscribe(source, interval=1.0, subscriber=reports.append)
    pause = await poller.poll_once(source.request)
    (report,) = reports
    return report, pause


async def test_a_quote_comes_back(venue, session):
    report, pause = await ask(session, venue.source())
    assert isinstance(report, Quote)
    assert (str(report.price), report.untimed, pause) == ("2000.10", True, 0.0)


def answering(body: bytes | str = b"", status: int = 200, **headers: str) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        raw = body.encode() if isinstance(body, str) else body
        return web.Response(
            body=raw, status=status, headers={name.replace("_", "-"): text for name, text in headers.items()}
        )

    return handle


@pytest.mark.parametrize(
    ("handler", "kind"),
    [
        (answering(status=404), "http_4xx"),
        (answering(status=500), "http_5xx"),
        (answering(status=503), "http_5xx"),
        (answering(status=204), "http_2xx"),
        (answering(status=302, Location="/elsewhere"), "redirect"),
        (answering("<html>maintenance</html>"), "json"),
        (answering(""), "json"),
        (answering('{"price": null}'), "number"),
        (answering('{"error": "x"}'), "shape"),
        (answering(b"[" + b"1," * MAX_REPLY_BYTES + b"1]"), "too_large"),
        (answering(gzip.compress(b" " * (MAX_REPLY_BYTES + 1)), Content_Encoding="gzip"), "too_large"),
        (answering(b"not gzip", Content_Encoding="gzip"), "http"),
    ],
)
async def test_odd_replies_are_failures_of_the_source(venue, session, handler, kind):
    venue.answer = handler
    report, pause = await ask(session, venue.source())
    assert isinstance(report, SourceFailure)
    assert (report.kind, pause) == (kind, 0.0)
    assert len(venue.asked) == 1  # nothing is followed


@pytest.mark.parametrize(
    ("status", "headers", "pause"),
    [
        (429, {}, 10.0),
        (429, {"Retry_After": "42"}, 42.0),
        (418, {"Retry_After": "999999"}, 300.0),
        (429, {"Retry_After": "Wed, 21 Oct 2026 07:28:00 GMT"}, 10.0),
    ],
)
async def test_a_venue_that_wants_to_be_left_alone_is(venue, session, status, headers, pause):
    venue.answer = answering(status=status, **headers)
    report, asked = await ask(session, venue.source())
    assert isinstance(report, SourceFailure)
    assert (report.kind, asked) == ("rate_limited", pause)


async def test_a_silent_venue_runs_into_its_deadline(venue, session):
    async def silence(request):
        await asyncio.sleep(5)
        return web.Response()

    venue.answer = silence
    report, _ = await ask(session, venue.source(deadline=0.05))
    assert isinstance(report, SourceFailure)
    assert report.kind == "timeout"


async def test_a_reply_that_drips_runs_into_the_same_deadline(venue, session):
    async def drip(request):
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(100):
            await response.write(b" ")
            await asyncio.sleep(0.02)
        return response

    venue.answer = drip
    report, _ = await ask(session, venue.source(deadline=0.1))
    assert isinstance(report, SourceFailure)
    assert report.kind == "timeout"


async def test_a_connection_cut_in_the_middle_is_a_failure(venue, session):
    async def cut(request):
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b'{"price"')
        request.transport.close()
        return response

    venue.answer = cut
    report, _ = await ask(session, venue.source())
    assert isinstance(report, SourceFailure)
    assert report.kind == "http"


async def test_nobody_listening_is_a_failure_that_shows_no_address(session):
    source = Source("a", "a", Request("http://127.0.0.1:9/?key=hidden"), Fields(JsonPath.parse("price")), 1.0)
    report, _ = await ask(session, source)
    assert isinstance(report, SourceFailure)
    assert report.kind == "connect"
    assert "hidden" not in report.detail


async def test_headers_are_sent(venue, session):
    source = Source("a", "a", Request(venue.base, (("X-Key", "k"),)), Fields(JsonPath.parse("price")), 1.0)
    await ask(session, source)
    assert venue.asked[0].headers["X-Key"] == "k"


async def test_an_old_copy_from_a_cache_is_not_taken_for_new(venue, session):
    venue.answer = answering('{"price": 1}', Age="90")
    report, _ = await ask(session, venue.source())
    assert isinstance(report, Quote)
    assert report.received_at - report.observed_at == 90


async def test_sources_with_the_same_request_share_it(venue, session):
    poller = QuotePoller(session=session, clock=SystemClock())
    reports: list[SourceReport] = []
    for name, field in (("a", "price"), ("b", "other"), ("c", "missing")):
        poller.subscribe(venue.source(name, field=field), interval=1.0, subscriber=reports.append)
    await poller.poll_once(venue.source().request)
    assert len(venue.asked) == 1
    first, second, third = reports
    assert isinstance(first, Quote)
    assert isinstance(second, Quote)
    assert (str(first.price), str(second.price)) == ("2000.10", "7")
    assert isinstance(third, SourceFailure)


async def test_a_slow_venue_delays_nobody(venue, session):
    """Sources asked one after another take the sum of their times; here a silent one takes nothing from others."""
    release = asyncio.Event()

    async def handle(request):
        if request.path == "/slow":
            await release.wait()
        return await price(request)

    venue.answer = handle
    reports: list[str] = []
    poller = QuotePoller(session=session, clock=SystemClock())
    for path in ("/slow", *(f"/{number}" for number in range(20))):
        poller.subscribe(
            venue.source(path, path=path), interval=0.05, subscriber=lambda report: reports.append(report.source)
        )
    async with running(poller):
        await until(lambda: len(set(reports)) == 20 and reports.count("/1") >= 3)
        assert "/slow" not in reports
        release.set()
        await until(lambda: "/slow" in reports)


@pytest.mark.parametrize("status", [200, 500])
async def test_a_subscriber_that_fails_does_not_stop_the_others(venue, session, status):
    def broken(report: SourceReport) -> None:
        raise RuntimeError("out of range")

    reports: list[SourceReport] = []
    poller = QuotePoller(session=session, clock=SystemClock())
    poller.subscribe(venue.source("a"), interval=0.01, subscriber=broken, feed="BAD/USD")
    poller.subscribe(venue.source("b"), interval=0.01, subscriber=reports.append, feed="ETH/USD")
    venue.answer = answering('{"price": "1"}', status)
    with capture_logs() as lines:
        async with running(poller) as task:
            await until(lambda: len(reports) >= 2 or task.done())
            assert not task.done()
    (line, *_) = [line for line in lines if line["event"] == "feed cannot use a report"]
    assert (line["feed"], line["source"], line["exc_info"]) == ("BAD/USD", "a", True)


async def test_health_is_kept_for_each_source(venue, session):
    clock = FakeClock()
    poller = QuotePoller(session=session, clock=clock)
    source = venue.source()
    health = poller.subscribe(source, interval=1.0, subscriber=lambda report: None)
    await poller.poll_once(source.request)
    assert (health.ok, health.last_ok_at, health.failing_since) == (1, clock.now(), None)
    venue.answer = answering(status=500)
    clock.time += 5
    await poller.poll_once(source.request)
    clock.time += 5
    await poller.poll_once(source.request)
    assert (health.failures, health.failing_since, health.last_error) == ({"http_5xx": 2}, clock.now() - 5, "HTTP 500")
    venue.answer = price
    await poller.poll_once(source.request)
    assert (health.ok, health.failing_since) == (2, None)


async def test_the_pace_is_kept_and_missed_polls_are_not_made_up_for(venue, session):
    clock = FakeClock()
    poller = QuotePoller(session=session, clock=clock)
    poller.subscribe(venue.source(), interval=10.0, subscriber=lambda report: None)
    async with running(poller):
        await until(lambda: len(venue.asked) == 1)
        await until(lambda: clock._waiting)
        clock.time += 95  # the process stood still
        await clock.advance(0.5)
        await until(lambda: len(venue.asked) == 2)
        await until(lambda: clock._waiting)
        await clock.advance(5)
        assert len(venue.asked) == 2
        await clock.advance(6)
        await until(lambda: len(venue.asked) == 3)


async def test_a_venues_rate_is_shared_by_its_sources(venue, session):
    clock = FakeClock()
    poller = QuotePoller(session=session, clock=clock)
    for path in ("/a", "/b", "/c"):
        source = replace(venue.source(path[1:], path=path), venue="one", rate=2.0)
        poller.subscribe(source, interval=100.0, subscriber=lambda report: None)
    async with running(poller):
        await until(lambda: len(venue.asked) == 2)
        await clock.advance(0.4)
        assert len(venue.asked) == 2
        await clock.advance(0.2)
        await until(lambda: len(venue.asked) == 3)


async def test_a_budget_paces_the_polls_and_its_end_is_a_failure(venue, session):
    clock = FakeClock(86_400.0 * 19_675 + 10)
    reports: list[SourceReport] = []
    poller = QuotePoller(session=session, clock=clock)
    source = replace(venue.source(), budget=2)
    poller.subscribe(source, interval=1.0, subscriber=reports.append)
    async with running(poller):
        await until(lambda: len(venue.asked) == 1)
        await clock.advance(3_600)
        assert len(venue.asked) == 1  # one in half a day
        assert poller.budgets() == {"a": (1, 2)}
    again = QuotePoller(session=session, clock=clock)
    again.subscribe(replace(venue.source(), budget=1), interval=1.0, subscriber=reports.append)
    again._allowances["a"].take(clock.now())
    async with running(again):
        await until(lambda: isinstance(reports[-1], SourceFailure))
    last = reports[-1]
    assert isinstance(last, SourceFailure)
    assert last.kind == "budget"
