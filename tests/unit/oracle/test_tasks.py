import asyncio

import pytest

from seamark.core.errors import StopError
from seamark.oracle.tasks import run_together


async def test_the_first_failure_ends_all_and_is_raised_as_it_is():
    ended = []

    async def forever():
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    async def fail():
        await asyncio.sleep(0)
        raise StopError("wrong chain")

    with pytest.raises(StopError, match="wrong chain"):
        await run_together(forever(), fail(), forever())
    assert ended == [True, True]


async def test_cancelling_ends_all():
    ended = []

    async def forever():
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    task = asyncio.create_task(run_together(forever(), forever()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [True, True]


async def test_nothing_to_do_is_done():
    await run_together()


async def test_all_may_end_by_themselves():
    async def short():
        await asyncio.sleep(0)

    await run_together(short(), short())
