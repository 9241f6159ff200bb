"""A rehearsal joined to a live run: its settings, its strategy, and what watches the connection."""

from __future__ import annotations

from stall_then_strike.app.contact.rehearsal import Rehearsal, Stage
from stall_then_strike.app.contact.timeline import Timeline
from stall_then_strike.app.contact.watching import Figures, Watch
from stall_then_strike.app.shell.ending import Ending
from stall_then_strike.app.trader.live_run import LiveRun
from stall_then_strike.config.models import AppConfig
from stall_then_strike.config.trading import ForeignOrders
from stall_then_strike.engine.strategy import Strategy
from stall_then_strike.infra.bitflyer.credentials import Credentials
from stall_then_strike.infra.bitflyer.error_table import Answer
from stall_then_strike.types.dto import Event
from stall_then_strike.types.instrument import Instrument
from stall_then_strike.venues.bitflyer_connection import BitflyerConnection

NAME = "rehearsal"
"""The strategy's name in the logs."""


def rehearsal_settings(cfg: AppConfig) -> AppConfig:
    """The settings with what a rehearsal needs.

    It trades the smallest size, closes at the end what it may have bought, leaves orders of others alone, and records
    nothing.
    """
    size = cfg.exchange.instrument().size(cfg.exchange.instrument().min_size)
    strategy = {"name": NAME, "size_min": size, "max_inventory_btc": max(cfg.strategy.max_inventory_btc, 2 * size)}
    changed = {
        "strategy": cfg.strategy.model_copy(update=strategy),
        "parameters": {},
        "risk": cfg.risk.model_copy(update={"stop_flat": True}),
        "account": cfg.account.model_copy(update={"foreign_orders": ForeignOrders.REPORT}),
        "record": cfg.record.model_copy(update={"enabled": False}),
    }
    return cfg.model_copy(update=changed)


class Rehearsing:
    """One rehearsal, before, during and after its run."""

    def __init__(self, cfg: AppConfig, distance: int, *, has_trip: bool) -> None:
        """``distance`` is in ten-thousandths of the best bid."""
        self._cfg, self._distance, self.has_trip = cfg, distance, has_trip
        self.timeline = Timeline()
        self.strategy: Rehearsal | None = None
        self.watch: Watch | None = None

    def make(self, cfg: AppConfig, instrument: Instrument) -> Strategy:
        """The run's strategy."""
        self.strategy = Rehearsal(instrument.min_size, self._distance, self.timeline, has_trip=self.has_trip)
        return self.strategy

    def attend(self, run: LiveRun, ending: Ending) -> None:
        """Watch a run, and end it when the rehearsal is over."""
        connection, account, strategy = run.connection, run.account, self.strategy
        if not isinstance(connection, BitflyerConnection) or not isinstance(account, Credentials) or strategy is None:
            raise TypeError("a rehearsal is of bitFlyer")
        clock = run.trader.clock
        self.watch = Watch(self._cfg, account, clock)
        self.watch.attach(connection)
        strategy.on_end, strategy.board = ending.ask, connection.feeds[0].board
        answers, timeline, board = self.watch.answers, self.timeline, connection.feeds[0].board

        def on_answer(path: str, answer: Answer, sent_ns: int) -> None:
            answers.take(path, answer, sent_ns)
            timeline.on_answer(path, answer)

        def on_input(event: Event, now_ns: int, number: int) -> None:
            timeline.on_input(event, now_ns, board)

        connection.https[0].on_answer = on_answer
        run.trader.on_input = on_input

    @property
    def has_begun(self) -> bool:
        """Whether anything was heard of the venue's market."""
        return self.watch is not None and self.watch.stream.frames > 0

    def finish(self, *, is_confirmed: bool) -> tuple[Watch, Figures]:
        """Judge everything, after the run. ``is_confirmed``: it ended with nothing left, as the venue says."""
        if self.watch is None or self.strategy is None:
            raise RuntimeError("it was not begun")
        watch, found = self.watch, self.watch.deviations
        figures = watch.finish(is_closed=True)
        self.timeline.judge(found, has_trip=self.has_trip)
        if self.strategy.stage is not Stage.DONE:
            seen = self.strategy.why or f"it ended while: {self.strategy.stage.value}"
            found.add("rehearsal: not done", expected="all steps", seen=seen, is_grave=True)
        if not is_confirmed:
            found.add(
                "rehearsal: the end is not confirmed",
                expected="the venue reports no order and no position of ours",
                seen="not so; look at the log, and at the account",
                is_grave=True,
            )
        return watch, figures
