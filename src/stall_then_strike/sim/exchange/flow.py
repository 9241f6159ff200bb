"""The traders of the simulated exchange: a seeded order flow around a hidden fair price.

Modelled, with the parameters of :mod:`flow_model`:

- *Fair price.* A random walk in steps of 100 ms with slowly changing volatility, a trend that comes and goes within
  minutes, and a jump every few minutes. No participant is told; an index price may follow it. A taker's order moves it
  in the order's direction, because takers know something.
- *Makers* place orders at a distance from the fair price and leave after a random time. Distance, rate and patience
  come in bands: few and impatient orders at the touch, many and patient ones far away. Some join the best price, some
  improve it by one tick. They never take. All their distances grow and shrink together, over minutes and for a moment
  after each taker's order.
- *Pulls.* When the fair price comes near a maker's resting order, the maker tends to cancel it.
- *Snipers* take orders that the fair price has already passed. A quote that stays too long loses: this is adverse
  selection, and our orders suffer it like any other.
- *Takers* arrive at random, and more often when the price that they would pay is near the fair price: a quote inside
  the spread attracts them. An order of theirs brings others: at once, as several react to the same news, and over many
  seconds, as one large order is worked in parts. These mostly have its side.
- *Quiet.* Now and then nobody moves the best prices until somebody takes.

Not modelled: seasonality within the day, reaction to the size of the queue, icebergs, cascades of forced closes, and
any memory of who traded. The flow does not single out our orders; everybody sees the same best prices.

Pure: no clock, one seeded generator; the same seed gives the same events.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum, unique
from heapq import heappop, heappush
from math import exp, log, sqrt
from random import Random
from typing import Final, Protocol

from stall_then_strike.sim.exchange.book_side import Owner
from stall_then_strike.sim.exchange.flow_model import Band, FlowModel
from stall_then_strike.sim.exchange.matching import MatchingEngine
from stall_then_strike.types.dto import NS_PER_S, OrderId, Side, TimeInForce
from stall_then_strike.types.instrument import Lots, Ticks

FLOW: Final = Owner("flow")
"""Owner of this module's orders, unless the venue knows them by another name."""

_STEP_NS: Final = NS_PER_S // 10
_STEP_S: Final = 0.1
_LONGEST_QUIET_S: Final = 6.0


_ROUND_SIZES: Final = (0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5)
_ROUND_WEIGHTS: Final = (30, 18, 10, 12, 14, 12, 4)
_ODD_SHARE: Final = 0.25


class SizeUnits(Protocol):
    """In what units sizes are drawn. :class:`~stall_then_strike.types.instrument.Instrument` has them."""

    @property
    def lots_per_one(self) -> int:
        """Lots of a size of one; most orders are between 0.01 and 0.5."""
        ...

    @property
    def min_size(self) -> Lots:
        """Smallest order."""
        ...


class OrderEntry(Protocol):
    """The venue as a participant sees it."""

    @property
    def engine(self) -> MatchingEngine:
        """The book, read only."""
        ...

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
        """Send an order; return its id."""
        ...

    def cancel(self, now_ns: int, order_id: OrderId) -> bool:
        """Cancel an order; return whether it was resting."""
        ...


@unique
class _What(IntEnum):
    FAIR = 0
    MAKER = 1
    TAKER = 2
    LEAVE = 3
    FOLLOWER = 4
    REQUOTE = 5


