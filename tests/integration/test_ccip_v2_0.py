"""The monitor on two chains with the published CCIP 2.0 contracts: stages without a commit, fees by component, attempts
of strangers, finality that is not waited for, curses, and a migration from 1.6."""

# ruff: noqa: F811 - tests take the imported fixture as an argument

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from seamark.app.verification import indexers
from seamark.core.ids import Address
from seamark.devnet.accounts import Role, account
from seamark.devnet.artifacts import ccip_artifact
from seamark.devnet.ccip.model import ExecutionState
from seamark.devnet.node_client import CallFailed, Tx, Wallet
from seamark.evm.signers import RawKeySigner
from seamark.messages.judgement import LaneProfile, is_late
from seamark.messages.judgement.limits import lane_profile
from seamark.messages.judgement.model import Learned
from seamark.messages.judgement.settings import JudgeSettings, LaneRule
from seamark.messages.model import LaneKey, NoticeKind
from seamark.messages.protocol import Counter
from seamark.messages.protocols.ccip.v2_0.watching import VerificationWatch
from seamark.messages.store import MessageView, list_lanes, list_notices, open_curses, read_contracts
from seamark.runtime.events import Signal
from seamark.runtime.health import Status
from seamark.runtime.http import make_session
from tests.support.ccip_v2_0 import (  # noqa: F401 - bed is a fixture
    NO_EXECUTION,
    Bed,
    SentMessage,
    Side,
    bed,
    extra_args_v3,
    open_bed,
)
from tests.support.clock import FakeClock
from tests.support.monitor import RunningMonitor, Watched, start_monitor
from tests.support.world import World, world  # noqa: F401 - a fixture

pytestmark = pytest.mark.integration

NOBODY = Address("0x000000000000000000000000000000000000dead")


def watched(*sides: Side) -> list[Watched]:
    return [Watched(side.chain_id, side.selector, side.name, side.router, side.url) for side in sides]


@asynccontextmanager
async def monitor(bed: Bed, folder: Path, *sides: Side) -> AsyncIterator[RunningMonitor]:
    async with start_monitor(folder, watched(*(sides or (bed.home, bed.remote)))) as running:
        yield running


async def told(running: RunningMonitor, message_id: str) -> dict[str, Any]:
    """What the send says, as the ledger keeps it; the two chains are read independently of each other."""
    found: list[dict[str, Any]] = []

    async def there() -> bool:
        detail = await running.message(message_id)
        found.extend(item.body for item in detail.sightings if item.kind == "sent")
        return bool(found)

    await running.until(there)
    return found[0]


async def test_a_message_passes_its_stages_without_a_commit(bed: Bed, tmp_path: Path) -> None:
    async with monitor(bed, tmp_path) as running:
        (message,) = await bed.send(bed.home, bed.remote, data=b"four")
        name = message.message_id
        await running.stages({name: "sent"})
        await bed.finalize(bed.home)
        await running.stages({name: "finalized"})
        assert await bed.execute(message) is ExecutionState.SUCCESS
        await running.stages({name: "executed"})

        detail = await running.message(name)
        view = detail.message
        assert (view.version, view.sequence, view.size, view.callback, view.manual) == ("2.0.0", 1, 4, True, None)
        assert (view.source, view.destination) == (str(bed.home.selector), str(bed.remote.selector))
        assert view.channel == bed.home.on_ramp
        assert view.receiver == bed.remote.receiver
        assert view.committed_time is None
        assert await running.topics(name) == ["message.sent", "message.finalized", "message.executed"]
        (lane,) = await running.database.read(list_lanes)
        assert (lane.total, lane.last_sent, lane.last_executed) == (1, 1, 1)
        assert running.value("ccip_messages_received_total", state="success") == 1
        assert running.value("ccip_message_latency_seconds_count", stage="total") == 1
        for service in running.services:
            assert (await service.health()).status is Status.OK


