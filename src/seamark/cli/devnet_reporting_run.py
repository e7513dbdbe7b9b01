"""A reporting network on this machine while it works: started, looked at once a second, stopped in order."""

from __future__ import annotations

import asyncio
import math
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from seamark.app.reporting_network import NetworkTerms, NodeProcess, lay_out
from seamark.cli.output import Steps, console, to_json
from seamark.core.errors import TemporaryError
from seamark.core.ids import Address
from seamark.core.units import format_duration
from seamark.devnet.reporting import (
    CRASH_EVERY_S,
    Fault,
    LatestRound,
    NodeGauges,
    ReportingWorld,
    WorldPlan,
    read_gauges,
)
from seamark.evm.address import to_checksum
from seamark.runtime.clock import SystemClock

__all__ = ["Wish", "run_network"]

SHOWN_EVERY_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Wish:
    """What to run."""

    folder: Path
    nodes: int
    feeds: tuple[str, ...]
    faults: Mapping[int, Fault]
    seed: int
    port: int
    as_json: bool
    seconds: float | None


async def run_network(wish: Wish) -> None:
    """Until cancelled, or until the time is up."""
    steps = Steps(aside=wish.as_json)
    plan = WorldPlan(
        feeds=wish.feeds,
        seed=wish.seed,
        port=wish.port,
        log_file=wish.folder / "anvil.log",
        with_lies=Fault.LIE in wish.faults.values(),
    )
    async with ReportingWorld(plan) as world:
        feeds = "a contract for " + ", ".join(wish.feeds)
        steps.done(f"chain {plan.chain_id} at {world.anvil.url}, {feeds}, venues at {world.venues.url}")
        processes = await lay_out(wish.folder, wish.nodes, world, NetworkTerms(), faults=wish.faults)
        steps.done(f"{wish.nodes} nodes' keys, certificates and settings in {wish.folder}, configuration on chain")
        try:
            async with _running(processes):
                steps.done(f"{sum(process.running for process in processes)} nodes run")
                _tell_more(wish, processes)
                await _show(wish, world, processes)
        finally:
            steps.done("all stopped")


@asynccontextmanager
async def _running(processes: Sequence[NodeProcess]) -> AsyncIterator[None]:
    """All nodes, stopped in the end whatever happened; the faulty ones as they are meant to be."""
    awake = [process for process in processes if process.fault is not Fault.SILENT]
    crashing: list[asyncio.Task[None]] = []
    try:
        await asyncio.gather(*(process.start() for process in awake))
        await asyncio.gather(*(process.ready() for process in awake))
        for process in awake:
            if process.fault is Fault.FROZEN:
                process.signal(signal.SIGSTOP)
            if process.fault is Fault.CRASH:
                crashing.append(asyncio.create_task(_crash(process)))
        yield
    finally:
        for task in crashing:
            task.cancel()
        await asyncio.gather(*crashing, return_exceptions=True)
        await asyncio.gather(*(process.stop() for process in awake))


async def _crash(process: NodeProcess) -> None:
    while True:
        await asyncio.sleep(CRASH_EVERY_S)
        await process.kill()
        await process.start()


def _tell_more(wish: Wish, processes: Sequence[NodeProcess]) -> None:
    """Where to look at one node, and how to break one."""
    if wish.as_json:
        return
    node = processes[0]
    for label, text in {
        "its log": f"tail -f {node.files.log}",
        "its metrics": f"http://127.0.0.1:{node.ports.metrics}/metrics",
        "its health": f"http://127.0.0.1:{node.ports.health}/health",
        "its settings": f"seamark config show --config {node.files.settings}",
        "kill it": f"kill -9 {node.process.pid if node.process else '-'}",
    }.items():
        console.print(f"  node 0: {label:<13} {text}", markup=False)
    console.print("Ctrl-C stops all of them.")
    sys.stdout.flush()


# ---- what is seen ---------------------------------------------------------------------------------------------------


async def _show(wish: Wish, world: ReportingWorld, processes: Sequence[NodeProcess]) -> None:
    clock = SystemClock()
    until = None if wish.seconds is None else clock.monotonic() + wish.seconds
    live = Live(console=console, auto_refresh=False) if console.is_terminal and not wish.as_json else None
    if live is not None:
        live.start()
    try:
        while until is None or clock.monotonic() < until:
            picture = await _look(world, processes)
            if wish.as_json:
                sys.stdout.write(to_json(picture) + "\n")
                sys.stdout.flush()
            elif live is not None:
                live.update(_table(picture), refresh=True)
            else:
                console.print(_line(picture), markup=False)
                sys.stdout.flush()  # a pipe would keep the lines back
            await clock.sleep(SHOWN_EVERY_S)
    finally:
        if live is not None:
            live.stop()


