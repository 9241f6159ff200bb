"""``calibrate``: compare paper fills with those of a recorded live run, and find the settings that fit best.

It reads event logs or a journal of ``run_live`` and the tapes recorded at the same time. It writes a folder with the
result (``calibration.json``), settings for paper trading (``calibration.yml``) and the run's latencies, one file per
kind. The comparison needs the extra ``research``; ``--latencies-only`` does not.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import orjson
from rich.console import Console
from rich.table import Table

from stall_then_strike.app.shell import cli
from stall_then_strike.app.shell.command import EXIT_DONE, EXIT_FAILED, command
from stall_then_strike.app.shell.command_parser import command_parser
from stall_then_strike.app.shell.wide_table import print_table
from stall_then_strike.research.calibration.live_latencies import CANCEL, ORDER, in_words, samples, write_samples
from stall_then_strike.research.calibration.live_orders import (
    CalibrationError,
    LiveRecord,
    read_event_logs,
    read_journal,
)
from stall_then_strike.research.figures.estimates import Estimate
from stall_then_strike.tapes.salvage import EVENTS
from stall_then_strike.tapes.tape_files import SUFFIXES, is_event_log
from stall_then_strike.types.dto import NS_PER_S
from stall_then_strike.types.errors import ConfigError, JournalError
from stall_then_strike.types.text import utc_iso

if TYPE_CHECKING:
    from stall_then_strike.research.calibration.fit import Calibration, ModelResult

_OUT: Final = Path("data/results/calibration")
_JOURNAL: Final = ".sqlite3"
_WIDEST: Final = 130
"""Width when the output is a file or a pipe."""


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    flags = command_parser(
        "calibrate",
        "Compare paper fills with those of a recorded live run, and fit the queue model to them.",
        ("data/raw", "a live run's recording: its event log and tapes"),
        ("logs/journal --latencies-only", "latencies of a run that recorded nothing else"),
        codes={
            0: "done",
            1: "a file cannot be written",
            2: "bad arguments, no record that can be used, or no extra research",
        },
    )
    flags.add_argument(
        "paths",
        metavar="PATH",
        nargs="+",
        type=Path,
        help=f"a run_live's recording: event logs (*{EVENTS}) or its journal (*{_JOURNAL}), tapes, or folders of them",
    )
    flags.add_argument("--out", metavar="DIR", type=Path, default=_OUT, help="folder to write (default: %(default)s)")
    flags.add_argument(
        "--latencies-only", action="store_true", help="write the latencies only, without a comparison; needs no tapes"
    )
    cli.add_config_flags(flags, override="none; an event log has its own, a journal needs exchange.product_code")
    return flags


@command(
    "calibrate",
    patient=True,
    silent="stall_then_strike",  # warnings of the tape reader are for a trader
    usage=(ConfigError, CalibrationError, JournalError),
)
def main(argv: Sequence[str] | None = None) -> int:
    """Run and return the exit code."""
    args = parser().parse_args(argv)
    try:
        found = _find(args.paths)
        record = _record(found, args)
        if args.latencies_only:
            return _latencies_only(record, args.out)
        if not found.tapes:
            raise CalibrationError(
                f"{_names(args.paths)}: no tapes; accepted: those recorded beside the run ({' or '.join(SUFFIXES)}), "
                "or --latencies-only"
            )
        return _calibrate(record, found.tapes, args.out)
    except OSError as error:
        sys.stderr.write(f"calibrate: {error.filename or args.out} cannot be written: {error.strerror}\n")
        return EXIT_FAILED


# --- input ------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Found:
    events: list[Path] = field(default_factory=list)
    journals: list[Path] = field(default_factory=list)
    tapes: list[Path] = field(default_factory=list)

    def add(self, path: Path) -> bool:
        """Add a file by its kind; return whether the kind is known."""
        if is_event_log(path):
            self.events.append(path)
        elif path.name.endswith(_JOURNAL):
            self.journals.append(path)
        elif path.name.endswith(SUFFIXES):
            self.tapes.append(path)
        else:
            return False
        return True


def _find(paths: Sequence[Path]) -> _Found:
    found = _Found()
    for path in paths:
        if path.is_dir():
            for file in sorted(path.iterdir()):
                found.add(file)
        elif not path.is_file():
            raise CalibrationError(f"{path}: no such file or folder; accepted: the recordings of a live run")
        elif not found.add(path):
            raise CalibrationError(
                f"{path}: accepted: an event log (*{EVENTS}), a journal (*{_JOURNAL}), "
                f"a tape ({' or '.join(SUFFIXES)}), or a folder of them"
            )
    return found


def _record(found: _Found, args: argparse.Namespace) -> LiveRecord:
    """The run's orders: from event logs if there are any, else from the journal."""
    if found.events:
        return read_event_logs(found.events)
    if len(found.journals) == 1:
        return read_journal(found.journals[0], cli.load(args, None))
    if found.journals:
        raise CalibrationError(f"{_names(found.journals)}: several journals; accepted: one at a time")
    raise CalibrationError(
        f"{_names(args.paths)}: no record of a live run; accepted: an event log (*{EVENTS}, which run_live writes with "
        f"record.enabled=true) or a journal (*{_JOURNAL})"
    )


