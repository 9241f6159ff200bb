"""Lighter's messages and answers as documented or captured, field by field. Data only: the parsers are in lighter/.

Sources: documentation of WebSocket, REST and data structures of 2026; messages captured in 2025-10 and 2025-12, whose
form of 2026 (microseconds, ``begin_nonce``, ids as texts) is the one expected here. Go's encoder leaves zeros of
optional fields out and may write an empty list as null.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from stall_then_strike.app.contact.assumed.shapes import (
    ANYTHING,
    NUMBER,
    OTHER,
    TEXT,
    WHOLE,
    Fields,
    Flaw,
    Form,
    ListOf,
    Plain,
    like,
    one_of,
)


@dataclass(frozen=True, slots=True)
class MapOf:
    """An object whose keys are numbers of markets or assets, each with one form."""

    item: Form

    @property
    def words(self) -> str:
        """The form of the items."""
        return f"an object by number, each {self.item.words}"

    def flaws(self, value: Any, where: str) -> Iterator[Flaw]:
        """Those of the items, all under the object's name."""
        if not isinstance(value, dict) or not all(key.isdecimal() for key in value):
            yield Flaw(f"{where} {OTHER}", "an object whose keys are numbers", type(value).__name__)
            return
        for item in value.values():
            yield from self.item.flaws(item, where)


@dataclass(frozen=True, slots=True)
class OrNull:
    """A form, or null in place of what is empty."""

    form: Form

    @property
    def words(self) -> str:
        """The form and null."""
        return f"{self.form.words}, or null"

    def flaws(self, value: Any, where: str) -> Iterator[Flaw]:
        """Those of the form."""
        if value is not None:
            yield from self.form.flaws(value, where)


def _stamp(words: str, least: int) -> Plain:
    return Plain(words, lambda value: type(value) is int and (value == 0 or least <= value < 1_000 * least))


def _each(form: Form, *names: str) -> dict[str, Form]:
    return dict.fromkeys(names, form)


def _all(*parts: Mapping[str, Form], optional: tuple[str, ...] = ()) -> Fields:
    return Fields({name: form for part in parts for name, form in part.items()}, optional=frozenset(optional))


SECONDS: Final = _stamp("a time in seconds", 10**9)
MILLIS: Final = _stamp("a time in milliseconds", 10**12)
MICROS: Final = _stamp("a time in microseconds", 10**15)
AMOUNT: Final = like(r"-?\d+(\.\d+)?", "a number as a text")
AMOUNT_OR_EMPTY: Final = like(r"(-?\d+(\.\d+)?)?", "a number as a text, or an empty text")
INTEGER: Final = Plain("a whole number", lambda value: type(value) is int)
FLAG: Final = Plain("true or false", lambda value: type(value) is bool)
DIGITS: Final = like(r"\d+", "a whole number as a text")
OK: Final = Plain("200", lambda value: value == 200)

# --- public channels

LEVEL: Final = Fields({"price": AMOUNT, "size": AMOUNT})
_FRAME: Final = _each(TEXT, "channel", "type")
BOOK: Final = _all(
    _FRAME,
    {"offset": WHOLE, "last_updated_at": MICROS, "timestamp": MILLIS},
    {
        "order_book": _all(
            _each(WHOLE, "code", "offset", "nonce", "begin_nonce"),
            {"last_updated_at": MICROS},
            _each(OrNull(ListOf(LEVEL)), "asks", "bids"),
        )
    },
    optional=("last_updated_at",),
)
_ZEROS: Final = (
    *("taker_fee", "maker_fee", "ask_account_pnl", "bid_account_pnl"),
    *("taker_position_sign_changed", "maker_position_sign_changed"),
)
TRADE: Final = _all(
    _each(INTEGER, "trade_id", "market_id", "ask_id", "bid_id", "ask_client_id", "bid_client_id"),
    _each(INTEGER, "ask_account_id", "bid_account_id", "block_height", "taker_fee", "maker_fee"),
    _each(INTEGER, "taker_initial_margin_fraction_before", "maker_initial_margin_fraction_before"),
    _each(DIGITS, "trade_id_str", "ask_id_str", "bid_id_str", "ask_client_id_str", "bid_client_id_str"),
    _each(AMOUNT, "size", "price", "usd_amount", "ask_account_pnl", "bid_account_pnl"),
    _each(AMOUNT, "taker_position_size_before", "taker_entry_quote_before"),
    _each(AMOUNT, "maker_position_size_before", "maker_entry_quote_before"),
    _each(FLAG, "is_maker_ask", "taker_position_sign_changed", "maker_position_sign_changed"),
    {"tx_hash": like(r"[0-9a-f]+", "hex digits"), "timestamp": MILLIS, "transaction_time": MICROS},
    {"type": one_of(("trade", "liquidation", "deleverage", "market-settlement"))},
    optional=_ZEROS,
)
TRADES: Final = _all(
    _FRAME, {"nonce": WHOLE}, _each(OrNull(ListOf(TRADE)), "trades", "liquidation_trades"), optional=("nonce",)
)
MARKET_STATS: Final = _all(
    {"symbol": TEXT, "market_id": WHOLE, "funding_timestamp": MILLIS},
    _each(AMOUNT, "index_price", "mark_price", "mid_price", "open_interest", "open_interest_limit"),
    _each(AMOUNT, "funding_clamp_small", "funding_clamp_big", "base_interest_rate", "last_trade_price"),
    _each(AMOUNT, "current_funding_rate", "funding_rate"),
    _each(NUMBER, "daily_base_token_volume", "daily_quote_token_volume"),
    _each(NUMBER, "daily_price_low", "daily_price_high", "daily_price_change"),
)
STATS: Final = _all(_FRAME, {"market_stats": MARKET_STATS, "timestamp": MILLIS}, optional=("timestamp",))

