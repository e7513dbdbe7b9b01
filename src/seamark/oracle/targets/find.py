"""Which kind of contract a feed is, and the target for it.

A kind is recognised by a read that only this kind answers, in the form that this kind answers it:

    OCR2   latestConfigDetails()            a report has to be signed by a network: no feed of one publisher
    Flux   oracleRoundState(account, 0)
    else   Aggregator: whoever has the role publishes

A node that does not answer is no evidence of anything.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from seamark.core.errors import RejectedError, SettingsError
from seamark.core.ids import Address
from seamark.evm.abi import Abi
from seamark.evm.address import ZERO_ADDRESS, to_checksum
from seamark.evm.ports import ChainReader
from seamark.evm.types import Call
from seamark.oracle.model import Answer, ContractKind
from seamark.oracle.targets.aggregator import AggregatorTarget
from seamark.oracle.targets.flux import ABI as FLUX_ABI
from seamark.oracle.targets.flux import FluxTarget
from seamark.oracle.targets.reads import decode
from seamark.oracle.targets.target import Target, Where

__all__ = ["find_target", "make_target", "probe"]

AnswerTarget: TypeAlias = Target[Answer]

_OCR2: Final = Abi.parse(
    "function latestConfigDetails() view returns (uint32 configCount, uint32 blockNumber, bytes32 configDigest)"
).function("latestConfigDetails")
_FLUX: Final = FLUX_ABI.function("oracleRoundState")


def make_target(kind: ContractKind, chain: ChainReader, address: Address, account: Address) -> AnswerTarget:
    """The target that answers are published to.

    Raises:
        RejectedError: A contract of this kind takes no answers, only signed reports.
    """
    match kind:
        case ContractKind.AGGREGATOR:
            return AggregatorTarget(chain, address, account)
        case ContractKind.FLUX:
            return FluxTarget(chain, address, account)
    raise RejectedError(f"{to_checksum(address)} takes reports of a network, not the answers of one publisher")


async def probe(chain: ChainReader, address: Address, account: Address) -> ContractKind:
    """What the contract is, by what it answers.

    Raises:
        TemporaryError: A read got no answer at all.
    """
    calls = [Call(address, _OCR2.encode()), Call(address, _FLUX.encode(account, 0))]
    reporting, flux = await chain.calls(calls)
    if _answers(_OCR2, reporting):
        return ContractKind.OCR2
    return ContractKind.FLUX if _answers(_FLUX, flux) else ContractKind.AGGREGATOR


async def find_target(
    wanted: ContractKind | None,
    chain: ChainReader,
    address: Address,
    account: Address,
    at: Where,
) -> ContractKind:
    """The kind of a feed's contract, as written or as found, after the checks of its target.

    Raises:
        SettingsError: It is another kind than written, one that a publisher cannot write, or not fit for the account.
        TemporaryError: No node gave a usable answer.
    """
    found = await probe(chain, address, account)
    shown = to_checksum(address)
    if wanted is not None and wanted is not found:
        raise SettingsError(
            at.contract, f"is {wanted}, but {shown} answers as {found}", remedy="correct it, or leave it out"
        )
    if found is ContractKind.OCR2:
        raise SettingsError(
            at.contract,
            f"{shown} takes reports that a network of oracles has signed",
            remedy="run a node of a reporting network for it (oracle.reporting), or name another contract",
        )
    if account != ZERO_ADDRESS:  # a rehearsal's: it sends nothing, so nothing has to be allowed
        await make_target(found, chain, address, account).check(at)
    return found


def _answers(function: object, answer: bytes | Exception) -> bool:
    try:
        decode(function, answer)  # type: ignore[arg-type]
    except RejectedError:
        return False
    return True
