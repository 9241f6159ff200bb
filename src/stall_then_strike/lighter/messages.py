"""The messages of Lighter's WebSocket as values. Nothing is lost: fields that are not named here are kept as extras.

The wire of 2025 and that of 2026 are both read: fields that came later are optional. Absent means zero (Go leaves zeros
out), a null list means an empty one, and in an update of an account an empty or absent map means *unchanged*.

Venue facts (captured messages of 2025-10 and 2025-12, documentation of 2026): a request names ``order_book/0``, its
answers ``order_book:0``; the first message of a subscription has the type ``subscribed/<channel>``, later ones
``update/<channel>``. Prices, sizes and amounts are texts; daily figures of market statistics are floats. Time stamps
are seconds, milliseconds or microseconds, each field its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

_LONGEST_NUMBER: Final = 40


def steps(value: Any, decimals: int) -> int:
    """A price or size of the wire as a whole number of steps of 10^-decimals. Raises ValueError unless it is one.

    The venue writes all decimals of the market, so that the text without its point is the number of steps.
    """
    if type(value) is str and len(value) <= _LONGEST_NUMBER:
        whole, _, part = value.partition(".")
        if (digits := whole + part).isdecimal():
            if len(part) == decimals:
                return int(digits)
            if not part[decimals:].strip("0"):
                return int(whole + part[:decimals].ljust(decimals, "0"))
    raise ValueError(f"{str(value)[:_LONGEST_NUMBER]!r} is not a number with at most {decimals} decimals")


WireNumber = Annotated[Decimal, Field(max_digits=60)]
"""A number of the wire. A text like 1E+999999 is none: to compute with it would take minutes, or overflow."""
WIRE_NUMBER: Final = TypeAdapter[Decimal](WireNumber)
"""Reads one on its own. Raises ValidationError."""

Amount = WireNumber | Literal[""]
"""An amount that may be empty text: no liquidation price, no best price."""


class Wire(BaseModel):
    """A value of the venue. Fields that are absent on the wire are not set."""

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False)


class Level(Wire):
    """One price of a book. ``size`` is absolute; zero deletes the level."""

    price: WireNumber
    size: WireNumber


class Book(Wire):
    """The whole book, or its changed levels, which may be in any order.

    An update continues the message before it if its ``begin_nonce`` is that message's ``nonce``.
    """

    asks: list[Level] | None = None
    bids: list[Level] | None = None
    offset: int = 0
    nonce: int = 0
    begin_nonce: int | None = None
    """None before 2026; zero in a snapshot."""
    last_updated_at: int | None = None
    """Microseconds."""


class Trade(Wire):
    """One trade. Tell trades apart by ``trade_id``: all trades of one taker share its hash."""

    trade_id: int
    market_id: int
    price: WireNumber
    size: WireNumber
    usd_amount: WireNumber = Decimal(0)
    ask_id: int = 0
    bid_id: int = 0
    ask_client_id: int = 0
    bid_client_id: int = 0
    ask_account_id: int = 0
    bid_account_id: int = 0
    is_maker_ask: bool = False
    """True: the buyer took."""
    type: str = "trade"
    tx_hash: str = ""
    timestamp: int = 0
    """Milliseconds."""
    taker_fee: int = 0
    """In millionths of the quote amount."""
    maker_fee: int = 0
    block_height: int = 0

    def order_of(self, account: int) -> str:
        """The name of an account's order in this trade, as `Order.name` tells it."""
        if account == self.bid_account_id:
            return str(self.bid_client_id or self.bid_id)
        return str(self.ask_client_id or self.ask_id)

    def side_of(self, account: int) -> Literal["buy", "sell"] | None:
        """What an account did in this trade; None if it was not part of it."""
        if account == self.bid_account_id:
            return "buy"
        return "sell" if account == self.ask_account_id else None

    def fee_of(self, account: int) -> Decimal:
        """The fee that an account paid, in USDC."""
        return self.usd_amount * (self.maker_fee if self.is_maker(account) else self.taker_fee) / 1_000_000

    def is_maker(self, account: int) -> bool:
        """Whether an account's order of this trade rested."""
        return (account == self.ask_account_id) == self.is_maker_ask


