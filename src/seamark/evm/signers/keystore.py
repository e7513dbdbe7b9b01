"""Keystore V3 ("Web3 Secret Storage"): an encrypted key file and its password file.

https://ethereum.org/developers/docs/data-structures-and-encoding/web3-secret-storage
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any, Final

from seamark.core.errors import SettingsError
from seamark.evm.signers.raw_key import RawKeySigner
from seamark.evm.signers.secret_files import read_secret_file

__all__ = ["open_keystore"]

_VERSION: Final = 3
_NOT_A_KEYSTORE: Final = "make one with `geth account new`, `cast wallet import` or clef"


async def open_keystore(path: str, password_file: str, *, setting: str = "keystore") -> RawKeySigner:
    """Decrypt the key; takes a second or so, in a thread, because scrypt is meant to be slow.

    A line break at the end of the password file does not belong to the password.

    Raises:
        SettingsError: A file that is unreadable, open to others or no keystore, or a wrong password.
    """
    content = _parse(read_secret_file(path, setting=setting), path, setting)
    password = read_secret_file(password_file, setting=f"{setting} password").rstrip(b"\r\n")
    try:
        secret = await asyncio.to_thread(_decrypt, content, password)
    except ValueError as error:
        if "MAC mismatch" in str(error):
            raise SettingsError(
                setting,
                f"the password in {password_file} does not open {path}",
                remedy="check which password belongs to it",
            ) from None
        raise _broken(path, setting) from None
    except Exception:  # noqa: BLE001 - whatever a malformed file makes the library do, it may quote the file
        raise _broken(path, setting) from None
    signer = RawKeySigner(secret, setting=setting)
    _check_address(content, signer, path, setting)
    return signer


def _decrypt(content: dict[str, Any], password: bytes) -> bytes:
    return bytes(_decoder()(content, password))


def _decoder() -> Callable[[dict[str, Any], bytes], bytes]:
    """Import late (it takes a second, and few need it), and take back what the import does to the whole process.

    py_ecc, which comes along, raises the recursion limit to 100,000. With that, a deeply nested JSON reply of a hostile
    node or venue would overflow the C stack and kill the process instead of raising `RecursionError`.
    """
    limit = sys.getrecursionlimit()
    try:
        from eth_keyfile.keyfile import decode_keyfile_json  # noqa: PLC0415
    finally:
        sys.setrecursionlimit(limit)
    decode: Callable[[dict[str, Any], bytes], bytes] = decode_keyfile_json
    return decode


def _parse(raw: bytes, path: str, setting: str) -> dict[str, Any]:
    try:
        content = json.loads(raw)
    except ValueError:
        raise SettingsError(setting, f"{path} is not a keystore: no JSON", remedy=_NOT_A_KEYSTORE) from None
    if not isinstance(content, dict) or content.get("version") != _VERSION:
        raise SettingsError(setting, f"{path} is not a keystore of version 3", remedy=_NOT_A_KEYSTORE)
    return content


def _check_address(content: dict[str, Any], signer: RawKeySigner, path: str, setting: str) -> None:
    stated = content.get("address")
    if isinstance(stated, str) and stated and stated.lower().removeprefix("0x") != signer.address[2:]:
        problem = (
            f"{path} says it is for 0x{stated.lower().removeprefix('0x')[:40]} but holds the key of {signer.address}"
        )
        raise SettingsError(setting, problem, remedy="use the keystore as it was written")


def _broken(path: str, setting: str) -> SettingsError:
    return SettingsError(setting, f"{path} is damaged: it cannot be decrypted", remedy=_NOT_A_KEYSTORE)
