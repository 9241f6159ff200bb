"""Where a trader's actions wait until they are sent, and how they are sent.

:class:`InlineOutbox` is for a gateway that answers without waiting: what is waiting is sent as one batch, and the
next batch after all of its answers. :class:`TaskOutbox` is for the network. A slow or lost answer must not hold up a
cancel, so every action is sent by a task of its own, which begins in the next turn of the event loop. How many may be
in flight at once is bounded.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from stall_then_strike.app.trader.owed_steps import EXIT_WAIT_S, QUOTE_WAIT_S, OwedSteps
from stall_then_strike.engine.executor import OrderExecutor
from stall_then_strike.engine.gateway import EventSink
from stall_then_strike.infra.clock import ScaledClock
from stall_then_strike.types.dto import (
    NS_PER_S,
    Action,
    CloseMarket,
    OrderEvent,
    OrderEventKind,
    PlaceLimit,
)

MOST_WAITING: Final = 1_000
"""Actions that may wait to be sent. A strike is two; more than a few waiting means that sending has stopped."""
MOST_IN_FLIGHT: Final = 64
"""Actions that may be in flight at once. Each ends within its calls' time limits."""
_TURNS_OF_A_CALL: Final = 2
"""Turns of the event loop until a call is with the system: aiohttp prepares it in one and writes it in the next. Calls
of one step begin so far apart, or the first would wait until the second is prepared as well."""
_TOO_LATE_S: Final = 2.0
"""A quote that is so old was decided on before this process stood still, or the machine slept. Real seconds."""


class OutboxFull(RuntimeError):
    """Nothing is sent any more."""


class Outbox(Protocol):
    """What a trader asks of it."""

    def __len__(self) -> int:
        """How many actions wait to be sent; those in flight do not count."""
        ...

    def put(self, actions: Sequence[Action]) -> None:
        """Take the actions of one step, without waiting. Raises OutboxFull."""
        ...

    async def send(self) -> None:
        """Send actions as they come, for ever."""
        ...


class _Waiting:
    """Actions that wait to be sent, in order, and the word that there is something to do about them."""

    def __init__(self) -> None:
        self.actions: deque[Action] = deque()
        self._changed = asyncio.Event()

    def add(self, actions: Sequence[Action]) -> None:
        if len(self.actions) + len(actions) > MOST_WAITING:
            raise OutboxFull(f"more than {MOST_WAITING} actions wait to be sent")
        self.actions.extend(actions)
        self.wake()

    def wake(self) -> None:
        self._changed.set()

    async def wait(self) -> None:
        await self._changed.wait()
        self._changed.clear()


class InlineOutbox:
    """Sends batch after batch in the caller's task."""

    def __init__(self, executor: OrderExecutor, on_sent: Callable[[], None] = lambda: None) -> None:
        """``on_sent`` is called when all that waited is sent and answered."""
        self.executor = executor
        self._on_sent = on_sent
        self._waiting = _Waiting()
        self.actions: Final = self._waiting.actions
        """Those that wait to be sent."""

    def __len__(self) -> int:
        """How many actions wait to be sent."""
        return len(self.actions)

    def put(self, actions: Sequence[Action]) -> None:
        """Take the actions of one step. Raises OutboxFull."""
        self._waiting.add(actions)

    async def send(self) -> None:
        """Send actions as they come, for ever."""
        while True:
            await self._waiting.wait()
            await self.send_waiting()

    async def send_waiting(self) -> None:
        """Send what waits, and what its answers lead to."""
        actions = self.actions
        while actions:
            batch = tuple(actions)
            actions.clear()
            await self.executor.execute(batch)
        self._on_sent()


class TaskOutbox:
    """Sends each action in a task of its own, once the journal has the step that led to it.

    Quotes are not sent if the journal cannot be written, or if they were decided on too long ago. Exits wait for the
    journal only a moment; cancels and questions do not wait.
    """

    def __init__(self, executor: OrderExecutor, owed: OwedSteps, sink: EventSink, clock: ScaledClock) -> None:
        """``sink`` hears of quotes that are not sent."""
        self.executor = executor
        self._owed, self._sink, self._clock = owed, sink, clock
        self._too_late_ns = round(_TOO_LATE_S * clock.speed * NS_PER_S)
        self._waiting = _Waiting()
        self._tasks: asyncio.TaskGroup | None = None
        """None while nothing is sent: before and after :meth:`send`."""
        self._failure: Exception | None = None
        """What broke a call of ours, and with it the run."""
        self._answered = asyncio.Event()
        self.in_flight = 0
        """Actions without their answer."""

    def __len__(self) -> int:
        """How many actions wait to be sent; those in flight do not count."""
        return len(self._waiting.actions)

    def put(self, actions: Sequence[Action]) -> None:
        """Send the actions of one step at once if there is room and nothing waits, else queue them.

        Raises OutboxFull.
        """
        is_broken = self._failure is not None
        if is_broken or self._tasks is None or len(self) or self.in_flight + len(actions) > MOST_IN_FLIGHT:
            self._waiting.add(actions)
            return
        for number, action in enumerate(actions):
            self._set_off(self._tasks, action, number * _TURNS_OF_A_CALL)

    async def send(self) -> None:
        """Send actions as they come, for ever. Raises what broke a call, once those in flight have their answers."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            try:
                while self._failure is None:
                    await self._waiting.wait()
                    self._set_off_waiting(tasks)
            finally:
                self._tasks = None
        raise self._failure

    async def wait_sent(self) -> None:
        """Return when nothing waits to be sent and every answer is in, or known not to come."""
        while len(self) or self.in_flight:
            self._answered.clear()
            await self._answered.wait()

    def _set_off_waiting(self, tasks: asyncio.TaskGroup) -> None:
        """Set off what waits, as far as there is room."""
        while self._failure is None and self._waiting.actions and self.in_flight < MOST_IN_FLIGHT:
            self._set_off(tasks, self._waiting.actions.popleft())

    def _set_off(self, tasks: asyncio.TaskGroup, action: Action, turns: int = 0) -> None:
        self.in_flight += 1
        tasks.create_task(self._send(action, turns, self._owed.taken, self._clock.now_ns()))

    async def _send(self, action: Action, turns: int, step: int, decided_ns: int) -> None:
        try:
            for _ in range(turns):
                await asyncio.sleep(0)
            is_written = not self._owed or await self._owed.wait_written(step, _wait_s(action))
            if not isinstance(action, PlaceLimit):
                await self.executor.execute((action,))
            elif not is_written:
                self._not_sent(action, "the journal cannot be written")
            elif self._clock.now_ns() - decided_ns >= self._too_late_ns:
                self._not_sent(action, "it was decided on before a pause")
            else:
                await self.executor.execute((action,))
        except Exception as error:  # noqa: BLE001 - raised by `send`; here it would cut off the other calls
            self._failure = self._failure or error
        finally:
            self.in_flight -= 1
            self._answered.set()
            if len(self) or self._failure is not None:
                self._waiting.wake()

    def _not_sent(self, quote: PlaceLimit, why: str) -> None:
        self._sink(
            OrderEvent(
                ts_ns=self._clock.now_ns(),
                kind=OrderEventKind.NOT_SENT,
                client_order_id=quote.client_order_id,
                detail=why,
            )
        )


def _wait_s(action: Action) -> float:
    """How long an action waits for its step to be written; a cancel and a question change nothing that is not known."""
    if isinstance(action, PlaceLimit):
        return QUOTE_WAIT_S
    return EXIT_WAIT_S if isinstance(action, CloseMarket) else 0.0
