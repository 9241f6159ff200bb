"""A journal for the operator: values in the instrument's assets, as tables of 80 columns and as a JSON object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from stall_then_strike.app.shell.wide_table import text_table
from stall_then_strike.app.view.amounts import UNKNOWN, price
from stall_then_strike.app.view.snapshot import DayFigures, Fill, Halt, LiveOrder, as_plain, price_of
from stall_then_strike.config.models import AppConfig
from stall_then_strike.engine.portfolio import MONEY_PER_ONE
from stall_then_strike.engine.venue.account import TAKEN_TAG
from stall_then_strike.engine.venue.calendar import TradingCalendar
from stall_then_strike.infra.journal.halt import newest, remembered
from stall_then_strike.infra.journal.reader import JournalInfo, JournalReader
from stall_then_strike.types.dto import CoreMemo
from stall_then_strike.types.instrument import Instrument
from stall_then_strike.types.text import money, plain, utc_iso

FILLS_SHOWN: Final = 10
_KEYS: Final = {"position": "position_btc"} | {
    name: f"{name}_jpy" for name in ("pnl", "realised", "since_resume", "drawdown", "max_drawdown")
}
"""Keys of the JSON object that are named as in the CSV logs, whatever the assets are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result(DayFigures):
    """Position and result of the remembered trading day, marked to the last known mid."""

    day: str
    is_today: bool
    """Whether that trading day is today's."""
    as_of_ns: int
    position: Decimal
    """Base asset, signed."""
    avg_price: Decimal | None
    since_resume: Decimal
    """Result since the last resume, which the day's loss limit applies to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberedFill(Fill):
    """A fill, with the venue's number of it."""

    exec_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StateView:
    """Everything that ``state show`` shows."""

    journal: JournalInfo
    instrument: Instrument
    halt: Halt | None
    is_paused: bool
    """Whether the next run begins paused, as the operator left the last one."""
    result: Result | None
    """None before the core has written one."""
    orders: tuple[LiveOrder, ...]
    fills: tuple[NumberedFill, ...]


def take_view(journal: JournalReader, cfg: AppConfig, now_ns: int) -> StateView:
    """Read what a journal remembers of the instrument of ``cfg``. Raises JournalError."""
    units = cfg.exchange.instrument()
    reader = journal.of(units.product_code)
    memo = reader.memo()
    halted, halt = newest(reader.account_memo(), memo), None
    is_paused = halted is not None and halted.paused is not None
    if halted is not None and halted.halted is not None:
        halt = Halt(reason=halted.halted.label, ts_ns=halted.halt_ns, detail=halted.halt_detail)
    return StateView(
        journal=reader.info(),
        instrument=units,
        halt=halt,
        is_paused=is_paused,
        result=None if memo is None else _result(reader, memo, cfg, now_ns),
        orders=tuple(LiveOrder.of(order, units) for order in reader.live_orders()),
        fills=tuple(
            NumberedFill.of(fill.row, units, exec_id=fill.exec_id) for fill in reader.newest_fills(FILLS_SHOWN)
        ),
    )


def _result(reader: JournalReader, memo: CoreMemo, cfg: AppConfig, now_ns: int) -> Result:
    units, state, calendar = cfg.exchange.instrument(), remembered(cfg, memo), TradingCalendar(cfg.session)
    today = calendar.day(now_ns).isoformat()
    span = calendar.span(date.fromisoformat(memo.day)) if memo.day else (0, 0)
    return Result.of(
        state,
        units,
        fills=sum(fill.row.tag != TAKEN_TAG for fill in reader.fills(*span)),
        day=memo.day,
        is_today=memo.day == today,
        as_of_ns=memo.ts_ns,
        position=units.size(memo.inventory.position),
        avg_price=price_of(units, state.avg_price) if state.size else None,
        since_resume=units.amount(state.pnl_today_jpy - memo.pnl_base),
    )


def account_result(memo: CoreMemo) -> dict[str, Decimal]:
    """The day's result of several instruments together, by name, in the quote currency."""
    held = memo.inventory
    figures = {
        "day": held.realised,
        "realised": held.realised - held.realised_at_roll,
        "drawdown": held.realised - held.peak,
        "deepest drawdown": held.max_drawdown,
        "since the last resume": held.realised - memo.pnl_base,
    }
    return {name: Decimal(amount) / MONEY_PER_ONE for name, amount in figures.items()}


# --- JSON -------------------------------------------------------------------------------------------------------------


