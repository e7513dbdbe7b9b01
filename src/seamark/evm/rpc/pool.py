"""Several endpoints of one chain as one: who is asked, in which order, and who is not trusted now.

- Before its first answer counts, an endpoint must prove its chain id; after a lost connection it must prove it again.
- An endpoint that fails rests for a growing time, while others are there; when all rest, all are tried anyway.
- Heads are surveyed while the chain is in use. An endpoint more than `max_lag` blocks behind the best is asked about
  the head only when all others have failed.
- A head far beyond all others puts nobody behind: it is one endpoint's word, unless the chain was known to be there.
  Such an endpoint is asked after those whose heads are plausible.
- A question goes to the best endpoint, and on to the next when it fails for a reason that another may not share.

Score, lower is better: 0.1 for each place in the settings' order, seconds of usual latency, and up to 10 for errors. So
the preferred endpoint is used until it is clearly worse than the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, TypeVar

import structlog

from seamark.core.errors import RejectedError, SeamarkError, TemporaryError
from seamark.core.ids import ChainId
from seamark.evm.rpc.endpoint import Endpoint
from seamark.evm.rpc.errors import (
    BadReply,
    EndpointBehind,
    NodeFault,
    NoEndpoint,
    RateLimited,
    RequestRefused,
    RpcTimeout,
    RpcUnavailable,
    WrongChain,
)
from seamark.evm.rpc.observer import RpcObserver
from seamark.evm.rpc.wire import read_number
from seamark.runtime.clock import Clock

__all__ = ["Member", "Pool"]

MAX_LAG_BLOCKS: Final = 3  # replicas behind one load balancer differ by one or two
ABSURD_LEAD: Final = 100_000  # blocks: two weeks of Ethereum; no two endpoints of use are that far apart
SURVEY_EVERY_S: Final = 5.0
HEAD_COUNTS_S: Final = 30.0  # an older head says nothing about the chain any more
SURVEY_DEADLINE_S: Final = 3.0
FIRST_REST_S: Final = 0.5
LONGEST_REST_S: Final = 10.0  # recovery is a matter of seconds
WRONG_CHAIN_REST_S: Final = 60.0  # an operator may have corrected the node behind the URL
ERROR_WEIGHT: Final = 10.0
PLACE_WEIGHT: Final = 0.1
FAILING: Final = 0.5  # of the average of errors: three failures in a row leave 0.49, four 0.59
MEMORY: Final = 0.8  # of the moving averages: about the last five requests count
RATE_ROUNDS: Final = 3
SECOND_TRY_S: Final = 0.2  # a connection reset or half a reply is most often the only one
LONGEST_RATE_WAIT_S: Final = 5.0  # beyond that the caller shall know

log = structlog.get_logger("seamark.evm.rpc")

_T = TypeVar("_T")


class Member:
    """An endpoint and what is known about it."""

    def __init__(self, endpoint: Endpoint, place: int, clock: Clock) -> None:
        self.endpoint = endpoint
        self.verified = False
        self.wrong_chain: WrongChain | None = None
        self.head: int | None = None
        self._head_at = 0.0
        self._place = place
        self._clock = clock
        self._errors = 0.0
        self._latency = 0.0
        self._rest = FIRST_REST_S
        self._rest_until = 0.0

    @property
    def label(self) -> str:
        return self.endpoint.label

    @property
    def score(self) -> float:
        return self._place * PLACE_WEIGHT + self._latency + self._errors * ERROR_WEIGHT

    @property
    def resting(self) -> bool:
        return self._clock.monotonic() < self._rest_until

    @property
    def failing(self) -> bool:
        """Whether most of its last requests came to nothing."""
        return self._errors > FAILING

    @property
    def current_head(self) -> int | None:
        """The newest block, if it was learned lately."""
        return self.head if self._clock.monotonic() - self._head_at <= HEAD_COUNTS_S else None

    def saw_head(self, number: int) -> None:
        self.head = number
        self._head_at = self._clock.monotonic()

    def answered(self, seconds: float) -> None:
        self._errors *= MEMORY
        self._latency = self._latency * MEMORY + seconds * (1 - MEMORY)
        self._rest = FIRST_REST_S

    def failed(self, error: SeamarkError) -> None:
        self._errors = self._errors * MEMORY + (1 - MEMORY)
        pause = self._rest
        if isinstance(error, RateLimited) and error.retry_after is not None:
            pause = error.retry_after
        self._rest_until = self._clock.monotonic() + min(pause, LONGEST_REST_S)
        self._rest = min(self._rest * 2, LONGEST_REST_S)
        if isinstance(error, RpcUnavailable | RpcTimeout):
            self.verified = False  # another node may answer there next time

    def refused_chain(self, error: WrongChain) -> None:
        self.wrong_chain = error
        self.verified = False
        self._rest_until = self._clock.monotonic() + WRONG_CHAIN_REST_S


class Pool:
    """Asks the endpoints of one chain."""

    def __init__(
        self,
        chain_id: ChainId,
        endpoints: Sequence[Endpoint],
        *,
        clock: Clock,
        observer: RpcObserver,
        max_lag: int = MAX_LAG_BLOCKS,
    ) -> None:
        if not endpoints:
            raise ValueError("a chain needs at least one endpoint")
        self.chain_id = chain_id
        self.members = [Member(endpoint, place, clock) for place, endpoint in enumerate(endpoints)]
        self._clock = clock
        self._observer = observer
        self.max_lag = max_lag
        self._confirmed_head: int | None = None  # the newest that is more than one endpoint's word
        self._surveyed_at: float | None = None
        self._survey: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """End the survey that may be under way."""
        survey, self._survey = self._survey, None
        if survey is not None:
            survey.cancel()
            await asyncio.gather(survey, return_exceptions=True)

    # ---- asking -----------------------------------------------------------------------------------------------------

    async def ask(
        self, question: Callable[[Endpoint], Awaitable[_T]], *, about_head: bool = False, second: bool = False
    ) -> _T:
        """Put a question to one endpoint after the other until one answers.

        `question` raises `NodeFault` or `RequestRefused` to have the next endpoint asked; any other error is an
        answer. With `about_head`, endpoints known to be behind are asked only when all others have failed; with
        `second`, the one that would otherwise be asked first is left out, and those that mostly fail.

        Raises:
            TemporaryError: No endpoint could answer.
            RequestRefused: Every endpoint calls the question malformed.
            WrongChain: Every endpoint serves another chain.
        """
        await self._keep_heads()
        failures: list[SeamarkError] = []
        for attempt in range(RATE_ROUNDS):
            failures.clear()
            if answer := await self._ask_each(
                self._candidates(about_head=about_head, second=second), question, failures
            ):
                return answer[0]
            pause = _pause(failures, attempt)
            if pause is None or attempt == RATE_ROUNDS - 1:
                break
            await self._clock.sleep(pause)
        behind = self._left_behind() if about_head and not _all_refused(failures) else []
        if answer := await self._ask_each(behind, question, failures):
            return answer[0]
        raise self.sum_up(failures)

    async def _ask_each(
        self, members: Iterable[Member], question: Callable[[Endpoint], Awaitable[_T]], failures: list[SeamarkError]
    ) -> tuple[_T] | None:
        """The first answer; None, with what each of them said added to `failures`, if there is none."""
        for member in members:
            try:
                return (await self.ask_member(member, question),)
            except (NodeFault, RequestRefused, WrongChain) as error:
                failures.append(error)
        return None

    async def ask_member(self, member: Member, question: Callable[[Endpoint], Awaitable[_T]]) -> _T:
        """Put a question to this endpoint; how it fares counts for its score."""
        started = self._clock.monotonic()
        try:
            await self._verify(member)
            answer = await question(member.endpoint)
        except (RpcTimeout, RpcUnavailable, RateLimited) as error:
            member.failed(error)
            raise _named(member, error) from error.__cause__
        except (NodeFault, RejectedError):
            # A block that it does not have or a range that is too wide says nothing bad about the endpoint.
            member.answered(self._clock.monotonic() - started)
            raise
        member.answered(self._clock.monotonic() - started)
        return answer

    def usable(self) -> list[Member]:
        """All that are not known to serve another chain, the best first."""
        return [member for member in self._candidates(about_head=False) if member.wrong_chain is None]

    @property
    def best_head(self) -> int | None:
        """The newest block that an endpoint has shown lately and that is plausible."""
        heads = self._heads()
        return max((head for head in heads if self._is_confirmed(head, heads)), default=min(heads, default=None))

    def behind(self, member: Member) -> int:
        """Blocks behind the best endpoint; 0 where its head is not known."""
        best, head = self.best_head, member.current_head
        return 0 if best is None or head is None else max(best - head, 0)

    def beyond(self, member: Member) -> int:
        """Blocks by which an endpoint's head is too far ahead to be believed; mostly 0."""
        best, head = self.best_head, member.current_head
        return head - best if best is not None and head is not None and head - best > ABSURD_LEAD else 0

    def saw_head(self, endpoint: Endpoint, number: int) -> None:
        """Note an endpoint's newest block.

        Raises:
            EndpointBehind: Another endpoint has shown a much newer one.
        """
        member = next(member for member in self.members if member.endpoint is endpoint)
        member.saw_head(number)
        self._confirm_head()
        behind = self.behind(member)
        self._observer.head(member.label, number, behind)
        if behind > self.max_lag:
            raise EndpointBehind(f"{member.label}: its head {number} is {behind} blocks behind another endpoint's")

    def _candidates(self, *, about_head: bool, second: bool = False) -> list[Member]:
        members = [member for member in self.members if member.wrong_chain is None or not member.resting]
        members.sort(key=lambda member: (member.resting, member.score))
        if about_head:
            members = [member for member in members if self.behind(member) <= self.max_lag]
            members.sort(key=self.beyond)
        return [member for member in members[1:] if not member.resting and not member.failing] if second else members

    def _left_behind(self) -> list[Member]:
        return [member for member in self._candidates(about_head=False) if self.behind(member) > self.max_lag]

    def sum_up(self, failures: Sequence[SeamarkError]) -> SeamarkError:
        """One error out of what the endpoints said."""
        wrong = [member.wrong_chain for member in self.members if member.wrong_chain is not None]
        if len(wrong) == len(self.members):
            return wrong[0]
        refused = [error for error in failures if isinstance(error, RequestRefused)]
        if refused and len(refused) == len(failures):
            return refused[0]
        causes = [error for error in failures if isinstance(error, TemporaryError)]
        if len(self.members) == 1 and causes:
            return causes[0]
        waits = [error.retry_after for error in causes if error.retry_after is not None]
        told = "; ".join(str(error) for error in failures) or "all of them are behind or resting"
        return NoEndpoint(
            f"no endpoint of chain {self.chain_id} could answer: {told}",
            causes=failures,
            retry_after=min(waits) if waits else None,
        )

    # ---- chain id ---------------------------------------------------------------------------------------------------

    async def _verify(self, member: Member) -> None:
        if member.verified:
            return
        actual = read_number(await member.endpoint.ask("eth_chainId"))
        if actual != self.chain_id:
            error = WrongChain(member.label, expected=self.chain_id, actual=actual)
            if member.wrong_chain is None:
                log.error("endpoint serves another chain", endpoint=member.label, expected=self.chain_id, actual=actual)
            member.refused_chain(error)
            raise error
        member.wrong_chain = None
        member.verified = True

    # ---- heads ------------------------------------------------------------------------------------------------------

    async def _keep_heads(self) -> None:
        """Survey the heads now and then; only the first survey is waited for. One endpoint needs none."""
        if len(self.members) == 1:
            return
        now = self._clock.monotonic()
        first = self._surveyed_at is None
        if not first and now - (self._surveyed_at or 0.0) < SURVEY_EVERY_S:
            return
        if self._survey is None or self._survey.done():
            self._surveyed_at = now
            self._survey = asyncio.create_task(self._survey_heads())
        if first:
            await asyncio.shield(self._survey)

    def _heads(self) -> list[int]:
        """Newest blocks learned lately. Block 0 is none: so a node speaks that has just begun to sync."""
        return [head for member in self.members if (head := member.current_head)]

    def _is_confirmed(self, head: int, heads: Sequence[int]) -> bool:
        """Whether another endpoint is near, or the chain was known to be near before."""
        near = sum(abs(head - other) <= ABSURD_LEAD for other in heads)
        return near > 1 or (self._confirmed_head is not None and abs(head - self._confirmed_head) <= ABSURD_LEAD)

    def _confirm_head(self) -> None:
        heads = self._heads()
        confirmed = [head for head in heads if self._is_confirmed(head, heads)]
        self._confirmed_head = max(confirmed, default=self._confirmed_head)

    async def _survey_heads(self) -> None:
        await asyncio.gather(*(self._survey_head(member) for member in self.members))
        self._confirm_head()
        for member in self.members:
            if member.current_head is not None:
                self._observer.head(member.label, member.current_head, self.behind(member))

    async def _survey_head(self, member: Member) -> None:
        if member.wrong_chain is not None and member.resting:
            return

        async def read(endpoint: Endpoint) -> int:
            return read_number(await endpoint.ask("eth_blockNumber"))

        try:
            async with asyncio.timeout(SURVEY_DEADLINE_S):
                member.saw_head(await self.ask_member(member, read))
        except TimeoutError:
            member.failed(RpcTimeout(f"{member.label}: eth_blockNumber: no answer within {SURVEY_DEADLINE_S:g} s"))
        except SeamarkError as error:
            # Told to the observer by the endpoint, and to the caller when the endpoint is needed.
            log.debug("endpoint did not tell its head", endpoint=member.label, error=str(error))


def _all_refused(failures: Sequence[SeamarkError]) -> bool:
    return bool(failures) and all(isinstance(error, RequestRefused) for error in failures)


def _named(member: Member, error: NodeFault) -> NodeFault:
    """Make sure that the message says which endpoint it was."""
    if member.label in error.message or not isinstance(error, BadReply):
        return error
    return BadReply(f"{member.label}: {error.message}")


def _may_pass(failures: Sequence[SeamarkError]) -> bool:
    passing = any(isinstance(error, RpcUnavailable) for error in failures)
    return passing and not any(isinstance(error, RpcTimeout) for error in failures)


def _pause(failures: Sequence[SeamarkError], attempt: int) -> float | None:
    """How long to wait for another round: when all that stands in the way is a short rate limit, or once when an
    endpoint failed as nodes do now and then, and soon.
    """
    if attempt == 0 and _may_pass(failures):
        return SECOND_TRY_S
    if not failures or not all(isinstance(error, RateLimited) for error in failures):
        return None
    waits = [error.retry_after or FIRST_REST_S for error in failures if isinstance(error, RateLimited)]
    return min(waits) if min(waits) <= LONGEST_RATE_WAIT_S else None
