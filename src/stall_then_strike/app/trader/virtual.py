"""Virtual time: a list of stamped messages traded as fast as the machine can, or at any chosen pace.

Time jumps from event to event, deadlines of the core and of the paper venue included, so every stall matures and every
TTL ends at its exact nanosecond. Nothing depends on how long anything took: the same messages, settings and seed give
the same rows, byte for byte, at every speed and on every machine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from stall_then_strike.app.trader.trader import PaperTrader
from stall_then_strike.infra.bitflyer.feed import MarketEvent, MarketFeed
from stall_then_strike.infra.clock import Clock, VirtualClock, perf_ns
from stall_then_strike.types.dto import NS_PER_S
from stall_then_strike.types.errors import FeedError

_BREATH: Final = 256
"""Messages and deadlines after which others get a turn."""
_LONGEST_GAP_NS: Final = 7 * 86_400 * NS_PER_S
"""A longer gap between two stamps is a broken stamp: a tape may miss days, not weeks."""
_SETTLE_NS: Final = 5 * NS_PER_S
"""How long a stopped run may take, in its own time, to have its cancels confirmed."""

Message = tuple[int, str | None]
"""Receive stamp and text of one frame; no text: the recording was broken off before this moment."""


class VirtualTime:
    """One trader in time that jumps from event to deadline."""

    def __init__(
        self,
        trader: PaperTrader,
        clock: VirtualClock,
        *,
        flush: Callable[[], object] = lambda: None,
    ) -> None:
        """``flush`` waits for the logs, which time that runs free would outrun."""
        self._flush = flush
        self._trader = trader
        self._clock = clock
        self._stop = False
        self._turns = 0
        self.messages = 0
        self.backwards = 0
        """Messages whose stamp was before that of an earlier one."""

    def stop(self) -> None:
        """End before the next message."""
        self._stop = True

    async def _settle(self) -> None:
        self._trader.stop()
        await self._trader.send_waiting()
        end_ns = self._clock.now_ns() + _SETTLE_NS
        while not self._trader.core.is_done and self._trader.next_deadline_ns <= end_ns:
            await self._pass_deadlines(self._trader.next_deadline_ns)

    async def _pass_deadlines(self, until_ns: int) -> bool:
        """Wake the trader at each of its deadlines up to this stamp, itself included; whether there was one."""
        is_woken = False
        while (deadline := self._trader.next_deadline_ns) <= until_ns:
            is_woken = True
            await self._advance(deadline)
            self._trader.wake()
            await self._trader.send_waiting()
            if self._is_out_of_breath():
                await self._breathe()
        return is_woken

    def _is_out_of_breath(self) -> bool:
        """Count a turn; whether :meth:`_breathe` is due."""
        self._turns += 1
        return self._turns % _BREATH == 0

    async def _breathe(self) -> None:
        """Give other tasks (signals, the panel) a turn, and the logs their time."""
        self._flush()
        await asyncio.sleep(0)

    async def _advance(self, to_ns: int) -> None:
        self._clock.advance_to(to_ns)


class VirtualRun(VirtualTime):
    """Drives one trader through messages."""

    def __init__(
        self,
        trader: PaperTrader,
        clock: VirtualClock,
        feed: MarketFeed,
        *,
        pacer: Callable[[int], Clock] | None = None,
        on_start: Callable[[int], None] = lambda start_ns: None,
        flush: Callable[[], object] = lambda: None,
    ) -> None:
        """``pacer`` makes, from the first stamp, the clock whose pace to keep; None: as fast as possible.

        ``on_start`` is told the first stamp.
        """
        super().__init__(trader, clock, flush=flush)
        self._on_start = on_start
        self._feed = feed
        self._make_pacer = pacer
        self._pacer: Clock | None = None

    async def run(self, messages: Iterable[Message], *, duration_ns: int | None = None, settle: bool = True) -> None:
        """Trade all messages, or those of the first ``duration_ns``; then stop in good order, unless more will come.

        Raises FeedError for a stamp that cannot be.
        """
        end_ns: int | None = None
        for recv_ns, text in messages:
            if not self.messages:
                end_ns = None if duration_ns is None else recv_ns + duration_ns
                self._pacer = None if self._make_pacer is None else self._make_pacer(recv_ns)
                self._on_start(recv_ns)
            elif self._stop or (end_ns is not None and recv_ns > end_ns):
                break
            else:
                self._check(recv_ns)
                await self._pass_deadlines(recv_ns)
            await self._advance(recv_ns)
            started = perf_ns()
            event = self._take(text, self._clock.now_ns())  # a stamp of the past counts as the latest one
            if event is not None:
                self._trader.on_market(event, started)
                await self._trader.send_waiting()
            self.messages += 1
            if self._is_out_of_breath():
                await self._breathe()
            if self._trader.core.is_done:
                break
        if self.messages and settle:
            await self._settle()

    def _take(self, text: str | None, now_ns: int) -> MarketEvent | None:
        if text is not None:
            return self._feed.on_text(text, now_ns)
        lost = self._feed.on_disconnect(now_ns)
        self._feed.on_connect()
        return lost

    def _check(self, recv_ns: int) -> None:
        gap_ns = recv_ns - self._clock.now_ns()
        self.backwards += gap_ns < 0
        if gap_ns > _LONGEST_GAP_NS:
            days = gap_ns // (86_400 * NS_PER_S)
            raise FeedError(f"message {self.messages + 1} is stamped {days:,} days after the one before it")

    async def _advance(self, to_ns: int) -> None:
        if self._pacer is not None:
            await self._pacer.sleep_until(to_ns)
        self._clock.advance_to(to_ns)
