"""Shared by the commands: common flags, the configuration they name, signals."""

from __future__ import annotations

import argparse
import asyncio
import os
import shlex
import shutil
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import orjson
from loguru import logger

from stall_then_strike import config
from stall_then_strike.app.shell.flag_values import positive_seconds
from stall_then_strike.config.layers import Tree
from stall_then_strike.config.loader import app_config, effective_yaml, explained, load_app_config, located, read_layers
from stall_then_strike.config.models import AppConfig
from stall_then_strike.config.trading import STALL_THEN_STRIKE
from stall_then_strike.config.venue import LIGHTER, VENUES, venue_named
from stall_then_strike.engine.strategies import ParametersUnfit, StrategyUnusable, configured
from stall_then_strike.infra.logs.run_list import Run
from stall_then_strike.types.errors import ConfigError

CONFIGS: Final = Path("configs")
LOGS: Final = Path("logs")
DEFAULTS: Final = Path(config.__file__).parent / "defaults"
"""The package's own configurations, used when the current folder has none in ``configs``."""
_LIVE: Final = "live.yml"
STOP_SIGNALS: Final = tuple(
    number
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    if signal.getsignal(number) is not signal.SIG_IGN
)
"""Signals that mean: stop in good order. SIGHUP comes when the operator's terminal closes. A signal that was ignored
when the process started (`nohup`, `&` in a script) stays ignored."""
OPEN_FILES: Final = 128
"""Open files that a run needs: sockets, logs, journal, libraries. With 24 it fails at random places."""


_T = TypeVar("_T")


def _is_without_terminal() -> bool:
    """Whether the process has no terminal that can hang up: a service leads a session without one."""
    if os.getsid(0) != os.getpid():
        return False
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return True
    return False


_IS_WITHOUT_TERMINAL: Final = _is_without_terminal()
"""As of the start, because a terminal that has hung up cannot be found any more."""


def add_config_flags(parser: argparse.ArgumentParser, *, override: str) -> None:
    """Flags that choose the configuration; ``override`` describes the default of ``--config``."""
    parser.add_argument("--config", metavar="FILE", type=Path, help=f"override on the base file (default: {override})")
    parser.add_argument(
        "--base",
        metavar="FILE",
        type=Path,
        default=CONFIGS / "base.yml",
        help="base file (default: %(default)s, or the package's own if there is none)",
    )
    parser.add_argument(
        "--set",
        metavar="KEY.PATH=VALUE",
        action="append",
        default=[],
        dest="sets",
        help="set one key, such as strategy.ttl_ms=500; may be repeated",
    )


def add_check_flag(parser: argparse.ArgumentParser) -> None:
    """``--check``."""
    parser.add_argument("--check", action="store_true", help="print the effective configuration and exit")


def is_check(args: argparse.Namespace, cfg: AppConfig) -> bool:
    """Whether the effective configuration alone is asked for; then it is printed."""
    if args.check:
        sys.stdout.write(effective_yaml(cfg))
    return bool(args.check)


def add_log_dir(parser: argparse.ArgumentParser, text: str, default: Path = LOGS) -> None:
    """``--log-dir``."""
    parser.add_argument("--log-dir", metavar="DIR", type=Path, default=default, help=f"{text} (default: %(default)s)")


def add_common_flags(parser: argparse.ArgumentParser, *, override: str, has_duration: bool = True) -> None:
    """Flags that every trading command has; ``override`` describes the default of ``--config``."""
    add_config_flags(parser, override=override)
    add_check_flag(parser)
    add_log_dir(parser, "folder of all logs")
    if not has_duration:
        return
    parser.add_argument(
        "--duration", metavar="SECONDS", type=positive_seconds, help="stop after this time, in the run's own clock"
    )


def add_venue_flag(parser: argparse.ArgumentParser, *, default: str = "exchange.name") -> None:
    """``--venue``, which :func:`load` takes for ``exchange.name``; ``default`` says what holds without it."""
    parser.add_argument(
        "--venue",
        metavar="VENUE",
        type=venue_named,
        choices=VENUES,
        help=f"venue, with its own settings: {' or '.join(VENUES)} (default: {default})",
    )


def add_run_flags(parser: argparse.ArgumentParser, *, default: str) -> None:
    """``--run``: which runs of a log folder are meant (``RunList.chosen``); ``default`` says which are without it."""
    parser.add_argument(
        "--run",
        metavar="NAME",
        action="append",
        default=[],
        dest="wanted",
        help="run of the log folder, by its name or a unique beginning of it (`sts runs` lists them); may be repeated "
        f"(default: {default})",
    )


