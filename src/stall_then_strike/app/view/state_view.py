"""A journal for the operator: values in the instrument's assets, as tables of 80 columns and as a JSON object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from stall_then_strike.app.view.panel import UNKNOWN, jpy, price
from stall_then_strike.config.models import AppConfig
from stall_then_strike.engine.portfolio import MONEY_PER_ONE
from stall_then_strike.engine.venue.calendar import TradingCalendar
from stall_then_strike.infra.journal.halt import newest, remembered
from stall_then_strike.infra.journal.reader import JournalReader
from stall_then_strike.types.dto import CoreMemo
from stall_then_strike.types.instrument import base_of, quote_of
from stall_then_strike.types.text import plain, utc_iso

FILLS_SHOWN: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Halt:
    """A remembered halt."""

    reason: str
    ts_ns: int
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Position and result of the remembered trading day, marked to the last known mid."""

    as_of_ns: int
    day: str
    is_today: bool
    """Whether that trading day is today's."""
    position: Decimal
    """Base asset, signed."""
    avg_price: Decimal | None
    """Quote currency."""
    pnl_jpy: Decimal
    realised_jpy: Decimal
    drawdown_jpy: Decimal
    max_drawdown_jpy: Decimal
    since_resume_jpy: Decimal
    """Result since the last resume, which the day's loss limit applies to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveOrder:
    """An order that is not known to have ended."""

    sent_ns: int
    name: str
    order_id: str
    side: str
    price: Decimal | None
    """Quote currency; None at market."""
    size: Decimal
    remaining: Decimal
    state: str
    tag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """A fill."""

    ts_ns: int
    exec_id: int
    side: str
    price: Decimal
    size: Decimal
    pnl_jpy: Decimal
    inventory_after: Decimal
    tag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StateView:
    """Everything that ``state show`` shows."""

    path: Path
    product_code: str
    account: str
    version: int
    size_bytes: int
    order_rows: int
    fill_rows: int
    fact_rows: int
    held_by: str | None
    halt: Halt | None
    result: Result | None
    """None before the core has written one."""
    orders: tuple[LiveOrder, ...]
    fills: tuple[Fill, ...]


def take_view(journal: JournalReader, cfg: AppConfig, now_ns: int) -> StateView:
    """Read what a journal remembers of the instrument of ``cfg``. Raises JournalError."""
    units = cfg.exchange.instrument()
    reader = journal.of(units.product_code)
    info, memo = reader.info(), reader.memo()
    halted, halt = newest(reader.account_memo(), memo), None
    if halted is not None and halted.halted is not None:
        halt = Halt(reason=halted.halted.label, ts_ns=halted.halt_ns, detail=halted.halt_detail)
    return StateView(
        path=info.path,
        product_code=units.product_code,
        account=info.account,
        version=info.version,
        size_bytes=info.size_bytes,
        order_rows=info.orders,
        fill_rows=info.fills,
        fact_rows=info.facts,
        held_by=info.held_by,
        halt=halt,
        result=None if memo is None else _result(memo, cfg, TradingCalendar(cfg.session).day(now_ns).isoformat()),
        orders=tuple(
            LiveOrder(
                sent_ns=order.sent_ns,
                name=order.client_order_id,
                order_id=order.order_id or "",
                side=order.side.value,
                price=None if order.price is None else units.price(order.price),
                size=units.size(order.size),
                remaining=units.size(max(0, order.size - order.executed)),
                state=order.state,
                tag=order.tag,
            )
            for order in reader.live_orders()
        ),
        fills=tuple(
            Fill(
                ts_ns=fill.row.ts_ns,
                exec_id=fill.exec_id,
                side=fill.row.side.value,
                price=units.price(fill.row.price),
                size=units.size(fill.row.size),
                pnl_jpy=units.amount(fill.row.pnl_jpy),
                inventory_after=units.size(fill.row.inventory_after),
                tag=fill.row.tag,
            )
            for fill in reader.newest_fills(FILLS_SHOWN)
        ),
    )


def _result(memo: CoreMemo, cfg: AppConfig, today: str) -> Result:
    units, state = cfg.exchange.instrument(), remembered(cfg, memo)
    return Result(
        as_of_ns=memo.ts_ns,
        day=memo.day,
        is_today=memo.day == today,
        position=units.size(memo.inventory.position),
        avg_price=units.price(state.avg_price) if state.size else None,
        pnl_jpy=units.amount(state.pnl_today_jpy),
        realised_jpy=units.amount(state.realised_today_jpy),
        drawdown_jpy=units.amount(state.drawdown_jpy),
        max_drawdown_jpy=units.amount(state.max_drawdown_jpy),
        since_resume_jpy=units.amount(state.pnl_today_jpy - memo.pnl_base),
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
    halt, result = view.halt, view.result
    return {
        "journal": {
            "path": str(view.path),
            "product_code": view.product_code,
            "account": view.account,
            "version": view.version,
            "size_bytes": view.size_bytes,
            "orders": view.order_rows,
            "fills": view.fill_rows,
            "facts": view.fact_rows,
            "running": view.held_by is not None,
            "held_by": view.held_by,
        },
        "halt": None if halt is None else {"reason": halt.reason, "ts": utc_iso(halt.ts_ns), "detail": halt.detail},
        "day": None
        if result is None
        else {
            "day": result.day,
            "is_today": result.is_today,
            "as_of": utc_iso(result.as_of_ns),
            "position_btc": plain(result.position),
            "avg_price": None if result.avg_price is None else plain(result.avg_price),
            "pnl_jpy": plain(result.pnl_jpy),
            "realised_jpy": plain(result.realised_jpy),
            "since_resume_jpy": plain(result.since_resume_jpy),
            "drawdown_jpy": plain(result.drawdown_jpy),
            "max_drawdown_jpy": plain(result.max_drawdown_jpy),
        },
        "live_orders": [
            {
                "sent": utc_iso(order.sent_ns),
                "client_order_id": order.name,
                "order_id": order.order_id or None,
                "side": order.side,
                "price": None if order.price is None else plain(order.price),
                "size": plain(order.size),
                "remaining": plain(order.remaining),
                "state": order.state,
                "tag": order.tag,
            }
            for order in view.orders
        ],
        "last_fills": [
            {
                "ts": utc_iso(fill.ts_ns),
                "exec_id": fill.exec_id,
                "side": fill.side,
                "price": plain(fill.price),
                "size": plain(fill.size),
                "pnl_jpy": plain(fill.pnl_jpy),
                "inventory_after": plain(fill.inventory_after),
                "tag": fill.tag,
            }
            for fill in view.fills
        ],
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
            f"last fills ({len(view.fills)} of {view.fill_rows:,})",
            ("time", "side", ">size", ">price", f">PnL {quote_of(view.product_code)}", ">position", "tag"),
            [
                (
                    _moment(fill.ts_ns),
                    fill.side,
                    plain(fill.size),
                    price(fill.price),
                    jpy(fill.pnl_jpy),
                    plain(fill.inventory_after),
                    fill.tag,
                )
                for fill in view.fills
            ],
        ),
    )


def _figures(view: StateView) -> list[tuple[str, Text]]:
    halt, result = view.halt, view.result
    if halt is None:
        first = Text("not halted", style="green")
    else:
        first = Text.assemble((f" HALTED: {halt.reason} ", "bold white on red"), f"  since {_moment(halt.ts_ns)}")
    figures = [("state", first)]
    if halt is not None and halt.detail:
        figures.append(("", Text(halt.detail)))
    figures.append(("running", Text(view.held_by or "no", style="bold" if view.held_by else "")))
    if result is None:
        figures.append(("result", Text("nothing remembered yet")))
    else:
        quote = quote_of(view.product_code)
        held = f"{plain(result.position)} {base_of(view.product_code)}"
        if result.avg_price is not None:
            held += f" at {price(result.avg_price)}"
        pnl = f"{jpy(result.pnl_jpy)} {quote}, realised {jpy(result.realised_jpy)}"
        since = ""
        if result.since_resume_jpy != result.pnl_jpy:
            since = " since the last resume"
            pnl += f",{since} {jpy(result.since_resume_jpy)}"
        figures += [
            ("as of", Text(_moment(result.as_of_ns))),
            ("trading day", Text((result.day or UNKNOWN) + ("" if result.is_today else " (over)"))),
            ("position", Text(held)),
            ("day's PnL", Text(pnl)),
            (
                "drawdown",
                Text(f"{jpy(result.drawdown_jpy)} {quote}{since}, the day's deepest {jpy(result.max_drawdown_jpy)}"),
            ),
        ]
    size = f"{view.size_bytes / 1e6:,.1f} MB"
    rows = f"{view.order_rows:,} orders, {view.fill_rows:,} fills, {view.fact_rows:,} facts"
    return [
        *figures,
        ("journal", Text(str(view.path))),
        ("", Text(f"{view.product_code}, account {view.account}, version {view.version}")),
        ("", Text(f"{size}, {rows}")),
    ]


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> RenderableType:
    """A table; columns whose names start with ``>`` are right-aligned."""
    table = Table(title=title, title_justify="left", title_style="bold", border_style="blue", box=None, pad_edge=False)
    for column in columns:
        is_right = column.startswith(">")
        table.add_column(
            column.lstrip(">"), justify="right" if is_right else "left", no_wrap=True, header_style="bright_black"
        )
    for row in rows:
        table.add_row(*map(Text, row))
    return Group("", table) if rows else Text(f"\n{title.partition(' (')[0]}: none", style="bold")


def _moment(ts_ns: int) -> str:
    """A stamp without its year: ``11-21 07:30:13.123``."""
    return utc_iso(ts_ns)[5:23].replace("T", " ")
