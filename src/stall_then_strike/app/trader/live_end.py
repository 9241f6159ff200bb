"""The end of a live run: no new orders, cancel all, and wait until the venue confirms that nothing is left.

If the venue does not confirm it, the run says so and counts as failed. After a failure of the core, orders that may be
live are cancelled directly at the venue (:func:`cancel_directly`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Final, Literal

from loguru import logger

from stall_then_strike.app.shell.ending import Ending
from stall_then_strike.app.shell.first_of import first_of
from stall_then_strike.app.trader.live_trader import LiveTrader
from stall_then_strike.engine.core import Core
from stall_then_strike.engine.orders import Order
from stall_then_strike.engine.venue.evidence import names_and_strangers
from stall_then_strike.infra.clock import Clock, ScaledClock, perf_ns
from stall_then_strike.types.dto import NS_PER_S, CancelRequest, ExecId, OrderEvent, OrderEventKind, OrderId
from stall_then_strike.types.errors import VenueError
from stall_then_strike.venues.connection import Connection, Desk

_HURRY_S: Final = 2.0
"""How long a run waits for the answers to its cancels after a second signal."""
_LAST_ASK_S: Final = (1.0, 4.0)
"""First and longest pause before the account is requested again at the end."""
_TELL_S: Final = 5.0
"""How often the message about what the end waits for is repeated."""
_LOOK_S: Final = 0.5
_EMERGENCY_S: Final = 5.0
"""Time limit for cancelling after a failure."""
_LISTING_S: Final = 0.5
"""Time from an order's acceptance to its appearance in the venue's lists, on a quiet day."""


class LiveEnd:
    """Stops one run in good order, and knows whether the venue has confirmed the account's state."""

    def __init__(
        self,
        trader: LiveTrader,
        connection: Connection,
        clock: ScaledClock,
        ending: Ending,
        say: Callable[[str], None],
    ) -> None:
        """``connection`` is the trader's. ``say`` shows a line to the operator."""
        self._trader, self._connection = trader, connection
        self._clock, self._ending, self._say = clock, ending, say
        self._portfolio = trader.portfolio
        self.is_over = asyncio.Event()
        """Set by the task that watches the core, once nothing of ours is live."""
        self.is_shown = False
        """Whether the venue's report has confirmed the account as we know it."""
        self.awaited = ""
        """What the end waits for; empty before the end."""

    async def stop(self, *, flat: bool, limit_s: float) -> None:
        """Stop trading; return when the venue has confirmed the account, at the limit, or at a second signal.

        ``flat``: close the position, too.
        """
        trader = self._trader
        trader.stop(flat=flat)
        async with asyncio.TaskGroup() as tasks:
            telling = tasks.create_task(self._tell_awaited(limit_s))
            self.is_shown = bool(await first_of(self._confirmed(), self._ending.hurry, limit_s=limit_s))
            telling.cancel()
        if not self.is_shown:
            with suppress(TimeoutError):
                async with asyncio.timeout(_HURRY_S):
                    await trader.wait_sent()
        is_left = self._portfolio.any_live or not self.is_shown
        logger.log("ERROR" if is_left else "INFO", "end of trading: {}", self.last_words())
        trader.remember("stop", f"{self._ending.why}; {self.last_words()}")

    async def _confirmed(self) -> Literal[True]:
        """Return when nothing is live and the venue has reported our final position and each fill of ours.

        A report may contain news: the core then acts on it, and the account is requested again after that. A request
        that fails or does not fit the budget is repeated.
        """
        portfolio = self._portfolio
        pause_s, longest_s = (seconds / self._clock.speed for seconds in _LAST_ASK_S)
        while True:
            await self.is_over.wait()
            calls = portfolio.first.shared.venue.report_calls * len(portfolio.cores)
            if portfolio.first.budget.may_ask(self._clock.now_ns(), calls, urgent=True):
                asked_ns = self._clock.now_ns()
                await self._trader.ask_account("stopping")
                if self._is_shown_since(asked_ns) and portfolio.is_done:
                    return True
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, longest_s)
            if not portfolio.is_done:
                self.is_over.clear()  # set again by the watch

    def _is_shown_since(self, asked_ns: int) -> bool:
        """Whether the last reports were requested at ``asked_ns`` or later and confirm the account as we know it."""
        for desk, core in zip(self._connection.desks, self._portfolio.cores, strict=True):
            last, account = desk.last, core.account
            if last is None or account is None or last.asked_ns < asked_ns or not account.is_shown_by(last):
                return False
        return True

    # --- messages

    async def _tell_awaited(self, limit_s: float) -> None:
        """Say what the end waits for: at once, at each change and every few seconds. Silence would look like a hang."""
        end_s = perf_ns() / NS_PER_S + limit_s
        last, told_s = "", 0.0
        while True:
            now_s, what = perf_ns() / NS_PER_S, self._what_is_awaited()
            self.awaited = f"stopping: {what}; {max(0.0, end_s - now_s):.0f} s at most, a second signal ends it now"
            if what != last or now_s - told_s >= _TELL_S:
                last, told_s = what, now_s
                logger.info("{}", self.awaited)
                self._say(self.awaited)
            await asyncio.sleep(_LOOK_S)

    def _what_is_awaited(self) -> str:
        """What the end waits for at the moment."""
        if live := self._live():
            return f"waiting for the end of {'order' if len(live) == 1 else 'orders'} {_names(live)}"
        for core in self._portfolio.cores:
            if core.exits.closing is not None:
                why, obstacles = core.exits.closing.reason.label, ", ".join(core.obstacles)
                way = f", with an order in its way that is not ours: {obstacles}" if obstacles else ""
                return f"closing {_held(core)} ({why}){way}"
        for core in self._portfolio.cores:
            if core.account is not None and core.account.to_cancel:
                return f"waiting for the end of what should not be on the book: {', '.join(core.account.to_cancel)}"
        if not self._connection.session.statistics().is_private_live:
            return "waiting for the venue, which does not answer now, to show the account"
        return "waiting for the venue to show the account as it is here"

    def last_words(self) -> str:
        """Live orders and position at the end, as far as known."""
        live = self._live()
        doubt = "" if self.is_shown else ", not confirmed by the venue"
        for core in self._portfolio.cores:
            if core.exits.closing is not None and core.obstacles:
                doubt += f"; in the way of its close, and not ours: {', '.join(core.obstacles)}"
        position = f"position {' and '.join(map(_held, self._portfolio.cores))}{doubt}"
        if not live:
            return f"no order of ours is live; {position}"
        minutes = self._connection.rules.expiry_ns / (60 * NS_PER_S)
        span = "a minute" if minutes == 1 else f"{minutes:g} minutes"
        return f"NOT CONFIRMED: {_names(live)}; what rests expires by itself within {span}; {position}"

    def _live(self) -> list[Order]:
        return [order for core in self._portfolio.cores for order in core.orders.live()]


