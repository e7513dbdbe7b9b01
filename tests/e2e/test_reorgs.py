"""Reorgs under the whole application: what leaves a chain is taken back and says so, what returns comes back once.

The nodes are told to replace their newest blocks (`anvil_reorg`) while the application runs, and while it does not. At
the end its ledger must equal that of an undisturbed monitor which reads both chains from the first block on.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from seamark.app import CCIP_MONITOR, ORACLE
from seamark.core.errors import SeamarkError
from seamark.demo import VENUES
from seamark.devnet.ccip.lane import Lane
from seamark.devnet.ccip.ramp_messages import RampMessage
from seamark.devnet.market import VenueFault, VenueFaultKind
from seamark.messages.model import Stage as MessageStage
from seamark.messages.store import MessageDetail
from seamark.storage.events import Event, read_events
from tests.support.application import Stage, scene
from tests.support.faulty_rpc import BROKEN_REPLIES, Faults
from tests.support.ledgers import differences
from tests.support.truth import check_publications, sent_messages, submitted_rounds
from tests.support.world import World

pytestmark = pytest.mark.timeout(300)

HOME, REMOTE = 0, 1
DEPTH = 8  # blocks that are not final: so deep a reorg is nothing special
FAULTY = 0.1  # of the requests to a node that fails now and then
KINDS = tuple(BROKEN_REPLIES.values())
DEEP = {"finality": {"tag": None, "depth": DEPTH}}


class Act:
    """A monitor, and chains that change their mind."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.world = World(stage.devnet)

    async def send(self, lane: Lane, *contents: bytes) -> list[RampMessage]:
        """A message and a block for each."""
        return [(await self.world.send(lane, data=data))[0] for data in contents]

    async def reorg(self, chain: int, depth: int, again: Sequence[tuple[str, int]] = ()) -> None:
        """Replace the newest blocks; `again` are raw transactions and the new block (from 0) that includes them."""
        await self.stage.devnet.anvils[chain].request("anvil_reorg", depth, [list(item) for item in again])

    async def newest(self, chain: int, depth: int) -> list[tuple[str, int]]:
        """Raw transactions of the newest blocks, with the place of their block among them."""
        node = self.stage.devnet.nodes[chain]
        head = await node.head()
        found = []
        for place, number in enumerate(range(head - depth + 1, head + 1)):
            block = await node.request("eth_getBlockByNumber", hex(number), False)
            raws = [await node.request("eth_getRawTransactionByHash", item) for item in block["transactions"]]
            found += [(raw, place) for raw in raws]
        return found

    async def final(self, *chains: int) -> None:
        """So many blocks that all there is becomes final."""
        for chain in chains or (HOME, REMOTE):
            await self.stage.devnet.anvils[chain].mine(DEPTH + 1)

    async def deliver(self, lane: Lane) -> None:
        """All that was sent; a running monitor sees it become final first, as in life."""
        await self.final(int(lane is self.world.inbound))
        if self.stage.app is not None:
            await self.stage.catches_up()
        await self.world.commit(lane)
        await self.world.execute(lane)

    async def stages(self, expected: dict[str, str]) -> None:
        """Until the ledger says so."""

        async def reached() -> bool:
            found = await self.stage.messages()
            return {key: found[key].stage for key in expected if key in found} == expected

        await self.stage.until(reached, str(expected))

    async def detail(self, message: RampMessage) -> MessageDetail:
        return (await self.stage.ledger()).details[message.message_id]

    async def events(self, prefix: str, key: str = "") -> list[Event]:
        assert self.stage.app is not None
        found = await self.stage.app.database.read(lambda c: read_events(c, 0, topics=[prefix], limit=10_000))
        return [event for event in found if not key or event.key == key]

    async def told(self, message: RampMessage) -> list[str]:
        """Steps of a message, as told by events."""
        events = await self.events("message.", message.message_id)
        return [event.topic.removeprefix("message.") for event in events]

    def total(self, metric: str, **labels: str) -> float:
        assert self.stage.app is not None
        samples = [sample for family in self.stage.app.registry.collect() for sample in family.samples]
        wanted = labels.items()
        return sum(item.value for item in samples if item.name == metric and wanted <= item.labels.items())


