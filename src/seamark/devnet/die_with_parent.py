"""Runs another program that ends when its parent does: `python -I -S die_with_parent.py PARENT_PID PROGRAM [ARG…]`.

The kernel sends SIGINT to this process at the moment its parent dies, SIGKILL included (prctl(2), PR_SET_PDEATHSIG);
the setting outlives `exec`. SIGINT and not SIGKILL, because anvil then writes its state before it leaves. The program
runs in a session of its own, so a Ctrl-C in the terminal reaches the parent alone, which ends its children in order.
To the kernel the parent is the thread that started this process: start it from one that lives as long as the program.

A script of its own, run by a bare interpreter (20 ms): a `preexec_fn` would fork a process that has threads, which is
unsafe and warned about since Python 3.12.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # <sys/prctl.h>
GONE = 3  # exit status when the parent died before it could be watched


def main(arguments: list[str]) -> int:
    """Replace this process by the program; returns only when the parent is gone already."""
    parent, program = int(arguments[0]), arguments[1:]
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:
        return GONE
    os.execv(program[0], program)  # noqa: S606 - the caller names the program by its full path
    return GONE  # pragma: no cover - execv returns only by raising


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
