"""How a position is brought to zero: cancel the quotes, wait, close, wait, and repeat if something is left.

A venue may refuse an order that would meet a resting order of ours. There a close is never sent while a quote of ours
is live: a kill switch that sent the close first would achieve nothing. A remainder below the venue's
minimum order size ("dust") cannot be closed by one order: it is first enlarged in its own direction and then closed as
a whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final, NamedTuple

from stall_then_strike.config.models import CloseType, StallStrategyConfig
from stall_then_strike.types.dto import NS_PER_MS, NS_PER_S, Reason, Side
from stall_then_strike.types.instrument import Lots, Ticks

CLOSE_TAG: Final = "close"
DUST_TAG: Final = "dust"
_LONGEST_NS: Final = 16 * NS_PER_S

WAIT_QUOTES, WAIT_ORDER, WAIT_BOOKS, WAIT_PAUSE, WAIT_MARKET, DONE_FLAT, DONE_DUST, SEND = range(8)
"""The results of `next_step`, as integers for the compiler: a `Wait`, a `Done`, or SEND for an order to send now."""


class CloseTerms(NamedTuple):
    """The order that brings a position nearer to zero."""

    sign: int
    """+1 buys, -1 sells."""
    size: int
    is_dust: bool
    """The order enlarges a position that is too small to be closed."""


def next_step(
    now_ns: int,
    position: int,
    min_size: int,
    flatten: bool,
    quotes_live: bool,
    order_live: bool,
    is_sure: bool,
    retry_at_ns: int,
    has_market: bool,
) -> int:
    """What a closing must do now. Pure: research compiles it."""
    if quotes_live:
        return WAIT_QUOTES
    if order_live:
        return WAIT_ORDER
    if not is_sure:
        return WAIT_BOOKS
    if position == 0:
        return DONE_FLAT
    if abs(position) < min_size and not flatten:
        return DONE_DUST
    if now_ns < retry_at_ns:
        return WAIT_PAUSE
    return SEND if has_market else WAIT_MARKET


def close_terms(position: int, min_size: int) -> CloseTerms:
    """Side and size of the next closing order. Pure: research compiles it."""
    out, size = (-1 if position > 0 else 1), abs(position)
    if size < min_size:
        return CloseTerms(-out, min_size, True)
    return CloseTerms(out, size, False)


def close_price(sign: int, bid: int, ask: int, band: int) -> int:
    """Limit price of a closing order that may pay up to ``band`` ticks beyond the best price."""
    return ask + band if sign > 0 else max(1, bid - band)


def after_close(now_ns: int, executed: int, remaining: int, pause_ns: int, base_ns: int) -> tuple[int, int]:
    """When the next closing order may follow one that has ended, and the pause to make after that one.

    There is no pause if nothing is left, and the shortest one if something was filled; otherwise it doubles each time.
    Closes may use the reserve of the venue's limits, and closes refused twice a second would soon use it up.
    """
    if remaining == 0:
        return now_ns, pause_ns
    if executed != 0:
        return now_ns + base_ns, base_ns
    return now_ns + pause_ns, min(2 * pause_ns, max(_LONGEST_NS, base_ns))


@unique
class Wait(StrEnum):
    """What a closing is waiting for."""

    QUOTES = "quotes"
    """Our own quotes must be gone first."""
    ORDER = "order"
    """A closing order is live."""
    PAUSE = "pause"
    """The last closing order left a remainder, or there was no budget; the pause ends at ``retry_at_ns``."""
    BOOKS = "books"
    """The venue's last reported position contradicts ours: a close could have the wrong size, and this one can wait."""
    MARKET = "market"
    """There is no book that can be trusted, or the venue is not running."""


@unique
class Done(StrEnum):
    """How a closing ended."""

    FLAT = "flat"
    DUST = "dust"
    """The remainder is below the venue's minimum order size and may stay."""


_STEPS: Final[dict[int, Wait | Done]] = {
    WAIT_QUOTES: Wait.QUOTES,
    WAIT_ORDER: Wait.ORDER,
    WAIT_BOOKS: Wait.BOOKS,
    WAIT_PAUSE: Wait.PAUSE,
    WAIT_MARKET: Wait.MARKET,
    DONE_FLAT: Done.FLAT,
    DONE_DUST: Done.DUST,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseOrder:
    """The order to send now. ``price`` None means a market order."""

    side: Side
    size: Lots
    price: Ticks | None
    tag: str


class Closing:
    """The closing of one position, from the decision until the position is flat."""

    def __init__(self, reason: Reason, cfg: StallStrategyConfig, min_size: Lots, *, flatten: bool) -> None:
        """``min_size`` is the smallest close that the venue takes.

        With ``flatten`` dust must be closed too; otherwise it may stay.
        """
        self.reason = reason
        self.flatten = flatten
        self.is_choice = not flatten or reason is Reason.FLATTEN
        """Whether the strategy or a stop wants it: then it can wait until the position is certain."""
        self.retry_at_ns = 0
        self.no_market_ns: int | None = None
        """Since when it has been waiting for a market; None if it is not."""
        self._close_type = cfg.close_type
        self._band = cfg.close_band_ticks
        self._base_ns = self._pause_ns = cfg.close_retry_ms * NS_PER_MS
        self._min_size = min_size

    def order_ended(self, now_ns: int, *, executed: Lots, remaining: Lots) -> None:
        """A closing order has ended: set the pause before the next one (`after_close`)."""
        self.retry_at_ns, self._pause_ns = after_close(now_ns, executed, remaining, self._pause_ns, self._base_ns)

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
        """What to do now. ``best`` is (bid, ask) of a book that can be trusted, or None.

        ``blind``: send a market order even without a book. ``is_sure``: nothing contradicts ``position``, or this
        closing cannot wait.
        """
        step = next_step(
            now_ns,
            position,
            self._min_size,
            self.flatten,
            quotes_live,
            order_live,
            is_sure,
            self.retry_at_ns,
            best is not None or blind,
        )
        if step == WAIT_MARKET:
            self.no_market_ns = self.no_market_ns or now_ns
        if step != SEND:
            return _STEPS[step]
        self.no_market_ns = None
        terms = close_terms(position, self._min_size)
        return CloseOrder(
            side=Side.BUY if terms.sign > 0 else Side.SELL,
            size=Lots(terms.size),
            price=self._price(terms.sign, best),
            tag=DUST_TAG if terms.is_dust else CLOSE_TAG,
        )

    def _price(self, sign: int, best: tuple[Ticks, Ticks] | None) -> Ticks | None:
        if self._close_type is CloseType.MARKET or best is None:
            return None
        return Ticks(close_price(sign, *best, self._band))