@asynccontextmanager
async def deep_scene(folder: Path, **options: Any) -> AsyncIterator[Stage]:
    """Chains on which many blocks are not final, and some are."""
    async with scene(folder, run_network=False, chain=DEEP, finality_depth=DEPTH, **options) as stage:
        for anvil in stage.devnet.anvils:
            await anvil.mine(DEPTH)
        yield stage


@asynccontextmanager
async def monitored(folder: Path) -> AsyncIterator[Act]:
    """The monitor alone, every step of the messages by hand; at the end the ledger must be as of an undisturbed one."""
    async with deep_scene(folder) as stage:
        play = Act(stage)
        async with stage.running(CCIP_MONITOR):
            yield play
            await play.final()
            await stage.catches_up()
            ours = await stage.ledger()
        assert differences(ours, await stage.undisturbed(), totals=False) == []


def ids(messages: Sequence[RampMessage]) -> list[str]:
    return [message.message_id for message in messages]


# ---- the source -----------------------------------------------------------------------------------------------------


async def test_a_send_that_vanishes_is_retracted_and_says_so(tmp_path: Path) -> None:
    async with monitored(tmp_path) as play:
        kept, lost = await play.send(play.world.outbound, b"kept", b"lost")
        await play.stages({kept.message_id: "sent", lost.message_id: "sent"})
        await play.reorg(HOME, 1)
        await play.stages({kept.message_id: "sent", lost.message_id: "retracted"})
        detail = await play.detail(lost)
        assert detail.message.retracted
        assert detail.message.sent_tx is None
        assert detail.message.sender, "what it said is still known"
        assert [(item.kind, item.live) for item in detail.sightings] == [("sent", False)]
        last = detail.transitions[-1]
        assert (last.step, last.before, last.after) == ("retracted", "sent", "retracted")
        assert (last.chain_id, last.block_hash) == (138, detail.sightings[0].block_hash)
        assert await play.told(lost) == ["sent", "retracted"]
        (event,) = await play.events("message.retracted")
        assert (event.key, event.payload["before"], event.payload["stage"]) == (lost.message_id, "sent", "retracted")
        assert await play.told(kept) == ["sent"]
        (lane,) = (await play.stage.ledger()).lanes.values()
        assert lane.stages == {"sent": 1, "retracted": 1}
        assert play.total("ccip_reorgs_total", chain="Chain 138") == 1
        assert play.total("ccip_messages_tracked", stage="retracted") == 1


@pytest.mark.parametrize("later", [False, True], ids=["in the same batch", "after a while"])
async def test_a_send_that_is_included_again_comes_back_once(tmp_path: Path, later: bool) -> None:
    async with monitored(tmp_path) as play:
        (message,) = await play.world.send(play.world.outbound)
        await play.world.devnet.anvils[HOME].mine(1)
        await play.stages({message.message_id: "sent"})
        first = await play.detail(message)
        ((raw, _), *_) = await play.newest(HOME, 2)
        if later:
            await play.reorg(HOME, 2)
            await play.stages({message.message_id: "retracted"})
            await play.stage.devnet.nodes[HOME].request("eth_sendRawTransaction", raw)
        else:
            await play.reorg(HOME, 2, [(raw, 1)])

        async def is_back() -> bool:
            return sorted(item.live for item in (await play.detail(message)).sightings) == [False, True]

        await play.stage.until(is_back, "the message in its new block")
        again = await play.detail(message)
        assert again.message.stage == "sent"
        assert again.message.sent_tx == first.message.sent_tx
        (old,) = first.sightings
        assert [item.block_hash == old.block_hash for item in again.sightings] == [
            not item.live for item in again.sightings
        ]
        await play.deliver(play.world.outbound)
        await play.stages({message.message_id: "executed"})
        assert await play.told(message) == [
            *("sent", "retracted", "sent", "finalized", "committed", "executed"),
        ]
        assert len(await play.stage.messages()) == 1
        for metric in (
            "ccip_messages_sent_total",
            "ccip_messages_received_total",
            "ccip_message_latency_seconds_count",
        ):
            stage = {"stage": "total"} if "latency" in metric else {}
            assert play.total(metric, **stage) == 1


