"""Makes the snapshots of a running trader. Changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from typing import Final, Self

from stall_then_strike.app.trader.trader import Seat, Trader
from stall_then_strike.app.view.course import Course
from stall_then_strike.app.view.snapshot import (
    AccountLine,
    BudgetUse,
    Counts,
    DayFigures,
    DecisionLine,
    Fill,
    Halt,
    InstrumentSnapshot,
    Latency,
    Level,
    LiveOrder,
    RunFigures,
    Snapshot,
    WantedQuote,
    price_of,
    reason_counts,
)
from stall_then_strike.config.trading import STALL_THEN_STRIKE
from stall_then_strike.engine.orders import OrderState
from stall_then_strike.engine.portfolio import MONEY_PER_ONE, DayResult, Portfolio
from stall_then_strike.infra.clock import perf_ns
from stall_then_strike.infra.logging_structured import action_text
from stall_then_strike.infra.watch.histogram import LatencyHistogram
from stall_then_strike.types.dto import NS_PER_MS, NS_PER_S, Side
from stall_then_strike.venues.connection import Condition

MOST_A_SECOND: Final = 5
"""Snapshots made in a second of real time, however many readers there are."""
LEVELS: Final = 8
"""Levels of a side that are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedCondition:
    """What a snapshot has of the world around the trader. Virtual runs count as connected."""

    connected: bool = True
    reconnects: int = 0
    lag_p99_ms: float | None = None
    awaited: str = ""
    """What the end of the run waits for."""

    @classmethod
    def of(cls, transport: Condition, lag_ns: int | None = None, awaited: str = "") -> Self:
        """The condition of a session, and of the event loop if its lag is measured."""
        return cls(
            connected=transport.is_connected,
            reconnects=max(0, transport.connects - 1),
            lag_p99_ms=None if lag_ns is None else lag_ns / NS_PER_MS,
            awaited=awaited,
        )


class Observer:
    """Makes immutable views of a trader, when somebody reads and at most ``MOST_A_SECOND`` times a second.

    It belongs to the event loop; a snapshot may be given to other threads.
    """

    def __init__(
        self,
        trader: Trader,
        mode: str,
        start_ns: int,
        condition: Callable[[], FeedCondition] = FeedCondition,
        read_ns: Callable[[], int] = perf_ns,
    ) -> None:
        """``start_ns`` is by the trader's clock; a tape starts with its first message (see ``restart``).

        ``read_ns`` is real time.
        """
        self._trader, self._mode, self._start_ns = trader, mode, start_ns
        self._condition, self._read_ns = condition, read_ns
        self._kept: Snapshot | None = None
        self._kept_ns = 0
        self._equity = Course()

    def restart(self, start_ns: int) -> None:
        """Count the run's length from ``start_ns``."""
        self._start_ns, self._kept = start_ns, None

    def snapshot(self) -> Snapshot:
        """The run at this moment, or a fifth of a second ago."""
        now_ns = self._read_ns()
        if self._kept is None or now_ns - self._kept_ns >= NS_PER_S // MOST_A_SECOND:
            self._kept, self._kept_ns = self._make(), now_ns
        return self._kept

    def expire(self) -> None:
        """Make the next snapshot anew: something was commanded."""
        self._kept = None

    def finish(self) -> Snapshot:
        """The run at its end, with the time of the last reasons counted."""
        for seat in self._trader.seats:
            seat.core.record.finish(self._trader.clock.now_ns())
        return self._make()

    def _make(self) -> Snapshot:
        trader, now, condition = self._trader, self._trader.clock.now_ns(), self._condition()
        portfolio, core = trader.portfolio, trader.portfolio.first
        halted, switch = core.halted, core.kill_switch
        instruments = tuple(_instrument(seat, now) for seat in trader.seats)
        date = core.calendar.day(now).isoformat()
        day = instruments[0].day if portfolio.day is None else _together(portfolio.day, instruments)
        return Snapshot(
            ts_ns=now,
            mode=self._mode,
            uptime_s=(now - self._start_ns) / NS_PER_S,
            halt=None if halted is None else Halt(reason=halted.label, ts_ns=switch.since_ns, detail=switch.detail),
            paused="" if core.shared.paused is None else core.shared.paused.label,
            awaited=condition.awaited,
            connected=condition.connected,
            reconnects=condition.reconnects,
            account=_account(portfolio, now, condition),
            quote=core.instrument.quote,
            date=date,
            day=day,
            pnl_limit=core.cfg.risk.daily_pnl_jpy,
            drawdown_limit=core.cfg.risk.max_dd_jpy,
            equity=self._equity.add(day.pnl, now, date),
            budget=tuple(
                BudgetUse(name=use.name, used=use.used, limit=use.limit, next_s=max(0, use.free_ns - now) / NS_PER_S)
                for use in core.budget.use(now)
            ),
            budget_wait="" if (wait := core.budget.wait(now)) is None else wait.text(now),
            latency=_latency(trader.latency),
            instruments=instruments,
        )


