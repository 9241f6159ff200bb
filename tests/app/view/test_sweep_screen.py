"""Progress and results of a sweep, on a terminal and elsewhere."""

from __future__ import annotations

import io

from rich.console import Console

from stall_then_strike.app.view.sweep_screen import SweepProgress, best_table, failures, luck
from stall_then_strike.research.sweep.overfitting import DeflatedSharpe
from tests.research.sweep.test_drive import record
from tests.research.sweep.test_plan import plan


def console(*, terminal: bool, width: int = 100) -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return Console(file=out, force_terminal=terminal, width=width, _environ={}), out


def test_progress_is_a_bar_on_a_terminal_and_lines_elsewhere() -> None:
    shown = {}
    for terminal in (True, False):
        screen, out = console(terminal=terminal)
        with SweepProgress(screen, total=4, done=1, failed=0) as progress:
            progress.add(record(1, "all", 2.0))
            progress.add(record(2, "all", None))
        shown[terminal] = out.getvalue()
    assert "━" in shown[True]
    assert "3/4" in shown[True]
    first, last = shown[False].splitlines()
    assert first == "1 of 4 runs"
    assert last.startswith("3 of 4 runs, 1 failed, 2 in ")


def test_no_figure_is_cut_on_a_narrow_terminal() -> None:
    found = record(0, "all", -1_234_567.89)
    found.metrics.update(fills=3, fill_ratio=0.25, markout_1s=None)
    screen, out = console(terminal=False, width=40)
    screen.print(best_table([found], plan(), 10))
    assert "…" not in out.getvalue()


def test_the_deflated_ratio_in_words() -> None:
    worth = DeflatedSharpe(
        sharpe=0.3, trials=40, variance=0.01, expected_max_sharpe=0.25, dsr=0.7, observations=60, skew=0.0, kurtosis=3.0
    )
    told = luck((record(3, "all", 1.0), worth), plan())
    assert "0.700" in told
    assert "set 3 has a Sharpe ratio of 0.300 per 60 s (60 observations)" in told
    assert "best of 40 worthless sets is expected to have 0.250" in told
    assert "assume that the choice was luck" in told
    assert "unknown" in luck(None, plan())


def test_failures_are_short() -> None:
    lines = failures([record(n, "all", None) for n in range(9)])
    assert lines[0] == "9 of 9 runs failed:"
    assert lines[-1] == "... and 4 more in runs.parquet"
    assert failures([record(0, "all", 1.0)]) == []
