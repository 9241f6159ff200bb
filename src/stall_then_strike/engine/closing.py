"""How a position is brought to zero: cancel, wait, close, wait, and once more if something is left.

The venue refuses an order that would meet a resting one of ours (self-trade prevention, -159; since 2024-03), so a
close is never sent while a quote of ours is live: a kill switch that sends the close first does nothing. A rest under
the venue's minimum order ("dust") cannot be closed by one order; it is first enlarged in its own direction and then
closed as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final

from stall_then_strike.config.models import CloseType, StallStrategyConfig
from stall_then_strike.types.dto import NS_PER_MS, NS_PER_S, Reason, Side
from stall_then_strike.types.instrument import Instrument, Lots, Ticks

CLOSE_TAG: Final = "close"
DUST_TAG: Final = "dust"
_LONGEST_NS: Final = 16 * NS_PER_S


@unique
class Wait(StrEnum):
    """What a closing is waiting for."""

    QUOTES = "quotes"
    """Our own quotes must be gone first."""
    ORDER = "order"
    """A closing order is under way."""
    PAUSE = "pause"
    """The last one left a rest; ``retry_at_ns`` says until when."""
    BOOKS = "books"
    """The venue's last word is another position than ours: a close that need not be now would be of the wrong size."""
    MARKET = "market"
    """There is no book, venue or budget to close against."""


@unique
class Done(StrEnum):
    """How a closing ended."""

    FLAT = "flat"
    DUST = "dust"
    """What is left is under the venue's minimum, and nothing demands to be flat."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseOrder:
    """The order to send now. ``price`` None means at market."""

    side: Side
    size: Lots
    price: Ticks | None
    tag: str


class Closing:
    """One way out of one position, from the decision to flat."""

    def __init__(self, reason: Reason, cfg: StallStrategyConfig, instrument: Instrument, *, flatten: bool) -> None:
        """``flatten`` demands zero, dust included; otherwise dust may stay."""
        self.reason = reason
        self.flatten = flatten
        self.is_choice = reason in (Reason.REVERSE, Reason.FLATTEN)
        """Whether it can wait until it is sure what is held; the kill switch's cannot."""
        self.retry_at_ns = 0
        self.no_market_ns: int | None = None
        """Since when it waits for a market."""
        self._close_type = cfg.close_type
        self._band = cfg.close_band_ticks
        self._base_ns = self._pause_ns = cfg.close_retry_ms * NS_PER_MS
        self._min_size = instrument.min_size

    def order_ended(self, now_ns: int, *, executed: Lots, remaining: Lots) -> None:
        """A closing order has ended. Pause before the next if it left a rest, longer each time if nothing was filled.

        Closes may use the reserve of the venue's limits; refused twice a second they would soon have used it up.
        """
        if not remaining:
            self.retry_at_ns = now_ns
        elif executed:
            self._pause_ns = self._base_ns
            self.retry_at_ns = now_ns + self._base_ns
        else:
            self.retry_at_ns = now_ns + self._pause_ns
            self._pause_ns = min(2 * self._pause_ns, max(_LONGEST_NS, self._base_ns))

    def next(
        self,
        now_ns: int,
        *,
        position: Lots,
        quotes_live: bool,
        order_live: bool,
        best: tuple[Ticks, Ticks] | None,
        blind: bool = False,
        is_sure: bool = True,
    ) -> CloseOrder | Wait | Done:
        """What to do now. ``best`` is (bid, ask) of a book that can be believed, or None.

        ``blind``: go at market without one. ``is_sure``: nothing contradicts ``position``, or this close cannot wait.
        """
        if quotes_live:
            return Wait.QUOTES
        if order_live:
            return Wait.ORDER
        if not is_sure:
            return Wait.BOOKS
        if position == 0:
            return Done.FLAT
        size = abs(position)
        if size < self._min_size and not self.flatten:
            return Done.DUST
        if now_ns < self.retry_at_ns:
            return Wait.PAUSE
        if best is None and not blind:
            self.no_market_ns = self.no_market_ns or now_ns
            return Wait.MARKET
        self.no_market_ns = None
        out = Side.SELL if position > 0 else Side.BUY
        if size < self._min_size:
            return CloseOrder(
                side=out.opposite, size=self._min_size, price=self._price(out.opposite, best), tag=DUST_TAG
            )
        return CloseOrder(side=out, size=Lots(size), price=self._price(out, best), tag=CLOSE_TAG)

    def _price(self, side: Side, best: tuple[Ticks, Ticks] | None) -> Ticks | None:
        if self._close_type is CloseType.MARKET or best is None:
            return None
        bid, ask = best
        return Ticks(ask + self._band) if side is Side.BUY else Ticks(max(1, bid - self._band))