# --- the account

STATUSES: Final = (
    *("in-progress", "pending", "open", "filled", "canceled"),
    *(
        f"canceled-{why}"
        for why in (
            *("post-only", "reduce-only", "position-not-allowed", "margin-not-allowed", "too-much-slippage"),
            *("not-enough-liquidity", "self-trade", "expired", "oco", "child", "liquidation", "invalid-balance"),
        )
    ),
)
TYPES: Final = (
    *("limit", "market", "stop-loss", "stop-loss-limit", "take-profit", "take-profit-limit", "twap", "twap-sub"),
    "liquidation",
)
ORDER: Final = _all(
    _each(INTEGER, "order_index", "client_order_index", "market_index", "owner_account_index", "nonce", "base_size"),
    _each(INTEGER, "base_price", "parent_order_index", "block_height", "trigger_time", "order_expiry"),
    _each(AMOUNT, "initial_base_amount", "remaining_base_amount", "filled_base_amount", "filled_quote_amount"),
    _each(AMOUNT, "price", "trigger_price"),
    _each(DIGITS, "order_id", "client_order_id", "parent_order_id", "to_trigger_order_id_0", "to_trigger_order_id_1"),
    _each(DIGITS, "to_cancel_order_id_0", "integrator_fee_collector_index"),
    _each(DIGITS, "integrator_taker_fee", "integrator_maker_fee"),
    _each(FLAG, "is_ask", "reduce_only"),
    {"side": one_of(("buy", "sell")), "type": one_of(TYPES), "status": one_of(STATUSES)},
    {"time_in_force": one_of(("good-till-time", "immediate-or-cancel", "post-only"))},
    {"trigger_status": one_of(("na", "ready", "mark-price", "twap", "parent-order"))},
    _each(MILLIS, "timestamp", "created_at", "updated_at"),
    {"transaction_time": MICROS},
)
POSITION: Final = _all(
    {"market_id": WHOLE, "symbol": TEXT, "sign": Plain("1 or -1", lambda value: value in (1, -1))},
    _each(WHOLE, "open_order_count", "pending_order_count", "position_tied_order_count", "margin_mode"),
    _each(AMOUNT, "initial_margin_fraction", "position", "avg_entry_price", "position_value", "unrealized_pnl"),
    _each(AMOUNT, "realized_pnl", "allocated_margin", "total_discount", "total_funding_paid_out"),
    {"liquidation_price": AMOUNT_OR_EMPTY},
    optional=("total_funding_paid_out",),
)
FUNDING: Final = _all(
    {"timestamp": SECONDS, "market_id": WHOLE, "funding_id": WHOLE, "position_side": one_of(("long", "short"))},
    _each(AMOUNT, "change", "rate", "position_size", "discount"),
)
ASSET: Final = _all(
    {"symbol": TEXT, "asset_id": WHOLE, "margin_mode": TEXT},
    _each(AMOUNT, "balance", "locked_balance", "margin_balance"),
)
_SPANS: Final = ("daily", "weekly", "monthly", "total")
_VOLUMES: Final = (*(f"{span}_trades_count" for span in _SPANS), *(f"{span}_volume" for span in _SPANS))
ACCOUNT_ALL: Final = _all(
    _FRAME,
    {"account": WHOLE, "assets": OrNull(MapOf(ASSET)), "positions": OrNull(MapOf(POSITION)), "shares": ANYTHING},
    {"trades": OrNull(MapOf(OrNull(ListOf(TRADE)))), "funding_histories": OrNull(MapOf(OrNull(ListOf(FUNDING))))},
    _each(NUMBER, *_VOLUMES),
    optional=_VOLUMES,
)
ORDERS: Final = _all(
    _FRAME,
    {"orders": OrNull(MapOf(OrNull(ListOf(ORDER)))), "account": WHOLE, "nonce": WHOLE},
    optional=("account", "nonce"),
)
_MARGIN: Final = _each(
    AMOUNT, "collateral", "portfolio_value", "leverage", "available_balance", "margin_usage", "buying_power"
)
USER_STATS: Final = _all(
    _FRAME,
    {"stats": _all(_MARGIN, {"account_trading_mode": WHOLE}, _each(_all(_MARGIN), "cross_stats", "total_stats"))},
    {"timestamp": MILLIS},
    optional=("timestamp",),
)
TX: Final = _all(
    _each(TEXT, "hash", "info", "event_info", "l1_address", "parent_hash"),
    _each(WHOLE, "type", "status", "transaction_index", "account_index", "nonce", "block_height"),
    _each(WHOLE, "sequence_index", "api_key_index"),
    _each(MILLIS, "expire_at", "queued_at", "executed_at"),
    {"transaction_time": MICROS},
)
TXS: Final = _all(_FRAME, {"txs": OrNull(ListOf(TX))}, optional=("txs",))
FRAMES: Final[Mapping[str, Form]] = {
    "order_book": BOOK,
    "trade": TRADES,
    "market_stats": STATS,
    "account_all": ACCOUNT_ALL,
    "account_all_orders": ORDERS,
    "user_stats": USER_STATS,
    "account_tx": TXS,
}
GREETING: Final = _all({"session_id": TEXT, "type": one_of(("connected",))})
REFUSED: Final = _all({"error": _all({"code": WHOLE, "message": TEXT}), "id": ANYTHING}, optional=("id",))

