"""`seamark oracle check`: for each feed its chain, contract, account and sources, each asked once. Nothing is stored.

    settings --> chains, signer, contracts (side by side) --> plans --> all sources at once --> one `FeedCheck` each

What is wrong with one feed is told of that feed, and the others are checked all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import aiohttp
from prometheus_client import CollectorRegistry

from seamark.app.chains import Chains, make_dry_sender, open_settings_signer
from seamark.core.errors import SeamarkError, SettingsError, TemporaryError
from seamark.core.ids import Address, ChainId
from seamark.evm.address import ZERO_ADDRESS, to_checksum
from seamark.evm.metrics import RpcMetrics
from seamark.evm.ports import Intent
from seamark.evm.transactions.dry import Appraisal
from seamark.oracle.checks import check_contract, pair_of
from seamark.oracle.model import Answer, ContractKind, FeedRef, FeedState
from seamark.oracle.plan import FeedPlan, make_plan, make_venues
from seamark.oracle.settings import FeedSettings
from seamark.oracle.soundness import remarks
from seamark.oracle.source_plan import Venues
from seamark.oracle.sources.hubs import Sources
from seamark.oracle.survey import Opinion, ask_once, judge
from seamark.oracle.targets.find import find_target, make_target
from seamark.oracle.targets.target import Where
from seamark.runtime.clock import Clock
from seamark.runtime.http import make_session
from seamark.settings import Settings
from seamark.storage.database import open_database

__all__ = ["FeedCheck", "Finding", "Level", "check_feeds_offline", "survey_feeds"]

CHAIN_S = 10.0
"""For all questions about one contract."""


class Level(StrEnum):
    """From good to bad. REMARK: works, and may be weaker than meant."""

    REMARK = "remark"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that somebody should look at."""

    level: Level
    text: str


@dataclass(slots=True)
class FeedCheck:
    """What was found out about one feed. What was not found out is None."""

    name: str
    chain: str
    contract: Address
    findings: list[Finding] = field(default_factory=list)
    kind: ContractKind | None = None
    state: FeedState | None = None
    account: Address | None = None
    balance: int | None = None
    plan: FeedPlan | None = None
    opinion: Opinion | None = None
    appraisal: Appraisal | None = None
    now: float = 0.0

    def note(self, level: Level, text: str) -> None:
        self.findings.append(Finding(level, text))

    @property
    def worst(self) -> Level | None:
        """None: all is well; remarks do not count."""
        levels = {finding.level for finding in self.findings}
        return next((level for level in (Level.ERROR, Level.WARNING) if level in levels), None)

    @property
    def runs_left(self) -> int | None:
        """Publications that the balance pays for; None: unknown, or they cost nothing."""
        cost = None if self.appraisal is None else self.appraisal.cost
        return self.balance // cost if self.balance is not None and cost else None


def chosen(settings: Settings, wanted: Sequence[str]) -> list[int]:
    """The places of the feeds that are asked for; all, where none is named.

    Raises:
        SettingsError: There is no such feed.
    """
    feeds = settings.oracle.feeds
    names = [{str(name).casefold() for name in (feed.name, feed.pair, feed.aggregator) if name} for feed in feeds]
    for name in wanted:
        if not any(name.casefold() in known for known in names):
            shown = ", ".join(_called(feed) for feed in feeds) or "none"
            raise SettingsError("FEED", f"no feed is called {name[:60]!r}", remedy=f"known: {shown}")
    folded = {name.casefold() for name in wanted}
    return [index for index, known in enumerate(names) if not folded or known & folded]


def _called(feed: FeedSettings) -> str:
    return str(feed.name or feed.pair or to_checksum(feed.aggregator))


