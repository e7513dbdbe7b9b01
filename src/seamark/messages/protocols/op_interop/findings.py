"""What is wrong with interop now, in words. Pure.

Invalid messages are graded as OP Labs' design of interop monitoring grades them: unsafe (stop what comes in, and
watch), safe (the block must be replaced soon), final (all hands). Messages that are wrong in the same way are one
finding with a count, so an attack does not become a thousand pages. A finding about a final invalid message never ends
by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from seamark.core.findings import Finding, Severity
from seamark.core.units import format_duration
from seamark.messages.protocols.op_interop.model import Level, Rule
from seamark.messages.protocols.op_interop.network import Network
from seamark.messages.protocols.op_interop.replicas import Compared
from seamark.messages.protocols.op_interop.store import BadLogView, Group, Job
from seamark.messages.protocols.op_interop.store.queries import OddCounts, Undecided
from seamark.messages.protocols.op_interop.store.replays import Divergence
from seamark.messages.protocols.op_interop.store.rows import ELSEWHERE
from seamark.messages.protocols.op_interop.views import LaneUnrelayed, Unrelayed

__all__ = [
    "about_bad_logs",
    "about_failsafe",
    "about_filters",
    "about_groups",
    "about_odd_jobs",
    "about_replicas",
    "about_undecided",
    "about_unrelayed",
]

_MS: Final = 1000
_GRADES: Final = {Level.UNSAFE: "unsafe", Level.SAFE: "safe", Level.FINALIZED: "final"}
_REMEDIES: Final = {
    Level.UNSAFE: "stop interop traffic into the set (failsafe), and watch whether the block is replaced",
    Level.SAFE: "the block must be replaced by one without it: watch for a reorg at this height, keep the failsafe on",
    Level.FINALIZED: "the protocol's promise is broken: all hands; keep everything stopped and save the evidence",
}
_SHOWN: Final = 3


def about_groups(groups: Sequence[Group], network: Network) -> list[Finding]:
    """Messages that are not valid."""
    return [_bad(group, network) for group in groups]


def _bad(group: Group, network: Network) -> Finding:
    executing, initiating = network.name(group.exec_chain), _initiating(group.init_chain, network)
    grade = _GRADES[group.exec_level]
    unknown = group.rule is Rule.UNKNOWN_CHAIN
    kind = "interop_unknown_chain" if unknown else f"interop_invalid_{grade}"
    noun = "message" if group.jobs == 1 else "messages"
    return Finding(
        kind=kind,
        subject=f"{group.exec_chain}:{group.init_chain}:{group.rule}:{grade}",
        severity=Severity.CRITICAL,
        group=f"interop into {executing}",
        title=f"{group.jobs} invalid executing {noun} on {executing} from {initiating} ({group.rule}, {grade} block)",
        text="; ".join(_told(item) for item in group.examples),
        remedy=_REMEDIES[group.exec_level],
        since=group.since_ms // _MS,
        count=group.jobs,
        labels=_labels(group.exec_chain, group.init_chain, network) | {"rule": group.rule.value},
    )


def _told(item: Job) -> str:
    here = item.message
    return f"block {here.block.number}, log {here.log_index}, transaction {here.transaction}: {item.detail}"


def about_undecided(rows: Sequence[Undecided], network: Network) -> list[Finding]:
    """Messages that wait for a verdict, or whose verdict nobody can confirm."""
    found = []
    for row in rows:
        executing, initiating = network.name(row.exec_chain), _initiating(row.init_chain, network)
        not_read = row.rule is Rule.NOT_WATCHED
        found.append(
            Finding(
                kind="interop_not_watched" if not_read else "interop_undecided",
                subject=f"{row.exec_chain}:{row.init_chain}:{row.rule or 'unread'}:{'stale' if row.stale else 'open'}",
                severity=Severity.INFO if not_read else Severity.WARNING,
                group=f"interop into {executing}",
                title=f"{row.jobs} executing messages on {executing} from {initiating} without a confirmed verdict",
                text=_why(row),
                remedy=f"add {initiating} under interop.chains" if not_read else f"check the nodes of {initiating}",
                since=row.oldest_ms // _MS,
                count=row.jobs,
                labels=_labels(row.exec_chain, row.init_chain, network),
            )
        )
    return found


def _why(row: Undecided) -> str:
    if row.stale:
        return "the initiating block cannot be read; the last verdict stands, unconfirmed"
    return {
        Rule.NO_BLOCK: "the initiating chain has not got to the block that they name",
        Rule.NOT_WATCHED: "the initiating chain is in the dependency set and not read by this monitor",
        Rule.DISPUTED: "two looks at the initiating block said different things",
    }.get(row.rule, "nobody has looked yet")


def about_odd_jobs(odd: OddCounts, network: Network) -> list[Finding]:
    """Counts of open jobs: verdict turned round; executed in the very last second; not in the access list."""
    rows = (
        (odd.flipped, "interop_verdict_changed", Severity.CRITICAL, "changed between valid and not valid",
         "a reorg of the initiating chain, or nodes that disagree: see their history"),
        (odd.undeclared, "interop_undeclared", Severity.WARNING, "not declared in the access list",
         "the inbox refuses such messages: is the contract at its address the right one?"),
        (odd.boundary, "interop_expiry_boundary", Severity.INFO, "executed in the last second of the window",
         "the specification's texts disagree on that second; nodes take it as valid"),
    )  # fmt: skip
    return [
        Finding(
            kind=kind,
            subject=str(chain_id),
            severity=severity,
            group=f"interop into {network.name(chain_id)}",
            title=f"{count} executing messages on {network.name(chain_id)} {what}",
            remedy=remedy,
            count=count,
            labels={"chain": network.name(chain_id)},
        )
        for counts, kind, severity, what, remedy in rows
        for chain_id, count in sorted(counts.items())
    ]


def about_bad_logs(logs: Sequence[BadLogView], network: Network) -> list[Finding]:
    """Logs of the inbox that nobody can read, one finding per chain."""
    by_chain: dict[int, list[BadLogView]] = {}
    for item in logs:
        by_chain.setdefault(item.chain_id, []).append(item)
    return [
        Finding(
            kind="interop_malformed",
            subject=str(chain_id),
            severity=Severity.WARNING,
            group=f"interop into {network.name(chain_id)}",
            title=f"{len(items)} logs of the inbox on {network.name(chain_id)} are no executing messages",
            text="; ".join(f"transaction {item.tx}: {item.problem}" for item in items[:_SHOWN]),
            remedy="the contract at the inbox's address may have been upgraded: compare it with the release notes",
            count=len(items),
            labels={"chain": network.name(chain_id)},
        )
        for chain_id, items in sorted(by_chain.items())
    ]


def about_unrelayed(
    lanes: Sequence[LaneUnrelayed], ending: Sequence[Unrelayed], *, now: float, relay_after_s: float
) -> list[Finding]:
    """Messages that nobody relays, by lane; and those whose time runs out or has run out."""
    found = [
        Finding(
            kind="interop_not_relayed",
            subject=f"{lane.source}:{lane.destination}",
            severity=Severity.WARNING,
            group=f"interop {lane.source} to {lane.destination}",
            title=f"{lane.messages} messages from {lane.source} to {lane.destination} are not relayed after "
            f"{format_duration(relay_after_s)}",
            text=f"the oldest waits for {format_duration(max(now - lane.oldest, 0))}",
            remedy="check the relayer of this lane; seamark messages list --protocol interop --stage sent shows them",
            since=int(lane.oldest + relay_after_s),
            count=lane.messages,
            labels={"source": lane.source, "dest": lane.destination},
        )
        for lane in lanes
    ]
    for expired in (False, True):
        by_lane: dict[tuple[str, str], list[Unrelayed]] = {}
        for item in ending:
            if item.expired(now) is expired:
                by_lane.setdefault((item.source, item.destination), []).append(item)
        found += [_ending(source, dest, items, now, expired=expired) for (source, dest), items in by_lane.items()]
    return found


def _ending(source: str, dest: str, items: Sequence[Unrelayed], now: float, *, expired: bool) -> Finding:
    first = min(items, key=lambda item: item.expires)
    if expired:
        title, when = f"{len(items)} messages from {source} to {dest} have expired", "expired"
        remedy = "they can be sent again: resendMessage on the source's messenger, with the same arguments"
    else:
        title, when = f"{len(items)} messages from {source} to {dest} expire soon", "expires"
        remedy = "relay them now, or send them again with resendMessage"
    ago = format_duration(abs(first.expires - now))
    return Finding(
        kind="interop_expired" if expired else "interop_expiring",
        subject=f"{source}:{dest}",
        severity=Severity.WARNING,
        group=f"interop {source} to {dest}",
        title=title,
        text=f"the first, {first.message_id}, {when} {f'{ago} ago' if expired else f'in {ago}'}",
        remedy=remedy,
        since=first.expires if expired else None,
        count=len(items),
        labels={"source": source, "dest": dest},
    )


def about_failsafe(states: Mapping[str, bool | None], errors: Mapping[str, str]) -> list[Finding]:
    """Endpoints that let nothing pass, and those that cannot be asked or ordered."""
    on = [
        Finding(
            kind="interop_failsafe_on",
            subject=label,
            severity=Severity.WARNING,
            group="interop",
            title=f"{label} lets no interop message pass",
            remedy="once the cause is dealt with: admin_setFailsafeEnabled(false) there, then close the incident",
            labels={"endpoint": label},
        )
        for label, state in sorted(states.items())
        if state
    ]
    return on + _silent(
        "interop_failsafe_unreachable",
        errors,
        title="{} cannot be asked for its failsafe",
        remedy="without it interop cannot be stopped there: check the address and that the admin interface is on",
    )


def _silent(kind: str, errors: Mapping[str, str], *, title: str, remedy: str) -> list[Finding]:
    """A finding for each endpoint that does not answer; `title` has its label at {}."""
    return [
        Finding(
            kind=kind,
            subject=label,
            severity=Severity.WARNING,
            group="interop",
            title=title.format(label),
            text=text,
            remedy=remedy,
            labels={"endpoint": label},
        )
        for label, text in sorted(errors.items())
    ]


def about_filters(differing: Sequence[Divergence], errors: Mapping[str, str], network: Network) -> list[Finding]:
    """Interop filters that think otherwise of a message, and those that cannot be asked.

    A filter that lets pass what is not valid is worse than one that holds back what is.
    """
    found = [
        Finding(
            kind="interop_filter_divergence",
            subject=f"{item.endpoint}:{item.exec_chain}:{item.init_chain}:{item.status}:{item.said}",
            severity=Severity.CRITICAL if item.said == "valid" else Severity.WARNING,
            group=f"interop into {network.name(item.exec_chain)}",
            title=f"{item.endpoint} calls {item.said} what is {item.status}: {item.jobs} executing messages on "
            f"{network.name(item.exec_chain)}",
            text=item.text,
            remedy="look at one with seamark interop list and show; then at the filter's own chains: one of the two "
            "reads a wrong node",
            since=item.since_ms // _MS,
            count=item.jobs,
            labels=_labels(item.exec_chain, item.init_chain, network) | {"endpoint": item.endpoint},
        )
        for item in differing
    ]
    return found + _silent(
        "interop_filter_unreachable",
        errors,
        title="The interop filter {} cannot be asked",
        remedy="messages are judged all the same; check the address under interop.filter.endpoints",
    )


def about_replicas(compared: Compared | None) -> list[Finding]:
    """Replicas that compute other super roots for one time."""
    if compared is None or not compared.differing:
        return []
    roots = "; ".join(f"{root}: {', '.join(labels)}" for root, labels in compared.roots.items())
    return [
        Finding(
            kind="interop_replicas_differ",
            subject="super root",
            severity=Severity.CRITICAL,
            group="interop",
            title=f"{sum(map(len, compared.roots.values()))} replicas compute {len(compared.roots)} super roots",
            text=f"for the time {compared.timestamp}: {roots}",
            remedy="one of them has derived a chain wrongly: stop proposals from them, compare their chains' blocks",
            since=compared.timestamp,
        )
    ]


def _initiating(chain: str, network: Network) -> str:
    return "chains outside the set" if chain == ELSEWHERE else network.name(int(chain))


def _labels(executing: int, initiating: str, network: Network) -> dict[str, str]:
    outside = initiating == ELSEWHERE or int(initiating) not in network.members
    return {
        "chain": network.name(executing),
        "initiating": ELSEWHERE if outside else network.name(int(initiating)),
    }
