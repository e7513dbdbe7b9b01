"""Deploys CCIP 1.6 on two chains and opens a lane in each direction.

Model: a `Draft` collects the transactions of one account on one chain. The address of a contract follows from the
sender and the nonce, so every constructor can name contracts that do not exist yet, and all transactions of a chain
go to its node in one request.

What a lane needs, as found on the real bytecode: the router knows the OnRamp and
the OffRamp; the NonceManager lets both ramps call it; the FeeQuoter lets the OffRamp write prices and has prices for
LINK, for the wrapped native token and for the destination's gas; the OffRamp knows the source's OnRamp as
`abi.encode(address)` and two OCR configurations: commit with signatures, execution without.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from seamark.core.ids import Address, ChainId, Selector
from seamark.devnet.accounts import DON_SIGNERS, Role, account
from seamark.devnet.artifacts import ccip_artifact
from seamark.devnet.ccip.reports import COMMIT_DIGEST, EXECUTE_DIGEST, F, Prices
from seamark.devnet.deployment import ChainDeployment
from seamark.devnet.node_client import NodeClient, Tx, Wallet, create_address
from seamark.evm import artifacts
from seamark.evm.abi import compile_encoder, parse_params
from seamark.evm.artifacts import Artifact
from seamark.evm.signers import RawKeySigner

__all__ = ["ChainPlan", "Draft", "Ramps", "deploy_chains", "devnet_prices", "open_draft", "require_artifacts"]

NO_ADDRESS = Address("0x" + "00" * 20)
DEPLOY_GAS = 8_000_000  # the largest, the OffRamp, takes 5.5 million
CALL_GAS = 1_500_000
E18 = 10**18
LINK_SUPPLY = 10**9 * E18
LINK_USD, NATIVE_USD = 15 * E18, 3000 * E18
GAS_USD = 10**12  # US dollars with 18 decimals for a unit of the destination's gas: 0.3 gwei at 3,000 USD
MAX_FEE_JUELS = 10**6 * E18
PRICE_STALE_S = 86_400
GAS_FOR_CALL_EXACT_CHECK = 5_000  # mainnet's value
MANUAL_AFTER_S = 3600  # from then on anybody may execute what the network did not; mainnet has 8 hours
EVM_FAMILY = bytes.fromhex("2812d52c")
LINK_PREMIUM, NATIVE_PREMIUM = 9 * E18 // 10, E18  # LINK fees are 10 % lower, as on mainnet
_encode_address = compile_encoder(parse_params("address"))

# DestChainConfig of the FeeQuoter, in its order.
_DEST_CONFIG = (
    True,  # isEnabled
    10,  # maxNumberOfTokensPerMsg
    30_000,  # maxDataBytes
    3_000_000,  # maxPerMsgGasLimit
    300_000,  # destGasOverhead
    16,  # destGasPerPayloadByteBase
    40,  # destGasPerPayloadByteHigh
    3_000,  # destGasPerPayloadByteThreshold
    100,  # destDataAvailabilityOverheadGas
    16,  # destGasPerDataAvailabilityByte
    1,  # destDataAvailabilityMultiplierBps
    EVM_FAMILY,  # chainFamilySelector
    False,  # enforceOutOfOrder
    25,  # defaultTokenFeeUSDCents
    90_000,  # defaultTokenDestGasOverhead
    200_000,  # defaultTxGasLimit
    E18,  # gasMultiplierWeiPerEth
    0,  # gasPriceStalenessThreshold: gas prices never get too old
    10,  # networkFeeUSDCents
)


@dataclass(frozen=True, slots=True)
class ChainPlan:
    """A chain to deploy on, and who deploys."""

    name: str
    chain_id: ChainId
    selector: Selector
    deployer: Role
    free_gas: bool = False


@dataclass
class Draft:
    """Transactions of one account, with the addresses of the contracts that they will create."""

    wallet: Wallet
    nonce: int
    txs: list[Tx] = field(default_factory=list)

    def deploy(self, artifact: Artifact, *arguments: Any) -> Address:
        """Add a contract; returns where it will be."""
        address = create_address(self.wallet.address, self.nonce + len(self.txs))
        data = artifact.creation(*arguments)
        self.txs.append(Tx(None, data, gas=DEPLOY_GAS, label=f"deploy {artifact.name}"))
        return address

    def call(self, artifact: Artifact, to: Address, function: str, *arguments: Any, value: int = 0) -> None:
        """Add a call."""
        data = artifact.abi.encode_call(function, *arguments)
        self.txs.append(Tx(to, data, value=value, gas=CALL_GAS, label=f"{artifact.name}.{function}"))

    def transfer(self, to: Address, value: int) -> None:
        """Add a plain transfer of native currency."""
        self.txs.append(Tx(to, b"", value=value, gas=100_000, label=f"transfer to {to}"))

    async def send(self) -> tuple[int, int]:
        """Send everything; returns the numbers of the first and the last block it went into."""
        receipts = await self.wallet.run(self.txs)
        self.nonce += len(self.txs)
        self.txs = []
        numbers = [receipt.block_number for receipt in receipts]
        return min(numbers), max(numbers)


async def open_draft(node: NodeClient, role: Role) -> Draft:
    """An empty draft at the account's next nonce."""
    wallet = Wallet(node, RawKeySigner.from_hex(account(role).private_key))
    return Draft(wallet, await wallet.nonce())


