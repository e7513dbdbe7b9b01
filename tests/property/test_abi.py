"""The compiled coders against eth-abi, which is slow and right.

Deliberate differences: ours refuses an offset that points into any head of its container (eth-abi counts the heads of
nested static arrays and tuples as one word), and data that makes the decoder read more than four times its length. It
never accepts what eth-abi refuses.
"""

from __future__ import annotations

import pytest
from eth_abi.abi import decode as eth_decode
from eth_abi.abi import encode as eth_encode
from eth_abi.exceptions import DecodingError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seamark.evm.abi import DecodeError, Param, compile_decoder, compile_encoder
from seamark.evm.abi.types import Array, Scalar, Tuple, canonical, parse_scalar

SCALARS = [
    *(f"uint{bits}" for bits in (8, 16, 24, 32, 64, 80, 128, 160, 224, 248, 256)),
    *(f"int{bits}" for bits in (8, 24, 64, 192, 248, 256)),
    *(f"bytes{size}" for size in (1, 4, 16, 31, 32)),
    "address",
    "bool",
    "string",
    "bytes",
    "function",
]
SLOW = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


TYPES = st.recursive(
    st.sampled_from(SCALARS).map(parse_scalar),
    lambda inner: st.one_of(
        st.builds(Array, inner, st.one_of(st.none(), st.integers(1, 3), st.just(10))),
        st.lists(inner, min_size=1, max_size=4).map(lambda parts: Tuple(tuple(Param(part) for part in parts))),
    ),
    max_leaves=6,
)
LISTS_OF_TYPES = st.lists(TYPES, min_size=1, max_size=4)


def values(type_):
    match type_:
        case Tuple(components=components):
            return st.tuples(*(values(part.type) for part in components))
        case Array(item=item, length=None):
            return st.lists(values(item), max_size=3).map(tuple)
        case Array(item=item, length=int(length)):
            return st.lists(values(item), min_size=length, max_size=length).map(tuple)
    return scalars(type_)


PLAIN = {
    "address": st.binary(min_size=20, max_size=20).map(lambda raw: "0x" + raw.hex()),
    "bool": st.booleans(),
    "string": st.text(st.characters(codec="utf-8"), max_size=40),
    "bytes": st.binary(max_size=70),
}


def scalars(type_: Scalar):
    if type_.name in PLAIN:
        return PLAIN[type_.name]
    if type_.size:
        return st.binary(min_size=type_.size, max_size=type_.size)
    if type_.signed:
        return st.integers(-(1 << type_.bits - 1), (1 << type_.bits - 1) - 1)
    return st.integers(0, (1 << type_.bits) - 1)


@st.composite
def encoded(draw):
    params = tuple(Param(type_) for type_ in draw(LISTS_OF_TYPES))
    chosen = tuple(draw(values(param.type)) for param in params)
    return params, chosen


def names(params) -> list[str]:
    # eth-abi has no "function" type; its bytes are those of bytes24.
    return [canonical(param.type).replace("function", "bytes24") for param in params]


@SLOW
@given(encoded())
def test_encoding_and_decoding_agree_with_eth_abi(case) -> None:
    params, chosen = case
    data = compile_encoder(params)(chosen)
    assert data == eth_encode(names(params), chosen)
    assert compile_decoder(params)(data) == chosen == eth_decode(names(params), data)


@SLOW
@given(encoded(), st.data())
def test_truncated_data_is_refused(case, data) -> None:
    params, chosen = case
    raw = compile_encoder(params)(chosen)
    cut = data.draw(st.integers(0, len(raw) - 1))
    with pytest.raises(DecodeError):
        compile_decoder(params)(raw[:cut])


@SLOW
@given(encoded(), st.data())
def test_mutated_data_is_refused_wherever_eth_abi_refuses_it(case, data) -> None:
    params, chosen = case
    raw = bytearray(compile_encoder(params)(chosen))
    for _ in range(data.draw(st.integers(1, 3))):
        # Low bytes of words hold lengths, offsets and small values: that is where damage is interesting.
        word = data.draw(st.integers(0, len(raw) // 32 - 1))
        at = word * 32 + data.draw(st.sampled_from([0, 12, 23, 30, 31]))
        raw[at] = data.draw(st.sampled_from([0, 1, 2, 0x20, 0x40, 0x60, 0x80, 0xFF, raw[at] ^ 1]))
    _compare(params, bytes(raw))


@SLOW
@given(LISTS_OF_TYPES, st.binary(max_size=400))
def test_random_bytes_never_break_the_decoder(chosen, raw) -> None:
    _compare(tuple(Param(type_) for type_ in chosen), raw)


@SLOW
@given(
    LISTS_OF_TYPES,
    st.lists(st.sampled_from([0, 1, 2, 3, 0x20, 0x40, 0x60, 0x80, 0xA0, 0xC0, (1 << 256) - 1, 1 << 255]), max_size=24),
)
def test_words_that_look_like_offsets_never_break_the_decoder(chosen, words) -> None:
    _compare(tuple(Param(type_) for type_ in chosen), b"".join(word.to_bytes(32, "big") for word in words))


def _compare(params, raw: bytes) -> None:
    try:
        ours = compile_decoder(params)(raw)
    except DecodeError:
        return
    try:
        theirs = eth_decode(names(params), raw)
    except (DecodingError, UnicodeDecodeError, OverflowError) as error:
        pytest.fail(f"accepted {raw.hex()} as {names(params)}, which eth-abi refuses: {error!r}")
    assert ours == theirs
