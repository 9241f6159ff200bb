"""What ``lighter`` shows: markets, balance, positions and orders as tables of texts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from rich.console import Console

from stall_then_strike.app.shell.wide_table import print_table, text_table
from stall_then_strike.lighter.markets import Markets
from stall_then_strike.types.text import plain, utc_iso


def _show(title: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    table = text_table(title, heads, rows, box=None, padding=(0, 2, 0, 0))
    print_table(Console(highlight=False, markup=False), table)


def show_markets(markets: Markets) -> None:
    """One row for each market."""
    rows = [
        (
            str(market.market_index),
            market.symbol,
            f"{market.instrument.tick_size:f}",
            f"{market.instrument.lot_size:f}",
            f"{market.min_base:f}",
            plain(market.min_quote),
            "open" if market.is_active else "closed",
        )
        for market in markets.all()
    ]
    heads = (">index", "market", ">price step", ">size step", ">least size", ">least USDC", "state")
    _show(f"Markets of {markets.source}, {utc_iso(markets.as_of_ns)[:19]}Z", heads, rows)


def show_balance(balance: Mapping[str, Decimal]) -> None:
    """Collateral and what of it is available."""
    _show("Balance", ("", ">USDC"), [(name.replace("_", " "), f"{value:,f}") for name, value in balance.items()])


def show_positions(positions: Mapping[str, Mapping[str, Any]]) -> None:
    """One row for each position that is not flat."""
    rows = [
        (
            symbol,
            f"{row['size']:+f}",
            str(row.get("avg_entry_price", "")),
            str(row.get("position_value", "")),
            str(row.get("unrealized_pnl", "")),
            str(row.get("liquidation_price", "")),
        )
        for symbol, row in positions.items()
    ]
    if not rows:
        Console().print("no positions")
        return
    _show("Positions", ("market", ">size", ">entry", ">value", ">unrealised", ">liquidation"), rows)


def show_orders(orders: Sequence[Mapping[str, Any]], markets: Markets) -> None:
    """One row for each order; its id is what ``cancel`` and ``modify`` take."""
    if not orders:
        Console().print("no open orders")
        return
    rows = [
        (
            id_of(order),
            _symbol(order, markets),
            side_of(order),
            str(order.get("price", "")),
            str(order.get("initial_base_amount", "")),
            str(order.get("filled_base_amount", "")),
            _terms(order),
        )
        for order in orders
    ]
    _show("Open orders", ("id", "market", "side", ">price", ">size", ">filled", "terms"), rows)


def told(order: Mapping[str, Any], markets: Markets) -> str:
    """One order in one line. The price of a market order is its bound, and what it traded at is another."""
    filled, size, price = order.get("filled_base_amount", "0"), order.get("initial_base_amount", ""), order.get("price")
    at = f"at market, {price} at worst" if order.get("type") == "market" else f"at {price}"
    return (
        f"{_symbol(order, markets)} {side_of(order)} {size} {at}: {order.get('status', '')}, "
        f"{filled} filled{_average(order)}; id {id_of(order)}, order index {order.get('order_index', '')}"
    )


def _average(order: Mapping[str, Any]) -> str:
    """The average price of what was filled, with the decimals of the order's price; empty if nothing was."""
    filled, worth = (Decimal(str(order.get(name) or 0)) for name in ("filled_base_amount", "filled_quote_amount"))
    decimals = str(order.get("price", "")).partition(".")[2]
    return f" at {worth / filled:.{len(decimals)}f} on average" if filled and worth else ""


def id_of(order: Mapping[str, Any]) -> str:
    """What ``cancel`` and ``modify`` take: the client order index, or else the venue's."""
    return str(order.get("client_order_index") or order.get("order_index", ""))


def side_of(order: Mapping[str, Any]) -> str:
    """``buy`` or ``sell``; the venue leaves out what is false."""
    return "sell" if order.get("is_ask") else "buy"


def _symbol(order: Mapping[str, Any], markets: Markets) -> str:
    index = order.get("market_index", 0)
    market = markets.at(index) if isinstance(index, int) else None
    return str(index) if market is None else market.symbol


def _terms(order: Mapping[str, Any]) -> str:
    words = [str(order.get("type", "")) if order.get("type") != "limit" else ""]
    words += [word for word in ("post-only",) if order.get("time_in_force") == word]
    words += ["reduce-only"] if order.get("reduce_only") else []
    return " ".join(word for word in words if word)
