"""The trading day and its quiet times, in the operator's time zone.

Pure: turns time stamps into days and windows, and never reads a clock. Boundaries are computed once a day and then
compared as integers.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from stall_then_strike.config.models import QuietWindow, SessionConfig
from stall_then_strike.types.dto import NS_PER_S

_US_PER_S: Final = 1_000_000


class TradingCalendar:
    """Days from ``session.day_start`` in ``session.timezone``, with their quiet windows and funding times."""

    def __init__(self, session: SessionConfig, funding_times: Iterable[time] = ()) -> None:
        """``funding_times`` are times of day in the session's zone."""
        self._zone = ZoneInfo(session.timezone)
        self._day_start = session.day_start
        self._quiet = session.quiet
        self._funding = tuple(sorted(funding_times))
        self._from_ns = self._until_ns = 0
        self._day = date.min
        self._windows: list[tuple[int, int, str]] = []

    def day(self, now_ns: int) -> date:
        """The trading day, named by the local date on which it began."""
        self._load(now_ns)
        return self._day

    def span(self, day: date) -> tuple[int, int]:
        """When a trading day begins and ends."""
        return self._stamp(day, self._day_start), self._stamp(day + timedelta(days=1), self._day_start)

    def quiet(self, now_ns: int) -> str | None:
        """Why no quotes may be sent now, or None."""
        self._load(now_ns)
        for start, end, why in self._windows:
            if start <= now_ns < end:
                return why
        return None

    def next_change_ns(self, now_ns: int) -> int:
        """The next start or end of a quiet window, or the day roll. Nothing here changes before it."""
        self._load(now_ns)
        edges = (edge for start, end, _ in self._windows for edge in (start, end) if edge > now_ns)
        return min(edges, default=self._until_ns)

    def next_settlement_ns(self, now_ns: int) -> int | None:
        """The next funding settlement strictly after ``now_ns``; None if none is configured."""
        if not self._funding:
            return None
        local = self._local(now_ns)
        for day in (local.date(), local.date() + timedelta(days=1), local.date() + timedelta(days=2)):
            for at in self._funding:
                if (stamp := self._stamp(day, at)) > now_ns:
                    return stamp
        raise AssertionError("two days hold every time of day")

    def _load(self, now_ns: int) -> None:
        """Make the cached day the one that contains ``now_ns``."""
        if self._from_ns <= now_ns < self._until_ns:
            return
        local = self._local(now_ns)
        day = local.date() if now_ns >= self._stamp(local.date(), self._day_start) else local.date() - timedelta(days=1)
        self._day = day
        self._from_ns = self._stamp(day, self._day_start)
        self._until_ns = self._stamp(day + timedelta(days=1), self._day_start)
        self._windows = sorted(self._windows_of(day))

    def _windows_of(self, day: date) -> Iterable[tuple[int, int, str]]:
        """Windows that overlap the cached day, clipped to it; its end is then the only other change."""
        for base in (day - timedelta(days=1), day, day + timedelta(days=1)):
            for window in self._quiet:
                start, end = self._span(base, window)
                clipped = max(start, self._from_ns), min(end, self._until_ns)
                if clipped[0] < clipped[1]:
                    yield *clipped, window.why

    def _span(self, base: date, window: QuietWindow) -> tuple[int, int]:
        """Start and end of a window. A local time that occurs twice makes it as long as possible.

        If a clock change skips the start, the window begins at the change. A window that is skipped as a whole keeps
        its usual length.
        """
        over = timedelta(days=window.end < window.start)
        start = min(self._stamp(base, window.start.replace(fold=fold)) for fold in (0, 1))
        end = max(self._stamp(base + over, window.end.replace(fold=fold)) for fold in (0, 1))
        if start < self._stamp(base, window.start):  # skipped (of a time that occurs twice, it is the first)
            start = self._change_after(start)
            length = datetime.combine(base + over, window.end) - datetime.combine(base, window.start)
            end = end if end > start else start + length // timedelta(seconds=1) * NS_PER_S
        return start, end

    def _change_after(self, at_ns: int) -> int:
        """The next clock change after ``at_ns``, to the second. It must be within a day."""
        before, after = at_ns // NS_PER_S, at_ns // NS_PER_S + 86_400
        offset = self._local(at_ns).utcoffset()
        while after - before > 1:
            middle = (before + after) // 2
            if self._local(middle * NS_PER_S).utcoffset() == offset:
                before = middle
            else:
                after = middle
        return after * NS_PER_S

    def _local(self, now_ns: int) -> datetime:
        return datetime.fromtimestamp(now_ns // NS_PER_S, self._zone)

    def _stamp(self, day: date, at: time) -> int:
        # Integers keep the product exact; a float cannot hold today's time in nanoseconds.
        moment = datetime.combine(day, at, self._zone)
        return int(moment.timestamp()) * NS_PER_S + moment.microsecond * (NS_PER_S // _US_PER_S)
