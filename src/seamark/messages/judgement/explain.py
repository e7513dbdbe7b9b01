"""One message in words: where it is, how long it took, what is normal, why it failed, what to do next.

Pure: the same sentences on the command line, in the API and in a test. Each is complete by itself, without a full stop,
in the order in which a person would ask.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from seamark.core.ids import Address, ChainId
from seamark.core.units import format_duration
from seamark.evm.address import to_checksum
from seamark.messages.judgement.attempts import is_of_the_attempt
from seamark.messages.judgement.model import Curse, LaneProfile, Limit, Origin, Percentiles
from seamark.messages.model import LaneKey, Stage
from seamark.messages.protocol import LaneNames
from seamark.messages.store.rows import MessageView

__all__ = ["WAITING", "explain", "is_late", "limit_of", "list_command", "next_step"]

WAITING = (Stage.SENT, Stage.FINALIZED, Stage.COMMITTED)
"""The stages that time alone should end."""

_ADDRESS_LENGTH = 42  # of 0x and 20 bytes
_WHOSE = {
    Origin.DEFAULT: "by the source chain's finality",
    Origin.LEARNED: "learned from this lane",
    Origin.SETTINGS: "by the settings",
}


def explain(
    message: MessageView, profile: LaneProfile | None, now: float, *, curses: Sequence[Curse] = ()
) -> list[str]:
    """Sentences about one message.

    Args:
        message: As lists and details show it.
        profile: What is normal on its lane (`judgement.read_profile`); None: nothing is known.
        now: Seconds since the epoch.
        curses: Those that are open (`judgement.read_curses`).
    """
    return [
        *_place(message, profile, now),
        *_spans(message),
        *_normal(message, profile),
        *_lateness(message, profile, now),
        *_trouble(message, curses),
        *_next(message, profile, now),
    ]


def limit_of(profile: LaneProfile, stage: Stage) -> Limit | None:
    """How long after its send a message may still be in a stage; None for stages that time does not end."""
    after_final = profile.committed if profile.commits else profile.executed
    limits = {Stage.SENT: profile.final, Stage.FINALIZED: after_final, Stage.COMMITTED: profile.executed}
    return limits.get(stage)


def next_step(stage: Stage, *, commits: bool = True) -> str:
    """What a message waits for in a stage that time should end."""
    if stage is Stage.SENT:
        return "final"
    return "committed" if stage is Stage.FINALIZED and commits else "executed"


def is_late(message: MessageView, profile: LaneProfile | None, now: float) -> bool:
    """Whether it should have got further by now, as far as the ends of its lane are watched."""
    limit = limit_of(profile, Stage(message.stage)) if profile and not message.by_hand else None
    return limit is not None and _is_followed(message) and now - message.time > limit.warn


def _is_followed(message: MessageView) -> bool:
    """Whether the next step would be seen."""
    return message.stage == Stage.SENT or message.destination_watched


# ---- sentences ------------------------------------------------------------------------------------------------------


def _place(message: MessageView, profile: LaneProfile | None, now: float) -> Iterator[str]:
    lane = f"{message.source_name} → {message.destination_name}"
    age = format_duration(max(now - message.time, 0))
    verb = "sent" if message.sent_time is not None else "first seen"
    yield f"number {message.sequence} on {lane} ({message.protocol} {message.version}), {verb} {age} ago"
    yield _where(message, commits=profile is None or profile.commits)
    if message.by_hand and message.stage in WAITING:
        yield "its sender paid no executor: nobody executes it by himself, it waits for a hand"
    if profile is not None and profile.verifiers and message.stage == Stage.FINALIZED:
        yield "its verifiers speak off chain: that they all have is not known (ccip.verification asks an indexer)"
    if not message.source_watched:
        yield f"{message.source_name} is not watched: its send and finality are not known"
    if not message.destination_watched:
        yield f"{message.destination_name} is not watched: what happens to it there is not known"


def _delivered(message: MessageView) -> str:
    how = " by hand" if message.manual else " after a failed attempt" if message.attempts > 1 else ""
    text = f"delivered at {message.destination_name}{how}"
    return f"{text}, {message.attempts} attempts" if message.attempts > 1 else text


def _where(message: MessageView, *, commits: bool) -> str:
    source, destination = message.source_name, message.destination_name
    match Stage(message.stage):
        case Stage.SENT:
            return f"in a block of {source} that is not final yet"
        case Stage.FINALIZED:
            return f"final at {source}, not {next_step(Stage.FINALIZED, commits=commits)} at {destination} yet"
        case Stage.COMMITTED:
            done, where = (
                ("verified off chain", f"at {destination}")
                if message.verified
                else (
                    f"committed at {destination}",
                    "there",
                )
            )
            return f"{done}, not executed {where} yet"
        case Stage.FAILED:
            return f"its execution at {destination} failed"
        case Stage.RETRACTED:
            return f"its send has left {source} in a reorg"
        case _:
            return _delivered(message)


def _spans(message: MessageView) -> Iterator[str]:
    seconds = message.seconds
    parts = (
        ("final", seconds.finality, ""),
        ("verified" if message.verified else "committed", seconds.commit, ""),
        ("executed", seconds.execution, " of the last word" if message.verified else " of the commit"),
        ("delivered", seconds.total, ""),
    )
    told = [f"{name} {_span(span)}{since}" for name, span, since in parts if span is not None]
    if told:
        yield ", ".join(told)


def _span(seconds: int) -> str:
    """Blocks tell no less than a second."""
    return f"within {format_duration(max(seconds, 1))}"


def _normal(message: MessageView, profile: LaneProfile | None) -> Iterator[str]:
    if profile is None or not _is_followed(message):
        return
    learned = profile.learned
    spans: list[tuple[str, Percentiles | None]] = [
        ("final", learned.finality),
        ("committed", learned.commit if profile.commits else None),
        ("delivered", learned.total),
    ]
    told = [
        f"{name} within {format_duration(span.p50)}, 95 of 100 within {format_duration(span.p95)}"
        for name, span in spans
        if span is not None
    ]
    if told:
        yield f"normal here, from {learned.messages} messages: half of them {'; half '.join(told)}"
    else:
        yield "too few messages are known to say what is normal on this lane"


def _lateness(message: MessageView, profile: LaneProfile | None, now: float) -> Iterator[str]:
    stage = Stage(message.stage)
    limit = limit_of(profile, stage) if profile else None
    if limit is None or message.by_hand or not _is_followed(message):
        return
    over = now - message.time - limit.warn
    step = next_step(stage, commits=profile is None or profile.commits)
    bound = f"{step} within {format_duration(limit.warn)} of its send ({_WHOSE[limit.origin]})"
    if over > 0:
        yield f"late by {format_duration(over)}: it should be {bound}"
    else:
        yield f"on time: it should be {bound}, {format_duration(-over)} from now"


def _trouble(message: MessageView, curses: Sequence[Curse]) -> Iterator[str]:
    stage = Stage(message.stage)
    if stage is Stage.FAILED:
        yield f"why: {message.error or 'no reason was given'} ({message.reason or 'unknown'})"
    if stage in (*WAITING, Stage.FAILED):
        for curse in curses:
            if curse.stops(_lane(message), _names(message)):
                what = "everything" if curse.subject == "*" else curse.subject_name
                yield f"{curse.chain} is cursed ({what}): nothing moves on this lane until that is lifted"
    if stage in (Stage.EXECUTED, Stage.RECOVERED):
        if message.retracted:
            yield f"its send has left {message.source_name} in a reorg after it was delivered: the two chains disagree"
        if message.callback is False and message.size:
            yield "the receiver's code did not run: it has no code, or does not say that it takes messages (ERC-165)"
    if message.conflicting:
        yield f"{message.destination_name} told of another lane or number for the same id; that was ignored"


def _lane(message: MessageView) -> LaneKey:
    return LaneKey(message.protocol, message.source, message.channel, message.destination)


def _names(message: MessageView) -> LaneNames:
    def chain(number: int | None) -> ChainId | None:
        return None if number is None else ChainId(number)

    return LaneNames(
        message.source_name,
        message.destination_name,
        chain(message.source_chain),
        chain(message.destination_chain),
        message.source_watched,
        message.destination_watched,
    )


def _next(message: MessageView, profile: LaneProfile | None, now: float) -> Iterator[str]:
    stage = Stage(message.stage)
    if stage is Stage.FAILED:
        yield from _after_failure(message, profile, now)
    elif message.by_hand and stage in (Stage.FINALIZED, Stage.COMMITTED):
        yield f"next: execute it when it suits you: seamark messages recover {message.id}"
    elif stage is Stage.COMMITTED and message.committed_time is not None:
        yield from _by_hand(message, profile, now, message.committed_time)
    elif stage is Stage.RETRACTED:
        yield "next: nothing was delivered; send it again if the sender has not"
    elif stage in (Stage.EXECUTED, Stage.RECOVERED):
        if message.retracted:
            yield "next: compare the balances of both chains; what was delivered has no send any more"
        elif message.callback is False and message.size:
            yield f"next: look at the receiver's code: {_account(message.receiver)}"
    elif is_late(message, profile, now):
        yield f"next: see whether the whole lane is held up: {list_command(message)}"


def _after_failure(message: MessageView, profile: LaneProfile | None, now: float) -> Iterator[str]:
    recover = f"seamark messages recover {message.id}"
    if not is_of_the_attempt(message.version, message.reason):
        yield f"next: remove the cause, then execute it by hand: {recover}"
    elif profile is None or now - message.time <= profile.executed.warn:
        yield "the attempt failed, not the message: anybody may try, with any proof and any gas"
        yield f"next: wait: an honest attempt may follow; if none does: {recover}"
    else:
        yield "the attempt failed, not the message, and no honest one has followed in time"
        yield f"next: execute it by hand: {recover}"


def _by_hand(message: MessageView, profile: LaneProfile | None, now: float, committed: int) -> Iterator[str]:
    after = profile.manual_after_s if profile else None
    if after is None:
        if is_late(message, profile, now):
            yield f"next: see whether it may be executed by hand: seamark messages recover {message.id}"
        return
    left = committed + after - now
    if left > 0:
        yield f"it may be executed by hand from {format_duration(left)} from now on"
    else:
        yield f"next: it may be executed by hand: seamark messages recover {message.id}"


def _account(text: str) -> str:
    """With its checksum, where it is an EVM address."""
    return to_checksum(Address(text)) if text.startswith("0x") and len(text) == _ADDRESS_LENGTH else text


def list_command(message: MessageView) -> str:
    """The command that lists what waits beside a message."""
    return (
        f"seamark messages list --source {message.source_name!r} --destination {message.destination_name!r} "
        f"--stage {message.stage}"
    )
