"""``watchdog``: a separate process that cancels all orders when the trader's heartbeat ends.

It acts on a run that it has seen alive, when the heartbeat is silent for ``watch.heartbeat_limit_sec`` and the run did
not report that it stopped in good order. Then it sends ``cancelallchildorders`` until the venue has answered 200, and
once more after a pause, because the first may have missed an order that was accepted but not registered. After that it
waits for the next heartbeat. An open position stays open.

The venue cannot cancel only *our* orders: a cancel-all also cancels orders entered by hand in this product. That is why
running a watchdog is the operator's choice.

``--now`` sends one cancel-all at once. ``--alive`` reports by its exit code whether the trader is alive.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final

from loguru import logger

from stall_then_strike.app.shell import cli
from stall_then_strike.app.shell.command import EXIT_DONE, EXIT_FAILED, command
from stall_then_strike.app.shell.command_parser import command_parser
from stall_then_strike.app.shell.ending import Ending
from stall_then_strike.app.shell.first_of import first_of
from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.clock import Clock, SystemClock
from stall_then_strike.infra.logging_runtime import setup_runtime_logging
from stall_then_strike.infra.logs.run_folder import RunFolder
from stall_then_strike.infra.watch.alerts import AlertKind, Alerts, load_alert_urls
from stall_then_strike.infra.watch.heartbeat import Beat, Pulse, Vigil, age_sec, heartbeat_path, read_beat
from stall_then_strike.types.dto import NS_PER_S
from stall_then_strike.types.errors import AuthRefused, ConfigError, NoAnswer
from stall_then_strike.types.text import plain
from stall_then_strike.venues.choice import venue_of
from stall_then_strike.venues.connection import CancelsAll

LOOK_S: Final = 0.5
"""Pause between two looks at the heartbeat."""
SWEEPS: Final = 2
PAUSE_S: Final = 10
"""Shortest pause between two cancel-alls: even over a day they use a small share of the venue's 300 in 5 minutes."""
PAUSE_MAX_S: Final = 60
"""The pause doubles up to this while the venue refuses them."""

NO_HEARTBEAT: Final = "no heartbeat"

Hand = AbstractAsyncContextManager[CancelsAll]
"""The venue, not open yet."""


