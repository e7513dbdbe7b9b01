"""A whole reporting network on one machine: files for each node, a configuration on chain, real processes.

    lay_out      keys, certificates, settings of N nodes, as N operators would have made them
    NodeProcess  `seamark run oracle` in a node's folder, with its own database and log

Everything a node knows of the others stands in its settings and on chain, as in production; only the keys are raw
files.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from seamark.app.reporting_files import Files, make_files
from seamark.core.errors import StopError
from seamark.core.ids import Address
from seamark.devnet import die_with_parent
from seamark.devnet.reporting import USD_VENUES, Fault, ReportingWorld, free_ports
from seamark.evm.address import to_checksum
from seamark.oracle.reporting.ceremony import (
    NetworkPlan,
    NodeIdentity,
    TimingPlan,
    configure,
)
from seamark.oracle.reporting.contract import encode_set_config

__all__ = [
    "DEVNET_TIMING",
    "NetworkTerms",
    "NodeProcess",
    "Ports",
    "lay_out",
    "network_plan",
]

CHAIN: Final = "devnet"
HOST: Final = "127.0.0.1"
START_LIMIT_S: Final = 300.0  # of 31 nodes on a machine with two cores
STOP_LIMIT_S: Final = 15.0
POLL_S: Final = 0.05
LOG_TAIL: Final = 2_000  # characters of a node's log that an error shows
PORTS_PER_NODE: Final = 3

DEVNET_TIMING: Final = TimingPlan.model_validate(
    {
        "progress": "3s",
        "resend": "1s",
        "round": "250ms",
        "grace": "30ms",
        "stage": "2s",
        "max_rounds": 40,
    }
)
"""For a chain that mines at once: four rounds a second, ten seconds for a leader."""


@dataclass(frozen=True, slots=True)
class NetworkTerms:
    """When the network reports. Ratios and spans as an operator writes them."""

    deviation: str = "0.1%"
    heartbeat: str = "60s"
    timing: TimingPlan = DEVNET_TIMING
    poll_interval: str = "250ms"


@dataclass(frozen=True, slots=True)
class Ports:
    """Where a node listens."""

    peers: int
    metrics: int
    health: int


# ---- files ----------------------------------------------------------------------------------------------------------


def network_plan(nodes: Sequence[NodeIdentity], world: ReportingWorld, terms: NetworkTerms) -> NetworkPlan:
    """What the nodes of a devnet agreed on."""
    return NetworkPlan.model_validate(
        {
            "nodes": tuple(nodes),
            "deviation": terms.deviation,
            "heartbeat": terms.heartbeat,
            "min_answer": world.plan.min_answer,
            "max_answer": world.plan.max_answer,
            "timing": terms.timing,
        }
    )


async def lay_out(
    folder: Path,
    nodes: int,
    world: ReportingWorld,
    terms: NetworkTerms,
    *,
    faults: Mapping[int, Fault] | None = None,
) -> list[NodeProcess]:
    """Files of all nodes, one configuration for each contract, set on chain; nothing runs yet.

    Raises:
        SettingsError: The folder cannot be used.
        ValidationError: So many nodes are no network.
    """
    free = free_ports(PORTS_PER_NODE * nodes)
    ports = [Ports(*free[PORTS_PER_NODE * index : PORTS_PER_NODE * (index + 1)]) for index in range(nodes)]
    made = []
    for index in range(nodes):
        home = folder / f"node-{index}"
        _clear(home)
        made.append(await asyncio.to_thread(make_files, home, f"node-{index}", f"{HOST}:{ports[index].peers}"))
    plan = network_plan([files.identity for files in made], world, terms)
    (folder / "network.yaml").write_text(yaml.safe_dump(plan.model_dump(mode="json"), sort_keys=False))
    for contract in world.contracts.values():
        await world.set_config(contract, encode_set_config(configure(plan)))
    processes = []
    for index, files in enumerate(made):
        fault = (faults or {}).get(index)
        values = node_values(made, index, ports[index], world, terms, lying=fault is Fault.LIE)
        files.settings.write_text(yaml.safe_dump(values, sort_keys=False))
        processes.append(NodeProcess(index, files, ports[index], fault))
    return processes


def _clear(home: Path) -> None:
    """Forget a node of an earlier devnet; anything else in that place is left alone."""
    if (home / "identity.yaml").is_file() and (home / "offchain.json").is_file():
        shutil.rmtree(home)


def node_values(
    nodes: Sequence[Files], me: int, ports: Ports, world: ReportingWorld, terms: NetworkTerms, *, lying: bool = False
) -> dict[str, Any]:
    """The settings file of one node; its paths are relative to its folder."""
    venues = world.liars if lying else world.venues
    if venues is None:
        raise StopError("this world has no venues that lie", remedy="set it up with them")
    return {
        "database": "sqlite:///seamark.db",
        "chains": {
            CHAIN: {"chain_id": world.plan.chain_id, "rpc": [world.anvil.url], "poll_interval": "250ms"},
        },
        "oracle": {
            "venues": {name: {"base_url": f"{venues.url}/{name}"} for name in USD_VENUES},
            "watch_interval": "1s",
            "reporting": {
                "listen": f"{HOST}:{ports.peers}",
                "certificate": "certificate.pem",
                "certificate_key": "certificate.key",
                "keys": "offchain.json",
                "signer": {"private_key_file": "signer.key", "policy": {"reports": True}},
                "transmitter": {"private_key_file": "transmitter.key"},
                "config_interval": "2s",
                "progress_alarm": "20s",
                "peers": [
                    {"address": files.identity.address, "certificate": str(files.folder.resolve() / "certificate.pem")}
                    for index, files in enumerate(nodes)
                    if index != me
                ],
                "feeds": [_feed(symbol, contract, terms) for symbol, contract in world.contracts.items()],
            },
        },
        "metrics": {"port": ports.metrics},
        "health": {"port": ports.health},
        "logs": {"form": "json"},
    }


def _feed(symbol: str, contract: Address, terms: NetworkTerms) -> dict[str, Any]:
    return {
        "pair": symbol,
        "chain": CHAIN,
        "aggregator": to_checksum(contract),
        "sources": list(USD_VENUES),
        "poll_interval": terms.poll_interval,
    }


# ---- processes ------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class NodeProcess:
    """`seamark run oracle` in a node's folder. It ends when this process does, however that ends."""

    index: int
    files: Files
    ports: Ports
    fault: Fault | None = None
    process: Process | None = field(default=None, repr=False)
    _told: int = 0  # bytes of the log that are of earlier lives

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.returncode is None

    async def start(self) -> None:
        """Start it; a process of an earlier life must have ended."""
        shim = [sys.executable, "-I", "-S", die_with_parent.__file__, str(os.getpid())]
        self._told = self.files.log.stat().st_size if self.files.log.exists() else 0
        with self.files.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *shim,
                sys.executable,
                "-m",
                "seamark",
                "run",
                "oracle",
                "--config",
                "seamark.yaml",
                cwd=self.files.folder,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    async def ready(self) -> None:
        """Wait until it says that it runs.

        Raises:
            StopError: It ended, or says nothing; with its last words.
        """
        assert self.process is not None, "started before"
        try:
            async with asyncio.timeout(START_LIMIT_S):
                while '"running"' not in self._words():
                    if self.process.returncode is not None:
                        raise StopError(f"node {self.index} ended at its start: {self._words()[-LOG_TAIL:].strip()}")
                    await asyncio.sleep(POLL_S)
        except TimeoutError as error:
            raise StopError(
                f"node {self.index} does not run after {START_LIMIT_S:.0f} s: {self._words()[-LOG_TAIL:].strip()}"
            ) from error

    def _words(self) -> str:
        """What it logged in this life."""
        return self.files.log.read_bytes()[self._told :].decode(errors="replace")

    def signal(self, number: signal.Signals) -> None:
        """Any signal; to one that has ended, none."""
        if self.running:
            assert self.process is not None
            with suppress(ProcessLookupError):
                self.process.send_signal(number)

    async def kill(self) -> None:
        """SIGKILL: nothing of it runs any more after this."""
        self.signal(signal.SIGKILL)
        if self.process is not None:
            await self.process.wait()

    async def stop(self) -> int | None:
        """SIGTERM, and its exit code; None where it never ran."""
        if self.process is None:
            return None
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            return await asyncio.wait_for(self.process.wait(), STOP_LIMIT_S)
        except TimeoutError:
            await self.kill()
            return self.process.returncode
