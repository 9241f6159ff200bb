"""The pause after the venue refused an order for want of margin. Pure.

Sending the same again would be refused again, and what is open must stay closable: so no new quotes for a while, longer
with each refusal that follows a pause, until quotes come on the book for some time. (A single one proves little: the
other quote of its strike may be refused yet, by ORDER_FAILED.)
"""

from __future__ import annotations

from typing import Final

from stall_then_strike.engine.orders import Order
from stall_then_strike.types.dto import NS_PER_S

_FIRST_NS: Final = 10 * NS_PER_S
_LONGEST_NS: Final = 640 * NS_PER_S


class MarginPause:
    """Until when no quotes are sent, and how long the next pause would be."""

    def __init__(self) -> None:
        """No pause."""
        self.until_ns = 0
        self._next_ns = _FIRST_NS

    def refused(self, now_ns: int) -> int:
        """An order was refused. Returns the length of the pause that begins, zero if one is on already."""
        if now_ns < self.until_ns:
            return 0
        pause_ns, self._next_ns = self._next_ns, min(2 * self._next_ns, _LONGEST_NS)
        self.until_ns = now_ns + pause_ns
        return pause_ns

    def on_book(self, order: Order) -> None:
        """An order came on the book: if it was sent long enough after the last pause, there is margin again."""
        if order.sent_ns >= self.until_ns + _FIRST_NS:
            self._next_ns = _FIRST_NS