async def test_the_very_block_comes_back(tmp_path: Path) -> None:
    """Orphaned and canonical again, with the same hash: the same facts live again, and none of them twice."""
    async with monitored(tmp_path) as play:
        sent: list[str] = []
        while len(sent) < 10:
            # anvil's clock stands still after a reorg; without this one the block would come back with an older time.
            await play.stage.devnet.anvils[HOME].mine(1)
            await play.reorg(HOME, 1)
            (message,) = await play.world.send(play.world.outbound)
            await play.stages({message.message_id: "sent"})
            sent.append(message.message_id)
            before = (await play.detail(message)).sightings
            block = await play.newest(HOME, 1)
            await play.reorg(HOME, 1)
            await play.stages({message.message_id: "retracted"})
            await play.reorg(HOME, 1, block)
            await play.stages({message.message_id: "sent"})
            head = await play.stage.devnet.nodes[HOME].request("eth_getBlockByNumber", "latest", False)
            if head["hash"] == before[0].block_hash:
                break  # where a second passed meanwhile, it is another block with the same content
        assert head["hash"] == before[0].block_hash
        assert (await play.detail(message)).sightings == before
        assert play.total("ccip_messages_sent_total") == len(sent)


async def test_reorgs_as_deep_as_what_is_not_final(tmp_path: Path) -> None:
    async with monitored(tmp_path) as play:
        survivors: list[str] = []
        retracted: list[str] = []
        for depth in range(1, DEPTH + 1):
            contents = [f"{depth} {number}".encode() for number in range(DEPTH)]
            sent = ids(await play.send(play.world.outbound, *contents))
            await play.stages(dict.fromkeys(sent, "sent"))
            await play.reorg(HOME, depth)
            survivors += sent[: DEPTH - depth]
            retracted += sent[DEPTH - depth :]
            await play.stages(dict.fromkeys(sent[DEPTH - depth :], "retracted"))
        found = await play.stage.messages()
        assert {key for key, view in found.items() if view.stage == "retracted"} == set(retracted)
        await play.deliver(play.world.outbound)
        await play.stages({**dict.fromkeys(survivors, "executed"), **dict.fromkeys(retracted, "retracted")})


# ---- the destination ------------------------------------------------------------------------------------------------


async def test_an_orphaned_execution_falls_back_and_goes_forward_again(tmp_path: Path) -> None:
    async with monitored(tmp_path) as play:
        (message,) = await play.world.send(play.world.outbound)
        await play.deliver(play.world.outbound)
        await play.stages({message.message_id: "executed"})
        await play.reorg(REMOTE, 1)
        await play.stages({message.message_id: "committed"})
        fallen = await play.detail(message)
        assert (fallen.message.executed_tx, fallen.message.attempts) == (None, 0)
        assert fallen.transitions[-1].step == "reorged"
        assert (fallen.transitions[-1].before, fallen.transitions[-1].after) == ("executed", "committed")
        assert [(item.kind, item.live) for item in fallen.sightings] == [
            *(("sent", True), ("committed", True), ("executed", False)),
        ]
        await play.world.execute(play.world.outbound)
        await play.stages({message.message_id: "executed"})
        assert await play.told(message) == [*("sent", "finalized", "committed", "executed", "reorged", "executed")]
        assert play.total("ccip_messages_received_total") == 1


