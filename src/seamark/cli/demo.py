"""`seamark demo`: everything, on this machine, by one command."""

from __future__ import annotations

import asyncio
import shutil
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from seamark.app import SERVICES, Application, open_application
from seamark.cli.loop import run_until_stopped
from seamark.cli.output import Steps, console
from seamark.cli.story import tell
from seamark.core.units import format_duration
from seamark.demo import HOME, REMOTE, demo_devnet, demo_settings
from seamark.devnet.devnet import Devnet
from seamark.runtime.logs import configure_logs
from seamark.storage.events import last_event_id, read_events

__all__ = ["HELP", "demo"]

HELP = (
    "Run the main job on this machine: chains, CCIP, venues, publisher, monitor, API and page.\n\n"
    "Prints the page's address and a line per event. Ctrl-C stops all of it, and the next start resumes."
)

EVENTS_AT_MOST_EVERY_S = 1.0


def demo(
    data: Annotated[Path, typer.Option(help="Folder for everything that is kept.")] = Path(".seamark/demo"),
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget what an earlier run left.")] = False,
    faults: Annotated[bool, typer.Option(help="Let venues lie and messages fail now and then.")] = True,
    seed: Annotated[int, typer.Option(help="Of the simulated market.")] = 1,
    port: Annotated[int, typer.Option(help="Port of the page and the API; 0 picks a free one.")] = 8400,
    metrics_port: Annotated[int, typer.Option(help="Port of the metrics.")] = 8000,
    health_port: Annotated[int, typer.Option(help="Port of the health probes.")] = 8080,
    home_port: Annotated[int, typer.Option(help="Port of chain 138.")] = 18545,
    remote_port: Annotated[int, typer.Option(help="Port of chain 31337.")] = 18546,
    venues_port: Annotated[int, typer.Option(help="Port of the price venues.")] = 18547,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show the services' own logs.")] = False,
) -> None:
    configure_logs(level="info" if verbose else "error")
    if fresh:
        shutil.rmtree(data, ignore_errors=True)
    chains = {HOME: home_port, REMOTE: remote_port, "venues": venues_port}
    listeners = {"api": port, "metrics": metrics_port, "health": health_port}
    run_until_stopped(_demo(data, seed, faults, chains, listeners))
    console.print("\nStopped. The same command goes on from here; --fresh starts anew.")


async def _demo(data: Path, seed: int, faults: bool, chains: dict[str, int], listeners: dict[str, int]) -> None:
    steps = Steps()
    world = demo_devnet(data / "devnet", seed=seed, faults=faults, ports=chains)
    async with Devnet(world, progress=lambda step: steps.done(step.text)) as devnet:
        if not devnet.resumed:
            _forget_database(data)
        settings = demo_settings(devnet, database=f"sqlite:///{data / 'seamark.db'}", ports=listeners)
        async with open_application(settings, SERVICES) as application:
            steps.done("publisher, monitor and API")
            _print_addresses(application, steps)
            await _run(application)


def _forget_database(data: Path) -> None:
    """New chains have nothing to do with what an old database knows."""
    for file in data.glob("seamark.db*"):
        file.unlink()


def _print_addresses(application: Application, steps: Steps) -> None:
    assert application.api is not None
    console.print(f"\nReady in {format_duration(steps.elapsed)}. Open [bold]{application.api.url}[/]")
    probes = application.probes
    console.print(
        f"[dim]metrics http://127.0.0.1:{probes.metrics_port}/metrics   "
        f"health http://127.0.0.1:{probes.health_port}/health   Ctrl-C stops everything[/]\n"
    )


async def _run(application: Application) -> None:
    running = asyncio.create_task(application.run())
    telling = asyncio.create_task(_tell_events(application))
    try:
        done, _ = await asyncio.wait((running, telling), return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in (running, telling):
            task.cancel()
        await asyncio.gather(running, telling, return_exceptions=True)


async def _tell_events(application: Application) -> None:
    """A line for each event that people care about, from now on."""
    seen = await application.database.read(last_event_id)
    while True:
        for event in await application.database.read(partial(read_events, after=seen)):
            seen = event.id
            line = tell(event)
            if line:
                console.print(line)
        await application.signal.wait(EVENTS_AT_MOST_EVERY_S)