@dataclass
class Ramps:
    """The contracts of one chain while they are being deployed."""

    plan: ChainPlan
    peer: Selector
    draft: Draft
    at: dict[str, Address] = field(default_factory=dict)

    def add(self, name: str, artifact: Artifact, *arguments: Any) -> Address:
        self.at[name] = self.draft.deploy(artifact, *arguments)
        return self.at[name]


async def deploy_chains(
    plans: tuple[ChainPlan, ChainPlan], nodes: tuple[NodeClient, NodeClient]
) -> tuple[ChainDeployment, ChainDeployment]:
    """Deploy on both chains at once and open both lanes."""
    drafts = await asyncio.gather(*(open_draft(node, plan.deployer) for node, plan in zip(nodes, plans, strict=True)))
    one = Ramps(plans[0], plans[1].selector, drafts[0])
    other = Ramps(plans[1], plans[0].selector, drafts[1])
    for ramps in (one, other):
        _add_base(ramps)
        _add_ramps(ramps)
    _open_lane(one, other)
    _open_lane(other, one)
    first, second = await asyncio.gather(_finish(one, nodes[0]), _finish(other, nodes[1]))
    return first, second


def devnet_prices(chain: ChainDeployment, peer: Selector) -> Prices:
    """What the FeeQuoter of a chain is told."""
    return Prices(((chain.link, LINK_USD), (chain.wrapped_native, NATIVE_USD)), ((peer, GAS_USD),))


def _add_base(ramps: Ramps) -> None:
    admin = ramps.draft.wallet.address
    native = ramps.add("wrapped_native", artifacts.load("WrappedNative"))
    token = ccip_artifact("v1_5_1", "factory_burn_mint_erc20")
    ramps.add("link", token, "ChainLink Token", "LINK", 18, 0, LINK_SUPPLY, admin)
    rmn = ramps.add("rmn_remote", ccip_artifact("v1_6_0", "rmn_remote"), ramps.plan.selector, NO_ADDRESS)
    proxy = ramps.add("arm_proxy", ccip_artifact("v1_0_0", "rmn_proxy_contract"), rmn)
    ramps.add("router", ccip_artifact("latest", "router"), native, proxy)
    ramps.add("token_admin_registry", ccip_artifact("v1_5_0", "token_admin_registry"))
    ramps.add("nonce_manager", ccip_artifact("v1_6_0", "nonce_manager"), [])
    ramps.add("message_hasher", ccip_artifact("v1_6_0", "message_hasher"))
    ramps.add("test_receiver", ccip_artifact("v1_6_0", "maybe_revert_message_receiver"), False)