async def test_an_orphaned_commit_takes_the_execution_with_it(tmp_path: Path) -> None:
    async with monitored(tmp_path) as play:
        (message,) = await play.world.send(play.world.outbound)
        await play.deliver(play.world.outbound)
        await play.stages({message.message_id: "executed"})
        await play.reorg(REMOTE, 2)
        await play.stages({message.message_id: "finalized"})
        assert (await play.told(message))[-1] == "reorged"
        await play.deliver(play.world.outbound)
        await play.stages({message.message_id: "executed"})
        assert await play.told(message) == [
            *("sent", "finalized", "committed", "executed", "reorged", "committed", "executed"),
        ]
        assert play.total("ccip_messages_received_total", state="success") == 1
        assert play.total("ccip_message_latency_seconds_count", stage="total") == 1


async def test_a_failure_that_is_orphaned_is_forgotten_and_may_be_a_success_next_time(tmp_path: Path) -> None:
    async with monitored(tmp_path) as play:
        await play.world.set_receiver_reverts(play.world.outbound, True)
        (message,) = await play.world.send(play.world.outbound)
        await play.deliver(play.world.outbound)
        await play.stages({message.message_id: "failed"})
        assert play.total("ccip_message_failures") == 1
        await play.reorg(REMOTE, 1)
        await play.stages({message.message_id: "committed"})
        view = (await play.detail(message)).message
        assert (view.reason, view.error, view.attempts) == ("", "", 0)
        assert play.total("ccip_message_failures") == 0
        await play.world.set_receiver_reverts(play.world.outbound, False)
        await play.world.execute(play.world.outbound)
        await play.stages({message.message_id: "executed"})
        view = (await play.detail(message)).message
        assert (view.reason, view.attempts, view.callback) == ("", 1, True)


# ---- while nobody looks ---------------------------------------------------------------------------------------------


async def test_reorgs_on_both_chains_while_the_monitor_is_down(tmp_path: Path) -> None:
    async with deep_scene(tmp_path) as stage:
        play = Act(stage)
        out = play.world.outbound
        async with stage.running(CCIP_MONITOR):
            (done,) = await play.world.send(out)
            await play.deliver(out)
            kept, lost = await play.send(out, b"kept", b"lost")
            await play.stages({done.message_id: "executed", kept.message_id: "sent", lost.message_id: "sent"})
        await play.reorg(HOME, 1)
        (instead,) = await play.send(out, b"instead")
        assert instead.sequence == lost.sequence
        await play.reorg(REMOTE, 1)
        async with stage.running(CCIP_MONITOR):
            await play.stages({
                done.message_id: "committed",
                kept.message_id: "sent",
                lost.message_id: "retracted",
                instead.message_id: "sent",
            })  # fmt: skip
            assert (await play.told(lost)) == ["sent", "retracted"]
            assert (await play.told(done))[-1] == "reorged"
        await play.reorg(HOME, 3)  # the block of the one, an empty one, the block of the other
        await play.deliver(out)
        async with stage.running(CCIP_MONITOR):
            await play.stages({
                done.message_id: "executed",
                kept.message_id: "retracted",
                lost.message_id: "retracted",
                instead.message_id: "retracted",
            })  # fmt: skip
            await stage.catches_up()
            ours = await stage.ledger()
        assert differences(ours, await stage.undisturbed(), totals=False) == []