class Watchdog:
    """Watches one account's trader."""

    def __init__(
        self,
        heartbeat: Path,
        limit_sec: float,
        venue: CancelsAll,
        tell: Callable[[str, str], None],
        *,
        clock: Clock,
        look_sec: float = LOOK_S,
        pause_sec: float = PAUSE_S,
    ) -> None:
        """``tell`` sends title and text of an alert to the operator."""
        self._heartbeat = heartbeat
        self._vigil = Vigil(limit_ns=round(limit_sec * NS_PER_S), max_gap_ns=round(2 * look_sec * NS_PER_S))
        self._venue = venue
        self._tell = tell
        self._clock = clock
        self._look_sec = look_sec
        self._first_pause_ns = round(pause_sec * NS_PER_S)
        self._has_told_of_old = False
        self._sweeps_left = 0
        self._failures = 0
        self._next_ns = 0

    async def run(self) -> None:
        """Watch for ever."""
        while True:
            await self.look()
            await asyncio.sleep(self._look_sec)

    async def look(self) -> None:
        """Look at the heartbeat once and do what is due."""
        before = self._vigil.pulse
        beat = read_beat(self._heartbeat)
        pulse = self._vigil.look(beat, self._clock.now_ns())
        if pulse is not before:
            self._on_change(before, pulse)
        elif pulse is Pulse.UNSEEN and beat is not None and beat.state == "running":
            self._on_silence_of_old()
        if pulse is Pulse.ALIVE:
            await self._venue.while_alive()
        elif pulse is Pulse.STOPPED:
            await self._venue.stand_down()
        if pulse is Pulse.LOST and self._sweeps_left and self._clock.now_ns() >= self._next_ns:
            await self._sweep()

    def _on_change(self, before: Pulse, pulse: Pulse) -> None:
        match pulse:
            case Pulse.ALIVE if before is Pulse.LOST:
                self._say("the heartbeat is back", "watching again")
            case Pulse.ALIVE:
                logger.info("the trader is alive: watching")
            case Pulse.STOPPED:
                logger.info("the trader stopped in good order: nothing to do until it starts again")
            case Pulse.LOST:
                logger.error("no heartbeat for {} s: cancelling all orders", round(self._vigil.silence_ns / NS_PER_S))
                self._sweeps_left, self._failures = SWEEPS, 0
                # The pause holds even if the trader comes and goes.
                self._next_ns = max(self._next_ns, self._clock.now_ns())
            case Pulse.UNSEEN:
                raise AssertionError("a heartbeat once seen stays seen")

    def _on_silence_of_old(self) -> None:
        if not self._has_told_of_old and self._vigil.silence_ns >= self._vigil.limit_ns:
            self._has_told_of_old = True
            self._say(
                "no trader is running",
                "and the last one ended before this watchdog began, not in good order: its orders may be live. "
                "`watchdog --now` cancels all orders",
            )

    async def _sweep(self) -> None:
        number = SWEEPS - self._sweeps_left + 1
        try:
            await self._venue.send()
        except (AuthRefused, NoAnswer) as error:
            self._failures += 1
            pause_ns = min(PAUSE_MAX_S * NS_PER_S, self._first_pause_ns << min(self._failures - 1, 10))
            text = f"cancel-all {number} of {SWEEPS} failed: {error}; next try in {pause_ns / NS_PER_S:g} s"
            if self._failures == 1:
                self._say(NO_HEARTBEAT, text)
            else:
                logger.error("{}", text)
        else:
            text = f"cancel-all {number} of {SWEEPS} was accepted; positions are left open"
            if number == 1 or self._failures:
                self._say(NO_HEARTBEAT, text)
            else:
                logger.warning("{}", text)
            self._sweeps_left, self._failures, pause_ns = self._sweeps_left - 1, 0, self._first_pause_ns
        self._next_ns = self._clock.now_ns() + pause_ns

    def _say(self, title: str, text: str) -> None:
        logger.warning("{}: {}", title, text)
        self._tell(title, text)


def parser() -> argparse.ArgumentParser:
    """The command's flags."""
    flags = command_parser(
        "watchdog",
        "Cancel all orders of the product, also those entered by hand, when run_live's heartbeat ends.",
        ("", "watch, until Ctrl-C"),
        ("--now", "the panic button: one cancel-all at once; asks first"),
        ("--alive", "whether the trader's heartbeat is alive"),
        codes={0: "done, or alive", 1: "failed, not alive, or not confirmed", 2: "bad configuration or arguments"},
    )
    cli.add_common_flags(flags, override="configs/live.yml")
    flags.set_defaults(log_dir=Path("logs/watchdog"))
    what = flags.add_mutually_exclusive_group()
    what.add_argument("--now", action="store_true", help="send one cancel-all at once and exit; asks first")
    what.add_argument(
        "--alive", action="store_true", help="exit with 0 if the trader's heartbeat is alive, else 1; sends nothing"
    )
    flags.add_argument("--yes", action="store_true", help="with --now: do not ask")
    return flags


@command("watchdog", expects=(NoAnswer,), usage=(ConfigError, AuthRefused))
def main(argv: Sequence[str] | None = None) -> int:
    """Run and return the exit code."""
    flags = parser()
    args = flags.parse_args(argv)
    if args.yes and not args.now:
        flags.error("--yes needs --now")
    cfg = cli.load(args, cli.CONFIGS / "live.yml", takes_several=True)
    cli.require_open_files()
    if cli.is_check(args, cfg):
        return EXIT_DONE
    if args.alive:
        return _alive(cfg)
    if cfg.env == "paper":
        raise ConfigError("env: paper has no orders to cancel; accepted: live or sim")
    if args.now and not args.yes and not _is_sure(cfg):
        sys.stdout.write("nothing was sent\n")
        return EXIT_FAILED
    venue = venue_of(cfg)
    hand = venue.cancel_all(cfg, venue.account(cfg))
    with cli.signals_held():
        return _now(cfg, hand) if args.now else _watch(cfg, hand, args)


