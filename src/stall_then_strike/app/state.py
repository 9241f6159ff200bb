"""``state``: shows what the daemon remembers, and lifts a halt.

- ``state`` or ``state show``: halt, trading day, position, day's result, live orders, last fills; also while a run
  trades
- ``state --log-dir DIR`` or ``--run NAME``: the same for the newest or the named run of a log folder, also on paper
- ``state resume``: lift a halt; only while no run trades
- ``state export DIR``: orders, fills and facts as CSV
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from stall_then_strike.app.shell import cli
from stall_then_strike.app.shell.command import EXIT_DONE, EXIT_FAILED, EXIT_USAGE, command
from stall_then_strike.app.shell.command_parser import command_parser
from stall_then_strike.app.view.run_sums import as_json as run_json
from stall_then_strike.app.view.run_sums import sums_of
from stall_then_strike.app.view.state_view import StateView, account_result, as_json, render, take_view
from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.clock import SystemClock
from stall_then_strike.infra.journal.halt import lift_halt
from stall_then_strike.infra.journal.reader import JournalReader
from stall_then_strike.infra.journal.writer import journal_path
from stall_then_strike.infra.logs.journal_csv import export
from stall_then_strike.infra.logs.run_files import RunFiles
from stall_then_strike.infra.logs.run_list import Run, RunList, newest_of
from stall_then_strike.types.errors import ConfigError, JournalError
from stall_then_strike.types.text import money, plain, utc_iso

_REASON_CHARS: Final = 500


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    flags = command_parser(
        "state",
        "Show what the journal of a product remembers, lift a halt, or export it.",
        ("", "halt, position, results, live orders, last fills"),
        ("--run 20261130T192204Z", "the same of a run, also on paper"),
        ("resume --reason 'feed is back'", "lift a halt; asks first"),
        ("export out", "all tables as CSV"),
        codes={0: "done", 1: "failed, no journal, in use, or not confirmed", 2: "bad configuration or arguments"},
        usage="%(prog)s [show] [--json] [flags]\n       %(prog)s resume [--reason TEXT] [--yes] [flags]\n"
        "       %(prog)s export DIR [flags]\n"
        "       %(prog)s [--log-dir DIR] [--run NAME] [show|export DIR] [flags]",
    )
    flags.add_argument("command", nargs="?", choices=("show", "resume", "export"), default="show", help="default: show")
    flags.add_argument(
        "folder", metavar="DIR", nargs="?", type=Path, help="export: folder to write to, made if missing"
    )
    cli.add_config_flags(flags, override="configs/live.yml")
    flags.add_argument(
        "--log-dir",
        metavar="DIR",
        type=Path,
        help="show and export: the newest run of this log folder, or a run's own folder (default: the account's "
        "journal in journal.dir; where there is none, the newest run of logs)",
    )
    cli.add_run_flags(flags, default="the newest")
    flags.add_argument("--json", action="store_true", help="show: one JSON object")
    flags.add_argument("--reason", metavar="TEXT", default=None, help="resume: why, for the journal")
    flags.add_argument("--yes", action="store_true", help="resume: do not ask")
    return flags


@command("state", patient=True)
def main(argv: Sequence[str] | None = None) -> int:
    """Run and return the exit code."""
    flags = parser()
    args = flags.parse_intermixed_args(argv)  # flags are allowed between the command and DIR
    _refuse_mixtures(flags, args)
    cfg = cli.load(args, cli.CONFIGS / "live.yml", takes_several=True)
    path, run, cfg = _asked(args, cfg)
    if args.command == "resume":
        return _resume(path, cfg, args)
    if args.command == "export":
        return _export(path, cfg, args.folder)
    return _show(path, run, cfg, is_json=args.json)


def _refuse_mixtures(flags: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Exit with an error if arguments do not go together."""
    if (args.command == "export") is not (args.folder is not None):
        flags.error("export needs a folder: state export DIR" if args.folder is None else "DIR goes with export only")
    if args.json and args.command != "show":
        flags.error("--json goes with show only")
    if (args.yes or args.reason is not None) and args.command != "resume":
        flags.error("--reason and --yes go with resume only")
    if args.command == "resume" and (args.log_dir is not None or args.wanted):
        flags.error("resume lifts a halt of live trading: it goes with journal.dir, not with --log-dir or --run")


def _asked(args: argparse.Namespace, cfg: AppConfig) -> tuple[Path, Run | None, AppConfig]:
    """The journal that is asked for, the run that it is or was last of, if that is known, and the settings of it.

    Raises ConfigError. The journal is the account's, if no run is named, and where there is none the newest run's.
    """
    account = journal_path(cfg.journal.dir, cfg.exchange.product_code)
    if args.log_dir is None and not args.wanted:
        if account.exists():
            return account, _last_of(account), cfg
        newest = newest_of([run for run in RunList(cli.LOGS).all if run.journal is not None and run.journal.exists()])
        if args.command == "resume" and newest is not None and newest.mode == "live":
            raise ConfigError(
                f"{account}: no such journal, and run {newest.name} has {newest.journal}; accepted: its settings, "
                f"--config {newest.files.settings}"
            )
        if args.command == "resume" or newest is None:
            return account, None, cfg
        run = newest
    else:
        run = RunList.of(cli.LOGS if args.log_dir is None else args.log_dir).one(args.wanted, "state")
    cfg = cli.settings_of(args, [run]) or cfg
    return _journal_of(run, cfg), run, cfg


