"""Orders, trades and transactions as the venue shows them: frozen records, replaced when something changes. Pure.

Times are nanoseconds since the epoch unless a name says otherwise. Numbers and words of statuses, types and times in
force: the venue's documentation of 2026 and captured messages.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, unique
from typing import Final

from stall_then_strike.types.dto import NS_PER_MS

MARKET_STRIDE: Final = 2**48
"""An order index is (market + 1) times this, plus the order's number in its market."""
_LONGEST_MS: Final = 28 * 86_400_000


class Worded(IntEnum):
    """A number that has a word on the wire: the member's name in lower case, with hyphens."""

    @property
    def word(self) -> str:
        """The word."""
        return self.name.lower().replace("_", "-")


@unique
class Status(Worded):
    """What became of an order."""

    IN_PROGRESS = 0
    PENDING = 1
    OPEN = 2
    FILLED = 3
    CANCELED = 4
    CANCELED_POST_ONLY = 5
    CANCELED_REDUCE_ONLY = 6
    CANCELED_POSITION_NOT_ALLOWED = 7
    CANCELED_MARGIN_NOT_ALLOWED = 8
    CANCELED_TOO_MUCH_SLIPPAGE = 9
    CANCELED_NOT_ENOUGH_LIQUIDITY = 10
    CANCELED_SELF_TRADE = 11
    CANCELED_EXPIRED = 12
    CANCELED_OCO = 13
    CANCELED_CHILD = 14
    CANCELED_LIQUIDATION = 15
    CANCELED_INVALID_BALANCE = 16


@unique
class OrderType(Worded):
    """The kinds of orders; from TWAP_SUB on only the venue itself makes them."""

    LIMIT = 0
    MARKET = 1
    STOP_LOSS = 2
    STOP_LOSS_LIMIT = 3
    TAKE_PROFIT = 4
    TAKE_PROFIT_LIMIT = 5
    TWAP = 6
    TWAP_SUB = 7
    LIQUIDATION = 8

    @property
    def has_trigger(self) -> bool:
        """Whether the order waits for a mark price."""
        return OrderType.STOP_LOSS <= self <= OrderType.TAKE_PROFIT_LIMIT

    @property
    def is_market(self) -> bool:
        """Whether its price bounds the average, and it never rests."""
        return self in {OrderType.MARKET, OrderType.STOP_LOSS, OrderType.TAKE_PROFIT}


@unique
class Grouping(IntEnum):
    """How the orders of a group depend on each other."""

    ONE_TRIGGERS_THE_OTHER = 1
    ONE_CANCELS_THE_OTHER = 2
    ONE_TRIGGERS_A_ONE_CANCELS_THE_OTHER = 3


@unique
class InForce(Worded):
    """How long an order stays."""

    IMMEDIATE_OR_CANCEL = 0
    GOOD_TILL_TIME = 1
    POST_ONLY = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderTerms:
    """What an order says before it has an index. Size and price are in the market's units."""

    market: int
    is_ask: bool
    size: int
    price: int
    type: OrderType = OrderType.LIMIT
    in_force: InForce = InForce.GOOD_TILL_TIME
    client_index: int = 0
    is_reduce_only: bool = False
    trigger_price: int = 0
    expiry_ms: int | None = None
    """None: 28 days from now, and zero for an order that never rests."""
    self_trade_mode: int = 0
    is_self_by_master: bool = False

    def expiry_at(self, now_ns: int) -> int:
        """The expiry of an order made now, milliseconds."""
        if self.expiry_ms is not None:
            return self.expiry_ms
        never_rests = self.in_force is InForce.IMMEDIATE_OR_CANCEL and not self.type.has_trigger
        return 0 if never_rests else now_ns // NS_PER_MS + _LONGEST_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class LighterOrder:
    """An order. ``price`` and sizes are in the market's units, ``filled_quote`` in micro-USDC."""

    order_index: int
    client_index: int
    market: int
    account: int
    is_ask: bool
    size: int
    remaining: int
    price: int
    type: OrderType
    in_force: InForce
    number: int
    """The book number: the order's place in time among those of its side."""
    status: Status = Status.IN_PROGRESS
    filled: int = 0
    filled_quote: int = 0
    is_reduce_only: bool = False
    trigger_price: int = 0
    trigger_ns: int = 0
    expiry_ms: int = 0
    """When it expires, milliseconds; zero for one that never rests."""
    self_trade_mode: int = 0
    """0 cancels the resting order, 1 the new one, 2 both, 3 reduces both."""
    is_self_by_master: bool = False
    """Whether orders of other accounts of the same L1 address count as its own."""
    parent_index: int = 0
    """The order whose fill makes this one wait for its trigger price; until then it only waits."""
    children: tuple[int, ...] = ()
    """The orders that this one's fill sets going."""
    sibling_index: int = 0
    """The order that is cancelled when this one is triggered."""
    waits_for_parent: bool = False
    version: int = 0
    tx_hash: str = ""
    """The transaction that made it; empty for an order without one."""
    created_ns: int = 0
    updated_ns: int = 0

    @property
    def is_live(self) -> bool:
        """Whether it can still trade."""
        return self.status in {Status.OPEN, Status.PENDING}

    @property
    def side(self) -> str:
        """The word of 2026."""
        return "sell" if self.is_ask else "buy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """One side of a trade, with its position before it."""

    account: int
    order_index: int
    client_index: int
    fee: int
    """In 1/1,000,000 of the quote."""
    size_before: int
    entry_quote_before: int
    fraction_before: int
    has_sign_changed: bool
    pnl: int
    """Realised by this trade, in micro-USDC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LighterTrade:
    """One match. ``kind`` is the venue's word: trade, liquidation, deleverage or market-settlement."""

    trade_id: int
    tx_hash: str
    market: int
    price: int
    size: int
    maker: Party
    taker: Party
    is_maker_ask: bool
    time_ns: int
    block_height: int
    kind: str = "trade"

    @property
    def quote(self) -> int:
        """Size times price, in micro-USDC."""
        return self.size * self.price

    @property
    def ask(self) -> Party:
        """The seller."""
        return self.maker if self.is_maker_ask else self.taker

    @property
    def bid(self) -> Party:
        """The buyer."""
        return self.taker if self.is_maker_ask else self.maker


@unique
class TxStatus(IntEnum):
    """What became of a transaction."""

    FAILED = 0
    PENDING = 1
    EXECUTED = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class TxRecord:
    """A transaction as the venue lists it. ``info`` and ``event_info`` are JSON texts."""

    hash: str
    type: int
    info: str
    account: int
    api_key_index: int
    nonce: int
    expire_at_ms: int
    queued_ns: int
    sequence_index: int
    status: TxStatus = TxStatus.PENDING
    event_info: str = "{}"
    executed_ns: int = 0
    block_height: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FundingPaid:
    """One hour's funding of one position. ``change`` is in 10^-12 USDC, positive when received; ``rate`` in 10^-6."""

    time_ns: int
    market: int
    funding_id: int
    change: int
    rate: int
    position_size: int
