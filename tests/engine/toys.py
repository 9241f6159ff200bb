"""Strategies made up for tests, through the seam that the real one uses."""

from __future__ import annotations

import random

from stall_then_strike.config.models import AppConfig
from stall_then_strike.engine.strategy import Holding, Market, Quote, Wish
from stall_then_strike.types.dto import FillEvent, Reason, Side
from stall_then_strike.types.instrument import Instrument, Lots, Ticks

BEHIND = 3
"""Ticks between the best bid and the quote."""


class Follower:
    """Rests one bid a little behind the best, follows it, and sells all above a position."""

    tag = "toy"
    word = "rest"
    close_word = "enough"
    together = True
    sees_sizes = False
    batch = 1

    def __init__(self, cfg: AppConfig, instrument: Instrument) -> None:
        self.size = instrument.to_lots(cfg.strategy.size_min)
        self._most = 2 * self.size
        self._quote = Quote(0, Side.BUY, Ticks(0), self.size, 60_000)
        self.ended: list[tuple[int, Lots]] = []
        self.filled: dict[int, int] = {}

    def on_event(self, market: Market, holding: Holding, gate: Reason | None, now_ns: int) -> Wish:
        if gate is not None:
            return Wish((), gate)
        if abs(holding.position) > self._most and holding.may_close:
            return Wish((), Reason.FLATTEN, flatten=True)
        price = Ticks(market.best_bid_price - BEHIND)
        has_ended = self._quote.key <= holding.last_key and not any(q.key == self._quote.key for q in holding.quotes)
        if price != self._quote.price or has_ended:
            self._quote = self._quote._replace(key=self._quote.key + 1, price=price)
        return Wish((self._quote,), Reason.BEST_MOVED)

    def on_fill(self, key: int, fill: FillEvent) -> None:
        self.filled[key] = self.filled.get(key, 0) + fill.size

    def on_ended(self, key: int, executed: Lots) -> None:
        self.ended.append((key, executed))


class Stumbler(Follower):
    """The same, with a bug in each of its methods that shows at random."""

    def __init__(self, cfg: AppConfig, instrument: Instrument) -> None:
        super().__init__(cfg, instrument)
        self._luck = random.Random(7)

    def on_event(self, market: Market, holding: Holding, gate: Reason | None, now_ns: int) -> Wish:
        wish = super().on_event(market, holding, gate, now_ns)
        self._stumble(0.02 if holding.quotes else 0.0)
        return wish

    def on_ended(self, key: int, executed: Lots) -> None:
        self._stumble(0.2)
        super().on_ended(key, executed)

    def _stumble(self, share: float) -> None:
        if self._luck.random() < share:
            raise ZeroDivisionError("made by the test")


class Puppet(Follower):
    """Wishes what a test tells it to."""

    def __init__(self, cfg: AppConfig, instrument: Instrument) -> None:
        super().__init__(cfg, instrument)
        self.wish = Wish((), Reason.QUOTING)
        self.holding: Holding | None = None
        self.market: Market | None = None

    def on_event(self, market: Market, holding: Holding, gate: Reason | None, now_ns: int) -> Wish:
        self.market, self.holding = market, holding
        return self.wish
