"""What comes in one turn of the event loop is one decision; the timer decides only where nothing else has."""

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest

from seamark.oracle.model import AggregationPolicy, Answer, Method, Rejected
from seamark.oracle.publisher import FeedPublisher

from .conftest import running
from .fakes import START, make_world, plan, quote, source, until
from .publishing import published, started


@pytest.fixture
def decisions(monkeypatch):
    made = []
    decide = FeedPublisher.tick

    def tick(self):
        made.append(self._clock.now())
        return decide(self)

    monkeypatch.setattr(FeedPublisher, "tick", tick)
    return made


async def test_reports_of_one_turn_are_one_decision(database, decisions):
    world = make_world(database)
    async with running(world.publisher):
        await started(world)
        await until(lambda: decisions)  # the first of the timer
        decisions.clear()
        for name in "abc":
            world.publisher.on_report(quote(name, 2000))
        assert decisions == []  # not before the turn is over
        await asyncio.sleep(0)
        assert len(decisions) == 1
        await published(world, 1)
        world.publisher.on_report(quote("a", 2001))
        await asyncio.sleep(0)
        assert len(decisions) == 2


async def test_of_one_source_the_newest_counts_and_an_average_knows_them_all(database):
    averaging = AggregationPolicy(min_venues=1, method=Method.VWAP, window=60.0)
    world = make_world(database, sources=(source("a"),), aggregation=averaging)
    async with running(world.publisher):
        await started(world)
        for at, price in enumerate((2000, 2010, 2020)):
            world.publisher.on_report(quote("a", price, START - 3 + at, volume=Decimal(1)))
        await asyncio.sleep(0)
        result = world.publisher.result
        assert isinstance(result, Answer)
        assert result.price == 2010


async def test_a_feed_that_cannot_use_a_report_tells_and_goes_on(database, monkeypatch):
    world = make_world(database)
    async with running(world.publisher):
        await started(world)
        with monkeypatch.context() as broken:
            broken.setattr(FeedPublisher, "on_quotes", lambda *_: 1 / 0)
            world.publisher.on_report(quote("a", 2000))
            await asyncio.sleep(0)
        for name in "abc":
            world.publisher.on_report(quote(name, 2000))
        await published(world, 1)


async def test_what_a_source_told_that_is_gone_meanwhile_is_forgotten(database):
    world = make_world(database)
    async with running(world.publisher):
        await started(world)
        for name in "abc":
            world.publisher.on_report(quote(name, 2000))
        fewer = plan(sources=(source("a"),), aggregation=AggregationPolicy(min_venues=2))
        world.publisher.change(replace(fewer, ref=world.publisher.plan.ref))
        await asyncio.sleep(0)
        assert isinstance(world.publisher.result, Rejected)
        assert world.publisher.result.detail == "1 of 2 venues needed"


async def test_the_timer_decides_only_where_nothing_else_has(database, decisions):
    world = make_world(database, poll_interval=10.0)
    async with running(world.publisher):
        await started(world)
        await world.clock.advance(5)
        world.tell(2000, 2000, 2000)
        await published(world, 1)
        decisions.clear()
        await world.clock.advance(5)  # the timer's time, and half an interval after a price
        assert decisions == []
        await world.clock.advance(10)
        assert len(decisions) == 1
