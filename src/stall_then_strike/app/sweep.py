"""``sweep``: replay tapes with many parameter sets, by grid or search, here or on Dask, and judge the best of them.

It needs the extra ``research``. The same command continues a sweep that was interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console

from stall_then_strike.app.shell import cli
from stall_then_strike.app.shell.command import EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED, command
from stall_then_strike.app.shell.command_parser import command_parser
from stall_then_strike.app.shell.compiling import READER, REPLAY, compiling
from stall_then_strike.app.shell.flag_values import positive_seconds, whole
from stall_then_strike.app.shell.wide_table import print_table
from stall_then_strike.config.models import AppConfig
from stall_then_strike.config.venue import BITFLYER
from stall_then_strike.tapes.tape_files import market_of_tapes, require_product, tape_files
from stall_then_strike.types.dto import NS_PER_S
from stall_then_strike.types.errors import ConfigError, LogError, StallThenStrikeError

if TYPE_CHECKING:
    from stall_then_strike.research.sweep.drive import Driver
    from stall_then_strike.research.sweep.plan import Keys, Plan
    from stall_then_strike.research.sweep.runs import Job
    from stall_then_strike.research.sweep.sweep_journal import RunJournal
    from stall_then_strike.research.tables.columns import Columns

_RESULTS: Final = Path("data/results")
_count: Final = whole("a count", "a whole number from 1 to 1000000", 1, 1_000_000)
_WIDE: Final = 200
"""Width when the output is not a terminal."""


def parser() -> argparse.ArgumentParser:
    """The command's flags."""
    flags = command_parser(
        "sweep",
        "Replay tapes with many parameter sets and compare the results.",
        ("--tape data/raw --grid strategy.ttl_ms=300,500 --grid strategy.stall_T_ms=200,400", "four sets"),
        codes={
            0: "done",
            1: "a run failed, or the sweep could not go on",
            2: "bad configuration or arguments, or no extra research",
            130: "stopped by a signal: the same command continues",
        },
    )
    flags.add_argument(
        "--tape",
        metavar="URL",
        nargs="+",
        action="extend",
        default=[],
        dest="tapes",
        help="tapes in order of time: paths, or fsspec URLs that the workers can reach; may be repeated",
    )
    flags.add_argument(
        "--grid",
        metavar="KEY.PATH=V,V,...",
        action="append",
        default=[],
        help="values of one key; every combination with the other grids is tried",
    )
    flags.add_argument(
        "--search",
        metavar="KEY.PATH=LOW:HIGH[:log|:STEP]",
        action="append",
        default=[],
        help="range of one key (or V,V,...) for a search by TPE; a range of whole numbers gives whole numbers: write "
        "1.0:10 for fractions",
    )
    flags.add_argument("--trials", metavar="N", type=_count, help="parameter sets that a search tries")
    flags.add_argument(
        "--batch", metavar="N", type=_count, default=10, help="parameter sets per proposal of a search (default: 10)"
    )
    flags.add_argument(
        "--objective",
        metavar="NAMES",
        default="pnl",
        help="pnl, max_drawdown, sharpe, or several with commas; the first one ranks the sets (default: %(default)s)",
    )
    flags.add_argument("--folds", metavar="K", type=_count, default=0, help="number of folds of a walk-forward split")
    flags.add_argument(
        "--train-share",
        metavar="X",
        type=_share,
        default=Decimal("0.75"),
        help="train span's share of a fold, above 0 and below 1 (default: %(default)s)",
    )
    flags.add_argument(
        "--observe",
        metavar="SECONDS",
        type=positive_seconds,
        default=60.0,
        help="interval of the observations for Sharpe ratios (default: 60)",
    )
    flags.add_argument(
        "--min-fills",
        metavar="N",
        type=_count,
        default=10,
        help="a set with fewer fills than this has an unknown result and is not ranked (default: %(default)s)",
    )
    where = flags.add_mutually_exclusive_group()
    where.add_argument("--scheduler", metavar="ADDRESS", help="Dask scheduler, such as tcp://10.0.0.5:8786")
    where.add_argument("--serial", action="store_true", help="run in this process, one run after the other")
    where.add_argument("--workers", metavar="N", type=_count, help="processes on this machine (default: its cores)")
    flags.add_argument(
        "--patience",
        metavar="SECONDS",
        type=positive_seconds,
        default=60.0,
        help="how long to wait for a scheduler, or for workers when there are none (default: 60)",
    )
    flags.add_argument("--out", metavar="DIR", type=Path, help=f"result folder (default: {_RESULTS}/sweep-DIGEST)")
    flags.add_argument(
        "--best", metavar="N", type=_count, default=10, help="rows in the table at the end (default: 10)"
    )
    flags.add_argument("--retry-failed", action="store_true", help="grid: repeat the runs that failed")
    flags.add_argument("--seed", metavar="N", type=int, help="sets paper.seed, which also seeds a search")
    cli.add_config_flags(flags, override="configs/backtest.yml")
    return flags


