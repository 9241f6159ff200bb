"""The traders of the simulated exchange: a seeded order flow around a hidden fair price.

Modelled:

- *Fair price.* A random walk in steps of 100 ms with slowly changing volatility, a trend that comes and goes within
  minutes, and a jump every few minutes. No participant is told; an index price may follow it.
- *Makers* place orders at a distance from the fair price and leave after a random time. Distance, rate and patience
  come in bands (:data:`BANDS`): few and impatient orders at the touch, many and patient ones far away. Some join the
  best price, some improve it by one tick. They never take.
- *Pulls.* When the fair price comes near a maker's resting order, the maker tends to cancel it.
- *Snipers* take orders that the fair price has already passed. A quote that stays too long loses: this is adverse
  selection, and our orders suffer it like any other.
- *Takers* arrive at random, in runs of the same side, and more often when the price that they would pay is near the
  fair price: a quote inside the spread attracts them.

Not modelled: seasonality within the day, reaction to the size of the queue, icebergs, cascades of forced closes, and
any memory of who traded. The flow does not single out our orders; everybody sees the same best prices.

Pure: no clock, one seeded generator; the same seed gives the same events. Calibrated on a recorded tape of 30 s and on
a probe of the public feed in 2026 (rates, spread, how long the best price stands still); tests check the bands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, unique
from heapq import heappop, heappush
from math import exp, log, sqrt
from random import Random
from typing import Final, Protocol

from stall_then_strike.sim.exchange.book_side import Owner
from stall_then_strike.sim.exchange.matching import MatchingEngine
from stall_then_strike.types.dto import NS_PER_S, OrderId, Side, TimeInForce
from stall_then_strike.types.instrument import Lots, Ticks

FLOW: Final = Owner("flow")
"""Owner of this module's orders, unless the venue knows them by another name."""

_STEP_NS: Final = NS_PER_S // 10
_STEP_S: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """Makers in one range of distances from the fair price; about ``per_s * patience_s`` orders rest there per side."""

    near_ticks: int
    far_ticks: int
    per_s: float
    """Arrivals per second and side."""
    patience_s: float
    """Mean time until the order is cancelled."""
    size_factor: float = 1.0
    """Size of its orders relative to those near the touch."""


