"""What deliveries tell, whatever the time: failures, rates, blocked senders, what lacks, what should not be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from seamark.core.findings import Finding, Severity
from seamark.core.units import format_duration, format_ratio
from seamark.messages.judgement.attempts import is_of_the_attempt
from seamark.messages.judgement.explain import WAITING
from seamark.messages.judgement.model import MANUAL_TOLD_S, Few, LaneNow
from seamark.messages.judgement.rules.words import about_lane, failures, list_command, some_messages
from seamark.messages.judgement.settings import JudgeSettings
from seamark.messages.model import Stage

__all__ = ["UNTIMED"]

BAD_SUCCESS_PPB = 800_000_000  # below 80 % delivered, or above 25 % failed, it is no longer a trend but an outage
BAD_ERROR_PPB = 250_000_000
PPB = 10**9

NAMED_GAPS = 5  # ranges of missing numbers in a text


def _failed(now: LaneNow, _: JudgeSettings) -> Iterator[Finding]:
    """Deliveries that failed and were not repaired."""
    reasons = _counting_failures(now)
    count = sum(reasons.values())
    if not count:
        return
    waiting = now.waiting.get(Stage.FAILED)
    example, listed = now.failed_first, list_command(now, Stage.FAILED)
    yield about_lane(
        now,
        "message_failed",
        Severity.WARNING,
        f"{some_messages(count)} failed at {now.lane.names.destination}",
        text=", ".join(f"{number} {failures(reason)}" for reason, number in sorted(reasons.items())),
        remedy=f"remove the cause, then: seamark messages recover {example}" if example else listed,
        since=waiting.oldest if waiting else None,
        count=count,
    )


def _counting_failures(now: LaneNow) -> Mapping[str, int]:
    """Failures by reason; those of an attempt count as far as they may be late."""
    waiting = now.waiting.get(Stage.FAILED)
    late, version = waiting.late if waiting else 0, now.lane.version
    reasons = {
        reason: min(number, late) if is_of_the_attempt(version, reason) else number
        for reason, number in now.failed.items()
    }
    return {reason: number for reason, number in reasons.items() if number > 0}


def _rates(now: LaneNow, settings: JudgeSettings) -> Iterator[Finding]:
    """Over messages that are old enough to be delivered: those on their way prove nothing."""
    rates = now.rates
    if rates is None or rates.matured < settings.min_rated or not now.lane.names.destination_watched:
        return
    missing, failed = rates.matured - rates.delivered, rates.failed
    if rates.delivered * PPB < settings.success_rate * rates.matured:
        bad = rates.delivered * PPB < BAD_SUCCESS_PPB * rates.matured
        yield about_lane(
            now,
            "success_rate_low",
            Severity.CRITICAL if bad else Severity.WARNING,
            f"{rates.success:.1%} of matured messages are delivered",
            text=f"{missing} of {rates.matured} are not; at least {format_ratio(settings.success_rate)} should be",
            remedy=f"{list_command(now, Stage.FAILED)}; {list_command(now, Stage.COMMITTED)}",
            since=rates.since,
            count=missing,
        )
    if failed * PPB > settings.error_rate * rates.matured:
        bad = failed * PPB > BAD_ERROR_PPB * rates.matured
        yield about_lane(
            now,
            "error_rate_high",
            Severity.CRITICAL if bad else Severity.WARNING,
            f"the delivery of {rates.error:.1%} of messages failed",
            text=f"{failed} of {rates.matured}; at most {format_ratio(settings.error_rate)} should",
            remedy=f"seamark messages report --daily; {list_command(now, Stage.FAILED)}",
            since=rates.since,
            count=failed,
        )


def _blocked(now: LaneNow, _: JudgeSettings) -> Iterator[Finding]:
    """Ordered senders whose messages wait for an earlier one."""
    for item in now.blocked:
        yield about_lane(
            now,
            "nonce_blocked",
            Severity.WARNING,
            f"{some_messages(item.waiting)} of {item.sender} wait for an earlier one",
            part=item.sender,
            text=f"the first is {item.head} (nonce {item.nonce}, {item.stage}); later ones are skipped until it is run",
            remedy=f"seamark messages recover {item.head}",
            since=item.since,
            count=item.waiting,
        )


def _gaps(now: LaneNow, _: JudgeSettings) -> Iterator[Finding]:
    check = now.sequences
    if check is None or not check.missing:
        return
    ranges = [f"{first}" if first == last else f"{first}-{last}" for first, last in check.gaps]
    named = ", ".join(ranges[:NAMED_GAPS])
    more = f" and {len(ranges) - NAMED_GAPS} more" if len(ranges) > NAMED_GAPS else ""
    yield about_lane(
        now,
        "sequence_gap",
        Severity.CRITICAL,
        f"{some_messages(check.missing)} lack between numbers {check.first} and {check.upto}",
        text=f"missing: {named}{more}; the blocks were read, so a node has left out logs",
        remedy=f"add another endpoint for {now.lane.names.source}: what is missing is read again by itself",
        count=check.missing,
    )


def _odd(now: LaneNow, _: JudgeSettings) -> Iterator[Finding]:
    odd, names = now.odd, now.lane.names

    def about(few: Few, kind: str, severity: Severity, title: str, remedy: str) -> Iterator[Finding]:
        if few.count:
            some = some_messages(few.count, exact=few.exact)
            yield about_lane(
                now,
                kind,
                severity,
                f"{some} {title}",
                text=f"the newest is {few.example}",
                remedy=remedy,
                since=few.since,
                count=few.count,
            )

    show = "seamark messages show "
    yield from about(
        odd.reorged,
        "reorged_after_delivery",
        Severity.CRITICAL,
        f"delivered at {names.destination}, though the send has left {names.source} in a reorg",
        f"compare the balances of both chains, then: {show}{odd.reorged.example}",
    )
    yield from about(
        odd.uncalled,
        "delivered_without_callback",
        Severity.WARNING,
        "delivered, but the receiver's code did not run",
        f"see whether the receiver is a contract that takes messages: {show}{odd.uncalled.example}",
    )
    if odd.manual.count:
        yield about_lane(
            now,
            "manual_execution",
            Severity.INFO,
            f"{some_messages(odd.manual.count, exact=odd.manual.exact)} recovered by hand",
            text=(
                f"done, nothing is left to do; the newest is {odd.manual.example}. "
                f"Told for {format_duration(MANUAL_TOLD_S)}, so that you know if it was none of yours"
            ),
            since=odd.manual.since,
            count=odd.manual.count,
        )
    yield from about(
        odd.conflicting,
        "conflicting_destination",
        Severity.CRITICAL,
        f"for which {names.destination} told of another lane or number",
        f"see whether both ends are of the same CCIP: {show}{odd.conflicting.example}",
    )


def _skew(now: LaneNow, _: JudgeSettings) -> Iterator[Finding]:
    if skewed := now.profile.learned.skewed:
        names = now.lane.names
        yield about_lane(
            now,
            "clock_skew",
            Severity.INFO,
            f"{some_messages(skewed)} arrived before being sent, by the chains' clocks",
            text=f"the clocks of {names.source} and {names.destination} differ; such spans count as zero",
            count=skewed,
        )


def _unwatched(now: LaneNow, _: JudgeSettings) -> Iterator[Finding]:
    names = now.lane.names
    count = sum(item.count for stage, item in now.waiting.items() if stage in WAITING)
    if names.destination_watched or not count:
        return
    yield about_lane(
        now,
        "destination_not_watched",
        Severity.INFO,
        f"{names.destination} is not watched",
        text=f"{some_messages(count)} left for it, and nobody sees how they fare",
        remedy="add the chain to the settings",
        count=count,
    )


UNTIMED = (_failed, _rates, _blocked, _gaps, _odd, _skew, _unwatched)
