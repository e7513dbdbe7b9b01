"""Who may sign: one at a time, the others wait and say for whom, the dead make way."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from functools import partial

import pytest

from seamark.app.turns import LEASE_MS, signing_turn
from seamark.core.errors import TemporaryError
from seamark.core.ids import Address, ChainId
from seamark.storage.database import Database, open_database
from seamark.storage.leases import lease_holder, take_lease

KEY = Address("0x" + "22" * 20)
OTHER = Address("0x" + "33" * 20)
NAME = f"signer:1:{KEY}"


class HandClock:
    """Moves by hand; sleepers wake when their time has come."""

    def __init__(self) -> None:
        self.time = 1_700_000_000.0
        self.moved = asyncio.Event()

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        until = self.time + seconds
        while self.time < until:
            await self.moved.wait()

    def advance(self, seconds: float) -> None:
        self.time += seconds
        self.moved.set()
        self.moved = asyncio.Event()


class Desk:
    def __init__(self, database: Database) -> None:
        self.database, self.clock = database, HandClock()
        self.told: list[str] = []

    def turn(self, signer: Address = KEY, *, timeout_s: float = 60) -> AbstractAsyncContextManager[None]:
        return signing_turn(
            ChainId(1), signer, database=self.database, clock=self.clock, timeout_s=timeout_s, tell=self.told.append
        )

    async def holder(self) -> str:
        return await self.database.read(partial(lease_holder, name=NAME, now_ms=round(self.clock.now() * 1000)))

    async def dies_with_it(self) -> None:
        """A process takes its turn, and is killed."""
        now_ms = round(self.clock.now() * 1000)
        await self.database.write(partial(take_lease, name=NAME, holder="process 7", now_ms=now_ms, for_ms=LEASE_MS))


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    database = await open_database("sqlite://")
    yield Desk(database)
    await database.close()


async def pass_time(desk: Desk, seconds: float, step: float = 0.5) -> None:
    for _ in range(int(seconds / step)):
        desk.clock.advance(step)
        for _ in range(3):
            await desk.holder()  # what woke up has written


async def enter(desk: Desk, order: list[str], *, timeout_s: float = 60) -> None:
    async with desk.turn(timeout_s=timeout_s):
        order.append("second")


async def test_the_second_waits_for_the_first_and_says_so(desk: Desk) -> None:
    order: list[str] = []
    async with desk.turn():
        assert await desk.holder()
        second = asyncio.create_task(enter(desk, order))
        await pass_time(desk, 2 * LEASE_MS / 1000)  # the first renews its turn
        assert order == []
        order.append("first")
    await pass_time(desk, 1)
    await second
    assert order == ["first", "second"]
    (said,) = desk.told
    assert f"waiting: process {os.getpid()} on " in said
    assert " / " not in said
    assert await desk.holder() == ""


async def test_another_key_has_a_turn_of_its_own(desk: Desk) -> None:
    async with desk.turn(), desk.turn(OTHER):
        pass
    assert desk.told == []


async def test_who_waited_too_long_is_told_for_whom(desk: Desk) -> None:
    async with desk.turn():
        second = asyncio.create_task(enter(desk, [], timeout_s=5))
        await pass_time(desk, 7)
        with pytest.raises(TemporaryError, match=rf"process {os.getpid()} on .* nothing was sent"):
            await second


async def test_the_dead_make_way(desk: Desk) -> None:
    order: list[str] = []
    await desk.dies_with_it()
    second = asyncio.create_task(enter(desk, order))
    await pass_time(desk, LEASE_MS / 1000 - 1)
    assert order == []
    await pass_time(desk, 3)
    await second
    assert order == ["second"]


async def test_a_turn_is_given_back_after_an_error(desk: Desk) -> None:
    with pytest.raises(ZeroDivisionError):
        async with desk.turn():
            raise ZeroDivisionError
    assert await desk.holder() == ""
