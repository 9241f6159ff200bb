"""How far the venue's clock is from ours, from the ``Date`` header of its answers. Pure: stamps in, bounds out.

The header has a resolution of one second and is written at some moment between our sending and our receiving. So the
venue's clock minus ours lies between ``date - received`` and ``date + 1 s - sent``, whatever the latency in either
direction; assuming half the round trip would be sharper but could be wrong. Answers at different fractions of a second
narrow the interval from both sides, after a while to little more than the round trip.

Both clocks drift and the venue's may be set, so only the newest answers count; if they contradict each other, the older
ones are dropped.
"""

from __future__ import annotations

from collections import deque
from email.utils import parsedate_to_datetime
from typing import Final

from stall_then_strike.types.dto import NS_PER_S

KEPT_ANSWERS: Final = 32
KEPT_NS: Final = 600 * NS_PER_S
"""Two clocks that drift by 50 ppm differ by 30 ms after this time."""


def read_date(text: str | None) -> int | None:
    """An HTTP date in nanoseconds since the Unix epoch; None if it is missing or invalid."""
    if not text:
        return None
    try:
        moment = parsedate_to_datetime(text)
        return None if moment.tzinfo is None else int(moment.timestamp()) * NS_PER_S
    except (ValueError, TypeError, OverflowError, OSError):
        return None


class ClockSkew:
    """The clock difference that all of the newest answers allow."""

    def __init__(self) -> None:
        """Start without answers."""
        self._answers: deque[tuple[int, int, int]] = deque(maxlen=KEPT_ANSWERS)
        """Time of receipt, lower bound, upper bound."""

    def add(self, *, date_ns: int, sent_ns: int, received_ns: int) -> None:
        """Add an answer. ``date_ns`` is a whole second on the venue's clock; the other stamps are on ours."""
        if received_ns < sent_ns:
            raise ValueError("an answer cannot be received before its request is sent")
        answers = self._answers
        answers.append((received_ns, date_ns - received_ns, date_ns + NS_PER_S - sent_ns))
        while received_ns - answers[0][0] > KEPT_NS:
            answers.popleft()
        while max(low for _, low, _ in answers) > min(high for _, _, high in answers):
            answers.popleft()  # ends at the latest with the new answer alone

    def forget(self) -> None:
        """Drop all answers, because our clock jumped."""
        self._answers.clear()

    def bounds_ns(self) -> tuple[int, int] | None:
        """Least and greatest difference, the venue's clock minus ours; None before the first answer."""
        if not self._answers:
            return None
        return max(low for _, low, _ in self._answers), min(high for _, _, high in self._answers)

    def skew_ns(self) -> int | None:
        """The difference nearest to zero that the answers allow, so never overstated; None before the first answer."""
        bounds = self.bounds_ns()
        if bounds is None:
            return None
        low, high = bounds
        return low if low > 0 else min(high, 0)