def _last_beat(cfg: AppConfig) -> tuple[Beat, float, bool] | None:
    """The heartbeat, its age in seconds, and whether it is recent enough; None without one."""
    path = heartbeat_path(cfg)
    beat, age = read_beat(path), age_sec(path, SystemClock().now_ns())
    return None if beat is None or age is None else (beat, age, age < cfg.watch.heartbeat_limit_sec)


def _alive(cfg: AppConfig) -> int:
    """Report whether a trader is running and its heartbeat is recent enough."""
    last = _last_beat(cfg)
    if last is None:
        sys.stdout.write(f"no heartbeat in {heartbeat_path(cfg)}\n")
        return EXIT_FAILED
    beat, age, is_young = last
    said = beat.state if is_young or beat.state == "stopped" else "silent, without a report that it stopped"
    limit = "" if is_young else f" (watch.heartbeat_limit_sec is {plain(cfg.watch.heartbeat_limit_sec)})"
    sys.stdout.write(f"{said}, last heartbeat {age:.1f} s ago{limit}\n")
    return EXIT_DONE if is_young and beat.state == "running" else EXIT_FAILED


def _is_sure(cfg: AppConfig) -> bool:
    """Ask the operator. Raises ConfigError without a terminal."""
    if not sys.stdin.isatty():
        raise ConfigError("--now asks before it cancels, and there is no terminal; accepted: --now --yes")
    products = " and ".join(cfg.products)
    question = f"Cancel ALL orders of {products} at {cfg.exchange.base_url}, also those entered by hand? Type yes: "
    return cli.answer_to(question) == "yes"


def _now(cfg: AppConfig, hand: Hand) -> int:
    async def send() -> None:
        async with hand as venue:
            await venue.send()

    cli.run(send())
    sys.stdout.write(
        f"the venue accepted the cancel-all ({cfg.exchange.base_url}); it may have missed an order that was accepted "
        f"just before: check the open orders, or send again in {PAUSE_S} s. Positions are left open\n"
    )
    match _last_beat(cfg):
        case beat, age, True if beat.state == "running":
            sys.stdout.write(
                f"A trader goes on quoting: process {beat.pid}, last heartbeat {age:.1f} s ago. Stop it "
                "(`sts ctl stop`), then send again\n"
            )
    return EXIT_DONE


def _watch(cfg: AppConfig, hand: Hand, args: argparse.Namespace) -> int:
    clock = SystemClock()
    source = f"watchdog {' and '.join(cfg.products)}"
    # No pause between alerts: each change is sent once, and each matters.
    alerts = Alerts(load_alert_urls(), pause_sec=0, clock=clock, source=source)
    with (
        RunFolder(args.log_dir, cfg, "watchdog", cfg.exchange.base_url) as run,
        setup_runtime_logging(run.files.runtime, cfg.log, console="INFO"),
        alerts,
    ):
        run.exit_code = cli.run(_until_stopped(cfg, hand, alerts, clock, run, args.duration))
        return run.exit_code


async def _until_stopped(
    cfg: AppConfig, hand: Hand, alerts: Alerts, clock: Clock, run: RunFolder, duration_s: float | None
) -> int:
    ending = Ending()
    with cli.signals_heard(ending.on_signal):
        async with hand as venue:
            try:
                await venue.check_key()
            except NoAnswer as error:  # start anyway: the venue may answer later
                logger.warning("the key could not be checked: {}", error)
            run.begin()
            path, limit_s = heartbeat_path(cfg), float(cfg.watch.heartbeat_limit_sec)
            dog = Watchdog(
                path, limit_s, venue, lambda title, text: alerts.send(AlertKind.WATCHDOG, title, text), clock=clock
            )
            logger.info(
                "waiting for a heartbeat in {}; limit {:g} s, alerts {}", path, limit_s, "on" if alerts.is_on else "off"
            )
            await first_of(dog.run(), ending.wanted, limit_s=duration_s)
            ending.ask("duration over")
        run.why = ending.why
        logger.info("stopped watching: {}", ending.why)
        return EXIT_DONE


if __name__ == "__main__":
    sys.exit(main())