def check_feeds_offline(settings: Settings, wanted: Sequence[str]) -> list[FeedCheck]:
    """What the file alone tells.

    Raises:
        SettingsError: A feed cannot work as it is written.
    """
    venues = make_venues(settings.oracle.venues, settings.chains)
    checks = []
    for index in chosen(settings, wanted):
        feed = settings.oracle.feeds[index]
        check = FeedCheck(_called(feed), feed.chain, feed.aggregator)
        if feed.pair is None:
            check.note(Level.REMARK, "its pair is taken from the contract: sources are not checked offline")
        else:
            ref = FeedRef(check.name, feed.chain, ChainId(settings.chains[feed.chain].chain_id), feed.aggregator)
            check.plan = make_plan(feed, ref, feed.pair, venues, at=f"oracle.feeds[{index}]")
            _remark(check, feed)
        checks.append(check)
    return checks


def _remark(check: FeedCheck, feed: FeedSettings) -> None:
    assert check.plan is not None
    for text in remarks(feed, check.plan.sources, check.plan.aggregation.min_venues):
        check.note(Level.REMARK, text)


async def survey_feeds(settings: Settings, wanted: Sequence[str], clock: Clock) -> list[FeedCheck]:
    """Ask everything once.

    Raises:
        SettingsError: There is no such feed, or a venue's settings are wrong: nothing can be asked then.
    """
    places = chosen(settings, wanted)
    async with make_session() as session:
        chains = Chains(settings.chains, session, clock, RpcMetrics(CollectorRegistry()), 0.0)
        try:
            chains.add([settings.oracle.feeds[index].chain for index in places])
            return await _Survey(settings, chains, session, clock).run(places)
        finally:
            await chains.close()


