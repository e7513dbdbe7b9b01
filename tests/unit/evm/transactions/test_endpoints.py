"""The real RPC pool between the sender and several nodes over HTTP: liars, the slow, those that lag, mixed clients."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from tests.support.clock import FakeClock
from tests.support.mempool import GWEI, LOCAL
from tests.support.mempool_rpc import Cluster
from tests.support.sending import KEY, price

from seamark.core.errors import TemporaryError
from seamark.evm.ports import TxState
from seamark.evm.rpc import Chain
from seamark.evm.signers import RawKeySigner
from seamark.evm.transactions import Event, Sender, SenderSettings
from seamark.evm.transactions.ports import GapFilled, Refused
from seamark.runtime.http import make_session
from seamark.storage.database import open_database


@dataclass
class Office:
    """A sender whose chain is a cluster."""

    cluster: Cluster
    sender: Sender
    clock: FakeClock
    events: list[Event] = field(default_factory=list)

    async def look(self, seconds: float = 0) -> None:
        self.clock.advance(seconds)
        await self.sender.look()

    async def state(self, number: int) -> TxState:
        outcome = await self.sender.find(f"price-{number}")
        assert outcome is not None
        return outcome.state

    def told(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]


@asynccontextmanager
async def office(*families: str, confirmations: int = 1) -> AsyncIterator[Office]:
    async with Cluster.of(*families) as cluster, make_session() as session:
        clock, database = FakeClock(), await open_database("sqlite://")
        events: list[Event] = []
        chain = Chain(LOCAL, cluster.urls, session=session, clock=clock, deadline_s=1.0)
        sender = Sender(
            chain=chain,
            signer=RawKeySigner.from_hex(KEY),
            database=database,
            clock=clock,
            settings=SenderSettings(confirmations=confirmations),
            observer=events.append,
        )
        try:
            yield Office(cluster, sender, clock, events)
        finally:
            await chain.close()
            await database.close()


async def test_every_endpoint_gets_it_and_a_replacement_pleases_all():
    async with office("geth", "erigon", "nethermind", "besu") as here:
        here.cluster.market(25 * GWEI, GWEI // 2)
        await here.sender.submit(price(1))
        for _ in range(3):
            here.cluster.mine(room=0)
            await here.look(31)
        await all_sent(here, 4)
        offers = {next(iter(node.pool.values())).hash for node in here.cluster.nodes}
        assert len(offers) == 1, "each pool has the newest offer"
        assert not here.told(Refused)
        here.cluster.mine()
        await here.look()
        assert await here.state(1) is TxState.CONFIRMED


async def all_sent(here: Office, times: int) -> None:
    """The first acceptance is enough to go on; the others get theirs in the background."""
    async with asyncio.timeout(5):
        while any(view.sent < times for view in here.cluster.views):  # noqa: ASYNC110 - servers count, nobody tells
            await asyncio.sleep(0.005)


async def test_the_first_acceptance_counts_while_another_hangs():
    async with office("geth", "geth") as here:
        here.cluster.views[0].hangs = True
        outcome = await here.sender.submit(price(1))
        assert outcome.state is TxState.BROADCAST
        here.cluster.mine()
        await here.look()
        assert await here.state(1) is TxState.CONFIRMED


@pytest.mark.parametrize(
    "words", [(-32000, "txpool is full"), (-32000, "nonce too high"), (-32603, "Internal error"), (-32001, "?")]
)
async def test_the_refusal_of_one_is_nothing_where_another_accepts(words):
    async with office("geth", "besu") as here:
        here.cluster.views[0].refuses = words
        await here.sender.submit(price(1))
        assert not here.told(Refused)
        here.cluster.mine()
        await here.look()
        assert await here.state(1) is TxState.CONFIRMED


async def test_a_liar_who_keeps_nothing_is_found_out_by_the_count():
    async with office("geth", "geth") as here:
        liar, honest = here.cluster.views
        liar.forgets, honest.refuses = True, (-32603, "Internal error")
        await here.sender.submit(price(1))
        assert await here.state(1) is TxState.BROADCAST, "all that is known is what the liar says"
        honest.refuses = None
        here.cluster.mine()
        await here.look(6)
        here.cluster.mine()
        await here.look()
        assert await here.state(1) is TxState.CONFIRMED


async def test_one_who_names_another_transaction_did_not_accept():
    async with office("geth", "geth") as here:
        here.cluster.views[0].misnames = True
        here.cluster.views[1].refuses = (-32603, "Internal error")
        with pytest.raises(TemporaryError):
            await here.sender.submit(price(1))
        assert await here.state(1) is TxState.SIGNED
        here.cluster.views[1].refuses = None
        await here.look(6)
        here.cluster.mine()
        await here.look()
        assert await here.state(1) is TxState.CONFIRMED


async def test_views_that_lag_by_turns_lose_nothing_and_send_nothing_twice():
    async with office("geth", "besu", "nethermind", confirmations=3) as here:
        for number in range(1, 7):
            for at, view in enumerate(here.cluster.views):
                view.lag = (number + at) % 3
            await here.sender.submit(price(number))
            here.cluster.mine()
            await here.look(6)
        for view in here.cluster.views:
            view.lag = 0
        for _ in range(4):
            here.cluster.mine()
            await here.look(6)
        mined = [tx.data for tx in here.cluster.nodes[0].mined]
        assert mined == [f"price-{number}".encode() for number in range(1, 7)]
        assert {await here.state(number) for number in range(1, 7)} == {TxState.CONFIRMED}
        assert not here.told(GapFilled)


async def test_a_chain_before_eip_1559_takes_type_0():
    async with office("besu", "geth") as here:
        here.cluster.market(None, 20 * GWEI)
        here.cluster.mine()
        await here.sender.submit(price(1))
        here.cluster.mine(room=0)
        await here.look(31)
        here.cluster.mine()
        await here.look()
        (mined,) = here.cluster.nodes[0].mined
        assert mined.legacy
        assert mined.cap > 22 * GWEI
        assert await here.state(1) is TxState.CONFIRMED
