"""From what a sender is and should be to the calls between, each with the call that takes it back. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal

from seamark.core.errors import RejectedError
from seamark.core.ids import Selector
from seamark.core.units import format_duration, from_base_units, to_base_units
from seamark.evm import artifacts
from seamark.evm.abi import compile_encoder, parse_params
from seamark.evm.address import ZERO_ADDRESS, to_checksum
from seamark.oracle.administration.model import Change, Destination, SenderState
from seamark.oracle.administration.wanted import WantedDestination, WantedSender

__all__ = ["pause_call", "plan_changes", "resume_call", "wanted_destination"]

FEE_DECIMALS = 18  # LINK's and every native currency's
PPB_PER_BPS = 100_000
MAX_BPS_FRACTION = "is finer than the contract's basis points (0.01%)"
EXTRA_ARGS_V2 = bytes.fromhex("181dcf10")  # gas limit, execution in any order
_encode_address = compile_encoder(parse_params("address"))
_encode_extra = compile_encoder(parse_params("uint256 gasLimit, bool allowOutOfOrderExecution"))


def _call(name: str, *arguments: object) -> bytes:
    return artifacts.load("OracleWithCCIP").abi.encode_call(name, *arguments)


def pause_call() -> bytes:
    """Stop sending."""
    return _call("pauseSending")


def resume_call() -> bytes:
    """Send again."""
    return _call("unpauseSending")


def plan_changes(
    present: SenderState, wanted: WantedSender, selectors: Mapping[str, Selector], names: Mapping[Selector, str]
) -> list[Change]:
    """The calls that make `present` what is wanted; none where it is that already.

    Args:
        present: As read.
        wanted: As asked for.
        selectors: Of every destination that `wanted` names.
        names: Of selectors, for people.

    Raises:
        RejectedError: A value that the contract cannot hold, or a new destination that lacks a part.
    """
    return [
        *_scalars(present, wanted),
        *(
            change
            for key, item in wanted.destinations.items()
            for change in _destination(present, key, item, selectors[key])
        ),
        *(
            change
            for key in wanted.remove
            if selectors[key] in present.destinations
            for change in _removal(present, key, selectors[key], names)
        ),
    ]


def _scalars(present: SenderState, wanted: WantedSender) -> Iterator[Change]:
    if wanted.send_gas_limit not in (None, present.send_gas_limit):
        yield _scalar("send gas limit", "setSendGasLimit", present.send_gas_limit, wanted.send_gas_limit, "{:,}")
    if wanted.max_observation_age is not None:
        age = _whole("max_observation_age", wanted.max_observation_age)
        if age != present.max_observation_age:
            yield _scalar("oldest observation", "setMaxObservationAge", present.max_observation_age, age, "{} s")
    if wanted.max_step is not None and (step := _bps("max_step", wanted.max_step)) != present.max_step_bps:
        yield _scalar("largest step", "setMaxStepBps", present.max_step_bps, step, "{} bps")


def _scalar(what: str, function: str, before: int, after: int | None, form: str) -> Change:
    return Change(what, form.format(before), form.format(after), _call(function, after), _call(function, before))


def _destination(present: SenderState, key: str, item: WantedDestination, selector: Selector) -> Iterator[Change]:
    before = present.destinations.get(selector)
    after = wanted_destination(key, item, before, present)
    bare = replace(after, heartbeat=before.heartbeat if before else 0)
    if bare != before:
        undo = _set(selector, before) if before else _call("removeDestination", selector)
        yield Change(f"destination {key}", _told(before), _told(after), _set(selector, after), undo, selector)
    old = before.heartbeat if before else 0
    if after.heartbeat != old:
        yield Change(
            f"heartbeat of {key}",
            format_duration(old) if old else "none",
            format_duration(after.heartbeat) if after.heartbeat else "none",
            _call("setDestinationHeartbeat", selector, after.heartbeat),
            _call("setDestinationHeartbeat", selector, old) if before else None,  # gone with the destination
            selector,
        )


def _removal(present: SenderState, key: str, selector: Selector, names: Mapping[Selector, str]) -> Iterator[Change]:
    """Two calls where it has a heartbeat: the contract forgets it with the destination, and putting the destination
    back does not bring it back.
    """
    before = present.destinations[selector]
    title = names.get(selector, key)
    if before.heartbeat:
        yield Change(
            f"heartbeat of {title}",
            format_duration(before.heartbeat),
            "none",
            _call("setDestinationHeartbeat", selector, 0),
            _call("setDestinationHeartbeat", selector, before.heartbeat),
            selector,
        )
    yield Change(
        f"destination {title}",
        _told(before),
        "removed",
        _call("removeDestination", selector),
        _set(selector, before),
        selector,
    )


def wanted_destination(
    key: str, item: WantedDestination, before: Destination | None, present: SenderState
) -> Destination:
    """A destination with what is asked for, the rest as it was.

    Raises:
        RejectedError: It is new and lacks a part.
    """
    if before is None:
        needed = ("receiver", "fee", "max_fee", "deviation", "min_interval")
        missing = [name for name in needed if getattr(item, name) is None]
        missing += ["gas_limit"] if item.gas_limit is None and item.extra_args is None else []
        if missing:
            raise RejectedError(
                f"destinations.{key} is new and lacks {', '.join(missing)}", remedy="a new destination needs all parts"
            )
    base = before or Destination("0x", "0x", ZERO_ADDRESS, 0, 0, 0, enabled=True)
    tokens = {"link": present.link, "native": ZERO_ADDRESS}
    return Destination(
        receiver=base.receiver if item.receiver is None else "0x" + _encode_address([item.receiver]).hex(),
        extra_args=_extra_args(item) or base.extra_args,
        fee_token=base.fee_token if item.fee is None else tokens[item.fee],
        max_fee=base.max_fee if item.max_fee is None else to_base_units(item.max_fee, FEE_DECIMALS),
        deviation_bps=base.deviation_bps
        if item.deviation is None
        else _bps(f"destinations.{key}.deviation", item.deviation),
        min_interval=base.min_interval
        if item.min_interval is None
        else _whole(f"destinations.{key}.min_interval", item.min_interval),
        enabled=base.enabled if item.enabled is None else item.enabled,
        heartbeat=base.heartbeat if item.heartbeat is None else _whole(f"destinations.{key}.heartbeat", item.heartbeat),
    )


def _extra_args(item: WantedDestination) -> str | None:
    if item.gas_limit is not None:
        return "0x" + (EXTRA_ARGS_V2 + _encode_extra([item.gas_limit, True])).hex()
    return item.extra_args


def _set(selector: Selector, item: Destination) -> bytes:
    config = (
        bytes.fromhex(item.receiver[2:]),
        bytes.fromhex(item.extra_args[2:]),
        item.fee_token,
        item.max_fee,
        item.deviation_bps,
        item.min_interval,
        item.enabled,
    )
    return _call("setDestination", selector, config)


def _told(item: Destination | None) -> str:
    if item is None:
        return "none"
    receiver = item.receiver
    if len(receiver) == 2 + 64 and receiver.startswith("0x" + "0" * 24):
        receiver = to_checksum("0x" + receiver[-40:])
    raw = bytes.fromhex(item.extra_args[2:])
    gas = f"{int.from_bytes(raw[4:36]):,} gas" if raw[:4] == EXTRA_ARGS_V2 else f"extra args {item.extra_args}"
    fee = "native currency" if item.fee_token == ZERO_ADDRESS else "LINK"
    parts = [
        f"to {receiver}",
        gas,
        f"at most {Decimal(from_base_units(item.max_fee, FEE_DECIMALS)).normalize():f} {fee}",
        f"when it moves {item.deviation_bps} bps",
        f"not more often than every {format_duration(item.min_interval)}"
        if item.min_interval
        else "as often as it moves",
    ]
    return ", ".join(parts if item.enabled else [*parts, "disabled"])


def _bps(setting: str, ppb: int) -> int:
    bps, rest = divmod(ppb, PPB_PER_BPS)
    if rest:
        raise RejectedError(f"{setting} {MAX_BPS_FRACTION}", remedy="round it to two digits of a percent")
    return bps


def _whole(setting: str, seconds: float) -> int:
    if seconds != int(seconds):
        raise RejectedError(f"{setting} is no whole number of seconds", remedy="the contract counts in seconds")
    return int(seconds)
