"""Checks what the account's channels tell: whether orders, trades and positions fit together, and are the account's."""

from __future__ import annotations

from collections import OrderedDict
from decimal import Decimal
from typing import Any, Final

from stall_then_strike.app.contact.assumed.deviations import Deviations
from stall_then_strike.lighter.messages import AccountFrame, AnyFrame, Order, OrdersFrame

_KEPT: Final = 2_000


class LighterPrivateCheck:
    """Notes deviations of one account's messages."""

    def __init__(self, account_index: int, deviations: Deviations) -> None:
        """Nothing was heard yet."""
        self._account, self._add = account_index, deviations.add
        self._over: OrderedDict[int, None] = OrderedDict()
        """Orders that were told to have ended."""
        self._filled: OrderedDict[int, Decimal] = OrderedDict()
        """How much of each order was told to be filled."""
        self._trades: OrderedDict[int, None] = OrderedDict()
        self.count = 0
        """Orders, trades and positions that were told after the first messages."""

    def take(self, frame: AnyFrame, message: Any) -> None:
        """Check one message that the parser has read."""
        if isinstance(frame, OrdersFrame):
            for order in frame.all():
                self._take_order(order, message, is_first=frame.is_snapshot)
        elif isinstance(frame, AccountFrame):
            self._take_account(frame, message)

    def _take_order(self, order: Order, message: Any, *, is_first: bool) -> None:
        if order.owner_account_index != self._account:
            self._add("an order of another account", "only the account's own", "another index", message)
        if not order.is_over and order.filled_base_amount + order.remaining_base_amount != order.initial_base_amount:
            seen = "another sum"
            expected = "filled and remaining make the initial amount while it is open"
            self._add("the amounts of an order do not add up", expected, seen, message, is_grave=True)
        before = self._filled.get(order.order_index, Decimal(0))
        if order.filled_base_amount < before:
            self._add("the filled amount of an order fell", "it rises", "it fell", message, is_grave=True)
        self._filled[order.order_index] = order.filled_base_amount
        _bound(self._filled)
        if is_first:
            return
        self.count += 1
        if order.order_index in self._over and not order.is_over:
            self._add("an order lives after its end", "no more of it", order.status, message, is_grave=True)
        if order.is_over:
            self._over[order.order_index] = None
            _bound(self._over)

    def _take_account(self, frame: AccountFrame, message: Any) -> None:
        if frame.account != self._account:
            self._add("account_all is of another account", "the account's index", "another", message)
        if frame.is_snapshot:
            return
        for trade in frame.all_trades():
            self.count += 1
            if self._account not in (trade.ask_account_id, trade.bid_account_id):
                self._add("a trade of others on the account's channel", "its own", "others'", message)
            if trade.trade_id in self._trades:
                self._add("a trade was told twice", "each once", "the same id again", message)
            self._trades[trade.trade_id] = None
            _bound(self._trades)
        self.count += len(frame.positions or ())


def _bound(kept: OrderedDict[int, Any]) -> None:
    while len(kept) > _KEPT:
        kept.popitem(last=False)