def _share(text: str) -> Decimal:
    try:
        share = Decimal(text)
    except InvalidOperation:
        share = Decimal(0)
    if not Decimal("0.01") <= share <= Decimal("0.99"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a share; accepted: 0.01 to 0.99")
    return share


class Stopper:
    """Handles stop signals: before the runs begin they end the command, later they stop it in good order."""

    def __init__(self) -> None:
        """Listen from now on."""
        self.stopped = self.orderly = False
        self.why = ""
        """The signal's name."""
        self._listen()

    def _listen(self) -> None:
        for number in cli.STOP_SIGNALS:
            signal.signal(number, self._hear)

    def _hear(self, number: int, _: object) -> None:
        name = signal.Signals(number).name
        if not cli.means_stop(name):
            return
        self.stopped, self.why = True, name
        if not self.orderly:
            raise cli.Interrupted
        signal.signal(number, signal.SIG_DFL)  # a second signal ends the process at once

    @contextlib.contextmanager
    def deaf(self) -> Iterator[None]:
        """Around the start of worker processes: they inherit that stop signals are ignored, which are for this process.

        A signal that comes meanwhile waits and is handled afterwards.
        """
        cli.hear_signals(yes=False)
        for number in cli.STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)  # inherited, unlike a handler
        try:
            yield
        finally:
            self._listen()
            self.orderly = True
            cli.hear_signals(yes=True)

    def stopping(self) -> bool:
        """Whether a stop signal came."""
        return self.stopped

    def check(self) -> None:
        """Before the runs begin: raise Interrupted if a stop signal came whose exception was lost."""
        if self.stopped and not self.orderly:
            raise cli.Interrupted