def _names(paths: Sequence[Path]) -> str:
    return ", ".join(map(str, paths))


# --- work -------------------------------------------------------------------------------------------------------------


def _latencies_only(record: LiveRecord, out: Path) -> int:
    found = samples(record.orders, None, 0)
    if not any(found.values()):
        raise CalibrationError(f"{_names(record.sources)}: no order, so no latency; accepted: a record with orders")
    out.mkdir(parents=True, exist_ok=True)
    _show_latencies(found, write_samples(out, found, _names(record.sources), None), Console())
    return EXIT_DONE


def _calibrate(record: LiveRecord, tapes: Sequence[Path], out: Path) -> int:
    with cli.extra_needed("research", "--latencies-only"):
        from stall_then_strike.research.calibration.fit import as_json, calibrate
    result, found = calibrate(record, tapes)
    out.mkdir(parents=True, exist_ok=True)
    written = write_samples(out, found, _names(record.sources), result.private_lag_ms)
    (out / "calibration.json").write_bytes(orjson.dumps(as_json(result), option=orjson.OPT_INDENT_2) + b"\n")
    (out / "calibration.yml").write_text(settings_text(result, written), encoding="utf-8")
    console = Console() if sys.stdout.isatty() else Console(width=_WIDEST)
    for line in words(result):
        console.print(line, highlight=False, soft_wrap=True)
    print_table(console, comparison_table(result))
    _show_latencies(found, written, console)
    console.print(f"{out / 'calibration.json'}\n{out / 'calibration.yml'}", highlight=False, soft_wrap=True)
    return EXIT_DONE


def _show_latencies(found: Mapping[str, Sequence[float]], written: Mapping[str, Path], console: Console) -> None:
    for kind, path in written.items():
        console.print(f"{path}: {len(found[kind])} x ms: {in_words(found[kind])}", highlight=False, soft_wrap=True)


# --- words ------------------------------------------------------------------------------------------------------------


def words(result: Calibration) -> list[str]:
    """What was compared, and the result, in lines of text."""
    lag = "not measured" if result.private_lag_ms is None else f"{result.private_lag_ms:.0f} ms"
    period = f"{utc_iso(result.from_ns)} to {utc_iso(result.until_ns)}"
    absent = f"{result.never_on_the_book} never on the book or end unknown, {result.not_on_tape} not fully on the tapes"
    lines = [
        f"{result.orders} quotes of {result.product}, {period}; left out: {absent}",
        f"{result.queued} had others ahead at arrival; the outcome of {result.sensitive} depends on the queue model",
        f"lag behind the executions channel: private channel {lag}, board {result.display_lag_ms:.0f} ms",
    ]
    best = result.best_model
    if best is None:
        lines.append("No quote's outcome depends on the queue model: this record cannot tell which model is right.")
    else:
        name = best.model if best.parameter is None else f"{best.model} {best.parameter:g}"
        often = "" if best.wins is None else f", as in {best.wins:.0%} of resamples"
        lines.append(f"Closest to the real fills: {name}{often}.")
    return lines


