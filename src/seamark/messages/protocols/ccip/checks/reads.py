"""One look at one chain: a handful of batches of view calls at its newest block, whatever the number of its lanes.

    router -> lanes, sources, risk proxy -> curses, fee quotes, ages of fee data -> balances, allowances, rate limits

Each lane, pool and sender asks what it needs in its own order, all of them side by side; what they ask at the same
time goes out as one batch (`checks.together`).

What a contract refuses to tell is left out or told in its own words; a router that does not answer is the finding
itself. Only a node that is away ends the look.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from seamark.core.errors import RejectedError, TemporaryError
from seamark.core.ids import Address, ChainId, Selector
from seamark.evm.abi import Function
from seamark.evm.address import ZERO_ADDRESS
from seamark.evm.ports import ChainReader
from seamark.evm.rpc.errors import CallReverted
from seamark.evm.types import Call
from seamark.messages.model import Contract
from seamark.messages.protocol import Counter
from seamark.messages.protocols.ccip.checks import calls
from seamark.messages.protocols.ccip.checks.model import (
    Bucket,
    ChainCheck,
    LaneCheck,
    PoolCheck,
    PriceCheck,
    Quote,
    SenderCheck,
    SourceCheck,
)
from seamark.messages.protocols.ccip.checks.settings import SenderSettings
from seamark.messages.protocols.ccip.checks.together import Together, side_by_side
from seamark.messages.protocols.ccip.errors import describe_revert
from seamark.messages.protocols.ccip.generation import FEE_QUOTER
from seamark.messages.protocols.ccip.risk import GLOBAL_SUBJECT

__all__ = ["Chain", "check_chain"]

NATIVE, LINK = "native", "LINK"
_SUBJECT_BYTES = 16
Ask: TypeAlias = tuple[Address, Function, tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Chain:
    """What to look at. `contracts` are those that discovery found, `peers` the watched chains by selector, `burns` what
    a sender spends of a fee token per second.
    """

    name: str
    chain_id: ChainId
    selector: Selector
    router: Address
    peers: Mapping[Selector, str]
    contracts: Sequence[Contract] = ()
    counters: Sequence[Counter] = ()
    senders: Sequence[SenderSettings] = ()
    pools: Sequence[Address] = ()
    burns: Mapping[tuple[str, str], float] = field(default_factory=dict)


async def check_chain(reader: ChainReader, chain: Chain) -> ChainCheck:
    """Look once; never raises for what the chain or its node do."""
    try:
        header = await reader.header("latest")
        if header is None:
            raise TemporaryError("the node has no newest block")
        return await _Look(reader, chain, header.timestamp).check()
    except TemporaryError as error:
        return _nothing(chain, str(error), unreachable=True)
    except RejectedError as error:
        return _nothing(chain, str(error))


def _nothing(chain: Chain, problem: str, *, unreachable: bool = False, at: int = 0) -> ChainCheck:
    return ChainCheck(
        chain=chain.name,
        chain_id=chain.chain_id,
        router=chain.router,
        at=at,
        problem=problem,
        unreachable=unreachable,
    )


@dataclass(frozen=True, slots=True)
class _Ramp:
    """An OnRamp that the router names, and where its fees come from."""

    peer: Selector
    address: Address
    version: str
    quoter: Address | None
    link: Address | None


class _Look:
    """The steps of one look."""

    def __init__(self, reader: ChainReader, chain: Chain, at: int) -> None:
        self._reader = reader
        self._calls = Together(reader)
        self._chain = chain
        self._at = at
        self._details = {item.address: item.details for item in chain.contracts}
        self._sent = {(item.lane.destination, item.lane.channel): item.value for item in chain.counters if _out(item)}
        self._committed = {item.lane.source: item.value for item in chain.counters if not _out(item)}

    async def check(self) -> ChainCheck:
        router = self._chain.router
        said, proxy, off_ramps = await self._ask(
            [(router, calls.ROUTER.function(name), ()) for name in ("typeAndVersion", "getArmProxy", "getOffRamps")]
        )
        for answer in (said, proxy, off_ramps):
            if isinstance(answer, RejectedError):
                raise answer
        offs = [(Selector(item.sourceChainSelector), Address(item.offRamp)) for item in off_ramps]
        peers = sorted({*self._chain.peers, *(source for source, _ in offs)})
        ramps, curses, versions = await side_by_side(
            self._ramps(peers),
            self._curses(Address(proxy), peers),
            self._versions([address for _, address in offs]),
        )
        lanes, prices, senders, pools = await side_by_side(
            self._lanes(ramps, curses), self._prices(ramps), self._senders(ramps), self._pools(ramps)
        )
        return ChainCheck(
            chain=self._chain.name,
            chain_id=self._chain.chain_id,
            router=router,
            at=self._at,
            cursed=curses[None],
            lanes=lanes,
            sources=tuple(
                SourceCheck(
                    selector=str(source),
                    name=self._name(source),
                    off_ramp=address,
                    version=version,
                    last_committed=self._committed.get(str(source)),
                )
                for (source, address), version in zip(offs, versions, strict=True)
            ),
            prices=prices,
            senders=senders,
            pools=pools,
        )

    # ---- lanes ------------------------------------------------------------------------------------------------------

    async def _ramps(self, peers: Sequence[Selector]) -> list[_Ramp]:
        get = calls.ROUTER.function("getOnRamp")
        answers = await self._ask([(self._chain.router, get, (peer,)) for peer in peers])
        addresses = [ZERO_ADDRESS if isinstance(answer, RejectedError) else Address(answer) for answer in answers]
        versions = await self._versions([address for address in addresses if address != ZERO_ADDRESS])
        rest = iter(versions)
        named = [next(rest) if address != ZERO_ADDRESS else "" for address in addresses]
        ramps = zip(peers, addresses, named, strict=True)
        return list(await side_by_side(*(self._ramp(peer, address, version) for peer, address, version in ramps)))

    async def _ramp(self, peer: Selector, address: Address, version: str) -> _Ramp:
        quoter = self._details.get(address, {}).get(FEE_QUOTER)
        link = await self._link(address, version, quoter) if version else None
        return _Ramp(peer, address, version, Address(quoter) if quoter else None, link)

    async def _link(self, ramp: Address, version: str, quoter: str | None) -> Address | None:
        """The token that fees are counted in."""
        if _is_old(version):
            (answer,) = await self._ask([(ramp, calls.ON_RAMP_STATIC.function("getStaticConfig"), ())])
            return None if isinstance(answer, RejectedError) else Address(answer)
        if quoter is None:
            return None
        (answer,) = await self._ask([(Address(quoter), calls.STATIC_2_0.function("getStaticConfig"), ())])
        return None if isinstance(answer, RejectedError) else Address(answer.linkToken)

    async def _lanes(self, ramps: Sequence[_Ramp], curses: Mapping[Selector | None, bool]) -> tuple[LaneCheck, ...]:
        return tuple(await side_by_side(*(self._lane(ramp, cursed=curses[ramp.peer]) for ramp in ramps)))

    async def _lane(self, ramp: _Ramp, *, cursed: bool) -> LaneCheck:
        (age, limit), quotes = await side_by_side(self._gas_price(ramp), self._quotes(ramp))
        return LaneCheck(
            selector=str(ramp.peer),
            name=self._name(ramp.peer),
            on_ramp="" if ramp.address == ZERO_ADDRESS else ramp.address,
            version=ramp.version,
            cursed=cursed,
            quotes=quotes,
            gas_price_age=age,
            gas_price_limit=limit,
            last_sent=self._sent.get((str(ramp.peer), ramp.address)),
        )

    async def _quotes(self, ramp: _Ramp) -> tuple[Quote, ...]:
        if not ramp.version:
            return ()
        get = calls.ROUTER.function("getFee")
        number = _number(ramp.version)
        tokens: dict[str, Address | None] = {NATIVE: None} | ({LINK: ramp.link} if ramp.link else {})
        answers = await self._ask(
            [(self._chain.router, get, (ramp.peer, calls.canary(number, token))) for token in tokens.values()]
        )
        return tuple(_quote(token, answer) for token, answer in zip(tokens, answers, strict=True))

    async def _curses(self, proxy: Address, peers: Sequence[Selector]) -> dict[Selector | None, bool]:
        """By chain, and None for everything. A proxy that refuses to answer counts as no curse: fee quotes tell."""
        one = calls.RISK.function("isCursed(bytes16)")
        subjects = [GLOBAL_SUBJECT, *(int(peer).to_bytes(_SUBJECT_BYTES) for peer in peers)]
        answers = await self._ask([(proxy, one, (subject,)) for subject in subjects])
        cursed = [answer is True for answer in answers]
        return {None: cursed[0], **dict(zip(peers, cursed[1:], strict=True))}

    async def _versions(self, addresses: Sequence[Address]) -> list[str]:
        get = calls.ROUTER.function("typeAndVersion")
        answers = await self._ask([(address, get, ()) for address in addresses])
        return ["unknown" if isinstance(answer, RejectedError) else str(answer) for answer in answers]

    # ---- fee data ---------------------------------------------------------------------------------------------------

    async def _gas_price(self, ramp: _Ramp) -> tuple[int | None, int | None]:
        """Age and limit of the destination's gas price."""
        if ramp.quoter is None:
            return None, None
        get = calls.FEE_QUOTER.function("getDestinationChainGasPrice")
        (answer,) = await self._ask([(ramp.quoter, get, (ramp.peer,))])
        if isinstance(answer, RejectedError) or not answer.timestamp:
            return None, None
        return max(self._at - answer.timestamp, 0), await self._gas_limit(ramp, ramp.quoter)

    async def _gas_limit(self, ramp: _Ramp, quoter: Address) -> int | None:
        if _is_old(ramp.version):
            return await self._old_limit(quoter)
        if not _number(ramp.version).startswith("1.6"):
            return None
        (config,) = await self._ask([(quoter, calls.STATIC_1_6.function("getDestChainConfig"), (ramp.peer,))])
        return None if isinstance(config, RejectedError) else _limit(config.gasPriceStalenessThreshold)

    async def _old_limit(self, quoter: Address) -> int | None:
        (answer,) = await self._ask([(quoter, calls.FEE_QUOTER.function("getStalenessThreshold"), ())])
        return None if isinstance(answer, RejectedError) else _limit(answer)

    async def _prices(self, ramps: Sequence[_Ramp]) -> tuple[PriceCheck, ...]:
        """Of LINK, which every fee is computed with; each quoter once."""
        quoters = {ramp.quoter: ramp for ramp in ramps}
        found = await side_by_side(*(self._price(ramp) for ramp in quoters.values()))
        return tuple(price for price in found if price is not None)

    async def _price(self, ramp: _Ramp) -> PriceCheck | None:
        if ramp.quoter is None or ramp.link is None:
            return None
        (answer,) = await self._ask([(ramp.quoter, calls.FEE_QUOTER.function("getTokenPrice"), (ramp.link,))])
        if isinstance(answer, RejectedError) or not answer.timestamp:
            return None
        age = max(self._at - answer.timestamp, 0)
        return PriceCheck(LINK, age, await self._token_limit(ramp.quoter, ramp.version))

    async def _token_limit(self, quoter: Address, version: str) -> int | None:
        if _is_old(version):
            return await self._old_limit(quoter)
        if not _number(version).startswith("1.6"):
            return None
        (config,) = await self._ask([(quoter, calls.STATIC_1_6.function("getStaticConfig"), ())])
        return None if isinstance(config, RejectedError) else _limit(config.tokenPriceStalenessThreshold)

    # ---- money and limits -------------------------------------------------------------------------------------------

    async def _senders(self, ramps: Sequence[_Ramp]) -> tuple[SenderCheck, ...]:
        link = next((ramp.link for ramp in ramps if ramp.link), None)
        return tuple(await side_by_side(*(self._sender(sender, link) for sender in self._chain.senders)))

    async def _sender(self, sender: SenderSettings, link: Address | None) -> SenderCheck:
        asks: list[Ask] = [(sender.address, calls.PAUSES.function(name), ()) for name in ("sendingPaused", "paused")]
        if link is not None:
            asks += [
                (link, calls.ERC20.function("balanceOf"), (sender.address,)),
                (link, calls.ERC20.function("allowance"), (sender.address, self._chain.router)),
            ]
        (sending, feed, *money), native = await side_by_side(self._ask(asks), self._reader.balance(sender.address))
        balance, allowance = [_or_unknown(answer) for answer in money] or [None, None]
        return SenderCheck(
            address=sender.address,
            name=sender.name or sender.address,
            link=balance,
            native=native,
            allowance=allowance,
            burn=self._chain.burns.get((sender.address, link or "")),
            paused="feed" if feed is True else "sending" if sending is True else "",
        )

    async def _pools(self, ramps: Sequence[_Ramp]) -> tuple[PoolCheck, ...]:
        found = await side_by_side(*(self._pool(pool, ramps) for pool in self._chain.pools))
        return tuple(check for checks in found for check in checks)

    async def _pool(self, named: Address, ramps: Sequence[_Ramp]) -> list[PoolCheck]:
        """The limits of a pool that the settings name, or of the one that its token has moved to since."""
        (token,) = await self._ask([(named, calls.POOL.function("getToken"), ())])
        if isinstance(token, RejectedError):
            symbol, pools = "?", [named] * len(ramps)
        else:
            symbol, pools = await side_by_side(
                self._symbol(Address(token)), self._pools_in_force(named, Address(token), ramps)
            )
        buckets = await side_by_side(*(self._buckets(pool, ramp.peer) for pool, ramp in zip(pools, ramps, strict=True)))
        return [
            PoolCheck(
                pool=pool,
                token=symbol,
                selector=str(ramp.peer),
                name=self._name(ramp.peer),
                outbound=outbound,
                inbound=inbound,
                instead_of="" if pool == named else named,
            )
            for ramp, pool, (outbound, inbound) in zip(ramps, pools, buckets, strict=True)
            if outbound or inbound
        ]

    async def _pools_in_force(self, named: Address, token: Address, ramps: Sequence[_Ramp]) -> list[Address]:
        """By lane. Ramps ask the registry of tokens (1.5 and newer) or their own configuration (1.2); what no ramp
        tells is as the settings say.
        """
        get = calls.ON_RAMP_POOL.function("getPoolBySourceToken")
        lanes = [ramp for ramp in ramps if ramp.version]
        answers = await self._ask([(ramp.address, get, (ramp.peer, token)) for ramp in lanes])
        told = {
            ramp.peer: Address(answer)
            for ramp, answer in zip(lanes, answers, strict=True)
            if not isinstance(answer, RejectedError) and answer != ZERO_ADDRESS
        }
        return [told.get(ramp.peer, named) for ramp in ramps]

    async def _buckets(self, pool: Address, peer: Selector) -> tuple[Bucket | None, Bucket | None]:
        names = ("getCurrentOutboundRateLimiterState", "getCurrentInboundRateLimiterState")
        both = await self._ask([(pool, calls.POOL.function(name), (peer,)) for name in names])
        if all(isinstance(answer, RejectedError) for answer in both):  # 2.0 tells both at once
            (answer,) = await self._ask([(pool, calls.POOL.function("getCurrentRateLimiterState"), (peer, False))])
            both = [answer, answer] if isinstance(answer, RejectedError) else [answer.outbound, answer.inbound]
        outbound, inbound = (_bucket(answer) for answer in both)
        return outbound, inbound

    async def _symbol(self, token: Address) -> str:
        (answer,) = await self._ask([(token, calls.ERC20.function("symbol"), ())])
        return token if isinstance(answer, RejectedError) else str(answer)[:32]

    # ---- asking -----------------------------------------------------------------------------------------------------

    async def _ask(self, asks: Iterable[Ask]) -> list[Any]:
        """Each answer, or the `RejectedError` of that one call. A single output comes without its record.

        Raises:
            TemporaryError: No answer.
        """
        wanted = list(asks)
        if not wanted:
            return []
        answers = await self._calls.ask([Call(to, function.encode(*args)) for to, function, args in wanted])
        return [_decoded(function, answer) for (_, function, _), answer in zip(wanted, answers, strict=True)]

    def _name(self, selector: Selector) -> str:
        return self._chain.peers.get(selector, str(selector))


