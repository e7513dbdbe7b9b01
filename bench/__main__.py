"""Run all benchmarks, or those named, and write docs/performance.md (only when all ran)."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from bench import catch_up, latency, ledger, live, logs, rpc_volume, running
from bench.report import page, table
from seamark.runtime.logs import configure_logs

PAGE = Path(__file__).resolve().parent.parent / "docs" / "performance.md"
BENCHES = {
    "logs": ("Reading the chain", logs),
    "catch_up": ("Catching up", catch_up),
    "rpc_volume": ("What a monitor of interop reads", rpc_volume),
    "latency": ("Publishing a price", latency),
    "live": ("Many live messages", live),
    "running": ("The running monitor", running),
    "ledger": ("Finding a message among many", ledger),
}


def main(wanted: list[str]) -> int:
    unknown = [name for name in wanted if name not in BENCHES]
    if unknown:
        print(f"bench: no benchmark {unknown[0]!r}; there are {', '.join(BENCHES)}")
        return 2
    configure_logs(level="error")
    sections = {}
    for name in wanted or BENCHES:
        title, module = BENCHES[name]
        rows = asyncio.run(module.run())
        sections[title] = (module.HOW, rows)
        print(f"\n{title}\n\n{table(rows)}", flush=True)
    if not wanted:
        PAGE.write_text(page(sections))
        print(f"\nwritten: {PAGE.relative_to(Path.cwd())}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
