"""The Hyperlane monitor on two chains with the published contracts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from seamark.core.errors import SettingsError
from seamark.evm.rpc import Chain
from seamark.messages.model import NoticeKind
from seamark.messages.protocols.hyperlane import HyperlaneChain, HyperlaneProtocol
from seamark.messages.store import list_notices, read_contracts
from seamark.runtime.http import make_session
from tests.support.hyperlane import Bed, Side, start_bed
from tests.support.monitor import RunningMonitor, start_trackers

pytestmark = pytest.mark.integration


def chain(side: Side, name: str, **changes: object) -> HyperlaneChain:
    found = {
        "chain_id": side.chain_id,
        "domain": None,
        "name": name,
        "mailbox": side.mailbox,
        "gas_paymasters": (),
        "start_block": 0,
        "setting": f"hyperlane.chains[{name}]",
    }
    return HyperlaneChain(**(found | changes))  # type: ignore[arg-type]


@asynccontextmanager
async def monitor(folder: Path, *sides: Side) -> AsyncIterator[RunningMonitor]:
    protocol = HyperlaneProtocol([chain(side, f"domain {side.domain}") for side in sides])
    async with start_trackers(folder, protocol, {side.chain_id: side.node.url for side in sides}) as running:
        yield running


@pytest.fixture
async def bed() -> AsyncIterator[Bed]:
    async with start_bed() as started:
        yield started


async def test_a_message_from_dispatch_to_delivery(bed: Bed, tmp_path: Path) -> None:
    async with monitor(tmp_path, bed.home, bed.remote) as running:
        first, second = await bed.home.dispatch(bed.remote, count=2)
        await running.stages({first.id: "sent", second.id: "sent"})
        await bed.finalize()
        await running.stages({first.id: "finalized", second.id: "finalized"})
        await bed.remote.process(second)  # in any order
        await running.stages({first.id: "finalized", second.id: "executed"})
        view = (await running.message(second.id)).message
        assert (view.source, view.destination, view.channel) == ("1000", "2000", bed.home.mailbox)
        assert (view.sequence, view.sender) == (1, bed.home.wallet.address)
        assert view.receiver == bed.remote.at["TestRecipient"]
        assert view.callback is True
        assert view.seconds.total is not None
        topics = ["message.sent", "notice.gas_paid", "message.finalized", "message.executed"]
        assert await running.topics(second.id) == topics
        assert running.value("hyperlane_messages_sent_total") == 2
        assert running.value("hyperlane_messages_received_total", state="success") == 1


async def test_gas_payments_are_seen(bed: Bed, tmp_path: Path) -> None:
    async with monitor(tmp_path, bed.home, bed.remote) as running:
        (message,) = await bed.home.dispatch(bed.remote)
        await running.stages({message.id: "sent"})
        view = (await running.message(message.id)).message
        assert int(view.fee_amount) > 0
        await bed.home.pay(message, bed.remote, 77_000)

        async def paid_twice() -> bool:
            notices = await running.database.read(
                lambda c: list_notices(c, protocol="hyperlane", kinds=(NoticeKind.GAS_PAID,))
            )
            return [item.details["gas"] for item in notices if item.subject == message.id].count("77000") == 1

        await running.until(paid_twice)


async def test_a_message_whose_source_is_not_watched(bed: Bed, tmp_path: Path) -> None:
    async with monitor(tmp_path, bed.remote) as running:
        (message,) = await bed.home.dispatch(bed.remote)
        await bed.remote.process(message)
        await running.stages({message.id: "executed"})
        view = (await running.message(message.id)).message
        assert (view.source, view.source_watched) == ("1000", False)
        assert view.sequence == -1  # nobody has told it


async def test_a_delivery_that_is_refused_leaves_the_message_where_it_was(bed: Bed, tmp_path: Path) -> None:
    async with monitor(tmp_path, bed.home, bed.remote) as running:
        (message,) = await bed.home.dispatch(bed.remote)
        await bed.finalize()
        await bed.remote.call("test/TestIsm", "setVerify", False)
        with pytest.raises(Exception, match="failed"):
            await bed.remote.process(message)
        await running.stages({message.id: "finalized"})
        await bed.remote.call("test/TestIsm", "setVerify", True)
        await bed.remote.process(message)
        await running.stages({message.id: "executed"})


async def test_a_send_that_a_reorg_takes_away(bed: Bed, tmp_path: Path) -> None:
    async with monitor(tmp_path, bed.home, bed.remote) as running:
        (message,) = await bed.home.dispatch(bed.remote)
        await running.stages({message.id: "sent"})
        await bed.home.node.request("anvil_reorg", 1, [])
        await bed.home.anvil.mine(1)
        await running.stages({message.id: "retracted"})


async def test_the_contracts_are_found_from_the_mailbox(bed: Bed, tmp_path: Path) -> None:
    async with monitor(tmp_path, bed.home) as running:
        (message,) = await bed.home.dispatch(bed.remote)
        await running.stages({message.id: "sent"})
        found = await running.database.read(lambda c: read_contracts(c, "hyperlane", bed.home.chain_id))
        assert {item.role: item.address for item in found} == {
            "mailbox": bed.home.mailbox,
            "gas_paymaster": bed.home.at["InterchainGasPaymaster"],
        }


async def test_a_new_default_hook_is_watched_too(bed: Bed, tmp_path: Path) -> None:
    home = bed.home
    async with monitor(tmp_path, home) as running:
        await running.stages({(await home.dispatch(bed.remote))[0].id: "sent"})
        old = home.at["InterchainGasPaymaster"]
        await _another_paymaster(bed)
        await home.call("Mailbox", "setDefaultHook", home.at["InterchainGasPaymaster"])
        (message,) = await home.dispatch(bed.remote)
        await running.stages({message.id: "sent"})

        async def watched() -> bool:
            found = await running.database.read(lambda c: read_contracts(c, "hyperlane", home.chain_id))
            return {old, home.at["InterchainGasPaymaster"]} <= {item.address for item in found}

        await running.until(watched)


async def _another_paymaster(bed: Bed) -> None:
    from tests.support import hyperlane  # noqa: PLC0415 - its private step is used again

    fresh = Side(bed.home.node, bed.home.wallet, bed.home.anvil, bed.home.domain)
    await hyperlane._deploy(fresh, bed.remote)
    bed.home.at["InterchainGasPaymaster"] = fresh.at["InterchainGasPaymaster"]


async def test_counters_say_what_the_mailbox_has_sent(bed: Bed, tmp_path: Path) -> None:
    await bed.home.dispatch(bed.remote, count=3)
    async with monitor(tmp_path, bed.home) as running:
        reader = running.readers[bed.home.chain_id]
        found = await running.protocol.discover(reader, ())
        (counter,) = await running.protocol.counters(reader, found)
        assert (counter.kind, counter.value, counter.lane.channel) == ("sent", 2, bed.home.mailbox)


class TestWrongSettings:
    @staticmethod
    async def refused(side: Side, **changes: object) -> str:
        session = make_session()
        reader = Chain(side.chain_id, [side.node.url], session=session)
        try:
            with pytest.raises(SettingsError) as caught:
                await HyperlaneProtocol([chain(side, "home", **changes)]).check(reader)
        finally:
            await reader.close()
            await session.close()
        return str(caught.value)

    async def test_each_is_named(self, bed: Bed) -> None:
        side = bed.home
        assert "there is no contract at" in await self.refused(side, mailbox=side.wallet.address)
        assert "is not a Hyperlane Mailbox" in await self.refused(side, mailbox=side.at["TestIsm"])
        assert "is 7, but the Mailbox says 1000" in await self.refused(side, domain=7)
