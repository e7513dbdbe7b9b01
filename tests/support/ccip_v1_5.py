"""The published CCIP 1.5.0 and 1.2.0 contracts on two chains, with oracle network and risk network played by hand.

    from tests.support.ccip_v1_5 import Bed, bed  # noqa: F401 - a fixture, of 1.5; start_bed("1.2") for the older one

    async def test_something(bed: Bed):
        (message,) = await bed.send(bed.outbound)        # home -> remote
        await bed.finalize(bed.outbound)
        await bed.commit(bed.outbound)                   # all that is sent, one root, blessed
        await bed.execute(bed.outbound)                  # all that is committed; or manually(message) by a stranger

A lane is a pair of ramps and a CommitStore. `open_lane` puts further ones on the same routers: with `previous` as
their successors (a migration), or beside the ramps of another generation on the chains of `tests.support.world`.

Facts that the deployment must respect, found on the real bytecode: OCR2 wants as many transmitters as signers and more
than 3 f of them; a commit carries f + 1 signatures over keccak(keccak(report), context); 1.5 and 1.2 lay out the
dynamic configuration of the OffRamp in different orders; a message's id is its leaf; only a blessed root is executed.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from seamark.core.ids import Address, ChainId, Hash32, Selector
from seamark.devnet.accounts import DON_SIGNERS, Role, account
from seamark.devnet.anvil import Anvil, AnvilOptions
from seamark.devnet.artifacts import ccip_artifact
from seamark.devnet.ccip.contracts import Draft, open_draft
from seamark.devnet.ccip.model import ExecutionState
from seamark.devnet.ccip.ramp_messages import CCIP_SEND, extra_args_v2
from seamark.devnet.node_client import NodeClient, Tx, Wallet
from seamark.evm import artifacts
from seamark.evm.abi import Abi, compile_encoder, parse_params
from seamark.evm.artifacts import Artifact
from seamark.evm.crypto import keccak256
from seamark.evm.merkle import Proof, merkle_root, prove
from seamark.evm.signers import RawKeySigner
from seamark.evm.types import Receipt
from tests.support.world import World

__all__ = [
    "Bed",
    "Lane",
    "SentMessage",
    "Side",
    "bed",
    "beside",
    "extra_args_v1",
    "extra_args_v2",
    "open_bed",
    "open_lane",
    "start_bed",
]

ZERO: Final = Address("0x" + "00" * 20)
E18: Final = 10**18
F: Final = 1
SIGNERS: Final = [RawKeySigner.from_hex(key) for key in DON_SIGNERS]
IDLE_TRANSMITTERS: Final = [Address("0x" + f"{number:02x}" * 20) for number in (0xA1, 0xA2, 0xA3)]
MANUAL_AFTER_S: Final = 3600  # from then on anybody may execute what the network did not
PRICE_STALE_S: Final = 86_400
EXECUTE_GAS: Final = 4_000_000
EXTRA_ARGS_V1: Final = bytes.fromhex("97a657c9")
GLOBAL_CURSE: Final = bytes.fromhex("01" + "00" * 14 + "01")
OWNER_CURSE_VOTER: Final = Address("0x" + "ff" * 20)  # RMN.OWNER_CURSE_VOTE_ADDR
NO_LIMIT: Final = (False, 0, 0)
PACKAGE_VERSION: Final = {"1.2": "v1_2_0", "1.5": "v1_5_0"}

_encode_address = compile_encoder(parse_params("address"))
_encode_uint = compile_encoder(parse_params("uint256"))
_encode_commit = compile_encoder(
    parse_params("(((address,uint224)[], (uint64,uint224)[]) prices, (uint64, uint64) interval, bytes32 root) report")
)
_MESSAGE = (
    "(uint64 sourceChainSelector, address sender, address receiver, uint64 sequenceNumber, uint256 gasLimit,"
    " bool strict, uint64 nonce, address feeToken, uint256 feeTokenAmount, bytes data,"
    " (address token, uint256 amount)[] tokenAmounts, bytes[] sourceTokenData, bytes32 messageId)"
)
_encode_execution = compile_encoder(
    parse_params(f"({_MESSAGE}[] messages, bytes[][] offchainTokenData, bytes32[] proofs, uint256 flags) report")
)
_encode_commit_config = compile_encoder(parse_params("(address priceRegistry) config"))
_EXECUTE_CONFIG = {
    "1.5": compile_encoder(
        parse_params("(uint32 after, uint32 size, uint16 tokens, address router, address prices) c")
    ),
    "1.2": compile_encoder(
        parse_params("(uint32 after, address router, address prices, uint16 tokens, uint32 size, uint32 gas) c")
    ),
}


def extra_args_v1(gas_limit: int = 200_000) -> bytes:
    """EVMExtraArgsV1: a gas limit; such a message is ordered."""
    return EXTRA_ARGS_V1 + _encode_uint([gas_limit])


@dataclass
class Side:
    """One chain of the bed; `at` holds its contracts by name."""

    name: str
    selector: Selector
    node: NodeClient
    admin: Wallet
    anvil: Anvil
    role: Role
    at: dict[str, Address] = field(default_factory=dict)

    @property
    def chain_id(self) -> ChainId:
        return self.node.chain_id

    @property
    def url(self) -> str:
        return self.node.url

    def wallet(self, role: Role) -> Wallet:
        return Wallet(self.node, RawKeySigner.from_hex(account(role).private_key))

    def __getattr__(self, name: str) -> Address:
        try:
            found: Address = self.__dict__["at"][name]
        except KeyError:
            raise AttributeError(name) from None
        return found


@dataclass(frozen=True)
class SentMessage:
    """A message as its source sent it; `struct` is what the OffRamp wants, in its order."""

    message_id: Hash32
    sequence: int
    nonce: int
    struct: Any
    transaction: Hash32
    block_number: int


@dataclass
class Lane:
    """One direction through one OnRamp; what was sent and committed on it, in order."""

    version: str
    source: Side
    dest: Side
    on_ramp: Address = ZERO
    commit_store: Address = ZERO
    off_ramp: Address = ZERO
    commit_digest: bytes = b""
    execute_digest: bytes = b""
    epoch: int = 0
    sent: list[SentMessage] = field(default_factory=list)
    roots: list[list[SentMessage]] = field(default_factory=list)

    def artifact(self, name: str) -> Artifact:
        return ccip_artifact(PACKAGE_VERSION[self.version], name)

    @property
    def committed(self) -> list[SentMessage]:
        return [message for root in self.roots for message in root]

    def proof(self, messages: Sequence[SentMessage]) -> Proof:
        """That messages of one root are in it."""
        (root,) = [root for root in self.roots if messages[0] in root]
        return prove(_leaves(root), [root.index(message) for message in messages])

    def report(self, messages: Sequence[SentMessage]) -> tuple[Any, ...]:
        """The execution report for messages of one root, as both ways of executing take it."""
        proof = self.proof(messages)
        structs = [message.struct for message in messages]
        token_data = [[b""] * len(message.struct.tokenAmounts) for message in messages]
        return structs, token_data, proof.hashes, proof.flags

    def context(self, digest: bytes) -> tuple[bytes, bytes, bytes]:
        """The next report's: digest, epoch and round, nothing."""
        self.epoch += 1
        return digest, (self.epoch << 8).to_bytes(32), bytes(32)


