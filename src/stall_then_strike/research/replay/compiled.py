"""Compiled replay: one configuration over prepared columns, to the last integer what an interpreted replay gives.

What it cannot promise to reproduce it refuses, before anything runs (`refusals`) or, where its memory turns out too
small, while it runs (`CannotCompile`): never a result that differs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import numpy as np

from stall_then_strike.config.models import AfterHalt, AppConfig, CloseType, LatencyConfig, LimitsConfig
from stall_then_strike.engine.inventory import InventoryManager
from stall_then_strike.engine.orders import Orders
from stall_then_strike.engine.strategy_stall import StallParams, StallThenStrikeStrategy
from stall_then_strike.engine.venue.budget import ON_THE_WAY_NS, Budget
from stall_then_strike.engine.venue.calendar import TradingCalendar
from stall_then_strike.research.replay import kernel_state as x
from stall_then_strike.research.replay.kernel_state import I64, NEVER, Chunk
from stall_then_strike.research.replay.venue_steps import STOP_OVER, begin_chunk, run, stop
from stall_then_strike.research.tables.columns import Columns
from stall_then_strike.sim.latency import CANCELS, ORDERS, quantile_table, spikes_of, stream_seed
from stall_then_strike.sim.paper import queue_rule
from stall_then_strike.types.dto import NS_PER_MS, NS_PER_S, InventoryMemo, Reason
from stall_then_strike.types.errors import StallThenStrikeError
from stall_then_strike.types.instrument import Instrument

_ROOM: Final = 1 << 62
"""Products stay under this, half of what 64 bits hold."""
_MOST_CALLS: Final = 100_000
_LONGEST_RUN_NS: Final = 20 * 366 * 86_400 * NS_PER_S
_AFTER_NS: Final = 3 * 86_400 * NS_PER_S
"""How far past the last stamp the calendar is known; a stopping run takes seconds."""
_ERRORS: Final = {
    x.E_SLOTS: "more orders at once than there are places for",
    x.E_DUE: "too many orders and cancels under way at once",
    x.E_EXPIRIES: "too many resting orders within a minute",
    x.E_TAKEN: "too many levels taken at once",
    x.E_OUTBOX: "too many actions at once",
    x.E_LOG: "too many rows at once",
    x.E_CALENDAR: "the run outlasts its calendar",
    x.E_REFUSED: "an order that the paper venue refuses at once",
    x.E_WINDOW: "more calls in a window than its limit",
    x.E_REJECTS: "too many refused orders",
}


class CannotCompile(StallThenStrikeError):
    """This run cannot be replayed by the compiled engine; the interpreted one can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run ended with, in engine units."""

    messages: int
    backwards: int
    end_ns: int
    inventory: InventoryMemo
    realised_today: int
    pnl_today: int
    total: int
    """Realised and marked since the run began, over all its days."""
    max_fall: int
    """Deepest fall of that from its peak, zero or negative."""
    samples: I64 = field(repr=False)
    """What ``total`` was at the end of each whole interval of ``sample_ns``; empty unless asked for."""
    halted: Reason | None
    tally: dict[str, int]
    """Counts by their name in ``engine.recording.Tally``."""
    reason_rows: dict[Reason, int]
    reason_ns: dict[Reason, int]
    started_ns: int
    """Stamp of the core's first step, which names its orders, and of the first order at the paper venue."""
    first_order_ns: int
    log: I64 = field(repr=False)
    """Rows as numbers, empty unless asked for; ``research.replay.kernel_rows`` turns them into log rows."""


