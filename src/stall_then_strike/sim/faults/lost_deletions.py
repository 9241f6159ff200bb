"""Deletions of levels that are missing from the board's deltas; the next snapshot corrects the book.

Of a venue with several products, the first one's deletions are lost.

The venue itself does this now and then: in one of 219 recorded messages.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import orjson

from stall_then_strike.sim.bitflyer.wire import Wire
from stall_then_strike.sim.exchange.source import Channel, Frame, MarketSource
from stall_then_strike.types.dto import Side
from stall_then_strike.types.instrument import Lots, Ticks


@dataclass(slots=True, kw_only=True, eq=False)
class LostDeletion:
    """A deletion of a best price that is to be lost."""

    side: Side
    shown: set[Ticks]
    """Prices that clients see on that side; a level that was never shown cannot become a phantom."""
    on_lost: Callable[[], None]


class LostDeletions:
    """The deletions that are to be lost."""

    def __init__(self, source: MarketSource) -> None:
        """Start with none."""
        self._source = source
        self._wire = Wire(source.instrument)
        self._channel = Channel.BOARD.of(source.instrument.product_code)
        self._ticks_per_one = source.instrument.ticks_per_one
        self._waiting: list[LostDeletion] = []

    def expect(self, side: Side, on_lost: Callable[[], None]) -> LostDeletion:
        """Lose the next deletion that leaves a phantom best price behind."""
        depth = self._source.depth()
        shown = {level[0] for level in (depth.bids if side is Side.BUY else depth.asks)}
        lost = LostDeletion(side=side, shown=shown, on_lost=on_lost)
        self._waiting.append(lost)
        return lost

    def withdraw(self, lost: LostDeletion) -> None:
        """Take a request back; no effect if the deletion was lost already."""
        if lost in self._waiting:
            self._waiting.remove(lost)

    def apply(self, frame: Frame) -> Frame:
        """The frame without its lost deletions. They are cut out of the text; the rest stays byte for byte."""
        if not self._waiting or frame.channel != self._channel:
            return frame
        text = frame.text
        message = orjson.loads(text)["params"]["message"]
        for lost in list(self._waiting):
            key = "bids" if lost.side is Side.BUY else "asks"
            entries = [(Ticks(round(e["price"] * self._ticks_per_one)), e["size"]) for e in message[key]]
            forgotten = next((price for price, size in entries if not size and self._is_lost(lost, price)), None)
            if forgotten is None:
                lost.shown.update(price for price, size in entries if size)
                lost.shown.difference_update(price for price, size in entries if not size)
            else:
                self._waiting.remove(lost)
                text = _cut(text, self._wire.level((forgotten, Lots(0))), is_bid=lost.side is Side.BUY)
                lost.on_lost()
        return replace(frame, text=text)

    def _is_lost(self, lost: LostDeletion, price: Ticks) -> bool:
        depth = self._source.depth(1)
        levels = depth.bids if lost.side is Side.BUY else depth.asks
        # At two ticks or more from the remaining best price, the floored mid shows the difference.
        return price in lost.shown and bool(levels) and lost.side.sign * (price - levels[0][0]) >= 2


def _cut(text: str, entry: str, *, is_bid: bool) -> str:
    """A board frame without one entry of one side."""
    bids, separator, asks = text.partition('"asks":')
    half = bids if is_bid else asks
    half = half.replace(f"{entry},", "").replace(f",{entry}", "").replace(entry, "")
    return half + separator + asks if is_bid else bids + separator + half
