"""What a message's place means, and what to do about it, in sentences. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from seamark.core.units import format_duration
from seamark.messages.model import Stage
from seamark.messages.store import MessageView

__all__ = ["next_steps", "verdict"]


def verdict(message: MessageView, now: int) -> list[str]:
    """Where it is and what that means, most important first."""
    return list(_sentences(message, now))


def _sentences(message: MessageView, now: int) -> Iterator[str]:
    age = format_duration(max(now - message.time, 0))
    total = message.seconds.total
    match message.stage:
        case Stage.EXECUTED | "recovered":
            how = "by hand" if message.manual else f"at attempt {message.attempts}" if message.attempts > 1 else ""
            took = f" in {format_duration(total)}" if total is not None else ""
            yield (
                f"delivered{took}{f', {how}' if how else ''}, {age} after it was sent"
                if not took
                else (f"delivered{took}{f', {how}' if how else ''}; sent {age} ago")
            )
            if message.callback is False and message.size:
                yield "the receiver's code did not run: it has none, or does not say that it takes messages"
        case Stage.FAILED:
            yield f"its execution failed; sent {age} ago, {message.attempts} attempt{'s' * (message.attempts != 1)}"
        case Stage.RETRACTED:
            yield "its send left the source chain in a reorg; if it is included again, it comes back here"
        case Stage.COMMITTED:
            yield f"committed at the destination, not executed yet; sent {age} ago"
        case Stage.FINALIZED:
            yield f"final at the source, not committed at the destination yet; sent {age} ago"
        case _:
            yield f"sent {age} ago; its block is not final yet"
    if not message.destination_watched:
        yield f"{message.destination_name} is not watched: what happens there is not known"


def next_steps(message: MessageView, _now: int) -> list[str]:
    """Exact commands; none for a message that needs nobody."""
    if message.stage == Stage.FAILED:
        return [f"remove the cause, then: seamark messages recover {message.id}"]
    if message.stage == Stage.COMMITTED:
        return [
            f"wait for it: seamark messages watch {message.id}",
            f"or see whether it may be executed by hand: seamark messages recover {message.id}",
        ]
    if message.stage in (Stage.SENT, Stage.FINALIZED) and message.destination_watched:
        return [f"wait for it: seamark messages watch {message.id}"]
    return []
