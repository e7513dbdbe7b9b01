"""What goes wrong on purpose between a message's send and its execution.

A `Fault` is a rule: what happens, to which messages, how many times. `Faults` holds the rules and picks for each
message; what a rule has picked stays so. Rules that pick by sequence number (`every`) decide the same after a restart;
the others live as long as the process.

The network commits in sequence order without gaps, as the real one: a message that is never committed, or late, holds
up all later ones of its lane.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum

from seamark.core.ids import Address, Hash32
from seamark.devnet.ccip.ramp_messages import LaneId, RampMessage

__all__ = ["NO_FAULT", "Fault", "FaultKind", "Faults", "Plan"]


class FaultKind(StrEnum):
    """What can happen to a message."""

    DELAY_COMMIT = "delay-commit"
    DELAY_EXECUTE = "delay-execute"
    NEVER_COMMIT = "never-commit"
    NEVER_EXECUTE = "never-execute"
    FAIL = "fail"  # executed with so little gas that the receiver's part fails: state FAILURE, may be executed by hand


@dataclass(frozen=True, slots=True)
class Fault:
    """One rule; all conditions that are given must hold.

    `seconds` is the length of a delay. `every` = n picks each message whose sequence number divides by n. `times` is
    for how many messages the rule holds; None means all.
    """

    kind: FaultKind
    seconds: float = 0.0
    lane: LaneId | None = None
    message_id: Hash32 | None = None
    receiver: Address | None = None
    every: int | None = None
    times: int | None = None

    def matches(self, message: RampMessage) -> bool:
        """Whether the rule is about this message."""
        return (
            self.lane in (None, message.lane)
            and self.message_id in (None, message.message_id)
            and self.receiver in (None, message.receiver)
            and (self.every is None or message.sequence % self.every == 0)
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """What the network does with one message. Delays are in seconds from when it was first seen, or committed."""

    commit_delay: float = 0.0
    execute_delay: float = 0.0
    commit: bool = True
    execute: bool = True
    fail: bool = False

    def after(self, fault: Fault) -> Plan:
        """The same with one more fault."""
        match fault.kind:
            case FaultKind.DELAY_COMMIT:
                return replace(self, commit_delay=max(self.commit_delay, fault.seconds))
            case FaultKind.DELAY_EXECUTE:
                return replace(self, execute_delay=max(self.execute_delay, fault.seconds))
            case FaultKind.NEVER_COMMIT:
                return replace(self, commit=False)
            case FaultKind.NEVER_EXECUTE:
                return replace(self, execute=False)
            case FaultKind.FAIL:
                return replace(self, fail=True)


NO_FAULT = Plan()


@dataclass
class Faults:
    """The rules in force."""

    rules: list[Fault] = field(default_factory=list)
    _used: dict[int, int] = field(default_factory=dict)
    _plans: dict[Hash32, Plan] = field(default_factory=dict)

    def add(self, fault: Fault) -> None:
        """From now on, for messages that no rule has picked yet and that are not done."""
        self.rules.append(fault)

    def clear(self) -> None:
        """No faults any more; messages that were held back go on."""
        self.rules.clear()
        self._used.clear()
        self._plans.clear()

    def plan(self, message: RampMessage) -> Plan:
        """What happens to this message; once a rule has picked it, the same ever after."""
        known = self._plans.get(message.message_id)
        if known is None:
            known = self._decide(message)
            if known != NO_FAULT:
                self._plans[message.message_id] = known
        return known

    def forget(self, message: RampMessage) -> None:
        """The message is done."""
        self._plans.pop(message.message_id, None)

    def _decide(self, message: RampMessage) -> Plan:
        plan = NO_FAULT
        for number, fault in enumerate(self.rules):
            used = self._used.get(number, 0)
            if fault.matches(message) and (fault.times is None or used < fault.times):
                self._used[number] = used + 1
                plan = plan.after(fault)
        return plan
