"""``tape``: inspect, check, cut, merge and convert tapes, and replay the recorded events of a core.

Exit codes: 0 done; 1 a tape is bad or cannot be read; 2 bad arguments.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final

import orjson
from loguru import logger
from rich.console import Console
from rich.table import Table

from stall_then_strike.app.shell import cli
from stall_then_strike.app.shell.command import EXIT_DONE, EXIT_FAILED, command
from stall_then_strike.app.shell.command_parser import command_parser
from stall_then_strike.app.shell.flag_values import number, positive_seconds
from stall_then_strike.app.view.amounts import span
from stall_then_strike.config.models import ExchangeConfig, LogConfig
from stall_then_strike.infra.logging_structured import CsvLogs
from stall_then_strike.infra.logs.run_files import RunFiles
from stall_then_strike.infra.logs.run_record import GENERATED
from stall_then_strike.sim.exchange.source import Channel
from stall_then_strike.tapes import tape_tools
from stall_then_strike.tapes.event_replay import open_run, read_inputs, replay_events
from stall_then_strike.tapes.tape_files import is_event_log, market_of_tapes, price_steps, require_one_venue
from stall_then_strike.tapes.tape_reader import TapeError, read_tape
from stall_then_strike.tapes.tape_rows import only_product
from stall_then_strike.tapes.tape_tools import Audited
from stall_then_strike.tapes.tape_writer import TAPE
from stall_then_strike.types.dto import NS_PER_S, Notice
from stall_then_strike.types.errors import ConfigError, LogError
from stall_then_strike.types.instrument import Instrument
from stall_then_strike.types.text import utc_iso

_SAMPLE_START: Final = "2026-01-05T00:00:00Z"
_ISO: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,6})?)?Z?")
_FLUSH_ROWS: Final = 1_000
_LAST_NS: Final = 9_000_000_000_000_000_000
"""In the year 2255; stamps have 64 bits."""
_FINEST: Final = Decimal("1e-12")
_TEXTS: Final = frozenset({"tape", "first (UTC)", "end"})
_COLUMNS: Final = (
    *("tape", "first (UTC)", "length", "size", "snapshots", "deltas", "executions", "tickers", "gaps", "reconnects"),
    *("mid agreed", "end"),
)
_WIDE: Final = 150
_FORMATS: Final = ("parquet", "npz", "jsonl", "jsonl.zst")


def parser() -> argparse.ArgumentParser:
    """The command's flags."""
    flags = command_parser(
        "tape",
        "Inspect, check, cut, merge, convert and replay tapes.",
        ("info FILE", "what is on a tape"),
        ("check data/raw/*.jsonl.zst", "whether tapes are good evidence"),
        ("replay --help", "the arguments of one of its commands"),
        codes={0: "done", 1: "a tape is bad, or a file cannot be written", 2: "bad arguments, or a file is no tape"},
    )
    commands = flags.add_subparsers(metavar="COMMAND", required=True)

    info = _command(commands, "info", _info, "show what is on tapes")
    info.add_argument("tapes", metavar="FILE", type=Path, nargs="+")
    info.add_argument("--json", action="store_true", help="one JSON object a line, for programs")
    _add_units(info)

    check = _command(commands, "check", _check, "check tapes; exit with 1 if one is bad")
    check.add_argument("tapes", metavar="FILE", type=Path, nargs="+")
    check.add_argument(
        "--gap",
        metavar="SECONDS",
        type=positive_seconds,
        help="a channel that is silent for longer makes a tape bad",
    )
    check.add_argument(
        "--min-agreed",
        metavar="SHARE",
        type=number("a share", "0 to 1", 0, 1),
        default=tape_tools.MIN_AGREED,
        help="least share of board messages whose mid price agrees with the book (default: %(default)s)",
    )
    _add_units(check)

    cut = _command(commands, "cut", _cut, "copy a part of a tape")
    cut.add_argument("tape", metavar="FILE", type=Path)
    when = "UTC time 2026-01-05T12:00:00Z, nanoseconds since 1970, or +SECONDS from the tape's start"
    cut.add_argument("--from", metavar="TIME", dest="start", help=f"first moment, included: {when}")
    cut.add_argument("--to", metavar="TIME", dest="end", help="last moment, excluded")
    _add_output(cut)

    merge = _command(commands, "merge", _merge, "merge several tapes into one, by receive stamp")
    merge.add_argument("tapes", metavar="FILE", type=Path, nargs="+")
    merge.add_argument(
        "--drop-copies",
        metavar="SECONDS",
        nargs="?",
        type=positive_seconds,
        const=tape_tools.TWICE_S,
        help="leave out messages that another tape has within this time (%(const)s s, if no number is given)",
    )
    _add_output(merge)

    convert = _command(commands, "convert", _convert, "convert a tape for other programs")
    convert.add_argument("tape", metavar="FILE", type=Path)
    convert.add_argument("--to", choices=_FORMATS, required=True, dest="kind")
    convert.add_argument("--product", metavar="CODE", help="product to convert, if the tape has several (parquet, npz)")
    convert.add_argument(
        "--feed-latency-ms",
        metavar="MS",
        type=number("a latency", "0 to 10000 ms", 0, 10_000),
        default=100.0,
        help="npz: assumed latency of board messages, which carry no stamp (default: %(default)g)",
    )
    convert.add_argument(
        "-o", "--out", metavar="FILE", type=Path, help="file to write (default: beside the tape, with its name)"
    )
    _add_units(convert)

    sample = _command(commands, "sample", _sample, "generate a tape of a simulated market from a seed")
    sample.add_argument("--seed", metavar="N", type=int, default=7, help="seed of the market (default: %(default)s)")
    sample.add_argument("--seconds", metavar="N", type=positive_seconds, default=180.0, help="default: %(default)g")
    sample.add_argument(
        "--start", metavar="TIME", default=_SAMPLE_START, help="first moment of the tape (default: %(default)s)"
    )
    _add_output(sample)

    replay = _command(
        commands, "replay", _replay, "feed a core's recorded events to a new core, and write its CSV logs"
    )
    replay.add_argument("events", metavar="FILE", type=Path, help="event log, *.events.jsonl.zst")
    replay.add_argument("-o", "--out", metavar="DIR", type=Path, required=True, help="new folder for the CSV logs")
    return flags


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    do: Callable[[argparse.Namespace], int],
    text: str,
) -> argparse.ArgumentParser:
    flags: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    flags.set_defaults(do=do)
    return flags


