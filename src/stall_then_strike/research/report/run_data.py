"""All figures of a run, from its log folder and, if there are any, a journal and tapes.

This module only combines; the figures are computed in ``profit``, ``activity`` and ``estimates``. Nothing here draws.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Final

import polars as pl

from stall_then_strike.config.models import AppConfig, RiskConfig
from stall_then_strike.engine.venue.calendar import TradingCalendar
from stall_then_strike.infra.journal.reader import JournalReader
from stall_then_strike.infra.journal.writer import journal_path
from stall_then_strike.infra.logs.run_list import Run, RunList
from stall_then_strike.infra.logs.run_record import ON_PAPER
from stall_then_strike.research.figures.activity import (
    LimitUse,
    QuoteFate,
    Reasons,
    calls_of,
    limit_use,
    own_spans,
    prices_in_logs,
    quote_fate,
    reasons,
    waits,
)
from stall_then_strike.research.figures.estimates import Estimate, mean_of
from stall_then_strike.research.figures.log_rows import Fill, LogRows, ReportInputError, read_log_rows
from stall_then_strike.research.figures.mid_path import MidPath, OwnSpan, mids_of_tapes
from stall_then_strike.research.figures.profit import (
    GROUPS,
    Books,
    Payment,
    group_of,
    keep_books,
    markouts,
    payments_in_rows,
    split,
)
from stall_then_strike.sim.paper import PAPER_PREFIX
from stall_then_strike.types.dto import NS_PER_MS, NS_PER_S, Fact, OrderMemo
from stall_then_strike.types.errors import JournalError
from stall_then_strike.types.instrument import Instrument
from stall_then_strike.types.text import iso_ns, utc_day
from stall_then_strike.venues.venue_rules import venue_rules

HORIZONS_NS: Final = (0, 100 * NS_PER_MS, NS_PER_S, 5 * NS_PER_S, 10 * NS_PER_S, 60 * NS_PER_S)
"""Times after a fill at which it is compared with the mid; zero is the mid just before it."""
SPLIT_HORIZON_NS: Final = NS_PER_S
"""Moves of the mid within this time count as adverse selection, later ones as inventory."""
BLOCK_NS: Final = 60 * NS_PER_S
"""Fills within a minute count as one observation of the market; see ``estimates``."""
_CALLS_OF_A_REPORT: Final = 4
"""Usual number of calls of one reconciliation; the journal does not record more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DayFigures:
    """One UTC day, from its trade log."""

    day: str
    fills: int
    volume: int
    """Lots."""
    pnl: int
    """Money units: sum of ``pnl_jpy``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFigures:
    """Everything that a report shows of one run."""

    name: str
    runs: Sequence[Run]
    """The runs whose rows these are."""
    on_paper: bool
    """Whether there are fills of paper trading."""
    units: Instrument
    rows: LogRows
    books: Books
    days: list[DayFigures]
    own_prices: MidPath
    """Prices from the logs alone."""
    mids: MidPath | None
    """Mids from tapes; None without tapes."""
    priced: int
    """Number of fills with a known mid."""
    markouts: dict[str, list[Estimate | None]]
    """By group, one for each horizon; empty without mids."""
    parts: dict[str, int] | None
    """The parts of the total, doubled money; None without mids."""
    pnl_per_fill: Estimate | None
    pnl_per_trip: Estimate | None
    trips_won: int
    fate: QuoteFate
    reasons: Reasons
    waits: dict[str, list[float]]
    calls: list[tuple[int, int, int]]
    """Requests as sent: stamp, order size in lots, private calls."""
    limits: list[LimitUse]
    has_journal: bool
    halts: int
    refused: int
    """Orders that the venue refused."""

    @property
    def fills(self) -> list[Fill]:
        """All fills, as booked."""
        return self.rows.fills

    @property
    def seconds(self) -> float:
        """Seconds from the first row to the last; of several runs, those in which they ran."""
        records = [run.record for run in self.runs]
        known = [(one.first_row, one.last_row) for one in records if one is not None]
        spans = [iso_ns(last) - iso_ns(first) for first, last in known if first and last]
        if len(spans) == len(self.runs) > 1:
            return sum(spans) / NS_PER_S
        return (self.rows.last_ns - self.rows.first_ns) / NS_PER_S

    @property
    def places(self) -> int:
        """Decimals of a price."""
        exponent = self.units.tick_size.normalize().as_tuple().exponent
        return max(0, -exponent) if isinstance(exponent, int) else 0

    def jpy(self, doubled: int) -> Decimal:
        """Doubled money in yen."""
        return self.units.amount(doubled) / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFigures:
    """Several instruments of one account, in one run or several."""

    name: str
    runs: list[RunFigures]
    """One for each instrument, in the order of the settings."""
    risk: RiskConfig
    limits: list[LimitUse]
    """Use of the rate limits, which the instruments share."""
    equity: list[tuple[int, Decimal]]
    """Result of all together after each change of one, with its stamp."""

    @property
    def max_drawdown(self) -> Decimal:
        """Deepest fall of that result, zero or negative."""
        peak = deepest = Decimal(0)
        for _, value in self.equity:
            peak = max(peak, value)
            deepest = min(deepest, value - peak)
        return deepest

    def together(self, amount: Callable[[Books], int]) -> Decimal:
        """The sum of an amount over all instruments, in the quote currency."""
        return sum((run.jpy(amount(run.books)) for run in self.runs), Decimal(0))


def read_account(
    folder: Path,
    cfg: AppConfig,
    *,
    tapes: Mapping[str, Sequence[Path]],
    journal: Path | None = None,
    chosen: Sequence[Run] | None = None,
    day: date | None = None,
) -> AccountFigures:
    """Read the runs of all instruments of an account. ``tapes`` are by product; the rest is as for :func:`read_run`."""
    chosen = RunList(folder).chosen(()) if chosen is None else chosen
    runs = [
        read_run(
            folder,
            each,
            tapes=tapes.get(each.exchange.product_code, ()),
            journal=journal,
            name=each.exchange.product_code,
            chosen=chosen,
            day=day,
        )
        for each in cfg.by_instrument()
    ]
    calls = sorted(call for run in runs for call in run.calls)
    return AccountFigures(
        name=_name_of(folder, chosen),
        runs=runs,
        risk=cfg.risk,
        limits=limit_use(calls, venue_rules(cfg).limits),
        equity=_added_up(runs),
    )


def _added_up(runs: Sequence[RunFigures]) -> list[tuple[int, Decimal]]:
    """The result of all together after each change of one."""
    changes = sorted(
        (point.ts_ns, number, point.equity) for number, run in enumerate(runs) for point in run.books.points
    )
    last, equity = [Decimal(0)] * len(runs), list[tuple[int, Decimal]]()
    for ts_ns, number, doubled in changes:
        last[number] = runs[number].jpy(doubled)
        equity.append((ts_ns, sum(last, Decimal(0))))
    return equity


def _name_of(folder: Path, chosen: Sequence[Run]) -> str:
    """What runs are called together: the name of an only one, else that of the log folder."""
    is_one = len(chosen) == 1 and chosen[0].record is not None
    return chosen[0].name if is_one else folder.resolve().name


def read_run(
    folder: Path,
    cfg: AppConfig,
    *,
    tapes: Sequence[Path] = (),
    journal: Path | None = None,
    name: str | None = None,
    chosen: Sequence[Run] | None = None,
    day: date | None = None,
) -> RunFigures:
    """Read one instrument of a log folder's newest run, or of the ``chosen`` ones as one, and compute its figures.

    ``day``: only that trading day. Without ``journal``, that of the runs is read, if it is one and there.
    Raises ReportInputError.
    """
    units = cfg.exchange.instrument()
    chosen = _checked(folder, chosen, units.product_code)
    span = None if day is None else TradingCalendar(cfg.session).span(day)
    rows = read_log_rows([run.files.of(units.product_code) for run in chosen], units, span)
    own_prices = prices_in_logs(rows.decisions, rows.fills, units)
    on_paper = any(run.mode in ON_PAPER for run in chosen)
    own = () if on_paper else own_spans(rows.orders, rows.fills, units)
    mids = _mids(rows, cfg, tapes, own)
    story = _read_journal(cfg, journal, chosen, rows)
    fills, end_ns = rows.fills, rows.last_ns

    def mark(ts_ns: int) -> int | None:
        seen = None if mids is None else mids.at(ts_ns)
        return own_prices.at(ts_ns) if seen is None else seen

    payments = payments_in_rows(fills, TradingCalendar(cfg.session))
    timed = waits(rows.orders, rows.decisions, fills)
    calls = calls_of(rows.decisions, units)
    if story is not None:
        payments = story.payments(fills, units)
        timed |= story.waits()
        calls = story.calls()
    books = keep_books(fills, payments, mark, mids, end_ns)
    blocks = [fill.ts_ns // BLOCK_NS for fill in fills]
    trips = [float(units.amount(won)) / 2 for _, won in books.trips]
    return RunFigures(
        name=_name_of(folder, chosen) if name is None else name,
        runs=chosen,
        on_paper=any(on_paper or fill.order_id.startswith(PAPER_PREFIX) for fill in fills),
        units=units,
        rows=rows,
        books=books,
        days=_days(fills, rows.days),
        own_prices=own_prices,
        mids=mids,
        priced=0 if mids is None else sum(mids.before(fill.ts_ns) is not None for fill in fills),
        markouts={} if mids is None else _markouts(fills, mids, units),
        parts=None if mids is None else split(fills, books, mark, mids, SPLIT_HORIZON_NS, end_ns),
        pnl_per_fill=mean_of([float(units.amount(fill.pnl)) for fill in fills], blocks),
        pnl_per_trip=mean_of(trips, [ts_ns // BLOCK_NS for ts_ns, _ in books.trips]),
        trips_won=sum(won > 0 for _, won in books.trips),
        fate=quote_fate(rows.orders, rows.decisions, fills, units),
        reasons=reasons(rows.decisions),
        waits=timed,
        calls=calls,
        limits=limit_use(calls, venue_rules(cfg).limits),
        has_journal=story is not None,
        halts=rows.decisions.filter(pl.col("decision_type") == "halt").height,
        refused=rows.orders.filter((pl.col("action") == "place") & (pl.col("order_id") == "")).height,
    )


def _checked(folder: Path, chosen: Sequence[Run] | None, product: str) -> Sequence[Run]:
    """The chosen runs, or the newest, if they are of this product. Raises ReportInputError."""
    if not folder.is_dir():
        raise ReportInputError(f"{folder}: no such folder; accepted: a log folder of run_live or run_paper")
    chosen = RunList(folder).chosen(()) if chosen is None else chosen
    if not chosen:
        raise ReportInputError(f"{folder}: no runs; accepted: a log folder of run_live or run_paper, or a run's own")
    for run in chosen:
        if run.record is not None and product not in run.record.instruments:
            raise ReportInputError(
                f"run {run.name} is of {' and '.join(run.record.instruments)}, the settings are of "
                f"{product}; name those of the run by --config, or --set exchange.product_code=..."
            )
    return chosen


def _mids(rows: LogRows, cfg: AppConfig, tapes: Sequence[Path], own: Sequence[OwnSpan]) -> MidPath | None:
    if not tapes:
        return None
    until_ns = rows.last_ns + HORIZONS_NS[-1]
    path = mids_of_tapes(tapes, cfg, own=own, from_ns=rows.first_ns, until_ns=until_ns)
    if not any(True for _ in path.between(rows.first_ns - 1, until_ns)) and path.at(rows.first_ns) is None:
        raise ReportInputError(
            f"the tape has nothing of {cfg.exchange.product_code} in the time of {rows.folder}; is it from this run?"
        )
    return path


def _markouts(fills: Sequence[Fill], mids: MidPath, units: Instrument) -> dict[str, list[Estimate | None]]:
    found: dict[str, list[Estimate | None]] = {group: [] for group in GROUPS}
    for horizon_ns in HORIZONS_NS:
        values: dict[str, list[float]] = {group: [] for group in GROUPS}
        blocks: dict[str, list[int]] = {group: [] for group in GROUPS}
        for fill, ticks in markouts(fills, mids, horizon_ns):
            group = group_of(fill)
            values[group].append(ticks / units.ticks_per_one)
            blocks[group].append(fill.ts_ns // BLOCK_NS)
        for group in GROUPS:
            found[group].append(mean_of(values[group], blocks[group]))
    return found


def _days(fills: Sequence[Fill], days: Sequence[str]) -> list[DayFigures]:
    sums = {day: [0, 0, 0] for day in days}
    for fill in fills:
        day = sums.setdefault(utc_day(fill.ts_ns), [0, 0, 0])
        day[0] += 1
        day[1] += fill.size
        day[2] += fill.pnl
    return [DayFigures(day=day, fills=n, volume=lots, pnl=pnl) for day, (n, lots, pnl) in sorted(sums.items())]


# --- The journal ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Story:
    """The journal's content in the time of the logs."""

    facts: list[Fact]
    orders: dict[str, OrderMemo]

    def payments(self, fills: Sequence[Fill], units: Instrument) -> list[Payment]:
        """Funding as booked, including payments without a later fill."""
        found = []
        for fact in self.facts:
            if fact.what == "funding":
                amount = units.to_money(Decimal(fact.detail))
                before = next((at for at, fill in enumerate(fills) if fill.ts_ns > fact.ts_ns), len(fills))
                found.append(Payment(ts_ns=fact.ts_ns, amount=2 * amount, before_fill=before))
        return found

    def waits(self) -> dict[str, list[float]]:
        """Times from sending to acceptance and to registration, and from a cancel to its confirmation."""
        sent = {fact.client_order_id: fact.ts_ns for fact in self.facts if fact.what == "send"}
        asked: dict[str, int] = {}
        found: dict[str, list[float]] = {"place": [], "register": [], "cancel": []}
        for fact in self.facts:
            order = fact.client_order_id
            if order is None:
                continue
            if fact.what == "cancel":
                asked.setdefault(order, fact.ts_ns)
            elif fact.what == "cancelled" and order in asked:
                found["cancel"].append((fact.ts_ns - asked[order]) / NS_PER_MS)
            elif fact.what == "accepted" and order in sent:
                found["place"].append((fact.ts_ns - sent[order]) / NS_PER_MS)
            elif fact.what == "registered" and order in sent:
                found["register"].append((fact.ts_ns - sent[order]) / NS_PER_MS)
        return {name: sorted(spans) for name, spans in found.items() if spans}

    def calls(self) -> list[tuple[int, int, int]]:
        """Requests as sent: stamp, order size in lots, private calls."""
        found: list[tuple[int, int, int]] = []
        for fact in self.facts:
            if fact.what == "send":
                memo = self.orders.get(fact.client_order_id or "")
                found.append((fact.ts_ns, memo.size if memo is not None else 1, 1))
            elif fact.what == "cancel":
                found.append((fact.ts_ns, 0, 1))
            elif fact.what in ("report", "report_failed"):
                found.append((fact.ts_ns, 0, _CALLS_OF_A_REPORT))
        return found


