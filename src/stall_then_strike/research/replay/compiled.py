"""Compiled replay: one configuration over prepared columns. Every integer equals that of an interpreted replay.

A run that may not be reproduced exactly is refused: before it starts (`refusals`) or, if its arrays turn out too small,
while it runs (`CannotCompile`). There is never a result that differs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import numpy as np

from stall_then_strike.config.models import AfterHalt, AppConfig, CloseType, LatencyConfig, PrintThrough
from stall_then_strike.config.trading import STALL_THEN_STRIKE
from stall_then_strike.engine.inventory import worth
from stall_then_strike.engine.strategy_stall import stall_params
from stall_then_strike.engine.venue.budget import NEVER_NS, ON_THE_WAY_NS
from stall_then_strike.engine.venue.calendar import TradingCalendar
from stall_then_strike.infra.bitflyer.bitflyer_rules import bitflyer_limits
from stall_then_strike.research.replay import kernel_state as x
from stall_then_strike.research.replay.kernel_state import LOG_ROW, MOST_CALLS, SPARE, TALLY, new_state, put_levels
from stall_then_strike.research.replay.venue_steps import STOP_OVER, begin_chunk, run, stop
from stall_then_strike.research.tables.columns import I64, Chunk, Columns, Ints
from stall_then_strike.sim.latency import (
    CANCELS,
    ORDERS,
    OUTBIDS,
    quantile_table,
    spikes_of,
    stream_seed,
    waiting_table,
)
from stall_then_strike.sim.paper import queue_rule
from stall_then_strike.types.dto import NS_PER_MS, NS_PER_S, InventoryMemo, Reason
from stall_then_strike.types.errors import StallThenStrikeError
from stall_then_strike.types.instrument import Instrument

_ROOM: Final = 1 << 62
"""Upper bound of all products: half of what a signed 64-bit integer holds."""
_LONGEST_RUN_NS: Final = 20 * 366 * 86_400 * NS_PER_S
_AFTER_NS: Final = 3 * 86_400 * NS_PER_S
"""How far the calendar reaches past the last stamp; a stopping run takes seconds."""
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
    """The compiled engine cannot replay this run; the interpreted one can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The results of a run, in engine units."""

    messages: int
    backwards: int
    end_ns: int
    inventory: InventoryMemo
    realised_today: int
    pnl_today: int
    total: int
    """Realised and unrealised result since the run began, over all its days."""
    max_fall: int
    """Largest drawdown of ``total`` from its peak, zero or negative."""
    samples: I64 = field(repr=False)
    """``total`` at the end of each whole interval of ``sample_ns``; empty unless requested."""
    halted: Reason | None
    tally: dict[str, int]
    """Counts by their name in ``engine.recording.Tally``."""
    reason_rows: dict[Reason, int]
    reason_ns: dict[Reason, int]
    started_ns: int
    """Stamp of the core's first step, part of our order ids."""
    first_order_ns: int
    """Stamp of the first order at the paper venue, part of the venue's order ids."""
    log: Ints = field(repr=False)
    """Rows as records (`kernel_state.LogRow`), empty unless requested; `kernel_rows` converts them to log rows."""


