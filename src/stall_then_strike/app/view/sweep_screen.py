"""Progress and results of a sweep on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, Self

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from stall_then_strike.infra.clock import perf_ns
from stall_then_strike.research.report.sweep_scales import key_text
from stall_then_strike.research.sweep.overfitting import DeflatedSharpe
from stall_then_strike.research.sweep.plan import Plan
from stall_then_strike.research.sweep.result import front, is_known, out_of_sample, ranked
from stall_then_strike.research.sweep.runs import Record
from stall_then_strike.types.dto import NS_PER_S
from stall_then_strike.types.instrument import quote_of

UNKNOWN: Final = "–"
_LINE_NS: Final = 30 * NS_PER_S
_ERRORS_SHOWN: Final = 5
_WORKERS_SHOWN: Final = 16
_BELIEVED: Final = 0.95


class SweepProgress:
    """A bar on a terminal, a line every half minute elsewhere. A context manager."""

    def __init__(self, console: Console, total: int, done: int, failed: int) -> None:
        """``done`` runs have been made already, ``failed`` of them without a result."""
        self._console, self._total, self._done, self._failed = console, total, done, failed
        self._before, self._said_ns, self._began_ns = done, perf_ns(), perf_ns()
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._made: dict[str, list[Record]] = {}
        """Runs made now, by their worker."""

    def __enter__(self) -> Self:
        """Start the display."""
        if self._console.is_terminal:
            columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[failed]}"), TimeRemainingColumn())
            self._bar = Progress(TextColumn("sweep"), *columns, console=self._console, transient=True)
            self._task = self._bar.add_task("sweep", total=self._total, completed=self._done, failed=self._words())
            self._bar.start()
        else:
            self._line()
        return self

    def __exit__(self, *exc: object) -> None:
        """Stop the display."""
        if self._bar is not None:
            self._bar.stop()
        self._line()

    def add(self, record: Record) -> None:
        """Count one more run."""
        self._done += 1
        self._failed += not record.done
        if record.worker:
            self._made.setdefault(record.worker, []).append(record)
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=self._done, failed=self._words())
        elif perf_ns() - self._said_ns > _LINE_NS:
            self._line()

    def say(self, text: str) -> None:
        """Print another line for the operator."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def work(self) -> Table:
        """What each worker has done since the start, until the last line."""
        seconds = (self._said_ns - self._began_ns) / NS_PER_S
        table = _table("work", "worker", "runs", "processor s", "idle", "memory MB")
        for worker, made in sorted(self._made.items())[:_WORKERS_SHOWN]:
            busy = sum(record.seconds for record in made) / seconds
            peak = max((record.peak_mb or 0 for record in made), default=0)
            table.add_row(
                worker,
                f"{len(made):,}",
                f"{sum(record.processor_s for record in made):,.1f}",
                f"{max(0.0, 1 - busy):.0%}",
                f"{peak:,}" if peak else UNKNOWN,
            )
        if (hidden := len(self._made) - table.row_count) > 0:
            table.caption = f"and {hidden:,} more workers"
        return table

    def _words(self) -> str:
        return f"{self._failed:,} failed" if self._failed else ""

    def _line(self) -> None:
        self._said_ns = perf_ns()
        seconds, made = (self._said_ns - self._began_ns) / NS_PER_S, self._done - self._before
        pace = f", {made:,} in {seconds:.1f} s" if made else ""
        failed = f", {self._words()}" if self._failed else ""
        self.say(f"{self._done:,} of {self._total:,} runs{failed}{pace}")


