"""Four nodes over real mutual TLS on loopback, one stub contract: rounds complete, whatever one of them does.

The faulty peers here are faulty below the protocol: strangers, floods, silence, garbage. Nodes that lie within the
protocol are in `tests/property/test_reporting.py`.
"""

import asyncio
import ssl
import time
from contextlib import asynccontextmanager

import grpc
import grpc.aio
import pytest

from seamark.core.errors import SettingsError, StopError
from seamark.oracle.reporting.messages import NewEpoch, ObserveRequest
from seamark.oracle.reporting.network import NetworkLimits, PeerNetwork
from seamark.oracle.reporting.network.frames import entry
from seamark.oracle.reporting.network.identity import SERVER_NAME, make_identity
from seamark.oracle.reporting.network.outgoing import METHOD
from seamark.oracle.reporting.store import load
from seamark.oracle.reporting.wire import encode_message
from tests.support.reporting import DIGEST
from tests.support.reporting_nodes import LiveNode, World, until


@asynccontextmanager
async def alive(*nodes):
    try:
        for node in nodes:  # migrations of one process run one after the other
            await node.begin()
        yield
    finally:
        await asyncio.gather(*(node.end() for node in nodes))


async def more_answers(world, count=3):
    enough = len(world.contract.accepted) + count
    await until(lambda: len(world.contract.accepted) >= enough, 40)


def nodes_of(world, *those):
    return [LiveNode(world, index) for index in (those or range(world.n))]


@asynccontextmanager
async def channel_to(world, node, identity):
    """As a peer opens it, with any key."""
    credentials = grpc.ssl_channel_credentials(world.identities[node].certificate, identity.key, identity.certificate)
    options = (("grpc.ssl_target_name_override", SERVER_NAME), ("grpc.use_local_subchannel_pool", 1))
    async with grpc.aio.secure_channel(f"127.0.0.1:{world.ports[node]}", credentials, options=options) as channel:
        yield channel


# ---- all well -----------------------------------------------------------------------------------------------------


async def test_rounds_complete():
    world = World(4)
    nodes = nodes_of(world)
    async with alive(*nodes):
        await more_answers(world, 8)
        await until(lambda: all(len(node.counts.up) == 3 for node in nodes))
    rounds = [at for at, _, _ in world.contract.accepted]
    assert rounds == sorted(set(rounds))
    for node in nodes:
        assert node.counts.included, "each has its observations in reports"
        assert not node.counts.slow
        assert not node.counts.strangers
        assert {reason for _, reason in node.counts.drops} <= {"unknown_digest"}, "of the first moments"
        assert not node.counts.up


async def test_two_configurations_share_the_connections():
    world = World(4)
    nodes = nodes_of(world)
    async with alive(*nodes):
        await more_answers(world, 1)
        other = b"\0\1" + b"another-contract-of-the-same!!"
        fingerprints = [node.peer for node in world.network.nodes]
        links = [node.network.join(other, fingerprints[::-1]) for node in nodes]
        arrived = asyncio.Event()
        links[2].on_arrival(arrived.set)
        links[0].broadcast(NewEpoch(5))
        await asyncio.wait_for(arrived.wait(), 20)
        assert links[2].receive() == (3, NewEpoch(5)), "node 0 is number 3 there"
        assert links[0].receive() is None
        with pytest.raises(SettingsError, match="already"):
            nodes[0].network.join(other, fingerprints)
        links[2].leave()
        links[0].broadcast(NewEpoch(6))
        await until(lambda: nodes[2].counts.drops["node-0", "unknown_digest"])
        await more_answers(world, 2)


# ---- restarts and crashes -----------------------------------------------------------------------------------------


async def test_a_node_that_restarts_from_its_store_signs_no_round_twice(tmp_path):
    world = World(4)
    nodes = nodes_of(world)
    nodes[1].url = f"sqlite:///{tmp_path}/node.db"
    async with alive(*nodes):
        for _ in range(3):
            await more_answers(world, 2)
            await nodes[1].end()
            await more_answers(world, 1)
            await nodes[1].begin()
        signed = len(world.signers[1].signed)
        await until(lambda: len(world.signers[1].signed) >= signed + 2)
    rounds = [preimage[64:96] for preimage in world.signers[1].signed]
    assert len(set(rounds)) == len(rounds) >= 4


class Dying:
    """A database that stores, and whose process dies before it hears of it."""

    def __init__(self, inner, node, after):
        self.inner, self.url, self.node, self.after = inner, inner.url, node, after

    async def read(self, work):
        return await self.inner.read(work)

    async def write(self, work, *, urgent=False):
        result = await self.inner.write(work, urgent=urgent)
        self.after -= 1
        if self.after == 0:
            self.node.running.cancel()
            await asyncio.Event().wait()
        return result


