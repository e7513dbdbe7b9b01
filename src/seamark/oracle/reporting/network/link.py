"""One configuration's view of the network: messages by index of the node, whoever's connection carries them.

Invariant: the index of a sender comes from the key of its connection. Each sender has a queue of its own, of bounded
length, and they are served in turn: one that floods loses its own older messages, and delays nobody else's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence

from seamark.core.errors import RejectedError, SettingsError
from seamark.oracle.reporting.messages import Message
from seamark.oracle.reporting.network.echoes import Echoes
from seamark.oracle.reporting.network.frames import Entry, entry
from seamark.oracle.reporting.network.ports import NetworkObserver, Outgoing
from seamark.oracle.reporting.wire import decode_message, encode_message, is_echo

__all__ = ["Link"]


class Link:
    """`ports.Transport` of one configuration."""

    def __init__(
        self,
        digest: bytes,
        nodes: Sequence[str],
        *,
        me: str,
        ways: Mapping[str, Outgoing],
        queue: int,
        observer: NetworkObserver,
        leave: Callable[[Link], None],
    ) -> None:
        """Take the fingerprints of the nodes in their order, and a way to each that is a peer of ours.

        Raises:
            SettingsError: This node is none of them, or two are the same.
        """
        if me not in nodes:
            raise SettingsError(
                "reporting",
                f"the configuration 0x{digest.hex()} has no node with the key {me}",
                remedy="check that the certificate is the one that this node gave to the network",
            )
        if len(set(nodes)) != len(nodes):
            raise SettingsError("reporting", f"the configuration 0x{digest.hex()} names a node twice")
        self.digest = digest
        self.missing = tuple(node for node in nodes if node != me and node not in ways)
        self._ways = [ways.get(node) if node != me else None for node in nodes]
        self._index = {node: index for index, node in enumerate(nodes) if node in ways and node != me}
        self._names = {index: ways[node].name for node, index in self._index.items()}
        self._queues: dict[int, deque[bytes]] = {index: deque() for index in self._names}
        self._echoes = Echoes()
        self._turns: deque[int] = deque()  # nodes with messages waiting, each once
        self._limit = queue
        self._observer = observer
        self._notify: Callable[[], None] | None = None
        self._leave = leave

    def send(self, to: int, message: Message) -> None:
        """Never waits; what cannot be sent is dropped."""
        way = self._ways[to]
        if way is not None:
            way.put(entry(self.digest, encode_message(message)))

    def broadcast(self, message: Message) -> None:
        """To all others."""
        data = encode_message(message)
        have = self._echoes.who_has(data) if is_echo(data) else ()
        made: Entry = entry(self.digest, data)
        for index, way in enumerate(self._ways):
            if way is not None and index not in have:
                way.put(made)

    def receive(self) -> tuple[int, Message] | None:
        """The next message and who sent it; None where nobody has one. Bytes that are no message are dropped."""
        while self._turns:
            sender = self._turns.popleft()
            queue = self._queues[sender]
            data = queue.popleft()
            if queue:
                self._turns.append(sender)
            if is_echo(data) and not self._echoes.read(data):
                continue
            try:
                return sender, decode_message(data)
            except RejectedError:
                self._observer.dropped(self._names[sender], "malformed", 1)
        return None

    def on_arrival(self, notify: Callable[[], None]) -> None:
        """Call this when something has arrived."""
        self._notify = notify

    def leave(self) -> None:
        """What still comes for this configuration is dropped."""
        self._leave(self)

    def arrived(self, node: str, data: bytes) -> None:
        """From the connection of a peer, named by its key."""
        sender = self._index.get(node)
        if sender is None:
            self._observer.dropped(node[:8], "not_a_member", 1)
            return
        if is_echo(data) and self._echoes.arrived(data, sender):
            return
        queue = self._queues[sender]
        if len(queue) >= self._limit:
            queue.popleft()
            self._observer.dropped(self._names[sender], "incoming_full", 1)
        elif not queue:
            self._turns.append(sender)
        queue.append(data)
        if self._notify is not None:
            self._notify()