def _decoded(function: Function, answer: bytes | Exception) -> Any:
    if isinstance(answer, RejectedError):
        return answer
    if isinstance(answer, Exception):
        raise answer
    try:
        record = function.decode_result(answer)
    except RejectedError as error:
        return error
    return record[0] if len(record) == 1 else record


def _quote(token: str, answer: Any) -> Quote:
    if isinstance(answer, CallReverted):
        return Quote(token, None, describe_revert(answer.data) if answer.data else str(answer))
    if isinstance(answer, RejectedError):
        return Quote(token, None, str(answer))
    return Quote(token, int(answer))


def _bucket(answer: Any) -> Bucket | None:
    if isinstance(answer, RejectedError) or not answer.isEnabled:
        return None
    return Bucket(answer.tokens, answer.capacity, answer.rate)


def _or_unknown(answer: Any) -> int | None:
    return None if isinstance(answer, RejectedError) else int(answer)


def _limit(seconds: int) -> int | None:
    """None where the contract never calls a price stale."""
    return int(seconds) if 0 < seconds < calls.NO_LIMIT else None


def _number(version: str) -> str:
    """Of "OnRamp 1.6.0": "1.6.0"."""
    return version.rpartition(" ")[2]


def _is_old(version: str) -> bool:
    return version.startswith("EVM2EVM")


def _out(counter: Counter) -> bool:
    return counter.kind == "sent"
