"""From folders to a file: the report as a whole."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from stall_then_strike.config.models import AppConfig
from stall_then_strike.research.labels import Labels
from stall_then_strike.research.report_data import read_run
from stall_then_strike.research.report_page import render
from stall_then_strike.research.report_sections import comparison_page, run_page


def write_report(
    out: Path,
    folder: Path,
    cfg: AppConfig,
    *,
    language: str = "en",
    compare: Path | None = None,
    tapes: Sequence[Path] = (),
    journal: Path | None = None,
) -> None:
    """Write the report on a run, or with ``compare`` on two, to ``out``, whole or not at all.

    Tapes serve both runs, the journal the first. Raises ReportInputError for what cannot be read, OSError for ``out``.
    """
    say = Labels(language)
    names = _names(folder, compare)
    run = read_run(folder, cfg, tapes=tapes, journal=journal, name=names[0])
    if compare is None:
        page = run_page(run, say)
    else:
        page = comparison_page(run, read_run(compare, cfg, tapes=tapes, name=names[1]), say)
    text = render(page, say)
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = out.with_name(f".{out.name}.unfinished")
    try:
        unfinished.write_text(text, encoding="utf-8")
        os.replace(unfinished, out)
    finally:
        unfinished.unlink(missing_ok=True)


def _names(first: Path, second: Path | None) -> tuple[str, str]:
    """What to call two runs: as much of their paths' ends as tells them apart."""
    a, b = first.resolve(), (second or first).resolve()
    for parts in range(1, max(len(a.parts), len(b.parts))):
        names = "/".join(a.parts[-parts:]), "/".join(b.parts[-parts:])
        if names[0] != names[1]:
            return names
    return a.name, b.name