class Order(Wire):
    """One order of the account."""

    order_index: int
    client_order_index: int = 0
    market_index: int = 0
    owner_account_index: int = 0
    initial_base_amount: WireNumber
    remaining_base_amount: WireNumber = Decimal(0)
    filled_base_amount: WireNumber = Decimal(0)
    filled_quote_amount: WireNumber = Decimal(0)
    price: WireNumber
    trigger_price: WireNumber = Decimal(0)
    is_ask: bool = False
    type: str = "limit"
    time_in_force: str = ""
    reduce_only: bool = False
    status: str
    """open, pending, in-progress, filled, canceled, or canceled- with a reason."""
    nonce: int = 0
    """Its number in the book of its market."""
    order_expiry: int = 0
    """Milliseconds."""
    timestamp: int = 0
    """Seconds in 2025, milliseconds in 2026."""
    created_at: int = 0
    """The same."""

    @property
    def name(self) -> str:
        """Its client order index if it has one, or else its order index; cancels take either."""
        return str(self.client_order_index or self.order_index)

    @property
    def is_over(self) -> bool:
        """Whether it can trade no more."""
        return self.status == "filled" or self.status.startswith("canceled")


class Position(Wire):
    """A position. ``position`` is unsigned."""

    market_id: int
    symbol: str = ""
    sign: int = 1
    position: WireNumber
    avg_entry_price: WireNumber = Decimal(0)
    position_value: WireNumber = Decimal(0)
    unrealized_pnl: WireNumber = Decimal(0)
    realized_pnl: WireNumber = Decimal(0)
    liquidation_price: Amount = ""
    initial_margin_fraction: WireNumber = Decimal(0)
    """Percent."""
    margin_mode: object = 0
    """0 is cross, 1 isolated."""
    open_order_count: int = 0

    @property
    def size(self) -> Decimal:
        """Signed size."""
        return -self.position if self.sign < 0 else self.position


class MarketStats(Wire):
    """Prices and funding of a market. Rates are percent an hour."""

    market_id: int
    index_price: WireNumber = Decimal(0)
    mark_price: WireNumber = Decimal(0)
    mid_price: WireNumber | None = None
    """Since 2026."""
    last_trade_price: WireNumber = Decimal(0)
    open_interest: WireNumber = Decimal(0)
    current_funding_rate: WireNumber = Decimal(0)
    """Estimate of the next."""
    funding_rate: WireNumber = Decimal(0)
    """The last that was paid, at ``funding_timestamp`` (milliseconds)."""
    funding_timestamp: int = 0


class Stats(Wire):
    """Margin figures of the account, in USDC; ratios in percent."""

    collateral: WireNumber
    portfolio_value: WireNumber = Decimal(0)
    leverage: WireNumber = Decimal(0)
    available_balance: WireNumber = Decimal(0)
    margin_usage: WireNumber = Decimal(0)
    buying_power: WireNumber = Decimal(0)


class Asset(Wire):
    """A balance."""

    symbol: str = ""
    asset_id: int = 0
    balance: WireNumber = Decimal(0)
    locked_balance: WireNumber = Decimal(0)


class Funding(Wire):
    """A payment of funding; ``change`` is in USDC, positive when received."""

    funding_id: int
    market_id: int = 0
    change: WireNumber
    timestamp: int = 0
    """Seconds."""


class Transaction(Wire):
    """A transaction of the account, after its execution. ``info`` and ``event_info`` are JSON texts."""

    hash: str
    type: int
    status: int = 0
    """0 failed, 1 pending, 2 executed, 3 final."""
    nonce: int = 0
    api_key_index: int = 0
    info: str = ""
    event_info: str = ""


# --- frames ----------------------------------------------------------------------------------------------------------


class Frame(Wire):
    """A message of a channel."""

    type: str
    channel: str = ""

    @property
    def is_snapshot(self) -> bool:
        """Whether it is the first of its subscription."""
        return self.type.startswith("subscribed/")

    @property
    def kind(self) -> str:
        """The channel's kind: ``order_book``."""
        return self.type.partition("/")[2] or self.type


