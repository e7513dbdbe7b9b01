"""What a key may be used for: a signer in front of a signer, the same for every backend.

    preimage ──► read ──► allowed call? fee, value? ──► rate, the day's spend ──► the key

Invariant: nothing is taken on trust but the bytes that will be signed, so nobody who holds a `Signer` (a defect
included) gets past it, by a replacement no more than by a first attempt. A refusal is a `RejectedError` that names the
rule and the setting.

A transfer of nothing to ourselves uses up a nonce and does no harm: no list of contracts forbids it, all limits of
money and rate hold.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

import structlog

from seamark.core.errors import RejectedError
from seamark.core.ids import Address, ChainId
from seamark.core.times import DAY_MS
from seamark.evm.address import to_checksum
from seamark.evm.ports import Signer
from seamark.evm.signer_settings import AllowedCallSettings, SignerPolicySettings
from seamark.evm.signers.payload import Payload, Report, read_payload
from seamark.evm.signers.spending import DaySpend, SpendLedger
from seamark.runtime.clock import Clock

__all__ = ["PolicyRefused", "PolicySigner", "refusal"]

MINUTE_S: Final = 60.0
RELOAD_S: Final = 15.0  # between two looks into the journal for what was really paid, while the limit is reached
_GWEI: Final = 10**9

log = structlog.get_logger("seamark.evm.signers")


class PolicyRefused(RejectedError):
    """The policy forbids it. `rule` is the setting's name."""

    def __init__(self, setting: str, rule: str, problem: str, remedy: str = "") -> None:
        remedy = remedy or f"nothing was signed; widen {setting}.{rule} if this is wanted"
        super().__init__(f"{setting}.{rule} forbids it: {problem}", remedy=remedy)
        self.rule = rule


def refusal(
    payload: Payload | Report, policy: SignerPolicySettings, signer: Address, setting: str
) -> PolicyRefused | None:
    """What speaks against it, apart from what was signed before. Pure."""
    if isinstance(payload, Report):
        return None if policy.reports else PolicyRefused(setting, "reports", "it is a report of an oracle network")
    if policy.allow and not any(_fits(payload, allowed, signer) for allowed in policy.allow):
        return PolicyRefused(setting, "allow", f"{_call(payload)} on chain {payload.chain_id} is not in the list")
    if policy.max_fee is not None and payload.fee > policy.max_fee:
        problem = f"{payload.gas} gas at {_gwei(payload.price)} may cost {payload.fee} wei, more than {policy.max_fee}"
        return PolicyRefused(setting, "max_fee", problem)
    if payload.value > policy.max_value:
        return PolicyRefused(setting, "max_value", f"it carries {payload.value} wei, more than {policy.max_value}")
    return None


def _fits(payload: Payload, allowed: AllowedCallSettings, signer: Address) -> bool:
    if allowed.chain_id is not None and payload.chain_id != allowed.chain_id:
        return False
    if payload.to == signer and not payload.data and not payload.value:
        return True
    if allowed.contract is not None and payload.to != allowed.contract:
        return False
    return not allowed.functions or (payload.to is not None and payload.function in allowed.functions)


def _call(payload: Payload) -> str:
    return f"{payload.function} of {to_checksum(payload.to)}" if payload.to else "creating a contract"


def _gwei(wei: int) -> str:
    return f"{wei / _GWEI:g} gwei"


class PolicySigner:
    """`evm.ports.Signer` in front of another one.

    Args:
        inner: Holds the key.
        policy: The rules.
        clock: For rate and day.
        ledger: The journal; needed for a limit per day.
        setting: How refusals name the policy.
    """

    def __init__(
        self, inner: Signer, policy: SignerPolicySettings, *, clock: Clock, ledger: SpendLedger | None, setting: str
    ) -> None:
        if policy.max_spend_per_day is not None and ledger is None:
            raise TypeError("a limit per day needs the journal")
        self._inner = inner
        self._policy = policy
        self._clock = clock
        self._ledger = ledger
        self._setting = setting
        self._signed_at: deque[float] = deque()
        self._days: dict[ChainId, DaySpend] = {}
        self._read_at: dict[ChainId, float] = {}
        self._lock = asyncio.Lock()

    @property
    def address(self) -> Address:
        return self._inner.address

    async def sign(self, preimage: bytes) -> tuple[int, int, int]:
        """As the inner one, unless the policy forbids it.

        Raises:
            PolicyRefused: It does.
            RejectedError: It is no known transaction or report.
        """
        payload = read_payload(preimage)
        refused = refusal(payload, self._policy, self.address, self._setting)
        if refused is not None:
            raise self._told(refused)
        if isinstance(payload, Report) or self._policy.max_spend_per_day is None:
            self._count_rate()
            return await self._inner.sign(preimage)
        return await self._sign_within_budget(preimage, payload, self._policy.max_spend_per_day)

    async def _sign_within_budget(self, preimage: bytes, payload: Payload, limit: int) -> tuple[int, int, int]:
        wei = payload.fee + payload.value
        async with self._lock:
            day = await self._day(payload)
            now_ms = self._now_ms()
            day.expire(now_ms)
            if day.with_(payload.nonce, wei) > limit and await self._reload(payload.chain_id, day):
                now_ms = self._now_ms()
            if day.with_(payload.nonce, wei) > limit:
                problem = (
                    f"{day.total} wei of {limit} are spent or committed on chain {payload.chain_id}, this adds {wei}"
                )
                raise self._told(PolicyRefused(self._setting, "max_spend_per_day", problem))
            self._count_rate()
            before = day.get(payload.nonce)
            day.add(payload.nonce, wei, now_ms)
            added = day.get(payload.nonce)
        try:
            return await self._inner.sign(preimage)
        except BaseException:
            if day.get(payload.nonce) is added:
                day.restore(payload.nonce, before)
            raise

    async def _day(self, payload: Payload) -> DaySpend:
        """What is known of the chain; the journal is read at first, and where another process signed in between."""
        day = self._days.get(payload.chain_id)
        if day is None:
            day = DaySpend()
            await self._load(payload.chain_id, day)
            self._days[payload.chain_id] = day
        elif day.highest is not None and payload.nonce > day.highest + 1:
            await self._load(payload.chain_id, day)
        return day

    async def _reload(self, chain_id: ChainId, day: DaySpend) -> bool:
        """What was really paid is less than what was offered: look, but not all the time."""
        if self._clock.monotonic() - self._read_at[chain_id] < RELOAD_S:
            return False
        await self._load(chain_id, day)
        return True

    async def _load(self, chain_id: ChainId, day: DaySpend) -> None:
        assert self._ledger is not None
        now_ms = self._now_ms()
        day.load(await self._ledger.costs(chain_id, self.address, now_ms - DAY_MS), now_ms)
        self._read_at[chain_id] = self._clock.monotonic()

    def _count_rate(self) -> None:
        limit = self._policy.max_per_minute
        if limit is None:
            return
        now = self._clock.monotonic()
        while self._signed_at and self._signed_at[0] <= now - MINUTE_S:
            self._signed_at.popleft()
        if len(self._signed_at) >= limit:
            problem = f"{limit} signatures were made in the last minute"
            raise self._told(PolicyRefused(self._setting, "max_per_minute", problem))
        self._signed_at.append(now)

    def _told(self, refused: PolicyRefused) -> PolicyRefused:
        log.warning("not signed", rule=refused.rule, signer=self.address, error=str(refused))
        return refused

    def _now_ms(self) -> int:
        return round(self._clock.now() * 1000)

    def __repr__(self) -> str:
        return f"PolicySigner({self._inner!r})"
