"""What is shown and logged: frozen states, decisions, log rows.

Rows are NamedTuples, because a replay makes several for every strike and a frozen dataclass takes four times as long.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from stall_then_strike.types.actions import Action, TimeInForce
from stall_then_strike.types.instrument import NO_PRICE, Lots, Money, Ticks
from stall_then_strike.types.names import Reason, Side


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryState:
    """The position and the trading day's result, as shown and logged."""

    side: str
    """``flat``, ``long`` or ``short``."""
    size: Lots
    avg_price: Ticks
    """Average entry price, rounded to the nearest tick for display. The accounting keeps the exact cost."""
    pnl_today_jpy: Money
    """Realised and marked to the mid since the day began, fees and funding included."""
    realised_today_jpy: Money
    max_drawdown_jpy: Money
    """Deepest fall from the day's peak, zero or negative."""
    drawdown_jpy: Money
    """Present fall from the day's peak, zero or negative."""


class DecisionMeta(NamedTuple):
    """What was decided and why. Zero stands for a price that the decision does not have."""

    decision_type: str
    """``strike``, ``cancel``, ``close``, ``halt``, ``resume`` or ``hold``."""
    reason: Reason
    entry_bid: Ticks = NO_PRICE
    entry_ask: Ticks = NO_PRICE


class TradeLogRow(NamedTuple):
    """One fill, with its effect on the day."""

    ts_ns: int
    order_id: str
    side: Side
    price: Ticks
    size: Lots
    fee: Money
    tag: str
    pnl_jpy: Money
    """Realised by this fill, after its fee."""
    pnl_cum_jpy: Money
    """Realised in the trading day so far, fees and funding included."""
    inventory_after: Lots
    """Signed."""


class OrderLogRow(NamedTuple):
    """One fact about an order: ``place`` (accepted or refused), ``cancel`` (confirmed) or ``expire``."""

    ts_ns: int
    action: str
    order_id: str
    client_order_id: str
    side: Side
    price: Ticks
    """Zero for a market order."""
    size: Lots
    tif: TimeInForce
    ttl_ms: int
    """Zero if none applies."""
    tag: str
    reason: str


class DecisionLogRow(NamedTuple):
    """One decision: an action, or a change of the reason for doing nothing."""

    ts_ns: int
    best_age_ms: int
    spread_ticks: int
    inventory: Lots
    """Signed."""
    decision_type: str
    entry_bid_px: Ticks
    entry_ask_px: Ticks
    actions: tuple[Action, ...]
    reason: Reason


class Notice(NamedTuple):
    """A line for the operator's runtime log. ``level`` is a loguru level name."""

    ts_ns: int
    level: str
    text: str


Row = TradeLogRow | OrderLogRow | DecisionLogRow | Notice
