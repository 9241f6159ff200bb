"""How far the venue's clock is from ours, from the ``Date`` of its answers. Pure: stamps in, bounds out.

The header has a resolution of one second and is written somewhere between our sending and our receiving. So an answer
says that the venue's clock less ours lies between ``date - received`` and ``date + 1 s - sent``, whatever the way took
in either direction; halving the way would be sharper and could be wrong. Answers that come at different parts of a
second cut the interval from both sides: after some of them little more is left than the way itself.

Both clocks drift and the venue's may be set, so only the newest answers count; when they contradict each other, the
newest of them.
"""

from __future__ import annotations

from collections import deque
from email.utils import parsedate_to_datetime
from typing import Final

from stall_then_strike.types.dto import NS_PER_S

KEPT_ANSWERS: Final = 32
KEPT_NS: Final = 600 * NS_PER_S
"""Two clocks that drift apart by 50 millionths differ by 30 ms after so long."""


def read_date(text: str | None) -> int | None:
    """An HTTP date in nanoseconds since the Unix epoch; None if it is none."""
    if not text:
        return None
    try:
        moment = parsedate_to_datetime(text)
        return None if moment.tzinfo is None else int(moment.timestamp()) * NS_PER_S
    except (ValueError, TypeError, OverflowError, OSError):
        return None


class ClockSkew:
    """What the newest answers have in common."""

    def __init__(self) -> None:
        """Nothing is known."""
        self._answers: deque[tuple[int, int, int]] = deque(maxlen=KEPT_ANSWERS)
        """When received, and the bounds."""

    def add(self, *, date_ns: int, sent_ns: int, received_ns: int) -> None:
        """Take an answer. ``date_ns`` is a whole second on the venue's clock, the others are on ours."""
        if received_ns < sent_ns:
            raise ValueError("an answer cannot be received before its request is sent")
        answers = self._answers
        answers.append((received_ns, date_ns - received_ns, date_ns + NS_PER_S - sent_ns))
        while received_ns - answers[0][0] > KEPT_NS:
            answers.popleft()
        while max(low for _, low, _ in answers) > min(high for _, _, high in answers):
            answers.popleft()  # ends at the latest with the new answer alone

    def forget(self) -> None:
        """Our clock has jumped: what earlier answers said is of another one."""
        self._answers.clear()

    def bounds_ns(self) -> tuple[int, int] | None:
        """Least and greatest difference, the venue's clock less ours; None before the first answer."""
        if not self._answers:
            return None
        return max(low for _, low, _ in self._answers), min(high for _, _, high in self._answers)

    def skew_ns(self) -> int | None:
        """The smallest difference that the answers allow, zero if they allow none. Never more than there is."""
        bounds = self.bounds_ns()
        if bounds is None:
            return None
        low, high = bounds
        return low if low > 0 else min(high, 0)
