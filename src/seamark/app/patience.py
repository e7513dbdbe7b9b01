"""Waiting for a node at the start: one that is being restarted comes back, one that is not there is told soon."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import structlog

from seamark.core.errors import RejectedError, SettingsError, TemporaryError
from seamark.evm.rpc.errors import WrongChain
from seamark.runtime.clock import Clock

__all__ = ["NoAnswerError", "first_answer", "patiently"]

RETRY_S: Final = 0.5
LEAST_S: Final = 5.0  # even without any patience, a node may take this long for one answer

_T = TypeVar("_T")
log = structlog.get_logger("seamark.app")


class NoAnswerError(SettingsError):
    """No node of a chain answered in time: it may be a wrong address, and it may be an outage."""


async def first_answer(question: Callable[[], Awaitable[_T]], *, clock: Clock, limit_s: float, setting: str) -> _T:
    """Ask until there is an answer, `limit_s` seconds at most.

    Raises:
        NoAnswerError: None in time.
        SettingsError: A refusal, or another chain. Both name `setting`, which holds the node's address.
    """
    began = clock.monotonic()
    give_up = began + limit_s
    told = False
    while True:
        try:
            async with asyncio.timeout(max(give_up - clock.monotonic(), LEAST_S)):
                return await question()
        except WrongChain as error:
            raise SettingsError(setting, error.problem, remedy=error.remedy) from error
        except RejectedError as error:
            remedy = "check the address, and the key in it if it has one"
            raise SettingsError(setting, f"the node refuses to answer ({error.message})", remedy=remedy) from error
        except (TemporaryError, TimeoutError) as error:
            reason = (
                error.message if isinstance(error, TemporaryError) else f"silence for {clock.monotonic() - began:.0f} s"
            )
            if clock.monotonic() + RETRY_S > give_up:
                remedy = "check that the node runs and that the address is right"
                raise NoAnswerError(setting, f"no node answers ({reason})", remedy=remedy) from error
        if not told:
            log.warning("waiting for a node", setting=setting, reason=reason, at_most_s=limit_s)
            told = True
        await clock.sleep(RETRY_S)


async def patiently(work: Callable[[], Awaitable[_T]], *, clock: Clock, limit_s: float, what: str) -> _T:
    """Do something again, `limit_s` seconds at most, while nodes that have answered before fail now and then.

    Args:
        work: Has no effects unless it succeeds.
        clock: Time.
        limit_s: From the first try to the last.
        what: For the log.

    Raises:
        TemporaryError: The last one, when time is up. Any other error ends it at once.
    """
    give_up = clock.monotonic() + limit_s
    while True:
        try:
            return await work()
        except TemporaryError as error:
            if clock.monotonic() + RETRY_S > give_up:
                raise
            log.warning("trying again", what=what, error=str(error))
        await clock.sleep(RETRY_S)
