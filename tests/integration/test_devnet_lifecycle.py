"""Starting, stopping, killing and resuming a devnet."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from pathlib import Path

import aiohttp
import pytest

from seamark.core.errors import SettingsError, StopError
from seamark.core.ids import ChainId
from seamark.devnet.anvil import Anvil, AnvilOptions
from seamark.devnet.ccip.faults import FaultKind
from seamark.devnet.ccip.model import ExecutionState
from seamark.devnet.devnet import Devnet
from seamark.devnet.settings import FeedSettings, MessageFaultSettings
from tests.support.world import World, test_settings

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]


def alive(pid: int) -> bool:
    """Whether the process runs; one that ended and waits for its parent counts as gone."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def listening_sockets() -> list[str]:
    """As the kernel writes them: "0100007F:1F90" is port 8080 on loopback."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [words[1] for words in lines if words[3] == "0A"]


async def gone(pids, within=20.0):
    async with asyncio.timeout(within):
        while any(alive(pid) for pid in pids):  # noqa: ASYNC110 - processes of others set no event
            await asyncio.sleep(0.02)


async def history(devnet: Devnet):
    """Everything that a reader can know of the past: per chain the hashes and times of all blocks, and all logs."""
    told = []
    for node in devnet.nodes:
        head = await node.head()
        calls = [("eth_getBlockByNumber", (hex(number), False)) for number in range(head + 1)]
        blocks = [(block["hash"], block["parentHash"], block["timestamp"]) for block in await node.batch(calls)]
        logs = await node.request("eth_getLogs", {"fromBlock": "0x0", "toBlock": hex(head)})
        hashes = sorted({entry["transactionHash"] for entry in logs})
        receipts = await node.batch([("eth_getTransactionReceipt", (tx,)) for tx in hashes])
        told.append((blocks, logs, receipts))
    return told


class Steps:
    """Remembers what the progress said."""

    def __init__(self):
        self.texts = []

    def __call__(self, step):
        assert step.seconds >= 0
        self.texts.append(step.text)

    def said(self, part):
        return any(part in text for text in self.texts)


# ---- a first start ---------------------------------------------------------------------------------------------------


async def test_a_first_start_says_what_it_does_and_shows_what_there_is(tmp_path):
    steps = Steps()
    async with Devnet(test_settings(tmp_path / "data"), progress=steps) as devnet:
        assert not devnet.resumed
        assert steps.texts == [
            "tools found",
            "chains 138 and 31337 started",
            "CCIP 1.6 deployed on both, lanes open both ways",
            "3 feeds deployed on both",
            "venues open",
        ]
        shown = json.loads(json.dumps(devnet.summary()))
        assert shown["chains"]["home"]["selector"] == "13801380138013801380"
        assert shown["chains"]["home"]["rpc"] == devnet.home_url
        assert [feed["symbol"] for feed in shown["feeds"]] == ["BTC/USD", "ETH/USD", "LINK/USD"]
        assert shown["accounts"]["publisher"]["address"] == "0x3c44cdddb6a900fa2b585dd299e03d12fa4293bc"
        async with aiohttp.ClientSession() as http, http.get(devnet.venues.ticker_url("kraken", "BTC/USD")) as answer:
            assert (await answer.json())["error"] == []
        assert sorted(path.name for path in (tmp_path / "data").iterdir()) == [
            "deployment.json",
            "home.log",
            "lock",
            "remote.log",
        ]


async def test_everything_listens_on_loopback_alone(tmp_path):
    async with Devnet(test_settings(tmp_path), persist=False) as devnet:
        ports = {devnet.anvils[0].port, devnet.anvils[1].port, devnet.venues.port}
        listening = set()
        for address in listening_sockets():
            host, port = address.split(":")
            if int(port, 16) in ports:
                listening.add((host, int(port, 16)))
        assert listening == {("0100007F", port) for port in ports}


async def test_blocks_come_by_the_clock_only_after_the_deployment(tmp_path):
    async with Devnet(test_settings(tmp_path, block_time=1.0), persist=False) as devnet:
        for anvil in devnet.anvils:
            assert await anvil.request("anvil_getAutomine") is False
            assert await anvil.request("anvil_getIntervalMining") == 1


async def test_the_gas_is_free_at_home_and_stays_so(tmp_path):
    async with Devnet(test_settings(tmp_path), run_network=False, persist=False) as devnet:
        world = World(devnet)
        await world.send(world.outbound, count=20)
        block = await world.home_node.request("eth_getBlockByNumber", "latest", False)
        assert int(block["baseFeePerGas"], 16) == 0
        block = await world.remote_node.request("eth_getBlockByNumber", "latest", False)
        assert int(block["baseFeePerGas"], 16) > 0


async def test_faults_from_the_settings_are_in_force(tmp_path):
    faults = [MessageFaultSettings(kind=FaultKind.FAIL, direction="home-to-remote", every=2)]
    async with Devnet(test_settings(tmp_path, message_faults=faults), run_network=False, persist=False) as devnet:
        world = World(devnet)
        await world.send(world.outbound, count=4)
        await world.send(world.inbound, count=2)
        outbound = [execution.state for execution in await world.deliver(world.outbound)]
        inbound = [execution.state for execution in await world.deliver(world.inbound)]
    good, bad = ExecutionState.SUCCESS, ExecutionState.FAILURE
    assert (outbound, inbound) == ([good, bad, good, bad], [good, good])


# ---- stop and resume -------------------------------------------------------------------------------------------------


async def test_a_second_start_resumes_the_very_same_chains(tmp_path):
    settings = test_settings(tmp_path)
    async with Devnet(settings, run_network=False) as first:
        world = World(first)
        await world.submit(64_000 * 10**8)
        await world.deliver(world.outbound)
        (waiting,) = await world.send(world.inbound)
        before, deployment = await history(first), first.deployment
        pids = [anvil.pid for anvil in first.anvils]
    await gone(pids, within=1)
    steps = Steps()
    async with Devnet(settings, run_network=False, progress=steps) as second:
        assert second.resumed
        assert second.deployment == deployment
        assert await history(second) == before
        assert steps.said("chains 138 and 31337 resumed at blocks")
        world = World(second)
        assert (await world.remote_answer())[1] == 64_000 * 10**8
        assert [execution.message for execution in await world.deliver(world.inbound)] == [waiting]
        await world.submit(65_000 * 10**8)
        assert len(await world.deliver(world.outbound)) == 1
        now = await history(second)
        for old, new in zip(before, now, strict=True):
            assert new[0][: len(old[0])] == old[0]
            assert new[0][len(old[0])][1] == old[0][-1][0], "the next block follows the last one"
            times = [int(block[2], 16) for block in new[0]]
            assert times == sorted(times)


async def test_other_settings_start_afresh(tmp_path):
    async with Devnet(test_settings(tmp_path)) as first:
        assert len(first.deployment.feeds) == 3
    steps = Steps()
    changed = test_settings(tmp_path, feeds=[FeedSettings(symbol="BTC/USD")])
    async with Devnet(changed, progress=steps) as second:
        assert not second.resumed
        assert len(second.deployment.feeds) == 1
    assert steps.said("settings differ from the saved chains': starting afresh")


async def test_a_manifest_without_its_chains_starts_afresh(tmp_path):
    async with Devnet(test_settings(tmp_path)):
        pass
    (tmp_path / "home.state.json").unlink()
    steps = Steps()
    async with Devnet(test_settings(tmp_path), progress=steps) as second:
        assert not second.resumed
    assert steps.said("no saved chains: starting afresh")


async def test_a_chain_that_is_not_the_manifests_is_not_trusted(tmp_path):
    async with Devnet(test_settings(tmp_path)) as first:
        old = first.deployment
    other = tmp_path / "other"
    await asyncio.sleep(1.1)  # chains that begin in the same second are the same chains
    async with Devnet(test_settings(other)):
        pass
    (other / "home.state.json").rename(tmp_path / "home.state.json")
    steps = Steps()
    async with Devnet(test_settings(tmp_path), progress=steps) as second:
        assert not second.resumed
        assert second.deployment.home.anchor_hash != old.home.anchor_hash
    assert steps.said("saved chains are not the ones in deployment.json: starting afresh")


async def test_a_damaged_state_starts_afresh(tmp_path):
    async with Devnet(test_settings(tmp_path)):
        pass
    state = tmp_path / "remote.state.json"
    state.write_bytes(state.read_bytes()[:1000])
    steps = Steps()
    async with Devnet(test_settings(tmp_path), progress=steps, run_network=False) as second:
        assert not second.resumed
        world = World(second)
        await world.send(world.outbound)
        assert len(await world.deliver(world.outbound)) == 1
    assert steps.said("saved chains cannot be loaded")


async def test_a_taken_port_is_an_error_and_never_a_reason_to_start_afresh(tmp_path):
    settings = test_settings(tmp_path)
    async with Devnet(settings) as first:
        manifest = (tmp_path / "deployment.json").read_bytes()
        taken = first.anvils[0].port
        other = test_settings(tmp_path / "other", home=settings.home.model_copy(update={"port": taken}))
        with pytest.raises(SettingsError, match=rf"devnet\.home\.port: port {taken} is taken"):
            await Devnet(other).__aenter__()
    busy = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    port = busy.sockets[0].getsockname()[1]
    resumed = settings.model_copy(update={"home": settings.home.model_copy(update={"port": port})})
    async with busy:
        with pytest.raises(SettingsError, match=rf"port {port} is taken"):
            await Devnet(resumed).__aenter__()
    assert (tmp_path / "deployment.json").read_bytes() == manifest


async def test_a_folder_serves_one_devnet_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr("seamark.devnet.data_folder.WAIT_S", 0.2)
    async with Devnet(test_settings(tmp_path)) as first:
        with pytest.raises(StopError, match=r"still hold|another devnet"):
            await Devnet(test_settings(tmp_path)).__aenter__()
        assert await first.nodes[0].head() > 0


async def test_a_failed_start_leaves_nothing_behind(tmp_path, monkeypatch):
    started = []

    async def fail(*_):
        raise StopError("no contracts today")

    devnet = Devnet(test_settings(tmp_path))
    monkeypatch.setattr("seamark.devnet.devnet.deploy_chains", fail)
    original = Anvil.start

    async def start(self):
        await original(self)
        started.append(self.pid)

    monkeypatch.setattr(Anvil, "start", start)
    with pytest.raises(StopError, match="no contracts today"):
        await devnet.__aenter__()
    assert len(started) == 2
    await gone(started, within=1)
    monkeypatch.undo()
    async with Devnet(test_settings(tmp_path)) as second:
        assert not second.resumed


# ---- kill ------------------------------------------------------------------------------------------------------------

CHILD = """
import asyncio, sys
from pathlib import Path
from seamark.devnet.devnet import Devnet
from seamark.devnet.settings import DevnetSettings
from tests.support.world import World, test_settings

