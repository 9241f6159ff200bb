"""Private messages of one account as the engine's events. Pure.

An order is known to the engine by its client order index, a fill by its trade id. Two things are put right here:

- The venue tells an order's end before the trades that led to it. An end is held back until all fills that it counts
  have been told; otherwise a close would be sent again with the size that the position had before. If a fill is lost,
  the end is lost with it, and the account's report tells both.
- What has no effect ends without a word, except in the transaction's record: that record becomes the refusal.

Snapshots tell which orders are open. Trades in them are old, and are the report's matter.

Venue facts (captured around two fills; documentation of 2026): orders come before trades, trades before positions, the
transaction last. Of several trades of one taker each has its own id. An accepted transaction that fails has status 0
and the reason in ``ae`` of ``event_info``.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from enum import StrEnum, unique
from typing import Any, Final

from stall_then_strike.engine.venue.corrections import MAX_EXEC_ID
from stall_then_strike.infra.line.refusals import Refusals
from stall_then_strike.lighter.markets import Market
from stall_then_strike.lighter.messages import AccountFrame, Funding, Order, OrdersFrame, Trade, TransactionsFrame
from stall_then_strike.lighter.signing.intents import COI_MAX
from stall_then_strike.types.dto import (
    NS_PER_S,
    ExecId,
    FillEvent,
    FundingEvent,
    OrderEvent,
    OrderEventKind,
    OrderId,
    OrderTerms,
    Side,
)
from stall_then_strike.types.instrument import Instrument, Lots, Money

OwnEvent = OrderEvent | FillEvent | FundingEvent
Told = tuple[int, OwnEvent]
"""An event, and the number of the instrument that it is of."""

_KEPT: Final = 5_000
_MARGIN: Final = frozenset({"canceled-margin-not-allowed", "canceled-invalid-balance"})
_EXPIRED: Final = frozenset({"canceled-expired"})
_IOC: Final = "immediate-or-cancel"
_TAKEN: Final = "already exists"
"""In the record of an order whose client order index is taken: perhaps by an earlier copy of the order itself."""
_CREATE, _CANCEL = 14, 15


@unique
class OwnRefusal(StrEnum):
    """Kinds of messages that cannot be true."""

    BAD_ORDER = "bad_order"
    BAD_TRADE = "bad_trade"


class OwnEvents:
    """What has been told of the account's orders and fills."""

    def __init__(self, account_index: int, markets: Sequence[Market], since_ns: int) -> None:
        """``markets`` are those of the instruments, in their order. Funding from before ``since_ns`` is not told."""
        self._account = account_index
        self._places = {market.market_index: (number, market.instrument) for number, market in enumerate(markets)}
        self._since_s = since_ns // NS_PER_S
        self._told: OrderedDict[int, int] = OrderedDict()
        """Lots of fills that were told, by order index."""
        self._owed: OrderedDict[int, tuple[int, OrderEvent, int]] = OrderedDict()
        """Ends that wait for fills, by order index: instrument, event, filled lots."""
        self._trades: OrderedDict[int, None] = OrderedDict()
        self._fundings: OrderedDict[int, None] = OrderedDict()
        self.refusals: Final = Refusals("private message(s) of Lighter")

    def forget(self) -> None:
        """Messages may have been lost: a snapshot follows, and the account's report tells the rest."""
        self._told.clear()
        self._owed.clear()

    # --- orders

    def of_orders(self, frame: OrdersFrame, recv_ns: int) -> Iterator[Told]:
        """``account_all_orders``."""
        for order in frame.all():
            if (place := self._places.get(order.market_index)) is not None:
                number, unit = place
                try:
                    yield from self._of_order(number, unit, order, recv_ns, is_first=frame.is_snapshot)
                except ValueError as error:
                    self.refusals.add(OwnRefusal.BAD_ORDER, str(error), f"order {order.name}", recv_ns)

    def _of_order(self, number: int, unit: Instrument, order: Order, recv_ns: int, *, is_first: bool) -> Iterator[Told]:
        filled = unit.to_lots(order.filled_base_amount)
        if is_first:
            _keep(self._told, order.order_index, int(filled))
        if not order.is_over:
            if order.status == "open":
                yield number, order_event(OrderEventKind.REGISTERED, order, recv_ns, terms=terms_of(unit, order))
            return
        if order.status == "filled":
            return  # its fills end it
        ending = _ending(order, recv_ns)
        if filled > self._told.get(order.order_index, 0):
            _keep(self._owed, order.order_index, (number, ending, int(filled)))
        else:
            yield number, ending

    # --- fills and funding

    def of_account(self, frame: AccountFrame, recv_ns: int) -> Iterator[Told]:
        """``account_all``."""
        if not frame.is_snapshot:
            for trade in frame.all_trades():
                if (place := self._places.get(trade.market_id)) is not None and trade.trade_id not in self._trades:
                    yield from self._of_trade(*place, trade, recv_ns)
        yield from self.of_fundings(frame.all_fundings(), recv_ns)

    def _of_trade(self, number: int, unit: Instrument, trade: Trade, recv_ns: int) -> Iterator[Told]:
        try:
            fill = fill_of(trade, unit, self._account, recv_ns)
        except ValueError as error:
            self.refusals.add(OwnRefusal.BAD_TRADE, str(error), f"trade {trade.trade_id}", recv_ns)
            return
        if fill is None:
            return
        _keep(self._trades, trade.trade_id, None)
        yield number, fill
        index = trade.bid_id if fill.side is Side.BUY else trade.ask_id
        told = self._told.get(index, 0) + fill.size
        _keep(self._told, index, int(told))
        owed = self._owed.get(index)
        if owed is not None and told >= owed[2]:
            del self._owed[index]
            yield owed[0], owed[1]

    def of_fundings(self, fundings: Iterable[Funding], recv_ns: int) -> Iterator[Told]:
        """Payments, each told once, whoever tells it first: ``account_all`` or the list of payments."""
        for paid in fundings:
            place = self._places.get(paid.market_id)
            if place is None or paid.funding_id in self._fundings or paid.timestamp < self._since_s:
                continue
            _keep(self._fundings, paid.funding_id, None)
            number, unit = place
            amount = money_of(paid.change, unit, ROUND_FLOOR)
            yield number, FundingEvent(ts_ns=recv_ns, amount=amount, what=f"funding {paid.funding_id}")

    # --- transactions

    def of_transactions(self, frame: TransactionsFrame, recv_ns: int) -> Iterator[Told]:
        """``account_tx``: only what failed is told."""
        for tx in frame.txs or ():
            if tx.status != 0 or tx.type not in (_CREATE, _CANCEL):
                continue
            body, why = _object(tx.info), _object(tx.event_info).get("ae")
            place = self._places.get(_whole(body.get("MarketIndex")))
            if place is None or not isinstance(why, str) or not why or _TAKEN in why:
                continue
            index = _whole(body.get("ClientOrderIndex" if tx.type == _CREATE else "Index"))
            if 0 < index <= COI_MAX:
                kind = OrderEventKind.REJECTED if tx.type == _CREATE else OrderEventKind.CANCEL_FAILED
                yield place[0], OrderEvent(ts_ns=recv_ns, kind=kind, order_id=OrderId(str(index)), detail=why[:200])


