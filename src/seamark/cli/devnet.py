"""`seamark devnet`: the local world alone, for running services against it by hand."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from seamark.app.naming import calling
from seamark.cli.devnet_reporting import HELP as REPORTING_HELP
from seamark.cli.devnet_reporting import reporting
from seamark.cli.folders import make_folder
from seamark.cli.loop import run_until_stopped
from seamark.cli.output import Steps, console, print_json
from seamark.cli.ports import WORLD, HomePort, RemotePort, VenuesPort
from seamark.demo import HOME, PUBLISHER_KEY, REMOTE, demo_devnet, demo_values, write_values
from seamark.devnet.accounts import Role, account
from seamark.devnet.devnet import Devnet
from seamark.devnet.settings import DevnetSettings
from seamark.evm.address import to_checksum
from seamark.runtime.logs import configure_logs

__all__ = ["app"]

app = typer.Typer(help="Two local chains with the published CCIP contracts, and price venues.", no_args_is_help=True)
app.command(help=REPORTING_HELP)(reporting)


@dataclass(frozen=True, slots=True)
class _Wish:
    """What to do once the devnet is up."""

    write: Path | None
    database: str
    as_json: bool


@app.command()
def up(
    data: Annotated[Path, typer.Option(help="Folder for the chains' state; a later start resumes from it.")] = Path(
        ".seamark/devnet"
    ),
    seed: Annotated[int, typer.Option(help="Of the simulated market; another one starts anew.")] = 1,
    faults: Annotated[bool, typer.Option(help="Let venues and messages go wrong now and then.")] = False,
    write: Annotated[Path | None, typer.Option(help="Write a settings file for this devnet.")] = None,
    database: Annotated[
        str, typer.Option(help="What that file names as the database.")
    ] = "sqlite:///.seamark/seamark.db",
    home_port: HomePort = 18545,
    remote_port: RemotePort = 18546,
    venues_port: VenuesPort = 18547,
    as_json: Annotated[bool, typer.Option("--json", help="Print endpoints, addresses and keys as JSON.")] = False,
) -> None:
    """Start, print endpoints, addresses and keys, and run until Ctrl-C. Nothing stays behind."""
    configure_logs(level="warning")
    make_folder(data)
    ports = {HOME: home_port, REMOTE: remote_port, "venues": venues_port}
    run_until_stopped(_up(demo_devnet(data, seed=seed, faults=faults, ports=ports), _Wish(write, database, as_json)))


async def _up(settings: DevnetSettings, wish: _Wish) -> None:
    steps = Steps(aside=wish.as_json)
    with calling(WORLD):
        async with Devnet(settings, progress=lambda step: steps.done(step.text)) as devnet:
            if wish.write is not None:
                _write_settings(devnet, wish.write, wish.database)
            if wish.as_json:
                print_json(_summary(devnet))
            else:
                _print_world(devnet)
                _print_next(wish.write)
            await asyncio.Event().wait()


def _summary(devnet: Devnet) -> dict[str, Any]:
    """Selectors as text: they exceed 2**53."""
    summary = devnet.summary()
    for chain in summary["chains"].values():
        chain["selector"] = str(chain["selector"])
    return summary


def _print_world(devnet: Devnet) -> None:
    world = devnet.deployment
    for chain, url in ((world.home, devnet.home_url), (world.remote, devnet.remote_url)):
        console.print(f"\n[bold]Chain {chain.chain_id}[/] [dim]({chain.name})[/]")
        for name, value in {
            "endpoint": url,
            "selector": chain.selector_text,
            "router": to_checksum(chain.router),
            "onramp": to_checksum(chain.onramp),
            "offramp": to_checksum(chain.offramp),
            "link": to_checksum(chain.link),
        }.items():
            console.print(f"  {name:<10} {value}", markup=False)
    console.print("\n[bold]Feeds[/]")
    for feed in world.feeds:
        aggregator, receiver = to_checksum(feed.aggregator), to_checksum(feed.receiver)
        console.print(f"  {feed.symbol:<10} aggregator {aggregator}  receiver {receiver}", markup=False)
    console.print(f"\n[bold]Venues[/]\n  {devnet.venues.url}", markup=True)
    publisher = account(Role.PUBLISHER)
    console.print("\n[bold]Publisher[/] [dim](a key that everybody knows: never use it elsewhere)[/]")
    console.print(f"  address    {to_checksum(publisher.address)}\n  key        {publisher.private_key}", markup=False)


def _write_settings(devnet: Devnet, file: Path, database: str) -> None:
    head = f"Settings for the devnet that is running; needs {PUBLISHER_KEY} in the environment."
    write_values(file, demo_values(devnet, database=database), head=head, setting="--write")


def _print_next(file: Path | None) -> None:
    if file is not None:
        console.print(f"\nSettings are in {file}. In another terminal:", markup=False)
        console.print(f"  export {PUBLISHER_KEY}={account(Role.PUBLISHER).private_key}", markup=False)
        console.print(f"  seamark run oracle ccip-monitor api --config {file}", markup=False)
    console.print("\nCtrl-C stops it; the same command resumes it.")
