"""The published CCIP 2.0.0 contracts on two chains, with verifiers and executor played by hand.

    from tests.support.ccip_v2_0 import Bed, bed  # noqa: F401 - a fixture

    async def test_something(bed: Bed):
        (message,) = await bed.send(bed.home, bed.remote)
        await bed.execute(message)                      # a committee of 3 signs, two signatures are handed over

A committee verifier behind a resolver, an executor, a fee quoter, RMN 2.0, a burn-and-mint token with a 2.0 pool on
each chain. Facts that the deployment must respect, found on the real bytecode: a signature is (r, s) for v = 27, so s
is flipped where v is 28; signatures are ordered by signer; what is signed is keccak(tag, message id).

`open_bed` puts the same contracts beside those of another generation, on the same routers.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from seamark.core.ids import Address, ChainId, Hash32, Selector
from seamark.devnet.accounts import Role, account
from seamark.devnet.anvil import Anvil, AnvilOptions
from seamark.devnet.artifacts import ccip_artifact
from seamark.devnet.ccip.contracts import DEPLOY_GAS, Draft, open_draft
from seamark.devnet.ccip.model import ExecutionState
from seamark.devnet.ccip.ramp_messages import CCIP_SEND
from seamark.devnet.node_client import NodeClient, Tx, Wallet
from seamark.evm import artifacts
from seamark.evm.abi import Abi, compile_encoder, parse_params
from seamark.evm.artifacts import Artifact
from seamark.evm.crypto import keccak256
from seamark.evm.signers import RawKeySigner
from seamark.evm.types import Receipt
from seamark.messages.protocols.ccip.v2_0.codec import MessageV1, decode_message

__all__ = ["NO_EXECUTION", "TAG", "Bed", "SentMessage", "Side", "bed", "extra_args_v3", "open_bed", "start_bed"]

TAG: Final = bytes.fromhex("49ff34ed")  # the committee verifier's version tag; any other would do
NO_EXECUTION: Final = Address("0xeba517d2" + "00" * 16)
EXTRA_ARGS_V3: Final = bytes.fromhex("a69dd4aa")
ZERO: Final = Address("0x" + "00" * 20)
SAFE_OR_ONE_BLOCK: Final = bytes.fromhex("00010001")  # allowed finality: the safe tag, or one block and more
E18: Final = 10**18
MAX_S: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141  # the curve's order
SIGNERS: Final = sorted(
    (RawKeySigner(keccak256(f"seamark test committee {number}".encode())) for number in (1, 2, 3)),
    key=lambda signer: signer.address,
)
THRESHOLD: Final = 2
EXECUTE_GAS: Final = 2_000_000
GLOBAL_CURSE: Final = bytes.fromhex("01" + "00" * 14 + "01")
V2: Final = "v2_0_0"
_encode_address = compile_encoder(parse_params("address"))

# DestChainConfig of FeeQuoter 2.0, in its order.
_QUOTER_DEST = (True, 30_000, 3_000_000, 300_000, 16, bytes.fromhex("2812d52c"), 25, 90_000, 200_000, 10, 90)


@dataclass
class Side:
    """One chain of the bed; `at` holds its contracts by name."""

    name: str
    selector: Selector
    node: NodeClient
    admin: Wallet
    anvil: Anvil | None
    at: dict[str, Address] = field(default_factory=dict)

    @property
    def chain_id(self) -> ChainId:
        return self.node.chain_id

    @property
    def url(self) -> str:
        return self.node.url

    def __getattr__(self, name: str) -> Address:
        try:
            found: Address = self.__dict__["at"][name]
        except KeyError:
            raise AttributeError(name) from None
        return found


@dataclass(frozen=True)
class SentMessage:
    """A message as its source sent it."""

    message_id: Hash32
    encoded: bytes
    source: Side
    destination: Side
    transaction: Hash32
    block_number: int
    receipts: tuple[Any, ...]

    @property
    def fields(self) -> MessageV1:
        return decode_message(self.encoded)


def extra_args_v3(
    gas_limit: int = 200_000,
    *,
    finality: str = "00000000",
    ccvs: Sequence[Address] = (),
    executor: Address | None = None,
) -> bytes:
    """GenericExtraArgsV3: packed, without arguments for verifiers, executor or token."""
    listed = b"".join(bytes([20]) + bytes.fromhex(ccv[2:]) + bytes(2) for ccv in ccvs)
    chosen = bytes([20]) + bytes.fromhex(executor[2:]) if executor else bytes(1)
    head = EXTRA_ARGS_V3 + gas_limit.to_bytes(4) + bytes.fromhex(finality) + bytes([len(ccvs)])
    return head + listed + chosen + bytes(2) + bytes(1) + bytes(2)


class Bed:
    """Two sides with lanes in both directions."""

    def __init__(self, home: Side, remote: Side) -> None:
        self.home, self.remote = home, remote
        self.executor = {side.name: _wallet(side, Role.EXECUTOR) for side in (home, remote)}
        self.stranger = {side.name: _wallet(side, Role.USER) for side in (home, remote)}
        self.on_ramp = ccip_artifact(V2, "onramp").abi
        self.off_ramp = ccip_artifact(V2, "offramp").abi

    def other(self, side: Side) -> Side:
        return self.remote if side is self.home else self.home

    # ---- source -----------------------------------------------------------------------------------------------------

    async def send(
        self,
        source: Side,
        destination: Side,
        *,
        count: int = 1,
        receiver: Address | None = None,
        data: bytes = b"hello",
        in_link: bool = False,
        extra: bytes | None = None,
        tokens: Sequence[tuple[Address, int]] = (),
    ) -> list[SentMessage]:
        """`ccipSend` through the router, `count` times; the default receiver may be told to revert."""
        to = _encode_address([receiver or destination.receiver])
        args = extra_args_v3() if extra is None else extra
        message: tuple[Any, ...] = (to, data, list(tokens), source.link if in_link else ZERO, args)
        router = ccip_artifact("latest", "router").abi
        fee = await source.node.read(source.router, router.function("getFee"), destination.selector, message)
        token = ccip_artifact("v1_5_1", "factory_burn_mint_erc20").abi
        allowed = [(address, amount * count) for address, amount in tokens]
        if in_link:
            allowed.append((source.link, fee * count))
        txs = [Tx(address, token.encode_call("approve", source.router, amount)) for address, amount in allowed]
        call = CCIP_SEND.encode(destination.selector, message)
        txs += [Tx(source.router, call, 0 if in_link else fee, label="ccipSend")] * count
        receipts = await source.admin.run(txs, abi=Abi(errors=[*router.errors, *self.on_ramp.errors]))
        return [found for receipt in receipts for found in self.sends(receipt, source)]

    def sends(self, receipt: Receipt, source: Side) -> list[SentMessage]:
        """The messages that a transaction sent."""
        event = self.on_ramp.event("CCIPMessageSent")
        found = []
        for entry in receipt.logs:
            if entry.address != source.on_ramp or entry.topics[0] != event.topic0:
                continue
            record = event.decode(entry)
            found.append(
                SentMessage(
                    message_id=Hash32("0x" + record.messageId.hex()),
                    encoded=record.encodedMessage,
                    source=source,
                    destination=self.other(source),
                    transaction=entry.transaction_hash,
                    block_number=entry.block_number,
                    receipts=tuple(record.receipts),
                )
            )
        return found

    # ---- verifiers and executor -------------------------------------------------------------------------------------

    async def verify(self, message: SentMessage, *, signatures: int = THRESHOLD) -> tuple[list[Address], list[bytes]]:
        """What the committee gives an executor: verifiers and their results, in the same order."""
        return [message.destination.resolver], [await self.attest(message.message_id, signatures=signatures)]

    @staticmethod
    async def attest(message_id: Hash32, *, signatures: int = THRESHOLD) -> bytes:
        """Tag, length, and the signatures of the first members by address."""
        preimage = TAG + bytes.fromhex(message_id[2:])
        parts = []
        for signer in SIGNERS[:signatures]:
            parity, r, s = await signer.sign(preimage)
            parts.append(r.to_bytes(32) + (MAX_S - s if parity else s).to_bytes(32))
        return TAG + (64 * signatures).to_bytes(2) + b"".join(parts)

    async def execute(
        self,
        message: SentMessage,
        *,
        results: Sequence[bytes] | None = None,
        gas_limit_override: int = 0,
        gas: int = EXECUTE_GAS,
        wallet: Wallet | None = None,
    ) -> ExecutionState:
        """One attempt; returns the state that it left. Raises `CallFailed` where the OffRamp refuses."""
        ccvs, proofs = await self.verify(message)
        given = proofs if results is None else list(results)
        data = self.off_ramp.encode_call("execute", message.encoded, ccvs, given, gas_limit_override)
        sender = wallet or self.executor[message.destination.name]
        await sender.run([Tx(message.destination.off_ramp, data, gas=gas, label="execute")], abi=self.off_ramp)
        return await self.state(message)

    async def execute_with_bogus_proof(self, message: SentMessage, proof: bytes = bytes(10)) -> ExecutionState:
        """What anybody can do to a message that is sound: an attempt that must fail."""
        return await self.execute(message, results=[proof], wallet=self.stranger[message.destination.name])

    async def state(self, message: SentMessage) -> ExecutionState:
        """What the OffRamp says of a message."""
        function = self.off_ramp.function("getExecutionState")
        side = message.destination
        return ExecutionState(await side.node.read(side.off_ramp, function, bytes.fromhex(message.message_id[2:])))

    # ---- faults and administration ----------------------------------------------------------------------------------

    async def set_receiver_reverts(self, side: Side, reverts: bool) -> None:
        """Tell the default receiver of a side to revert, or to stop that."""
        await self.call(side, ccip_artifact(V2, "maybe_revert_message_receiver"), "receiver", "setRevert", reverts)

    async def curse(self, side: Side, source: Selector | None = None) -> None:
        """Curse one other chain, or everything."""
        await self.call(side, ccip_artifact(V2, "rmn"), "rmn", "curse(bytes16)", _subject(source))

    async def uncurse(self, side: Side, source: Selector | None = None) -> None:
        await self.call(side, ccip_artifact(V2, "rmn"), "rmn", "uncurse(bytes16)", _subject(source))

    async def call(self, side: Side, artifact: Artifact, contract: str, function: str, *arguments: Any) -> Receipt:
        """One administrative call of a contract by its name in the bed."""
        data = artifact.abi.encode_call(function, *arguments)
        (receipt,) = await side.admin.run([Tx(side.at[contract], data, label=function)], abi=artifact.abi)
        return receipt

    async def replace_on_ramp(self, source: Side, destination: Side, *, keep_old: bool = True) -> None:
        """A second OnRamp takes the first one's place on the router; the OffRamp accepts messages of both, or of the
        new one alone.
        """
        draft = Draft(source.admin, await source.admin.nonce())
        old, at = source.at.pop("on_ramp"), source.at
        static = (source.selector, at["arm_proxy"], 100_000, at["registry"])
        _add(source, draft, "on_ramp", ccip_artifact(V2, "onramp"), static, (at["quoter"], False, source.admin.address))
        _route(source, destination, draft)
        await draft.send()
        accepted = [_encode_address([ramp]) for ramp in ((old, source.on_ramp) if keep_old else (source.on_ramp,))]
        accept: tuple[Any, ...] = (destination.router, source.selector, True, accepted, [destination.resolver], [])
        await self.call(
            destination, ccip_artifact(V2, "offramp"), "off_ramp", "applySourceChainConfigUpdates", [accept]
        )

    async def deploy_receiver_v2(self, side: Side, *, allowed_finality: str = "00000000") -> Address:
        """A receiver that says which finality it accepts; needs no verifiers of its own."""
        artifact = ccip_artifact(V2, "mock_receiver_v2")
        (receipt,) = await side.admin.run([Tx(None, artifact.creation([], [], 0), gas=DEPLOY_GAS)])
        assert receipt.contract_address is not None
        data = artifact.abi.encode_call("setAllowedFinalityConfig", bytes.fromhex(allowed_finality))
        await side.admin.run([Tx(receipt.contract_address, data)])
        return receipt.contract_address

    async def finalize(self, side: Side) -> None:
        """Make everything so far final on a side: two more blocks."""
        assert side.anvil is not None
        await side.anvil.mine(2)


def _subject(source: Selector | None) -> bytes:
    return GLOBAL_CURSE if source is None else source.to_bytes(16)


def _wallet(side: Side, role: Role) -> Wallet:
    return Wallet(side.node, RawKeySigner.from_hex(account(role).private_key))


# ---- deployment ------------------------------------------------------------------------------------------------------


async def open_bed(sides: tuple[Side, Side], *, roles: tuple[Role, Role]) -> Bed:
    """Deploy on two chains and open both lanes.

    What `at` holds already (router, arm_proxy, link, wrapped_native, registry) is used, the rest is deployed. On
    routers that have ramps, the OnRamps are replaced and the OffRamps come beside the old ones: a migration.
    """
    drafts = [await open_draft(side.node, role) for side, role in zip(sides, roles, strict=True)]
    one, other = sides
    for side, peer, draft in ((one, other, drafts[0]), (other, one, drafts[1])):
        _add_base(side, draft)
        _add_ramps(side, peer, draft)
    _open_lane(one, other, drafts[0], drafts[1])
    _open_lane(other, one, drafts[1], drafts[0])
    for draft in drafts:
        await draft.send()
    return Bed(one, other)


def _add(side: Side, draft: Draft, name: str, artifact: Artifact, *arguments: Any) -> Address:
    if name not in side.at:
        side.at[name] = draft.deploy(artifact, *arguments)
    return side.at[name]


def _add_base(side: Side, draft: Draft) -> None:
    admin = draft.wallet.address
    erc20 = ccip_artifact("v1_5_1", "factory_burn_mint_erc20")
    native = _add(side, draft, "wrapped_native", artifacts.load("WrappedNative"))
    _add(side, draft, "link", erc20, "ChainLink Token", "LINK", 18, 0, 10**9 * E18, admin)
    if "arm_proxy" not in side.at:
        rmn = _add(side, draft, "rmn", ccip_artifact(V2, "rmn"), [admin])
        _add(side, draft, "arm_proxy", ccip_artifact("v1_0_0", "rmn_proxy_contract"), rmn)
    _add(side, draft, "router", ccip_artifact("latest", "router"), native, side.at["arm_proxy"])
    _add(side, draft, "registry", ccip_artifact("v1_5_0", "token_admin_registry"))
    _add(side, draft, "receiver", ccip_artifact(V2, "maybe_revert_message_receiver"), False)
    _add(side, draft, "token", erc20, "Test Token", "TEST", 18, 0, 10**6 * E18, admin)
    pool = ccip_artifact(V2, "burn_mint_token_pool")
    _add(side, draft, "pool", pool, side.token, 18, ZERO, side.at["arm_proxy"], side.router)
    registry = ccip_artifact("v1_5_0", "token_admin_registry")
    draft.call(erc20, side.token, "grantMintAndBurnRoles", side.pool)
    draft.call(registry, side.registry, "proposeAdministrator", side.token, admin)
    draft.call(registry, side.registry, "acceptAdminRole", side.token)
    draft.call(registry, side.registry, "setPool", side.token, side.pool)


def _add_ramps(side: Side, peer: Side, draft: Draft) -> None:
    at, admin = side.at, draft.wallet.address
    quoter = ccip_artifact(V2, "fee_quoter")
    _add(side, draft, "quoter", quoter, (10**24, at["link"]), [admin], [], [(peer.selector, _QUOTER_DEST)])
    tokens = [(at["link"], 15 * E18), (at["wrapped_native"], 3000 * E18)]
    draft.call(quoter, at["quoter"], "updatePrices", (tokens, [(peer.selector, 10**12)]))
    verifier = ccip_artifact(V2, "committee_verifier")
    _add(side, draft, "verifier", verifier, (admin, ZERO), ["https://storage.example"], at["arm_proxy"], TAG)
    draft.call(verifier, at["verifier"], "setAllowedFinalityConfig", SAFE_OR_ONE_BLOCK)
    _add(side, draft, "resolver", ccip_artifact(V2, "versioned_verifier_resolver"))
    _add(side, draft, "fee_executor", ccip_artifact(V2, "executor"), 5, (admin, SAFE_OR_ONE_BLOCK, False))
    static = (side.selector, at["arm_proxy"], 100_000, at["registry"])
    _add(side, draft, "on_ramp", ccip_artifact(V2, "onramp"), static, (at["quoter"], False, admin))
    limits = (side.selector, 5_000, at["arm_proxy"], at["registry"], 12_000)
    _add(side, draft, "off_ramp", ccip_artifact(V2, "offramp"), limits)


def _open_lane(source: Side, dest: Side, here: Draft, there: Draft) -> None:
    verifier, resolver = ccip_artifact(V2, "committee_verifier"), ccip_artifact(V2, "versioned_verifier_resolver")
    to, from_ = dest.selector, source.selector
    remote = (source.router, to, False, 5, 50_000, 400)
    here.call(verifier, source.verifier, "applyRemoteChainConfigUpdates", [remote])
    here.call(resolver, source.resolver, "applyOutboundImplementationUpdates", [(to, source.verifier)])
    here.call(ccip_artifact(V2, "executor"), source.fee_executor, "applyDestChainUpdates", [], [(to, (7, True))])
    _route(source, dest, here)
    limits = (False, 0, 0)
    pool = (to, [_encode_address([dest.pool])], _encode_address([dest.token]), limits, limits)
    here.call(ccip_artifact(V2, "burn_mint_token_pool"), source.pool, "applyChainUpdates", [], [pool])

    quorum = (from_, THRESHOLD, [signer.address for signer in SIGNERS])
    there.call(verifier, dest.verifier, "applySignatureConfigs", [], [quorum])
    there.call(resolver, dest.resolver, "applyInboundImplementationUpdates", [(TAG, dest.verifier)])
    accept: tuple[Any, ...] = (dest.router, from_, True, [_encode_address([source.on_ramp])], [dest.resolver], [])
    there.call(ccip_artifact(V2, "offramp"), dest.off_ramp, "applySourceChainConfigUpdates", [accept])
    router = ccip_artifact("latest", "router")
    there.call(router, dest.router, "applyRampUpdates", [], [], [(from_, dest.off_ramp)])


def _route(source: Side, dest: Side, here: Draft) -> None:
    """The OnRamp learns its destination, the router its OnRamp."""
    to, off_ramp = dest.selector, bytes.fromhex(dest.off_ramp[2:])
    config: tuple[Any, ...] = (to, source.router, 20, False, 10, 25, 100_000, [source.resolver], [])
    ends = (*config, source.fee_executor, off_ramp)
    here.call(ccip_artifact(V2, "onramp"), source.on_ramp, "applyDestChainConfigUpdates", [ends])
    here.call(ccip_artifact("latest", "router"), source.router, "applyRampUpdates", [(to, source.on_ramp)], [], [])


@contextlib.asynccontextmanager
async def start_bed(chains: Mapping[int, int] | None = None) -> AsyncIterator[Bed]:
    """Two new chains, chain id -> selector; free gas, a block for each transaction."""
    named = list((chains or {31337: 7759470850252068959, 1337: 3379446385462418246}).items())
    roles = (Role.HOME_DEPLOYER, Role.REMOTE_DEPLOYER)
    async with contextlib.AsyncExitStack() as stack:
        sides = []
        for name, (chain_id, selector), role in zip(("home", "remote"), named, roles, strict=True):
            anvil = await stack.enter_async_context(Anvil(AnvilOptions(chain_id=ChainId(chain_id))))
            node = await stack.enter_async_context(NodeClient(anvil.url, ChainId(chain_id)))
            admin = Wallet(node, RawKeySigner.from_hex(account(role).private_key))
            sides.append(Side(name, Selector(selector), node, admin, anvil))
        yield await open_bed((sides[0], sides[1]), roles=roles)


@pytest.fixture
async def bed() -> AsyncIterator[Bed]:
    async with start_bed() as started:
        yield started
