"""Reads the folders of a report and writes its file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.logs.run_list import Run, RunList
from stall_then_strike.research.figures.log_rows import ReportInputError
from stall_then_strike.research.report.calibration_page import RESULT, calibration_page, is_calibration, read_result
from stall_then_strike.research.report.labels import Labels
from stall_then_strike.research.report.page import render
from stall_then_strike.research.report.run_data import read_account, read_run
from stall_then_strike.research.report.run_sections import account_page, comparison_page, run_page
from stall_then_strike.research.report.sweep_data import is_sweep, read_sweep
from stall_then_strike.research.report.sweep_sections import sweep_page
from stall_then_strike.tapes.tape_files import product_of


def write_report(
    out: Path,
    folder: Path,
    cfg: AppConfig,
    *,
    language: str = "en",
    zone: str | None = None,
    compare: Path | None = None,
    tapes: Sequence[Path] = (),
    journal: Path | None = None,
    chosen: Sequence[Run] | None = None,
    day: date | None = None,
) -> None:
    """Write a report to ``out`` atomically: on a run, on two runs (``compare``), on a sweep or on a calibration.

    If ``cfg`` has several instruments, the report is on all of them. Tapes are used for both runs, the journal for the
    first. ``chosen`` are the runs of the first folder; without them, and of the other, the newest is taken.
    ``day``: only that trading day.
    Raises ReportInputError for unreadable input, OSError for ``out``.
    """
    unit = cfg.exchange.instrument()
    say = Labels(language, zone, base=unit.base, quote=unit.quote)
    kind = "sweep" if is_sweep(folder) else "calibration" if is_calibration(folder) else None
    if kind is not None and (compare is not None or tapes or journal is not None or chosen or day is not None):
        raise ReportInputError(f"{folder} has a {kind}: --compare, --tape, --journal, --day and --run are for runs")
    if kind == "sweep":
        figures = read_sweep(folder)
        page = sweep_page(figures, Labels(language, zone, base=figures.about.base, quote=figures.about.currency))
    elif kind == "calibration":
        page = calibration_page(read_result(folder / RESULT), say)
    elif len(cfg.products) > 1:
        if compare is not None:
            raise ReportInputError("--compare takes one instrument; name it by --product")
        by_product = {
            product: [path for path in tapes if product_of(path) in (product, None)] for product in cfg.products
        }
        account = read_account(folder, cfg, tapes=by_product, journal=journal, chosen=chosen, day=day)
        each = [Labels(language, zone, base=run.units.base, quote=run.units.quote) for run in account.runs]
        page = account_page(account, say, each)
    else:
        others = None if compare is None else RunList(compare).chosen(())
        names = _names(_place(folder, chosen), None if compare is None else _place(compare, others))
        run = read_run(folder, cfg, tapes=tapes, journal=journal, name=names[0], chosen=chosen, day=day)
        if compare is None:
            page = run_page(run, say)
        else:
            other = read_run(compare, cfg, tapes=tapes, name=names[1], chosen=others, day=day)
            page = comparison_page(run, other, say)
    text = render(page, say)
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = out.with_name(f".{out.name}.unfinished")
    try:
        unfinished.write_text(text, encoding="utf-8")
        os.replace(unfinished, out)
    finally:
        unfinished.unlink(missing_ok=True)


def _place(folder: Path, chosen: Sequence[Run] | None) -> Path:
    """The folder of an only run; the log folder of several."""
    runs = RunList(folder).chosen(()) if chosen is None else chosen
    return runs[0].files.folder if len(runs) == 1 else folder


def _names(first: Path, second: Path | None) -> tuple[str, str]:
    """Names of two runs: the shortest ends of their paths that differ."""
    a, b = first.resolve(), (second or first).resolve()
    for parts in range(1, max(len(a.parts), len(b.parts))):
        names = "/".join(a.parts[-parts:]), "/".join(b.parts[-parts:])
        if names[0] != names[1]:
            return names
    return (a.name, b.name) if second is None else (f"{a.name} (1)", f"{b.name} (2)")
