"""An in-memory chain with one feed contract, a sender with a journal, and a clock that tests move."""

import asyncio
import heapq
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from prometheus_client import CollectorRegistry

from seamark.core.errors import RejectedError, TemporaryError
from seamark.core.ids import Address, ChainId, Hash32
from seamark.core.units import Ppb
from seamark.evm.address import ZERO_ADDRESS
from seamark.evm.artifacts import load
from seamark.evm.ports import Intent, Outcome, TxState
from seamark.evm.rpc.errors import CallReverted
from seamark.evm.transactions import CannotReplace
from seamark.evm.types import BlockHeader, BlockTag, Call, Log, Receipt
from seamark.oracle.metrics import FeedMeter, OracleMetrics
from seamark.oracle.model import AggregationPolicy, FeedRef, Pair, Planned, Quote, TriggerPolicy
from seamark.oracle.plan import FeedPlan
from seamark.oracle.publisher import FeedPublisher
from seamark.oracle.sources.paths import JsonPath
from seamark.oracle.sources.source import Fields, Request, Source
from seamark.oracle.targets.aggregator import ABI, PUBLISHER_ROLE
from seamark.oracle.targets.reads import FEED_ABI
from seamark.oracle.targets.receipts import ABI as EVENTS
from seamark.storage.database import Database

FEED = Address("0x" + "fe" * 20)
SIGNER = Address("0x" + "51" * 20)
START = 1_700_000_000.0
REF = FeedRef("ETH/USD", "home", ChainId(31337), FEED)


class FakeClock:
    """Time stands still until `advance`."""

    def __init__(self, now: float = START) -> None:
        self.time = now
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (self.time + max(seconds, 0.001), next(self._order), future))
        await future

    async def advance(self, seconds: float) -> None:
        """Move on, waking each sleeper at its time."""
        end = self.time + seconds
        while self._waiting and self._waiting[0][0] <= end:
            at, _, future = heapq.heappop(self._waiting)
            self.time = max(self.time, at)
            if not future.done():
                future.set_result(None)
            await breathe()
        self.time = end
        await breathe()


async def breathe() -> None:
    """Let ready tasks run."""
    for _ in range(5):
        await asyncio.sleep(0)


