"""Compiles a list of ABI types into one Python function that decodes strictly.

The generated function reads each head with one `struct` call and checks as it goes: every offset and length lies inside
the data and behind its own head, padding is zero, integers are in range and sign-extended, booleans are 0 or 1, strings
are UTF-8. Only bytes that follow the whole encoding are ignored, as Solidity does. Compared with eth-abi in strict mode
it accepts the same values and refuses a little more (listed at `compile_decoder`).

Values: `int`, `bool`, `str` for string, `bytes` for bytes / bytesN / function, `"0x…"` in lower case for address,
tuples for arrays and structs (named tuples where the components have names).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from struct import Struct
from typing import Any, Final

from seamark.evm.abi.errors import DecodeError
from seamark.evm.abi.records import Record, make_record
from seamark.evm.abi.types import WORD, AbiType, Array, Param, Scalar, Tuple, head_size, is_dynamic

__all__ = ["Decoder", "EventDecoder", "compile_decoder", "compile_event_decoder"]

Decoder = Callable[[bytes], Any]
EventDecoder = Callable[[bytes, bytes], Any]

UNROLL_WORDS: Final = 8  # a fixed array up to this size is read with its surroundings, a larger one in a loop
REREAD_FACTOR: Final = 4  # see `compile_decoder`
REREAD_ALLOWANCE: Final = 1024  # bytes; short data may share more
_ADDRESS_PADDING: Final = 12
_NATIVE: Final = {8: "B", 16: "H", 32: "I", 64: "Q"}
_INDENT: Final = "    "


def compile_decoder(params: Sequence[Param], title: str = "Record") -> Decoder:
    """A function from encoded bytes to a tuple of values, named where the parameters are.

    It raises `DecodeError` for anything that is not a strict encoding. Stricter than eth-abi: an offset must point
    behind the whole head that contains it, and offsets that share data may make the decoder read at most four times
    the data's length (plus 1 KiB): nested arrays could otherwise grow a short log into gigabytes.
    """
    writer = _Writer(metered=_needs_meter(params))
    writer.line("E = len(d)")
    values = writer.head([(param.type, param.name) for param in params], at="0", frame="0")
    return writer.finish("d", writer.record(make_record(params, title), values))


def compile_event_decoder(params: Sequence[Param], title: str = "Event") -> EventDecoder:
    """A function from (indexed topics joined, data) to one tuple in the order of declaration.

    An indexed value of a dynamic type, array or struct is its hash: 32 bytes.
    """
    plain = [param for param in params if not param.indexed]
    hashed = Scalar("bytes32", size=WORD)
    topics = [
        (param.type if isinstance(param.type, Scalar) and not is_dynamic(param.type) else hashed, param.name)
        for param in params
        if param.indexed
    ]
    writer = _Writer(metered=_needs_meter(plain))
    writer.line("E = len(d)")
    from_topics = iter(writer.head(topics, at="0", frame="0", buffer="t", end="len(t)"))
    from_data = iter(writer.head([(param.type, param.name) for param in plain], at="0", frame="0"))
    values = [next(from_topics) if param.indexed else next(from_data) for param in params]
    return writer.finish("t, d", writer.record(make_record(params, title), values))


def _needs_meter(params: Sequence[Param]) -> bool:
    return any(_repeats_tails(param.type) for param in params)


def _repeats_tails(type_: AbiType) -> bool:
    match type_:
        case Array(item=item):
            return is_dynamic(item) or _repeats_tails(item)
        case Tuple(components=components):
            return any(_repeats_tails(part.type) for part in components)
        case _:
            return False


def _text(raw: bytes, path: str) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise DecodeError(f"{path}: not valid UTF-8") from error


class _Head:
    """One `struct` format in the making, and what to check once it has been read."""

    def __init__(self) -> None:
        self.format: list[str] = []
        self.names: list[str] = []
        self.size = 0
        self.after: list[Callable[[], None]] = []

    def skip(self, size: int) -> int:
        at = self.size
        self.format.append(f"{size}x")
        self.size += size
        return at


class _Writer:
    """Writes the function's text. Expressions are strings; every local name is fresh."""

    def __init__(self, *, metered: bool) -> None:
        self._lines: list[str] = []
        self._depth = 1
        self._count = 0
        self._metered = metered
        self._globals: dict[str, Any] = {
            "Bad": DecodeError,
            "integer": int.from_bytes,
            "text": _text,
            "Z": [bytes(count) for count in range(WORD + 1)],
        }

    def line(self, text: str) -> None:
        self._lines.append(_INDENT * self._depth + text)

    def fail_if(self, condition: str, path: str, problem: str) -> None:
        self.line(f"if {condition}: raise Bad({f'{path}: {problem}'!r})")

    def fresh(self, prefix: str = "v") -> str:
        self._count += 1
        return f"{prefix}{self._count}"

    def constant(self, value: Any, prefix: str) -> str:
        name = self.fresh(prefix)
        self._globals[name] = value
        return name

    def record(self, record: Record | None, values: Sequence[str]) -> str:
        plain = f"({', '.join(values)}{',' if len(values) == 1 else ''})"
        return plain if record is None else f"{self.constant(record, 'R')}({plain})"

    def finish(self, arguments: str, result: str) -> Callable[..., tuple[Any, ...]]:
        self.line(f"return {result}")
        meter = [f"{_INDENT}L = len(d) * {REREAD_FACTOR} + {REREAD_ALLOWANCE}"] if self._metered else []
        source = "\n".join([f"def decode({arguments}):", *meter, *self._lines])
        exec(compile(source, "<abi decoder>", "exec"), self._globals)  # noqa: S102 - foreign names: literals only
        decode: Callable[..., tuple[Any, ...]] = self._globals["decode"]
        return decode

    # ---- heads ------------------------------------------------------------------------------------------------------

    def head(
        self,
        types: Sequence[tuple[AbiType, str]],
        *,
        at: str,
        frame: str,
        floor: str | None = None,
        buffer: str = "d",
        end: str = "E",
    ) -> list[str]:
        """Read consecutive head slots that start at `at`; offsets count from `frame` and point behind `floor`.

        Returns one expression for each type.
        """
        total = sum(head_size(type_) for type_, _ in types)
        if not total:
            return []
        floor = str(total) if floor is None else floor
        head = _Head()
        values = [self._place(head, type_, name or "value", at=at, frame=frame, floor=floor) for type_, name in types]
        self.fail_if(f"{_plus(at, total)} > {end}", types[0][1] or "value", "the data ends too early")
        if head.names:
            reader = self.constant(Struct(">" + "".join(head.format)).unpack_from, "S")
            self.line(f"{', '.join(head.names)}, = {reader}({buffer}, {at})")
        for step in head.after:
            step()
        return values

    def _place(self, head: _Head, type_: AbiType, path: str, *, at: str, frame: str, floor: str) -> str:
        if is_dynamic(type_):
            return self._place_offset(head, type_, path, frame=frame, floor=floor)
        match type_:
            case Tuple(components=components):
                values = [
                    self._place(
                        head, part.type, f"{path}.{part.name}" if part.name else path, at=at, frame=frame, floor=floor
                    )
                    for part in components
                ]
                return self.record(make_record(components), values)
            case Array(item=item, length=length) if length is not None and head_size(type_) <= UNROLL_WORDS * WORD:
                values = [
                    self._place(head, item, f"{path}[{i}]", at=at, frame=frame, floor=floor) for i in range(length)
                ]
                return self.record(None, values)
            case Array(item=item):
                return self._place_fixed_array(head, item, head_size(type_), path, at=at)
            case Scalar():
                return self._place_scalar(head, type_, path)

    def _place_fixed_array(self, head: _Head, item: AbiType, size: int, path: str, *, at: str) -> str:
        result = self.fresh()
        start = _plus(at, head.skip(size))

        def read() -> None:
            self._loop(result, item, path, start=start, stop=f"{start} + {size}", frame=None, floor=None)

        head.after.append(read)
        return result

    def _place_offset(self, head: _Head, type_: AbiType, path: str, *, frame: str, floor: str) -> str:
        high, offset = self._pieces(head, "24sQ")
        result = self.fresh()

        def read() -> None:
            self.fail_if(f"{high} != Z[24] or {offset} < {floor}", path, "the offset is out of bounds")
            place = offset
            if frame != "0":
                place = self.fresh()
                self.line(f"{place} = {frame} + {offset}")
            self.line(f"{result} = {self._tail(type_, path, place)}")

        head.after.append(read)
        return result

    def _pieces(self, head: _Head, format_: str) -> list[str]:
        """Add one word, two pieces or one; returns their names."""
        names = [self.fresh() for _ in Struct(">" + format_).unpack(bytes(WORD))]
        head.format.append(format_)
        head.names.extend(names)
        head.size += WORD
        return names

    def _place_scalar(self, head: _Head, type_: Scalar, path: str) -> str:
        if type_.name == "address":
            padding, value = self._pieces(head, f"{_ADDRESS_PADDING}s20s")
            self._check(head, f"{padding} != Z[{_ADDRESS_PADDING}]", path, "the padding is not zero")
            return f"'0x' + {value}.hex()"
        if type_.name == "bool":
            padding, value = self._pieces(head, "31sB")
            self._check(head, f"{value} > 1 or {padding} != Z[31]", path, "a bool is 0 or 1")
            return f"{value} == 1"
        if type_.size:
            return self._place_fixed_bytes(head, type_.size, path)
        return self._place_integer(head, type_, path)

    def _place_fixed_bytes(self, head: _Head, size: int, path: str) -> str:
        if size == WORD:
            return self._pieces(head, "32s")[0]
        value, padding = self._pieces(head, f"{size}s{WORD - size}s")
        self._check(head, f"{padding} != Z[{WORD - size}]", path, "the padding is not zero")
        return value

    def _place_integer(self, head: _Head, type_: Scalar, path: str) -> str:
        native = _NATIVE.get(type_.bits)
        if native and not type_.signed:
            size = WORD - type_.bits // 8
            padding, value = self._pieces(head, f"{size}s{native}")
            self._check(head, f"{padding} != Z[{size}]", path, f"out of range for {type_.name}")
            return value
        word = self._pieces(head, "32s")[0]
        if not type_.signed and type_.bits == WORD * 8:
            return f"integer({word})"
        number = self.fresh()

        def read() -> None:
            self.line(f"{number} = integer({word})")
            if type_.signed:
                self.line(f"if {number} >> 255: {number} -= {1 << 256}")
                limit = 1 << (type_.bits - 1)
                self.fail_if(f"not {-limit} <= {number} < {limit}", path, f"out of range for {type_.name}")
            else:
                self.fail_if(f"{number} >> {type_.bits}", path, f"out of range for {type_.name}")

        head.after.append(read)
        return number

    def _check(self, head: _Head, condition: str, path: str, problem: str) -> None:
        head.after.append(lambda: self.fail_if(condition, path, problem))

    # ---- tails ------------------------------------------------------------------------------------------------------

    def _tail(self, type_: AbiType, path: str, at: str) -> str:
        """Read a dynamic value that starts at `at`; returns its expression."""
        match type_:
            case Scalar(name=name):
                raw = self._blob(path, at)
                return f"text({raw}, {path!r})" if name == "string" else raw
            case Array(item=item, length=None):
                return self._dynamic_array(item, path, at)
            case Array(item=item, length=length):
                size = WORD * (length or 0)
                self.fail_if(f"{at} + {size} > E", path, "the data ends too early")
                self._charge(str(size), path)
                result = self.fresh()
                self._loop(result, item, path, start=at, stop=f"{at} + {size}", frame=at, floor=str(size))
                return result
            case Tuple(components=components):
                self._charge(str(sum(head_size(part.type) for part in components)), path)
                parts = [(part.type, f"{path}.{part.name}" if part.name else path) for part in components]
                return self.record(make_record(components), self.head(parts, at=at, frame=at))

    def _length(self, path: str, at: str) -> tuple[str, str]:
        """Read the length word at `at`; returns the names of the length and of the position behind it."""
        high, length, start = self.fresh(), self.fresh("n"), self.fresh("p")
        self.line(f"{start} = {at} + {WORD}")
        self.fail_if(f"{start} > E", path, "the data ends too early")
        self.line(f"{high}, {length} = {self.constant(Struct('>24sQ').unpack_from, 'S')}(d, {at})")
        self.fail_if(f"{high} != Z[24]", path, "the length is out of bounds")
        return length, start

    def _blob(self, path: str, at: str) -> str:
        length, start = self._length(path, at)
        stop, rest = self.fresh("q"), self.fresh("r")
        self.line(f"{stop} = {start} + {length}; {rest} = -{length} & {WORD - 1}")
        self.fail_if(f"{stop} + {rest} > E", path, "the data ends too early")
        self._charge(f"{length} + {WORD}", path)
        self.fail_if(f"{rest} and d[{stop}:{stop} + {rest}] != Z[{rest}]", path, "the padding is not zero")
        return f"d[{start}:{stop}]"

    def _dynamic_array(self, item: AbiType, path: str, at: str) -> str:
        length, start = self._length(path, at)
        size, result = self.fresh("s"), self.fresh()
        self.line(f"{size} = {length} * {head_size(item)}")
        self.fail_if(f"{start} + {size} > E", path, "the data ends too early")
        self._charge(f"{size} + {WORD}", path)
        self._loop(result, item, path, start=start, stop=f"{start} + {size}", frame=start, floor=size)
        return result

    def _loop(
        self, result: str, item: AbiType, path: str, *, start: str, stop: str, frame: str | None, floor: str | None
    ) -> None:
        """Collect the items whose heads lie from `start` to `stop` (already checked) into the tuple `result`."""
        position, items = self.fresh("i"), self.fresh("a")
        self.line(f"{items} = []")
        self.line(f"for {position} in range({start}, {stop}, {head_size(item)}):")
        self._depth += 1
        inner = self.head([(item, f"{path}[]")], at=position, frame=frame or position, floor=floor)
        self.line(f"{items}.append({inner[0]})")
        self._depth -= 1
        self.line(f"{result} = tuple({items})")

    def _charge(self, size: str, path: str) -> None:
        if self._metered:
            self.line(f"L -= {size}")
            self.fail_if("L < 0", path, "offsets share too much data")


def _plus(position: str, offset: int) -> str:
    if not offset:
        return position
    return str(int(position) + offset) if position.isdigit() else f"{position} + {offset}"
