"""From what a look found to findings. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from seamark.core.findings import Finding, Severity
from seamark.core.units import format_duration
from seamark.messages.protocols.ccip.checks.model import Bucket, ChainCheck, LaneCheck, SenderCheck
from seamark.messages.protocols.ccip.checks.settings import ChecksSettings, SenderSettings
from seamark.messages.store import NoticeView

__all__ = ["SEND_FAILURES_S", "judge_chain", "judge_failed_sends"]

DECIMALS = 18  # of LINK and of native currency
WHOLE = 1_000_000_000  # ppb


def judge_chain(check: ChainCheck, settings: ChecksSettings, senders: Sequence[SenderSettings]) -> list[Finding]:
    """Everything that is wrong on one chain; `senders` are its own."""
    if check.unreachable:  # the chain's own health check tells of that
        return []
    if check.problem:
        return [
            Finding(
                kind="router_unavailable",
                subject=f"{check.chain_id}/{check.router}",
                severity=Severity.CRITICAL,
                group=check.chain,
                title=f"The CCIP router on {check.chain} does not answer",
                text=f"{check.router}: {check.problem}",
                remedy="check the address under ccip.chains; nothing can be sent or received through it",
                labels={"chain": check.chain},
            )
        ]
    by_address = {str(item.address): item for item in senders}
    return [
        *_curses(check),
        *(finding for lane in check.lanes for finding in _lane(check, lane, settings)),
        *_prices(check, settings),
        *(finding for item in check.senders for finding in _sender(check, item, by_address[item.address])),
        *_limits(check, settings),
    ]


SEND_FAILURES_S = 3600
"""How long a send that failed is told: the next round is sent anew, so an old failure matters no more."""


def judge_failed_sends(notices: Sequence[NoticeView], names: Mapping[str, str]) -> list[Finding]:
    """One finding for each way from a sender, out of the notices of the last hour, newest first.

    Args:
        notices: Of kind `send_failed`.
        names: Of chains, by chain id and by selector, as text.
    """
    found: dict[tuple[int, str, str], list[NoticeView]] = {}
    for item in notices:
        found.setdefault((item.chain_id, item.contract, item.subject), []).append(item)
    return [_failed_sends(items, names) for items in found.values()]


def _failed_sends(items: Sequence[NoticeView], names: Mapping[str, str]) -> Finding:
    newest, oldest = items[0], items[-1]
    source, dest = names.get(str(newest.chain_id), str(newest.chain_id)), names.get(newest.subject, newest.subject)
    many = "a send" if len(items) == 1 else f"{len(items)} sends"
    return Finding(
        kind="send_failed",
        subject=f"{newest.chain_id}/{newest.contract}/{newest.subject}",
        severity=Severity.WARNING,
        group=f"{source} → {dest}",
        title=f"{source} → {dest}: {many} of {newest.contract} failed within the hour",
        text=f"{newest.details.get('text', '')}; transaction {newest.tx}",
        remedy="the price on its own chain is published all the same; seamark ccip check shows fees, balances and"
        " curses, seamark messages resend sends the round again",
        since=oldest.time,
        count=len(items),
        labels={"source": source, "dest": dest, "reason": str(newest.details.get("reason", ""))},
    )


def _curses(check: ChainCheck) -> Iterator[Finding]:
    """With the subjects that notices of curses have, so that both are one alert."""
    cursed = {lane.selector: f"the lanes with {lane.name}" for lane in check.lanes if lane.cursed}
    subjects: Mapping[str, str] = {"*": "all lanes"} if check.cursed else cursed
    for subject, what in subjects.items():
        yield Finding(
            kind="cursed",
            subject=f"{check.chain_id}/{subject}",
            severity=Severity.CRITICAL,
            group=f"curse of {check.chain}",
            title=f"{check.chain} is cursed: {what} stand still",
            text="its risk contract says so now",
            remedy="nothing can be sent or executed until it is lifted; follow it with: seamark ccip check",
            labels={"chain": check.chain},
        )


def _lane(check: ChainCheck, lane: LaneCheck, settings: ChecksSettings) -> Iterator[Finding]:
    title = f"{check.chain} → {lane.name}"
    labels = {"source": check.chain, "dest": lane.name}
    key = f"{check.chain_id}/{lane.selector}"
    if not lane.on_ramp:
        yield Finding(
            kind="lane_disabled",
            subject=key,
            severity=Severity.WARNING,
            group=title,
            title=f"{title}: the router has no OnRamp for it",
            text="sends revert with UnsupportedDestinationChain",
            remedy="if the lane is meant to work, ask who runs CCIP there; one way alone may be intended",
            labels=labels,
        )
        return
    refused = [quote for quote in lane.quotes if quote.amount is None]
    if refused and not (lane.cursed or check.cursed):  # a curse is told by itself
        yield Finding(
            kind="fee_quote_failed",
            subject=key,
            severity=Severity.CRITICAL if len(refused) == len(lane.quotes) else Severity.WARNING,
            group=title,
            title=f"{title}: no fee can be quoted in {' and '.join(quote.token for quote in refused)}",
            text="; ".join(f"{quote.token}: {quote.error}" for quote in refused),
            remedy="sends revert for the same reason; seamark ccip check shows the age of the fee data",
            labels=labels,
        )
    if stale := _stale(lane.gas_price_age, lane.gas_price_limit, settings.price_warning):
        severity, text = stale
        yield Finding(
            kind="fee_data_stale",
            subject=f"{key}/gas",
            severity=severity,
            group=title,
            title=f"{title}: the gas price that fees are computed with is old",
            text=text,
            remedy="CCIP's network updates it with its commits; when it does not, look for stuck commits on this lane",
            labels=labels,
        )


def _prices(check: ChainCheck, settings: ChecksSettings) -> Iterator[Finding]:
    for price in check.prices:
        if stale := _stale(price.age, price.limit, settings.price_warning):
            severity, text = stale
            yield Finding(
                kind="fee_data_stale",
                subject=f"{check.chain_id}/{price.token}",
                severity=severity,
                group=check.chain,
                title=f"{check.chain}: the {price.token} price that fees are computed with is old",
                text=text,
                remedy="CCIP's network updates it with its commits; sends revert once it is too old",
                labels={"chain": check.chain},
            )


def _stale(age: int | None, limit: int | None, share_ppb: int) -> tuple[Severity, str] | None:
    if age is None or limit is None or age * WHOLE <= limit * share_ppb:
        return None
    severity = Severity.CRITICAL if age > limit else Severity.WARNING
    return severity, f"{format_duration(age)} old; sends revert beyond {format_duration(limit)}"


def _sender(check: ChainCheck, sender: SenderCheck, wanted: SenderSettings) -> Iterator[Finding]:
    link = None if sender.link is None else _units(sender.link)
    native = _units(sender.native)
    refill = f"seamark ccip refill {sender.address} --chain {wanted.chain}"

    def finding(kind: str, severity: Severity, title: str, text: str, remedy: str) -> Finding:
        return Finding(
            kind=kind,
            subject=f"{check.chain_id}/{sender.address}",
            severity=severity,
            group=check.chain,
            title=f"{sender.name} on {check.chain}: {title}",
            text=text,
            remedy=remedy,
            labels={"chain": check.chain, "sender": sender.name},
        )

    if sender.paused:
        title = "the feed is paused" if sender.paused == "feed" else "sending is paused"
        feed = " --feed" if sender.paused == "feed" else ""
        text = "nothing is sent" + (", and no price is published" if feed else "; prices on its own chain go on")
        remedy = f"when that is over: seamark ccip resume {sender.address} --chain {wanted.chain}{feed}"
        yield finding("sender_paused", Severity.WARNING, title, text, remedy)
    if link is not None and (severity := _below(link, wanted.link_warning, wanted.link_critical)):
        limits = f"warning below {wanted.link_warning}, critical below {wanted.link_critical}"
        yield finding("link_balance_low", severity, f"{link:.4f} LINK left", limits, refill)
    if severity := _below(native, wanted.native_warning, wanted.native_critical):
        limits = f"warning below {wanted.native_warning}, critical below {wanted.native_critical}"
        remedy = f"send native currency to {sender.address}"
        yield finding("native_balance_low", severity, f"{native:.4f} of native currency left", limits, remedy)
    if sender.allowance is not None and (allowance := _units(sender.allowance)) < wanted.min_allowance:
        title = f"the router may take {allowance:.4f} LINK only"
        remedy = "approve more LINK for the router from this account; sends revert when it is used up"
        yield finding("allowance_low", Severity.WARNING, title, f"below {wanted.min_allowance}", remedy)
    runway = sender.runway
    if link is not None and runway is not None and runway < wanted.runway_warning and link >= wanted.link_warning:
        title = f"its LINK lasts for {format_duration(runway)}"
        text = f"{link:.4f} LINK left; told below {format_duration(wanted.runway_warning)} at the pace of seven days"
        yield finding("runway_short", Severity.WARNING, title, text, refill)


def _below(amount: Decimal, warning: Decimal, critical: Decimal) -> Severity | None:
    if amount < critical:
        return Severity.CRITICAL
    return Severity.WARNING if amount < warning else None


def _limits(check: ChainCheck, settings: ChecksSettings) -> Iterator[Finding]:
    for pool in check.pools:
        ways: tuple[tuple[str, Bucket | None], ...] = (("towards", pool.outbound), ("from", pool.inbound))
        for way, bucket in ways:
            if bucket is None or bucket.headroom * WHOLE >= settings.limit_warning:
                continue
            yield Finding(
                kind="rate_limit_low",
                subject=f"{check.chain_id}/{pool.pool}/{way}/{pool.selector}",
                severity=Severity.CRITICAL if bucket.tokens == 0 else Severity.WARNING,
                group=check.chain,
                title=f"{pool.token} {way} {pool.name} on {check.chain}: {bucket.headroom:.0%} of the rate limit left",
                text=f"{bucket.tokens} of {bucket.capacity} base units{_refill(bucket)}",
                remedy="larger transfers fail until it has refilled; the pool's owner can raise the limit",
                labels={"chain": check.chain, "token": pool.token},
            )


def _refill(bucket: Bucket) -> str:
    if not bucket.rate:
        return ""
    return f"; full again in {format_duration((bucket.capacity - bucket.tokens) / bucket.rate)}"


def _units(amount: int) -> Decimal:
    return Decimal(amount).scaleb(-DECIMALS)
