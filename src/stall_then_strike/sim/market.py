"""A live market without a venue: seeded order flow, matched by price and time, published as bitFlyer does.

Glue of three parts that know nothing of each other: `flow.py` decides who sends what, `matching.py` what comes of it,
`publisher.py` what the public hears of it. Same seed and start give the same frames, byte for byte, however the time
is cut into steps. Orders from outside enter by the same door as the flow's (:meth:`Market.submit`), rest in the same
book, queue by the same rules and show up in the same messages.

Outside the state RUNNING nothing of the flow happens: it goes on, later, when the board runs again. PREOPEN collects
orders, a few of the flow's among them, and the step from there to RUNNING holds the auction.

Who trades from outside under a name of his own (the accounts of the private side) joins as :class:`Outsider`: he is
asked for his next moment like the flow, and told of every trade and expiry.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Final, Protocol

from stall_then_strike.sim.bitflyer.publisher import Publisher
from stall_then_strike.sim.bitflyer.wire import second_text
from stall_then_strike.sim.exchange.book_side import Order, Owner
from stall_then_strike.sim.exchange.flow import FlowModel, OrderFlow
from stall_then_strike.sim.exchange.matching import MatchingEngine, Submitted, Trade
from stall_then_strike.sim.exchange.source import Condition, Depth, Execution, Frame, Ticker
from stall_then_strike.types.dto import NS_PER_S, BoardState, Health, OrderId, Side, TimeInForce
from stall_then_strike.types.instrument import Instrument, Lots, Ticks, fx_btc_jpy

_NEVER_NS: Final = 1 << 63
_ID_CYCLE: Final = 1_000_000
_ID_STEP: Final = 611_953
"""Coprime to the cycle: six digits that do not count up and repeat only after a million orders, never in one second."""


class Outsider(Protocol):
    """Somebody with orders in the book who lives in the market's time."""

    def next_ns(self) -> int | None:
        """When he acts next."""
        ...

    def step(self) -> None:
        """Let him do what is due first."""
        ...

    def on_trades(self, now_ns: int, trades: Sequence[Trade], executions: Sequence[Execution]) -> None:
        """Trades of anybody, each with what the public hears of it."""
        ...

    def on_expired(self, now_ns: int, orders: Sequence[Order]) -> None:
        """Orders of anybody left the book, unfilled, because their time was up or their auction over."""
        ...


