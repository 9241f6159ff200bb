"""One market: its orders, their matching, and the rules at each trade. Pure.

Venue facts (published circuits; documentation of 2026):

- an order index is (market + 1) x 2^48 + n; n counts up from 1 for asks and down from 2^48 - 1 for bids;
- an order reserves no margin. At each trade a taker that may not trade is cancelled, rest included; a maker that may
  not is cancelled and the taker goes on. The same holds for a maker that has expired, whose owner's dead man's switch
  is due, or that may only reduce and would not;
- a market order's price bounds its average: what better levels gain may be spent on worse ones;
- an order that may only reduce is cut to the position; when a position changes its sign, the market's orders of that
  kind are cancelled;
- post-only that would cross is cancelled. Of two orders of one owner, the resting one is cancelled and the taker goes
  on (since 2026-05-31), or as the order's self-trade mode says;
- a modify keeps index, side, type and expiry; its size is the new total. The order is matched again and goes to the
  end of its level's queue.

The status of what an IOC order leaves is not known for sure: here too-much-slippage, or not-enough-liquidity when the
other side is empty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Final

from stall_then_strike.sim.exchange.book_side import Order, Owner
from stall_then_strike.sim.exchange.matching import Fate, MatchingEngine, Ruling, Trade
from stall_then_strike.sim.lighter.clearing.accounts import Account, Accounts
from stall_then_strike.sim.lighter.clearing.contracts import LighterMarket
from stall_then_strike.sim.lighter.clearing.liquidation import fee_of, needed_lots
from stall_then_strike.sim.lighter.clearing.records import (
    MARKET_STRIDE,
    InForce,
    LighterOrder,
    LighterTrade,
    OrderType,
    Party,
    Status,
)
from stall_then_strike.sim.lighter.venue_events import (
    BookChanged,
    CollateralChanged,
    OrderChanged,
    PositionChanged,
    Traded,
    VenueEvent,
)
from stall_then_strike.types.dto import NS_PER_MS, OrderId, Side, TimeInForce
from stall_then_strike.types.instrument import Lots, Ticks

BlockOf = Callable[[int], int]
"""The block height at a time."""


class Outcome:
    """What one operation has changed so far, for the events in the venue's order."""

    def __init__(self, market: int) -> None:
        """Nothing has changed yet."""
        self._market = market
        self.orders: dict[int, LighterOrder] = {}
        self.trades: list[LighterTrade] = []
        self.accounts: dict[int, None] = {}
        self.flipped: dict[int, None] = {}

    def events(self) -> Iterator[VenueEvent]:
        """The events, orders first."""
        for order in self.orders.values():
            yield OrderChanged(order.account, self._market, order)
        for trade in self.trades:
            yield Traded(self._market, trade)
        for account in self.accounts:
            yield PositionChanged(account, self._market)
            yield CollateralChanged(account)


