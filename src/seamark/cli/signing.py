"""What commands that make transactions share: who acts, a typed confirmation, options read, transactions written.

A confirmation wants a person at a terminal: it is no safeguard if a script can pipe it in.
"""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import typer

from seamark.core.errors import SettingsError
from seamark.core.ids import Address
from seamark.core.units import parse_duration
from seamark.evm.address import AddressError, parse_address

__all__ = ["EXIT_NOT_NOW", "confirm", "operator_name", "parse_account", "parse_wait", "write_unsigned"]

EXIT_NOT_NOW: Final = 3
CONFIRM_DIGITS: Final = 6


def confirm(
    name: str, what: str, *, verb: str = "send", option: str = "--send", policy: str = "recovery.policy"
) -> None:
    """Have a person type the beginning of a name.

    `option` is named in errors, and `policy` as what `--yes` needs.

    Raises:
        SettingsError: There is no person, or something else was typed.
    """
    if not sys.stdin.isatty():
        remedy = f"run it in a terminal, or use --yes with {policy} in the settings"
        raise SettingsError(option, "nobody is there to confirm it", remedy=remedy)
    wanted = name.removeprefix("0x")[:CONFIRM_DIGITS]
    # The question goes to standard error: standard output may be a JSON document.
    typed = typer.prompt(f"To {verb} {what}, type {wanted}", default="", show_default=False, err=True)
    if typed.strip().lower().removeprefix("0x") != wanted:
        raise SettingsError(option, "not confirmed, nothing was sent", remedy=f"type {wanted}")


def operator_name() -> str:
    """The account's name on this machine."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # an account without a name, as in containers
        return "unknown"


def write_unsigned(path: Path, unsigned: Sequence[dict[str, str]]) -> None:
    """As JSON: one object, or a list of several; "-" is standard output.

    Raises:
        SettingsError: The file cannot be written.
    """
    text = json.dumps(unsigned[0] if len(unsigned) == 1 else list(unsigned), indent=2) + "\n"
    if str(path) == "-":
        sys.stdout.write(text)
        return
    try:
        path.write_text(text)
    except OSError as error:
        raise SettingsError(
            "--out", f"{path} cannot be written ({error.strerror})", remedy="name another file"
        ) from error


def parse_account(option: str, text: str) -> Address:
    """Raises `SettingsError` that names the option."""
    try:
        return parse_address(text)
    except AddressError as error:
        raise SettingsError(option, error.message, remedy=error.remedy) from None


def parse_wait(text: str) -> float:
    """The seconds of `--timeout`; raises `SettingsError`."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise SettingsError("--timeout", str(error)) from None