async def until(condition: Callable[[], object], *, seconds: float = 2.0) -> None:
    """Wait for something that another thread (the database) has a part in."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for is anything a test can say
            await asyncio.sleep(0.001)


@dataclass
class FakeFeed:
    """`Aggregator` in Python: same rules, same logs."""

    description: str = "ETH / USD"
    decimals: int = 8
    min_answer: int = 1
    max_answer: int = 10**18
    max_step_bps: int = 0
    max_observation_age: int = 900
    paused: bool = False
    gas_limit: int | None = None
    publishers: set[str] = field(default_factory=lambda: {SIGNER})
    rounds: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    parked: tuple[int, int, int, Address, int] | None = None

    @property
    def latest(self) -> int:
        return max(self.rounds, default=0)

    def submit(self, sender: Address, data: bytes, block: int, now: int) -> list[tuple[str, tuple[object, ...]]]:
        """The events; raises `CallReverted`."""
        call = ABI.function("submit").decode_call(data)
        if sender not in self.publishers:
            raise CallReverted("reverted: AccessControlUnauthorizedAccount(…)")
        if self.paused:
            raise CallReverted("reverted: EnforcedPause()")
        if call.roundId != self.latest + 1:
            raise CallReverted(f"reverted: UnexpectedRound({self.latest + 1}, {call.roundId})")
        if not self.min_answer <= call.answer <= self.max_answer:
            raise CallReverted("reverted: AnswerOutOfRange(…)")
        last_answer, last_observed, _ = self.rounds.get(self.latest, (0, 0, 0))
        if call.observedAt <= last_observed:
            raise CallReverted("reverted: ObservationNotNewer(…)")
        if self.max_observation_age and call.observedAt + self.max_observation_age < now:
            raise CallReverted("reverted: ObservationTooOld(…)")
        if not (self.latest == 0 or self._close(last_answer, call.answer) or self._confirms(sender, call, block)):
            self.parked = (call.roundId, call.answer, call.observedAt, sender, block)
            return [("AnswerParked", (call.roundId, call.answer, call.observedAt, sender))]
        self.parked = None
        self.rounds[call.roundId] = (call.answer, call.observedAt, now)
        return [
            ("NewRound", (call.roundId, sender, call.observedAt)),
            ("AnswerUpdated", (call.answer, call.roundId, now)),
        ]

    def _close(self, old: int, new: int) -> bool:
        return self.max_step_bps == 0 or abs(new - old) * 10_000 <= abs(old) * self.max_step_bps

    def _confirms(self, sender: Address, call: object, block: int) -> bool:
        if self.parked is None or not self._close(self.parked[1], call.answer):  # type: ignore[attr-defined]
            return False
        later = call.observedAt > self.parked[2] and block > self.parked[4]  # type: ignore[attr-defined]
        return self.parked[3] != sender or later

    def read(self, data: bytes) -> bytes:  # noqa: PLR0911 - one answer per function
        known = (*ABI.functions, *FEED_ABI.functions)
        function = next((item for item in known if item.selector == data[:4]), None)
        if function is None:
            raise CallReverted("reverted without a reason")
        match function.name:
            case "latestRoundData" | "getRoundData":
                wanted = self.latest if function.name == "latestRoundData" else function.decode_call(data)[0]
                if wanted not in self.rounds:
                    raise CallReverted("reverted: No data present")
                answer, observed, updated = self.rounds[wanted]
                return words(wanted, answer, observed, updated, wanted)
            case "decimals":
                return words(self.decimals)
            case "description":
                text = self.description.encode()
                return words(32, len(text)) + text.ljust(-(-len(text) // 32) * 32, b"\0")
            case "minAnswer":
                return words(self.min_answer)
            case "maxAnswer":
                return words(self.max_answer)
            case "maxStepBps":
                return words(self.max_step_bps)
            case "paused":
                return words(int(self.paused))
            case "parkedAnswer":
                found = self.parked or (0, 0, 0, ZERO_ADDRESS, 0)
                return words(found[0], found[1], found[2], int(found[3], 16))
            case "submitGasLimit" if self.gas_limit is not None:
                return words(self.gas_limit)
            case "hasRole":
                role, account = function.decode_call(data)
                return words(int(role == PUBLISHER_ROLE and account in self.publishers))
        raise CallReverted("reverted without a reason")


def words(*numbers: int) -> bytes:
    return b"".join((number % 2**256).to_bytes(32, "big") for number in numbers)


class FakeChain:
    """A `ChainReader` of one chain; the block time follows the clock."""

    def __init__(self, clock: FakeClock, chain_id: int = 31337) -> None:
        self.clock = clock
        self.chain_id = ChainId(chain_id)
        self.feeds: dict[str, FakeFeed] = {FEED: FakeFeed()}
        self.height = 1
        self.lag = 0
        self.down = False
        self.reads = 0
        self.wei = 10**18

    @property
    def feed(self) -> FakeFeed:
        return self.feeds[FEED]

    def _check(self) -> None:
        self.reads += 1
        if self.down:
            raise TemporaryError("no node answers")

    async def header(self, block: BlockTag) -> BlockHeader | None:
        self._check()
        number = self.height - self.lag if block == "latest" else int(block)
        return BlockHeader(number, hash_of(number), hash_of(number - 1), int(self.clock.now()))

    async def call(self, call: Call) -> bytes:
        self._check()
        if call.to not in self.feeds:
            return b""
        return self.feeds[call.to].read(call.data)

    async def calls(self, calls: Sequence[Call]) -> list[bytes | Exception]:
        answers: list[bytes | Exception] = []
        for call in calls:
            try:
                answers.append(await self.call(call))
            except RejectedError as error:
                answers.append(error)
        return answers

    async def code(self, address: Address) -> bytes:
        self._check()
        return b"\x60" if address in self.feeds else b""

    async def balance(self, address: Address) -> int:
        self._check()
        return self.wei

    async def headers(self, numbers):
        raise NotImplementedError

    async def logs(self, wanted, first, last, *, end=None):
        raise NotImplementedError

    async def receipt(self, transaction):
        raise NotImplementedError

    async def nonce(self, address, block="latest"):
        raise NotImplementedError


def hash_of(number: int) -> Hash32:
    return Hash32(f"0x{number % 2**256:064x}")


class Journal(dict[str, Outcome]):
    """What a sender has stored; survives it."""

    def __init__(self) -> None:
        super().__init__()
        self.intents: dict[str, Intent] = {}


class FakeSender:
    """A `TransactionSender`. Give its `journal` to another to play a restart; `mining`: whether it mines at once."""

    def __init__(self, chain: FakeChain, journal: Journal | None = None) -> None:
        self.chain = chain
        self.journal = Journal() if journal is None else journal
        self.intents = self.journal.intents
        self.submitted: list[Intent] = []
        self.address = SIGNER
        self.mining = True
        self.simulating = True
        self.refusal: Exception | None = None
        self.lost_reply = False
        self.irreplaceable = False
        self.limits: dict[str, int | None] = {}
        self._changed = asyncio.Event()

    async def submit(self, intent: Intent) -> Outcome:
        if self.refusal is not None:
            raise self.refusal
        if intent.key in self.journal:
            return self.journal[intent.key]
        if self.simulating:
            self._simulate(intent)
        self.submitted.append(intent)
        self.intents[intent.key] = intent
        nonce = len(self.journal)
        self.journal[intent.key] = Outcome(intent.key, nonce, TxState.BROADCAST, (hash_of(1000 + nonce),))
        if self.mining:
            self.mine(intent.key)
        if self.lost_reply:
            raise TemporaryError("the node did not say whether it took it")
        return replace(self.journal[intent.key], state=TxState.BROADCAST, receipt=None)

    async def replace(self, key: str, intent: Intent) -> Outcome:
        old = self.journal[key]
        if self.irreplaceable or old.state is not TxState.BROADCAST:
            raise CannotReplace(f"{key}: cannot be replaced")
        self.submitted.append(intent)
        self.intents[intent.key] = intent
        self.journal[intent.key] = Outcome(
            intent.key, old.nonce, TxState.BROADCAST, (hash_of(2000 + len(self.journal)),)
        )
        if self.lost_reply:
            raise TemporaryError("the node did not say whether it took it")
        return self.journal[intent.key]

    def _simulate(self, intent: Intent) -> None:
        feed = self.chain.feed
        trial = replace(feed, rounds=dict(feed.rounds))
        trial.submit(self.address, intent.data, self.chain.height + 1, int(self.chain.clock.now()))

    def mine(self, key: str, state: TxState = TxState.MINED) -> None:
        """Put it in a block."""
        outcome, intent = self.journal[key], self.intents[key]
        self.chain.height += 1
        try:
            events = self.chain.feed.submit(self.address, intent.data, self.chain.height, int(self.chain.clock.now()))
            succeeded = True
        except CallReverted:
            events, succeeded = [], False
        logs = tuple(to_log(name, values, self.chain.height) for name, values in events)
        receipt = Receipt(
            outcome.hashes[0], self.chain.height, hash_of(self.chain.height), succeeded, 100_000, 10**9, logs
        )
        for other in list(self.journal.values()):
            if other.nonce == outcome.nonce and other.key != key:
                self.journal[other.key] = replace(other, state=TxState.REPLACED)
        self.set(replace(outcome, state=state, receipt=receipt))

    def set(self, outcome: Outcome) -> None:
        self.journal[outcome.key] = outcome
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait(self, key: str, *, until: TxState = TxState.MINED) -> Outcome:
        ends = {TxState.MINED, TxState.CONFIRMED, TxState.REPLACED, TxState.FOREIGN}
        while self.journal[key].state not in ends:
            await self._changed.wait()
        return self.journal[key]

    def limit_spending(self, owner: str, wei: int | None) -> None:
        self.limits[owner] = wei

    def spent(self, owner: str) -> int:
        return sum(5 for key in self.journal if key.startswith(owner))

    async def find(self, key: str) -> Outcome | None:
        return self.journal.get(key)


def to_log(name: str, values: tuple[object, ...], block: int) -> Log:
    event = EVENTS.event(name) if name == "SubmissionReceived" else load("Aggregator").abi.event(name)
    topics, data = [event.topic0], b""
    for param, value in zip(event.inputs, values, strict=True):
        word = words(int(value, 16) if isinstance(value, str) else int(value))  # type: ignore[call-overload]
        if param.indexed:
            topics.append(Hash32("0x" + word.hex()))
        else:
            data += word
    return Log(FEED, tuple(topics), "0x" + data.hex(), block, hash_of(block), hash_of(block), 0)


# ---- builders -------------------------------------------------------------------------------------------------------


def source(name: str) -> Source:
    return Source(name, name, Request(f"http://127.0.0.1/{name}"), Fields(JsonPath.parse("price")))


def quote(name: str, told: str | int, at: float = START, **changes: object) -> Quote:
    return Quote(name, name, Decimal(told), observed_at=at, received_at=at).but(**changes)


def plan(**changes: object) -> FeedPlan:
    made = FeedPlan(
        ref=REF,
        pair=Pair("ETH", "USD"),
        sources=tuple(source(name) for name in "abc"),
        aggregation=AggregationPolicy(min_venues=2),
        trigger=TriggerPolicy(heartbeat=3600, deviation=Ppb(5_000_000)),
        poll_interval=10**6,  # the timer keeps out of the way: tests say when to look
    )
    return replace(made, **changes)  # type: ignore[arg-type]


@dataclass
class World:
    """Everything around one publisher."""

    clock: FakeClock
    chain: FakeChain
    sender: FakeSender
    database: Database
    registry: CollectorRegistry
    metrics: OracleMetrics
    publisher: FeedPublisher

    def tell(self, *prices: str | int) -> Planned | None:
        """All sources quote, now."""
        quotes = [quote(name, price, self.clock.now()) for name, price in zip("abc", prices, strict=False)]
        return self.publisher.on_quotes(quotes)

    def sample(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, {"feed": "ETH/USD", "chain": "home", **labels})


def make_world(
    database: Database,
    *,
    clock: FakeClock | None = None,
    chain: FakeChain | None = None,
    journal: Journal | None = None,
    **changes: object,
) -> World:
    clock = clock or FakeClock()
    chain = chain or FakeChain(clock)
    sender = FakeSender(chain, journal)
    registry = CollectorRegistry()
    metrics = OracleMetrics(registry)
    made = plan(**changes)
    publisher = FeedPublisher(
        plan=made,
        chain=chain,
        sender=sender,
        database=database,
        clock=clock,
        meter=FeedMeter(metrics, made.ref, made.trigger, clock=clock),
    )
    return World(clock, chain, sender, database, registry, metrics, publisher)