def _last_of(account: Path) -> Run | None:
    """The run that used a journal last; None if its folder is gone."""
    with JournalReader.open(account) as reader:
        folder = reader.log_dir()
    return None if folder is None else next(iter(RunList(folder).all), None)


def _journal_of(run: Run, cfg: AppConfig) -> Path:
    """The journal of one run of a log folder. Raises ConfigError."""
    record, product = run.record, cfg.exchange.product_code
    if record is None:
        return journal_path(run.files.journals, product)
    if product not in record.instruments:
        raise ConfigError(
            f"run {run.name} is of {' and '.join(record.instruments)}, the settings are of {product}; name those of "
            f"the run by --config {run.files.settings}"
        )
    if run.journal is None:
        raise ConfigError(f"run {run.name} is a {run.mode}, which keeps no journal")
    return run.journal


def _views(path: Path, cfg: AppConfig) -> tuple[list[StateView], dict[str, Decimal] | None]:
    """A view for each instrument, and the day's result of several together; None if there are not several."""
    now_ns = SystemClock().now_ns()
    with JournalReader.open(path) as reader:
        memo = reader.account_memo() if len(cfg.products) > 1 else None
        together = None if memo is None else account_result(memo)
        return [take_view(reader, each, now_ns) for each in cfg.by_instrument()], together


def _show(path: Path, run: Run | None, cfg: AppConfig, *, is_json: bool) -> int:
    views, together = _views(path, cfg)
    if is_json:
        shown: dict[str, Any] = as_json(views[0])
        if len(views) > 1:
            figures = {name.replace(" ", "_"): plain(amount) for name, amount in (together or {}).items()}
            shown = {"account": figures, "instruments": [as_json(view) for view in views]}
        if run is not None:
            shown["run"] = run_json(sums_of(run, SystemClock().now_ns()))
        cli.print_json(shown)
        return EXIT_DONE
    console = Console(highlight=False)
    if run is not None:
        console.print(run.line())
        if run.record is not None:
            sums = sums_of(run, SystemClock().now_ns())
            console.print(f"this run: {money(sums.realised)} {run.record.quote} realised in {sums.fills:,} fills")
    for name, amount in (together or {}).items():
        console.print(f"all instruments, {name}: {amount:+,.2f} {views[0].instrument.quote}")
    for view in views:
        if len(views) > 1:
            console.print(f"\n{view.instrument.product_code}", style="bold")
        console.print(render(view))
    return EXIT_DONE


def _resume(path: Path, cfg: AppConfig, args: argparse.Namespace) -> int:
    view = _views(path, cfg)[0][0]
    if view.journal.held_by is not None:
        raise JournalError(f"{path} is in use by {view.journal.held_by}; stop it first")
    if view.halt is None:
        sys.stdout.write("not halted: nothing to lift\n")
        return EXIT_DONE
    if not args.yes and not _confirmed(view):
        return EXIT_FAILED if sys.stdin.isatty() else EXIT_USAGE
    reason = " ".join((args.reason or "no reason given").split())[:_REASON_CHARS]
    before = lift_halt(path, cfg, reason=reason, now_ns=SystemClock().now_ns())
    if before is None or before.halted is None:
        sys.stdout.write("not halted any more: nothing to lift\n")
        return EXIT_DONE
    goes_on = (
        "The next start is still paused: `ctl resume` ends that"
        if before.paused
        else "Trading goes on at the next start"
    )
    sys.stdout.write(
        f"lifted: {before.halted.label} of {utc_iso(before.halt_ns)[:19]}Z. {goes_on}; "
        "the day's limits count anew from here.\n"
    )
    return EXIT_DONE


def _confirmed(view: StateView) -> bool:
    """Ask for confirmation on the terminal."""
    if not sys.stdin.isatty():
        sys.stderr.write("state: there is no terminal to ask on; lift the halt with --yes\n")
        return False
    Console(highlight=False).print(render(view))
    if cli.says_yes("Lift the halt, so that the next start trades again?"):
        return True
    sys.stdout.write("still halted\n")
    return False


def _export(path: Path, cfg: AppConfig, folder: Path) -> int:
    try:
        counts: dict[str, int] = {}
        with JournalReader.open(path) as reader:
            for each, place in zip(cfg.by_instrument(), RunFiles(folder, cfg.products).each, strict=True):
                unit = each.exchange.instrument()
                rows = export(reader.of(unit.product_code), unit, place)
                counts |= {str(place.relative_to(folder) / name): count for name, count in rows.items()}
    except OSError as error:
        sys.stderr.write(f"state: {error.filename or folder} cannot be written: {error.strerror}\n")
        return EXIT_FAILED
    sys.stdout.write("".join(f"{folder / name}: {count:,} rows\n" for name, count in counts.items()))
    return EXIT_DONE


if __name__ == "__main__":
    sys.exit(main())
