"""All markets and accounts in time: what happens at once, and what is planned. Pure.

Orders and prices have their effect at once here; how long a client's transaction takes is not this module's subject. It
plans what comes by itself: orders and switches that end, the premium of each minute, the funding of each hour.

Venue facts: orders with a trigger price wait for the mark price (a stop-loss to sell for one at or below it, a
take-profit to sell for one at or above it); a dead man's switch cancels all orders at its time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import count
from typing import Final

from stall_then_strike.sim.exchange.agenda import Agenda
from stall_then_strike.sim.lighter.clearing.accounts import Account, Accounts, Prices
from stall_then_strike.sim.lighter.clearing.candles import CandleChart
from stall_then_strike.sim.lighter.clearing.contracts import MICRO, LighterMarket
from stall_then_strike.sim.lighter.clearing.day_figures import DayFigures
from stall_then_strike.sim.lighter.clearing.funding_rates import FundingRates
from stall_then_strike.sim.lighter.clearing.liquidation import is_closed_out, is_unhealthy, open_pool, order_of, sales
from stall_then_strike.sim.lighter.clearing.records import (
    MARKET_STRIDE,
    Grouping,
    LighterOrder,
    LighterTrade,
    OrderTerms,
    OrderType,
    Status,
)
from stall_then_strike.sim.lighter.clearing.trading_pit import TradingPit
from stall_then_strike.sim.lighter.venue_events import (
    FundingFell,
    PositionChanged,
    PricesChanged,
    Traded,
    VenueEvent,
)
from stall_then_strike.types.dto import NS_PER_MS, NS_PER_S, Side

_BLOCK_NS: Final = 80 * NS_PER_MS
"""Measured in December 2025: 78 blocks in 6 seconds."""
_FIRST_BLOCK: Final = 230_000_000
_MINUTE_NS: Final = 60 * NS_PER_S
_HOUR_NS: Final = 60 * _MINUTE_NS
_TRADES_KEPT: Final = 10_000


class TradingFloor:
    """The markets and accounts of the venue."""

    def __init__(self, markets: Iterable[LighterMarket], start_ns: int) -> None:
        """Open the markets at ``start_ns``, with empty books and no accounts."""
        self.accounts = Accounts(markets)
        self.agenda = Agenda()
        self.now_ns = start_ns
        self.events: list[VenueEvent] = []
        """What has happened and was not collected yet."""
        self.sequence = count(13_000_000_000)
        self._start_ns = start_ns
        trade_ids = count(19_000_000_001)
        terms = self.accounts.markets.values()
        self.pits = {
            market.market_id: TradingPit(market, self.accounts, trade_ids=trade_ids, block_of=self.block_of)
            for market in terms
        }
        self.funding = {market.market_id: FundingRates(market) for market in terms}
        self.trades: dict[int, deque[LighterTrade]] = {market: deque(maxlen=_TRADES_KEPT) for market in self.pits}
        """The newest trades of each market, oldest first."""
        self.days = {market: DayFigures() for market in self.pits}
        """Each market's last 24 hours."""
        self.charts = {market: CandleChart() for market in self.pits}
        self._funding_ids = count(1)
        self.agenda.at(start_ns - start_ns % _MINUTE_NS + _MINUTE_NS, self._minute)

    # --- time -----------------------------------------------------------------------------------------------------

    def next_due_ns(self) -> int | None:
        """When something is planned; None when nothing is."""
        times = [pit.engine.next_expiry_ns() for pit in self.pits.values()]
        return min((time_ns for time_ns in (*times, self.agenda.next_ns()) if time_ns is not None), default=None)

    def move_to(self, now_ns: int) -> None:
        """Let everything planned up to ``now_ns`` happen."""
        while (due_ns := self.next_due_ns()) is not None and due_ns <= now_ns:
            self.now_ns = max(self.now_ns, due_ns)
            for pit in self.pits.values():
                if pit.engine.next_expiry_ns() is not None:
                    self.report(pit.expire(due_ns))
            if self.agenda.next_ns() == due_ns:
                self.agenda.step()
        self.now_ns = max(self.now_ns, now_ns)

    def block_of(self, now_ns: int) -> int:
        """The block height at a time."""
        return _FIRST_BLOCK + (now_ns - self._start_ns) // _BLOCK_NS

    # --- orders ---------------------------------------------------------------------------------------------------

    def place(self, owner: Account, terms: OrderTerms, now_ns: int, tx_hash: str | None = None) -> int:
        """Make an order and match it; return its index. Without a client's hash its trades carry an internal one."""
        order = self._new_order(owner, terms, now_ns, tx_hash or "")
        self._enter(order, now_ns, tx_hash or self._internal_hash(now_ns))
        return order.order_index

    def place_group(
        self, owner: Account, grouping: Grouping, group: Sequence[OrderTerms], now_ns: int, tx_hash: str | None = None
    ) -> list[int]:
        """Make orders that depend on each other: a parent first, if there is one, then one or two with triggers."""
        orders = [self._new_order(owner, terms, now_ns, tx_hash or "") for terms in group]
        has_parent = grouping is not Grouping.ONE_CANCELS_THE_OTHER
        parent, waiting = (orders[0], orders[1:]) if has_parent else (None, orders)
        indices = [order.order_index for order in waiting]
        linked = [
            replace(
                order,
                parent_index=0 if parent is None else parent.order_index,
                waits_for_parent=has_parent,
                sibling_index=sibling if len(indices) > 1 else 0,
            )
            for order, sibling in zip(waiting, reversed(indices), strict=True)
        ]
        if parent is not None:
            linked.append(replace(parent, children=tuple(indices)))
        hash_ = tx_hash or self._internal_hash(now_ns)
        for order in linked:
            self._enter(order, now_ns, hash_)
        return [order.order_index for order in orders]

    def _new_order(self, owner: Account, terms: OrderTerms, now_ns: int, tx_hash: str) -> LighterOrder:
        pit = self.pits[terms.market]
        number = pit.new_number(is_ask=terms.is_ask)
        owner.order_count += 1
        return LighterOrder(
            order_index=pit.index_of(number),
            client_index=terms.client_index,
            market=terms.market,
            account=owner.index,
            is_ask=terms.is_ask,
            size=terms.size,
            remaining=terms.size,
            price=terms.price,
            type=terms.type,
            in_force=terms.in_force,
            number=number,
            is_reduce_only=terms.is_reduce_only,
            trigger_price=terms.trigger_price,
            expiry_ms=terms.expiry_at(now_ns),
            self_trade_mode=terms.self_trade_mode,
            is_self_by_master=terms.is_self_by_master,
            tx_hash=tx_hash,
            created_ns=now_ns,
            updated_ns=now_ns,
        )

    def _enter(self, order: LighterOrder, now_ns: int, tx_hash: str) -> None:
        self.report(self.pits[order.market].enter(order, now_ns, tx_hash))
        if order.type.has_trigger:
            self.agenda.at(order.expiry_ms * NS_PER_MS, lambda at_ns: self._expire_pending(order, at_ns))
        self._pull_triggers(order.market, now_ns)

    def modify(self, order: LighterOrder, size: int, price: int, trigger_price: int, now_ns: int, tx_hash: str) -> None:
        """Change a live order and match it again."""
        self.report(self.pits[order.market].modify(order, size, price, trigger_price, now_ns, tx_hash))
        self._pull_triggers(order.market, now_ns)

    def cancel(self, order: LighterOrder, now_ns: int, status: Status = Status.CANCELED) -> None:
        """End a live order."""
        self.report(self.pits[order.market].cancel(order, now_ns, status))

    def clear(self, account: Account, now_ns: int, market: int | None = None, status: Status = Status.CANCELED) -> None:
        """End an account's live orders, in one market or in all."""
        for order in list(account.orders.values()):
            if market in {None, order.market} and order.order_index in account.orders:
                self.cancel(order, now_ns, status)

    def find(self, account: Account, market: int, index: int) -> LighterOrder | None:
        """The live order that an order index or, below 2^48, a client order index names."""
        order = account.orders.get(account.client_indices.get(index, 0) if index < MARKET_STRIDE else index)
        return order if order is not None and order.market == market else None

    def set_switch(self, account: Account, time_ms: int) -> None:
        """Set the account's dead man's switch to a time, in place of an earlier one; zero turns it off."""
        account.cancel_all_ms = time_ms
        if time_ms:
            self.agenda.at(time_ms * NS_PER_MS, lambda at_ns: self._switch(account, time_ms, at_ns))

    def set_leverage(self, account: Account, market: int, fraction: int) -> None:
        """Set the initial margin fraction of a market's position."""
        self.accounts.position(account, market).fraction = fraction
        self.report([PositionChanged(account.index, market)])

    # --- prices ---------------------------------------------------------------------------------------------------

    def set_prices(self, market: int, underlying: int, mark: int, now_ns: int) -> None:
        """Set a market's index price and mark price; orders that waited for it are sent."""
        before = self.accounts.prices[market]
        after = Prices(mark, underlying, before.funding)
        if after == before:
            return
        self.accounts.prices[market] = after
        self.report([PricesChanged(market)])
        self._pull_triggers(market, now_ns)
        for account in list(self.accounts.by_index.values()):
            if account.size_in(market):
                self._check_health(account, now_ns)

    def day_of(self, market: int) -> dict[str, float | int | str]:
        """What the last day's trades made of a market, as details and statistics show it."""
        terms, prices, day = self.accounts.markets[market], self.accounts.prices[market], self.days[market]
        day.forget(self.now_ns)
        unit = 10**terms.price_decimals
        interest = sum(abs(account.size_in(market)) for account in self.accounts.by_index.values()) // 2
        return {
            "last_trade_price": self.pits[market].last_price / unit,
            "daily_trades_count": day.trades,
            "daily_base_token_volume": day.base / 10**terms.size_decimals,
            "daily_quote_token_volume": day.quote / MICRO,
            "daily_price_low": day.low / unit,
            "daily_price_high": day.high / unit,
            "daily_price_change": day.change,
            "open_interest": interest / 10**terms.size_decimals,
            "mark_price": terms.price_text(prices.mark),
            "index_price": terms.price_text(prices.underlying),
        }

    # --- inside ---------------------------------------------------------------------------------------------------

    def report(self, events: Iterable[VenueEvent]) -> None:
        """Keep what happened until it is collected, and the trades for longer."""
        for event in events:
            self.events.append(event)
            if isinstance(event, Traded):
                trade = event.trade
                self.trades[event.market].append(trade)
                self.days[event.market].add(trade.time_ns, trade.price, trade.size)
                self.charts[event.market].add(trade)

    def _check_health(self, account: Account, now_ns: int) -> None:
        """Liquidate an account that no longer holds its maintenance requirement."""
        health = self.accounts.health(account)
        if not is_unhealthy(health):
            return
        self.clear(account, now_ns, status=Status.CANCELED_LIQUIDATION)
        is_too_late = is_closed_out(self.accounts, account, health)
        for sale in list(sales(self.accounts, account)) if is_too_late else sales(self.accounts, account):
            if is_too_late:
                pit, pool = self.pits[sale.market], open_pool(self.accounts)
                self.report(pit.hand_over(account, pool, sale.zero_price, now_ns, self._internal_hash(now_ns)))
            elif is_unhealthy(self.accounts.health(account)):
                self.place(account, order_of(sale), now_ns)

    def _minute(self, now_ns: int) -> None:
        """Sample the premiums; on the hour, let funding fall due; look at everybody's health."""
        for market, pit in self.pits.items():
            underlying = self.accounts.prices[market].underlying
            rates = self.funding[market]
            rates.sample(pit.engine.depth(Side.BUY), pit.engine.depth(Side.SELL), underlying)
            if now_ns % _HOUR_NS == 0:
                rate = rates.close(now_ns, underlying).rate
                paid = self.accounts.pay_funding(market, rate, now_ns, next(self._funding_ids))
                self.report(FundingFell(account.index, market, entry) for account, entry in paid)
                self.report([PricesChanged(market)])
        for account in list(self.accounts.by_index.values()):
            self._check_health(account, now_ns)
        self.agenda.at(now_ns + _MINUTE_NS, self._minute)

    def _switch(self, account: Account, time_ms: int, now_ns: int) -> None:
        """Let the dead man's switch fall, unless another time was set since."""
        if account.cancel_all_ms == time_ms:
            self.clear(account, now_ns)
            account.cancel_all_ms = 0

    def _pull_triggers(self, market: int, now_ns: int) -> None:
        """Send the orders whose trigger price the mark price has reached."""
        pit, mark = self.pits[market], self.accounts.prices[market].mark
        for order in list(pit.pending.values()):
            if _is_reached(order, mark) and order.order_index in pit.pending:
                self.report(pit.trigger(order, now_ns, self._internal_hash(now_ns)))

    def _expire_pending(self, order: LighterOrder, now_ns: int) -> None:
        pending = self.pits[order.market].live.get(order.order_index)
        if pending is not None and pending.status is Status.PENDING:
            self.cancel(pending, now_ns, Status.CANCELED_EXPIRED)

    def _internal_hash(self, now_ns: int) -> str:
        """The synthetic hash of a trade without a client's transaction: sequence, time, zeros."""
        return f"{next(self.sequence):016x}{now_ns // NS_PER_MS:016x}".ljust(80, "0")


def _is_reached(order: LighterOrder, mark: int) -> bool:
    """Whether the mark price has reached a trigger."""
    is_stop = order.type in {OrderType.STOP_LOSS, OrderType.STOP_LOSS_LIMIT}
    return mark <= order.trigger_price if order.is_ask == is_stop else mark >= order.trigger_price
