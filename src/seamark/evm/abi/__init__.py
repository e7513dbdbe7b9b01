"""Contract ABI: types compiled once into strict decoders and encoders."""

from seamark.evm.abi.contract_abi import Abi
from seamark.evm.abi.decoder import compile_decoder
from seamark.evm.abi.encoder import compile_encoder
from seamark.evm.abi.errors import AbiError, AbiTypeError, DecodeError, EncodeError
from seamark.evm.abi.items import Constructor, Error, Event, Function
from seamark.evm.abi.reverts import Revert, decode_revert
from seamark.evm.abi.types import Param, parse_params

__all__ = [
    "Abi",
    "AbiError",
    "AbiTypeError",
    "Constructor",
    "DecodeError",
    "EncodeError",
    "Error",
    "Event",
    "Function",
    "Param",
    "Revert",
    "compile_decoder",
    "compile_encoder",
    "decode_revert",
    "parse_params",
]
