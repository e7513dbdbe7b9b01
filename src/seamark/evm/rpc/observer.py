"""Who is told how the endpoints fare. Endpoints are named by host and port: few values, no secrets."""

from __future__ import annotations

from typing import Protocol

__all__ = ["RpcObserver", "SilentObserver"]


class RpcObserver(Protocol):
    """Told what happens; must be quick and never raise."""

    def requested(self, endpoint: str, method: str, items: int, seconds: float) -> None:
        """One HTTP request ended, well or badly. `method` is that of the first of `items` calls in it."""
        ...

    def failed(self, endpoint: str, method: str, kind: str) -> None:
        """A request or one call in it failed; `kind` is the error's class name."""
        ...

    def head(self, endpoint: str, number: int, behind: int) -> None:
        """The endpoint's newest block, and how far it is behind the best endpoint."""
        ...

    def limit(self, endpoint: str, name: str, value: float) -> None:
        """A limit was learned: "block_range", "batch_size" or "in_flight"."""
        ...


class SilentObserver:
    """Ignores everything; a base for observers that want only some of it."""

    def requested(self, endpoint: str, method: str, items: int, seconds: float) -> None:
        pass

    def failed(self, endpoint: str, method: str, kind: str) -> None:
        pass

    def head(self, endpoint: str, number: int, behind: int) -> None:
        pass

    def limit(self, endpoint: str, name: str, value: float) -> None:
        pass
