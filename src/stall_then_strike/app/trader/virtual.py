"""Virtual time: trades a list of stamped messages as fast as the machine can, or at a chosen pace.

Time jumps from event to event, including deadlines of the core and of the paper venue, so every stall matures and every
TTL ends at its exact nanosecond. Nothing depends on how long the program takes: the same messages, settings and seed
give the same rows, byte for byte, at every speed and on every machine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Generic, Protocol, TypeVar

from stall_then_strike.app.trader.trader import PaperTrader
from stall_then_strike.infra.clock import Clock, VirtualClock, perf_ns
from stall_then_strike.infra.market_source import InstrumentFeed, MarketEvent
from stall_then_strike.sim.paper import STOP_NS
from stall_then_strike.types.dto import NS_PER_S
from stall_then_strike.types.errors import FeedError

_BREATH: Final = 256
"""Number of messages and deadlines after which other tasks get a turn."""
_LONGEST_GAP_NS: Final = 7 * 86_400 * NS_PER_S
"""Longest gap between two stamps; a longer one means a broken stamp. A tape may miss days, not weeks."""
_NEVER_NS: Final = 1 << 63

Message = tuple[int, str | None]
"""Receive stamp and text of one frame; None for the text: the recording was interrupted before this moment."""

M = TypeVar("M", contravariant=True)


class RecordedFeed(Protocol[M]):
    """Decoder of recorded messages of one type."""

    def on_recorded(self, message: M, recv_ns: int) -> MarketEvent | None:
        """The market event of a message; None if it is of no interest to a trader."""
        ...


class SeveralFeeds:
    """The feeds of several instruments as one decoder: a message is the number of its instrument, and its text."""

    def __init__(self, feeds: Sequence[InstrumentFeed]) -> None:
        """In the order of the instruments."""
        self._feeds = tuple(feeds)
        self.number = 0
        """Whose the last message was."""

    def on_recorded(self, message: tuple[int, str | None], recv_ns: int) -> MarketEvent | None:
        """The market event of a message."""
        self.number, text = message
        return self._feeds[self.number].on_recorded(text, recv_ns)


class VirtualRun(Generic[M]):
    """Drives one trader through messages in virtual time."""

    def __init__(
        self,
        trader: PaperTrader,
        clock: VirtualClock,
        feed: RecordedFeed[M],
        *,
        pacer: Callable[[int], Clock] | None = None,
        on_start: Callable[[int], None] = lambda start_ns: None,
        flush: Callable[[], object] = lambda: None,
        is_timed: bool = True,
        on_market: Callable[[MarketEvent, int | None], None] | None = None,
    ) -> None:
        """``pacer`` makes a clock from the first stamp; the run keeps its pace. None: as fast as possible.

        ``on_start`` is called with the first stamp. ``flush`` waits for the logs, which write more slowly than virtual
        time runs. ``is_timed``: the trader measures the time from each message's text to the decision.
        ``on_market`` takes each event; by default it is the trader's, for its first instrument.
        """
        self._trader = trader
        self._clock = clock
        self._on_recorded = feed.on_recorded
        self._on_market = trader.on_market if on_market is None else on_market
        self._make_pacer = pacer
        self._pacer: Clock | None = None
        self._on_start = on_start
        self._flush = flush
        self._is_timed = is_timed
        self._end_ns = _NEVER_NS
        self._stop = False
        self._turns = 0
        self.messages = 0
        self.backwards = 0
        """Number of messages stamped before an earlier one."""

    def stop(self) -> None:
        """End the run before the next message."""
        self._stop = True

    async def run(
        self, messages: Iterable[tuple[int, M]], *, duration_ns: int | None = None, settle: bool = True
    ) -> None:
        """Trade all messages, or those of the first ``duration_ns``; ``settle``: then stop in good order.

        Each message comes with its receive stamp; one before an earlier stamp is replaced by the latest. Raises
        FeedError for an impossible stamp.
        """
        trader, clock, on_recorded, on_market = self._trader, self._clock, self._on_recorded, self._on_market
        ended = trader.portfolio.alone or trader.portfolio
        latest_ns = _NEVER_NS
        for recv_ns, message in messages:
            is_next = latest_ns <= recv_ns < trader.next_deadline_ns and recv_ns <= self._end_ns
            if not (is_next and not self._stop) and not await self._reach(recv_ns, duration_ns):
                break
            if self._pacer is not None:
                await self._pacer.sleep_until(recv_ns)
            clock.advance_to(recv_ns)
            latest_ns = clock.now_ns()
            started_ns = perf_ns() if self._is_timed else None
            event = on_recorded(message, latest_ns)
            if event is not None:
                on_market(event, started_ns)
            self.messages += 1
            if trader.has_waiting:
                await trader.send_waiting()
            self._turns += 1
            if self._turns % _BREATH == 0:
                await self._breathe()
            if ended.is_done:
                break
        if self.messages and settle:
            await self._settle()

    def _begin(self, start_ns: int, duration_ns: int | None) -> None:
        """Start the run at the first message's stamp."""
        self._end_ns = _NEVER_NS if duration_ns is None else start_ns + duration_ns
        self._pacer = None if self._make_pacer is None else self._make_pacer(start_ns)
        self._on_start(start_ns)

    async def _reach(self, recv_ns: int, duration_ns: int | None) -> bool:
        """Go to a message that is the first, comes after a deadline or is stamped before an earlier one.

        Returns False if the run ends before it. Raises FeedError for an impossible stamp.
        """
        if not self.messages:
            self._begin(recv_ns, duration_ns)
            return True
        if self._stop or recv_ns > self._end_ns:
            return False
        gap_ns = recv_ns - self._clock.now_ns()
        if gap_ns < 0:
            self.backwards += 1
        elif gap_ns > _LONGEST_GAP_NS:
            days = gap_ns // (86_400 * NS_PER_S)
            raise FeedError(f"message {self.messages + 1} is stamped {days:,} days after the one before it")
        await self._pass_deadlines(recv_ns)
        return True

    async def _settle(self) -> None:
        self._trader.stop()
        await self._trader.send_waiting()
        end_ns = self._clock.now_ns() + STOP_NS
        while not self._trader.portfolio.is_done and self._trader.next_deadline_ns <= end_ns:
            await self._pass_deadlines(self._trader.next_deadline_ns)

    async def _pass_deadlines(self, until_ns: int) -> None:
        """Wake the trader at each of its deadlines up to and including this stamp."""
        trader = self._trader
        while (deadline_ns := trader.next_deadline_ns) <= until_ns:
            if self._pacer is not None:
                await self._pacer.sleep_until(deadline_ns)
            self._clock.advance_to(deadline_ns)
            trader.wake()
            if trader.has_waiting:
                await trader.send_waiting()
            self._turns += 1
            if self._turns % _BREATH == 0:
                await self._breathe()

    async def _breathe(self) -> None:
        """Give other tasks (signals, the panel) a turn, and flush the logs."""
        self._flush()
        await asyncio.sleep(0)
