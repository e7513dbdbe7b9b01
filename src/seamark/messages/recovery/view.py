"""What recovery shows to programs: JSON-ready values, stable names. Times are seconds since the epoch, amounts of gas
are numbers, selectors are text.
"""

from __future__ import annotations

from typing import Any

from seamark.messages.recovery.service import Examination, Prepared

__all__ = ["examination_view", "prepared_view"]


def examination_view(examined: Examination) -> dict[str, Any]:
    """One message: where it is, whether it may be executed by hand, and what a trial said."""
    case, standing, verdict, trial = examined.case, examined.standing, examined.verdict, examined.trial
    return {
        "id": case.id,
        "protocol": case.lane.protocol,
        "version": case.version,
        "source": case.lane.source,
        "destination": case.lane.destination,
        "source_name": case.source_name,
        "destination_name": case.destination_name,
        "sequence": case.sequence,
        "stage": case.stage.value,
        "sender": case.sender,
        "receiver": case.receiver,
        "nonce": case.nonce,
        "reason": case.reason,
        "error": case.error,
        "off_ramp": standing.off_ramp,
        "state": standing.state.name.lower(),
        "committed_at": standing.committed_at,
        "opens_at": standing.opens_at,
        "next_nonce": standing.next_nonce,
        "answer": verdict.answer.value,
        "allowed": verdict.allowed,
        "text": verdict.text,
        "remedy": verdict.remedy,
        "advice": examined.advice,
        "trial": None
        if trial is None
        else {
            "succeeds": trial.succeeds,
            "gas_limit": trial.gas_limit,
            "sent_gas_limit": trial.sent_gas_limit,
            "helpful_gas_limit": trial.helpful_gas_limit,
            "reason": trial.reason,
            "text": trial.text,
            "callback": trial.callback,
        },
    }


def prepared_view(prepared: Prepared) -> dict[str, Any]:
    """One transaction before it is signed."""
    call = prepared.call
    return {
        "chain_id": call.chain_id,
        "to": call.to,
        "data": "0x" + call.data.hex(),
        "gas": prepared.gas,
        "estimate": prepared.estimate,
        "checked": prepared.checked == "",
        "unchecked_because": prepared.checked,
        "messages": list(call.messages),
        "roots": list(call.roots),
    }