class Bed:
    """Two sides with a lane in each direction."""

    def __init__(self, outbound: Lane, inbound: Lane) -> None:
        self.outbound, self.inbound = outbound, inbound
        self.home, self.remote = outbound.source, outbound.dest

    # ---- stages -----------------------------------------------------------------------------------------------------

    async def send(
        self,
        lane: Lane,
        *,
        count: int = 1,
        receiver: Address | None = None,
        data: bytes = b"hello",
        gas_limit: int = 200_000,
        in_link: bool = False,
        extra: bytes | None = None,
        tokens: Sequence[tuple[Address, int]] = (),
        wallet: Wallet | None = None,
    ) -> list[SentMessage]:
        """`ccipSend` through the router, `count` times; the default receiver may be told to revert.

        Messages are ordered (`extra_args_v1`) unless `extra` says otherwise (`extra_args_v2`, only 1.5).
        """
        source, sender = lane.source, wallet or lane.source.admin
        to = _encode_address([receiver or lane.dest.receiver])
        args = extra_args_v1(gas_limit) if extra is None else extra
        message: tuple[Any, ...] = (to, data, list(tokens), source.link if in_link else ZERO, args)
        router = ccip_artifact("latest", "router").abi
        fee = await source.node.read(source.router, router.function("getFee"), lane.dest.selector, message)
        token = ccip_artifact("v1_5_1", "factory_burn_mint_erc20").abi
        allowed = [(address, amount * count) for address, amount in tokens]
        if in_link:
            allowed.append((source.link, fee * count))
        txs = [Tx(address, token.encode_call("approve", source.router, amount)) for address, amount in allowed]
        call = CCIP_SEND.encode(lane.dest.selector, message)
        txs += [Tx(source.router, call, 0 if in_link else fee, label="ccipSend")] * count
        on_ramp = lane.artifact("evm_2_evm_onramp").abi
        receipts = await sender.run(txs, abi=Abi(errors=[*router.errors, *on_ramp.errors]))
        found = [message for receipt in receipts for message in self.sends(receipt, lane)]
        lane.sent += found
        return found

    @staticmethod
    def sends(receipt: Receipt, lane: Lane) -> list[SentMessage]:
        """The messages that a transaction sent on a lane."""
        event = lane.artifact("evm_2_evm_onramp").abi.event("CCIPSendRequested")
        found = []
        for entry in receipt.logs:
            if entry.address != lane.on_ramp or entry.topics[0] != event.topic0:
                continue
            struct = event.decode(entry).message
            found.append(
                SentMessage(
                    Hash32("0x" + struct.messageId.hex()),
                    struct.sequenceNumber,
                    struct.nonce,
                    struct,
                    entry.transaction_hash,
                    entry.block_number,
                )
            )
        return found

    async def finalize(self, lane: Lane) -> None:
        """Make everything so far final on the lane's source: two more blocks."""
        await lane.source.anvil.mine(2)

    async def commit(
        self, lane: Lane, messages: Sequence[SentMessage] | None = None, *, bless: bool = True, again: bool = False
    ) -> bytes:
        """One root over the messages (default: all that are not committed yet); returns it.

        `again`: a commit of the same messages once more, after it was taken back.
        """
        done = lane.committed
        chosen = list(messages) if messages is not None else [item for item in lane.sent if item not in done]
        root = merkle_root(_leaves(chosen))
        report = _encode_commit([(([], []), (chosen[0].sequence, chosen[-1].sequence), root)])
        context = lane.context(lane.commit_digest)
        preimage = keccak256(report) + b"".join(context)
        signed = [await signer.sign(preimage) for signer in SIGNERS[: F + 1]]
        rs, ss = ([signature[at].to_bytes(32) for signature in signed] for at in (1, 2))
        parities = bytes(parity for parity, _, _ in signed).ljust(32, b"\0")
        abi = lane.artifact("commit_store").abi
        data = abi.encode_call("transmit", context, report, rs, ss, parities)
        committer = lane.dest.wallet(Role.COMMITTER)
        await committer.run([Tx(lane.commit_store, data, label="commit")], abi=abi)
        if not again:
            lane.roots.append(chosen)
        if bless:
            await self.bless(lane, root)
        return root

    async def bless(self, lane: Lane, root: bytes) -> None:
        """The risk network's one voter blesses a root, as it must before an execution."""
        rmn = ccip_artifact("v1_5_0", "rmn_contract")
        data = rmn.abi.encode_call("voteToBless", [(lane.commit_store, root)])
        await lane.dest.wallet(Role.OPERATOR).run([Tx(lane.dest.rmn, data, label="bless")], abi=rmn.abi)

    async def execute(
        self, lane: Lane, messages: Sequence[SentMessage] | None = None, *, gas: int = EXECUTE_GAS
    ) -> list[ExecutionState]:
        """One attempt by the network for messages of one root (default: the last root); the states that it left."""
        chosen = list(messages) if messages is not None else lane.roots[-1]
        report = _encode_execution([lane.report(chosen)])
        abi = lane.artifact("evm_2_evm_offramp").abi
        data = abi.encode_call("transmit", lane.context(lane.execute_digest), report, [], [], bytes(32))
        executor = lane.dest.wallet(Role.EXECUTOR)
        await executor.run([Tx(lane.off_ramp, data, gas=gas, label="execute")], abi=abi)
        return [await self.state(lane, message) for message in chosen]

    async def deliver(self, lane: Lane) -> list[ExecutionState]:
        """All stages for what was sent."""
        await self.finalize(lane)
        await self.commit(lane)
        return await self.execute(lane)

    def manual_call(self, lane: Lane, messages: Sequence[SentMessage], *, gas_limit: int = 0) -> bytes:
        """Calldata of `manuallyExecute`; `gas_limit` above zero replaces the limit of each message."""
        if lane.version == "1.2":
            overrides: list[Any] = [gas_limit for _ in messages]
        else:
            overrides = [(gas_limit, [0] * len(message.struct.tokenAmounts)) for message in messages]
        abi = lane.artifact("evm_2_evm_offramp").abi
        return abi.encode_call("manuallyExecute", lane.report(messages), overrides)

    async def manually(
        self, lane: Lane, message: SentMessage, *, gas_limit: int = 0, gas: int = EXECUTE_GAS
    ) -> ExecutionState:
        """What anybody may do after a failure, or once the network took too long. Raises `CallFailed` before that."""
        data = self.manual_call(lane, [message], gas_limit=gas_limit)
        abi = lane.artifact("evm_2_evm_offramp").abi
        stranger = lane.dest.wallet(Role.USER)
        await stranger.run([Tx(lane.off_ramp, data, gas=gas, label="manuallyExecute")], abi=abi)
        return await self.state(lane, message)

    async def state(self, lane: Lane, message: SentMessage) -> ExecutionState:
        """What the OffRamp says of a message."""
        function = lane.artifact("evm_2_evm_offramp").abi.function("getExecutionState")
        return ExecutionState(await lane.dest.node.read(lane.off_ramp, function, message.sequence))

    # ---- faults and administration ----------------------------------------------------------------------------------

    async def set_receiver_reverts(self, lane: Lane, reverts: bool) -> None:
        """Tell the default receiver of a lane to revert, or to stop that."""
        receiver = ccip_artifact("v1_6_0", "maybe_revert_message_receiver")
        await self.call(lane.dest, receiver, lane.dest.receiver, "setRevert", reverts)

    async def limit_pool(self, lane: Lane, capacity: int) -> None:
        """The destination's pool takes at most so much of the test token at once; 0 lifts the limit."""
        inbound = (bool(capacity), capacity, max(1, capacity // 2)) if capacity else NO_LIMIT
        pool = ccip_artifact("v1_5_1", "burn_mint_token_pool")
        arguments = (lane.source.selector, NO_LIMIT, inbound)
        await self.call(lane.dest, pool, lane.dest.pool, "setChainRateLimiterConfig", *arguments)

    async def pause(self, lane: Lane, paused: bool = True) -> None:
        """Stop the lane's CommitStore, or let it go on."""
        store = lane.artifact("commit_store")
        await self.call(lane.dest, store, lane.commit_store, "pause" if paused else "unpause")

    async def remove_root(self, lane: Lane, root: bytes) -> None:
        """Take back a root that is not blessed."""
        await self.call(lane.dest, lane.artifact("commit_store"), lane.commit_store, "resetUnblessedRoots", [root])

    async def curse(self, side: Side, source: Selector | None = None) -> None:
        """The owner of RMN 1.5 curses one other chain, or everything."""
        rmn = ccip_artifact("v1_5_0", "rmn_contract")
        curse = keccak256(str(len(side.at) + (source or 0)).encode())[:16]
        await self.call(side, rmn, side.rmn, "ownerCurse", curse, [_subject(source)])

    async def uncurse(self, side: Side, source: Selector | None = None) -> None:
        rmn = ccip_artifact("v1_5_0", "rmn_contract")
        request = (OWNER_CURSE_VOTER, (_subject(source), bytes(28)), True)
        await self.call(side, rmn, side.rmn, "ownerUnvoteToCurse", [request])

    async def remove_off_ramp(self, lane: Lane) -> None:
        """The router forgets the OffRamp; it can execute no more."""
        removed = [(lane.source.selector, lane.off_ramp)]
        await self.call(
            lane.dest, ccip_artifact("latest", "router"), lane.dest.router, "applyRampUpdates", [], removed, []
        )

    async def call(self, side: Side, artifact: Artifact, to: Address, function: str, *arguments: Any) -> Receipt:
        """One administrative call."""
        data = artifact.abi.encode_call(function, *arguments)
        (receipt,) = await side.admin.run([Tx(to, data, label=function)], abi=artifact.abi)
        return receipt


def _leaves(messages: Sequence[SentMessage]) -> list[bytes]:
    return [bytes.fromhex(message.message_id[2:]) for message in messages]


def _subject(source: Selector | None) -> bytes:
    return GLOBAL_CURSE if source is None else source.to_bytes(16)


# ---- deployment ------------------------------------------------------------------------------------------------------


async def open_bed(sides: tuple[Side, Side], version: str = "1.5", *, route: bool = True) -> Bed:
    """Deploy on two chains and open both lanes. What `at` holds already (router, link, wrapped_native, registry) is
    used, the rest is deployed.
    """
    for side, peer in (sides, sides[::-1]):
        draft = await open_draft(side.node, side.role)
        _add_base(side, peer, draft)
        await _deploy(side, draft)
    for side, peer in (sides, sides[::-1]):
        draft = await open_draft(side.node, side.role)
        _connect_pools(side, peer, draft)
        await _deploy(side, draft)
    one, other = sides
    return Bed(
        await open_lane(one, other, version, route=route),
        await open_lane(other, one, version, route=route),
    )


async def beside(world: World, version: str = "1.5", *, route: bool = True) -> Bed:
    """The same lanes on the routers of a world, whose own ramps are of 1.6: the routers send through the new ones,
    unless `route` is false.

    The chains get an RMNRemote with RMN 1.5 behind it, and the proxy is told so.
    """
    sides = []
    for index, (chain, node, role) in enumerate(
        ((world.home, world.home_node, Role.HOME_DEPLOYER), (world.remote, world.remote_node, Role.REMOTE_DEPLOYER))
    ):
        at = {name: getattr(chain, name) for name in ("router", "link", "wrapped_native", "arm_proxy")}
        at["registry"] = chain.token_admin_registry
        wallet = world.wallet(role, remote=bool(index))
        sides.append(Side(chain.name, chain.selector, node, wallet, world.devnet.anvils[index], role, at))
    return await open_bed((sides[0], sides[1]), version, route=route)


async def open_lane(
    source: Side, dest: Side, version: str, *, previous: Lane | None = None, route: bool = True
) -> Lane:
    """A lane of its own ramps. With `previous` they are successors of another lane's; the old ones stay as they are.

    With `route` false the source's router keeps its OnRamp, so that nobody can send on the new one yet.
    """
    lane = Lane(version, source, dest)
    here = await open_draft(source.node, source.role)
    _add_on_ramp(lane, here, previous)
    if route:
        await set_on_ramp(lane, here)
    await _deploy(source, here)
    there = await open_draft(dest.node, dest.role)
    _add_dest(lane, there, previous)
    await _deploy(dest, there)
    for name, address, attribute in (
        ("commit_store", lane.commit_store, "commit_digest"),
        ("evm_2_evm_offramp", lane.off_ramp, "execute_digest"),
    ):
        function = lane.artifact(name).abi.function("latestConfigDetails")
        setattr(lane, attribute, (await dest.node.read(address, function)).configDigest)
    return lane


async def _deploy(side: Side, draft: Draft) -> None:
    """Send a draft, and mine once all of it is in the pool: a transaction that comes in just while anvil mines the one
    before it may stay in its queue for good.
    """
    await side.node.request("evm_setAutomine", False)
    try:
        hashes = await draft.wallet.send(draft.txs)
        receipts = await side.node.receipts(hashes)
        while None in receipts:
            await side.node.request("evm_mine")
            receipts = await side.node.receipts(hashes)
    finally:
        await side.node.request("evm_setAutomine", True)
    failed = [tx.label for tx, receipt in zip(draft.txs, receipts, strict=True) if receipt and not receipt.succeeded]
    assert not failed, failed


async def set_on_ramp(lane: Lane, draft: Draft) -> None:
    """Let the source's router send through the lane's OnRamp."""
    router = ccip_artifact("latest", "router")
    draft.call(router, lane.source.router, "applyRampUpdates", [(lane.dest.selector, lane.on_ramp)], [], [])


def _add(side: Side, draft: Draft, name: str, artifact: Artifact, *arguments: Any) -> Address:
    if name not in side.at:
        side.at[name] = draft.deploy(artifact, *arguments)
    return side.at[name]


def _add_base(side: Side, peer: Side, draft: Draft) -> None:
    admin = draft.wallet.address
    erc20 = ccip_artifact("v1_5_1", "factory_burn_mint_erc20")
    native = _add(side, draft, "wrapped_native", artifacts.load("WrappedNative"))
    _add(side, draft, "link", erc20, "ChainLink Token", "LINK", 18, 0, 10**9 * E18, admin)
    _add_risk(side, draft)
    _add(side, draft, "router", ccip_artifact("latest", "router"), native, side.at["arm_proxy"])
    _add(side, draft, "registry", ccip_artifact("v1_5_0", "token_admin_registry"))
    _add(side, draft, "receiver", ccip_artifact("v1_6_0", "maybe_revert_message_receiver"), False)
    prices = ccip_artifact("v1_2_0", "price_registry")
    _add(side, draft, "prices", prices, [admin], [side.link, native], PRICE_STALE_S)
    updates = ([(side.link, 15 * E18), (native, 3000 * E18)], [(peer.selector, 10**12)])
    draft.call(prices, side.prices, "updatePrices", updates)
    _add(side, draft, "token", erc20, "Test Token", "TEST", 18, 0, 10**6 * E18, admin)
    pool = ccip_artifact("v1_5_1", "burn_mint_token_pool")
    _add(side, draft, "pool", pool, side.token, 18, [], side.arm_proxy, side.router)
    registry = ccip_artifact("v1_5_0", "token_admin_registry")
    draft.call(erc20, side.token, "grantMintAndBurnRoles", side.pool)
    draft.call(registry, side.registry, "proposeAdministrator", side.token, admin)
    draft.call(registry, side.registry, "acceptAdminRole", side.token)
    draft.call(registry, side.registry, "setPool", side.token, side.pool)


def _add_risk(side: Side, draft: Draft) -> None:
    """RMN 1.5 with one voter. Where the chain has a proxy already, RMNRemote 1.6 in front of it, as in production."""
    voter = (account(Role.OPERATOR).address, account(Role.USER).address, 1, 1)
    rmn = _add(side, draft, "rmn", ccip_artifact("v1_5_0", "rmn_contract"), ([voter], 1, 1))
    proxy = ccip_artifact("v1_0_0", "rmn_proxy_contract")
    if "arm_proxy" not in side.at:
        _add(side, draft, "arm_proxy", proxy, rmn)
        return
    remote = _add(side, draft, "rmn_remote", ccip_artifact("v1_6_0", "rmn_remote"), side.selector, rmn)
    draft.call(proxy, side.arm_proxy, "setARM", remote)


def _connect_pools(side: Side, peer: Side, draft: Draft) -> None:
    chain = (peer.selector, [_encode_address([peer.pool])], _encode_address([peer.token]), NO_LIMIT, NO_LIMIT)
    draft.call(ccip_artifact("v1_5_1", "burn_mint_token_pool"), side.pool, "applyChainUpdates", [], [chain])


def _add_on_ramp(lane: Lane, draft: Draft, previous: Lane | None) -> None:
    source, dest = lane.source, lane.dest
    before = previous.on_ramp if previous else ZERO
    static: tuple[Any, ...] = (source.link, source.selector, dest.selector, 200_000, 10**27, before, source.arm_proxy)
    dynamic: tuple[Any, ...] = (source.router, 5, 350_000, 16, 33_596, 16, 6_840, source.prices, 30_000, 3_000_000)
    fees = [(token, 100, E18, E18, True) for token in (source.link, source.wrapped_native)]
    artifact = lane.artifact("evm_2_evm_onramp")
    if lane.version == "1.2":
        lane.on_ramp = draft.deploy(artifact, static, dynamic, [], NO_LIMIT, fees, [], [])
        return
    static, dynamic = (*static, source.registry), (*dynamic, 50, 125_000, False)
    lane.on_ramp = draft.deploy(artifact, static, dynamic, NO_LIMIT, fees, [], [])


def _add_dest(lane: Lane, draft: Draft, previous: Lane | None) -> None:
    source, dest = lane.source, lane.dest
    store, off_ramp = lane.artifact("commit_store"), lane.artifact("evm_2_evm_offramp")
    lane.commit_store = draft.deploy(store, (dest.selector, source.selector, lane.on_ramp, dest.arm_proxy))
    before = previous.off_ramp if previous else ZERO
    static: tuple[Any, ...] = (
        lane.commit_store,
        dest.selector,
        source.selector,
        lane.on_ramp,
        before,
        dest.arm_proxy,
    )
    if lane.version == "1.2":
        lane.off_ramp = draft.deploy(off_ramp, static, [], [], NO_LIMIT)
        execution: tuple[Any, ...] = (MANUAL_AFTER_S, dest.router, dest.prices, 5, 30_000, 200_000)
    else:
        lane.off_ramp = draft.deploy(off_ramp, (*static, dest.registry), NO_LIMIT)
        execution = (MANUAL_AFTER_S, 30_000, 5, dest.router, dest.prices)
    router = ccip_artifact("latest", "router")
    draft.call(router, dest.router, "applyRampUpdates", [], [], [(source.selector, lane.off_ramp)])
    prices = ccip_artifact("v1_2_0", "price_registry")
    draft.call(prices, dest.prices, "applyPriceUpdatersUpdates", [lane.commit_store], [])
    for artifact, address, transmitter, config in (
        (store, lane.commit_store, Role.COMMITTER, _encode_commit_config([(dest.prices,)])),
        (off_ramp, lane.off_ramp, Role.EXECUTOR, _EXECUTE_CONFIG[lane.version]([execution])),
    ):
        signers = [signer.address for signer in SIGNERS]
        transmitters = [account(transmitter).address, *IDLE_TRANSMITTERS]
        draft.call(artifact, address, "setOCR2Config", signers, transmitters, F, config, 1, b"")


@contextlib.asynccontextmanager
async def start_bed(version: str = "1.5", chains: Mapping[int, int] | None = None) -> AsyncIterator[Bed]:
    """Two new chains, chain id -> selector; a block for each transaction."""
    named = list((chains or {31337: 7759470850252068959, 1337: 3379446385462418246}).items())
    roles = (Role.HOME_DEPLOYER, Role.REMOTE_DEPLOYER)
    async with contextlib.AsyncExitStack() as stack:
        sides = []
        for name, (chain_id, selector), role in zip(("home", "remote"), named, roles, strict=True):
            anvil = await stack.enter_async_context(Anvil(AnvilOptions(chain_id=ChainId(chain_id))))
            node = await stack.enter_async_context(NodeClient(anvil.url, ChainId(chain_id)))
            admin = Wallet(node, RawKeySigner.from_hex(account(role).private_key))
            sides.append(Side(name, Selector(selector), node, admin, anvil, role))
        yield await open_bed((sides[0], sides[1]), version)


@pytest.fixture
async def bed() -> AsyncIterator[Bed]:
    async with start_bed() as started:
        yield started
