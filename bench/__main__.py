"""Run all benchmarks, or those named. docs/performance.md is written when all ran; with --write the sections of those
named are, and the others stay as they are.
"""

from __future__ import annotations

import asyncio
import sys
from importlib import import_module
from pathlib import Path

from bench.report import page, section, sections_of, table
from seamark.runtime.logs import configure_logs

PAGE = Path(__file__).resolve().parent.parent / "docs" / "performance.md"
WRITE = "--write"
BENCHES = {
    "logs": "Reading the chain",
    "catch_up": "Catching up",
    "rpc_volume": "What a monitor of interop reads",
    "latency": "Publishing a price",
    "oracle_ingest": "Many feeds, many sources",
    "oracle_cycle": "Asking slow sources",
    "oracle_reporting": "A reporting network",
    "oracle_chaos": "Publishers in chaos",
    "live": "Many live messages",
    "running": "The running monitor",
    "ledger": "Finding a message among many",
}


def main(arguments: list[str]) -> int:
    wanted = [name for name in arguments if name != WRITE]
    unknown = [name for name in wanted if name not in BENCHES]
    if unknown:
        print(f"bench: no benchmark {unknown[0]!r}; there are {', '.join(BENCHES)}")
        return 2
    configure_logs(level="error")
    measured = {}
    for name in wanted or BENCHES:
        # Only what is measured: some need peers that are installed for `make bench` alone.
        title, module = BENCHES[name], import_module(f"bench.{name}")
        rows = asyncio.run(module.run())
        measured[title] = section(module.HOW, rows)
        print(f"\n{title}\n\n{table(rows)}", flush=True)
    if not wanted or WRITE in arguments:
        sections = {**sections_of(PAGE.read_text()), **measured}
        titles = dict.fromkeys([*BENCHES.values(), *sections])  # those at the end are of benches run by themselves
        PAGE.write_text(page({title: sections[title] for title in titles if title in sections}))
        print(f"\nwritten: {PAGE.relative_to(Path.cwd())}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