class TradingPit:
    """The live orders of one market."""

    def __init__(
        self, market: LighterMarket, accounts: Accounts, *, trade_ids: Iterator[int], block_of: BlockOf
    ) -> None:
        """Start with an empty book. ``trade_ids`` numbers the trades of all markets."""
        self.market = market
        self.engine = MatchingEngine()
        self.live: dict[int, LighterOrder] = {}
        """Open and pending orders by order index."""
        self.pending: dict[int, LighterOrder] = {}
        """Those that wait for a trigger price."""
        self.accounts = accounts
        self.trade_ids = trade_ids
        self.block_of = block_of
        self.last_price = 0
        self._asks_made = 0
        self._bids_made = 0

    # --- orders ---------------------------------------------------------------------------------------------------

    def new_number(self, *, is_ask: bool) -> int:
        """The next book number of a side."""
        if is_ask:
            self._asks_made += 1
            return self._asks_made
        self._bids_made += 1
        return MARKET_STRIDE - self._bids_made

    def index_of(self, number: int) -> int:
        """The order index with that number."""
        return (self.market.market_id + 1) * MARKET_STRIDE + number

    def book(self, side: Side, limit: int) -> list[LighterOrder]:
        """The orders of a side, best first, oldest first within a price."""
        return [self.live[int(order.order_id)] for order in islice(self.engine.resting(side), limit)]

    def enter(self, order: LighterOrder, now_ns: int, tx_hash: str) -> list[VenueEvent]:
        """Take in a new order, whose number and index are made: match it, rest it or end it."""
        outcome = Outcome(self.market.market_id)
        self._enter(order, now_ns, tx_hash, outcome)
        return self._finish(outcome, now_ns)

    def modify(
        self, order: LighterOrder, size: int, price: int, trigger_price: int, now_ns: int, tx_hash: str
    ) -> list[VenueEvent]:
        """Change a live order and match it again. ``size`` is the new total, what is filled included."""
        outcome = Outcome(self.market.market_id)
        self._remove(order)
        changed = replace(
            order,
            size=max(size, order.filled),
            remaining=max(size - order.filled, 0),
            price=price,
            trigger_price=trigger_price,
            number=self.new_number(is_ask=order.is_ask),
            updated_ns=now_ns,
        )
        if changed.filled and not changed.remaining:
            self._end(changed, Status.FILLED, now_ns, outcome)
        else:
            self._enter(changed, now_ns, tx_hash, outcome)
        return self._finish(outcome, now_ns)

    def cancel(self, order: LighterOrder, now_ns: int, status: Status = Status.CANCELED) -> list[VenueEvent]:
        """End a live order."""
        outcome = Outcome(self.market.market_id)
        self._remove(order)
        self._end(order, status, now_ns, outcome)
        return self._finish(outcome, now_ns)

    def expire(self, now_ns: int) -> list[VenueEvent]:
        """End the orders in the book that have expired."""
        outcome = Outcome(self.market.market_id)
        for gone in self.engine.expire(now_ns):
            self._end(self.live[int(gone.order_id)], Status.CANCELED_EXPIRED, now_ns, outcome)
        return self._finish(outcome, now_ns)

    def hand_over(self, loser: Account, pool: Account, price: int, now_ns: int, tx_hash: str) -> list[VenueEvent]:
        """Give an account's position to the liquidity pool at a price, beside the book."""
        outcome, market = Outcome(self.market.market_id), self.market.market_id
        size = loser.size_in(market)
        changes = [
            self.accounts.trade(loser, market, -size, price, 0),
            self.accounts.trade(pool, market, size, price, 0),
        ]
        numbers = [self.new_number(is_ask=size > 0), self.new_number(is_ask=size < 0)]
        taker, maker = (
            Party.of(account.index, self.index_of(number), 0, 0, change)
            for account, number, change in zip((loser, pool), numbers, changes, strict=True)
        )
        trade = LighterTrade(
            trade_id=next(self.trade_ids),
            tx_hash=tx_hash,
            market=market,
            price=price,
            size=abs(size),
            maker=maker,
            taker=taker,
            is_maker_ask=size < 0,
            time_ns=now_ns,
            block_height=self.block_of(now_ns),
            kind="liquidation",
        )
        for account in (loser, pool):
            account.trades.append(trade)
            outcome.accounts[account.index] = None
        outcome.trades.append(trade)
        return self._finish(outcome, now_ns)

    def trigger(self, order: LighterOrder, now_ns: int, tx_hash: str) -> list[VenueEvent]:
        """Send a pending order into the book: its trigger price was reached."""
        outcome = Outcome(self.market.market_id)
        self._remove(order)
        self._match(replace(order, trigger_ns=now_ns, updated_ns=now_ns), now_ns, tx_hash, outcome)
        return self._finish(outcome, now_ns)

    # --- inside ---------------------------------------------------------------------------------------------------

    def _enter(self, order: LighterOrder, now_ns: int, tx_hash: str, outcome: Outcome) -> None:
        if order.type.has_trigger and not order.trigger_ns:
            self._keep(replace(order, status=Status.PENDING), outcome)
        else:
            self._match(order, now_ns, tx_hash, outcome)

    def _match(self, order: LighterOrder, now_ns: int, tx_hash: str, outcome: Outcome) -> None:
        if order.is_reduce_only:
            room = self.reducible(order)
            if not room:
                self._end(order, Status.CANCELED_REDUCE_ONLY, now_ns, outcome)
                return
            cut = min(order.remaining, room) if order.remaining else room
            order = replace(order, size=order.filled + cut, remaining=cut)
        if order.in_force is InForce.POST_ONLY and self._crosses(order):
            self._end(order, Status.CANCELED_POST_ONLY, now_ns, outcome)
            return
        judge = Judge(self, order, now_ns, tx_hash, outcome)
        is_market = order.type.is_market
        rests = not is_market and order.in_force is not InForce.IMMEDIATE_OR_CANCEL
        submitted = self.engine.submit(
            order_id=OrderId(str(order.order_index)),
            owner=Owner(str(order.account)),
            side=Side.SELL if order.is_ask else Side.BUY,
            size=Lots(order.remaining),
            price=None if is_market else Ticks(order.price),
            time_in_force=TimeInForce.GTC if rests else TimeInForce.IOC,
            expires_ns=order.expiry_ms * NS_PER_MS if rests else None,
            referee=judge,
        )
        self._place(judge, submitted.fate, now_ns, outcome)

    def _place(self, judge: Judge, fate: Fate, now_ns: int, outcome: Outcome) -> None:
        """Give an order that has been matched its state."""
        order = judge.order
        if judge.verdict is not None and order.remaining:
            self.engine.cancel(OrderId(str(order.order_index)))
            self._end(order, judge.verdict, now_ns, outcome)
        elif not order.remaining:
            is_full = order.filled == order.size
            self._end(order, Status.FILLED if is_full else Status.CANCELED_SELF_TRADE, now_ns, outcome)
        elif fate is Fate.RESTING:
            self._keep(replace(order, status=Status.OPEN), outcome)
        else:
            has_depth = self.engine.best_price(Side.BUY if order.is_ask else Side.SELL) is not None
            status = Status.CANCELED_TOO_MUCH_SLIPPAGE if has_depth else Status.CANCELED_NOT_ENOUGH_LIQUIDITY
            self._end(order, status, now_ns, outcome)

    def reducible(self, order: LighterOrder) -> int:
        """How much of the position an order that may only reduce can close."""
        held = self.accounts.by_index[order.account].size_in(self.market.market_id)
        return max(0, held if order.is_ask else -held)

    def _crosses(self, order: LighterOrder) -> bool:
        best = self.engine.best_price(Side.BUY if order.is_ask else Side.SELL)
        return best is not None and (best >= order.price if order.is_ask else best <= order.price)

    def _keep(self, order: LighterOrder, outcome: Outcome) -> None:
        account = self.accounts.by_index[order.account]
        self.live[order.order_index] = account.orders[order.order_index] = order
        if order.status is Status.PENDING:
            self.pending[order.order_index] = order
        if order.client_index:
            account.client_indices[order.client_index] = order.order_index
        outcome.orders[order.order_index] = order

    def _remove(self, order: LighterOrder) -> None:
        """Take a live order out of the book."""
        self.engine.cancel(OrderId(str(order.order_index)))
        self.live.pop(order.order_index, None)
        self.pending.pop(order.order_index, None)

    def _end(self, order: LighterOrder, status: Status, now_ns: int, outcome: Outcome) -> None:
        account = self.accounts.by_index[order.account]
        self.live.pop(order.order_index, None)
        self.pending.pop(order.order_index, None)
        account.orders.pop(order.order_index, None)
        if account.client_indices.get(order.client_index) == order.order_index:
            del account.client_indices[order.client_index]
        ended = replace(order, status=status, remaining=0, updated_ns=now_ns)
        account.closed.append(ended)
        outcome.orders[order.order_index] = ended

    def update_maker(self, order: LighterOrder, outcome: Outcome) -> None:
        """Keep a maker's new state while it still rests."""
        self.live[order.order_index] = self.accounts.by_index[order.account].orders[order.order_index] = order
        outcome.orders[order.order_index] = order

    def end_maker(self, order: LighterOrder, status: Status, now_ns: int, outcome: Outcome) -> None:
        """End a maker that the engine has let go."""
        self._end(order, status, now_ns, outcome)

    def _finish(self, outcome: Outcome, now_ns: int) -> list[VenueEvent]:
        """Cancel what a changed position leaves without a purpose; return all events."""
        for index in outcome.flipped:
            for order in list(self.accounts.by_index[index].orders.values()):
                if order.is_reduce_only and order.market == self.market.market_id:
                    self._remove(order)
                    self._end(order, Status.CANCELED_REDUCE_ONLY, now_ns, outcome)
        bids, asks = self.engine.drain_changes()
        events: list[VenueEvent] = [
            BookChanged(self.market.market_id, side, price, size)
            for side, levels in ((Side.BUY, bids), (Side.SELL, asks))
            for price, size in levels
        ]
        events.extend(outcome.events())
        return events


