"""The pause after the venue refused an order for insufficient margin. Pure.

A new quote would be refused again, and closing the position must stay possible. So no quotes are sent for a while. The
pause doubles with each refusal that follows a pause, and is reset when a quote sent some time after a pause is on the
book. (One sent right after the pause proves little: the other quote of its strike may still be refused, by
ORDER_FAILED.)
"""

from __future__ import annotations

from typing import Final

from stall_then_strike.engine.orders import Order
from stall_then_strike.types.dto import NS_PER_S

_FIRST_NS: Final = 10 * NS_PER_S
_LONGEST_NS: Final = 640 * NS_PER_S


class MarginPause:
    """The end of the current pause, and the length of the next one."""

    def __init__(self) -> None:
        """Start without a pause."""
        self.until_ns = 0
        self._next_ns = _FIRST_NS

    def refused(self, now_ns: int) -> int:
        """An order was refused. Returns the length of the pause that begins, zero during a pause."""
        if now_ns < self.until_ns:
            return 0
        pause_ns, self._next_ns = self._next_ns, min(2 * self._next_ns, _LONGEST_NS)
        self.until_ns = now_ns + pause_ns
        return pause_ns

    def on_book(self, order: Order) -> None:
        """An order is on the book: if it was sent long enough after the last pause, there is margin again."""
        if order.sent_ns >= self.until_ns + _FIRST_NS:
            self._next_ns = _FIRST_NS
