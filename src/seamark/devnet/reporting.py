"""The world around a reporting network on one machine: a chain, its OCR2 contracts, venues, and venues that lie.

It knows contracts and processes, and nothing of the protocol: what nodes agree on comes in as the calldata of
setConfig, and how a node fares is read from its metrics as Prometheus reads them.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import aiohttp

from seamark.core.ids import Address, ChainId
from seamark.devnet.accounts import Role, account
from seamark.devnet.anvil import Anvil, AnvilOptions, free_port
from seamark.devnet.ccip.contracts import Draft, open_draft
from seamark.devnet.market import DEFAULT_ASSETS, Market, MarketModel, VenueFault, VenueFaultKind
from seamark.devnet.node_client import NodeClient, Tx, Wallet
from seamark.devnet.venues import VenueServer
from seamark.evm import artifacts
from seamark.evm.signers import RawKeySigner
from seamark.runtime.clock import Clock, SystemClock

__all__ = [
    "CRASH_EVERY_S",
    "USD_VENUES",
    "Fault",
    "LatestRound",
    "NodeGauges",
    "ReportingWorld",
    "WorldPlan",
    "free_ports",
    "read_gauges",
]

USD_VENUES: Final = ("coinbase", "kraken", "bitstamp", "gemini")  # those that quote in dollars
SET_CONFIG_GAS: Final = 15_000_000  # 31 nodes write some 130 words, and calldata of 5 kB
METRICS_TIMEOUT_S: Final = 2.0
LIE: Final = 1.1  # venues that lie are 10 % too high
CRASH_EVERY_S: Final = 20.0  # a node that crashes
_GAUGE: Final = re.compile(r"^(?P<name>[a-z0-9_]+)(?:\{(?P<labels>[^}]*)\})? (?P<value>\S+)$", re.MULTILINE)


class Fault(StrEnum):
    """What may be wrong with a node of a devnet."""

    LIE = "lie"  # its venues are 10 % too high
    SILENT = "silent"  # it never starts
    FROZEN = "frozen"  # it is stopped by a signal, with its connections open
    CRASH = "crash"  # it is killed every twenty seconds, and started again


@dataclass(frozen=True, slots=True)
class WorldPlan:
    """What to set up. Bounds are in units of 10^-decimals."""

    feeds: tuple[str, ...] = ("BTC/USD",)
    chain_id: int = 31_337
    decimals: int = 8
    min_answer: int = 1
    max_answer: int = 10**15
    seed: int = 1
    port: int = 0
    log_file: Path | None = None
    with_lies: bool = False
    market: Mapping[str, float] = field(default_factory=dict)
    """Changes of `MarketModel`."""


@dataclass(frozen=True, slots=True)
class LatestRound:
    """As consumers see it. `answer` in the contract's units; times in seconds."""

    round: int
    answer: int
    started_at: int
    updated_at: int


class ReportingWorld:
    """An async context manager: entering starts the chain and the venues and deploys the contracts."""

    def __init__(self, plan: WorldPlan, *, clock: Clock | None = None) -> None:
        self.plan = plan
        self._clock = clock or SystemClock()
        self._stack = contextlib.AsyncExitStack()

    # Set by entering.
    anvil: Anvil
    node: NodeClient
    venues: VenueServer
    liars: VenueServer | None = None
    contracts: dict[str, Address]

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def set_config(self, contract: Address, calldata: bytes) -> None:
        """Have the contract's owner set what nodes agreed on.

        Raises:
            CallFailed: The contract refuses it.
        """
        wallet = Wallet(self.node, RawKeySigner.from_hex(account(Role.HOME_DEPLOYER).private_key))
        abi = artifacts.load("ReportingAggregator").abi
        await wallet.run([Tx(contract, calldata, gas=SET_CONFIG_GAS, label="setConfig")], abi=abi)

    async def latest(self, contract: Address) -> LatestRound:
        """What the contract has now."""
        abi = artifacts.load("ReportingAggregator").abi
        round_id, answer, started_at, updated_at, _ = await self.node.read(contract, abi.function("latestRoundData"))
        return LatestRound(round_id, answer, started_at, updated_at)

    async def _start(self) -> None:
        plan = self.plan
        options = AnvilOptions(ChainId(plan.chain_id), port=plan.port, zero_fee=True, log_file=plan.log_file)
        self.anvil = await self._stack.enter_async_context(Anvil(options))
        client = NodeClient(self.anvil.url, ChainId(plan.chain_id), free_gas=True)
        self.node = await self._stack.enter_async_context(client)
        market = Market(MarketModel(**{"seed": plan.seed, **plan.market}), DEFAULT_ASSETS)  # type: ignore[arg-type]
        self.venues = await self._stack.enter_async_context(VenueServer(market, clock=self._clock))
        if plan.with_lies:
            self.liars = await self._stack.enter_async_context(VenueServer(market, clock=self._clock))
            for venue in USD_VENUES:
                self.liars.set_fault(venue, VenueFault(VenueFaultKind.LIE, factor=LIE))
        await self._deploy()

    async def _deploy(self) -> None:
        draft = await open_draft(self.node, Role.HOME_DEPLOYER)
        self.contracts = {symbol: self._add(draft, symbol) for symbol in self.plan.feeds}
        await draft.send()

    def _add(self, draft: Draft, symbol: str) -> Address:
        plan, artifact = self.plan, artifacts.load("ReportingAggregator")
        described = symbol.replace("/", " / ")
        return draft.deploy(
            artifact, plan.min_answer, plan.max_answer, plan.decimals, described, account(Role.HOME_DEPLOYER).address
        )


def free_ports(count: int) -> list[int]:
    """So many different ones that are free now."""
    ports: dict[int, None] = {}
    while len(ports) < count:
        ports[free_port()] = None
    return list(ports)


# ---- how a node fares -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NodeGauges:
    """A node's metrics: (name, labels as written) -> value."""

    values: Mapping[tuple[str, str], float]

    def of(self, name: str, *labels: str) -> float | None:
        """The first series of that name whose labels contain all of these, such as 'feed="BTC/USD"'."""
        for (found, text), value in self.values.items():
            if found == name and all(label in text for label in labels):
                return value
        return None


async def read_gauges(ports: Sequence[int]) -> list[NodeGauges | None]:
    """The metrics of each node on this machine; None for one that does not answer."""
    timeout = aiohttp.ClientTimeout(total=METRICS_TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        return list(await asyncio.gather(*(_read(session, port) for port in ports)))


async def _read(session: aiohttp.ClientSession, port: int) -> NodeGauges | None:
    try:
        async with session.get(f"http://127.0.0.1:{port}/metrics") as response:
            return parse_gauges(await response.text())
    except (aiohttp.ClientError, TimeoutError):
        return None


def parse_gauges(text: str) -> NodeGauges:
    """From the text that Prometheus reads."""
    return NodeGauges(
        {(found["name"], found["labels"] or ""): float(found["value"]) for found in _GAUGE.finditer(text)}
    )