@command(
    "sweep", silent="stall_then_strike.infra", expects=(StallThenStrikeError,)
)  # garbage frames are counted, not warned of
def main(argv: Sequence[str] | None = None) -> int:
    """Run and return the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    args = parser().parse_args(arguments)
    if args.seed is not None:
        args.sets = [*args.sets, f"paper.seed={args.seed}"]
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # inherited by workers; no computation here uses threads
    stopper = Stopper()
    try:
        cfg = cli.load(args, cli.CONFIGS / "backtest.yml")
        cli.require_stall(cfg, "sweep", "that one, or backtest for a single run of another")
        if cfg.exchange.name != BITFLYER:
            raise ConfigError(
                f"exchange.name: {cfg.exchange.name}: sweep replays tapes of {BITFLYER} only; accepted: that venue, or "
                "backtest for a single run of another"
            )
        cli.require_open_files()
        args.tapes = _tapes(args.tapes, cfg)
        with cli.extra_needed("research"):
            keys = _keys(args, cfg)
            return _Sweep(args, cfg, keys, stopper, command=_command(arguments, args.tapes)).run()
    except OSError as error:
        raise LogError(f"{error.filename}: {error.strerror}" if error.filename else str(error)) from error
    except cli.Interrupted:
        _say(f"stopped before the first run by {stopper.why}")
        return EXIT_INTERRUPTED


def _tapes(named: Sequence[str], cfg: AppConfig) -> list[str]:
    """The paths or URLs of the tapes. Raises ConfigError."""
    if any("://" in url or "::" in url for url in named):
        return list(named)  # a URL names a tape, never a folder
    found = tape_files([Path(url) for url in named], cfg.exchange.product_code)
    if words := found.words():
        _say(words)
    require_product(found.tapes, cfg)
    return [str(tape) for tape in found.tapes]


def _say(text: object) -> None:
    sys.stderr.write(f"sweep: {text}\n")


def _command(arguments: Sequence[str], tapes: Sequence[str]) -> str:
    from stall_then_strike.research.sweep.tape_fetch import shown

    return shlex.join(["sweep", *(shown(word) if word in tapes else word for word in arguments)])


def _keys(args: argparse.Namespace, cfg: AppConfig) -> Keys:
    """The keys to vary. Raises ConfigError with all errors in the flags."""
    from stall_then_strike.research.sweep.plan import idle_keys, read_grid, read_search

    problems = []
    if not args.tapes:
        problems.append("--tape is missing; accepted: one or more tapes (.jsonl or .jsonl.zst), by path or URL")
    if bool(args.grid) == bool(args.search):
        problems.append("accepted: --grid for each key of a grid, or --search for each key of a search")
    if args.search and args.trials is None:
        problems.append("--search needs a number of sets; accepted: --trials N with it")
    if args.grid and args.trials is not None:
        problems.append("--trials: a grid tries all of its sets; accepted: with --search")
    if args.search and args.retry_failed:
        problems.append("--retry-failed: a search has used its failures already; accepted: with --grid")
    if problems:
        raise ConfigError("\n".join(problems))
    if args.search:
        import optuna  # noqa: F401 - report a missing package before the tapes are read, which takes a while
    if not args.serial:
        import distributed  # noqa: F401 - the same
    keys: Keys = read_grid(args.grid, cfg) if args.grid else read_search(args.search, cfg)
    for key in idle_keys(keys, cfg):
        _say(f"{key} has no effect on a replay")
    return keys


def _objectives(text: str) -> tuple[str, ...]:
    from stall_then_strike.research.sweep.plan import OBJECTIVES

    names = tuple(name.strip() for name in text.split(","))
    if len(set(names)) != len(names) or not set(names) <= set(OBJECTIVES):
        raise ConfigError(f"--objective {text}: accepted: {', '.join(OBJECTIVES)}, each once, with commas between")
    return names


class _Sweep:
    """One call of the command."""

    def __init__(self, args: argparse.Namespace, cfg: AppConfig, keys: Keys, stopper: Stopper, *, command: str) -> None:
        self._args, self._cfg, self._keys, self._stopper, self._command = args, cfg, keys, stopper, command
        self._objectives = _objectives(args.objective)
        self._console = Console()
        if not self._console.is_terminal:
            self._console = Console(width=_WIDE)

    def run(self) -> int:
        from stall_then_strike.research.sweep import result as sweep_result
        from stall_then_strike.research.sweep.plan import digest_of, identity
        from stall_then_strike.research.sweep.runs import Job, program
        from stall_then_strike.research.sweep.sweep_journal import RunJournal
        from stall_then_strike.research.sweep.tape_fetch import prepared_here, shown

        args, cfg = self._args, self._cfg
        cache = Path(cfg.backtest.cache_dir).absolute()
        with compiling(self._console, "preparing the tapes", READER, self._stopper.check):
            tapes, key, columns = prepared_here(args.tapes, cfg, cache)
        plan = self._plan(columns)
        job = Job(base=plan.base, tapes=tapes, key=key, cache=str(cache), sample_ns=plan.sample_ns, program=program())
        found = identity(plan, cfg, tapes=[tape.digest.hex()[:32] for tape in tapes], program=job.program)
        digest = digest_of(found)
        folder = args.out or _RESULTS / f"sweep-{digest[:8]}"
        with RunJournal(folder) as journal:
            head = sweep_result.head(
                plan,
                command=self._command,
                tapes=[shown(url) for url in args.tapes],
                source=market_of_tapes(args.tapes),
            )
            journal.open(digest, found, head)
            if args.retry_failed:
                journal.forget(lambda record: not record.done)
            whole = self._drive(plan, job, columns, journal)
            if not whole:
                made = f"{len(journal.records):,} of {plan.runs:,} runs"
                self._print(f"stopped by {self._stopper.why} after {made}; the same command continues")
                return EXIT_INTERRUPTED
            records = sweep_result.ordered(journal.records.values(), plan)
            worth = sweep_result.deflated(records, plan)
            sweep_result.write_tables(folder, records, plan)
            head["deflated_sharpe"] = sweep_result.worth(worth)
            journal.write_head({**head, "digest": digest, "identity": found})
        self._show(plan, records, worth)
        self._print(f"results in {folder}")
        return EXIT_DONE if all(record.done for record in records) else EXIT_FAILED

    def _plan(self, columns: Columns) -> Plan:
        from stall_then_strike.config.loader import effective_tree
        from stall_then_strike.research.sweep.plan import Plan, Span, folds_of
        from stall_then_strike.types.errors import FeedError

        args, held = self._args, columns.manifest
        if not held.mid_checked:
            raise FeedError(f"no board snapshot of {self._cfg.exchange.product_code} in {held.messages} messages")
        if held.garbage:
            self._print(f"{held.garbage:,} of {held.messages:,} frames on the tapes were not understood")
        whole = Span("all", held.first_ns, held.last_ns + 1)
        sample_ns = int(args.observe * NS_PER_S)
        return Plan(
            base=effective_tree(self._cfg),
            keys=self._keys,
            objectives=self._objectives,
            whole=whole,
            folds=folds_of(whole, args.folds, args.train_share, sample_ns),
            trials=args.trials,
            batch=args.batch,
            seed=self._cfg.paper.seed,
            sample_ns=sample_ns,
            min_fills=args.min_fills,
        )

    def _drive(self, plan: Plan, job: Job, columns: Columns, journal: RunJournal) -> bool:
        from stall_then_strike.app.view.sweep_screen import SweepProgress
        from stall_then_strike.research.sweep.drive import Driver

        failed = sum(not record.done for record in journal.records.values())
        progress = SweepProgress(self._console, plan.runs, len(journal.records), failed)
        driver = Driver(plan, journal, progress.add)
        if not driver.missing:
            return True
        if not self._args.scheduler:
            self._compile()
        return self._make(driver, job, columns, progress)

    def _make(self, driver: Driver, job: Job, columns: Columns, progress: Any) -> bool:
        from stall_then_strike.research.sweep.pool import DaskPool, SerialPool

        args, stopper = self._args, self._stopper
        if args.serial:
            stopper.orderly = True
            with progress:
                return driver.drive(SerialPool(job, columns, stopper.stopping))
        pool = DaskPool(
            job,
            scheduler=args.scheduler,
            workers=args.workers or os.cpu_count() or 1,
            patience_s=args.patience,
            stopping=stopper.stopping,
            tell=progress.say,
        )
        with contextlib.ExitStack() as stack:
            with stopper.deaf():
                stack.enter_context(pool)
            stack.enter_context(progress)
            whole = driver.drive(pool)
        print_table(self._console, progress.work())
        return whole

    def _compile(self) -> None:
        """Compile here once, not in every worker at the same time."""
        from stall_then_strike.research.replay.compiled import load

        with compiling(self._console, "preparing the replay", REPLAY, self._stopper.check):
            load()

    def _show(self, plan: Plan, records: Any, worth: Any) -> None:
        from stall_then_strike.app.view import sweep_screen

        print_table(self._console, sweep_screen.best_table(records, plan, self._args.best))
        if plan.folds:
            print_table(self._console, sweep_screen.fold_table(records, plan))
        self._print(sweep_screen.luck(worth, plan))
        for line in sweep_screen.failures(records):
            _say(line)

    def _print(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