def refusals(cfg: AppConfig, columns: Columns) -> list[str]:
    """Why the compiled engine will not run this; empty if it will."""
    limits, unit, held = cfg.exchange.limits, cfg.exchange.instrument(), columns.manifest
    size = unit.to_lots(cfg.strategy.max_inventory_btc) + 2 * unit.to_lots(cfg.strategy.size_min) + unit.min_size
    price = held.highest_price + cfg.strategy.close_band_ticks + 2 * cfg.strategy.quote_offset_ticks + 2
    found = []
    if held.product != cfg.exchange.product_code:
        found.append(f"the tape is of {held.product}")
    calls = max(_limits(limits))
    if calls > _MOST_CALLS or cfg.risk.max_rejects > _MOST_CALLS:
        found.append(f"exchange.limits or risk.max_rejects above {_MOST_CALLS:,}")
    if 2 * price * size * max(1, size // unit.min_size) >= _ROOM or size * size >= _ROOM:
        found.append("strategy.max_inventory_btc is too large for 64 bits")
    rates = (cfg.paper.maker_fee, cfg.paper.taker_fee, cfg.paper.funding_rate)
    if any(2 * price * size * abs(rate.as_integer_ratio()[0]) >= _ROOM for rate in rates):
        found.append("paper: a fee or rate with so many digits that 64 bits may not hold the product")
    if 2 * cfg.strategy.max_reverse_ticks * size >= _ROOM or price >= _ROOM >> 32:
        found.append("strategy: ticks so large that 64 bits may not hold the product")
    if any(abs(unit.to_money(limit)) >= _ROOM for limit in (cfg.risk.daily_pnl_jpy, cfg.risk.max_dd_jpy)):
        found.append("risk: a limit too large for 64 bits")
    if held.last_ns - held.first_ns > _LONGEST_RUN_NS:
        found.append("the run is longer than twenty years")
    return found


class CompiledReplay:
    """One configuration on one set of columns. Columns may be shared; a replay runs once."""

    def __init__(
        self,
        cfg: AppConfig,
        columns: Columns,
        *,
        logging: bool = True,
        duration_ns: int | None = None,
        span: tuple[int, int] | None = None,
        sample_ns: int | None = None,
    ) -> None:
        """``logging``: keep the rows, not only the counts. Raises CannotCompile, ConfigError (a latency file).

        ``span``: trade only messages received from the first stamp on and before the second. The book is then known
        from what came earlier, as to one who had listened; whether the venue runs is not, until it says so again.
        """
        if why := refusals(cfg, columns):
            raise CannotCompile(f"not for the compiled engine: {'; '.join(why)}")
        self._columns = columns
        self._held = held = columns.manifest
        limits = cfg.exchange.limits
        self._m = x.memory(
            window=max(_limits(limits)) + 16,
            rejects=cfg.risk.max_rejects + limits.orders_per_5min + 16,
            expiries=4 * limits.orders_per_5min + 64,
            calendar=calendar_segments(cfg, held.first_ns, held.last_ns),
            settlements=settlements(cfg, held.first_ns, held.last_ns),
            order_table=_table(cfg.paper.order_latency),
            cancel_table=_table(cfg.paper.cancel_latency),
            book=columns.largest_book,
        )
        put_settings(self._m, cfg)
        self._m[x.Q_LOGGING] = logging
        self._from_ns, end_ns = span or (held.first_ns, NEVER)
        self._begun = span is None
        end_ns = end_ns if duration_ns is None else min(end_ns, self._from_ns + duration_ns + 1)
        self._m[x.Q_END_NS] = end_ns - 1
        self._sample_ns, self._samples = sample_ns, list[int]()
        self._last_ns = min(end_ns, held.last_ns)
        """From here on an interval's end is the run's, with what its stop brought."""
        self._log: list[I64] = []
        self._on_log: Callable[[I64, int, int], None] | None = None

    def run(self, on_log: Callable[[I64, int, int], None] | None = None) -> Outcome:
        """Trade the whole tape. Raises CannotCompile where the arrays were too small after all.

        ``on_log`` takes rows as they come, with the outcome's ``started_ns`` and ``first_order_ns``; without it they
        are kept for the outcome.
        """
        m, self._on_log = self._m, on_log
        for chunk in self._columns.chunks():
            if not len(chunk.recv) or (not self._begun and int(chunk.recv.max()) < self._from_ns):
                continue
            x.put_book(m, chunk)
            begin_chunk(m)
            at = self._begin(chunk)
            if chunk.recv[at] > self._m[x.Q_END_NS] or not self._trade(chunk, at):
                break
        if m[x.S_MESSAGES]:
            self._drain()
            stop(m)
            self._drain()
            self._check()
        return self._outcome()

    def _begin(self, chunk: Chunk) -> int:
        """The chunk's first message that is to be traded."""
        if self._begun:
            return 0
        self._begun = True
        at = int(np.argmax(chunk.recv >= self._from_ns))
        self._m[x.S_BOOK_AT] = at - 1
        self._m[x.S_TRADE] = np.searchsorted(chunk.trade_at, at)
        return at

    def _trade(self, chunk: Chunk, at: int) -> bool:
        """One chunk from a message on; False once the run is over."""
        for stop_at in self._stops(chunk, at):
            columns: list[Any] = [*(column[:stop_at] for column in chunk[:6]), *chunk[6:10]]
            while at < stop_at:
                at = run(self._m, at, *columns)
                self._check()
                if at == STOP_OVER:
                    return False
                if at < stop_at:
                    self._drain()
        return True

    def _stops(self, chunk: Chunk, at: int) -> Iterator[int]:
        """The chunk's end, and before it the first message after each interval: there the one before it is noted."""
        if self._sample_ns is not None:
            stamps = np.maximum.accumulate(chunk.recv[at:])
            while (next_ns := self._next_sample_ns()) <= int(stamps[-1]) and next_ns < self._last_ns:
                ahead = int(np.searchsorted(stamps, next_ns))
                yield at + ahead
                reached_ns = min(int(stamps[ahead]), self._last_ns - 1)
                whole = (reached_ns - self._from_ns) // self._sample_ns
                self._samples += [self._equity()] * (whole - len(self._samples))  # more than one, over a pause
        yield len(chunk.recv)

    def _next_sample_ns(self) -> int:
        return self._from_ns + (len(self._samples) + 1) * (self._sample_ns or 0)

    def _equity(self) -> int:
        m = self._m
        worth = int(m[x.S_REALISED])
        if m[x.S_POSITION] and m[x.S_MID2]:
            worth += int(m[x.S_POSITION]) * int(m[x.S_MID2]) // 2 - int(m[x.S_BASIS])
        return worth

    def _check(self) -> None:
        if error := int(self._m[x.S_ERROR]):
            raise CannotCompile(f"not for the compiled engine: {_ERRORS[error]}")

    def _drain(self) -> None:
        """Take the rows out of the log."""
        m = self._m
        if m[x.S_LOG_ROWS]:
            begin, size = int(m[x.A_LOG]), int(m[x.S_LOG_ROWS]) * x.LOG_FIELDS
            rows = m[begin : begin + size].reshape(-1, x.LOG_FIELDS)
            if self._on_log is None:
                self._log.append(rows.copy())
            else:
                self._on_log(rows, int(m[x.S_RUN_NS]), int(m[x.S_PLACED_NS]))
            m[x.S_LOG_ROWS] = 0

    def _outcome(self) -> Outcome:
        st = self._m
        held_ns, reason_rows = (st[at : at + x.REASONS] for at in (x.HELD_NS, x.REASON_ROWS))
        if st[x.S_HOLD]:
            held_ns[st[x.S_HOLD]] += max(st[x.S_CLOCK], st[x.S_NOW]) - st[x.S_HOLD_NS]
        memo = InventoryMemo(
            position=int(st[x.S_POSITION]),
            basis=int(st[x.S_BASIS]),
            realised=int(st[x.S_REALISED]),
            realised_at_roll=int(st[x.S_REALISED_AT_ROLL]),
            equity_at_roll=int(st[x.S_EQUITY_AT_ROLL]),
            peak=int(st[x.S_PEAK]),
            max_drawdown=int(st[x.S_MAX_DRAWDOWN]),
            mid2=int(st[x.S_MID2]),
        )
        equity = self._equity()
        while self._sample_ns is not None and self._next_sample_ns() <= self._last_ns:
            self._samples.append(equity)
        counts = {name: int(st[getattr(x, f"T_{name.upper()}")]) for name in TALLY}
        reasons = {int(reason): reason for reason in Reason}
        return Outcome(
            messages=int(st[x.S_MESSAGES]),
            backwards=int(st[x.S_BACKWARDS]),
            end_ns=int(st[x.S_CLOCK]),
            inventory=memo,
            realised_today=memo.realised - memo.realised_at_roll,
            pnl_today=equity - memo.equity_at_roll,
            total=equity,
            max_fall=int(st[x.S_FALL]),
            samples=np.asarray(self._samples, np.int64),
            halted=reasons.get(int(st[x.S_HALTED])),
            tally=counts,
            reason_rows={reasons[n]: int(rows) for n, rows in enumerate(reason_rows) if rows},
            reason_ns={reasons[n]: int(ns) for n, ns in enumerate(held_ns) if ns},
            started_ns=int(st[x.S_RUN_NS]),
            first_order_ns=int(st[x.S_PLACED_NS]),
            log=np.concatenate(self._log) if self._log else np.zeros((0, x.LOG_FIELDS), np.int64),
        )


TALLY: Final = (
    "boards",
    "strikes",
    "placed",
    "rejected",
    "quotes",
    "touched",
    "filled",
    "cancelled",
    "expired",
    "closes",
    "fills",
    "volume",
    "fees",
    "funding",
)


def strategy_params(cfg: AppConfig) -> StallParams:
    """The strategy's settings, as the engine reads them."""
    unit = cfg.exchange.instrument()
    strategy = StallThenStrikeStrategy(
        cfg.strategy,
        unit,
        inventory=InventoryManager(cfg.risk, unit),
        orders=Orders(),
        budget=Budget(cfg.exchange.limits, unit),
    )
    return StallParams(*(int(value) for value in strategy.params))


def _limits(limits: LimitsConfig) -> tuple[int, int, int, int]:
    """In the order of the windows."""
    return limits.private_per_5min, limits.orders_per_5min, limits.small_orders_per_min, limits.address_per_5min


def put_settings(m: I64, cfg: AppConfig) -> None:
    """Write all settings down, in engine units."""
    unit: Instrument = cfg.exchange.instrument()
    paper, limits = cfg.paper, cfg.exchange.limits
    five_min, minute = 300 * NS_PER_S + ON_THE_WAY_NS, 60 * NS_PER_S + ON_THE_WAY_NS
    for begin, numbers in (
        (x.P_STALL_NS, strategy_params(cfg)),
        (x.Q_EXITS_ON_HALT, (cfg.risk.after_halt is AfterHalt.EXIT,)),
        (x.Q_SHARE, queue_rule(paper)),
        (x.Q_MAKER, paper.maker_fee.as_integer_ratio()),
        (x.Q_TAKER, paper.taker_fee.as_integer_ratio()),
        (x.Q_FUNDING, paper.funding_rate.as_integer_ratio()),
        (x.Q_ORDER_SEED, (stream_seed(paper.seed, ORDERS),)),
        (x.Q_CANCEL_SEED, (stream_seed(paper.seed, CANCELS),)),
        (x.Q_ORDER_SPIKES, spikes_of(paper.order_latency, paper.seed)),
        (x.Q_CANCEL_SPIKES, spikes_of(paper.cancel_latency, paper.seed)),
        (x.Q_DAILY_LIMIT, (unit.to_money(cfg.risk.daily_pnl_jpy),)),
        (x.Q_DRAWDOWN_LIMIT, (unit.to_money(cfg.risk.max_dd_jpy),)),
        (x.Q_MAX_REJECTS, (cfg.risk.max_rejects,)),
        (x.Q_CLOSE_IS_IOC, (cfg.strategy.close_type is CloseType.IOC,)),
        (x.Q_CLOSE_BAND, (cfg.strategy.close_band_ticks,)),
        (x.Q_CLOSE_RETRY_NS, (cfg.strategy.close_retry_ms * NS_PER_MS,)),
        (x.Q_BLIND_NS, (int(cfg.risk.flatten_blind_sec * NS_PER_S),)),
        (x.Q_SMALL_LOTS, (unit.to_lots(limits.small_order_btc),)),
        (x.Q_LIMIT, _limits(limits)),
        (x.Q_WINDOW, (five_min, five_min, minute, five_min)),
        (
            x.Q_RESERVE,
            (limits.reserve_private, limits.reserve_orders, limits.reserve_small_orders, limits.reserve_private),
        ),
    ):
        m[begin : begin + len(numbers)] = numbers


def calendar_segments(cfg: AppConfig, first_ns: int, last_ns: int) -> I64:
    """From when, which day, whether quiet: every change from before the first stamp to well after the last."""
    calendar = TradingCalendar(cfg.session)
    at, segments = first_ns, []
    while at <= last_ns + _AFTER_NS:
        segments.append((at, calendar.day(at).toordinal(), int(calendar.quiet(at) is not None)))
        at = calendar.next_change_ns(at)
    return np.asarray(segments, np.int64)


def settlements(cfg: AppConfig, first_ns: int, last_ns: int) -> I64:
    """Stamps of all settlements, and one that never comes."""
    calendar = TradingCalendar(cfg.session, cfg.paper.funding_times)
    stamps, at = [], calendar.next_settlement_ns(first_ns)
    while at is not None and at <= last_ns + _AFTER_NS:
        stamps.append(at)
        at = calendar.next_settlement_ns(at)
    return np.asarray([*stamps, NEVER], np.int64)


@lru_cache(maxsize=16)
def _table(cfg: LatencyConfig) -> I64:
    return np.asarray(quantile_table(cfg), np.int64)