def settings_file(named: Path) -> Path:
    """The named file; the package's own of that name if ``configs/NAME`` does not exist in the current folder."""
    own = DEFAULTS / named.name
    return own if named.parent == CONFIGS and not named.exists() and own.is_file() else named


def load(
    args: argparse.Namespace, default_override: Path | None, *, takes_several: bool = False, trades: bool = False
) -> AppConfig:
    """Read the configuration that the flags name, and put its files into ``args.layers``. Raises ConfigError.

    Its venue is that of ``--venue``, if the command has the flag and it is given.

    ``takes_several``: the command can do with several instruments. ``trades``: it makes their strategies, so these are
    tried; a command that only reads, or guards, must not depend on a user's module.
    """
    named = {"--base": args.base, "--config": args.config or default_override}
    files = [settings_file(path) for path in named.values() if path is not None]
    if args.config == CONFIGS / _LIVE:
        files[1] = args.config  # a named live.yml has the operator's own limits: no other file may replace it
    for (flag, path), file in zip(named.items(), files, strict=False):
        try:
            file.stat()
        except (FileNotFoundError, NotADirectoryError):
            own = DEFAULTS / file.name
            hint = f", or no {flag} for the package's own, {own}" if own.is_file() else ""
            here = "" if path.is_absolute() else f" in {Path.cwd()}"
            raise ConfigError(f"{flag} {path}: no such file{here}; accepted: a YAML file{hint}") from None
        except OSError as error:
            raise ConfigError(f"{flag} {path}: cannot be read: {error.strerror}; accepted: a YAML file") from None
    args.layers = files
    venue = getattr(args, "venue", None)
    sets = args.sets if venue is None else [f"exchange.name={venue}", *args.sets]
    tree = _with_units(read_layers(files[0], files[1] if len(files) > 1 else None, sets))
    cfg = app_config(tree)
    if len(cfg.products) > 1 and not takes_several:
        given = ", ".join(cfg.products)
        raise ConfigError(f"instruments: {given}: this command takes one; accepted: one")
    if trades:
        look_for_strategies(*(file.parent for file in files))
        _try_strategies(cfg, tree)
    return cfg


def _with_units(tree: Tree) -> Tree:
    """The configuration with the units of its markets, which Lighter tells. bitFlyer's are in its defaults."""
    name = tree.at(("exchange", "name"))
    if name is None or venue_named(str(name.value)) != LIGHTER:
        return tree
    from stall_then_strike.venues.lighter_units import with_units  # a fifth of a second, which bitFlyer need not wait

    return with_units(tree)


def settings_of(args: argparse.Namespace, runs: Sequence[Run]) -> AppConfig | None:
    """The settings with which the newest of some runs began; None if flags name others, or it has left none."""
    path = runs[-1].files.settings if runs else None
    if args.config is not None or args.sets or path is None or not path.is_file():
        return None
    try:
        return load_app_config(path)
    except ConfigError as error:  # of another version
        logger.warning("{}: {}; the present settings are taken", path, error)
        return None


def look_for_strategies(*folders: Path) -> None:
    """Let strategies be imported from these folders and the current one, after all that is installed."""
    for folder in (*folders, Path.cwd()):
        if (name := str(folder.resolve())) not in sys.path:
            sys.path.append(name)


def require_stall(cfg: AppConfig, what: str, accepted: str) -> None:
    """Refuse any other strategy for a command that knows only the one. Raises ConfigError."""
    if (name := cfg.strategy.name) != STALL_THEN_STRIKE:
        raise ConfigError(f"strategy.name: {name}: {what} knows only {STALL_THEN_STRIKE}; accepted: {accepted}")


def _try_strategies(cfg: AppConfig, tree: Tree) -> None:
    """Make every instrument's strategy once. Raises ConfigError for one that cannot be made."""
    for number, each in enumerate(cfg.by_instrument()):
        at = ("instruments", number) if cfg.instruments else ()
        try:
            configured(each, each.exchange.instrument())
        except ParametersUnfit as error:
            raise explained(error.error, tree, error.model, (*at, *error.at)) from error
        except StrategyUnusable as error:
            raise located(error.problem, tree, (*at, *error.at)) from error


