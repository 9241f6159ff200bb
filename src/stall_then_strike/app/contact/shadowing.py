"""A shadow run watched: the venue is compared with what is assumed of it, and changes of the account are told.

The connection is compared as by `probe`: all messages, and at bitFlyer the answers to calls as well.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from loguru import logger

from stall_then_strike.app.contact.assumed.deviations import Deviations
from stall_then_strike.app.contact.assumed.masking import Masking
from stall_then_strike.app.contact.contact_report import deviation_lines, report_text
from stall_then_strike.app.contact.lighter_probe.lighter_listening import streams_of, without_account
from stall_then_strike.app.contact.lighter_probe.lighter_stream_check import LighterStreamCheck
from stall_then_strike.app.contact.watching import Figures, Watch
from stall_then_strike.app.shell.ending import Ending
from stall_then_strike.app.trader.live_alerts import SHADOW
from stall_then_strike.app.trader.live_run import LiveRun
from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.bitflyer.credentials import Credentials
from stall_then_strike.infra.clock import ScaledClock, SystemClock
from stall_then_strike.infra.line.frame_tap import Taps
from stall_then_strike.lighter.signing.account_keys import LighterAccount
from stall_then_strike.venues.bitflyer_connection import BitflyerConnection
from stall_then_strike.venues.connection import Connection
from stall_then_strike.venues.lighter_connection import LighterConnection
from stall_then_strike.venues.shadow.real_account import Change
from stall_then_strike.venues.shadow.shadow_connection import ShadowConnection

_UNCHANGED: Final = "nobody but a live run of this program changes the account"


class Shadowing:
    """One shadow run: its connection, what was found, what it would have done."""

    def __init__(self) -> None:
        """Before the run."""
        self.deviations = Deviations(Masking(), SystemClock())
        self.connection: ShadowConnection | None = None
        self.folder: Path | None = None
        """The run's; None before it."""
        self._cfg: AppConfig | None = None
        self._run: LiveRun | None = None
        self._watch: Watch | None = None
        self._streams: Sequence[LighterStreamCheck] = ()
        self._figures: Figures | None = None

    def through(self, connection: Connection, cfg: AppConfig, clock: ScaledClock) -> Connection:
        """The connection to trade through."""
        self._cfg = cfg
        self.connection = ShadowConnection(connection, cfg, clock, self._on_change)
        return self.connection

    def attend(self, run: LiveRun, ending: Ending) -> None:
        """Watch a run."""
        self._run, account, cfg = run, run.account, self._cfg
        self.folder = run.folder
        behind = None if self.connection is None else self.connection.behind
        if cfg is not None and isinstance(behind, BitflyerConnection) and isinstance(account, Credentials):
            self._watch = Watch(cfg, account, run.trader.clock)
            self._watch.attach(behind)
            self.deviations = self._watch.deviations
        elif cfg is not None and isinstance(behind, LighterConnection) and isinstance(account, LighterAccount):
            self.deviations = Deviations(Masking(partial(without_account, account)), run.trader.clock)
            self._streams = streams_of(cfg, account, self.deviations)
            earlier = behind.session.tap  # a recording
            behind.session.tap = Taps([*([] if earlier is None else [earlier]), *self._streams])
        else:
            self.deviations = Deviations(Masking(account.redact), run.trader.clock)

    def _on_change(self, change: Change) -> None:
        """Something happened on the real account: it is told, and not acted on."""
        run = self._run
        if run is None:
            return
        is_new = change.name not in self.deviations.names
        self.deviations.add(change.name, expected=_UNCHANGED, seen=change.seen)
        logger.log("WARNING" if is_new else "INFO", "not of this run: {}: {}", change.name, change.detail)
        if is_new:
            run.trader.remember(SHADOW, f"{change.name}: {change.detail}")

    # --- after the run

    def finish(self, error: str = "") -> None:
        """Judge what is judged over time. ``error``: why the run failed, if it did."""
        watch = self._watch
        if watch is not None:
            self._figures = watch.finish(is_closed=True)
        for stream in self._streams:
            stream.finish(stream.last_ns, 0)
        if error:
            self.deviations.add("a live run would fail", "it runs to its end", error, is_grave=True)

    def done(self) -> str:
        """What a live run would have sent."""
        if self.connection is None:
            return "nothing was sent"
        made = self.connection.refrained
        return f"a live run would have sent {made.orders:,} orders and {made.cancels:,} cancels; nothing was sent"

    def lines(self, width: int) -> Iterator[str]:
        """For the terminal."""
        yield from textwrap.wrap(f"shadow: {self.done()}", width, subsequent_indent="  ")
        yield from deviation_lines(self.deviations, width)

    def report(self, where: str) -> str:
        """For a file that is fit to be sent to others."""
        at_ns = 0 if self._run is None else self._run.trader.clock.now_ns()
        return report_text("Shadow run", where, at_ns, self._figures, self.deviations, [self.done()])
