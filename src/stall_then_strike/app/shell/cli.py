"""What the commands share: their common flags, and errors as exit codes.

Exit codes: 0 done, or stopped by a signal in good order; 1 runtime failure; 2 bad configuration or arguments, before
anything is sent; 3 halted by the kill switch; 130 stopped by a signal before there was anything to end in good order
(`sweep` and compiled `backtest`: before all was done). They tell of the command's end, never of the screen's.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import math
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Protocol

from loguru import logger

from stall_then_strike import config
from stall_then_strike.app.shell.output import watched
from stall_then_strike.config.loader import load_app_config
from stall_then_strike.config.models import AppConfig
from stall_then_strike.types.errors import ConfigError

EXIT_DONE: Final = 0
EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_HALTED: Final = 3
EXIT_INTERRUPTED: Final = 130

CONFIGS: Final = Path("configs")
DEFAULTS: Final = Path(config.__file__).parent / "defaults"
"""The package's own configurations, for where the current folder has none in ``configs``."""
_LIVE: Final = "live.yml"
STOP_SIGNALS: Final = tuple(
    number
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    if signal.getsignal(number) is not signal.SIG_IGN
)
"""All mean: stop in good order. SIGHUP comes when the operator's terminal goes away. What was ignored when the process
started (`nohup`, `&` in a script) stays ignored."""
LONGEST_S: Final = 1_000_000_000
"""Thirty years; beyond, stamps leave what 64 bits and calendars hold."""
OPEN_FILES: Final = 128
"""What a run wants to have open at once: sockets, logs, journal, libraries. With 24 it fails anywhere."""
FASTEST: Final = 100.0
"""Above this, real time is too short for sockets to keep up; virtual time (``max``) has no such limit."""


def _is_without_terminal() -> bool:
    """Whether no terminal can hang up on this process: as a service it leads a session that has none."""
    if os.getsid(0) != os.getpid():
        return False
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return True
    return False


_IS_WITHOUT_TERMINAL: Final = _is_without_terminal()
"""As of the start: a terminal that has hung up cannot be found any more."""


class Main(Protocol):
    """A command."""

    def __call__(self, argv: Sequence[str] | None = None) -> int:
        """Run and return the exit code."""
        ...


def command(name: str, *, patient: bool = False) -> Callable[[Main], Main]:
    """A command whose output cannot hold it up or end it (:mod:`output`), and whose exit code is its own.

    ``patient``: one that answers a question waits for its reader, if there is one. A bug is shown and is a failure.
    """

    def wrap(main: Main) -> Main:
        @functools.wraps(main)
        def run(argv: Sequence[str] | None = None) -> int:
            with watched(patient=patient):
                logger.remove()
                sink = logger.add(sys.stderr, level="WARNING", format=f"{name}: {{message}}")
                try:
                    return main(argv)
                except KeyboardInterrupt:
                    sys.stderr.write(f"{name}: interrupted\n")
                    return EXIT_INTERRUPTED
                except Exception:  # noqa: BLE001 - the interpreter would wait for whoever reads the traceback
                    traceback.print_exc()
                    return EXIT_FAILED
                finally:
                    with suppress(ValueError):  # a run's own log has taken over
                        logger.remove(sink)

        return run

    return wrap


def add_config_flags(parser: argparse.ArgumentParser, *, override: str) -> None:
    """Flags that say which configuration; ``override`` describes the default of ``--config``."""
    parser.add_argument("--config", metavar="FILE", type=Path, help=f"override on the base file (default: {override})")
    parser.add_argument(
        "--base",
        metavar="FILE",
        type=Path,
        default=CONFIGS / "base.yml",
        help="base file (default: %(default)s; where there is none, the package's own)",
    )
    parser.add_argument(
        "--set",
        metavar="KEY.PATH=VALUE",
        action="append",
        default=[],
        dest="sets",
        help="set one key, such as strategy.ttl_ms=500; may be repeated",
    )


def add_common_flags(parser: argparse.ArgumentParser, *, override: str, has_duration: bool = True) -> None:
    """Flags that every trading command has; ``override`` describes the default of ``--config``."""
    add_config_flags(parser, override=override)
    parser.add_argument("--check", action="store_true", help="print the effective configuration and exit")
    parser.add_argument(
        "--log-dir", metavar="DIR", type=Path, default=Path("logs"), help="folder of all logs (default: %(default)s)"
    )
    if not has_duration:
        return
    parser.add_argument(
        "--duration", metavar="SECONDS", type=positive_seconds, help="stop after so long, in the run's own time"
    )


def settings_file(named: Path) -> Path:
    """The file as it is named, or where the current folder has no such configs/NAME, the package's own."""
    own = DEFAULTS / named.name
    return own if named.parent == CONFIGS and not named.exists() and own.is_file() else named


