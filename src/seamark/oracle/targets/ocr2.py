"""OCR2 contracts: the published OCR2Aggregator, and our ReportingAggregator with the same calls.

A report that f + 1 oracles have signed is one round. Its epoch and round are part of what was signed, so the contract
takes it once, whoever transmits it; all that a transmission proves is in its calldata (`reporting.codec.Transmission`).
Configuration and latest transmission are read by `reporting.contract`; here is what the contract is as a feed.

Source: libocr `contract2/OCR2Aggregator.sol` (MIT).
"""

from __future__ import annotations

from typing import Final

from seamark.core.errors import RejectedError, SettingsError
from seamark.core.ids import Address
from seamark.evm.abi import Abi
from seamark.evm.address import to_checksum
from seamark.evm.contract import Contract
from seamark.evm.ports import ChainReader
from seamark.oracle.model import ContractKind, FeedState
from seamark.oracle.reporting.codec import Transmission
from seamark.oracle.targets.aggregator import read_state
from seamark.oracle.targets.target import Refusal, Verdict, Where, revert_of

__all__ = ["Ocr2Target", "refusal"]

ABI: Final = Abi.parse("function getTransmitters() view returns (address[])")

_REFUSALS: Final = {
    "stale report": Refusal("stale_report", Verdict.DONE),  # this report or a newer one is there already
    "configDigest mismatch": Refusal("config_changed", Verdict.DONE),  # signed under another configuration: void
    "unauthorized transmitter": Refusal("not_transmitter", Verdict.BROKEN),
    "wrong number of signatures": Refusal("bad_report", Verdict.BROKEN),
    "signatures out of registration": Refusal("bad_report", Verdict.BROKEN),
    "signature error": Refusal("bad_signature", Verdict.BROKEN),
    "duplicate signer": Refusal("bad_signature", Verdict.BROKEN),
    "too few values to trust median": Refusal("bad_report", Verdict.BROKEN),
    "num observations out of bounds": Refusal("bad_report", Verdict.BROKEN),
    "median is out of min-max range": Refusal("out_of_range", Verdict.BROKEN),
    "calldata length mismatch": Refusal("bad_report", Verdict.BROKEN),
    "report length mismatch": Refusal("bad_report", Verdict.BROKEN),
    "observations not sorted": Refusal("bad_report", Verdict.BROKEN),  # ours alone
    "insufficient gas": Refusal("insufficient_gas"),  # for the published contract's validator
}


def refusal(error: RejectedError) -> Refusal:
    """What a refused transmission means. BROKEN: this report will never be taken; DONE: it need not be."""
    return revert_of(error, _REFUSALS)


class Ocr2Target:
    """One OCR2 contract, as one of its transmitters."""

    kind: Final = ContractKind.OCR2
    look_every: Final = None

    def __init__(self, chain: ChainReader, address: Address, account: Address) -> None:
        self._chain = chain
        self._address = address
        self._account = account

    async def read(self) -> FeedState:
        """See `Target`. Before the first report all is zero."""
        return await read_state(self._chain, self._address)

    async def check(self, at: Where) -> None:
        """Whether the account is one of the contract's transmitters."""
        try:
            transmitters = await Contract(self._chain, self._address, ABI).read("getTransmitters")
        except RejectedError as error:
            raise SettingsError(
                at.contract,
                f"the contract at {to_checksum(self._address)} takes no reports: {error}",
                remedy="give the address of an OCR2Aggregator or ReportingAggregator",
            ) from error
        if self._account not in transmitters:
            raise SettingsError(
                at.signer,
                f"{to_checksum(self._account)} is no transmitter of {to_checksum(self._address)}",
                remedy="let the contract's owner name it in setConfig, or sign with another account",
            )

    def encode(self, round_id: int, what: Transmission) -> bytes:  # noqa: ARG002 - what was signed says which round
        """`transmit(…)`: the report, its context and signatures."""
        return what.encode()

    def refusal(self, error: RejectedError) -> Refusal:
        """See `refusal`."""
        return refusal(error)