def _add_ramps(ramps: Ramps) -> None:
    at, admin, selector = ramps.at, ramps.draft.wallet.address, ramps.plan.selector
    quoter = ccip_artifact("v1_6_0", "fee_quoter")
    tokens = [at["link"], at["wrapped_native"]]
    premiums = [(at["link"], LINK_PREMIUM), (at["wrapped_native"], NATIVE_PREMIUM)]
    static = (MAX_FEE_JUELS, at["link"], PRICE_STALE_S)
    dest = [(ramps.peer, _DEST_CONFIG)]
    ramps.add("fee_quoter", quoter, static, [admin], tokens, [], [], premiums, dest)
    prices = ([(at["link"], LINK_USD), (at["wrapped_native"], NATIVE_USD)], [(ramps.peer, GAS_USD)])
    ramps.draft.call(quoter, at["fee_quoter"], "updatePrices", prices)
    ramps.add(
        "onramp",
        ccip_artifact("v1_6_0", "onramp"),
        (selector, at["arm_proxy"], at["nonce_manager"], at["token_admin_registry"]),
        (at["fee_quoter"], False, NO_ADDRESS, admin, NO_ADDRESS),
        [(ramps.peer, at["router"], False)],
    )
    ramps.add(
        "offramp",
        ccip_artifact("v1_6_0", "offramp"),
        (selector, GAS_FOR_CALL_EXACT_CHECK, at["arm_proxy"], at["token_admin_registry"], at["nonce_manager"]),
        (at["fee_quoter"], MANUAL_AFTER_S, NO_ADDRESS),
        [],
    )
    nonces = ccip_artifact("v1_6_0", "nonce_manager")
    ramps.draft.call(nonces, at["nonce_manager"], "applyAuthorizedCallerUpdates", ([at["onramp"], at["offramp"]], []))
    ramps.draft.call(quoter, at["fee_quoter"], "applyAuthorizedCallerUpdates", ([at["offramp"]], []))
    _configure_ocr(ramps)


def _configure_ocr(ramps: Ramps) -> None:
    signers = [RawKeySigner.from_hex(key).address for key in DON_SIGNERS]
    commit = (COMMIT_DIGEST, 0, F, True, signers, [account(Role.COMMITTER).address])
    execute: tuple[object, ...] = (EXECUTE_DIGEST, 1, F, False, [], [account(Role.EXECUTOR).address])
    ramps.draft.call(ccip_artifact("v1_6_0", "offramp"), ramps.at["offramp"], "setOCR3Configs", [commit, execute])


def _open_lane(source: Ramps, dest: Ramps) -> None:
    router, offramp = ccip_artifact("latest", "router"), ccip_artifact("v1_6_0", "offramp")
    to, from_ = dest.plan.selector, source.plan.selector
    source.draft.call(router, source.at["router"], "applyRampUpdates", [(to, source.at["onramp"])], [], [])
    dest.draft.call(router, dest.at["router"], "applyRampUpdates", [], [], [(from_, dest.at["offramp"])])
    config = (dest.at["router"], from_, True, True, _encode_address([source.at["onramp"]]))
    dest.draft.call(offramp, dest.at["offramp"], "applySourceChainConfigUpdates", [config])


async def _finish(ramps: Ramps, node: NodeClient) -> ChainDeployment:
    first, last = await ramps.draft.send()
    anchor = await node.block_hash(last)
    assert anchor is not None
    plan = ramps.plan
    return ChainDeployment(
        name=plan.name,
        chain_id=plan.chain_id,
        selector_text=str(plan.selector),
        free_gas=plan.free_gas,
        first_block=first,
        anchor_block=last,
        anchor_hash=anchor,
        **ramps.at,
    )


def require_artifacts() -> None:
    """Read everything that a deployment needs of the npm package; raises `StopError` where something is missing."""
    names = [("v1_5_1", "factory_burn_mint_erc20"), ("v1_0_0", "rmn_proxy_contract"), ("latest", "router")]
    names += [("v1_5_0", "token_admin_registry")]
    names += [("v1_6_0", name) for name in ("rmn_remote", "nonce_manager", "fee_quoter", "onramp", "offramp")]
    names += [("v1_6_0", name) for name in ("message_hasher", "maybe_revert_message_receiver")]
    for version, name in names:
        ccip_artifact(version, name)