class OrderFlow:
    """The participants. Call :meth:`step` at :meth:`next_ns`, in venue time."""

    def __init__(
        self,
        rng: Random,
        *,
        start_ns: int,
        instrument: SizeUnits,
        model: FlowModel,
        owner: Owner = FLOW,
        leader: Callable[[], float] | None = None,
    ) -> None:
        """Leave the book empty; :meth:`populate` fills it. ``owner`` is whose the makers' orders are in the book.

        ``leader`` gives the fair price, in ticks of this market, of another one of the same asset, which it follows.
        """
        self._leader = leader
        self._rng = rng
        self._owner = owner
        self._model = model
        self._lots_per_one = instrument.lots_per_one
        self._min_size = instrument.min_size
        self._fair = float(model.fair_ticks) if leader is None else leader() * (1 + model.basis)
        self._activity = 0.0
        self._trend = 0.0
        self._last_taker = Side.BUY
        self._regime = 0.0
        self._widened = 0.0
        self._scale = 1.0
        self._quiet_until_ns = 0
        self._band_weights = [band.per_s for band in model.bands]
        self._makers_per_s = 2 * sum(self._band_weights)
        self._events: list[tuple[int, int, _What, OrderId | Side | None]] = []
        self._count = 0
        self._shift_ns = 0
        self._start_ns = start_ns

    @property
    def fair(self) -> float:
        """The hidden fair price, in ticks, for a venue that publishes an index price."""
        return self._fair

    def populate(self, venue: OrderEntry) -> None:
        """Fill the book as after a long time: each band holds its average number of orders."""
        for band in self._model.bands:
            for side in Side:
                for _ in range(max(1, round(band.per_s * band.patience_s))):
                    # The exponential distribution has no memory: remaining patience is distributed as patience is.
                    self._place(venue, self._start_ns, side, self._price(side, band), band)
        for what, delay_ns in (
            (_What.FAIR, _STEP_NS),
            (_What.MAKER, self._maker_gap()),
            (_What.TAKER, self._taker_gap()),
        ):
            self._schedule(self._start_ns + delay_ns, what)

    def next_ns(self) -> int:
        """When the next participant acts."""
        return self._events[0][0] + self._shift_ns

    def delay(self, pause_ns: int) -> None:
        """Delay everything still planned: the board was closed for ``pause_ns``."""
        self._shift_ns += pause_ns

    def step(self, venue: OrderEntry) -> None:
        """Let the next participant act."""
        planned_ns, _, what, about = heappop(self._events)
        now_ns = planned_ns + self._shift_ns
        if what is _What.LEAVE:
            self._leave(venue, now_ns, OrderId(str(about)))
        elif what is _What.MAKER:
            self._schedule(planned_ns + self._maker_gap(), what)
            self._make(venue, now_ns)
        elif what is _What.TAKER:
            self._schedule(planned_ns + self._taker_gap(), what)
            self._take(venue, now_ns)
        elif what is _What.FOLLOWER:
            self._follow(venue, now_ns, Side(str(about)))
        elif what is _What.REQUOTE:
            self._make(venue, now_ns, Side(str(about)))
        else:
            self._schedule(planned_ns + _STEP_NS, what)
            self._move_scale()
            if now_ns >= self._quiet_until_ns:
                self._move_fair()
                self._rest(now_ns)
            self._react(venue, now_ns)

    def join_auction(self, venue: OrderEntry, now_ns: int) -> None:
        """Send orders into an auction: market orders on both sides, and limit orders beyond the fair price."""
        for side in Side:
            for _ in range(3):
                venue.submit(now_ns, owner=self._owner, side=side, size=self._taker_size(1.0))
                price = Ticks(max(1, int(self._fair + side.sign * self._rng.uniform(0, 3 * self._model.guard))))
                order_id = venue.submit(now_ns, owner=self._owner, side=side, size=self._maker_size(1.0), price=price)
                patience_ns = int(self._rng.expovariate(0.2) * NS_PER_S)
                self._schedule(now_ns - self._shift_ns + patience_ns, _What.LEAVE, order_id)

    # --- quiet and spread ---------------------------------------------------------------------------------------------

    def _rest(self, now_ns: int) -> None:
        """Begin a quiet stretch now and then."""
        model, rng = self._model, self._rng
        if rng.random() < _STEP_S * model.quiets_per_s:
            quiet_s = min(rng.expovariate(1 / model.quiet_s), _LONGEST_QUIET_S) if model.quiet_s else 0.0
            self._quiet_until_ns = now_ns + int(quiet_s * NS_PER_S)

    def _move_scale(self) -> None:
        """The makers' distances: a regime of minutes, and what the last takers' orders left."""
        model = self._model
        keep = 1 - _STEP_S / model.regime_memory_s
        self._regime = keep * self._regime + model.regime_spread * sqrt(1 - keep * keep) * self._rng.gauss(0, 1)
        self._widened *= exp(-_STEP_S / model.widening_memory_s)
        self._scale = exp(self._regime) * (1 + self._widened)

    def _leave(self, venue: OrderEntry, now_ns: int, order_id: OrderId) -> None:
        """A maker's patience is over; in a quiet stretch the best price waits for its end."""
        if now_ns < self._quiet_until_ns:
            order = venue.engine.order(order_id)
            if order is not None and order.price == venue.engine.best_price(order.side):
                wait_ns = self._quiet_until_ns + self._rng.randrange(NS_PER_S // 5)
                self._schedule(wait_ns - self._shift_ns, _What.LEAVE, order_id)
                return
        venue.cancel(now_ns, order_id)

    # --- fair price -------------------------------------------------------------------------------------------------

    def _move_fair(self) -> None:
        model, gauss = self._model, self._rng.gauss
        keep = 1 - _STEP_S / model.activity_memory_s
        self._activity = keep * self._activity + model.activity_spread * sqrt(1 - keep * keep) * gauss(0, 1)
        keep = 1 - _STEP_S / model.trend_memory_s
        self._trend = keep * self._trend + model.trend * sqrt(1 - keep * keep) * gauss(0, 1)
        move = self._trend * _STEP_S + model.volatility * exp(self._activity) * sqrt(_STEP_S) * gauss(0, 1)
        if self._rng.random() < model.jumps_per_s * _STEP_S:
            move += gauss(0, model.jump)
        if self._leader is not None:
            apart = self._leader() * (1 + model.basis) - self._fair
            move = model.own_share * move + apart * (1 - exp(-_STEP_S / model.follow_s))
        # A floor that no realistic run reaches: prices stay positive whatever the seed.
        self._fair = max(self._fair + move, model.fair_ticks / 10)

    def _react(self, venue: OrderEntry, now_ns: int) -> None:
        """Makers cancel orders near the fair price; snipers take orders that it has passed."""
        model, engine, random = self._model, venue.engine, self._rng.random
        guard = model.guard * self._scale * (1 + model.alarm * self._widened)
        for side in Side:
            danger = self._fair - side.sign * guard
            pulled: list[OrderId] = []
            for order in engine.resting(side):
                if side.sign * (order.price - danger) <= 0:
                    break
                if order.owner == self._owner and random() < model.pull_chance and now_ns >= self._quiet_until_ns:
                    pulled.append(order.order_id)
            for order_id in pulled:
                venue.cancel(now_ns, order_id)
            limit = Ticks(int(self._fair + side.sign * model.snipe_edge))
            best = engine.best_price(side)
            if best is not None and side.sign * (best - limit) > 0 and random() < model.snipe_chance:
                venue.submit(
                    now_ns,
                    owner=self._owner,
                    side=side.opposite,
                    size=self._taker_size(2.5),
                    price=limit,
                    time_in_force=TimeInForce.IOC,
                )
                self._took(venue, now_ns, side.opposite, 0.0)

    # --- makers -----------------------------------------------------------------------------------------------------

    def _make(self, venue: OrderEntry, now_ns: int, side: Side | None = None) -> None:
        """One maker's order; with a side given it is near the touch."""
        model, rng = self._model, self._rng
        near = 2 if side is not None else None
        if side is None:
            side = Side.BUY if rng.random() < 0.5 else Side.SELL
        (band,) = rng.choices(model.bands[:near], self._band_weights[:near])
        price = self._price(side, band)
        if band in model.bands[:2]:
            best = venue.engine.best_price(side)
            choice = rng.random()
            # Nobody joins a best price so near the fair price that makers cancel there.
            if best is not None and side.sign * (self._fair - best) > model.guard * self._scale:
                if choice < model.join_share:
                    price = best
                elif choice < model.join_share + model.undercut_share:
                    price = Ticks(best + side.sign)
            if best is not None and now_ns < self._quiet_until_ns and side.sign * (price - best) > 0:
                return
        opposite = venue.engine.best_price(side.opposite)
        if opposite is not None and side.sign * (price - opposite) >= 0:
            price = Ticks(opposite - side.sign)
        self._place(venue, now_ns, side, price, band)

    def _price(self, side: Side, band: Band) -> Ticks:
        """A price in the band; the logarithm of its distance is uniform."""
        distance = self._scale * band.near_ticks * exp(self._rng.random() * log(band.far_ticks / band.near_ticks))
        return Ticks(max(1, int(self._fair - side.sign * distance)))

    def _place(self, venue: OrderEntry, now_ns: int, side: Side, price: Ticks, band: Band) -> None:
        order_id = venue.submit(
            now_ns, owner=self._owner, side=side, size=self._maker_size(band.size_factor), price=price
        )
        patience_ns = int(self._rng.expovariate(1 / band.patience_s) * NS_PER_S)
        self._schedule(now_ns - self._shift_ns + patience_ns, _What.LEAVE, order_id)

    def _maker_size(self, factor: float) -> Lots:
        rng = self._rng
        (size,) = rng.choices(_ROUND_SIZES, _ROUND_WEIGHTS)
        if rng.random() < _ODD_SHARE:
            size *= rng.uniform(0.5, 1.5)
        return Lots(max(self._min_size, round(size * factor * self._lots_per_one)))

    # --- takers -----------------------------------------------------------------------------------------------------

    def _take(self, venue: OrderEntry, now_ns: int) -> None:
        model, rng = self._model, self._rng
        side = self._last_taker if rng.random() < model.run_share else self._last_taker.opposite
        best = venue.engine.best_price(side.opposite)
        interest = rng.random()
        if best is None:
            return
        cost = max(0.0, side.sign * (best - self._fair))
        interest *= exp(-model.busy * self._activity)
        if interest >= model.taker_floor + (1 - model.taker_floor) * exp(-cost / model.taker_patience):
            return
        self._order(venue, now_ns, side, best, model.impact)

    def _follow(self, venue: OrderEntry, now_ns: int, side: Side) -> None:
        """One more order of those that an earlier one brings."""
        if self._rng.random() >= self._model.follow_same_side:
            side = side.opposite
        if (best := venue.engine.best_price(side.opposite)) is not None:
            self._order(venue, now_ns, side, best, self._model.impact * self._model.follow_impact)

    def _order(self, venue: OrderEntry, now_ns: int, side: Side, best: Ticks, impact: float) -> None:
        """Take at the best price, and what follows from it."""
        rng = self._rng
        self._last_taker = side
        self._took(venue, now_ns, side, impact)
        size = self._taker_size(1.0)
        if rng.random() < 0.5:
            venue.submit(now_ns, owner=self._owner, side=side, size=size)
        else:
            price = Ticks(best + side.sign * int(rng.expovariate(1 / 500)))
            venue.submit(now_ns, owner=self._owner, side=side, size=size, price=price, time_in_force=TimeInForce.IOC)

    def _took(self, venue: OrderEntry, now_ns: int, side: Side, impact: float) -> None:
        """A taker's order moves the fair price, unsettles the makers, ends the quiet and brings others."""
        model, rng = self._model, self._rng
        bid, ask = venue.engine.best_price(Side.BUY), venue.engine.best_price(Side.SELL)
        if impact and bid is not None and ask is not None:
            half = min((ask - bid) / 2, model.widest_half_ticks)
            self._fair = max(self._fair + side.sign * impact * half * rng.expovariate(1.0), model.fair_ticks / 10)
        self._widened = min(self._widened + model.widening, 1.0)
        self._quiet_until_ns = min(self._quiet_until_ns, now_ns)
        for _ in range(model.requotes):
            delay_ns = int(rng.expovariate(1 / model.requote_s) * NS_PER_S)
            self._schedule(now_ns - self._shift_ns + delay_ns, _What.REQUOTE, side)
        for share, mean_s in ((model.echo_share, model.echo_s), (model.parts_share, model.parts_s)):
            if rng.random() < share:
                delay_ns = int(rng.expovariate(1 / mean_s) * NS_PER_S)
                self._schedule(now_ns - self._shift_ns + delay_ns, _What.FOLLOWER, side)

    def _taker_size(self, factor: float) -> Lots:
        size = factor * 0.02 * exp(self._rng.gauss(0, 1.1))
        thousandths = max(1, min(round(size * 1000), 1_500))
        return Lots(max(self._min_size, thousandths * self._lots_per_one // 1000))

    # --- schedule ---------------------------------------------------------------------------------------------------

    def _schedule(self, planned_ns: int, what: _What, about: OrderId | Side | None = None) -> None:
        self._count += 1
        heappush(self._events, (planned_ns, self._count, what, about))

    def _maker_gap(self) -> int:
        return 1 + int(self._rng.expovariate(self._makers_per_s) * NS_PER_S)

    def _taker_gap(self) -> int:
        return 1 + int(self._rng.expovariate(self._model.takers_per_s) * NS_PER_S)