class BookFrame(Frame):
    """order_book."""

    order_book: Book
    timestamp: int = 0
    """Milliseconds."""


class TradesFrame(Frame):
    """trade. Identifiers are not sorted."""

    trades: list[Trade] | None = None
    liquidation_trades: list[Trade] | None = None
    nonce: int = 0

    def all(self) -> list[Trade]:
        """Trades and liquidations."""
        return [*(self.trades or ()), *(self.liquidation_trades or ())]


class MarketStatsFrame(Frame):
    """market_stats and spot_market_stats, of one market or of all: then a map, in updates with changed markets only."""

    market_stats: MarketStats | dict[str, MarketStats] | None = None
    spot_market_stats: MarketStats | dict[str, MarketStats] | None = None

    def all(self) -> list[MarketStats]:
        """The markets in this message."""
        given = self.market_stats if self.market_stats is not None else self.spot_market_stats
        if given is None:
            return []
        return [given] if isinstance(given, MarketStats) else list(given.values())


class AccountFrame(Frame):
    """account_all and account_all_positions. A map that is empty or absent means unchanged, not flat."""

    account: int | None = None
    positions: dict[str, Position] | None = None
    trades: dict[str, list[Trade]] | list[Trade] | None = None
    assets: dict[str, Asset] | None = None
    funding_histories: dict[str, list[Funding] | None] | None = None

    def all_fundings(self) -> list[Funding]:
        """The payments of funding in this message."""
        return [paid for fundings in (self.funding_histories or {}).values() for paid in fundings or ()]

    def all_trades(self) -> list[Trade]:
        """The account's trades in this message."""
        if isinstance(self.trades, dict):
            return [trade for trades in self.trades.values() for trade in trades or ()]
        return list(self.trades or ())


class OrdersFrame(Frame):
    """account_all_orders and account_orders. A snapshot has the open orders, an update changed ones, ended ones too."""

    orders: dict[str, list[Order] | None] | None = None
    account: int | None = None
    nonce: int | None = None

    def all(self) -> list[Order]:
        """The orders in this message."""
        return [order for orders in (self.orders or {}).values() for order in orders or ()]


class StatsFrame(Frame):
    """user_stats."""

    stats: Stats


class TransactionsFrame(Frame):
    """account_tx; the first message has no list."""

    txs: list[Transaction] | None = None


class ErrorDetail(Wire):
    """The venue's code and words."""

    code: int = 0
    message: str = ""


class ErrorFrame(Wire):
    """A refusal. ``id`` is that of a transaction's message, if the venue could read it."""

    error: ErrorDetail
    id: str | None = None


AnyFrame = Frame | ErrorFrame

_BY_KIND: Final[Mapping[str, type[Frame]]] = {
    "order_book": BookFrame,
    "trade": TradesFrame,
    "market_stats": MarketStatsFrame,
    "spot_market_stats": MarketStatsFrame,
    "account_all": AccountFrame,
    "account_market": AccountFrame,
    "account_all_positions": AccountFrame,
    "account_all_trades": AccountFrame,
    "account_all_assets": AccountFrame,
    "account_all_orders": OrdersFrame,
    "account_orders": OrdersFrame,
    "user_stats": StatsFrame,
    "account_tx": TransactionsFrame,
}


class UnreadableFrame(ValueError):
    """A message that has not the form of its type. The text names the fields, not their values."""


def read_frame(message: Mapping[str, Any]) -> AnyFrame:
    """A decoded message as a value; a plain `Frame` with extras if its type has no class. Raises UnreadableFrame."""
    kind = str(message.get("type", ""))
    chosen: type[AnyFrame] = ErrorFrame if "error" in message else _BY_KIND.get(kind.partition("/")[2], Frame)
    try:
        return chosen.model_validate(message)
    except ValidationError as error:
        where = "; ".join(f"{'.'.join(map(str, part['loc']))}: {part['type']}" for part in error.errors()[:5])
        raise UnreadableFrame(f"{kind or 'message'}: {where}") from None
