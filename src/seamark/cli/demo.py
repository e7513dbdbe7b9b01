"""`seamark demo`: everything, on this machine, by one command."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from seamark.app import API, CCIP_MONITOR, ORACLE, Application, open_application
from seamark.app.naming import calling
from seamark.cli.folders import make_folder
from seamark.cli.loop import run_until_stopped
from seamark.cli.messages_database import DEMO_FILE
from seamark.cli.output import Steps, console
from seamark.cli.ports import (
    LISTENERS,
    WORLD,
    ApiPort,
    HealthPort,
    HomePort,
    MetricsPort,
    RemotePort,
    VenuesPort,
)
from seamark.cli.story import tell
from seamark.core.units import format_duration
from seamark.demo import HOME, REMOTE, demo_devnet, demo_settings, demo_values, operator_values, write_values
from seamark.devnet.data_folder import DataFolder
from seamark.devnet.devnet import Devnet
from seamark.runtime.logs import configure_logs
from seamark.storage.events import last_event_id, read_events

__all__ = ["HELP", "demo"]

HELP = (
    "Run the main job on this machine: chains, CCIP, venues, publisher, monitor, API and page.\n\n"
    "Prints the page's address and a line per event. Ctrl-C stops all of it, and the next start resumes."
)

EVENTS_AT_MOST_EVERY_S = 1.0
FILE_HEAD = (
    "Settings of the demo that ran last, written at each of its starts, for commands beside it. Its keys are public: "
    "never use them elsewhere."
)


@dataclass(frozen=True, slots=True)
class _Plan:
    data: Path
    fresh: bool
    seed: int
    faults: bool
    chains: Mapping[str, int]
    listeners: Mapping[str, int]


def demo(
    data: Annotated[Path, typer.Option(help="Folder for everything that is kept.")] = DEMO_FILE.parent,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget what an earlier run left.")] = False,
    faults: Annotated[bool, typer.Option(help="Let venues lie and messages fail now and then.")] = True,
    seed: Annotated[int, typer.Option(help="Of the simulated market; another one starts anew.")] = 1,
    port: ApiPort = 8400,
    metrics_port: MetricsPort = 8000,
    health_port: HealthPort = 8080,
    home_port: HomePort = 18545,
    remote_port: RemotePort = 18546,
    venues_port: VenuesPort = 18547,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show the services' own logs.")] = False,
) -> None:
    configure_logs(level="info" if verbose else "error")
    chains = {HOME: home_port, REMOTE: remote_port, "venues": venues_port}
    listeners = {"api": port, "metrics": metrics_port, "health": health_port}
    make_folder(data)
    run_until_stopped(_demo(_Plan(data, fresh, seed, faults, chains, listeners)))
    console.print("\nStopped. The same command goes on from here; --fresh starts anew.")


async def _demo(plan: _Plan) -> None:
    steps = Steps()
    if plan.fresh:
        await _forget_all(plan.data)
    world = demo_devnet(plan.data / "devnet", seed=plan.seed, faults=plan.faults, ports=plan.chains)
    with calling(WORLD):
        async with Devnet(world, progress=lambda step: steps.done(step.text)) as devnet:
            if not devnet.resumed:
                _forget_database(plan.data)
            settings = demo_settings(devnet, database=f"sqlite:///{plan.data / 'seamark.db'}", ports=plan.listeners)
            file = _write_file(devnet, plan.data)
            labels = {key: chain.label or key for key, chain in settings.chains.items()}
            async with open_application(settings, (ORACLE, CCIP_MONITOR, API), names=LISTENERS) as application:
                steps.done("publisher, monitor and API")
                _print_addresses(application, steps, file)
                await _run(application, labels)


async def _forget_all(data: Path) -> None:
    """Under the folder's lock: a demo that still runs must not lose the ground under its feet."""
    folder = DataFolder(data / "devnet")
    await folder.lock()
    try:
        folder.clear()
        _forget_database(data)
    finally:
        folder.unlock()


def _forget_database(data: Path) -> None:
    """New chains have nothing to do with what an old database knows."""
    for file in data.glob("seamark.db*"):
        file.unlink()


def _write_file(devnet: Devnet, data: Path) -> Path:
    """What commands beside it need to know; with whole paths, so that it can be named from anywhere."""
    file = data / DEMO_FILE.name
    values = demo_values(devnet, database=f"sqlite:///{(data / 'seamark.db').resolve()}") | operator_values()
    write_values(file, values, head=FILE_HEAD, setting="--data")
    return file


def _print_addresses(application: Application, steps: Steps, file: Path) -> None:
    assert application.api is not None
    console.print(f"\nReady in {format_duration(steps.elapsed)}. Open [bold]{application.api.url}[/]")
    probes = application.probes
    console.print(
        f"[dim]metrics http://127.0.0.1:{probes.metrics_port}/metrics   "
        f"health http://127.0.0.1:{probes.health_port}/health   Ctrl-C stops everything[/]"
    )
    elsewhere = "" if file == DEMO_FILE else f" --config {file}"
    console.print(f"[dim]in another terminal: seamark messages list{elsewhere}   seamark ccip check{elsewhere}[/]\n")


async def _run(application: Application, labels: Mapping[str, str]) -> None:
    running = asyncio.create_task(application.run())
    telling = asyncio.create_task(_tell_events(application, labels))
    try:
        done, _ = await asyncio.wait((running, telling), return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in (running, telling):
            task.cancel()
        await asyncio.gather(running, telling, return_exceptions=True)


async def _tell_events(application: Application, labels: Mapping[str, str]) -> None:
    """A line for each event that people care about, from now on."""
    seen = await application.database.read(last_event_id)
    while True:
        for event in await application.database.read(partial(read_events, after=seen)):
            seen = event.id
            line = tell(event, labels)
            if line:
                console.print(line)
        await application.signal.wait(EVENTS_AT_MOST_EVERY_S)