def number_of(cfg: AppConfig, product: str) -> int:
    """Which of the configuration's instruments ``--product`` means. Raises ConfigError."""
    if product not in cfg.products:
        raise ConfigError(f"--product {product}: no instrument of the settings; accepted: {', '.join(cfg.products)}")
    return cfg.products.index(product)


@contextmanager
def extra_needed(extra: str, otherwise: str = "") -> Iterator[None]:
    """Around imports from an optional extra. Raises ConfigError with the missing package and the extra."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "stall_then_strike"):
            raise
        instead = f", or {otherwise}" if otherwise else ""
        raise ConfigError(
            f"needs {package} from the extra {extra}, which is not installed; "
            f"accepted: pip install 'stall-then-strike[{extra}]', in a clone `make setup`{instead}"
        ) from error


def as_typed(command: str) -> str:
    """How a shell in this folder finds one of our commands: by its name, or by the path of this environment's."""
    own = Path(sys.executable).with_name(command)
    found = shutil.which(command)
    if not own.exists() or (found is not None and Path(found).parent.resolve() == own.parent.resolve()):
        return command
    here = Path.cwd()
    return shlex.quote(str(own.relative_to(here) if own.is_relative_to(here) else own))


def answer_to(question: str) -> str:
    """What the operator types after a question, without space around it."""
    sys.stdout.write(question)
    sys.stdout.flush()
    return sys.stdin.readline().strip()


def says_yes(question: str) -> bool:
    """Whether the operator types ``y`` or ``yes``; anything else means no."""
    return answer_to(f"{question} [y/N] ").lower() in ("y", "yes")


def say(text: str) -> None:
    """A line on standard output, at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def print_json(value: object, default: Callable[[Any], Any] | None = None) -> None:
    """One JSON value, for programs; ``default`` makes a known value of an unknown one."""
    sys.stdout.write(orjson.dumps(value, default, orjson.OPT_INDENT_2).decode() + "\n")


def require_open_files() -> None:
    """Raise the limit of open files to what a run needs. Raises ConfigError if the system does not allow it."""
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
    """Deliver stop signals, or hold them back."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK if yes else signal.SIG_BLOCK, STOP_SIGNALS)


@contextmanager
def signals_held() -> Iterator[None]:
    """Around a whole run: hold stop signals back except while the run can handle them (:func:`hear_signals`).

    Threads that are started meanwhile never receive one. After the run, signals are ignored: its logs are being closed
    and its exit code is fixed.
    """
    hear_signals(yes=False)
    try:
        yield
    finally:
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        hear_signals(yes=True)


@contextmanager
def signals_heard(on_signal: Callable[[str], object], on_reread: Callable[[], object] | None = None) -> Iterator[None]:
    """Inside the running loop and :func:`signals_held`: each stop signal calls ``on_signal`` with its name.

    A SIGHUP that does not mean to stop calls ``on_reread``, if the command can read its settings anew.
    """

    def hear(name: str) -> None:
        if on_reread is not None and _means_reread(name):
            on_reread()
        elif means_stop(name):
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
    """A stop signal came while there was nothing to stop in good order."""


@contextmanager
def interruptible() -> Iterator[Callable[[], None]]:
    """Inside :func:`signals_held`, around work that may be lost: a stop signal raises Interrupted.

    Yields a function that raises it again. An exception that is raised in a callback from C, as within a compiler, is
    lost; the work calls the function between its parts.
    """
    stopped = ""

    def interrupt(number: int, _: object) -> None:
        nonlocal stopped
        if means_stop(name := signal.Signals(number).name):
            stopped = name
            raise Interrupted(name)

    def check() -> None:
        if stopped:
            raise Interrupted(stopped)

    before = {number: signal.signal(number, interrupt) for number in STOP_SIGNALS}
    hear_signals(yes=True)
    try:
        yield check
    finally:
        hear_signals(yes=False)
        for number, handler in before.items():
            signal.signal(number, handler)


def means_stop(name: str) -> bool:
    """Whether a received signal means to stop.

    A SIGHUP without a terminal does not: it is commonly sent to make a service reload its files. It is logged.
    """
    if _means_reread(name):
        logger.warning("{} ignored: this process has no terminal; SIGTERM stops it", name)
        return False
    return True


def _means_reread(name: str) -> bool:
    return name == signal.SIGHUP.name and _IS_WITHOUT_TERMINAL


def run(what: Coroutine[Any, Any, _T]) -> _T:
    """Run it to its end, in an event loop of its own."""
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(what)


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's loop factory, if it is installed."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