@pytest.mark.parametrize("faulty", [False, True], ids=["well", "nodes that fail now and then"])
async def test_a_random_history(tmp_path: Path, faulty: bool) -> None:
    """Sends, commits, executions, failures, reorgs with and without re-inclusion, and restarts, in any order.

    A monitor that nodes keep in the dark may see a message again before it has missed it. So at the end there is one of
    each at a pace that it must follow.
    """
    chance, luck = random.Random(20_250), random.Random(20_251)  # apart: how often nodes are asked must change no step
    async with deep_scene(tmp_path) as stage:
        play = Act(stage)
        for proxy in stage.proxies if faulty else ():
            proxy.choose = lambda: luck.choice(KINDS) if luck.random() < FAULTY else Faults()
        for _ in range(6):
            async with stage.running(CCIP_MONITOR):
                for _ in range(10):
                    await anything(play, chance)
                    if chance.random() < 0.5:
                        await stage.catches_up()
            for _ in range(4):
                await anything(play, chance)
        async with stage.running(CCIP_MONITOR):
            for lane in (play.world.outbound, play.world.inbound):
                await play.world.set_receiver_reverts(lane, False)
                await play.deliver(lane)
            await one_of_each(play)
            await play.final()
            await stage.catches_up()
            ours = await stage.ledger()
            retractions = {event.key for event in await play.events("message.retracted")}
            fallbacks = {event.key for event in await play.events("message.reorged")}
        theirs = await stage.undisturbed()
        assert differences(ours, theirs, totals=False) == []
        assert theirs.stages().keys() <= {"executed", "failed"}
        assert theirs.messages.keys() == await sent_messages(stage.devnet)
        assert len(theirs.messages) >= 20, "hardly anything happened: this proves nothing"
        retracted = {key for key, view in ours.messages.items() if view.stage == MessageStage.RETRACTED}
        assert retracted
        assert retracted <= retractions
        assert retractions - retracted, "none came back"
        assert fallbacks


async def one_of_each(play: Act) -> None:
    """One message falls back and goes forward again, one leaves the chain and comes back, one stays away."""
    lane = play.world.outbound
    (fallen,) = await play.send(lane, b"falls back")
    await play.deliver(lane)
    await play.stages({fallen.message_id: "executed"})
    await play.reorg(REMOTE, 1)
    await play.stages({fallen.message_id: "committed"})
    await play.deliver(lane)
    await play.stages({fallen.message_id: "executed"})

    back, away = await play.send(lane, b"comes back", b"stays away")
    await play.stages({back.message_id: "sent", away.message_id: "sent"})
    ((raw, _), *_) = await play.newest(HOME, 2)
    await play.reorg(HOME, 2)
    await play.stages({back.message_id: "retracted", away.message_id: "retracted"})
    await play.stage.devnet.nodes[HOME].request("eth_sendRawTransaction", raw)
    await play.stages({back.message_id: "sent", away.message_id: "retracted"})
    await play.deliver(lane)
    await play.stages({back.message_id: "executed"})


async def anything(play: Act, chance: random.Random) -> None:
    """One step of a random history. The oracle network may stumble over what a reorg took from under it."""
    world = play.world
    lane = chance.choice((world.outbound, world.inbound))
    chain = chance.choice((HOME, REMOTE))
    try:
        match chance.choice(
            ("send", "send", "send", "mine", "commit", "execute", "deliver", "reorg", "reorg", "break")
        ):
            case "send":
                data = chance.choice((b"same", chance.randbytes(8)))
                await world.send(
                    lane, count=chance.randint(1, 3), data=data, gas_limit=chance.choice((200_000, 300_000))
                )
            case "mine":
                await play.stage.devnet.anvils[chain].mine(chance.randint(1, DEPTH))
            case "commit":
                await world.commit(lane)
            case "execute":
                await world.execute(lane)
            case "deliver":
                await play.deliver(lane)
            case "break":
                await world.set_receiver_reverts(lane, chance.random() < 0.5)
            case "reorg":
                await random_reorg(play, chance, chain)
    except SeamarkError as error:
        print(f"a step failed: {error}")  # noqa: T201 - shown with a failing test


async def random_reorg(play: Act, chance: random.Random, chain: int) -> None:
    """Up to the depth that is not final; half of them include the same transactions again, some blocks later."""
    depth = chance.randint(1, DEPTH)
    again = await play.newest(chain, depth) if chance.random() < 0.5 else []
    shift = chance.randint(0, 2)
    await play.reorg(chain, depth, [(raw, min(place + shift, depth - 1)) for raw, place in again])


# ---- the publisher --------------------------------------------------------------------------------------------------


