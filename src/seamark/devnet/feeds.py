"""Our own contracts on a devnet: for each feed an OracleWithCCIP on the home chain and an OracleReceiver on the remote.

Half of the demonstration pays its CCIP fees in LINK and half in native currency, each from the aggregator's own
balance.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from seamark.core.ids import Address, Hash32
from seamark.core.units import to_base_units
from seamark.devnet.accounts import Role, account
from seamark.devnet.artifacts import ccip_artifact
from seamark.devnet.ccip.contracts import NO_ADDRESS, Draft, open_draft
from seamark.devnet.ccip.ramp_messages import extra_args_v2
from seamark.devnet.deployment import ChainDeployment, FeedDeployment
from seamark.devnet.node_client import NodeClient
from seamark.evm import artifacts
from seamark.evm.abi import compile_encoder, parse_params
from seamark.evm.crypto import keccak256

__all__ = ["FeedPlan", "deploy_feeds", "feed_id"]

E18 = 10**18
RECEIVER_GAS = 200_000  # what a delivery may use; measured need 130,000
LINK_FUNDS, NATIVE_FUNDS = 100_000 * E18, 1_000 * E18  # for about a million messages
OPERATOR_LINK = 1_000 * E18  # for refills
MAX_LINK_FEE, MAX_NATIVE_FEE = 10 * E18, E18 // 20  # some ten times the quoted fee
PUBLISHER_ROLE, PAUSER_ROLE, OPERATOR_ROLE = (
    keccak256(name.encode()) for name in ("PUBLISHER_ROLE", "PAUSER_ROLE", "OPERATOR_ROLE")
)
_encode_address = compile_encoder(parse_params("address"))


@dataclass(frozen=True, slots=True)
class FeedPlan:
    """One feed. Prices outside `lowest`..`highest` are refused on chain; `max_step_bps` 0 sets no limit on a step."""

    symbol: str
    decimals: int = 8
    lowest: Decimal = Decimal("0.0001")
    highest: Decimal = Decimal(10_000_000)
    max_step_bps: int = 0
    fee_currency: Literal["link", "native"] = "link"
    min_deviation_bps: int = 0
    min_interval_s: int = 0


def feed_id(symbol: str) -> Hash32:
    """The identifier that both contracts of a feed carry: the hash of its symbol."""
    return Hash32("0x" + keccak256(symbol.encode()).hex())


async def deploy_feeds(
    plans: Sequence[FeedPlan],
    home: ChainDeployment,
    remote: ChainDeployment,
    nodes: tuple[NodeClient, NodeClient],
) -> tuple[FeedDeployment, ...]:
    """Deploy, grant roles, connect and fund all feeds, on both chains at once."""
    here, there = await asyncio.gather(
        open_draft(nodes[0], Role.HOME_DEPLOYER), open_draft(nodes[1], Role.REMOTE_DEPLOYER)
    )
    feeds = []
    for plan in plans:
        feed = FeedDeployment(
            symbol=plan.symbol,
            feed_id=feed_id(plan.symbol),
            decimals=plan.decimals,
            fee_currency=plan.fee_currency,
            aggregator=_add_aggregator(here, plan, home),
            receiver=_add_receiver(there, plan, remote),
        )
        here.call(
            artifacts.load("OracleWithCCIP"),
            feed.aggregator,
            "setDestination",
            remote.selector,
            _destination(plan, feed.receiver, home.link),
        )
        there.call(artifacts.load("OracleReceiver"), feed.receiver, "setAllowedSender", home.selector, feed.aggregator)
        feeds.append(feed)
    if any(plan.fee_currency == "link" for plan in plans):
        token = ccip_artifact("v1_5_1", "factory_burn_mint_erc20")
        here.call(token, home.link, "transfer", account(Role.OPERATOR).address, OPERATOR_LINK)
    if feeds:
        await asyncio.gather(here.send(), there.send())
    return tuple(feeds)


def _config(plan: FeedPlan) -> tuple[str, str, int, int, int, int]:
    low, high = (to_base_units(bound, plan.decimals) for bound in (plan.lowest, plan.highest))
    return feed_id(plan.symbol), plan.symbol.replace("/", " / "), plan.decimals, low, high, plan.max_step_bps


def _add_aggregator(draft: Draft, plan: FeedPlan, chain: ChainDeployment) -> Address:
    artifact = artifacts.load("OracleWithCCIP")
    address = draft.deploy(artifact, _config(plan), draft.wallet.address, chain.router, chain.link)
    grants = [
        (PUBLISHER_ROLE, Role.PUBLISHER),
        (PUBLISHER_ROLE, Role.SECOND_PUBLISHER),
        (PAUSER_ROLE, Role.OPERATOR),
        (OPERATOR_ROLE, Role.OPERATOR),
    ]
    for role, holder in grants:
        draft.call(artifact, address, "grantRole", role, account(holder).address)
    if plan.fee_currency == "link":
        token = ccip_artifact("v1_5_1", "factory_burn_mint_erc20")
        draft.call(token, chain.link, "transfer", address, LINK_FUNDS)
    else:
        draft.transfer(address, NATIVE_FUNDS)
    return address


def _add_receiver(draft: Draft, plan: FeedPlan, chain: ChainDeployment) -> Address:
    artifact = artifacts.load("OracleReceiver")
    address = draft.deploy(artifact, _config(plan), draft.wallet.address, chain.router)
    for role in (PAUSER_ROLE, OPERATOR_ROLE):
        draft.call(artifact, address, "grantRole", role, account(Role.OPERATOR).address)
    return address


def _destination(plan: FeedPlan, receiver: Address, link: Address) -> tuple[object, ...]:
    """`OracleWithCCIP.Destination`, in its order."""
    in_link = plan.fee_currency == "link"
    return (
        _encode_address([receiver]),
        extra_args_v2(RECEIVER_GAS),
        link if in_link else NO_ADDRESS,
        MAX_LINK_FEE if in_link else MAX_NATIVE_FEE,
        plan.min_deviation_bps,
        plan.min_interval_s,
        True,
    )