def comparison_table(result: Calibration) -> Table:
    """Real fills beside each model's, with 95 % intervals."""
    table = Table(
        title="Fills of the same orders: real, and by each queue model (95 % intervals)", title_justify="left"
    )
    table.add_column("")
    table.add_column("real", justify="right")
    for model in result.models:
        table.add_column(f"{model.model} *" if model.model == result.best else model.model, justify="right")

    models, sides = result.models, [result.real, *(model.fills for model in result.models)]
    table.add_row("parameter", "", *map(_parameter, models))
    table.add_row("loss", "", *(f"{model.loss:.4f}" for model in models))
    table.add_row("best in resamples", "", *("-" if model.wins is None else f"{model.wins:.0%}" for model in models))
    table.add_row("fill ratio", *(_percent(side.ratio) for side in sides))
    table.add_row("orders with a fill", *(_percent(side.touched) for side in sides))
    table.add_row("ratio less real", "", *(_percent(model.difference) for model in models))
    for horizon in result.real.markouts:
        table.add_row(f"markout {horizon} s, ticks", *(_whole(side.markouts[horizon]) for side in sides))
    table.add_row("time to fill, ms", *(_whole(side.time_to_fill_ms) for side in sides))
    medians = [side.median_time_to_fill_ms for side in sides]
    table.add_row("  its median", *("-" if median is None else f"{median:.0f}" for median in medians))
    table.add_row("filled in both", "", *(str(model.both) for model in models))
    table.add_row("only in truth", "", *(str(model.only_real) for model in models))
    table.add_row("only predicted", "", *(str(model.only_predicted) for model in models))
    table.add_row("in neither", "", *(str(model.neither) for model in models))
    return table


def _parameter(model: ModelResult) -> str:
    if model.parameter is None:
        return "-"
    ends = "" if model.low is None or model.high is None else f" ({model.low:g} to {model.high:g})"
    return f"{model.parameter:g}{ends}"


def _percent(estimate: Estimate | None) -> str:
    return _with_interval(estimate, lambda value: f"{100 * value:.1f}", " %")


def _whole(estimate: Estimate | None) -> str:
    return _with_interval(estimate, lambda value: f"{value:.0f}", "")


def _with_interval(estimate: Estimate | None, text: Callable[[float], str], unit: str) -> str:
    if estimate is None:
        return "-"
    ends = "" if estimate.low is None or estimate.high is None else f" ({text(estimate.low)} to {text(estimate.high)})"
    return f"{text(estimate.value)}{unit}{ends}"


def settings_text(result: Calibration, written: Mapping[str, Path]) -> str:
    """An override for ``run_paper`` and ``backtest`` (``--config``)."""
    start, end = (utc_iso(ns // NS_PER_S * NS_PER_S) for ns in (result.from_ns, result.until_ns))
    lines = [f"# By calibrate, from {result.orders} live quotes of {result.product}, {start} to {end}.", "paper:"]
    best = result.best_model
    if best is None:
        lines.append("  # queue_model: this record cannot tell")
    else:
        lines.append(f"  queue_model: {best.model} # loss {best.loss:.4f}")
    for model in result.models:
        if model.parameter is not None:
            key = "queue_cancel_share" if model.model == "share" else "queue_power"
            mark = "  " if model is best else "  # "
            ends = "" if model.low is None or model.high is None else f"; 95 %: {model.low:g} to {model.high:g}"
            lines.append(f"{mark}{key}: {model.parameter:g} # loss {model.loss:.4f}{ends}")
    for kind, key in ((ORDER, "order_latency"), (CANCEL, "cancel_latency")):
        if kind in written:
            file = orjson.dumps(str(written[kind].resolve())).decode()
            lines.append(f"  {key}: {{kind: sampled, file: {file}}}")
    if len(lines) == 3 and best is None:
        lines[1] = "paper: {}"
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    sys.exit(main())
