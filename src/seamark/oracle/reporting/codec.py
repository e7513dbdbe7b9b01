"""The bytes of the median plugin: its settings, an observation, the report that the contract reads, the call.

Reading is exact: a report or a call that does not come out the same when it is written again is refused, as the
contract refuses calldata with a byte too many. Values are int192, as in the contract.

Source: libocr `offchainreporting2/reportingplugin/median` and `contract2/OCR2Aggregator.sol` (MIT).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from seamark.core.errors import RejectedError
from seamark.core.units import Ppb
from seamark.evm.abi import AbiError, Function, compile_decoder, compile_encoder, parse_params
from seamark.oracle.reporting.protobuf import Fields, WireError, data_field, uint_field

__all__ = [
    "MAX_ORACLES",
    "MIN_ORACLES",
    "TRANSMIT",
    "MedianSettings",
    "Observation",
    "OnchainConfig",
    "Report",
    "ReportContext",
    "Transmission",
    "report_length",
]

MAX_ORACLES: Final = 31  # so that observers and the parities of signatures fit into one word each
MIN_ORACLES: Final = 4  # the fewest that bear a faulty one: 3f < n with f = 1
WORD: Final = 32
VALUE_BYTES: Final = 24  # int192
VALUE_MIN: Final = -(1 << 191)
VALUE_MAX: Final = (1 << 191) - 1
TRANSMIT: Final = Function.parse(
    "function transmit(bytes32[3] reportContext, bytes report, bytes32[] rs, bytes32[] ss, bytes32 rawVs)"
)

_ONCHAIN_VERSION: Final = 1
_ONCHAIN_BYTES: Final = 1 + 2 * VALUE_BYTES
_REPORT: Final = parse_params("uint32 timestamp, bytes32 observers, int192[] observations, int192 juelsPerFeeCoin")
_encode_report = compile_encoder(_REPORT)
_decode_report = compile_decoder(_REPORT, "report")


def _value(value: int) -> bytes:
    if not VALUE_MIN <= value <= VALUE_MAX:
        raise RejectedError(f"{value} does not fit in an int192")
    return value.to_bytes(VALUE_BYTES, "big", signed=True)


@dataclass(frozen=True, slots=True)
class MedianSettings:
    """When the median plugin reports and accepts. Thresholds in parts per billion, None for never by deviation.

    `delta_c` is the longest time between reports, in nanoseconds.
    """

    alpha_report: Ppb | None
    alpha_accept: Ppb | None
    delta_c: int

    def encode(self) -> bytes:
        return b"".join(
            (
                uint_field(1, self.alpha_report is None),
                uint_field(2, self.alpha_report),
                uint_field(3, self.alpha_accept is None),
                uint_field(4, self.alpha_accept),
                uint_field(5, self.delta_c),
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> MedianSettings:
        """Raises `WireError`."""
        fields = Fields(data, "settings of the median plugin")
        return cls(
            None if fields.boolean(1) else Ppb(fields.uint(2, 64)),
            None if fields.boolean(3) else Ppb(fields.uint(4, 64)),
            fields.uint(5, 63),
        )


@dataclass(frozen=True, slots=True)
class Observation:
    """What one node saw. `timestamp` in seconds since the epoch; the values are int192.

    `gas_price` is there only on networks whose chain does not tell a contract the gas price.
    """

    timestamp: int
    value: int
    juels_per_fee_coin: int
    gas_price: int | None = None

    def encode(self) -> bytes:
        gas_price = b"" if self.gas_price is None else _value(self.gas_price)
        return b"".join(
            (
                uint_field(1, self.timestamp),
                data_field(2, _value(self.value)),
                data_field(3, _value(self.juels_per_fee_coin)),
                data_field(4, gas_price),
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> Observation:
        """Raises `WireError`: not such a message, or a value that has not exactly 24 bytes."""
        fields = Fields(data, "observation")
        gas_price = cls._read(fields, 4) if fields.data(4) else None
        return cls(fields.uint(1, 32), cls._read(fields, 2), cls._read(fields, 3), gas_price)

    @staticmethod
    def _read(fields: Fields, number: int) -> int:
        return int.from_bytes(fields.fixed(number, VALUE_BYTES), "big", signed=True)


@dataclass(frozen=True, slots=True)
class OnchainConfig:
    """The bounds that the contract keeps, both inclusive: 49 bytes whose hash it checks."""

    minimum: int
    maximum: int

    def encode(self) -> bytes:
        return bytes((_ONCHAIN_VERSION,)) + _value(self.minimum) + _value(self.maximum)

    @classmethod
    def decode(cls, data: bytes) -> OnchainConfig:
        """Raises `WireError`: another length or version, or a minimum above the maximum."""
        if len(data) != _ONCHAIN_BYTES or data[0] != _ONCHAIN_VERSION:
            raise WireError(f"the on-chain configuration is not version {_ONCHAIN_VERSION} of {_ONCHAIN_BYTES} bytes")
        low = int.from_bytes(data[1 : 1 + VALUE_BYTES], "big", signed=True)
        high = int.from_bytes(data[1 + VALUE_BYTES :], "big", signed=True)
        if low > high:
            raise WireError(f"the on-chain configuration has a minimum of {low} above its maximum of {high}")
        return cls(low, high)


@dataclass(frozen=True, slots=True)
class Report:
    """What the contract stores: the sorted observations and who made each; the answer is the middle one.

    Nothing here sorts: an unsorted report can be read, and `is_sorted` says so, because the contract does not look.
    """

    timestamp: int
    observers: tuple[int, ...]
    observations: tuple[int, ...]
    juels_per_fee_coin: int

    @property
    def median(self) -> int:
        """Element n // 2, as in the contract: the upper of the two middle ones."""
        return self.observations[len(self.observations) // 2]

    @property
    def is_sorted(self) -> bool:
        return all(low <= high for low, high in zip(self.observations, self.observations[1:], strict=False))

    def encode(self) -> bytes:
        """Raises `RejectedError`: no observations, too many, not one observer for each, or a value out of range."""
        count = len(self.observations)
        if not 0 < count <= MAX_ORACLES or len(self.observers) != count:
            raise RejectedError(f"a report of {count} observations by {len(self.observers)} observers cannot be")
        observers = bytes(self.observers).ljust(WORD, b"\0")
        return _encode_report((self.timestamp, observers, self.observations, self.juels_per_fee_coin))

    @classmethod
    def decode(cls, data: bytes) -> Report:
        """Raises `RejectedError`: anything but the canonical encoding of 1 to 31 observations."""
        decoded = _decode_report(data)
        observations = tuple(decoded.observations)
        observers = tuple(decoded.observers[: len(observations)])
        report = cls(decoded.timestamp, observers, observations, decoded.juelsPerFeeCoin)
        if report.encode() != data:
            raise WireError("the report is not in its canonical encoding")
        return report


def report_length(observations: int) -> int:
    """Bytes of a report: five words and one for each observation."""
    return WORD * (5 + observations)


@dataclass(frozen=True, slots=True)
class ReportContext:
    """Which round of which configuration a report belongs to, and the hash of what it was made from."""

    digest: bytes
    epoch: int
    round: int
    extra_hash: bytes

    def words(self) -> tuple[bytes, bytes, bytes]:
        """The three words of the call: digest; 27 zero bytes, epoch, round; the extra hash."""
        number = bytes(27) + self.epoch.to_bytes(4, "big") + self.round.to_bytes(1, "big")
        return self.digest, number, self.extra_hash

    @classmethod
    def from_words(cls, words: Sequence[bytes]) -> ReportContext:
        """Raises `WireError`: padding that is not zero. (The contract ignores it; no node writes it.)"""
        digest, number, extra_hash = words
        if any(number[:27]):
            raise WireError("the context of a report has bytes before its epoch")
        return cls(digest, int.from_bytes(number[27:31], "big"), number[31], extra_hash)


@dataclass(frozen=True, slots=True)
class Transmission:
    """The call that puts a report on chain. `parities[i]` is 0 or 1 and belongs to `rs[i]`, `ss[i]`."""

    context: ReportContext
    report: bytes
    rs: tuple[int, ...]
    ss: tuple[int, ...]
    parities: tuple[int, ...]

    def encode(self) -> bytes:
        if not len(self.rs) == len(self.ss) == len(self.parities) <= MAX_ORACLES:
            raise RejectedError("a transmission needs r, s and parity of each signature, of at most 31")
        return TRANSMIT.encode(
            self.context.words(),
            self.report,
            tuple(r.to_bytes(WORD, "big") for r in self.rs),
            tuple(s.to_bytes(WORD, "big") for s in self.ss),
            bytes(self.parities).ljust(WORD, b"\0"),
        )

    @classmethod
    def decode(cls, calldata: bytes) -> Transmission:
        """Raises `RejectedError`: another function, or a byte more, less or elsewhere than the contract takes."""
        try:
            context, report, rs, ss, parities = TRANSMIT.decode_call(calldata)
        except AbiError as error:
            raise WireError(f"not a transmission: {error}") from error
        parsed = cls(
            ReportContext.from_words(context),
            report,
            tuple(int.from_bytes(r, "big") for r in rs),
            tuple(int.from_bytes(s, "big") for s in ss),
            tuple(parities[: len(rs)]),
        )
        if len(ss) != len(rs) or parsed.encode() != calldata:
            raise WireError("the transmission is not in its canonical encoding")
        return parsed