async def main():
    async with Devnet(test_settings(Path(sys.argv[1]), block_time=float(sys.argv[2]))) as devnet:
        if not float(sys.argv[2]):
            world = World(devnet)
            await world.submit(64_000 * 10**8)
        heads = [await node.head() for node in devnet.nodes]
        print(*(anvil.pid for anvil in devnet.anvils), *heads, flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


@contextlib.asynccontextmanager
async def child(folder, block_time=0.0):
    """A process that runs a devnet; yields it, the pids of its nodes and their heads."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        CHILD,
        str(folder),
        str(block_time),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
    )
    assert process.stdout is not None
    try:
        words = (await asyncio.wait_for(process.stdout.readline(), 60)).split()
        numbers = [int(word) for word in words]
        yield process, numbers[:2], numbers[2:]
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        process._transport.close()  # type: ignore[attr-defined]  # or Python warns of it at exit


async def test_no_node_outlives_a_parent_that_is_killed_and_its_chains_resume(tmp_path):
    async with child(tmp_path) as (process, pids, heads):
        assert all(alive(pid) for pid in pids)
        process.send_signal(signal.SIGKILL)
        await process.wait()
        async with Devnet(test_settings(tmp_path), run_network=False) as devnet:
            assert not any(alive(pid) for pid in pids), "the lock is free only when the nodes are gone"
            assert devnet.resumed
            assert [await node.head() for node in devnet.nodes] == heads, "no block is lost"
            world = World(devnet)
            (execution,) = await world.deliver(world.outbound)
            assert execution.state is ExecutionState.SUCCESS


async def test_a_devnet_can_be_killed_again_and_again(tmp_path):
    heads = [0, 0]
    for _ in range(3):
        async with child(tmp_path, block_time=1.0) as (process, pids, now):
            assert all(new >= old for new, old in zip(now, heads, strict=True))
            heads = now
            process.send_signal(signal.SIGKILL)
            await process.wait()
            await gone(pids)


async def test_ctrl_c_in_the_terminal_reaches_the_parent_alone(tmp_path):
    async with Anvil(AnvilOptions(ChainId(7), log_file=tmp_path / "log")) as anvil:
        assert anvil.pid is not None
        assert os.getsid(anvil.pid) == anvil.pid != os.getsid(0)


async def test_a_node_that_is_killed_goes_back_to_what_it_wrote(tmp_path):
    options = AnvilOptions(ChainId(7), state_file=tmp_path / "state.json", state_interval_s=3600)
    async with Anvil(options) as anvil:
        await anvil.mine(5)
    async with Anvil(options) as anvil:
        assert await anvil.request("eth_blockNumber") == "0x5"
        await anvil.mine(3)
        await anvil.kill()
        assert not anvil.running
    async with Anvil(options) as anvil:
        assert await anvil.request("eth_blockNumber") == "0x5"


async def test_a_node_writes_its_state_while_it_runs(tmp_path):
    state = tmp_path / "state.json"
    async with Anvil(AnvilOptions(ChainId(7), state_file=state, state_interval_s=1)) as anvil:
        await anvil.mine(5)
        async with asyncio.timeout(30):
            while not (state.exists() and state.stat().st_size):  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.05)
        await anvil.kill()
    async with Anvil(AnvilOptions(ChainId(7), state_file=state)) as anvil:
        assert await anvil.request("eth_blockNumber") == "0x5"