def stop_the_market(stage: Stage) -> None:
    for venue in VENUES:
        stage.devnet.venues.set_fault(venue, VenueFault(VenueFaultKind.DOWN))


async def publications(stage: Stage, *states: str) -> int:
    """How many are in these states (none given: in others than an end)."""
    assert stage.app is not None
    wanted = states or ("broadcast", "mined")
    marks = ", ".join(f"'{state}'" for state in wanted)
    query = f"SELECT count(*) FROM oracle_publication WHERE state IN ({marks})"
    return int(await stage.app.database.read(lambda c: c.exec_driver_sql(query).scalar_one()))


async def more_rounds(stage: Stage, number: int) -> None:
    """Until so many more are on the chain."""
    before = len(await submitted_rounds(stage.devnet))

    async def have_come() -> bool:
        return len(await submitted_rounds(stage.devnet)) >= before + number

    await stage.until(have_come, f"{number} more rounds")


async def test_an_orphaned_round_is_sent_again_with_the_same_bytes(tmp_path: Path) -> None:
    calm = {"deviation": "99%", "heartbeat": "1h", "poll_interval": "250ms"}
    async with deep_scene(tmp_path, feed=calm) as stage:
        play = Act(stage)
        async with stage.running(ORACLE, CCIP_MONITOR) as app:

            async def published() -> bool:
                return await publications(stage, "mined") == 1

            await stage.until(published, "the first round")
            first = await play.newest(HOME, 1)
            (message_id,) = await sent_messages(stage.devnet)
            await play.stages({message_id: "sent"})
            await play.reorg(HOME, 1)
            assert not await submitted_rounds(stage.devnet)

            async def is_back() -> bool:
                return bool(await submitted_rounds(stage.devnet))

            await stage.until(is_back, "the round on the chain again")
            assert await play.newest(HOME, 1) == first, "the same bytes"

            (again,) = await sent_messages(stage.devnet)
            # The message tells its round's block time: in a block of another second it is another message.
            await play.stages({message_id: "retracted", again: "sent"} if again != message_id else {again: "sent"})
            await play.final(HOME)

            async def is_final() -> bool:
                return await publications(stage, "final") == 1

            await stage.until(is_final, "finality")
            assert await check_publications(stage.devnet, app.database) == 1
            assert play.total("tx_orphaned_total") == 1
            assert play.total("oracle_updates_sent_total") == 1


async def test_a_busy_publisher_through_many_reorgs_and_restarts(tmp_path: Path) -> None:
    """Prices move, the oracle network works, blocks come each second, and each chain forgets its newest ones again."""
    chance = random.Random(31)
    busy = {"deviation": "0.01%", "heartbeat": "10s", "poll_interval": "250ms"}
    async with scene(tmp_path, block_time=1.0, feed=busy) as stage:
        play = Act(stage)
        await play.final()  # what was deployed stays
        for _ in range(2):
            async with stage.running(ORACLE, CCIP_MONITOR):
                for _ in range(2):
                    await more_rounds(stage, 3)
                    await play.reorg(HOME, chance.randint(1, 2))
                    await play.reorg(REMOTE, chance.randint(1, 2))
                await more_rounds(stage, 1)
            await play.reorg(HOME, 2)
        stop_the_market(stage)
        async with stage.running(ORACLE, CCIP_MONITOR) as app:

            async def settled() -> bool:
                sent = await sent_messages(stage.devnet)
                living = {key: view for key, view in (await stage.messages()).items() if not view.retracted}
                done = {key for key, view in living.items() if view.stage == MessageStage.EXECUTED}
                return done == sent == living.keys() and not await publications(stage)

            await stage.until(settled, "the end of what was begun")
            await stage.catches_up()
            rounds = await check_publications(stage.devnet, app.database)
            assert rounds >= 6, "hardly anything was published: this proves nothing"
            ours = await stage.ledger()
        assert differences(ours, await stage.undisturbed(), totals=False) == []