@pytest.mark.parametrize("after", [2, 3, 5])
async def test_a_node_that_dies_between_storing_and_saying_goes_on(tmp_path, after):
    world = World(4)
    nodes = nodes_of(world)
    dying = nodes[2]
    dying.url = f"sqlite:///{tmp_path}/node.db"
    async with alive(nodes[0], nodes[1], nodes[3]):
        from seamark.storage.database import open_database  # noqa: PLC0415

        database = await open_database(dying.url)
        try:
            await dying.begin(Dying(database, dying, after))
            await until(dying.running.done)
            stored = await database.read(lambda c: load(c, dying.driver._place))
            assert stored is not None
            signed_before = [preimage[64:96] for preimage in world.signers[2].signed]
            await dying.end()
            await dying.begin(database)
            await until(lambda: dying.counts.finished, 40)
            await until(lambda: len(world.signers[2].signed) >= len(signed_before) + 2, 40)
            await dying.end()
        finally:
            await database.close()
    rounds = [preimage[64:96] for preimage in world.signers[2].signed]
    assert len(set(rounds)) == len(rounds)


async def test_the_same_node_twice_on_one_database_is_silenced(tmp_path):
    world = World(4)
    nodes = nodes_of(world)
    twin = LiveNode(world, 3)
    async with alive(*nodes):
        await more_answers(world, 2)
        world.ports[3] = 0  # the twin listens elsewhere
        try:
            await twin.begin(nodes[3].database)
            await until(nodes[3].running.done)
            with pytest.raises(StopError, match="another process runs as node 3"):
                nodes[3].running.result()
            await more_answers(world, 2)
        finally:
            await twin.end()
    rounds = [preimage[64:96] for preimage in world.signers[3].signed]
    assert len(set(rounds)) == len(rounds)


# ---- who may speak ------------------------------------------------------------------------------------------------


async def test_an_unlisted_certificate_is_refused():
    world = World(4)
    nodes = nodes_of(world, 0, 1, 2)
    async with alive(*nodes):
        received = nodes[0].counts.messages.copy()
        async with channel_to(world, 0, make_identity()) as channel:
            call = channel.stream_unary(METHOD)()
            with pytest.raises(grpc.aio.AioRpcError, match="UNAVAILABLE"):
                await call.write(entry(DIGEST, encode_message(NewEpoch(1000))))
        assert set(nodes[0].counts.messages) <= {"sent", "node-1", "node-2", *received}
        await more_answers(world, 2)
    assert max(at[0] for at, _, _ in world.contract.accepted) < 1000


async def test_a_server_that_is_not_the_listed_one_gets_nothing():
    world = World(4)
    nodes = nodes_of(world, 0, 1, 2)
    honest, world.identities[3] = world.identities[3], make_identity()
    impostor = PeerNetwork(world.identities[3], world.peers(), listen=f"127.0.0.1:{world.ports[3]}")
    world.identities[3] = honest
    async with impostor, alive(*nodes):
        await more_answers(world, 3)
        assert all("node-3" not in node.counts.up for node in nodes)