async def test_the_ledger_holds_fees_by_component_and_what_is_waited_for(bed: Bed, tmp_path: Path) -> None:
    async with monitor(bed, tmp_path) as running:
        (message,) = await bed.send(bed.home, bed.remote, in_link=True, tokens=[(bed.home.token, 7)])
        await bed.execute(message)
        await running.stages({message.message_id: "executed"})
        body = await told(running, message.message_id)
        fees = {part["part"]: int(part["amount"]) for part in body["details"]["fees"]}
        assert list(fees) == ["ccv", "pool", "executor", "network"]
        assert body["fee_amount"] == body["fee_juels"] == str(sum(fees.values()))
        assert body["details"]["tokens"][0]["amount"] == "7"
        assert body["details"]["finality"] == "finalized"
        assert running.value("ccip_fees_total", fee_token="LINK") > 0
        assert running.value("ccip_fees_juels_total") > 0


async def test_a_strangers_bad_proof_does_not_end_a_message(bed: Bed, tmp_path: Path) -> None:
    async with monitor(bed, tmp_path) as running:
        (message,) = await bed.send(bed.home, bed.remote)
        name = message.message_id
        assert await bed.execute_with_bogus_proof(message) is ExecutionState.FAILURE
        await running.stages({name: "failed"})
        (view,) = await running.messages()
        assert (view.reason, view.attempts, view.manual) == ("verification_failed", 1, None)
        assert view.error.startswith("the proof was refused")
        assert (await running.message(name)).sightings[-1].body["details"]["provisional"] is True
        with pytest.raises(CallFailed, match="NoStateProgressMade"):
            await bed.execute_with_bogus_proof(message)

        assert await bed.execute(message) is ExecutionState.SUCCESS
        await running.stages({name: "recovered"})
        (view,) = await running.messages()
        assert (view.reason, view.attempts, view.callback) == ("", 2, True)
        with pytest.raises(CallFailed, match="SkippedAlreadyExecutedMessage"):
            await bed.execute(message)


async def test_a_receivers_failure_is_explained_and_repaired(bed: Bed, tmp_path: Path) -> None:
    async with monitor(bed, tmp_path) as running:
        await bed.set_receiver_reverts(bed.remote, True)
        (message,) = await bed.send(bed.home, bed.remote)
        await bed.execute(message)
        await running.stages({message.message_id: "failed"})
        (view,) = await running.messages()
        assert view.reason == "receiver_reverted"
        assert running.value("ccip_message_failures", reason="receiver_reverted") == 1
        await bed.set_receiver_reverts(bed.remote, False)
        await bed.execute(message)
        await running.stages({message.message_id: "recovered"})


async def test_a_fast_message_is_delivered_before_its_source_is_final(bed: Bed, tmp_path: Path) -> None:
    receiver = await bed.deploy_receiver_v2(bed.remote, allowed_finality="00010001")
    async with monitor(bed, tmp_path) as running:
        (message,) = await bed.send(bed.home, bed.remote, receiver=receiver, extra=extra_args_v3(finality="00000003"))
        name = message.message_id
        await running.stages({name: "sent"})
        assert await bed.execute(message) is ExecutionState.SUCCESS
        await running.stages({name: "executed"})
        (view,) = await running.messages()
        assert not view.finalized
        await bed.finalize(bed.home)

        async def final() -> bool:
            return (await running.messages())[0].finalized

        await running.until(final)
        assert await running.topics(name) == ["message.sent", "message.executed", "message.finalized"]
        details = (await told(running, name))["details"]
        assert (details["finality"], details["finality_blocks"]) == ("blocks", 3)


async def test_delivered_and_then_reorged_away_and_its_number_given_to_another(bed: Bed, tmp_path: Path) -> None:
    receiver = await bed.deploy_receiver_v2(bed.remote, allowed_finality="00000001")
    assert bed.home.anvil is not None
    async with monitor(bed, tmp_path) as running:
        fast = extra_args_v3(finality="00000001")
        (gone,) = await bed.send(bed.home, bed.remote, receiver=receiver, extra=fast, data=b"gone")
        await running.stages({gone.message_id: "sent"})
        await bed.execute(gone)
        await running.stages({gone.message_id: "executed"})
        await bed.home.anvil.request("anvil_reorg", 1, [])

        async def retracted() -> bool:
            return (await running.messages())[0].retracted

        await running.until(retracted)
        (view,) = await running.messages()
        assert (view.stage, view.retracted, view.sent_tx) == ("executed", True, None)

        (other,) = await bed.send(bed.home, bed.remote, receiver=receiver, extra=fast, data=b"other")
        assert other.fields.number == gone.fields.number
        assert other.message_id != gone.message_id
        await bed.execute(other)
        await running.stages({gone.message_id: "executed", other.message_id: "executed"})
        views = {item.id: item for item in await running.messages()}
        assert not views[other.message_id].retracted
        assert not any(item.conflicting for item in views.values())


