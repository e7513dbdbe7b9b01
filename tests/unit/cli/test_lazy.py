"""Commands are imported when they run, and the lists of them say what the commands themselves say."""

from __future__ import annotations

import subprocess
import sys

import pytest

from seamark.cli import commands, messages
from seamark.cli.lazy import Lazy

ALL = [*commands.COMMANDS, *messages.COMMANDS]
HEAVY = {"aiohttp", "alembic", "fastapi", "sqlalchemy", "uvicorn"}
pytestmark = pytest.mark.timeout(60)  # a process of its own, on a machine that may be busy

SERVERS = {"alembic", "apprise", "eth_account", "fastapi", "uvicorn"}


@pytest.mark.parametrize("command", ALL, ids=lambda item: item.name)
def test_the_list_says_what_the_command_says(command: Lazy) -> None:
    assert command.load().help.partition("\n\n")[0].replace("\n", " ") == command.help


def imported_by(*arguments: str) -> set[str]:
    code = (
        "import sys\n"
        f"sys.argv = ['seamark', *{list(arguments)!r}]\n"
        "from seamark.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print('|'.join(sorted(sys.modules)), file=sys.stderr)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in ended.stderr.strip().splitlines()[-1].split("|")}


def test_help_is_cheap() -> None:
    assert not imported_by("--help") & HEAVY
    assert not imported_by("messages", "--help") & HEAVY


def test_a_look_at_messages_needs_no_server() -> None:
    assert not imported_by("messages", "list", "--help") & SERVERS