@pytest.mark.parametrize(("version", "fits"), [(ssl.TLSVersion.TLSv1_2, False), (ssl.TLSVersion.TLSv1_3, True)])
async def test_nothing_older_than_tls_1_3_is_heard(version, fits, tmp_path):
    """Python's gRPC cannot forbid TLS 1.2 in the handshake: the stream is refused instead."""
    world = World(4)
    node = LiveNode(world, 0)
    (tmp_path / "certificate").write_bytes(world.identities[1].certificate)
    (tmp_path / "key").write_bytes(world.identities[1].key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    context.load_cert_chain(tmp_path / "certificate", tmp_path / "key")
    context.set_alpn_protocols(["h2"])
    async with alive(node):
        reader, writer = await asyncio.open_connection("127.0.0.1", world.ports[0], ssl=context)
        assert writer.get_extra_info("ssl_object").version() == version.name.replace("_", ".")
        writer.write(_http2_call(METHOD))
        await writer.drain()
        answer = b""
        async with asyncio.timeout(10):
            while b"grpc-status" not in answer and not fits and b"\x88" not in answer[-200:]:
                answer += await reader.read(4096)
                if node.counts.strangers:
                    break
        if fits:
            await asyncio.sleep(0.2)
        assert node.counts.strangers == (0 if fits else 1)
        writer.close()


def _http2_call(path):
    """Preface, settings, and the headers of a call, without compression (RFC 9113, RFC 7541)."""

    def literal(name, value):
        return b"\x00" + bytes((len(name),)) + name + bytes((len(value),)) + value

    fields = (
        (b":method", b"POST"),
        (b":scheme", b"https"),
        (b":path", path.encode()),
        (b":authority", b"node.seamark"),
        (b"content-type", b"application/grpc"),
        (b"te", b"trailers"),
    )
    block = b"".join(literal(*field) for field in fields)
    headers = len(block).to_bytes(3, "big") + b"\x01\x04" + (1).to_bytes(4, "big") + block
    return b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\x04\0\0\0\0\0" + headers


# ---- peers that misbehave below the protocol ------------------------------------------------------------------------


@asynccontextmanager
async def misbehaving(world, behaviour):
    """Nodes 0 to 2 are well; node 3 has its key and does this to each of them, again and again."""

    async def always(node):
        while True:
            async with channel_to(world, node, world.identities[3]) as channel:
                try:
                    await behaviour(channel.stream_unary(METHOD)(wait_for_ready=True))
                except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                    await asyncio.sleep(0.01)

    tasks = [asyncio.create_task(always(node)) for node in range(3)]
    try:
        yield
        assert not any(task.done() for task in tasks), "the fault must last"
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_node_that_floods_is_read_at_its_rate():
    world = World(4)
    world.limits = NetworkLimits(messages_per_s=50, bytes_per_s=20_000)
    nodes = nodes_of(world, 0, 1, 2)
    flood = entry(DIGEST, encode_message(NewEpoch(1))) * 20

    async def behave(call):
        while True:
            await call.write(flood)

    async with alive(*nodes):
        await more_answers(world, 1)
        began = time.monotonic()
        async with misbehaving(world, behave):
            await more_answers(world, 6)
        lasted = time.monotonic() - began
        for node in nodes:
            assert node.counts.slow["node-3"]
            assert node.counts.messages["node-3"] <= 50 * (lasted + 2) + 200, "its rate, two seconds at once, a frame"
            assert not {name for name in node.counts.slow if name != "node-3"}


async def test_a_node_that_accepts_but_never_reads_costs_its_own_queue(monkeypatch):
    world = World(4)
    world.limits = NetworkLimits(queue=20)
    nodes = nodes_of(world, 0, 1, 2)
    monkeypatch.setattr("seamark.oracle.reporting.network.outgoing.WRITE_S", 0.3)

    async def never_reads(frames, context):
        await context.send_initial_metadata(())
        await asyncio.Event().wait()

    handler = grpc.method_handlers_generic_handler(
        "seamark.Reporting", {"Deliver": grpc.stream_unary_rpc_method_handler(never_reads)}
    )
    roots = b"".join(identity.certificate for identity in world.identities[:3])
    mine = world.identities[3]
    server = grpc.aio.server(options=(("grpc.http2.bdp_probe", 0), ("grpc.so_reuseport", 0)))
    server.add_generic_rpc_handlers((handler,))
    server.add_secure_port(
        f"127.0.0.1:{world.ports[3]}",
        grpc.ssl_server_credentials([(mine.key, mine.certificate)], roots, require_client_auth=True),
    )
    await server.start()
    try:
        async with alive(*nodes):
            await more_answers(world, 2)
            big = encode_message(NewEpoch(1)) + b"\x12\x00" * 10_000  # no message, but nobody reads it
            way = nodes[0].network._ways[mine.fingerprint]
            for _ in range(100):
                way.put(entry(DIGEST, big))
            assert nodes[0].counts.drops["node-3", "outgoing_full"] >= 80
            await more_answers(world, 4)
            assert not nodes[0].counts.drops["node-1", "outgoing_full"]
    finally:
        await server.stop(0)


GARBAGE = {
    "no frame": b"\xff" * 10,
    "an empty frame": b"",
    "no message": entry(DIGEST, b"\xff" * 50),
    "two messages in one": entry(DIGEST, encode_message(NewEpoch(1)) + encode_message(ObserveRequest(1, 1))),
    "an echo without a report": entry(DIGEST, b"\x42\x00"),
    "an unknown configuration": entry(bytes(32), encode_message(NewEpoch(9))),
    "more than a frame holds": bytes(300_000),
}


@pytest.mark.parametrize("kind", GARBAGE)
async def test_a_node_that_sends_garbage(kind):
    world = World(4)
    nodes = nodes_of(world, 0, 1, 2)

    async def behave(call):
        while True:
            await call.write(GARBAGE[kind])
            await asyncio.sleep(0.002)

    async with alive(*nodes):
        async with misbehaving(world, behave):
            await more_answers(world, 4)
            if kind != "more than a frame holds":  # gRPC drops that one by itself
                await until(lambda: any(reason for name, reason in nodes[0].counts.drops if name == "node-3"))
        assert not any(node.running.done() for node in nodes)


async def test_the_sender_is_who_holds_the_key_not_who_the_message_says():
    """Node 3 repeats what node 0 said: it counts as node 3's, so two nodes are no majority."""
    world = World(4)
    nodes = nodes_of(world, 0, 1, 2)

    async def behave(call):
        await call.write(entry(DIGEST, encode_message(NewEpoch(500))))
        await asyncio.sleep(0.05)

    async with alive(*nodes), misbehaving(world, behave):
        await more_answers(world, 3)
        received = nodes[0].driver.state.pacemaker.received
    assert received[3] == 500
    assert max(received[:3]) < 500


async def test_a_peer_that_cancels_our_streams_does_not_end_our_tasks():
    """A stream that its peer ends as "cancelled" raises the very error of a task that is cancelled."""
    world = World(4)
    nodes = nodes_of(world, 0, 1, 2)
    ended = 0

    async def cancels(frames, context):
        nonlocal ended
        await context.send_initial_metadata(())
        ended += 1
        await context.abort(grpc.StatusCode.CANCELLED, "")

    handler = grpc.method_handlers_generic_handler(
        "seamark.Reporting", {"Deliver": grpc.stream_unary_rpc_method_handler(cancels)}
    )
    roots = b"".join(identity.certificate for identity in world.identities[:3])
    mine = world.identities[3]
    server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
    server.add_generic_rpc_handlers((handler,))
    server.add_secure_port(
        f"127.0.0.1:{world.ports[3]}",
        grpc.ssl_server_credentials([(mine.key, mine.certificate)], roots, require_client_auth=True),
    )
    await server.start()
    try:
        async with alive(*nodes):
            await until(lambda: ended >= 6)
            await more_answers(world, 2)
            assert not any(task.done() for node in nodes for task in node.network._tasks)
    finally:
        await server.stop(0)


# ---- the network itself ---------------------------------------------------------------------------------------------


async def test_parted_and_healed():
    """Two and two cannot go on, and nobody signs anything wrong; together again they do."""
    world = World(4)
    nodes = nodes_of(world)
    cut = {"on": False}

    def part(node):
        links = node.network._links[DIGEST]
        real = links.arrived

        def arrived(sender, data):
            other = [each.peer for each in world.network.nodes].index(sender)
            if not cut["on"] or other // 2 == node.me // 2:
                real(sender, data)

        links.arrived = arrived

    async with alive(*nodes):
        for node in nodes:
            part(node)
        await more_answers(world, 2)
        cut["on"] = True
        await asyncio.sleep(0.3)  # what was on its way
        count = len(world.contract.accepted)
        await asyncio.sleep(1.5)
        assert len(world.contract.accepted) <= count + 1, "at most a report that had its signatures"
        cut["on"] = False
        await more_answers(world, 3)


async def test_a_peer_that_comes_late_is_found(tmp_path):
    world = World(4)
    nodes = nodes_of(world)
    async with alive(*nodes[:3]):
        await more_answers(world, 2)
        async with alive(nodes[3]):
            await until(lambda: nodes[3].counts.finished, 40)
            await until(lambda: all("node-3" in node.counts.up for node in nodes[:3]))
        await until(lambda: all("node-3" not in node.counts.up for node in nodes[:3]))
        await more_answers(world, 2)


async def test_a_second_process_cannot_listen_on_the_same_port():
    world = World(4)
    async with alive(LiveNode(world, 0)):
        with pytest.raises(SettingsError, match="cannot listen on"):
            async with PeerNetwork(world.identities[0], world.peers(), listen=f"127.0.0.1:{world.ports[0]}"):
                pass


async def test_an_end_says_what_is_queued_and_leaves_no_task():
    world = World(4)
    before = asyncio.all_tasks()
    one, other = nodes_of(world, 0, 1)
    await one.begin()
    await other.begin()
    await until(lambda: "node-0" in other.counts.up and "node-1" in one.counts.up)
    other.running.cancel()
    await asyncio.gather(other.running, return_exceptions=True)
    while other.network._links[DIGEST].receive():
        pass
    one.network._links[DIGEST].broadcast(NewEpoch(4_000_000_000))
    await one.end()
    got = []
    while (message := other.network._links[DIGEST].receive()) is not None:
        got.append(message)
    assert (0, NewEpoch(4_000_000_000)) in got
    await other.end()
    left = {task for task in asyncio.all_tasks() - before if "grpc" not in repr(task)}
    assert not left
