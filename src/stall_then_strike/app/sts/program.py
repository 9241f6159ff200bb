"""``sts VERB ...``: all commands by one name. Each verb's module is imported when it is asked for."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType, ModuleType
from typing import Final, NamedTuple

from stall_then_strike.app.shell.command import EXIT_DONE, EXIT_USAGE, Main, command
from stall_then_strike.app.shell.command_parser import PROGRAM

_PACKAGE: Final = "stall_then_strike"


class Verb(NamedTuple):
    """A command."""

    module: str
    """Below ``stall_then_strike.app``; it has ``main`` and ``parser``."""
    text: str
    """What it does, in a few words."""

    def load(self) -> ModuleType:
        """Its module."""
        return importlib.import_module(f"{_PACKAGE}.app.{self.module}")


class Chapter(NamedTuple):
    """Verbs of one subject."""

    title: str
    verbs: Mapping[str, Verb]


CHAPTERS: Final = (
    Chapter(
        "begin",
        {
            "init": Verb("sts.start_folder", "make a folder to trade from: settings, .env, logs"),
            "doctor": Verb("doctor", "check whether everything is ready for live trading"),
            "probe": Verb("contact.probe", "compare what the venue does with what is assumed of it"),
            "rehearse": Verb("contact.rehearse", "one order far from the market, and its cancel"),
            "alert_test": Verb("alert_test", "send an alert to each address"),
            "completion": Verb("sts.completion", "what a shell completes of this program"),
        },
    ),
    Chapter(
        "trade",
        {
            "run_paper": Verb("run_paper", "trade on paper"),
            "run_live": Verb("run_live", "trade with real orders"),
            "console": Verb("web.console", "see and command a run in the browser"),
            "ctl": Verb("control.ctl", "command a run: status, pause, resume, flatten, stop ..."),
            "watchdog": Verb("watchdog", "cancel all orders when the trader dies"),
        },
    ),
    Chapter(
        "look",
        {
            "runs": Verb("archive.runs_verb", "the runs of a log folder: list, compress, delete"),
            "state": Verb("state", "halt, position, result, orders and fills; lift a halt"),
            "why": Verb("why", "what was done at a moment or with an order, and why"),
            "report": Verb("report", "a run, two runs or a sweep as one HTML page"),
        },
    ),
    Chapter(
        "research",
        {
            "record": Verb("record", "record public channels to tapes"),
            "tape": Verb("tape", "inspect, check, cut, merge and convert tapes"),
            "backtest": Verb("backtest", "trade recorded tapes on paper"),
            "sweep": Verb("sweep", "many parameter sets, compared"),
            "calibrate": Verb("calibrate", "fit paper fills to those of a live run"),
        },
    ),
    Chapter(
        "venues",
        {
            "sim_exchange": Verb("sim_exchange", "bitFlyer on this machine"),
            "sim_lighter": Verb("sim_lighter", "Lighter on this machine"),
            "lighter": Verb("lighter_commands.lighter_cli", "an account on Lighter, and its orders by hand"),
            "refresh_instruments": Verb("lighter_commands.refresh_instruments", "the markets of an exchange"),
        },
    ),
)
VERBS: Final[Mapping[str, Verb]] = MappingProxyType(
    {name: verb for chapter in CHAPTERS for name, verb in chapter.verbs.items()}
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a verb and return its exit code."""
    given = list(sys.argv[1:] if argv is None else argv)
    verb = VERBS.get(given[0].replace("-", "_")) if given else None
    if verb is None:
        return _tell(given)
    run: Main = verb.load().main
    return run(given[1:])


@command(PROGRAM, patient=True)
def _tell(argv: Sequence[str] | None = None) -> int:
    """What the program itself answers."""
    word = argv[0] if argv else ""
    if word in {"-V", "--version"}:
        from importlib.metadata import version  # a fifth of the program's start

        sys.stdout.write(f"{PROGRAM} {version(_PACKAGE)}\n")
    elif word in {"", "-h", "--help", "help"}:
        sys.stdout.write(help_text())
    else:
        sys.stderr.write(f"{PROGRAM}: {word} is no verb; accepted: {', '.join(VERBS)}\n")
        return EXIT_USAGE
    return EXIT_DONE if word else EXIT_USAGE


def help_text() -> str:
    """All verbs, by subject."""
    lines = [
        f"usage: {PROGRAM} VERB [arguments]      {PROGRAM} VERB --help      {PROGRAM} --version",
        "",
        "Market making on bitFlyer and Lighter, on paper and with real orders.",
    ]
    for title, verbs in CHAPTERS:
        lines += ["", f"{title}:", *(f"  {name:<20} {verb.text}" for name, verb in verbs.items())]
    lines += ["", f"A first look, without keys and network: {PROGRAM} run_paper --sim --duration 60", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
