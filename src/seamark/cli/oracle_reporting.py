"""`seamark oracle reporting`: the ceremony that founds a reporting network, as each operator takes part in it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from seamark.cli.output import aside, console, print_json, print_problems
from seamark.core.errors import RejectedError, SettingsError
from seamark.core.ids import Address
from seamark.evm.address import AddressError, parse_address, to_checksum
from seamark.runtime.settings import SettingsProblems

__all__ = ["app"]

KEYS_HELP: Final = (
    "Make a node's files: off-chain keys, a TLS certificate, and identity.yaml, which is for the other operators.\n\n"
    "Where --signer or --transmitter is left out, a new account's key is made in a file; name the account where the "
    "key is elsewhere (keystore, Web3Signer, KMS). Nothing is ever overwritten."
)
CONFIG_HELP: Final = (
    "Compute the arguments of the contract's setConfig from a YAML file with all nodes' identities and what the "
    "operators agreed on: deviation, heartbeat, bounds, timing.\n\n"
    "Each run deals a new shared secret, so the arguments differ from run to run; one operator runs it, and all can "
    "read the result on chain."
)
EXIT_PROBLEMS: Final = 2

app = typer.Typer(
    help="Found a reporting network (OCR2): a node's keys, the contract's configuration.", no_args_is_help=True
)


@app.command(help=KEYS_HELP)
def keys(
    folder: Annotated[Path, typer.Argument(help="Where the files go; made where it is missing.", metavar="FOLDER")],
    address: Annotated[str, typer.Option(help="host:port at which the other nodes reach this one.")],
    name: Annotated[str | None, typer.Option(help="For people; the folder's name where missing.")] = None,
    signer: Annotated[str | None, typer.Option(help="The account whose key signs reports.", metavar="0x…")] = None,
    transmitter: Annotated[str | None, typer.Option(help="The account that pays.", metavar="0x…")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the identity as JSON.")] = False,
) -> None:
    # gRPC and cryptography take a while, and no other command here needs them.
    from seamark.app.reporting_files import make_files  # noqa: PLC0415

    given = {"signer": _account("--signer", signer), "transmitter": _account("--transmitter", transmitter)}
    files = make_files(folder, name or folder.resolve().name, address, given)
    identity = files.identity
    if as_json:
        print_json(identity.model_dump(mode="json"))
        return
    console.print(f"[green]✓[/] {folder}: {', '.join(sorted(made.name for made in folder.iterdir()))}", highlight=False)
    for label, value in {
        "peer": identity.peer,
        "signer": to_checksum(identity.signer),
        "transmitter": to_checksum(identity.transmitter),
    }.items():
        console.print(f"  {label:<12}{value}", markup=False)
    console.print(f"\nGive {folder / 'identity.yaml'} to the other operators; keep the rest.", markup=False)


def _account(option: str, text: str | None) -> Address | None:
    if text is None:
        return None
    try:
        return parse_address(text)
    except AddressError as error:
        raise SettingsError(option, str(error), remedy="write the account's address") from None


@app.command(help=CONFIG_HELP)
def config(
    file: Annotated[
        Path, typer.Argument(help="YAML: nodes (identities, or paths of identity.yaml), deviation, …", metavar="FILE")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print the arguments as JSON.")] = False,
) -> None:
    from seamark.app.reporting_files import read_plan  # noqa: PLC0415 - as above
    from seamark.oracle.reporting.ceremony import configure  # noqa: PLC0415
    from seamark.oracle.reporting.contract import encode_set_config  # noqa: PLC0415

    try:
        plan = read_plan(file)
    except SettingsProblems as error:
        print_problems(error)
        raise typer.Exit(EXIT_PROBLEMS) from None
    try:
        made = configure(plan)
    except RejectedError as error:
        raise SettingsError(str(file), str(error), remedy="correct timing or nodes") from error
    arguments: dict[str, Any] = {
        "signers": [to_checksum(signer) for signer in made.signers],
        "transmitters": [to_checksum(transmitter) for transmitter in made.transmitters],
        "f": made.f,
        "onchainConfig": "0x" + made.onchain.hex(),
        "offchainConfigVersion": made.offchain_version,
        "offchainConfig": "0x" + made.offchain.hex(),
    }
    calldata = "0x" + encode_set_config(made).hex()
    if as_json:
        print_json({**arguments, "calldata": calldata})
        return
    for label, value in arguments.items():
        sys.stdout.write(f"{label}: {', '.join(value) if isinstance(value, list) else value}\n")
    sys.stdout.write(f"calldata: {calldata}\n")
    aside(
        f"{len(plan.nodes)} nodes bear {plan.faulty} faulty ones. The contract's owner calls setConfig with these "
        "arguments (or sends the calldata); the nodes run it by themselves once it is deep enough."
    )
