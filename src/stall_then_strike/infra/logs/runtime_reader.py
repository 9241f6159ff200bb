"""Reads the runtime log back: lines of ``app.log`` and of its rotated predecessors within a period.

Their stamps are of the system's clock. A run at another speed uses its own time in CSV and journal, so its lines cannot
be found by that time; the caller must know this.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from stall_then_strike.types.dto import NS_PER_S
from stall_then_strike.types.text import iso_ns, utc_iso

_LINE: Final = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d\.\d{3})Z \| (\w+) *\| (.*)")
_STAMP_CHARS: Final = 23
_TAIL_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeLine:
    """One record, without its traceback if there is one."""

    ts_ns: int
    level: str
    text: str


def runtime_lines(folder: Path, from_ns: int, until_ns: int) -> list[RuntimeLine]:
    """Records in ``[from_ns, until_ns)``, oldest first. An unreadable folder or file counts as empty."""
    first, last = (utc_iso(ns)[:_STAMP_CHARS].replace("T", " ") for ns in (from_ns, until_ns))
    found: list[RuntimeLine] = []
    for path in sorted(folder.glob("app*.log")):
        try:
            if path.stat().st_mtime_ns < from_ns - NS_PER_S:
                continue  # its last line is older
            with path.open(encoding="utf-8-sig", errors="replace") as lines:
                found += _within(lines, first, last)
        except OSError:
            continue
    return sorted(found, key=lambda line: line.ts_ns)


def last_lines(folder: Path, most: int) -> tuple[RuntimeLine, ...]:
    """The newest records of ``app.log``, at most so many and of its last ``_TAIL_BYTES``; none if it is unreadable."""
    try:
        with (folder / "app.log").open("rb") as file:
            start = max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES)
            file.seek(start)
            text = file.read(_TAIL_BYTES).decode("utf-8", "replace")
    except OSError:
        return ()
    lines = text.splitlines(keepends=True)[1 if start else 0 :]
    return tuple(_within(iter(lines[-most:]), "", "~"))


def _within(lines: Iterator[str], first: str, last: str) -> Iterator[RuntimeLine]:
    for line in lines:
        if first <= line[:_STAMP_CHARS] < last and line.endswith("\n") and (match := _LINE.match(line)):
            day, clock, level, text = match.groups()
            yield RuntimeLine(ts_ns=iso_ns(f"{day}T{clock}000Z"), level=level, text=text.rstrip())
