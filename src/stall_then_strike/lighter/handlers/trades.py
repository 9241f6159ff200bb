"""TradesHandler: ``trade`` of one market.

Venue facts (captured messages of 2025-10 and 2025-12): the first message holds 50 trades and 50 liquidations of the
past; ids are not sorted, within or across messages; all trades of one taker share its hash, so trades are told apart by
``trade_id`` alone. Both lists may be null. ``is_maker_ask`` means that the buyer took. Fees are in millionths of the
quote amount, and absent where they are zero. Since 2025-12 a trade tells both orders' client indexes, 0 where an order
has none, beside both accounts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from stall_then_strike.lighter.handlers.base import Handler, Message, Unreadable
from stall_then_strike.lighter.markets import Market
from stall_then_strike.lighter.messages import steps
from stall_then_strike.types.dto import NO_ORDER, ExecId, OrderId, PublicTrade, Side
from stall_then_strike.types.instrument import Lots, Money, Ticks

REMEMBERED: Final = 4_096
"""How many of the latest trade ids are kept to detect duplicates."""
MOST_TRADES: Final = 10_000
"""Most trades in one message. The most seen is 100."""


class Trades(NamedTuple):
    """The new trades of one message, liquidations included and marked."""

    ts_ns: int
    trades: tuple[PublicTrade, ...]
    is_history: bool
    """Whether they were made before the subscription."""


class TradesHandler(Handler[Trades]):
    """Reads the trades of a market, each once."""

    def __init__(self, market: Market, account_index: int | None = None) -> None:
        """Orders of the account ``account_index`` get its names for them, others the venue's."""
        super().__init__("trade", market.market_index)
        self.market: Final = market
        self._account = account_index
        self.unreadable = 0
        """Trades that could not be read; they do not affect the others of their message."""
        self.last_error = ""
        self._recent: set[int] = set()
        self._order: deque[int] = deque()

    def handle(self, message: Message, recv_ns: int) -> Trades | None:
        """The new trades; None if there are none. Raises Unreadable if no list of them can be read."""
        trades = self.read(message.get("trades"), is_liquidation=False)
        trades += self.read(message.get("liquidation_trades"), is_liquidation=True)
        return Trades(recv_ns, tuple(trades), self.is_first(message)) if trades else None

    def read(self, rows: Any, *, is_liquidation: bool) -> list[PublicTrade]:
        """The trades of one list that have not been seen. Raises Unreadable."""
        if rows is None:
            return []
        if type(rows) is not list or len(rows) > MOST_TRADES:
            raise Unreadable("trades are not an array, or too many")
        return [trade for trade in self._decoded(rows, is_liquidation) if self._is_new(trade.exec_id)]

    def _decoded(self, rows: Iterable[Any], is_liquidation: bool) -> Iterable[PublicTrade]:
        for row in rows:
            try:
                yield self._decode(row, is_liquidation)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                self.unreadable += 1
                self.last_error = f"{type(error).__name__}: {error}"

    def _decode(self, row: Any, is_liquidation: bool) -> PublicTrade:
        trade_id, market = row["trade_id"], self.market
        if type(trade_id) is not int or trade_id <= 0:
            raise ValueError("trade_id is not a positive integer")
        price, size = steps(row["price"], market.price_decimals), steps(row["size"], market.size_decimals)
        if not price or not size:
            raise ValueError("price or size is zero")
        if row.get("market_id", market.market_index) != market.market_index:
            raise ValueError("of another market")
        fees = [_fee(price * size, row.get(name, 0)) for name in ("maker_fee", "taker_fee")]
        buyer_took = bool(row.get("is_maker_ask", False))
        return PublicTrade(
            exec_id=ExecId(trade_id),
            taker=Side.BUY if buyer_took else Side.SELL,
            price=Ticks(price),
            size=Lots(size),
            buy_order_id=self._order_of(row, "bid"),
            sell_order_id=self._order_of(row, "ask"),
            is_liquidation=is_liquidation or row.get("type") == "liquidation",
            buy_fee=fees[buyer_took],
            sell_fee=fees[not buyer_took],
        )

    def _order_of(self, row: Any, side: str) -> OrderId:
        """The order of a side, under the name that private messages have for it: `Trade.order_of`."""
        is_own = self._account is not None and row.get(f"{side}_account_id") == self._account
        return (_name(row.get(f"{side}_client_id")) if is_own else NO_ORDER) or _name(row.get(f"{side}_id"))

    def _is_new(self, trade_id: int) -> bool:
        if trade_id in self._recent:
            return False
        self._recent.add(trade_id)
        self._order.append(trade_id)
        if len(self._order) > REMEMBERED:
            self._recent.discard(self._order.popleft())
        return True


def _fee(quote: int, millionths: Any) -> Money:
    """A fee of a quote amount in ticks times lots, rounded up as our own fills' are. Raises ValueError."""
    if type(millionths) is not int:
        raise ValueError("a fee is not an integer")
    return Money(-(-quote * millionths // 1_000_000))


def _name(index: Any) -> OrderId:
    """An order's index as its name; a trade is valid without it."""
    return OrderId(str(index)) if type(index) is int and index > 0 else NO_ORDER