def best_table(records: Sequence[Record], plan: Plan, count: int) -> Table:
    """The best parameter sets over the whole tape."""
    best = ranked(records, plan.whole.name, plan.objectives[0], plan.min_fills)
    unknown = sum(not is_known(record, plan.min_fills) for record in best)
    quote = _quote(plan)
    figures = (f"pnl {quote}", f"drawdown {quote}", "fills", "filled", "Sharpe", "markout 1 s")
    table = _table(
        f"best of {len(best) - unknown:,} parameter sets, by {plan.objectives[0]}",
        "set",
        *_names(plan),
        *figures,
    )
    on_front = front(best, plan.objectives, plan.min_fills) if len(plan.objectives) > 1 else set()
    for record in best[:count]:
        m = record.metrics
        table.add_row(
            f"{record.number}{'*' if record.number in on_front else '' if is_known(record, plan.min_fills) else '?'}",
            *(_value(record.values[key]) for key in plan.keys),
            _money(m["pnl"]),
            _money(m["max_drawdown"]),
            f"{m['fills']:,}",
            UNKNOWN if m["fill_ratio"] is None else f"{m['fill_ratio']:.1%}",
            _figure(m["sharpe"]),
            _money(m["markout_1s"]),
        )
    notes = []
    if unknown:
        notes.append(f"? {unknown:,} with fewer than {plan.min_fills} fills: result unknown, not ranked (--min-fills)")
    if on_front:
        notes.append(f"* no other set is better in all of {', '.join(plan.objectives)} ({len(on_front)} in all)")
    table.caption = "\n".join(notes) or None
    return table


def _quote(plan: Plan) -> str:
    """The currency of money."""
    code: str = plan.base["exchange"]["product_code"]
    return quote_of(code)


def fold_table(records: Sequence[Record], plan: Plan) -> Table:
    """Results of each train span's choice on the test span after it."""
    rows = out_of_sample(records, plan)
    quote = _quote(plan)
    figures = (f"train {quote}", f"test {quote}", "train Sharpe", "test Sharpe", "rank")
    title = "out of sample: chosen on the train span, tried on the test span"
    table = _table(title, "fold", "set", *_names(plan), *figures)
    for row in rows:
        table.add_row(
            str(row["fold"]),
            UNKNOWN if row["number"] is None else str(row["number"]),
            *(_value(row[key]) for key in plan.keys),
            _money(row["train_pnl"]),
            _money(row["test_pnl"]),
            _figure(row["train_sharpe"]),
            _figure(row["test_sharpe"]),
            UNKNOWN if row["rank"] is None else f"{row['rank']} of {row['sets']}",
        )
    tested = [row["test_pnl"] for row in rows if row["test_pnl"] is not None]
    table.caption = (
        f"test spans together: {sum(tested):,.2f} {quote}, {sum(pnl > 0 for pnl in tested)} of {len(tested)} above 0"
    )
    return table


def luck(found: tuple[Record, DeflatedSharpe] | None, plan: Plan) -> str:
    """What the deflated Sharpe ratio says, in words."""
    if found is None:
        return "Deflated Sharpe ratio: unknown, because no set has a Sharpe ratio (too few observations or fills)."
    best, worth = found
    verdict = (
        "That is unlikely to be luck alone."
        if worth.dsr > _BELIEVED
        else f"Below {_BELIEVED:.0%} assume that the choice was luck."
    )
    return (
        f"Deflated Sharpe ratio {worth.dsr:.3f}: set {best.number} has a Sharpe ratio of {worth.sharpe:.3f} per "
        f"{plan.sample_ns / NS_PER_S:g} s ({worth.observations} observations); the best of {worth.trials} "
        f"worthless sets is expected to have {worth.expected_max_sharpe:.3f} by luck. "
        f"The probability that it is truly better than that is {worth.dsr:.1%}. {verdict}"
    )


def failures(records: Sequence[Record]) -> list[str]:
    """The failed runs, in a few lines."""
    bad = [record for record in records if not record.done]
    lines = [f"set {record.number}, {record.span}: {record.error}" for record in bad[:_ERRORS_SHOWN]]
    if len(bad) > _ERRORS_SHOWN:
        lines.append(f"... and {len(bad) - _ERRORS_SHOWN:,} more in runs.parquet")
    return [f"{len(bad):,} of {len(records):,} runs failed:", *lines] if bad else []


def _names(plan: Plan) -> Iterator[str]:
    return (key_text(key, tuple(plan.keys)) for key in plan.keys)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", caption_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        table.add_column(name, justify="right", overflow="fold")
    return table


def _value(value: Any) -> str:
    return UNKNOWN if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _money(amount: float | None) -> str:
    return UNKNOWN if amount is None else f"{amount:,.2f}"


def _figure(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.3f}"
