"""The mid price over time, from a tape or, without one, from a run's own logs.

A mid is kept doubled (best bid + best ask), so that it is a whole number of ticks. Zero means unknown: before the first
snapshot, while the book contradicts itself, and from :data:`SILENCE_NS` after a tape's last message on.

A tape of a live run contains the run's own quotes, which would pull the mid towards themselves. They are removed from
the book with the help of the order log, as in trading (`infra/orderbook_view.py`).
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from stall_then_strike.config.models import AppConfig
from stall_then_strike.config.venue import BITFLYER
from stall_then_strike.infra.market_source import InstrumentFeed
from stall_then_strike.infra.orderbook_view import OwnQuote
from stall_then_strike.research.figures.log_rows import ReportInputError
from stall_then_strike.tapes.tape_reader import TapeError, TapeLine, read_tape
from stall_then_strike.types.dto import NS_PER_S, BoardSnapshot, BookStatus
from stall_then_strike.venues.choice import venue_of

SILENCE_NS: Final = 10 * NS_PER_S
"""After this time without a board message the mid is unknown; snapshots alone come every 5 s."""


@dataclass(slots=True)
class MidPath:
    """Doubled mids at rising stamps; each holds until the next."""

    stamps: list[int] = field(default_factory=list)
    doubled: list[int] = field(default_factory=list)

    def add(self, ts_ns: int, doubled: int) -> None:
        """Set the mid from a time on; only changes are kept. A stamp that goes back counts as the latest one."""
        if self.doubled and self.doubled[-1] == doubled:
            return
        stamp = max(ts_ns, self.stamps[-1]) if self.stamps else ts_ns
        if self.stamps and self.stamps[-1] == stamp:
            self.doubled[-1] = doubled
            return
        self.stamps.append(stamp)
        self.doubled.append(doubled)

    def at(self, ts_ns: int) -> int | None:
        """The doubled mid after all messages up to that time; None if unknown."""
        return self._get(bisect_right(self.stamps, ts_ns) - 1)

    def before(self, ts_ns: int) -> int | None:
        """The doubled mid just before that time; None if unknown."""
        return self._get(bisect_left(self.stamps, ts_ns) - 1)

    def between(self, after_ns: int, until_ns: int) -> Iterator[tuple[int, int]]:
        """Changes in ``(after_ns, until_ns]`` to a known mid."""
        for at in range(bisect_right(self.stamps, after_ns), bisect_right(self.stamps, until_ns)):
            if self.doubled[at]:
                yield self.stamps[at], self.doubled[at]

    def _get(self, at: int) -> int | None:
        return (self.doubled[at] or None) if at >= 0 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnSpan:
    """A quote of ours and the time in which it may have been displayed."""

    from_ns: int
    until_ns: int
    quote: OwnQuote


def mids_of_tapes(
    files: Sequence[Path], cfg: AppConfig, *, own: Sequence[OwnSpan] = (), from_ns: int, until_ns: int
) -> MidPath:
    """The mids on the tapes within a period. Raises ReportInputError."""
    path = MidPath()
    (feed,) = venue_of(cfg).recorded(cfg)
    has_snapshots = cfg.exchange.name == BITFLYER  # elsewhere a book that is given up does not come again
    changes = _OwnQuotes(own)
    heard_ns: int | None = None
    try:
        for line in _merged(files):
            if line.recv_ns > until_ns:
                break
            if heard_ns is not None and line.recv_ns - heard_ns > SILENCE_NS:
                path.add(heard_ns + SILENCE_NS, 0)
                if has_snapshots:
                    feed.on_disconnect(line.recv_ns)
            changes.up_to(line.recv_ns, feed)
            event = feed.on_text(line.text, line.recv_ns)
            if isinstance(event, BoardSnapshot):
                heard_ns = line.recv_ns
                if line.recv_ns >= from_ns - SILENCE_NS:
                    known = event.status is BookStatus.OK
                    path.add(line.recv_ns, event.best_bid_price + event.best_ask_price if known else 0)
    except (TapeError, OSError) as error:
        raise ReportInputError(f"the tape cannot be read: {error}") from error
    if heard_ns is not None:
        path.add(heard_ns + SILENCE_NS, 0)
    return path


def _merged(files: Sequence[Path]) -> Iterator[TapeLine]:
    """All tapes' messages by stamp; at equal stamps in the order of the files."""
    if len(files) == 1:
        return iter(read_tape(files[0], for_result=True))
    # Tapes of one recorder follow each other, so they are opened one by one, by their first stamps.
    firsts = sorted(
        (first.recv_ns, rank) for rank, file in enumerate(files) if (first := next(iter(read_tape(file)), None))
    )

    def opened() -> Iterator[TapeLine]:
        waiting: list[tuple[int, int, TapeLine, Iterator[TapeLine]]] = []
        upcoming = list(reversed(firsts))
        while waiting or upcoming:
            while upcoming and (not waiting or upcoming[-1][0] <= waiting[0][0]):
                rank = upcoming.pop()[1]
                _push(waiting, rank, iter(read_tape(files[rank], for_result=True)))
            _, rank, line, rest = heapq.heappop(waiting)
            yield line
            _push(waiting, rank, rest)

    return opened()


def _push(waiting: list[tuple[int, int, TapeLine, Iterator[TapeLine]]], rank: int, lines: Iterator[TapeLine]) -> None:
    line = next(lines, None)
    if line is not None:
        heapq.heappush(waiting, (line.recv_ns, rank, line, lines))


class _OwnQuotes:
    """Gives a feed's view the quotes of ours that may be displayed at each time."""

    def __init__(self, spans: Sequence[OwnSpan]) -> None:
        self._begin = sorted(range(len(spans)), key=lambda at: spans[at].from_ns, reverse=True)
        self._spans = spans
        self._live: list[tuple[int, int]] = []

    def up_to(self, now_ns: int, feed: InstrumentFeed) -> None:
        """Apply all changes up to a time."""
        changed = False
        while self._begin and self._spans[self._begin[-1]].from_ns <= now_ns:
            at = self._begin.pop()
            heapq.heappush(self._live, (self._spans[at].until_ns, at))
            changed = True
        while self._live and self._live[0][0] <= now_ns:
            heapq.heappop(self._live)
            changed = True
        if changed:
            feed.view.set_own(self._quotes())

    def _quotes(self) -> Iterable[OwnQuote]:
        return [self._spans[at].quote for _, at in self._live]
