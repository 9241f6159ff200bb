"""A simulated market: seeded order flow, matched by price and time, published as bitFlyer does.

It joins three parts that do not know each other: `flow.py` decides who sends what, `matching.py` what comes of it,
`publisher.py` what is published. The same seed and start give the same frames, byte for byte, into whatever steps time
is cut. Orders from outside enter through the same method as the flow's (:meth:`Market.submit`), rest in the same book,
queue by the same rules and appear in the same messages.

The flow pauses while the board's state is not RUNNING, and resumes when it is RUNNING again. PREOPEN collects orders,
among them a few of the flow's; the change from PREOPEN to RUNNING holds the auction.

A participant from outside with a name of its own (the accounts of the private side) joins as :class:`Outsider`. Like
the flow it is asked when it acts next, and it is told of every trade and expiry.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Final, Protocol

from stall_then_strike.sim.bitflyer.publisher import Publisher
from stall_then_strike.sim.bitflyer.wire import second_text
from stall_then_strike.sim.exchange.book_side import Order, Owner
from stall_then_strike.sim.exchange.flow import OrderFlow
from stall_then_strike.sim.exchange.flow_model import FlowModel
from stall_then_strike.sim.exchange.matching import MatchingEngine, Submitted, Trade
from stall_then_strike.sim.exchange.source import Condition, Depth, Execution, Frame, Ticker
from stall_then_strike.types.dto import NS_PER_S, BoardState, Health, OrderId, Side, TimeInForce
from stall_then_strike.types.instrument import Instrument, Lots, Ticks, fx_btc_jpy

_NEVER_NS: Final = 1 << 63
_ID_CYCLE: Final = 1_000_000
_ID_STEP: Final = 611_953
"""Coprime to the cycle: the six digits do not count up, and repeat only after a million orders."""


class OrderIds:
    """Acceptance ids: ``JRF``, UTC second, six digits that do not count up (API docs, tape)."""

    def __init__(self, seed: int) -> None:
        """Begin anywhere in the cycle of the six digits."""
        self._issued = Random(f"ids {seed}").randrange(_ID_CYCLE)

    def new(self, now_ns: int) -> OrderId:
        """A fresh id."""
        self._issued += 1
        digits = self._issued * _ID_STEP % _ID_CYCLE
        return OrderId(f"JRF{second_text(now_ns // NS_PER_S, '%Y%m%d-%H%M%S')}-{digits:06d}")


class Outsider(Protocol):
    """A participant from outside the flow, with orders in the book and acting in the market's time."""

    def next_ns(self) -> int | None:
        """When it acts next; None when nothing is planned."""
        ...

    def step(self) -> None:
        """Do what is due first."""
        ...

    def on_trades(self, now_ns: int, trades: Sequence[Trade], executions: Sequence[Execution]) -> None:
        """Trades happened, anybody's; ``executions`` are the same trades as published."""
        ...

    def on_expired(self, now_ns: int, orders: Sequence[Order]) -> None:
        """Orders, anybody's, left the book with a remainder: they expired, or their auction is over."""
        ...


class Market:
    """An endless :class:`~stall_then_strike.sim.exchange.source.MarketSource`."""

    def __init__(
        self,
        *,
        seed: int,
        start_ns: int,
        instrument: Instrument | None = None,
        model: FlowModel | None = None,
        ids: OrderIds | None = None,
        leader: Market | None = None,
    ) -> None:
        """Open the board with a full book at ``start_ns``, by default for ``FX_BTC_JPY``.

        ``ids``: those of another market of the venue, so that no id is issued twice. ``leader``: a market of the same
        asset whose price this one follows; it has to be advanced first.
        """
        self._instrument = instrument if instrument is not None else fx_btc_jpy()
        self._now_ns = start_ns
        self._condition = Condition()
        self._closed_since_ns: int | None = None
        self._outsider: Outsider | None = None
        self._engine = MatchingEngine()
        self.ids = OrderIds(seed) if ids is None else ids
        self._publisher = Publisher(
            Random(f"publisher {seed}"), engine=self._engine, instrument=self._instrument, start_ns=start_ns
        )
        self._flow = OrderFlow(
            Random(f"flow {seed}"),
            start_ns=start_ns,
            instrument=self._instrument,
            model=model if model is not None else FlowModel(),
            leader=None if leader is None else leader.fair_in(self._instrument),
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
        """Venue time that the market has reached."""
        return self._now_ns

    @property
    def condition(self) -> Condition:
        """Board state and health."""
        return self._condition

    def set_condition(self, *, state: BoardState | None = None, health: Health | None = None) -> None:
        """Change the given values from now on."""
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
        """When something happens next: an order, an expiry, a timer or a departing frame."""
        wake_ns = self._next_event_ns()
        frame_ns = self._publisher.next_frame_ns()
        return wake_ns if frame_ns is None else min(wake_ns, frame_ns)

    def advance(self, until_ns: int) -> list[Frame]:
        """Advance the market to ``until_ns``; return the frames that left."""
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

    def fair_in(self, unit: Instrument) -> Callable[[], float]:
        """What gives the hidden fair price in ticks of another instrument."""
        ratio = unit.ticks_per_one / self._instrument.ticks_per_one
        return lambda: self._flow.fair * ratio

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
        """The book, read only. Submit orders through this class, or their trades are not published."""
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
        """Match an order at a time that :meth:`advance` has reached; return its acceptance id."""
        order_id = self.new_order_id(now_ns)
        self.match(
            now_ns, order_id=order_id, owner=owner, side=side, size=size, price=price, time_in_force=time_in_force
        )
        return order_id

    def cancel(self, now_ns: int, order_id: OrderId) -> bool:
        """Cancel an order; return whether it was resting."""
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
        """Match an order whose id was issued before, and publish its trades."""
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
        """Add the participant from outside. Raises ValueError when there is one already."""
        if self._outsider is not None:
            raise ValueError("somebody has joined this market already")
        self._outsider = outsider

    def send(self, frame: Frame) -> None:
        """Queue a frame, to leave at its own time between the market's frames."""
        self._publisher.send(frame)

    def mid(self) -> Ticks:
        """The floored mid, as the board shows it."""
        return self._publisher.mid()

    def new_order_id(self, now_ns: int) -> OrderId:
        """A fresh acceptance id."""
        return self.ids.new(now_ns)

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