class Market:
    """An endless :class:`~stall_then_strike.sim.exchange.source.MarketSource`."""

    def __init__(
        self, *, seed: int, start_ns: int, instrument: Instrument | None = None, model: FlowModel | None = None
    ) -> None:
        """Open the board with a full book at ``start_ns``, by default for ``FX_BTC_JPY``."""
        self._instrument = instrument if instrument is not None else fx_btc_jpy()
        self._now_ns = start_ns
        self._condition = Condition()
        self._closed_since_ns: int | None = None
        self._outsider: Outsider | None = None
        self._engine = MatchingEngine()
        self._ids_issued = Random(f"ids {seed}").randrange(_ID_CYCLE)
        self._publisher = Publisher(
            Random(f"publisher {seed}"), engine=self._engine, instrument=self._instrument, start_ns=start_ns
        )
        self._flow = OrderFlow(
            Random(f"flow {seed}"),
            start_ns=start_ns,
            instrument=self._instrument,
            model=model if model is not None else FlowModel(),
        )
        self._flow.populate(self)
        self._engine.drain_changes()

    # --- MarketSource ---------------------------------------------------------------------------------------------

    @property
    def instrument(self) -> Instrument:
        """Product and units."""
        return self._instrument

    @property
    def now_ns(self) -> int:
        """Venue time at which the market stands."""
        return self._now_ns

    @property
    def condition(self) -> Condition:
        """Board state and health."""
        return self._condition

    def set_condition(self, *, state: BoardState | None = None, health: Health | None = None) -> None:
        """Change what is given, from now on."""
        old = self._condition
        self._condition = Condition(
            state=old.state if state is None else state, health=old.health if health is None else health
        )
        self._publisher.on_state(self._condition.state)
        is_running = self._condition.state is BoardState.RUNNING
        if self._condition.state is BoardState.PREOPEN and not self._engine.is_auction:
            self._engine.begin_auction()
            self._flow.join_auction(self, self._now_ns)
        elif is_running and self._engine.is_auction:
            self._hold_auction()
        if is_running and self._closed_since_ns is not None:
            self._flow.delay(self._now_ns - self._closed_since_ns)
            self._closed_since_ns = None
        elif not is_running and self._closed_since_ns is None:
            self._closed_since_ns = self._now_ns

    def next_wake_ns(self) -> int:
        """When something happens next: an order, an expiry, a timer or a frame that leaves."""
        wake_ns = self._next_event_ns()
        frame_ns = self._publisher.next_frame_ns()
        return wake_ns if frame_ns is None else min(wake_ns, frame_ns)

    def advance(self, until_ns: int) -> list[Frame]:
        """Let the market live until then; return the frames that left."""
        publisher, engine, flow = self._publisher, self._engine, self._flow
        while (event_ns := self._next_event_ns()) <= until_ns:
            self._now_ns = max(self._now_ns, event_ns)
            expiry_ns = engine.next_expiry_ns()
            if expiry_ns is not None and expiry_ns <= event_ns:
                expired = engine.expire(event_ns)
                if self._outsider is not None:
                    self._outsider.on_expired(event_ns, expired)
            elif self._outsider_ns() <= event_ns and self._outsider is not None:
                self._outsider.step()
            elif self._closed_since_ns is None and flow.next_ns() <= event_ns:
                flow.step(self)
            else:
                publisher.step()
        self._now_ns = max(self._now_ns, until_ns)
        return publisher.release(until_ns)

    def depth(self, limit: int | None = None) -> Depth:
        """The displayed book."""
        return self._publisher.depth(limit)

    def ticker(self) -> Ticker | None:
        """The ticker now."""
        return self._publisher.ticker(self._now_ns)

    def executions(self) -> Sequence[Execution]:
        """The last executions, newest first."""
        return self._publisher.executions()

    # --- OrderEntry -----------------------------------------------------------------------------------------------

    @property
    def engine(self) -> MatchingEngine:
        """The book, to read. Orders go through this class, or the public would not hear of their trades."""
        return self._engine

    def submit(
        self,
        now_ns: int,
        *,
        owner: Owner,
        side: Side,
        size: Lots,
        price: Ticks | None = None,
        time_in_force: TimeInForce = TimeInForce.GTC,
    ) -> OrderId:
        """Take an order at a moment that :meth:`advance` has reached; return its acceptance id."""
        order_id = self.new_order_id(now_ns)
        self.match(
            now_ns, order_id=order_id, owner=owner, side=side, size=size, price=price, time_in_force=time_in_force
        )
        return order_id

    def cancel(self, now_ns: int, order_id: OrderId) -> bool:
        """Withdraw an order; whether it still rested."""
        return self._engine.cancel(order_id) is not None

    def match(
        self,
        now_ns: int,
        *,
        order_id: OrderId,
        owner: Owner,
        side: Side,
        size: Lots,
        price: Ticks | None = None,
        time_in_force: TimeInForce = TimeInForce.GTC,
        expires_ns: int | None = None,
    ) -> Submitted:
        """Register an order that was named before, match it and publish its trades."""
        outcome = self._engine.submit(
            order_id=order_id,
            owner=owner,
            side=side,
            size=size,
            price=price,
            time_in_force=time_in_force,
            expires_ns=expires_ns,
        )
        if outcome.trades:
            self._publish_trades(now_ns, outcome.trades)
        return outcome

    def join(self, outsider: Outsider) -> None:
        """Let somebody live in this market; there can be one."""
        if self._outsider is not None:
            raise ValueError("somebody has joined this market already")
        self._outsider = outsider

    def send(self, frame: Frame) -> None:
        """Let a frame leave with the market's own, at its time."""
        self._publisher.send(frame)

    def mid(self) -> Ticks:
        """The floored mid, as the board shows it."""
        return self._publisher.mid()

    def new_order_id(self, now_ns: int) -> OrderId:
        """A fresh acceptance id: ``JRF``, UTC second, six digits that do not count up (API docs, tape)."""
        self._ids_issued += 1
        digits = self._ids_issued * _ID_STEP % _ID_CYCLE
        return OrderId(f"JRF{second_text(now_ns // NS_PER_S, '%Y%m%d-%H%M%S')}-{digits:06d}")

    # --- inside ---------------------------------------------------------------------------------------------------

    def _hold_auction(self) -> None:
        trades, left = self._engine.uncross(self._publisher.last_price)
        if trades:
            self._publish_trades(self._now_ns, trades)
        if left and self._outsider is not None:
            self._outsider.on_expired(self._now_ns, left)

    def _publish_trades(self, now_ns: int, trades: Sequence[Trade]) -> None:
        executions = self._publisher.on_trades(now_ns, trades)
        if self._outsider is not None:
            self._outsider.on_trades(now_ns, trades, executions)

    def _outsider_ns(self) -> int:
        next_ns = None if self._outsider is None else self._outsider.next_ns()
        return _NEVER_NS if next_ns is None else next_ns

    def _next_event_ns(self) -> int:
        event_ns = min(self._publisher.next_timer_ns(), self._outsider_ns())
        if self._closed_since_ns is None:
            event_ns = min(event_ns, self._flow.next_ns())
        expiry_ns = self._engine.next_expiry_ns()
        return event_ns if expiry_ns is None else min(event_ns, expiry_ns)
