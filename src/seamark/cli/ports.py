"""Ports as options of commands, and how errors name them."""

from __future__ import annotations

from typing import Annotated, Final

import typer

__all__ = ["LISTENERS", "WORLD", "ApiPort", "HealthPort", "HomePort", "MetricsPort", "RemotePort", "VenuesPort"]

_LARGEST: Final = 65535
_FREE: Final = "0 picks a free one."

ApiPort = Annotated[int, typer.Option("--port", min=0, max=_LARGEST, help=f"Port of the page and the API; {_FREE}")]
MetricsPort = Annotated[int, typer.Option(min=0, max=_LARGEST, help=f"Port of the metrics; {_FREE}")]
HealthPort = Annotated[int, typer.Option(min=0, max=_LARGEST, help=f"Port of the health probes; {_FREE}")]
HomePort = Annotated[int, typer.Option(min=0, max=_LARGEST, help=f"Port of chain 138; {_FREE}")]
RemotePort = Annotated[int, typer.Option(min=0, max=_LARGEST, help=f"Port of chain 31337; {_FREE}")]
VenuesPort = Annotated[int, typer.Option(min=0, max=_LARGEST, help=f"Port of the price venues; {_FREE}")]

LISTENERS: Final = {"api.port": "--port", "metrics.port": "--metrics-port", "health.port": "--health-port"}
"""What the user of a command calls the settings of our own listeners."""

WORLD: Final = {
    "devnet.home.port": "--home-port",
    "devnet.remote.port": "--remote-port",
    "devnet.venues_port": "--venues-port",
}
"""The same for the chains and venues."""
