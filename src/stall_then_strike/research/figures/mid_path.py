"""The mid price over time: from a tape, or, for want of one, from what a run's own logs say.

A mid is kept doubled (best bid + best ask), so that it is a whole number of ticks. Zero stands for not known: before
the first snapshot, while the book contradicts itself, and from :data:`SILENCE_NS` after a tape's last word on.

A tape of a live run shows the run's own quotes, which would pull the mid to themselves; they are taken out of the book
as they were while trading (infra/orderbook_view.py), by the order log.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.bitflyer.feed import MarketFeed
from stall_then_strike.infra.orderbook_view import OwnQuote
from stall_then_strike.research.figures.log_rows import ReportInputError
from stall_then_strike.tapes.tape_reader import TapeError, TapeLine, read_tape
from stall_then_strike.types.dto import NS_PER_S, BoardSnapshot, BookStatus

SILENCE_NS: Final = 10 * NS_PER_S
"""A tape that says nothing for so long is taken to know nothing: snapshots alone come every 5 s."""


@dataclass(slots=True)
class MidPath:
    """Doubled mids at rising stamps; each holds until the next."""

    stamps: list[int] = field(default_factory=list)
    doubled: list[int] = field(default_factory=list)

    def add(self, ts_ns: int, doubled: int) -> None:
        """The mid from now on; only changes are kept. Stamps that go back count as of the latest."""
        if self.doubled and self.doubled[-1] == doubled:
            return
        stamp = max(ts_ns, self.stamps[-1]) if self.stamps else ts_ns
        if self.stamps and self.stamps[-1] == stamp:
            self.doubled[-1] = doubled
            return
        self.stamps.append(stamp)
        self.doubled.append(doubled)

    def at(self, ts_ns: int) -> int | None:
        """The mid after all that came up to then, doubled; None if not known."""
        return self._get(bisect_right(self.stamps, ts_ns) - 1)

    def before(self, ts_ns: int) -> int | None:
        """The mid as last seen before then, doubled; None if not known."""
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
    """A quote of ours that may have been displayed from one moment to another."""

    from_ns: int
    until_ns: int
    quote: OwnQuote


def mids_of_tapes(
    files: Sequence[Path], cfg: AppConfig, *, own: Sequence[OwnSpan] = (), from_ns: int, until_ns: int
) -> MidPath:
    """The mids that the tapes show within a period. Raises ReportInputError."""
    path = MidPath()
    feed = MarketFeed(cfg, is_recorded=True)
    changes = _OwnQuotes(own)
    heard_ns: int | None = None
    try:
        for line in _merged(files):
            if line.recv_ns > until_ns:
                break
            if heard_ns is not None and line.recv_ns - heard_ns > SILENCE_NS:
                path.add(heard_ns + SILENCE_NS, 0)
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
    """All tapes' messages by stamp; equal stamps in the order of the files."""
    if len(files) == 1:
        return iter(read_tape(files[0], for_result=True))
    # Tapes of one recorder follow each other: opened one by one in the order of their first lines.
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
    """Tells a feed's view which quotes of ours may be displayed, as time goes on."""

    def __init__(self, spans: Sequence[OwnSpan]) -> None:
        self._begin = sorted(range(len(spans)), key=lambda at: spans[at].from_ns, reverse=True)
        self._spans = spans
        self._live: list[tuple[int, int]] = []

    def up_to(self, now_ns: int, feed: MarketFeed) -> None:
        """Everything that changed up to now."""
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
