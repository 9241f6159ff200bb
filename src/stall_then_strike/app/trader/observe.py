"""Makes the status and the summary that the operator sees from a running trader. Changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Self

from stall_then_strike.app.trader.trader import Trader
from stall_then_strike.app.view.status import (
    AccountLine,
    BudgetUse,
    Counts,
    DecisionLine,
    FillLine,
    Latency,
    Status,
    Summary,
    WorkingOrder,
    reason_counts,
)
from stall_then_strike.config.models import AppConfig
from stall_then_strike.engine.core import Core
from stall_then_strike.engine.orders import OrderState
from stall_then_strike.engine.portfolio import MONEY_PER_ONE, Portfolio
from stall_then_strike.infra.logging_structured import action_text
from stall_then_strike.infra.pyb_session import SessionStatistics
from stall_then_strike.infra.watch.histogram import LatencyHistogram
from stall_then_strike.types.dto import NS_PER_MS, NS_PER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedCondition:
    """The connection's part of a status or summary. Virtual runs count as connected."""

    connected: bool = True
    reconnects: int = 0
    lag_p99_ms: float | None = None

    @classmethod
    def of(cls, transport: SessionStatistics, lag_ns: int | None = None) -> Self:
        """The condition of a session, and of the event loop if its lag is measured."""
        return cls(
            connected=transport.is_connected,
            reconnects=max(0, transport.connects - 1),
            lag_p99_ms=None if lag_ns is None else lag_ns / NS_PER_MS,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DayFigures:
    """The account's day, in the quote currency."""

    pnl_today: Decimal
    realised_today: Decimal
    drawdown: Decimal
    max_drawdown: Decimal

    @classmethod
    def of(cls, portfolio: Portfolio) -> Self:
        """That of its only instrument, or of all together."""
        day, one = portfolio.day or portfolio.first.inventory, portfolio.first.instrument.to_money(1)
        units = one if portfolio.day is None else MONEY_PER_ONE
        return cls(
            pnl_today=Decimal(day.pnl_today) / units,
            realised_today=Decimal(day.realised_today) / units,
            drawdown=Decimal(day.drawdown) / units,
            max_drawdown=Decimal(day.max_drawdown) / units,
        )


class Observer:
    """Makes immutable views of a trader: its status now, and its summary at the end.

    An observer is of one instrument. If the account has several, the status has the result and the live orders of all.
    """

    def __init__(self, cfg: AppConfig, trader: Trader, mode: str, start_ns: int, number: int = 0) -> None:
        """``cfg`` is that of the instrument with this number.

        ``start_ns`` is by the trader's clock; a tape starts with its first message (see ``restart``).
        """
        self._seat = trader.seats[number]
        self._cfg = cfg
        self._trader = trader
        self._mode = mode
        self._start_ns = start_ns

    def restart(self, start_ns: int) -> None:
        """Count the run's length from ``start_ns``."""
        self._start_ns = start_ns

    def status(self, feed: FeedCondition) -> Status:
        """The run at this moment."""
        cfg, trader, core = self._cfg, self._trader, self._seat.core
        unit, board, now = core.instrument, core.board, trader.clock.now_ns()
        held, day = core.inventory.state(), DayFigures.of(trader.portfolio)
        state, health = core.venue
        reason = core.hold_reason
        last = self._seat.recent_decisions[-1] if self._seat.recent_decisions else None
        known = board.best_bid_price > 0 and board.best_ask_price > 0
        return Status(
            ts_ns=now,
            mode=self._mode,
            product=" + ".join(one.instrument.product_code for one in trader.portfolio.cores),
            uptime_s=(now - self._start_ns) / NS_PER_S,
            halted=None if core.halted is None else core.halted.label,
            reason=last.reason.label if last is not None else reason.label if reason is not None else "",
            connected=feed.connected,
            venue_state=state,
            venue_health=health,
            book=core.book_status(now),
            message_age_ms=(now - board.ts_ns) // NS_PER_MS if board.ts_ns else None,
            stale_ms=cfg.strategy.stale_ms,
            best_bid=unit.price(board.best_bid_price) if known else None,
            best_ask=unit.price(board.best_ask_price) if known else None,
            spread_ticks=board.spread_ticks if known else None,
            best_age_ms=(now - board.best_since_ns) // NS_PER_MS if known else None,
            stall_ms=cfg.strategy.stall_T_ms,
            position=unit.size(core.inventory.position),
            max_position=cfg.strategy.max_inventory_btc,
            avg_price=unit.price(held.avg_price) if held.size else None,
            pnl_today_jpy=day.pnl_today,
            realised_today_jpy=day.realised_today,
            pnl_limit_jpy=cfg.risk.daily_pnl_jpy,
            drawdown_jpy=day.drawdown,
            max_drawdown_jpy=day.max_drawdown,
            drawdown_limit_jpy=cfg.risk.max_dd_jpy,
            account=_account(core, now, feed),
            orders=tuple(
                WorkingOrder(
                    side=order.side,
                    price=None if order.price is None else one.instrument.price(order.price),
                    size=one.instrument.size(order.size),
                    remaining=one.instrument.size(order.remaining),
                    age_ms=(now - order.sent_ns) // NS_PER_MS,
                    state=order.state.value,
                    tag=order.tag,
                )
                for one in trader.portfolio.cores
                for order in one.orders.live()
            ),
            decisions=tuple(
                DecisionLine(
                    ts_ns=row.ts_ns,
                    decision_type=row.decision_type,
                    reason=row.reason.label,
                    detail="; ".join(action_text(action, unit) for action in row.actions),
                )
                for row in self._seat.recent_decisions
            ),
            fills=tuple(
                FillLine(
                    ts_ns=row.ts_ns,
                    side=row.side,
                    price=unit.price(row.price),
                    size=unit.size(row.size),
                    pnl_jpy=unit.amount(row.pnl_jpy),
                    tag=row.tag,
                )
                for row in self._seat.recent_trades
            ),
            budget_wait="" if (wait := core.budget.wait(now)) is None else wait.text(now),
            budget=tuple(BudgetUse(name=use.name, used=use.used, limit=use.limit) for use in core.budget.use(now)),
            latency=latency_of(trader.latency),
            counts=self._counts(feed),
        )

    def summary(self, feed: FeedCondition, *, log_dir: str, ended: str) -> Summary:
        """The run as a whole, at its end."""
        core, now = self._seat.core, self._trader.clock.now_ns()
        core.record.finish(now)
        unit, tally = core.instrument, core.record.tally
        checks = self._seat.feed.statistics()
        return Summary(
            mode=self._mode,
            product=unit.product_code,
            duration_s=(now - self._start_ns) / NS_PER_S,
            counts=self._counts(feed),
            realised_jpy=unit.amount(core.inventory.run_realised),
            marked_jpy=unit.amount(core.inventory.run_pnl - core.inventory.run_realised),
            max_drawdown_jpy=unit.amount(core.inventory.run_max_drawdown),
            day=core.calendar.day(now).isoformat(),
            day_jpy=unit.amount(core.inventory.pnl_today),
            day_max_drawdown_jpy=unit.amount(core.inventory.max_drawdown),
            position=unit.size(core.inventory.position),
            volume=unit.size(tally.volume),
            mid_checks=checks.mid_checked,
            mid_agreed=checks.mid_agreed,
            latency=latency_of(self._trader.latency),
            reasons=reason_counts(tally.reason_rows, tally.reason_ns),
            log_dir=log_dir,
            ended=ended,
        )

    def _counts(self, feed: FeedCondition) -> Counts:
        tally = self._seat.core.record.tally
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
            reconnects=feed.reconnects,
            garbage=sum(self._seat.feed.statistics().refused.values()),
        )


def _account(core: Core, now_ns: int, feed: FeedCondition) -> AccountLine | None:
    """The line on the account; None without an account."""
    account = core.account
    if account is None:
        return None
    seen_ns = account.reported_ns
    return AccountLine(
        is_live=account.rules.is_live,
        is_settled=account.is_settled,
        reported_s=None if seen_ns is None else (now_ns - seen_ns) / NS_PER_S,
        in_doubt=sum(order.absences > 0 or order.state is OrderState.UNKNOWN for order in core.orders.live()),
        lag_p99_ms=feed.lag_p99_ms,
    )


def latency_of(histogram: LatencyHistogram) -> Latency:
    """Percentiles in microseconds."""
    p50, p99 = histogram.percentile_ns(50), histogram.percentile_ns(99)
    return Latency(
        p50_us=None if p50 is None else p50 / 1000,
        p99_us=None if p99 is None else p99 / 1000,
        samples=histogram.count,
    )
