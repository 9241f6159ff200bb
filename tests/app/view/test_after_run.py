"""What the end of a paper run says to a newcomer."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rich.console import Console

from stall_then_strike.app.view.after_run import after_run
from stall_then_strike.app.view.snapshot import BudgetUse, Counts, ReasonCount, RunFigures, Snapshot
from tests.app.view.snapshots import NOTHING, TS, TWO

STEPS = (("report logs", "the run as one page of charts"), ("doctor", "what real orders would need"))


def shown(last: Snapshot, width: int = 80) -> list[str]:
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(after_run(last, STEPS))
    return [line.rstrip() for line in capture.get().splitlines()]


def run(*reasons: tuple[str, float], counts: Counts) -> Snapshot:
    figures = RunFigures(reasons=tuple(ReasonCount(reason=word, count=1, seconds=seconds) for word, seconds in reasons))
    one = replace(NOTHING, run=figures, counts=counts)
    return Snapshot(
        ts_ns=TS, mode="paper", budget=(BudgetUse(name="small orders", used=99, limit=100),), instruments=(one,)
    )


def test_names_what_kept_it_from_quoting_and_the_limits_in_use() -> None:
    counts = Counts(strikes=37, placed=74, filled=2, partly_filled=1)
    reasons = (("stopping", 90.0), ("quoting", 200.0), ("stall_immature", 210.0), ("budget", 500.0))
    assert shown(run(*reasons, counts=counts)) == [
        "74 orders in 37 strikes, 20% of the time; 3 of them filled.",
        "What kept it from quoting:",
        "  budget 50%          The budget of the venue's rate limits, or a pause after a",
        "                      refusal, forbids a strike. Used at the end: small orders",
        "                      99/100.",
        "  stall_immature 21%  The best prices have not stood still for long enough.",
        "What to do next:",
        "  report logs  the run as one page of charts",
        "  doctor       what real orders would need",
    ]


def test_run_without_orders_or_measured_times() -> None:
    assert shown(run(counts=Counts()))[0] == "0 orders in 0 strikes; none filled."


def test_several_instruments_have_a_sentence_each() -> None:
    lines = shown(TWO)
    for one in TWO.instruments:
        assert sum(line.startswith(f"{one.product}: ") for line in lines) == 1


@pytest.mark.parametrize("width", [40, 80])
def test_fits_the_width(width: int) -> None:
    lines = shown(run(("budget", 5.0), ("book_unknown", 4.0), counts=Counts()), width)
    assert max(map(len, lines)) <= width