def _add_output(flags: argparse.ArgumentParser) -> None:
    flags.add_argument(
        "-o", "--out", metavar="FILE", type=Path, required=True, help="the new tape, .jsonl or .jsonl.zst"
    )


def _add_units(flags: argparse.ArgumentParser) -> None:
    flags.add_argument(
        "--tick-size",
        metavar="X",
        type=_step,
        help="price step in quote currency (default: the finest at the beginning of the tape)",
    )
    flags.add_argument(
        "--size-step", metavar="X", type=_step, default=Decimal("1e-8"), help="size step (default: 0.00000001)"
    )


@command("tape", patient=True)
def main(argv: Sequence[str] | None = None) -> int:
    """Run and return the exit code."""
    args = parser().parse_args(argv)
    logger.remove()
    logger.add(sys.stderr, level="ERROR", format="{message}")
    given = vars(args)
    for path in given.get("tapes", [given.get("tape", given.get("events"))]):
        if path is not None and not path.is_file():
            raise ConfigError(f"{path}: not a file; accepted: a recording of run_live, run_paper or record")
    try:
        code: int = args.do(args)
    except FileExistsError as error:
        raise ConfigError(f"{error.filename}: exists already; choose another name") from error
    except OSError as error:
        raise LogError(f"{error.filename or given.get('out') or 'output'}: {error.strerror or error}") from error
    return code


# --- info and check --------------------------------------------------------------------------------------------------


def _exchange(args: argparse.Namespace, tape: Path) -> ExchangeConfig:
    """The units, with the finest price step that is seen at the beginning of a tape unless one is given."""
    tick = min(price_steps(tape).values(), default=Decimal(1)) if args.tick_size is None else args.tick_size
    return ExchangeConfig().model_copy(update={"tick_size": tick, "size_step": args.size_step})


def _info(args: argparse.Namespace) -> int:
    audited = [tape_tools.audit_tape(path, _exchange(args, path)) for path in args.tapes if not is_event_log(path)]
    if args.json:
        for tape in audited:
            facts = {"file": str(tape.path), "bytes": tape.size, "error": tape.error, **tape.audit.as_json()}
            facts["truncated"] = bool(tape.statistics.truncated or tape.statistics.is_unfinished)
            sys.stdout.write(orjson.dumps(facts).decode() + "\n")
    else:
        if audited:
            console = Console()
            rows = [row for tape in audited for row in _facts(tape)]
            if console.width >= _WIDE:
                console.print(_table(rows))
            else:  # a paragraph per tape: so narrow a table would break its words
                for row in rows:
                    console.print(_paragraph(row), highlight=False, markup=False, soft_wrap=True)
        for path in filter(is_event_log, args.tapes):
            run = open_run(path)
            said = f"{path.name}: events of a {run.mode} run on {' and '.join(run.cfg.products)}"
            Console().print(said, highlight=False, markup=False, soft_wrap=True)
    return EXIT_FAILED if any(tape.error for tape in audited) else EXIT_DONE