def refusals(cfg: AppConfig, columns: Columns) -> list[str]:
    """The reasons why the compiled engine refuses this run; empty if it accepts it."""
    unit, held = cfg.exchange.instrument(), columns.manifest
    size = unit.to_lots(cfg.strategy.max_inventory_btc) + 2 * unit.to_lots(cfg.strategy.size_min) + unit.min_size
    price = held.highest_price + cfg.strategy.close_band_ticks + 2 * cfg.strategy.quote_offset_ticks + 2
    found = []
    if cfg.strategy.name != STALL_THEN_STRIKE:
        found.append(f"strategy.name is {cfg.strategy.name}")
    if held.product != cfg.exchange.product_code:
        found.append(f"the tape is of {held.product}")
    calls = max(limit.most for limit in bitflyer_limits(cfg.exchange))
    if calls > MOST_CALLS or cfg.risk.max_rejects > MOST_CALLS:
        found.append(f"exchange.limits or risk.max_rejects above {MOST_CALLS:,}")
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
    """One configuration on one set of columns. Columns may be shared; each replay runs only once."""

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

        ``span``: trade only messages received from the first stamp on and before the second. The book is then known at
        the start from earlier messages; the state of the board is unknown until the next message reports it.
        """
        if why := refusals(cfg, columns):
            raise CannotCompile(f"not for the compiled engine: {'; '.join(why)}")
        self._columns = columns
        held = columns.manifest
        self._states: Any = new_state()
        self._state = state = self._states[0]
        put_settings(state, cfg)
        put_budget(state["budget"], cfg)
        put_calendar(state, cfg, held.first_ns, held.last_ns)
        self._from_ns, end_ns = span or (held.first_ns, NEVER_NS)
        self._begun = span is None
        end_ns = end_ns if duration_ns is None else min(end_ns, self._from_ns + duration_ns + 1)
        state["settings"]["logging"], state["settings"]["end_ns"] = logging, end_ns - 1
        self._samples = list[int]()
        self._last_ns = min(end_ns, held.last_ns)
        """A sampling interval that ends here or later is taken after the stop, with its results."""
        samples = state["samples"]
        samples["next_ns"] = NEVER_NS if sample_ns is None else self._from_ns + sample_ns
        samples["every_ns"], samples["end_ns"] = sample_ns or 0, self._last_ns
        self._log: list[I64] = []
        self._on_log: Callable[[Ints, int, int], None] | None = None

    def run(self, on_log: Callable[[Ints, int, int], None] | None = None) -> Outcome:
        """Trade the whole tape. Raises CannotCompile if the state turns out too small.

        ``on_log`` takes rows as they are made, with the outcome's ``started_ns`` and ``first_order_ns``; without it
        they are kept for the outcome.
        """
        state, self._on_log = self._state, on_log
        for chunk in self._columns.chunks():
            if not len(chunk.recv) or (not self._begun and int(chunk.recv.max()) < self._from_ns):
                continue
            put_levels(state, chunk)
            begin_chunk(self._states)
            at = self._begin(chunk)
            if chunk.recv[at] > state["settings"]["end_ns"] or not self._trade(chunk, at):
                break
        if state["messages"]:
            self._drain()
            stop(self._states)
            self._check()
        return self._outcome()

    def _begin(self, chunk: Chunk) -> int:
        """Index of the chunk's first message to be traded."""
        if self._begun:
            return 0
        self._begun = True
        at = int(np.argmax(chunk.recv >= self._from_ns))
        self._state["paper"]["at"] = at - 1
        self._state["paper"]["trade"] = np.searchsorted(chunk.trade_at, at)
        return at

    def _trade(self, chunk: Chunk, at: int) -> bool:
        """Trade a chunk from message ``at`` on. Returns False once the run is over."""
        columns: Any = chunk[:10]
        while at < len(chunk.recv):
            at = run(self._states, at, *columns)
            self._check()
            if at == STOP_OVER:
                return False
            if at < len(chunk.recv):
                self._drain()
        return True

    def _memo(self) -> InventoryMemo:
        held = self._state["inventory"]
        return InventoryMemo(**{name: int(held[name]) for name in InventoryMemo._fields})

    def _equity(self) -> int:
        memo = self._memo()
        return worth(memo.realised, memo.position, memo.basis, memo.mid2)

    def _check(self) -> None:
        if error := int(self._state["error"]):
            raise CannotCompile(f"not for the compiled engine: {_ERRORS[error]}")

    def _drain(self) -> None:
        """Empty log and samples: keep them, or pass the rows on."""
        record, samples = self._state["record"], self._state["samples"]
        self._samples += samples["totals"][: samples["count"]].tolist()
        samples["count"] = 0
        if record["count"]:
            rows = record["rows"][: record["count"]]
            if self._on_log is None:
                self._log.append(rows.view(np.int64).copy())
            else:
                self._on_log(rows, int(self._state["run_ns"]), int(self._state["paper"]["placed_ns"]))
            record["count"] = 0

    def _outcome(self) -> Outcome:
        state, record = self._state, self._state["record"]
        if record["hold"]:
            record["reason_ns"][record["hold"]] += max(state["clock_ns"], state["now_ns"]) - record["hold_ns"]
        memo, equity = self._memo(), self._equity()
        self._drain()
        if (next_ns := int(state["samples"]["next_ns"])) <= self._last_ns:
            self._samples += [equity] * ((self._last_ns - next_ns) // int(state["samples"]["every_ns"]) + 1)
        reasons = {int(reason): reason for reason in Reason}
        return Outcome(
            messages=int(state["messages"]),
            backwards=int(state["backwards"]),
            end_ns=int(state["clock_ns"]),
            inventory=memo,
            realised_today=memo.realised - memo.realised_at_roll,
            pnl_today=equity - memo.equity_at_roll,
            total=equity,
            max_fall=int(state["inventory"]["run_max_drawdown"]),
            samples=np.asarray(self._samples, np.int64),
            halted=reasons.get(int(state["kill_switch"]["halted"])),
            tally={name: int(state["tally"][name]) for name in TALLY},
            reason_rows={reasons[n]: int(rows) for n, rows in enumerate(record["reason_rows"]) if rows},
            reason_ns={reasons[n]: int(ns) for n, ns in enumerate(record["reason_ns"]) if ns},
            started_ns=int(state["run_ns"]),
            first_order_ns=int(state["paper"]["placed_ns"]),
            log=(np.concatenate(self._log) if self._log else np.zeros(0, np.int64)).view(LOG_ROW),
        )


def put_settings(state: Any, cfg: AppConfig) -> None:
    """Write the settings into the state, in engine units."""
    unit: Instrument = cfg.exchange.instrument()
    paper, settings = cfg.paper, state["settings"]
    state["params"] = stall_params(cfg.strategy, unit)
    settings["exits_on_halt"] = cfg.risk.after_halt is AfterHalt.EXIT
    settings["share"], settings["power"] = queue_rule(paper)
    settings["queues_through"] = paper.print_through is PrintThrough.QUEUE
    settings["maker"], settings["maker_per"] = paper.maker_fee.as_integer_ratio()
    settings["taker"], settings["taker_per"] = paper.taker_fee.as_integer_ratio()
    settings["funding"], settings["funding_per"] = paper.funding_rate.as_integer_ratio()
    settings["order_seed"], settings["cancel_seed"] = stream_seed(paper.seed, ORDERS), stream_seed(paper.seed, CANCELS)
    settings["outbid_seed"] = stream_seed(paper.seed, OUTBIDS)
    settings["order_spikes"] = spikes_of(paper.order_latency, paper.seed)
    settings["cancel_spikes"] = spikes_of(paper.cancel_latency, paper.seed)
    settings["daily_limit"] = unit.to_money(cfg.risk.daily_pnl_jpy)
    settings["drawdown_limit"] = unit.to_money(cfg.risk.max_dd_jpy)
    settings["max_rejects"] = cfg.risk.max_rejects
    settings["close_is_ioc"] = cfg.strategy.close_type is CloseType.IOC
    settings["close_band"] = cfg.strategy.close_band_ticks
    settings["close_retry_ns"] = cfg.strategy.close_retry_ms * NS_PER_MS
    settings["blind_ns"] = int(cfg.risk.flatten_blind_sec * NS_PER_S)
    waits = waiting_table(float(paper.outbid_per_s)) if paper.outbid_per_s else ()
    tables: dict[str, Any] = {
        "order": _table(paper.order_latency),
        "cancel": _table(paper.cancel_latency),
        "outbid": waits,
    }
    for name, table in tables.items():
        state["paper"][f"{name}_table_size"] = len(table)
        state["paper"][f"{name}_table"][: len(table)] = table
    orders = cfg.exchange.limits.orders_per_5min
    state["paper"]["expiries_room"] = x.EXPIRIES_PER_ORDER * (orders + SPARE)
    state["kill_switch"]["rejects_room"] = cfg.risk.max_rejects + orders + SPARE


def put_budget(budget: Any, cfg: AppConfig) -> None:
    """Write the limits on calls into the state."""
    limits = bitflyer_limits(cfg.exchange)
    for name, limit in zip(("address", "private", "orders", "small"), limits, strict=True):
        window = budget[name]
        window["limit"], window["window_ns"] = limit.most, limit.window_ns + ON_THE_WAY_NS
        window["reserve"], window["elsewhere"] = limit.reserve, limit.elsewhere
        window["room"] = max(limit.most for limit in limits) + SPARE
        if limit.up_to is not None:
            budget["small_lots"] = limit.up_to


def put_calendar(state: Any, cfg: AppConfig, first_ns: int, last_ns: int) -> None:
    """Write the boundaries of days and quiet times, and all settlements, until well after the last stamp.

    Raises CannotCompile if there are too many.
    """
    calendar = TradingCalendar(cfg.session, cfg.paper.funding_times)
    at, segments, stamps = first_ns, list[tuple[int, int, int]](), list[int]()
    while at <= last_ns + _AFTER_NS:
        segments.append((at, calendar.day(at).toordinal(), int(calendar.quiet(at) is not None)))
        at = calendar.next_change_ns(at)
    settlement = calendar.next_settlement_ns(first_ns)
    while settlement is not None and settlement <= last_ns + _AFTER_NS:
        stamps.append(settlement)
        settlement = calendar.next_settlement_ns(settlement)
    if len(segments) > x.CALENDAR_ROOM or len(stamps) >= x.SETTLEMENTS_ROOM:
        raise CannotCompile("not for the compiled engine: too many quiet times or settlements in so long a run")
    state["calendar"]["segments"][: len(segments)] = segments
    state["calendar"]["count"] = len(segments)
    state["paper"]["settlements"][: len(stamps) + 1] = [*stamps, NEVER_NS]


@lru_cache(maxsize=16)
def _table(cfg: LatencyConfig) -> I64:
    return np.asarray(quantile_table(cfg), np.int64)