async def _look(world: ReportingWorld, processes: Sequence[NodeProcess]) -> dict[str, Any]:
    """Plain values: each feed's round, each node's place."""
    found = await read_gauges([process.ports.metrics for process in processes])
    feeds = []
    for symbol, contract in world.contracts.items():
        feeds.append(await _feed(world, symbol, contract))
    nodes = [_node(process, gauges, list(world.contracts)) for process, gauges in zip(processes, found, strict=True)]
    return {"at_ms": round(SystemClock().now() * 1000), "feeds": feeds, "nodes": nodes}


async def _feed(world: ReportingWorld, symbol: str, contract: Address) -> dict[str, Any]:
    try:
        latest = await world.latest(contract)
    except TemporaryError:
        latest = LatestRound(0, 0, 0, 0)
    price = Decimal(latest.answer).scaleb(-world.plan.decimals)
    return {
        "feed": symbol,
        "contract": to_checksum(contract),
        "round": latest.round,
        "price": f"{price:f}" if latest.round else None,
        "updated_at": latest.updated_at or None,
    }


def _node(process: NodeProcess, gauges: NodeGauges | None, feeds: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "node": process.index,
        "running": process.running and gauges is not None,
        "fault": process.fault,
        "feeds": [],
    }
    if gauges is not None:
        found["feeds"] = [_place(gauges, feed) for feed in feeds]
    return found


def _place(gauges: NodeGauges, feed: str) -> dict[str, Any]:
    def number(name: str, *labels: str) -> int | None:
        value = gauges.of(name, f'feed="{feed}"', *labels)
        return None if value is None or math.isnan(value) else int(value)

    return {
        "feed": feed,
        "oid": number("reporting_oid"),
        "epoch": number("ocr2_epoch"),
        "leader": number("ocr2_experimental_leader_oid"),
        "connected": number("reporting_connected_nodes"),
        "observations": number("ocr2_sent_observations_total"),
        "completed": number("ocr2_completed_rounds_total"),
        "led": number("ocr2_led_completed_rounds_total"),
        "transmitted": number("reporting_transmissions_total", 'outcome="mined"'),
        "reverted": number("reporting_transmissions_total", 'outcome="reverted"'),
        "bad_signatures": number("reporting_bad_signatures_total"),
    }


def _line(picture: Mapping[str, Any]) -> str:
    """One line for a log: each feed's price, and how many nodes follow."""
    parts = []
    for index, feed in enumerate(picture["feeds"]):
        places = [node["feeds"][index] for node in picture["nodes"] if node["feeds"]]
        epochs = sorted({place["epoch"] for place in places if place["epoch"]})
        leaders = sorted({place["leader"] for place in places if place["leader"] is not None})
        parts.append(
            f"{feed['feed']} {feed['price'] or '-'} round {feed['round']} "
            f"epoch {_few(epochs)} leader {_few(leaders)} nodes {len(places)}/{len(picture['nodes'])}"
        )
    return "  ".join(parts)


def _few(numbers: Sequence[int]) -> str:
    return "-".join(dict.fromkeys((str(numbers[0]), str(numbers[-1])))) if numbers else "-"


def _table(picture: Mapping[str, Any]) -> RenderableType:
    shown: list[RenderableType] = []
    now = picture["at_ms"] / 1000
    for index, feed in enumerate(picture["feeds"]):
        age = "" if feed["updated_at"] is None else f", {format_duration(max(0.0, now - feed['updated_at']))} ago"
        title = Text.assemble((feed["feed"], "bold"), f"  {feed['price'] or 'no answer yet'}  ")
        title.append(f"round {feed['round']} at {feed['contract']}{age}", style="dim")
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        for column in ("node", "epoch", "leader", "peers", "observed", "rounds", "led", "sent", "late", ""):
            table.add_column(column, justify="left" if column in ("node", "") else "right")
        for node in picture["nodes"]:
            table.add_row(*_row(node, index))
        shown += [title, table, Text()]
    return Group(*shown)


def _row(node: Mapping[str, Any], index: int) -> tuple[str, ...]:
    note = f"[yellow]{node['fault']}[/]" if node["fault"] else ""
    if not node["feeds"]:
        return (str(node["node"]), *("-",) * 8, note or "[red]does not answer[/]")
    place = node["feeds"][index]
    leads = place["oid"] is not None and place["oid"] == place["leader"]
    names = ("epoch", "leader", "connected", "observations", "completed", "led", "transmitted", "reverted")
    figures = ["-" if place[name] is None else str(place[name]) for name in names]
    return (f"[bold]{node['node']} ←[/]" if leads else str(node["node"]), *figures, note)