def _facts(tape: Audited) -> Iterator[tuple[str, ...]]:
    """One row per product on the tape, with the columns of ``_COLUMNS``."""
    audit = tape.audit
    end = "unreadable" if tape.error else "whole"
    if tape.statistics.truncated or tape.statistics.is_unfinished:
        end = "cut"
    when = (
        (utc_iso(audit.first_ns)[:19], span((audit.last_ns - audit.first_ns) / NS_PER_S))
        if audit.messages
        else ("-", "-")
    )
    books = audit.books()
    for product in audit.products or ("",):
        counts = audit.messages_of(product)
        book = books.get(product)
        yield (
            tape.path.name + (f" ({product})" if len(audit.products) > 1 else ""),
            *when,
            _bytes(tape.size),
            *(f"{counts[kind]:,}" for kind in Channel),
            f"{audit.gaps_of(product):,}",
            f"{audit.reconnects:,}",
            "-" if book is None or not book.checked else f"{book.agreed:,} of {book.checked:,}",
            end,
        )


def _table(rows: Sequence[tuple[str, ...]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in _COLUMNS:
        table.add_column(name, overflow="fold", justify="left" if name in _TEXTS else "right")
    for row in rows:
        table.add_row(*row)
    return table


def _paragraph(row: tuple[str, ...]) -> str:
    told = [f"{name} {value}" for name, value in zip(_COLUMNS[1:], row[1:], strict=True)]
    lines = [row[0], ", ".join(told[:3]), ", ".join(told[3:7]), ", ".join(told[7:])]
    return "\n  ".join(lines)


def _check(args: argparse.Namespace) -> int:
    code = EXIT_DONE
    for path in args.tapes:
        if is_event_log(path):
            code = max(code, _check_events(path))
            continue
        tape = tape_tools.audit_tape(path, _exchange(args, path), gap_s=args.gap)
        faults = tape_tools.faults_of(tape, min_agreed=args.min_agreed)
        sys.stdout.write(f"{path}: {'BAD' if faults else 'good'}, {tape.audit.messages:,} messages\n")
        for fault in faults:
            sys.stdout.write(f"  {fault}\n")
            code = EXIT_FAILED
        for product, book in tape.audit.books().items():
            if book.execution_gaps:
                sys.stdout.write(
                    f"  note: {product}: execution ids jump {book.execution_gaps:,} times, "
                    f"over {book.executions_missing:,} ids\n"
                )
    return code


def _check_events(path: Path) -> int:
    """Whether an event log can be replayed to its end."""
    count = 0
    try:
        open_run(path)
        for _ in read_inputs(path):
            count += 1
    except TapeError as error:
        sys.stdout.write(f"{path}: BAD after {count:,} events\n  {error}\n")
        return EXIT_FAILED
    sys.stdout.write(f"{path}: good, {count:,} events\n")
    return EXIT_DONE


def _bytes(count: int) -> str:
    return f"{count:,} B" if count < 10_000 else f"{count / 1000:,.0f} kB"


# --- new tapes -------------------------------------------------------------------------------------------------------


def _tape_name(path: Path) -> Path:
    if not path.name.endswith((".jsonl", TAPE)):
        raise ConfigError(f"-o {path}: not a file name of a tape; accepted: .jsonl or .jsonl.zst")
    return path


def _cut(args: argparse.Namespace) -> int:
    start_ns = 0
    if any(text is not None and text.startswith("+") for text in (args.start, args.end)):
        first = next(iter(read_tape(args.tape)), None)
        start_ns = first.recv_ns if first is not None else 0
    market = market_of_tapes([args.tape])
    from_ns, to_ns = _moment("--from", args.start, start_ns), _moment("--to", args.end, start_ns)
    lines = tape_tools.cut(args.tape, from_ns, to_ns)
    return _wrote(args.out, tape_tools.write_tape(_tape_name(args.out), lines, market))


def _merge(args: argparse.Namespace) -> int:
    require_one_venue(args.tapes)
    lines = tape_tools.merge(args.tapes, twice_s=args.drop_copies)
    return _wrote(args.out, tape_tools.write_tape(_tape_name(args.out), lines, market_of_tapes(args.tapes)))


def _sample(args: argparse.Namespace) -> int:
    start_ns = _moment("--start", args.start, 0) or 0
    lines = tape_tools.generate(args.seed, start_ns, args.seconds)
    return _wrote(args.out, tape_tools.write_tape(_tape_name(args.out), lines, GENERATED))


def _convert(args: argparse.Namespace) -> int:
    stem = args.tape.with_name(args.tape.name.removesuffix(".zst").removesuffix(".jsonl"))
    if args.kind in ("jsonl", "jsonl.zst"):
        out: Path = args.out or stem.with_name(f"{stem.name}.{args.kind}")
        lines = iter(read_tape(args.tape))
        return _wrote(out, tape_tools.write_tape(_tape_name(out), lines, market_of_tapes([args.tape])))
    instrument = _instrument(args)
    if args.kind == "npz":
        with cli.extra_needed("research"):
            from stall_then_strike.research.tables.npz import write_npz

        out = args.out or stem.with_name(stem.name + ".npz")
        rows = write_npz(args.tape, out, instrument, feed_latency_ms=args.feed_latency_ms)
        sys.stdout.write(f"{out}: {rows:,} rows\n")
    else:
        with cli.extra_needed("research"):
            from stall_then_strike.research.tables.parquet import write_parquet

        base = stem if args.out is None else args.out.with_name(args.out.name.removesuffix(".parquet"))
        for path in write_parquet(args.tape, base, instrument):
            sys.stdout.write(f"{path}: {_bytes(path.stat().st_size)}\n")
    return EXIT_DONE


def _instrument(args: argparse.Namespace) -> Instrument:
    exchange = _exchange(args, args.tape).model_copy(update={"product_code": only_product(args.tape, args.product)})
    return exchange.instrument()


def _replay(args: argparse.Namespace) -> int:
    if args.out.exists() and any(args.out.iterdir()):
        raise ConfigError(f"-o {args.out}: not empty; accepted: a new folder")
    cli.look_for_strategies(args.events.parent)
    run = open_run(args.events)
    rows = 0
    with ExitStack() as stack:
        folders = zip(RunFiles(args.out, run.cfg.products).each, run.cfg.by_instrument(), strict=True)
        every = [
            stack.enter_context(CsvLogs(folder, each.exchange.instrument(), LogConfig(), strategy=each.strategy.name))
            for folder, each in folders
        ]
        for number, row in replay_events(args.events):
            if isinstance(row, Notice):
                continue
            every[number].write(row)
            rows += 1
            if rows % _FLUSH_ROWS == 0:
                for logs in every:
                    logs.flush()
    for logs in every:
        if logs.failure is not None:
            raise logs.failure
    names = " and ".join(run.cfg.products)
    sys.stdout.write(f"{names}, {run.mode}, {run.program}: {rows:,} rows in {args.out}\n")
    return EXIT_DONE


def _wrote(path: Path, messages: int) -> int:
    sys.stdout.write(f"{path}: {messages:,} messages, {_bytes(path.stat().st_size)}\n")
    return EXIT_DONE


# --- arguments -------------------------------------------------------------------------------------------------------


def _moment(flag: str, text: str | None, start_ns: int) -> int | None:
    """A stamp. Raises ConfigError."""
    if text is None:
        return None
    stamp_ns = -1
    if text.isascii() and text.isdigit() and len(text) <= len(str(_LAST_NS)):
        stamp_ns = int(text)
    elif text.startswith("+"):
        with suppress(InvalidOperation, ValueError, OverflowError):
            stamp_ns = start_ns + int(Decimal(text[1:]) * NS_PER_S)
    if 0 <= stamp_ns <= _LAST_NS:
        return stamp_ns
    if _ISO.fullmatch(text):
        try:
            at = datetime.fromisoformat(text.removesuffix("Z")).replace(tzinfo=UTC)
        except ValueError:
            pass
        else:
            return int(at.timestamp()) * NS_PER_S + at.microsecond * 1_000
    raise ConfigError(f"{flag} {text}: not a moment; accepted: 2026-01-05T12:00:00Z, nanoseconds, or +SECONDS")


def _step(text: str) -> Decimal:
    """A price or size step, for argparse."""
    try:
        value = Decimal(text)
        if value.is_finite() and value >= _FINEST and 1 / value == int(1 / value):
            return value
    except InvalidOperation:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is not a step; accepted: 1, 0.1, 0.01 ...")


if __name__ == "__main__":
    sys.exit(main())