def _instrument(seat: Seat, now: int) -> InstrumentSnapshot:
    core, cfg = seat.core, seat.core.cfg
    unit, board, held = core.instrument, core.board, core.inventory.state()
    known = board.best_bid_price > 0 and board.best_ask_price > 0
    last = seat.recent_decisions[-1].reason if seat.recent_decisions else core.hold_reason
    state, health = core.venue
    return InstrumentSnapshot(
        product=unit.product_code,
        base=unit.base,
        quote=unit.quote,
        reason="" if last is None else last.label,
        venue_state=state,
        venue_health=health,
        book=core.book_status(now),
        message_age_ms=(now - board.ts_ns) // NS_PER_MS if board.ts_ns else None,
        stale_ms=cfg.strategy.stale_ms,
        best_bid=price_of(unit, board.best_bid_price) if known else None,
        best_ask=price_of(unit, board.best_ask_price) if known else None,
        spread_ticks=board.spread_ticks if known else None,
        bids=_levels(seat, Side.BUY),
        asks=_levels(seat, Side.SELL),
        best_age_ms=(now - board.best_since_ns) // NS_PER_MS if known else None,
        stall_ms=cfg.strategy.stall_T_ms if cfg.strategy.name == STALL_THEN_STRIKE else None,
        word=core.strategy.word,
        position=unit.size(core.inventory.position),
        max_position=cfg.strategy.max_inventory_btc,
        avg_price=price_of(unit, held.avg_price) if held.size else None,
        day=DayFigures.of(held, unit, fills=seat.day_fills.of(now)),
        run=_run(seat),
        counts=_counts(seat),
        orders=tuple(LiveOrder.of(order, unit) for order in core.orders.live()),
        quotes=tuple(
            WantedQuote(side=quote.side, price=price_of(unit, quote.price), size=unit.size(quote.size))
            for quote in core.quoting.wished
            if quote.size
        ),
        decisions=_decisions(seat),
        fills=tuple(Fill.of(row, unit) for row in seat.recent_trades),
    )


def _levels(seat: Seat, side: Side) -> tuple[Level, ...]:
    unit = seat.core.instrument
    shown = islice(seat.feed.board.levels(side), LEVELS)
    return tuple(Level(price=price_of(unit, price), size=unit.size(size)) for price, size in shown)


def _decisions(seat: Seat) -> tuple[DecisionLine, ...]:
    return tuple(
        DecisionLine(
            ts_ns=row.ts_ns,
            decision_type=row.decision_type,
            reason=row.reason.label,
            detail="; ".join(action_text(action, seat.core.instrument) for action in row.actions),
        )
        for row in seat.recent_decisions
    )


def _run(seat: Seat) -> RunFigures:
    unit, held, tally, checks = (
        seat.core.instrument,
        seat.core.inventory,
        seat.core.record.tally,
        seat.feed.statistics(),
    )
    return RunFigures(
        realised=unit.amount(held.run_realised),
        marked=unit.amount(held.run_pnl - held.run_realised),
        max_drawdown=unit.amount(held.run_max_drawdown),
        volume=unit.size(tally.volume),
        mid_checks=checks.mid_checked,
        mid_agreed=checks.mid_agreed,
        reasons=reason_counts(tally.reason_rows, tally.reason_ns),
    )


def _counts(seat: Seat) -> Counts:
    tally = seat.core.record.tally
    return Counts(
        messages=tally.boards,
        strikes=tally.strikes,
        placed=tally.quotes,
        filled=tally.filled,
        partly_filled=tally.touched - tally.filled,
        fills=tally.fills,
        cancels=tally.cancelled,
        closes=tally.closes,
        rejects=tally.rejected,
        garbage=sum(seat.feed.statistics().refused.values()),
    )


def _together(day: DayResult, instruments: Sequence[InstrumentSnapshot]) -> DayFigures:
    """The day of several instruments."""
    return DayFigures(
        pnl=Decimal(day.pnl_today) / MONEY_PER_ONE,
        realised=Decimal(day.realised_today) / MONEY_PER_ONE,
        drawdown=Decimal(day.drawdown) / MONEY_PER_ONE,
        max_drawdown=Decimal(day.max_drawdown) / MONEY_PER_ONE,
        fills=sum(one.day.fills for one in instruments),
    )


def _account(portfolio: Portfolio, now_ns: int, condition: FeedCondition) -> AccountLine | None:
    """What is known of the account at the venue: as little as of the instrument of which least is known."""
    accounts = [core.account for core in portfolio.cores if core.account is not None]
    if not accounts:
        return None
    seen = [account.reported_ns for account in accounts if account.reported_ns is not None]
    return AccountLine(
        is_live=all(account.rules.is_live for account in accounts),
        is_settled=all(account.is_settled for account in accounts),
        reported_s=None if len(seen) < len(accounts) else (now_ns - min(seen)) / NS_PER_S,
        in_doubt=sum(
            order.absences > 0 or order.state is OrderState.UNKNOWN
            for core in portfolio.cores
            for order in core.orders.live()
        ),
        lag_p99_ms=condition.lag_p99_ms,
    )


def _latency(histogram: LatencyHistogram) -> Latency:
    """Percentiles in microseconds."""
    p50, p99 = histogram.percentile_ns(50), histogram.percentile_ns(99)
    return Latency(
        p50_us=None if p50 is None else p50 / 1000,
        p99_us=None if p99 is None else p99 / 1000,
        samples=histogram.count,
    )