def _held(core: Core) -> str:
    unit = core.instrument
    return f"{unit.size(core.inventory.position):+f} {unit.base}"


def _names(orders: Collection[Order]) -> str:
    """Order ids: the venue's, or ours if the venue's is unknown."""
    return ", ".join(order.order_id or f"{order.client_order_id} (no name)" for order in orders)


async def cancel_directly(core: Core, desk: Desk, clock: Clock) -> None:
    """After a failure: cancel at the venue the orders that may be live, without the core.

    Raises nothing: the orders of other instruments are to be cancelled, too, and the journal to be written.
    """
    live = list(core.orders.live())
    if not live:
        return
    logger.warning("cancelling {} orders that may be live", len(live))
    try:
        async with asyncio.timeout(_EMERGENCY_S):
            await _cancel(desk, [order.order_id for order in live if order.order_id is not None])
            if any(order.order_id is None for order in live):
                await _cancel(desk, await _names_found(core, desk, clock))
    except TimeoutError:
        logger.error("the cancels were not answered within {:g} s: look at the account", _EMERGENCY_S)
    except Exception as error:  # noqa: BLE001 - what has failed before may fail here again
        logger.opt(exception=error).error("the cancels failed: look at the account")


async def _cancel(desk: Desk, names: Collection[OrderId]) -> None:
    answers = await desk.send([CancelRequest(order_id=name) for name in names])
    for name, answer in zip(names, answers, strict=True):
        if isinstance(answer, VenueError):
            logger.error("{}: {}", name, answer)


async def _names_found(core: Core, desk: Desk, clock: Clock) -> list[OrderId]:
    """The venue's ids of unacknowledged orders: ids of listed orders with the same terms.

    An order that was accepted a moment ago may be listed only a moment later.
    """
    now_ns = clock.now_ns()
    nameless = [order for order in core.orders.live() if order.order_id is None]
    for order in nameless:
        core.orders.apply(
            OrderEvent(ts_ns=now_ns, kind=OrderEventKind.SEND_UNKNOWN, client_order_id=order.client_order_id)
        )
    known = [order.order_id for order in nameless if order.order_id is not None]  # named by events that were queued
    if len(known) == len(nameless):
        return known
    await asyncio.sleep(_LISTING_S)
    since = None if core.account is None else core.account.rules.since
    try:
        report = await desk.report(since or ExecId(0))
    except VenueError as error:
        logger.error("orders whose ids are unknown cannot be looked up: {}", error)
        return known
    found = names_and_strangers(report, core.orders, core.shared.venue)
    return known + [event.order_id for event in found.names if event.order_id is not None]
