"""A contract's whole ABI: its functions, events and errors by name, topic and selector."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from seamark.core.ids import Hash32
from seamark.evm.abi.errors import AbiTypeError, DecodeError
from seamark.evm.abi.items import Constructor, Error, Event, Function
from seamark.evm.abi.reverts import Revert, decode_revert
from seamark.evm.abi.types import params_from_json
from seamark.evm.types import Log

__all__ = ["Abi"]

_Item = TypeVar("_Item", Function, Event, Error)


class Abi:
    """Looks items up by name, by full signature where a name is overloaded, by topic 0 or by selector."""

    def __init__(
        self,
        *,
        functions: Iterable[Function] = (),
        events: Iterable[Event] = (),
        errors: Iterable[Error] = (),
        constructor: Constructor | None = None,
    ) -> None:
        self.functions: tuple[Function, ...] = tuple(functions)
        self.events: tuple[Event, ...] = tuple(events)
        self.errors: tuple[Error, ...] = tuple(errors)
        self.constructor = constructor or Constructor()
        self._functions = _index(self.functions)
        self._events = _index(self.events)
        self._errors = _index(self.errors)
        self.events_by_topic: Mapping[Hash32, Event] = {
            event.topic0: event for event in self.events if not event.anonymous
        }

    @classmethod
    def from_json(cls, entries: Sequence[Mapping[str, Any]]) -> Abi:
        """From the `abi` list that a Solidity compiler writes.

        Raises:
            AbiTypeError: A malformed entry.
        """
        functions, events, errors = [], [], []
        constructor = None
        for entry in entries:
            kind, name = entry.get("type", "function"), str(entry.get("name", ""))
            inputs = params_from_json(entry.get("inputs", ()))
            if kind == "function":
                outputs = params_from_json(entry.get("outputs", ()))
                functions.append(Function(name, inputs, outputs, entry.get("stateMutability", "nonpayable")))
            elif kind == "event":
                events.append(Event(name, inputs, bool(entry.get("anonymous"))))
            elif kind == "error":
                errors.append(Error(name, inputs))
            elif kind == "constructor":
                constructor = Constructor(inputs)
            elif kind not in ("fallback", "receive"):
                raise AbiTypeError(f"{kind!r} is not a kind of ABI entry")
        return cls(functions=functions, events=events, errors=errors, constructor=constructor)

    @classmethod
    def parse(cls, *lines: str) -> Abi:
        """From lines as Solidity writes them: "function …", "event …", "error …"."""
        words = [(line.split(maxsplit=1) or [""])[0] for line in lines]
        for word, line in zip(words, lines, strict=True):
            if word not in ("function", "event", "error"):
                raise AbiTypeError(f"{line[:60]!r} must start with function, event or error")
        pairs = list(zip(words, lines, strict=True))
        return cls(
            functions=[Function.parse(line) for word, line in pairs if word == "function"],
            events=[Event.parse(line) for word, line in pairs if word == "event"],
            errors=[Error.parse(line) for word, line in pairs if word == "error"],
        )

    def function(self, name: str) -> Function:
        """By name, or by signature such as "f(uint256)" where the name is overloaded; raises `AbiTypeError`."""
        return _find(self._functions, name, "function")

    def event(self, name: str) -> Event:
        """As `function`."""
        return _find(self._events, name, "event")

    def error(self, name: str) -> Error:
        """As `function`."""
        return _find(self._errors, name, "error")

    def encode_call(self, name: str, *arguments: Any) -> bytes:
        """Calldata of a function."""
        return self.function(name).encode(*arguments)

    def decode_result(self, name: str, data: bytes) -> Any:
        """What a call of a function returned, as a record."""
        return self.function(name).decode_result(data)

    def decode_log(self, log: Log) -> tuple[Event, Any]:
        """The event and its values.

        Raises:
            DecodeError: An event that this contract does not have, or a malformed one.
        """
        event = self.events_by_topic.get(log.topics[0]) if log.topics else None
        if event is None:
            raise DecodeError(f"no event of this contract has topic {log.topics[0] if log.topics else '(none)'}")
        return event, event.decode(log)

    def decode_error(self, data: bytes) -> Revert:
        """Explain revert data with this contract's errors."""
        return decode_revert(data, self.errors)


def _index(items: Sequence[_Item]) -> dict[str, _Item | None]:
    """Names and signatures; an overloaded name leads to None."""
    found: dict[str, _Item | None] = {}
    for item in items:
        found[item.name] = None if item.name in found else item
    for item in items:
        found[item.signature] = item
    return found


def _find(index: Mapping[str, _Item | None], name: str, kind: str) -> _Item:
    item = index.get(name)
    if item is None:
        remedy = "give its full signature" if name in index else ""
        problem = "is overloaded" if name in index else "does not exist in this ABI"
        raise AbiTypeError(f"{kind} {name} {problem}", remedy=remedy)
    return item