_UNBOUNDED: Final = 2**63


class Judge:
    """The referee of one taker."""

    def __init__(self, pit: TradingPit, order: LighterOrder, now_ns: int, tx_hash: str, outcome: Outcome) -> None:
        """``order`` is the taker; afterwards :attr:`order` is its new state."""
        self._pit = pit
        self.order = order
        self.verdict: Status | None = None
        """Why the taker may not go on."""
        self._now_ns = now_ns
        self._tx_hash = tx_hash
        self._outcome = outcome
        self._reason = Status.CANCELED
        self._bound_quote = 0
        """What trades so far gained against a market order's bound, in micro-USDC."""

    @property
    def _taker(self) -> Account:
        return self._pit.accounts.by_index[self.order.account]

    def rule(self, maker: Order, lots: Lots) -> Ruling:
        """Ask each rule of the venue in turn."""
        if self.verdict is not None:
            return Ruling(0)
        resting = self._pit.live[int(maker.order_id)]
        owner = self._pit.accounts.by_index[resting.account]
        if (reason := self._unfit(resting, owner)) is not None:
            return self._drop(reason)
        if self._is_self(owner):
            return self._self_trade(resting, int(lots))
        allowed = self._bounded(int(maker.price), int(lots))
        if self.order.is_reduce_only:
            allowed = min(allowed, self._pit.reducible(self.order))
        if resting.is_reduce_only:
            allowed = min(allowed, self._pit.reducible(resting))
        if allowed <= 0:
            self.verdict = self._why_none()
            return Ruling(0)
        return self._with_margin(resting, owner, int(maker.price), allowed)

    def settle(self, trade: Trade) -> None:
        """Book both sides."""
        pit, size, price = self._pit, int(trade.size), int(trade.price)
        resting = pit.live[int(trade.maker_id)]
        owner, taker = pit.accounts.by_index[resting.account], self._taker
        maker_fee, taker_fee = pit.accounts.fees_of(owner).maker, self._fee(price)
        signed = size if resting.is_ask else -size  # the taker's
        made = pit.accounts.trade(owner, pit.market.market_id, -signed, price, maker_fee)
        took = pit.accounts.trade(taker, pit.market.market_id, signed, price, taker_fee)
        record = LighterTrade(
            trade_id=next(pit.trade_ids),
            tx_hash=self._tx_hash,
            market=pit.market.market_id,
            price=price,
            size=size,
            maker=Party.of(owner.index, resting.order_index, resting.client_index, maker_fee, made),
            taker=Party.of(taker.index, self.order.order_index, self.order.client_index, taker_fee, took),
            is_maker_ask=resting.is_ask,
            time_ns=self._now_ns,
            block_height=pit.block_of(self._now_ns),
            kind="liquidation" if self._is_liquidation else "trade",
        )
        self._record(record, owner, taker)
        if self.order.type.is_market:
            gain = self.order.price - price if not self.order.is_ask else price - self.order.price
            self._bound_quote += gain * size
        self.order = _filled(self.order, size, price, self._now_ns)
        filled = _filled(resting, size, price, self._now_ns)
        if filled.remaining:
            pit.update_maker(filled, self._outcome)
        else:
            pit.end_maker(filled, Status.FILLED, self._now_ns, self._outcome)

    def dropped(self, maker: Order) -> None:
        """End the maker that the ruling let go."""
        resting = self._pit.live[int(maker.order_id)]
        self._pit.end_maker(resting, self._reason, self._now_ns, self._outcome)

    # --- inside ---------------------------------------------------------------------------------------------------

    def _why_none(self) -> Status:
        """Why nothing trades with a maker that is fit."""
        if self._is_liquidation:
            return Status.CANCELED_LIQUIDATION
        has_nothing = self.order.is_reduce_only and not self._pit.reducible(self.order)
        return Status.CANCELED_REDUCE_ONLY if has_nothing else Status.CANCELED_TOO_MUCH_SLIPPAGE

    def _drop(self, reason: Status) -> Ruling:
        self._reason = reason
        return Ruling(0, drops_maker=True)

    def _unfit(self, resting: LighterOrder, owner: Account) -> Status | None:
        """Why a maker may not trade, whoever takes."""
        now_ms = self._now_ns // NS_PER_MS
        if resting.expiry_ms <= now_ms:
            return Status.CANCELED_EXPIRED
        if 0 < owner.cancel_all_ms <= now_ms:
            return Status.CANCELED
        if resting.is_reduce_only and not self._pit.reducible(resting):
            return Status.CANCELED_REDUCE_ONLY
        return None

    def _is_self(self, owner: Account) -> bool:
        taker = self._taker
        return owner is taker or (self.order.is_self_by_master and owner.l1_address == taker.l1_address)

    def _self_trade(self, resting: LighterOrder, lots: int) -> Ruling:
        mode = self.order.self_trade_mode
        if mode == 3:
            self._reason = Status.CANCELED_SELF_TRADE
            self.order = replace(self.order, remaining=self.order.remaining - lots)
            self._pit.update_maker(replace(resting, remaining=resting.remaining - lots), self._outcome)
            return Ruling(lots, is_void=True)
        if mode in {1, 2}:
            self.verdict = Status.CANCELED_SELF_TRADE
        return self._drop(Status.CANCELED_SELF_TRADE) if mode in {0, 2} else Ruling(0)

    @property
    def _is_liquidation(self) -> bool:
        return self.order.type is OrderType.LIQUIDATION

    def _fee(self, price: int) -> int:
        """The taker's fee, in 1/1,000,000."""
        if self._is_liquidation:
            return fee_of(price, self.order.price)
        return self._pit.accounts.fees_of(self._taker).taker

    def _bounded(self, price: int, lots: int) -> int:
        """How many lots a market order's average allows at a price, or a liquidation needs."""
        if self._is_liquidation:
            market = self._pit.market.market_id
            return min(lots, needed_lots(self._pit.accounts, self._taker, market, price, self._fee(price)))
        if not self.order.type.is_market:
            return lots
        loss = self.order.price - price if self.order.is_ask else price - self.order.price
        return lots if loss <= 0 else min(lots, self._bound_quote // loss)

    def _with_margin(self, resting: LighterOrder, owner: Account, price: int, lots: int) -> Ruling:
        """Whether both accounts may trade; the taker is asked first."""
        accounts, market = self._pit.accounts, self._pit.market.market_id
        signed = lots if resting.is_ask else -lots
        taker = self._taker
        after = accounts.health_after(taker, market, signed, price, self._fee(price))
        if not self._is_liquidation and not accounts.health(taker).allows(after):
            self.verdict = Status.CANCELED_MARGIN_NOT_ALLOWED
            return Ruling(0)
        after = accounts.health_after(owner, market, -signed, price, accounts.fees_of(owner).maker)
        if not accounts.health(owner).allows(after):
            return self._drop(Status.CANCELED_MARGIN_NOT_ALLOWED)
        return Ruling(lots)

    def _record(self, trade: LighterTrade, owner: Account, taker: Account) -> None:
        self._pit.last_price = trade.price
        self._outcome.trades.append(trade)
        for account, party in ((taker, trade.taker), (owner, trade.maker)):
            account.trades.append(trade)
            self._outcome.accounts[account.index] = None
            if party.has_sign_changed and party.size_before:
                self._outcome.flipped[account.index] = None


def _filled(order: LighterOrder, size: int, price: int, now_ns: int) -> LighterOrder:
    return replace(
        order,
        remaining=order.remaining - size,
        filled=order.filled + size,
        filled_quote=order.filled_quote + size * price,
        updated_ns=now_ns,
    )