def _journal_of(cfg: AppConfig, runs: Sequence[Run]) -> Path | None:
    """The journal of these runs, if it is there; None if they have none, or not one for all."""
    named = {run.journal for run in runs if run.record is not None}
    for run in runs:
        if run.record is None:
            named.add(journal_path(run.files.journals, cfg.exchange.product_code))
    path = named.pop() if len(named) == 1 else None
    return path if path is not None and path.is_file() else None


def _read_journal(cfg: AppConfig, journal: Path | None, runs: Sequence[Run], rows: LogRows) -> _Story | None:
    path = _journal_of(cfg, runs) if journal is None else journal
    if path is None:
        return None
    try:
        with JournalReader.open(path) as reader:
            of = reader.of(cfg.exchange.product_code)
            facts = list(of.facts(rows.first_ns, rows.last_ns + NS_PER_S))
            orders = {memo.client_order_id: memo for memo in of.orders(rows.first_ns, rows.last_ns + NS_PER_S)}
    except JournalError as error:
        raise ReportInputError(f"the journal cannot be read: {error}") from error
    if not facts and journal is None:
        return None  # another run's: a new embedded exchange has a new journal
    if not facts:
        raise ReportInputError(f"{path} has nothing from the time of {rows.folder}; is it from this run?")
    return _Story(facts=facts, orders={str(name): memo for name, memo in orders.items()})
