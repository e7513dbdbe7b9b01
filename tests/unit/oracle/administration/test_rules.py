"""From what a sender is and should be to the calls between."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from seamark.core.errors import RejectedError
from seamark.core.ids import Address, Selector
from seamark.evm import artifacts
from seamark.evm.address import ZERO_ADDRESS
from seamark.oracle.administration.model import Change, Destination, SenderState
from seamark.oracle.administration.rules import plan_changes
from seamark.oracle.administration.wanted import WantedSender

ABI = artifacts.load("OracleWithCCIP").abi
SENDER, ROUTER, LINK, FAR = (Address("0x" + digit * 40) for digit in "abcd")
REMOTE, OTHER = Selector(77), Selector(78)
SELECTORS = {"remote": REMOTE, "other": OTHER}
PRESENT = SenderState(
    address=SENDER,
    description="BTC / USD",
    decimals=8,
    router=ROUTER,
    pending_router=Address(ZERO_ADDRESS),
    pending_router_at=0,
    link=LINK,
    latest_round=5,
    paused=False,
    sending_paused=False,
    send_gas_limit=600_000,
    max_observation_age=900,
    max_step_bps=1_000,
    min_answer=1,
    max_answer=10**12,
    destinations={
        REMOTE: Destination(
            receiver="0x" + "00" * 12 + FAR[2:],
            extra_args="0x181dcf10" + f"{200_000:064x}" + f"{1:064x}",
            fee_token=LINK,
            max_fee=10**18,
            deviation_bps=50,
            min_interval=30,
            enabled=True,
            heartbeat=3600,
        )
    },
)
NEW = {
    "receiver": FAR,
    "gas_limit": 300_000,
    "fee": "native",
    "max_fee": "0.5",
    "deviation": "1%",
    "min_interval": "1m",
}


def wanted(**values: Any) -> WantedSender:
    return WantedSender.model_validate({"chain": "home", "sender": SENDER, **values})


def plan(present: SenderState, item: WantedSender) -> list[Change]:
    return plan_changes(present, item, SELECTORS, {value: key for key, value in SELECTORS.items()})


def applied(state: SenderState, call: bytes) -> SenderState:
    """What the contract does with a call."""
    function = next(item for item in ABI.functions if item.selector == call[:4])
    arguments = function.decode_call(call)
    destinations: dict[Selector, Destination] = dict(state.destinations)
    match function.name:
        case "setSendGasLimit":
            return replace(state, send_gas_limit=arguments[0])
        case "setMaxObservationAge":
            return replace(state, max_observation_age=arguments[0])
        case "setMaxStepBps":
            return replace(state, max_step_bps=arguments[0])
        case "removeDestination":
            del destinations[arguments[0]]
        case "setDestinationHeartbeat":
            destinations[arguments[0]] = replace(destinations[arguments[0]], heartbeat=arguments[1])
        case "setDestination":
            selector, config = arguments
            old = destinations.get(selector)
            destinations[selector] = Destination(
                receiver="0x" + config.receiver.hex(),
                extra_args="0x" + config.extraArgs.hex(),
                fee_token=config.feeToken,
                max_fee=config.maxFee,
                deviation_bps=config.minDeviationBps,
                min_interval=config.minInterval,
                enabled=config.enabled,
                heartbeat=old.heartbeat if old else 0,
            )
        case name:
            raise AssertionError(name)
    return replace(state, destinations=destinations)


PARTS: Mapping[str, st.SearchStrategy[Any]] = {
    "receiver": st.sampled_from([FAR, SENDER]),
    "gas_limit": st.integers(1, 3_000_000),
    "fee": st.sampled_from(["link", "native"]),
    "max_fee": st.decimals(0, 10**6, places=4).map(str),
    "deviation": st.integers(0, 5_000).map(lambda bps: f"{bps}bps"),
    "min_interval": st.integers(0, 10**6).map(lambda seconds: f"{seconds}s"),
    "heartbeat": st.integers(0, 10**6).map(lambda seconds: f"{seconds}s"),
    "enabled": st.booleans(),
}
CHANGED = st.fixed_dictionaries({}, optional=dict(PARTS))
WHOLE = st.fixed_dictionaries(
    {name: item for name, item in PARTS.items() if name not in ("heartbeat", "enabled")},
    optional={name: PARTS[name] for name in ("heartbeat", "enabled")},
)
FILES = st.fixed_dictionaries(
    {},
    optional={
        "send_gas_limit": st.integers(1, 2**32 - 1),
        "max_observation_age": st.integers(0, 10**6).map(lambda seconds: f"{seconds}s"),
        "max_step": st.integers(0, 10_000).map(lambda bps: f"{bps}bps"),
        "destinations": st.fixed_dictionaries({}, optional={"remote": CHANGED, "other": WHOLE}),
    },
)


@given(FILES)
def test_applied_changes_are_what_was_wanted_and_undone_they_are_what_was(file: dict[str, Any]) -> None:
    changes = plan(PRESENT, wanted(**file))
    state = PRESENT
    for change in changes:
        state = applied(state, change.call)
    assert plan(state, wanted(**file)) == []
    for change in reversed(changes):
        if change.undo is not None:
            state = applied(state, change.undo)
    assert state == PRESENT


def test_nothing_is_asked_nothing_changes() -> None:
    assert plan(PRESENT, wanted()) == []
    assert plan(PRESENT, wanted(send_gas_limit=600_000, max_step="10%")) == []


def test_what_people_see() -> None:
    (limit, change) = plan(
        PRESENT, wanted(send_gas_limit=700_000, destinations={"remote": {"fee": "native", "enabled": False}})
    )
    assert (limit.what, limit.before, limit.after) == ("send gas limit", "600,000", "700,000")
    assert change.what == "destination remote"
    assert "200,000 gas, at most 1 LINK, when it moves 50 bps, not more often than every 30s" in change.before
    assert change.after.endswith(
        "at most 1 native currency, when it moves 50 bps, not more often than every 30s, disabled"
    )


def test_a_new_destination_is_taken_back_by_removing_it() -> None:
    (change,) = plan(PRESENT, wanted(destinations={"other": NEW}))
    assert (change.before, change.selector) == ("none", OTHER)
    assert change.undo == ABI.encode_call("removeDestination", OTHER)


def test_the_heartbeat_of_a_new_destination_goes_with_it() -> None:
    _, heartbeat = plan(PRESENT, wanted(destinations={"other": {**NEW, "heartbeat": "1h"}}))
    assert heartbeat.undo is None


def test_removed_and_put_back() -> None:
    changes = plan(PRESENT, wanted(remove=["remote"]))
    assert [change.after for change in changes] == ["none", "removed"]
    state = PRESENT
    for change in changes:
        state = applied(state, change.call)
    assert REMOTE not in state.destinations
    for change in reversed(changes):
        assert change.undo is not None
        state = applied(state, change.undo)
    assert state == PRESENT  # with its heartbeat, which the contract forgets with the destination
    assert plan(PRESENT, wanted(remove=["other"])) == []  # it is not there


@pytest.mark.parametrize("missing", ["receiver", "gas_limit", "fee", "max_fee", "deviation", "min_interval"])
def test_a_new_destination_needs_all_parts(missing: str) -> None:
    parts = {name: value for name, value in NEW.items() if name != missing}
    with pytest.raises(RejectedError, match=f"destinations.other is new and lacks {missing}"):
        plan(PRESENT, wanted(destinations={"other": parts}))


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"max_step": "0.123%"}, "max_step is finer than the contract's basis points"),
        ({"destinations": {"remote": {"deviation": "1ppm"}}}, "destinations.remote.deviation is finer"),
        ({"max_observation_age": "1500ms"}, "max_observation_age is no whole number of seconds"),
    ],
)
def test_what_the_contract_cannot_hold(values: dict[str, Any], problem: str) -> None:
    with pytest.raises(RejectedError, match=problem):
        plan(PRESENT, wanted(**values))


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"destinations": {"remote": {"gas_limit": 1, "extra_args": "0x00"}}}, "say the same thing"),
        ({"destinations": {"remote": {"extra_args": "00"}}}, "does not begin with 0x"),
        ({"destinations": {"remote": {"extra_args": "0xzz"}}}, "is not hex"),
        ({"destinations": {"remote": {}}, "remove": ["remote"]}, "both a destination and to be removed"),
        ({"destinations": {"remote": {"max_fee": -1}}}, "greater than or equal to 0"),
        ({"destinations": {"remote": {"heartbeat": 30}}}, "has no unit"),
        ({"gas": 1}, "Extra inputs"),
    ],
)
def test_files_that_make_no_sense(values: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        wanted(**values)


def test_fees_are_whole_units() -> None:
    (change,) = plan(PRESENT, wanted(destinations={"remote": {"max_fee": Decimal("2.5")}}))
    assert applied(PRESENT, change.call).destinations[REMOTE].max_fee == 25 * 10**17