@dataclass(slots=True)
class _Survey:
    settings: Settings
    chains: Chains
    session: aiohttp.ClientSession
    clock: Clock
    account: Address = ZERO_ADDRESS
    problem: str = ""

    async def run(self, places: Sequence[int]) -> list[FeedCheck]:
        chains_used = {self.settings.oracle.feeds[index].chain for index in places}
        self.chains.add(_chains_of_sources(self.settings, places))
        venues = make_venues(self.settings.oracle.venues, self.settings.chains)
        await self._open_signer()
        checks = await asyncio.gather(*(self._contract(index, venues) for index in places))
        await self._ask_sources(checks)
        balances = await self._balances(chains_used)
        await asyncio.gather(*(self._account(check, balances) for check in checks))
        return list(checks)

    async def _open_signer(self) -> None:
        wanted = self.settings.oracle.signer
        if wanted is None:
            return
        database = await open_database("sqlite://")
        try:
            signer = await open_settings_signer(
                wanted, "oracle.signer", session=self.session, clock=self.clock, database=database
            )
            self.account = signer.address
        except SeamarkError as error:
            self.problem = str(error)
        finally:
            await database.close()

    # ---- the contract ------------------------------------------------------------------------------------------------

    async def _contract(self, index: int, venues: Venues) -> FeedCheck:
        feed, at = self.settings.oracle.feeds[index], f"oracle.feeds[{index}]"
        check = FeedCheck(_called(feed), feed.chain, feed.aggregator)
        if self.problem:
            check.note(Level.ERROR, self.problem)
        try:
            async with asyncio.timeout(CHAIN_S):
                await self._read_contract(check, feed, at)
        except (SettingsError, TemporaryError) as error:
            check.note(Level.ERROR, str(error))
        except TimeoutError:
            check.note(
                Level.ERROR, f"chain {feed.chain}: no answer within {CHAIN_S:g} s; check chains.{feed.chain}.rpc"
            )
        try:
            self._plan(check, feed, venues, at)
        except SettingsError as error:
            check.note(Level.ERROR, str(error))
        return check

    async def _read_contract(self, check: FeedCheck, feed: FeedSettings, at: str) -> None:
        reader = self.chains.opened[feed.chain].chain
        await check_contract(reader, feed.aggregator, setting=f"{at}.aggregator")
        where = Where(contract=f"{at}.contract", signer="oracle.signer")
        check.kind = await find_target(feed.contract, reader, feed.aggregator, ZERO_ADDRESS, where)
        target = make_target(check.kind, reader, feed.aggregator, self.account)
        check.state = await target.read()
        if check.state.paused:
            check.note(Level.WARNING, "the contract is paused: it takes no submissions")
        if self.account != ZERO_ADDRESS:
            await target.check(where)

    def _plan(self, check: FeedCheck, feed: FeedSettings, venues: Venues, at: str) -> None:
        pair = feed.pair
        if check.state is not None:
            pair = pair_of(check.state, feed.pair, setting=f"{at}.pair")
        if pair is None:
            return  # the contract would have told it, and did not answer
        check.name = feed.name or str(pair)
        ref = FeedRef(check.name, feed.chain, self.chains.opened[feed.chain].chain.chain_id, feed.aggregator)
        check.plan = make_plan(feed, ref, pair, venues, at=at)
        _remark(check, feed)

    # ---- sources, and what the feed would do -------------------------------------------------------------------------

    async def _ask_sources(self, checks: Sequence[FeedCheck]) -> None:
        plans = [check.plan for check in checks if check.plan is not None]
        readers = {name: item.chain for name, item in self.chains.opened.items()}
        sources = Sources(session=self.session, clock=self.clock, chains=readers)
        told = await ask_once(plans, sources, self.clock)
        for check in checks:
            if check.plan is not None:
                check.now = self.clock.now()
                check.opinion = judge(check.plan, told[check.plan.ref.name], check.state, now=check.now)
                _note_opinion(check, check.opinion)

    async def _balances(self, chains: set[str]) -> Mapping[str, int | str]:
        if self.account == ZERO_ADDRESS:
            return {}
        found: dict[str, int | str] = {}
        for name in sorted(chains):
            try:
                async with asyncio.timeout(CHAIN_S):
                    found[name] = await self.chains.opened[name].chain.balance(self.account)
            except (SeamarkError, TimeoutError) as error:
                found[name] = f"the balance of the account cannot be read ({str(error) or 'no answer'})"
        return found

    async def _account(self, check: FeedCheck, balances: Mapping[str, int | str]) -> None:
        balance = balances.get(check.chain)
        if self.account == ZERO_ADDRESS or check.plan is None or check.state is None or check.kind is None:
            return
        check.account = self.account
        if isinstance(balance, str):
            check.note(Level.ERROR, balance)
            return
        check.balance = balance
        answer = None if check.opinion is None else check.opinion.result
        if isinstance(answer, Answer):
            await self._appraise(check, answer)
        if check.runs_left is not None and check.runs_left < 1:
            check.note(Level.ERROR, f"{to_checksum(self.account)} cannot pay for one publication on {check.chain}")

    async def _appraise(self, check: FeedCheck, answer: Answer) -> None:
        """What a publication now would cost; a contract that refuses one because nothing is due is no fault."""
        assert check.plan is not None
        assert check.state is not None
        assert check.kind is not None
        item = self.chains.opened[check.chain]
        target = make_target(check.kind, item.chain, check.contract, self.account)
        data = target.encode(check.state.next_round, answer)
        gas = check.plan.gas_limit or check.state.gas_limit
        intent = Intent("check", check.contract, data, value=check.plan.value, gas_limit=gas)
        try:
            async with asyncio.timeout(CHAIN_S):
                check.appraisal = await make_dry_sender(item, self.account, clock=self.clock).appraise(intent)
        except (SeamarkError, TimeoutError) as error:
            if check.opinion is not None and check.opinion.reason is not None:
                check.note(Level.WARNING, f"a publication now would fail: {str(error) or 'no answer'}")


def _chains_of_sources(settings: Settings, places: Sequence[int]) -> list[str]:
    found: list[str] = []
    for index in places:
        for source in settings.oracle.feeds[index].sources:
            for market in (source, *source.via):
                reading = market.uniswap_v3 or market.chainlink or market.erc4626
                if reading is not None and reading.chain in settings.chains:
                    found.append(reading.chain)
    return found


def _note_opinion(check: FeedCheck, opinion: Opinion) -> None:
    if not isinstance(opinion.result, Answer):
        check.note(Level.ERROR, opinion.decision)
    for line in opinion.sources:
        if not line.used and line.verdict != "same_venue":
            check.note(Level.WARNING, f"{line.source} is not used: {line.detail or line.verdict}")
