"""Several products of one venue, advanced together in venue time."""

from __future__ import annotations

from collections.abc import Sequence

from stall_then_strike.sim.exchange.source import Condition, Depth, Execution, Frame, MarketSource, Ticker
from stall_then_strike.types.dto import BoardState, Health
from stall_then_strike.types.instrument import Instrument


class Markets:
    """A :class:`~stall_then_strike.sim.exchange.source.MarketSource` of several products.

    It walks from event to event, whichever product has the next one, so that what the products share (an account's
    margin) is the same into whatever steps time is cut. What is asked of one product is that of the first; ``products``
    has all.
    """

    def __init__(self, sources: Sequence[MarketSource]) -> None:
        """Nobody else may advance the sources. Raises ValueError if two are of one product, or if there is none."""
        self.products = {source.instrument.product_code: source for source in sources}
        if not sources or len(self.products) != len(sources):
            raise ValueError("give at least one market, and one for each product")
        self._first = sources[0]

    @property
    def instrument(self) -> Instrument:
        """Product and units of the first."""
        return self._first.instrument

    @property
    def now_ns(self) -> int:
        """Venue time that all have reached."""
        return min(source.now_ns for source in self.products.values())

    @property
    def condition(self) -> Condition:
        """Board state and health of the first."""
        return self._first.condition

    def set_condition(self, *, state: BoardState | None = None, health: Health | None = None) -> None:
        """Change the given values of all products from now on."""
        for source in self.products.values():
            source.set_condition(state=state, health=health)

    def next_wake_ns(self) -> int | None:
        """When :meth:`advance` next has something to do; None when all have ended."""
        return min((at for source in self.products.values() if (at := source.next_wake_ns()) is not None), default=None)

    def advance(self, until_ns: int) -> list[Frame]:
        """Advance all to a time and return the frames that left by then, in order."""
        frames: list[Frame] = []
        while (wake_ns := self.next_wake_ns()) is not None and wake_ns <= until_ns:
            for source in self.products.values():
                frames += source.advance(wake_ns)
        for source in self.products.values():
            frames += source.advance(until_ns)
        return frames

    def depth(self, limit: int | None = None) -> Depth:
        """The displayed book of the first."""
        return self._first.depth(limit)

    def ticker(self) -> Ticker | None:
        """The ticker of the first."""
        return self._first.ticker()

    def executions(self) -> Sequence[Execution]:
        """Recent executions of the first, newest first."""
        return self._first.executions()


def products_of(source: MarketSource) -> dict[str, MarketSource]:
    """The products of a source by their codes: those of :class:`Markets`, or its only one."""
    return dict(source.products) if isinstance(source, Markets) else {source.instrument.product_code: source}