BANDS: Final[Sequence[Band]] = (
    Band(near_ticks=380, far_ticks=950, per_s=1.3, patience_s=0.65),
    Band(near_ticks=1_000, far_ticks=3_000, per_s=4.0, patience_s=3.5),
    Band(near_ticks=3_000, far_ticks=8_000, per_s=3.2, patience_s=9.0),
    Band(near_ticks=8_000, far_ticks=30_000, per_s=2.0, patience_s=30.0),
    Band(near_ticks=30_000, far_ticks=200_000, per_s=0.5, patience_s=300.0, size_factor=3.0),
    Band(near_ticks=200_000, far_ticks=2_700_000, per_s=0.08, patience_s=1_800.0, size_factor=6.0),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowModel:
    """Parameters of the model. Distances are in ticks, rates per second."""

    fair_ticks: int = 13_600_000
    volatility: float = 500.0
    """Standard deviation of the fair price over one second, at the typical level of activity."""
    activity_spread: float = 0.35
    """Standard deviation of the logarithm of activity."""
    activity_memory_s: float = 120.0
    trend: float = 30.0
    """Standard deviation of the trend, ticks per second."""
    trend_memory_s: float = 60.0
    jumps_per_s: float = 1 / 240
    jump: float = 5_000.0
    """Standard deviation of a jump."""
    bands: Sequence[Band] = BANDS
    join_share: float = 0.08
    """Share of the arrivals in the two nearest bands that join the best price."""
    undercut_share: float = 0.06
    """Share of the same arrivals that improve the best price by one tick."""
    guard: float = 260.0
    """Makers cancel orders that are nearer to the fair price than this."""
    pull_chance: float = 0.45
    """Chance per step of 100 ms that such an order is cancelled."""
    snipe_edge: float = 60.0
    """How far the fair price must have passed an order before snipers take it."""
    snipe_chance: float = 0.25
    """Chance per step of 100 ms that it is taken."""
    takers_per_s: float = 1.0
    """Candidates; most do not trade, because the price is too far from the fair price."""
    taker_patience: float = 350.0
    """Distance of the best price from the fair price at which the variable part of the interest has fallen to 1/e."""
    taker_floor: float = 0.22
    """Share of candidates that trade at any price."""
    run_share: float = 0.62
    """Chance that a taker trades on the same side as the one before."""


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


class OrderFlow:
    """The participants. Call :meth:`step` at :meth:`next_ns`, in venue time."""

    def __init__(
        self, rng: Random, *, start_ns: int, instrument: SizeUnits, model: FlowModel, owner: Owner = FLOW
    ) -> None:
        """Leave the book empty; :meth:`populate` fills it. ``owner`` is whose the makers' orders are in the book."""
        self._rng = rng
        self._owner = owner
        self._model = model
        self._lots_per_one = instrument.lots_per_one
        self._min_size = instrument.min_size
        self._fair = float(model.fair_ticks)
        self._activity = 0.0
        self._trend = 0.0
        self._last_taker = Side.BUY
        self._band_weights = [band.per_s for band in model.bands]
        self._makers_per_s = 2 * sum(self._band_weights)
        self._events: list[tuple[int, int, _What, OrderId | None]] = []
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
        planned_ns, _, what, order_id = heappop(self._events)
        now_ns = planned_ns + self._shift_ns
        if what is _What.LEAVE:
            if order_id is None:
                raise AssertionError("a LEAVE event has an order id")
            venue.cancel(now_ns, order_id)
        elif what is _What.MAKER:
            self._schedule(planned_ns + self._maker_gap(), what)
            self._make(venue, now_ns)
        elif what is _What.TAKER:
            self._schedule(planned_ns + self._taker_gap(), what)
            self._take(venue, now_ns)
        else:
            self._schedule(planned_ns + _STEP_NS, what)
            self._move_fair()
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
        # A floor that no realistic run reaches: prices stay positive whatever the seed.
        self._fair = max(self._fair + move, model.fair_ticks / 10)

    def _react(self, venue: OrderEntry, now_ns: int) -> None:
        """Makers cancel orders near the fair price; snipers take orders that it has passed."""
        model, engine, random = self._model, venue.engine, self._rng.random
        for side in Side:
            danger = self._fair - side.sign * model.guard
            pulled: list[OrderId] = []
            for order in engine.resting(side):
                if side.sign * (order.price - danger) <= 0:
                    break
                if order.owner == self._owner and random() < model.pull_chance:
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

    # --- makers -----------------------------------------------------------------------------------------------------

    def _make(self, venue: OrderEntry, now_ns: int) -> None:
        model, rng = self._model, self._rng
        side = Side.BUY if rng.random() < 0.5 else Side.SELL
        (band,) = rng.choices(model.bands, self._band_weights)
        price = self._price(side, band)
        if band in model.bands[:2]:
            best = venue.engine.best_price(side)
            choice = rng.random()
            # Nobody joins a best price so near the fair price that makers cancel there.
            if best is not None and side.sign * (self._fair - best) > model.guard:
                if choice < model.join_share:
                    price = best
                elif choice < model.join_share + model.undercut_share:
                    price = Ticks(best + side.sign)
        opposite = venue.engine.best_price(side.opposite)
        if opposite is not None and side.sign * (price - opposite) >= 0:
            price = Ticks(opposite - side.sign)
        self._place(venue, now_ns, side, price, band)

    def _price(self, side: Side, band: Band) -> Ticks:
        """A price in the band; the logarithm of its distance is uniform."""
        distance = band.near_ticks * exp(self._rng.random() * log(band.far_ticks / band.near_ticks))
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
        if interest >= model.taker_floor + (1 - model.taker_floor) * exp(-cost / model.taker_patience):
            return
        self._last_taker = side
        size = self._taker_size(1.0)
        if rng.random() < 0.5:
            venue.submit(now_ns, owner=self._owner, side=side, size=size)
        else:
            price = Ticks(best + side.sign * int(rng.expovariate(1 / 500)))
            venue.submit(now_ns, owner=self._owner, side=side, size=size, price=price, time_in_force=TimeInForce.IOC)

    def _taker_size(self, factor: float) -> Lots:
        size = factor * 0.02 * exp(self._rng.gauss(0, 1.1))
        thousandths = max(1, min(round(size * 1000), 1_500))
        return Lots(max(self._min_size, thousandths * self._lots_per_one // 1000))

    # --- schedule ---------------------------------------------------------------------------------------------------

    def _schedule(self, planned_ns: int, what: _What, order_id: OrderId | None = None) -> None:
        self._count += 1
        heappush(self._events, (planned_ns, self._count, what, order_id))

    def _maker_gap(self) -> int:
        return 1 + int(self._rng.expovariate(self._makers_per_s) * NS_PER_S)

    def _taker_gap(self) -> int:
        return 1 + int(self._rng.expovariate(self._model.takers_per_s) * NS_PER_S)