# --- answers over HTTP

ERROR: Final = _all({"code": WHOLE, "message": TEXT})
_MARKET: Final[Mapping[str, Form]] = {
    **_each(TEXT, "symbol"),
    **_each(WHOLE, "market_id", "base_asset_id", "quote_asset_id"),
    **_each(WHOLE, "supported_size_decimals", "supported_price_decimals", "supported_quote_decimals"),
    **_each(AMOUNT, "taker_fee", "maker_fee", "liquidation_fee"),
    **_each(AMOUNT, "min_base_amount", "min_quote_amount", "order_quote_limit"),
    **_each(FLAG, "is_taker_fee_enabled", "is_maker_fee_enabled"),
    "market_type": one_of(("perp", "spot")),
    "status": one_of(("active", "inactive")),
}
_FEE_FLAGS: Final = ("is_taker_fee_enabled", "is_maker_fee_enabled")
_BOOK_ORDER: Final = _all(
    _each(WHOLE, "order_index", "owner_account_index", "order_expiry"),
    {"order_id": DIGITS, "transaction_time": MICROS},
    _each(AMOUNT, "initial_base_amount", "remaining_base_amount", "price"),
)
_CANDLE: Final = _all({"t": MILLIS, "i": WHOLE}, _each(NUMBER, "o", "h", "l", "c", "v", "V"))
ANSWERS: Final[Mapping[str, Form]] = {
    "status": _all({"status": OK, "network_id": WHOLE, "timestamp": SECONDS}),
    "orderBooks": _all({"code": OK, "order_books": ListOf(_all(_MARKET, optional=_FEE_FLAGS))}),
    "orderBookOrders": _all(
        {"code": OK}, _each(WHOLE, "total_asks", "total_bids"), _each(OrNull(ListOf(_BOOK_ORDER)), "asks", "bids")
    ),
    "recentTrades": _all({"code": OK, "trades": OrNull(ListOf(TRADE))}),
    "candles": _all({"code": OK, "r": TEXT, "c": OrNull(ListOf(_CANDLE))}),
    "fundings": _all(
        {"code": OK, "resolution": TEXT},
        {
            "fundings": OrNull(
                ListOf(
                    _all(
                        {"timestamp": SECONDS, "direction": one_of(("long", "short"))},
                        _each(AMOUNT, "value", "rate"),
                    )
                )
            )
        },
    ),
    "nextNonce": _all({"code": OK, "nonce": WHOLE}, optional=("nonce",)),
    "accountActiveOrders": _all({"code": OK, "orders": OrNull(ListOf(ORDER))}),
    "accountInactiveOrders": _all(
        {"code": OK, "orders": OrNull(ListOf(ORDER)), "next_cursor": TEXT}, optional=("next_cursor",)
    ),
    "trades": _all({"code": OK, "trades": OrNull(ListOf(TRADE)), "next_cursor": TEXT}, optional=("next_cursor",)),
    "positionFunding": _all(
        {"code": OK, "position_fundings": OrNull(ListOf(FUNDING)), "next_cursor": TEXT}, optional=("next_cursor",)
    ),
}
"""Of calls whose whole answer is documented. What is read of the others is judged by the parsers."""