def as_json(view: StateView) -> dict[str, Any]:
    """The view for programs: decimals and stamps as in the CSV logs, null for missing values."""
    info = view.journal
    return {
        "journal": {
            "path": str(info.path),
            "product_code": view.instrument.product_code,
            **{name: getattr(info, name) for name in ("account", "version", "size_bytes", "orders", "fills", "facts")},
            "running": info.held_by is not None,
            "held_by": info.held_by,
        },
        "halt": as_plain(view.halt),
        "paused": view.is_paused,
        "day": as_plain(view.result, _KEYS),
        "live_orders": as_plain(view.orders),
        "last_fills": as_plain(view.fills, _KEYS),
    }


# --- On a screen ------------------------------------------------------------------------------------------------------


def render(view: StateView) -> RenderableType:
    """Tables that fit 80 columns. Times in UTC."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="bright_black", no_wrap=True)
    facts.add_column(overflow="fold")
    for label, value in _figures(view):
        facts.add_row(label, value)
    return Group(
        facts,
        _table(
            f"live orders ({len(view.orders)})",
            ("sent", "side", ">size", ">left", ">price", "state", "tag"),
            [
                (
                    _moment(order.sent_ns),
                    order.side,
                    plain(order.size),
                    plain(order.remaining),
                    "market" if order.price is None else price(order.price),
                    order.state,
                    order.tag,
                )
                for order in view.orders
            ],
        ),
        _table(
            f"last fills ({len(view.fills)} of {view.journal.fills:,} in the journal)",
            ("time", "side", ">size", ">price", f">PnL {view.instrument.quote}", ">position", "tag"),
            [
                (
                    _moment(fill.ts_ns),
                    fill.side,
                    plain(fill.size),
                    price(fill.price),
                    money(fill.pnl),
                    plain(fill.inventory_after),
                    fill.tag,
                )
                for fill in view.fills
            ],
        ),
    )


def _figures(view: StateView) -> list[tuple[str, Text]]:
    halt, result, info = view.halt, view.result, view.journal
    if halt is None:
        first = Text("not halted", style="green")
    else:
        first = Text.assemble((f" HALTED: {halt.reason} ", "bold white on red"), f"  since {_moment(halt.ts_ns)}")
    figures = [("state", first)]
    if halt is not None and halt.detail:
        figures.append(("", Text(halt.detail)))
    if view.is_paused:
        figures.append(("", Text("PAUSED by the operator; `ctl resume` in a run ends that", style="yellow")))
    figures.append(("running", Text(info.held_by or "no", style="bold" if info.held_by else "")))
    if result is None:
        figures.append(("result", Text("nothing remembered yet")))
    else:
        quote = view.instrument.quote
        held = f"{plain(result.position)} {view.instrument.base}"
        if result.avg_price is not None:
            held += f" at {price(result.avg_price)}"
        pnl = f"{money(result.pnl)} {quote}, realised {money(result.realised)}"
        since = ""
        if result.since_resume != result.pnl:
            since = " since the last resume"
            pnl += f",{since} {money(result.since_resume)}"
        figures += [
            ("as of", Text(_moment(result.as_of_ns))),
            ("trading day", Text((result.day or UNKNOWN) + ("" if result.is_today else " (over)"))),
            ("position", Text(held)),
            ("day's PnL", Text(pnl)),
            ("day's fills", Text(f"{result.fills:,}")),
            (
                "drawdown",
                Text(f"{money(result.drawdown)} {quote}{since}, the day's deepest {money(result.max_drawdown)}"),
            ),
        ]
    size = f"{info.size_bytes / 1e6:,.1f} MB"
    rows = f"{info.orders:,} orders, {info.fills:,} fills, {info.facts:,} facts"
    return [
        *figures,
        ("journal", Text(str(info.path))),
        ("", Text(f"{view.instrument.product_code}, account {info.account}, version {info.version}")),
        ("", Text(f"{size}, {rows}")),
    ]


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> RenderableType:
    if not rows:
        return Text(f"\n{title.partition(' (')[0]}: none", style="bold")
    look = {"title_style": "bold", "header_style": "bold bright_black", "box": None, "pad_edge": False}
    return Group("", text_table(title, columns, rows, **look))


def _moment(ts_ns: int) -> str:
    """A stamp without its year: ``11-21 07:30:13.123``."""
    return utc_iso(ts_ns)[5:23].replace("T", " ")
