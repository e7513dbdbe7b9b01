"""`seamark devnet`: the local world alone, for running services against it by hand."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer
import yaml

from seamark.cli.loop import run_until_stopped
from seamark.cli.output import Steps, console
from seamark.demo import HOME, PUBLISHER_KEY, REMOTE, demo_devnet, demo_values
from seamark.devnet.accounts import Role, account
from seamark.devnet.devnet import Devnet
from seamark.runtime.logs import configure_logs

__all__ = ["app"]

app = typer.Typer(help="Two local chains with the published CCIP contracts, and price venues.", no_args_is_help=True)


@app.command()
def up(
    data: Annotated[Path, typer.Option(help="Folder for the chains' state; a later start resumes from it.")] = Path(
        ".seamark/devnet"
    ),
    seed: Annotated[int, typer.Option(help="Of the simulated market.")] = 1,
    faults: Annotated[bool, typer.Option(help="Let venues and messages go wrong now and then.")] = False,
    write: Annotated[Path | None, typer.Option(help="Write a settings file for this devnet.")] = None,
    home_port: Annotated[int, typer.Option(help="Port of chain 138; 0 picks a free one.")] = 18545,
    remote_port: Annotated[int, typer.Option(help="Port of chain 31337.")] = 18546,
    venues_port: Annotated[int, typer.Option(help="Port of the price venues.")] = 18547,
) -> None:
    """Start, print endpoints, addresses and keys, and run until Ctrl-C. Nothing stays behind."""
    configure_logs(level="warning")
    ports = {HOME: home_port, REMOTE: remote_port, "venues": venues_port}
    run_until_stopped(_up(data, seed, faults, ports, write))


async def _up(data: Path, seed: int, faults: bool, ports: dict[str, int], write: Path | None) -> None:
    steps = Steps()
    settings = demo_devnet(data, seed=seed, faults=faults, ports=ports)
    async with Devnet(settings, progress=lambda step: steps.done(step.text)) as devnet:
        _print_world(devnet)
        if write is not None:
            _write_settings(devnet, write)
        console.print("\nCtrl-C stops it; the same command resumes it.")
        await asyncio.Event().wait()


def _print_world(devnet: Devnet) -> None:
    world = devnet.deployment
    for chain, url in ((world.home, devnet.home_url), (world.remote, devnet.remote_url)):
        console.print(f"\n[bold]Chain {chain.chain_id}[/] [dim]({chain.name})[/]")
        for name, value in {
            "endpoint": url,
            "selector": chain.selector_text,
            "router": chain.router,
            "onramp": chain.onramp,
            "offramp": chain.offramp,
            "link": chain.link,
        }.items():
            console.print(f"  {name:<10} {value}", markup=False)
    console.print("\n[bold]Feeds[/]")
    for feed in world.feeds:
        console.print(f"  {feed.symbol:<10} aggregator {feed.aggregator}  receiver {feed.receiver}", markup=False)
    console.print(f"\n[bold]Venues[/]\n  {devnet.venues.url}", markup=True)
    publisher = account(Role.PUBLISHER)
    console.print("\n[bold]Publisher[/] [dim](a key that everybody knows: never use it elsewhere)[/]")
    console.print(f"  address    {publisher.address}\n  key        {publisher.private_key}", markup=False)


def _write_settings(devnet: Devnet, file: Path) -> None:
    values = demo_values(devnet, database="sqlite:///.seamark/seamark.db")
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    file.write_text(f"# Settings for the devnet that is running; needs {PUBLISHER_KEY} in the environment.\n{text}")
    key = account(Role.PUBLISHER).private_key
    console.print(f"\nSettings are in {file}. In another terminal:", markup=False)
    console.print(f"  export {PUBLISHER_KEY}={key}", markup=False)
    console.print(f"  seamark run oracle ccip-monitor api --config {file}", markup=False)