def load(args: argparse.Namespace, default_override: Path | None) -> AppConfig:
    """Read the configuration that the flags name, and note in ``args.layers`` of which files. Raises ConfigError."""
    named = {"--base": args.base, "--config": args.config or default_override}
    files = [settings_file(path) for path in named.values() if path is not None]
    if args.config == CONFIGS / _LIVE:
        files[1] = args.config  # who names it has limits of his own in it: no other file stands in for it
    for (flag, path), file in zip(named.items(), files, strict=False):
        if not file.exists():
            own = DEFAULTS / file.name
            hint = f", or no {flag} for the package's own, {own}" if own.is_file() else ""
            raise ConfigError(f"{flag} {path}: no such file in {Path.cwd()}; accepted: a YAML file{hint}")
    args.layers = files
    return load_app_config(files[0], files[1] if len(files) > 1 else None, args.sets)


@contextmanager
def extra_needed(extra: str, otherwise: str = "") -> Iterator[None]:
    """Around imports of what comes with an optional extra. Raises ConfigError that names it, and a way without it."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "stall_then_strike"):
            raise
        instead = f", or {otherwise}" if otherwise else ""
        raise ConfigError(
            f"needs {package}, of the extra {extra}, which is not installed; "
            f"accepted: pip install 'stall-then-strike[{extra}]'{instead}"
        ) from error


def require_open_files() -> None:
    """Have as many open files allowed as a run wants. Raises ConfigError where this machine does not let it."""
    try:
        import resource
    except ImportError:  # not on Windows
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if resource.RLIM_INFINITY != soft < OPEN_FILES:
        if resource.RLIM_INFINITY != hard < OPEN_FILES:
            raise ConfigError(f"a process may open only {hard} files here; accepted: ulimit -n {OPEN_FILES} or more")
        resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, hard))


def hear_signals(*, yes: bool) -> None:
    """Let stop signals through, or make them wait."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK if yes else signal.SIG_BLOCK, STOP_SIGNALS)


@contextmanager
def signals_held() -> Iterator[None]:
    """Around a whole run, which hears signals only while it can answer them (:func:`hear_signals`).

    Threads that are started meanwhile never take one. From the run's end on, signals are ignored: its logs are being
    closed and its exit code stands.
    """
    hear_signals(yes=False)
    try:
        yield
    finally:
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        hear_signals(yes=True)


@contextmanager
def signals_heard(on_signal: Callable[[str], object]) -> Iterator[None]:
    """Inside the running loop and :func:`signals_held`: a stop signal calls with its name; none comes afterwards."""

    def hear(name: str) -> None:
        if means_stop(name):
            on_signal(name)

    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, hear, number.name)
    hear_signals(yes=True)
    try:
        yield
    finally:
        hear_signals(yes=False)


class Interrupted(BaseException):
    """A stop signal, where there is nothing to stop in good order."""


@contextmanager
def interruptible() -> Iterator[None]:
    """Inside :func:`signals_held`, around work that is lost without harm: a stop signal ends it. Raises Interrupted."""

    def interrupt(number: int, _: object) -> None:
        if means_stop(name := signal.Signals(number).name):
            raise Interrupted(name)

    before = {number: signal.signal(number, interrupt) for number in STOP_SIGNALS}
    hear_signals(yes=True)
    try:
        yield
    finally:
        hear_signals(yes=False)
        for number, handler in before.items():
            signal.signal(number, handler)


def means_stop(name: str) -> bool:
    """Whether a signal that was heard means to stop.

    A SIGHUP where no terminal can hang up does not: many send it to have a service read its files anew. It is told.
    """
    if name == signal.SIGHUP.name and _IS_WITHOUT_TERMINAL:
        logger.warning("{}: the run goes on, for it has no terminal; SIGTERM stops it", name)
        return False
    return True


def leaves(error: BaseException) -> list[BaseException]:
    """What went wrong in the tasks of a group, however deep; a plain exception stands for itself."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for part in error.exceptions for leaf in leaves(part)]
    return [error]


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where the platform has it."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def positive_seconds(text: str) -> float:
    """A positive number of seconds, for argparse."""
    value = _float(text)
    if not 0 < value <= LONGEST_S:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration; accepted: seconds above 0 to {LONGEST_S:,}")
    return value


def speed(text: str) -> float:
    """A speed for argparse: a positive factor, or infinity for ``max``."""
    if text == "max":
        return math.inf
    value = _float(text)
    if not 0 < value <= FASTEST:
        raise argparse.ArgumentTypeError(f"{text!r} is not a speed; accepted: above 0 to {FASTEST:g}, or max")
    return value


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
