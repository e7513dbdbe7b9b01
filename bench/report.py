"""What a benchmark answers with, and how it is shown."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `ratio` compares ours with the peer's, above 1 is better for us; `met` is about
    `target`."""

    what: str
    ours: str
    peer: str = ""
    ratio: str = ""
    target: str = ""
    met: bool | None = None


HEADER = ("what", "Seamark", "peer", "ratio", "target", "met")


def table(rows: Sequence[Row]) -> str:
    """GitHub Markdown."""
    lines = ["| " + " | ".join(HEADER) + " |", "| --- | ---: | ---: | ---: | ---: | :---: |"]
    for row in rows:
        met = {True: "yes", False: "**no**", None: ""}[row.met]
        lines.append(f"| {row.what} | {row.ours} | {row.peer} | {row.ratio} | {row.target} | {met} |")
    return "\n".join(lines)


def machine() -> str:
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    system = f"{platform.system()} {platform.release()}"
    return f"{os.cpu_count()} cores of {model}, {system}, Python {platform.python_version()}"


def section(how: str, rows: Sequence[Row]) -> str:
    """What stands under a title of docs/performance.md."""
    return "\n".join((how, "", f"{datetime.now(UTC):%Y-%m-%d}, {machine()}.", "", table(rows)))


def page(sections: Mapping[str, str]) -> str:
    """The whole of docs/performance.md."""
    parts = [
        "# Performance",
        "",
        "Written by `make bench`. Both sides of a row ran in the same minutes on the same machine; absolute numbers",
        "move by a third with its other load, ratios are what to trust.",
    ]
    for title, body in sections.items():
        parts += ["", f"## {title}", "", body]
    return "\n".join(parts) + "\n"


def sections_of(text: str) -> dict[str, str]:
    """The sections of a page that was written before."""
    _, *parts = text.split("\n## ")
    return {title: body.strip() for title, _, body in (part.partition("\n") for part in parts)}


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest-rank percentile."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered) + 0.5) - 1))]