def order_event(
    kind: OrderEventKind,
    order: Order,
    ts_ns: int,
    *,
    terms: OrderTerms | None = None,
    is_margin: bool = False,
    detail: str = "",
) -> OrderEvent:
    """An event of a listed order."""
    return OrderEvent(
        ts_ns=ts_ns, kind=kind, order_id=OrderId(order.name), terms=terms, is_margin=is_margin, detail=detail
    )


def _ending(order: Order, recv_ns: int) -> OrderEvent:
    """How an order ended that is not wholly filled."""
    if order.status in _MARGIN:
        return order_event(OrderEventKind.REJECTED, order, recv_ns, is_margin=True, detail=order.status)
    is_rest = order.status in _EXPIRED or order.time_in_force == _IOC
    kind = OrderEventKind.EXPIRED if is_rest else OrderEventKind.CANCELLED
    return order_event(kind, order, recv_ns, detail="" if order.status == "canceled" else order.status)


def terms_of(unit: Instrument, order: Order) -> OrderTerms:
    """Side, price and size. Raises ValueError for what is off the market's steps."""
    price = None if order.type == "market" else unit.to_ticks(order.price)
    return OrderTerms(Side.SELL if order.is_ask else Side.BUY, price, unit.to_lots(order.initial_base_amount))


def fill_of(trade: Trade, unit: Instrument, account_index: int, ts_ns: int) -> FillEvent | None:
    """An account's fill in a trade; None if it was no part of it. Raises ValueError for a trade that cannot be."""
    side = trade.side_of(account_index)
    if side is None:
        return None
    if not 0 < trade.trade_id <= MAX_EXEC_ID:
        raise ValueError(f"trade id {trade.trade_id} is out of range")
    return FillEvent(
        ts_ns=ts_ns,
        exec_id=ExecId(trade.trade_id),
        side=Side.BUY if side == "buy" else Side.SELL,
        price=unit.to_ticks(trade.price),
        size=unit.to_lots(trade.size),
        fee=money_of(trade.fee_of(account_index), unit, ROUND_CEILING),
        order_id=OrderId(trade.order_of(account_index)),
        is_maker=trade.is_maker(account_index),
    )


def money_of(amount: Decimal, unit: Instrument, rounding: str) -> Money:
    """An amount of USDC in the instrument's money; fees and funding are finer and are rounded."""
    return Money(int((amount * unit.ticks_per_one * unit.lots_per_one).to_integral_value(rounding)))


def lots_of(size: Decimal, unit: Instrument) -> Lots:
    """A signed size. Raises ValueError if it is off the market's steps."""
    return Lots(-unit.to_lots(-size) if size < 0 else unit.to_lots(size))


def _keep(kept: OrderedDict[int, Any], key: int, value: object) -> None:
    kept[key] = value
    if len(kept) > _KEPT:
        kept.popitem(last=False)


def _object(text: str) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _whole(value: object) -> int:
    return value if type(value) is int else -1