async def test_nobody_executes_a_message_for_the_no_execution_address(bed: Bed, tmp_path: Path) -> None:
    async with monitor(bed, tmp_path) as running:
        (message,) = await bed.send(bed.home, bed.remote, extra=extra_args_v3(executor=NO_EXECUTION))
        await bed.finalize(bed.home)
        await running.stages({message.message_id: "finalized"})
        body = await told(running, message.message_id)
        assert body["details"]["automatic"] is False
        (view,) = await running.messages()
        assert view.by_hand
        assert not is_late(view, await profile_of_lane(running, view), view.time + 10**9)
        await bed.execute(message, wallet=bed.stranger["remote"])
        await running.stages({message.message_id: "executed"})


async def profile_of_lane(running: RunningMonitor, view: MessageView) -> LaneProfile:
    lane = LaneKey(view.protocol, view.source, view.channel, view.destination)
    settings = JudgeSettings()
    return lane_profile(lane, running.protocol.profile(lane), Learned(), LaneRule(), settings)


@asynccontextmanager
async def indexer(answers: dict[str, bytes]) -> AsyncIterator[str]:
    """The indexer's `GET /v1/verifierresults/{message id}`: 200 with results, 404 for what it does not know."""

    async def answer(request: web.Request) -> web.Response:
        body = answers.get(request.match_info["name"])
        if body is None:
            return web.json_response({"status": 404, "message": "MessageID not found"}, status=404)
        return web.Response(body=body, content_type="application/json")

    application = web.Application()
    application.router.add_get("/v1/verifierresults/{name}", answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def indexed(bed: Bed, message: SentMessage, *, signatures: int) -> bytes:
    (ccv,), (result,) = await bed.verify(message, signatures=signatures)
    said = {"message_id": message.message_id, "verifier_dest_address": ccv, "ccv_data": "0x" + result.hex()}
    stamps = {"verifierName": "committee", "attestationTimestamp": "2026-01-01T00:00:00Z"}
    results = [{"verifierResult": said, "metadata": stamps}]
    return msgspec.json.encode({"success": True, "results": results, "messageID": message.message_id})


async def test_verified_off_chain_is_what_the_destinations_contracts_accept(bed: Bed, tmp_path: Path) -> None:
    answers: dict[str, bytes] = {}
    async with monitor(bed, tmp_path) as running, indexer(answers) as url, make_session() as session:
        (message,) = await bed.send(bed.home, bed.remote)
        name = message.message_id
        await bed.finalize(bed.home)
        await running.stages({name: "finalized"})
        clock = FakeClock()
        watch = VerificationWatch(
            running.protocol.names,
            chains=running.readers,
            indexers=indexers([url], session),
            every_s=10,
            follow=lambda _: None,
            database=running.database,
            registry=running.registry,
            signal=Signal(),
            clock=clock,
        )

        async def look() -> int:
            clock.advance(10**6)
            return len(await watch.look())

        assert await look() == 0, "the indexer does not know it"
        answers[name] = await indexed(bed, message, signatures=1)
        assert await look() == 0, "one signature where two are needed"
        answers[name] = await indexed(bed, message, signatures=2)
        assert await look() == 1
        detail = await running.message(name)
        assert (detail.message.stage, detail.message.verified) == ("committed", True)
        assert detail.message.committed_time == 1767225600
        assert detail.verification is not None
        assert detail.verification.details["needed"] == 1
        assert detail.verification.details["verifiers"][0]["ccv"] == bed.remote.resolver

        assert await bed.execute(message) is ExecutionState.SUCCESS
        await running.stages({name: "executed"})
        steps = ["message.sent", "message.finalized", "message.verified", "message.executed"]
        assert await running.topics(name) == steps
        assert running.value("ccip_indexer_requests_total", outcome="found") == 2


async def test_everything_is_found_from_the_router_and_new_verifiers_are_followed(bed: Bed, tmp_path: Path) -> None:
    async with monitor(bed, tmp_path) as running:

        async def roles() -> dict[str, str]:
            found = await running.database.read(lambda c: read_contracts(c, "ccip", bed.remote.chain_id))
            return {item.address: item.role for item in found}

        async def complete() -> bool:
            return bed.remote.verifier in await roles()

        await running.until(complete)
        at = bed.remote.at
        names = ("router", "arm_proxy", "rmn", "on_ramp", "off_ramp", "quoter", "fee_executor", "resolver", "verifier")
        found = await roles()
        assert [found[at[name]] for name in names] == [
            *("router", "armproxy", "rmn", "onramp", "offramp", "feequoter", "executor", "resolver", "verifier")
        ]

        verifier = ccip_artifact("v2_0_0", "committee_verifier")
        tag = bytes.fromhex("0a0b0c0d")
        admin = bed.remote.admin
        creation = verifier.creation((admin.address, NOBODY), [], at["arm_proxy"], tag)
        (receipt,) = await admin.run([Tx(None, creation, gas=8_000_000)])
        new = receipt.contract_address
        assert new is not None
        resolver = ccip_artifact("v2_0_0", "versioned_verifier_resolver")
        await bed.call(bed.remote, resolver, "resolver", "applyInboundImplementationUpdates", [(tag, new)])

        async def followed() -> bool:
            return (await roles()).get(new) == "verifier"

        await running.until(followed)
        quorum = (bed.home.selector, 1, [NOBODY])
        data = verifier.abi.encode_call("applySignatureConfigs", [], [quorum])
        await admin.run([Tx(new, data)], abi=verifier.abi)

        async def noticed() -> bool:
            notices = await running.database.read(
                lambda c: list_notices(c, protocol="ccip", kinds=(NoticeKind.ROLE_CHANGED,))
            )
            return any(item.contract == new and item.details["event"] == "SignatureConfigSet" for item in notices)

        await running.until(noticed)


async def test_a_curse_is_open_until_it_is_lifted(bed: Bed, tmp_path: Path) -> None:
    async with monitor(bed, tmp_path) as running:
        (message,) = await bed.send(bed.home, bed.remote)
        await running.stages({message.message_id: "sent"})
        await bed.curse(bed.remote, bed.home.selector)
        await bed.curse(bed.home)

        async def open_ones(expected: set[tuple[int, str]]) -> None:
            async def reached() -> bool:
                found = await running.database.read(lambda c: open_curses(c, "ccip"))
                return set(found) == expected

            await running.until(reached)

        await open_ones({(bed.remote.chain_id, str(bed.home.selector)), (bed.home.chain_id, "*")})
        with pytest.raises(CallFailed, match="CursedByRMN"):
            await bed.execute(message)
        await bed.uncurse(bed.remote, bed.home.selector)
        await bed.uncurse(bed.home)
        await open_ones(set())
        await bed.execute(message)
        await running.stages({message.message_id: "executed"})


async def test_an_off_ramp_with_two_on_ramps_of_a_source(bed: Bed, tmp_path: Path) -> None:
    """The OnRamp is replaced while a message of the old one is on its way: both are joined to their sends."""
    async with monitor(bed, tmp_path) as running:
        (old,) = await bed.send(bed.home, bed.remote)
        await running.stages({old.message_id: "sent"})
        before = bed.home.on_ramp
        await bed.replace_on_ramp(bed.home, bed.remote)
        (new,) = await bed.send(bed.home, bed.remote)
        assert bed.home.on_ramp != before
        assert old.fields.number == new.fields.number == 1
        await running.stages({new.message_id: "sent"})
        await bed.execute(old)
        await bed.execute(new)
        await running.stages({old.message_id: "executed", new.message_id: "executed"})
        channels = {item.id: item.channel for item in await running.messages()}
        assert channels == {old.message_id: before, new.message_id: bed.home.on_ramp}
        assert not any(item.conflicting for item in await running.messages())


async def test_how_far_the_on_ramp_is_by_its_own_account(bed: Bed, tmp_path: Path) -> None:
    async with monitor(bed, tmp_path) as running:
        sent = await bed.send(bed.home, bed.remote, count=3)
        await bed.finalize(bed.home)
        await running.stages({item.message_id: "finalized" for item in sent})
        contracts = await running.database.read(lambda c: read_contracts(c, "ccip", bed.home.chain_id))
        counters = await running.protocol.counters(running.readers[bed.home.chain_id], contracts)
        lane = LaneKey("ccip", str(bed.home.selector), bed.home.on_ramp, str(bed.remote.selector))
        assert counters == [Counter(lane, "sent", 3)]


async def test_a_restart_in_the_middle_goes_on_where_it_was(bed: Bed, tmp_path: Path) -> None:
    async with monitor(bed, tmp_path) as running:
        (first,) = await bed.send(bed.home, bed.remote)
        await running.stages({first.message_id: "sent"})
    (second,) = await bed.send(bed.home, bed.remote, data=b"while away")
    await bed.execute(first)
    async with monitor(bed, tmp_path) as running:
        await running.stages({first.message_id: "executed", second.message_id: "sent"})
        assert running.value("ccip_messages_sent_total") == 2


async def test_the_destination_alone_says_what_it_cannot_know(bed: Bed, tmp_path: Path) -> None:
    async with monitor(bed, tmp_path, bed.remote) as running:
        (message,) = await bed.send(bed.home, bed.remote)
        await bed.execute(message)
        await running.stages({message.message_id: "executed"})
        (view,) = await running.messages()
        assert (view.source_watched, view.sent_time, view.channel) == (False, None, bed.home.on_ramp)


@pytest.mark.timeout(60)
async def test_a_migration_from_1_6_keeps_both_lanes(world: World, tmp_path: Path) -> None:
    """On the same routers: a 1.6 message on its way, the router moves to OnRamp 2.0, both messages arrive."""
    sides = (
        _beside(world, "home", Role.HOME_DEPLOYER),
        _beside(world, "remote", Role.REMOTE_DEPLOYER),
    )
    async with start_monitor(tmp_path, watched(*sides)) as running:
        (old,) = await world.send(world.outbound)
        await running.stages({old.message_id: "sent"})
        bed = await open_bed(sides, roles=(Role.HOME_DEPLOYER, Role.REMOTE_DEPLOYER))
        (new,) = await bed.send(bed.home, bed.remote)
        await running.stages({old.message_id: "finalized", new.message_id: "sent"})
        await world.deliver(world.outbound)
        await bed.execute(new)
        await running.stages({old.message_id: "executed", new.message_id: "executed"})
        (back,) = await bed.send(bed.remote, bed.home)
        await bed.execute(back)
        await running.stages({back.message_id: "executed"})

        views = {item.id: item for item in await running.messages()}
        assert {views[old.message_id].version[:3], views[new.message_id].version[:3]} == {"1.6", "2.0"}
        assert views[old.message_id].committed_time is not None
        assert views[new.message_id].committed_time is None
        assert views[old.message_id].sequence == views[new.message_id].sequence == 1
        lanes = await running.database.read(list_lanes)
        outbound = [lane for lane in lanes if lane.source == str(world.home.selector)]
        assert {lane.channel for lane in outbound} == {world.home.onramp, bed.home.on_ramp}
        for service in running.services:
            assert (await service.health()).status is Status.OK


def _beside(world: World, name: str, role: Role) -> Side:
    """A side of a bed that uses what the 1.6 contracts stand on."""
    home = name == "home"
    chain, node = (world.home, world.home_node) if home else (world.remote, world.remote_node)
    at = {
        "router": chain.router,
        "arm_proxy": chain.arm_proxy,
        "link": chain.link,
        "wrapped_native": chain.wrapped_native,
        "registry": chain.token_admin_registry,
    }
    admin = Wallet(node, RawKeySigner.from_hex(account(role).private_key))
    return Side(name, chain.selector, node, admin, world.devnet.anvils[0 if home else 1], at)
