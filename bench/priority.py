"""Benchmarks of milliseconds on a machine that others use too: going before them, where the caller asks for it."""

from __future__ import annotations

import os
from pathlib import Path

FIRST = "SEAMARK_BENCH_FIRST"
"""Set: the processes that are measured go before the machine's other work (Linux with autogroup; needs root)."""
_WEIGHT = "-20"


def go_first(pid: int) -> None:
    """Give the session of a process the highest weight among sessions, if that is wanted."""
    if FIRST in os.environ:
        Path(f"/proc/{pid}/autogroup").write_text(_WEIGHT)


def load_average() -> str:
    """Of the machine, and whether we went before it."""
    return f"load of the machine {os.getloadavg()[0]:.1f}" + (", going first" if FIRST in os.environ else "")


def go_at_once(pid: int) -> None:
    """For what waits more than it works: run as soon as it can, before everything else (real-time), if that is wanted.

    Threads that start later inherit it.
    """
    if FIRST in os.environ:
        for task in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setscheduler(int(task.name), os.SCHED_RR, os.sched_param(1))
