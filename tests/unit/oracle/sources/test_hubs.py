"""All kinds of sources through one object, and a route whose parts are of different kinds."""

from dataclasses import replace
from decimal import Decimal

from aiohttp import web

from seamark.oracle.model import Pair, Quote, SourceReport
from seamark.oracle.sources.adapters import AdapterSource, adapter_request
from seamark.oracle.sources.cross import CrossSource, Leg
from seamark.oracle.sources.hubs import Sources
from seamark.oracle.sources.streams import STREAMS, stream_at
from seamark.runtime.clock import SystemClock
from seamark.runtime.http import make_session
from tests.unit.oracle.conftest import running
from tests.unit.oracle.fakes import until
from tests.unit.oracle.sources.venue_simulator import TICKS, stream_venue


async def rate(request: web.Request) -> web.Response:
    asked = (await request.json())["data"]
    return web.json_response({"data": {"result": {"USDT/USD": 0.5}[f"{asked['base']}/{asked['quote']}"]}})


async def test_a_stream_in_a_stable_coin_becomes_dollars_by_an_adapters_rate():
    runner = web.AppRunner(web.Application(), shutdown_timeout=0.1)
    runner.app.router.add_post("/", rate)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    reports: list[SourceReport] = []
    async with stream_venue() as venue, make_session() as session:
        venue.greeting = [TICKS["kraken"]("ETH/USDT", "2000.10")]  # untimed, so it is of now
        stream = replace(STREAMS["kraken"], url=venue.url)
        pair, leg = Pair("ETH", "USDT"), Pair("USDT", "USD")
        first = stream_at(stream, pair, name="kraken", deadline=1.0, silence=60.0)
        second = AdapterSource("ea", "ea", adapter_request(url, {"base": "USDT", "quote": "USD"}))
        sources = Sources(session=session, clock=SystemClock())
        cross = CrossSource("eth", "kraken", (Leg(first, pair), Leg(second, leg)), weight=3)
        health = sources.subscribe(cross, interval=60.0, subscriber=reports.append)
        async with running(sources):
            await until(lambda: reports)
    await runner.cleanup()
    (quote,) = reports
    assert isinstance(quote, Quote)
    assert (quote.source, quote.venue, quote.price, quote.weight) == ("eth", "kraken", Decimal("1000.050"), 3)
    assert health.ok == 1
