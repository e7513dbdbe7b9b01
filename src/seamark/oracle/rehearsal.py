"""A publisher that publishes nothing: it decides as the real one does, and says what it would send, why, at what cost.

After each decision it goes on as if the round were on chain, until the chain itself has a newer one: so a rehearsal
beside a running publisher follows that one, and a rehearsal alone tells each round once.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Final, Protocol

import structlog

from seamark.core.errors import RejectedError, TemporaryError
from seamark.core.units import format_ratio
from seamark.evm.ports import Intent, TransactionSender
from seamark.oracle.model import FeedState, Planned, Reason
from seamark.oracle.publisher import FeedPublisher
from seamark.oracle.rules import deviation

__all__ = ["Appraiser", "Rehearsal"]

ETHER_DIGITS: Final = 18

log = structlog.get_logger("seamark.oracle")


class Appraisal(Protocol):
    """What a transaction would cost, in wei; None: nobody can tell without an account."""

    @property
    def gas(self) -> int | None: ...
    @property
    def price(self) -> int: ...
    @property
    def cost(self) -> int | None: ...
    @property
    def most(self) -> int | None: ...


class Appraiser(TransactionSender, Protocol):
    """A sender that sends nothing and knows what it would cost (`evm.transactions.dry`)."""

    async def appraise(self, intent: Intent) -> Appraisal: ...


class Rehearsal(FeedPublisher):
    """`FeedPublisher` with nothing behind its decisions. Its sender is an `Appraiser`."""

    _sender: Appraiser
    _pretended: FeedState | None = None
    _answered: int = 0  # the newest round that was told; among several oracles each answers a round once

    async def _carry_out(self, planned: Planned) -> None:
        try:
            appraisal = await self._sender.appraise(self._intent(planned))
        except RejectedError as error:
            await self._give_up("rehearsal", f"it would fail: {error}")
            return
        except TemporaryError as error:
            await self._give_up("submit", str(error))
            return
        self._tell(planned, appraisal)
        self._failures = 0
        self._pretend(planned)
        self._release()

    def _tell(self, planned: Planned, appraisal: Appraisal) -> None:
        answer = planned.answer
        costs = {
            "gas": appraisal.gas,
            "gas_price_wei": appraisal.price,
            "cost_ether": _ether(appraisal.cost),
            "at_most_ether": _ether(appraisal.most),
        }
        self._log.info(
            "would publish",
            round=planned.round,
            price=f"{answer.price:f}",
            answer=answer.value,
            reason=str(planned.reason),
            why=self._why(planned),
            used=sorted(quote.source for quote in answer.quotes),
            left_out={item.quote.source: str(item.fault) for item in answer.rejected},
            **{name: value for name, value in costs.items() if value is not None},
        )

    def _why(self, planned: Planned) -> str:
        state, trigger = self._known_state(), self.plan.trigger
        match planned.reason:
            case Reason.FIRST:
                return "the feed has no round"
            case Reason.HEARTBEAT:
                return (
                    f"the round is {self._clock.now() - state.updated_at:.0f} s old, heartbeat {trigger.heartbeat:g} s"
                )
            case Reason.CONFIRM:
                return "the contract has parked an answer near this one"
            case Reason.JOIN:
                return "another oracle has started the round"
        moved = format_ratio(deviation(state.answer, planned.answer.value))
        return f"{moved} from round {state.round}, threshold {format_ratio(trigger.deviation)}"

    def _pretend(self, planned: Planned) -> None:
        state, now = self._known_state(), int(self._clock.now())
        self._answered = planned.round
        self._pretended = replace(
            _passed(state, planned.round),
            round=planned.round,
            answer=planned.answer.value,
            started_at=planned.answer.observed_at,
            updated_at=now,
            parked=None,
        )
        super()._adopt(self._pretended)

    def _adopt(self, state: FeedState) -> None:
        """The chain's word, unless it has nothing newer than what was pretended."""
        state = _passed(state, self._answered)
        pretended = self._pretended
        if pretended is not None and state.updated_at < pretended.updated_at:
            state = replace(
                state,
                round=pretended.round,
                answer=pretended.answer,
                started_at=pretended.started_at,
                updated_at=pretended.updated_at,
                parked=None,
            )
        else:
            self._pretended = None
        super()._adopt(state)


def _passed(state: FeedState, answered: int) -> FeedState:
    """As if our turn in the rounds up to this one had passed."""
    if state.turn is None or state.turn.round > answered:
        return state
    return replace(state, turn=replace(state.turn, eligible=False, why=f"round {answered} was rehearsed"))


def _ether(wei: int | None) -> str | None:
    """As people write it, without an exponent."""
    return None if wei is None else (f"{Decimal(wei).scaleb(-ETHER_DIGITS):.9f}".rstrip("0").rstrip(".") or "0")
