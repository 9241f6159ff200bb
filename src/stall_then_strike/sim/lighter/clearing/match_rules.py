"""What the venue decides at each match of one order. Pure.

A judge is the engine's referee for one taker. Before each match it looks at both orders and both accounts as they are
at that moment; after it, it books both sides.

Venue facts (published circuits; documentation of 2026):

- an order reserves no margin. A taker that may not trade is cancelled, rest included; a maker that may not is
  cancelled and the taker goes on. The same holds for a maker that has expired, whose owner's dead man's switch is due,
  or that may only reduce and would not;
- a market order's price bounds its average: what better levels gain may be spent on worse ones;
- an order that may only reduce trades no more than the position;
- of two orders of one owner, the resting one is cancelled and the taker goes on (since 2026-05-31), or as the order's
  self-trade mode says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from stall_then_strike.sim.exchange.book_side import Order
from stall_then_strike.sim.exchange.matching import Ruling, Trade
from stall_then_strike.sim.lighter.clearing.accounts import Account, Accounts
from stall_then_strike.sim.lighter.clearing.liquidation import fee_of, needed_lots
from stall_then_strike.sim.lighter.clearing.order_table import OrderTable, Outcome
from stall_then_strike.sim.lighter.clearing.records import LighterOrder, LighterTrade, OrderType, Party, Status
from stall_then_strike.types.dto import NS_PER_MS
from stall_then_strike.types.instrument import Lots

TRADED: Final = "trade"
LIQUIDATED: Final = "liquidation"


class TradeNumbers:
    """Numbers the trades of one market among those of all, and knows the last price."""

    def __init__(self, market: int, trade_ids: Iterator[int], block_of: Callable[[int], int]) -> None:
        """``trade_ids`` is shared by all markets, ``block_of`` gives the block height at a time."""
        self.last_price = 0
        self._market = market
        self._trade_ids = trade_ids
        self._block_of = block_of

    def print(
        self, outcome: Outcome, price: int, size: int, *, maker: Party, taker: Party, is_maker_ask: bool, kind: str
    ) -> LighterTrade:
        """The record of a trade."""
        if kind == TRADED:
            self.last_price = price
        return LighterTrade(
            trade_id=next(self._trade_ids),
            tx_hash=outcome.tx_hash,
            market=self._market,
            price=price,
            size=size,
            maker=maker,
            taker=taker,
            is_maker_ask=is_maker_ask,
            time_ns=outcome.now_ns,
            block_height=self._block_of(outcome.now_ns),
            kind=kind,
        )


class Judge:
    """The referee of one taker."""

    def __init__(
        self, order: LighterOrder, table: OrderTable, accounts: Accounts, numbers: TradeNumbers, outcome: Outcome
    ) -> None:
        """``order`` is the taker; afterwards :attr:`order` is its new state."""
        self.order = order
        self.verdict: Status | None = None
        """Why the taker may not go on."""
        self._table = table
        self._accounts = accounts
        self._numbers = numbers
        self._outcome = outcome
        self._reason = Status.CANCELED
        self._bound_quote = 0
        """What trades so far gained against a market order's bound, in micro-USDC."""

    @property
    def _taker(self) -> Account:
        return self._table.owner(self.order)

    def rule(self, maker: Order, lots: Lots) -> Ruling:
        """Ask each rule of the venue in turn."""
        if self.verdict is not None:
            return Ruling(0)
        resting = self._table.live[int(maker.order_id)]
        owner = self._table.owner(resting)
        if (reason := self._unfit(resting, owner)) is not None:
            return self._drop(reason)
        if self._is_self(owner):
            return self._self_trade(resting, int(lots))
        allowed = self._bounded(int(maker.price), int(lots))
        if self.order.is_reduce_only:
            allowed = min(allowed, self._table.reducible(self.order))
        if resting.is_reduce_only:
            allowed = min(allowed, self._table.reducible(resting))
        if allowed <= 0:
            self.verdict = self._why_none()
            return Ruling(0)
        return self._with_margin(resting, owner, int(maker.price), allowed)

    def settle(self, trade: Trade) -> None:
        """Book both sides."""
        size, price = int(trade.size), int(trade.price)
        resting = self._table.live[int(trade.maker_id)]
        owner, taker = self._table.owner(resting), self._taker
        taker_fee, signed = self._fee(price), size if resting.is_ask else -size  # the taker's
        record = self._numbers.print(
            self._outcome,
            price,
            size,
            maker=self._book(owner, resting, -signed, price, owner.plan.fees.maker),
            taker=self._book(taker, self.order, signed, price, taker_fee),
            is_maker_ask=resting.is_ask,
            kind=LIQUIDATED if self._is_liquidation else TRADED,
        )
        self._outcome.traded(record, taker, owner)
        if self.order.type.is_market:
            gain = self.order.price - price if not self.order.is_ask else price - self.order.price
            self._bound_quote += gain * size
        self.order = _filled(self.order, size, price, self._outcome.now_ns)
        filled = _filled(resting, size, price, self._outcome.now_ns)
        if filled.remaining:
            self._table.keep(filled, self._outcome)
        else:
            self._table.end(filled, Status.FILLED, self._outcome)

    def dropped(self, maker: Order) -> None:
        """End the maker that the ruling let go."""
        resting = self._table.live[int(maker.order_id)]
        self._table.end(resting, self._reason, self._outcome)

    # --- inside ---------------------------------------------------------------------------------------------------

    def _book(self, account: Account, order: LighterOrder, size: int, price: int, fee: int) -> Party:
        index, client = order.order_index, order.client_index
        return self._accounts.trade(account, order.market, size, price, fee, order_index=index, client_index=client)

    def _why_none(self) -> Status:
        """Why nothing trades with a maker that is fit."""
        if self._is_liquidation:
            return Status.CANCELED_LIQUIDATION
        has_nothing = self.order.is_reduce_only and not self._table.reducible(self.order)
        return Status.CANCELED_REDUCE_ONLY if has_nothing else Status.CANCELED_TOO_MUCH_SLIPPAGE

    def _drop(self, reason: Status) -> Ruling:
        self._reason = reason
        return Ruling(0, drops_maker=True)

    def _unfit(self, resting: LighterOrder, owner: Account) -> Status | None:
        """Why a maker may not trade, whoever takes."""
        now_ms = self._outcome.now_ns // NS_PER_MS
        if resting.expiry_ms <= now_ms:
            return Status.CANCELED_EXPIRED
        if 0 < owner.cancel_all_ms <= now_ms:
            return Status.CANCELED
        if resting.is_reduce_only and not self._table.reducible(resting):
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
            self._table.keep(replace(resting, remaining=resting.remaining - lots), self._outcome)
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
        return self._taker.plan.fees.taker

    def _bounded(self, price: int, lots: int) -> int:
        """How many lots a market order's average allows at a price, or a liquidation needs."""
        if self._is_liquidation:
            market = self.order.market
            return min(lots, needed_lots(self._accounts, self._taker, market, price, self._fee(price)))
        if not self.order.type.is_market:
            return lots
        loss = self.order.price - price if self.order.is_ask else price - self.order.price
        return lots if loss <= 0 else min(lots, self._bound_quote // loss)

    def _with_margin(self, resting: LighterOrder, owner: Account, price: int, lots: int) -> Ruling:
        """Whether both accounts may trade; the taker is asked first."""
        accounts, market = self._accounts, self.order.market
        signed = lots if resting.is_ask else -lots
        taker = self._taker
        after = accounts.health_after(taker, market, signed, price, self._fee(price))
        if not self._is_liquidation and not accounts.health(taker).allows(after):
            self.verdict = Status.CANCELED_MARGIN_NOT_ALLOWED
            return Ruling(0)
        after = accounts.health_after(owner, market, -signed, price, owner.plan.fees.maker)
        if not accounts.health(owner).allows(after):
            return self._drop(Status.CANCELED_MARGIN_NOT_ALLOWED)
        return Ruling(lots)


def _filled(order: LighterOrder, size: int, price: int, now_ns: int) -> LighterOrder:
    return replace(
        order,
        remaining=order.remaining - size,
        filled=order.filled + size,
        filled_quote=order.filled_quote + size * price,
        updated_ns=now_ns,
    )
