"""The entry point of the `seamark` command: whatever happens, a person gets one line and a code, never a traceback.

Exit codes: 0 done or stopped by the user, 1 failed while running, 2 wrong settings or arguments.
"""

from __future__ import annotations

import sys

__all__ = ["main"]

EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells have it


def main() -> None:
    """Run the command that the arguments name, and exit with its code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without Unicode shows "?", and the command goes on
    try:
        # Imported late: it takes a second, and Ctrl-C within it is no reason for a traceback.
        from seamark.cli.commands import run_command  # noqa: PLC0415

        sys.exit(run_command())
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)


if __name__ == "__main__":
    main()
