"""Settings of the HTTP server that serves the API, live events and the page."""

from __future__ import annotations

from pydantic import Field

from seamark.runtime.settings import Host, Port, SettingsModel

__all__ = ["DEFAULT_PORT", "ApiSettings"]

DEFAULT_PORT = 8400  # clear of metrics (8000), health (8080) and anvil (8545 and up)


class ApiSettings(SettingsModel):
    """Where the API listens and under which names it answers."""

    host: Host = "127.0.0.1"
    """Address to listen on. There are no accounts: whoever reaches it may read everything it shows."""

    port: Port = Field(DEFAULT_PORT)
    """0 lets the system choose."""

    allowed_hosts: tuple[str, ...] = ()
    """Further names (without port) that a browser may use for this server; needed as soon as it listens beyond
    loopback. Any other name is refused, because a hostile page can point a name of its own here (DNS rebinding)."""
