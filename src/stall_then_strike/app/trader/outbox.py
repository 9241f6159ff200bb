"""Where a trader's actions wait until they are sent, and how they are sent.

:class:`InlineOutbox` is for a gateway that answers at once: all waiting actions are sent as one batch, and the next
batch follows after all answers. :class:`TaskOutbox` is for the network. A slow or lost answer must not delay a cancel,
so the answer to every action is awaited by its own task. What the gateway can send without waiting is sent at once; the
rest, in the task, which starts in the next turn of the event loop. The number of actions in flight is bounded.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Protocol

from stall_then_strike.app.trader.owed_steps import EXIT_WAIT_S, QUOTE_WAIT_S, OwedSteps
from stall_then_strike.engine.executor import OrderExecutor
from stall_then_strike.engine.gateway import EventSink, Later
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
_TOO_LATE_S: Final = 2.0
"""A quote decided this long ago (the process stood still, or the machine slept) is not sent. Real seconds."""


class OutboxFull(RuntimeError):
    """Too many actions are waiting: sending has stopped."""


class Outbox(Protocol):
    """What a trader needs of an outbox."""

    def __len__(self) -> int:
        """How many actions wait to be sent; those in flight do not count."""
        ...

    def put(self, actions: Sequence[Action]) -> None:
        """Take the actions of one step, without waiting. Raises OutboxFull."""
        ...

    async def send(self) -> None:
        """Send actions as they come, until cancelled."""
        ...


class _Waiting:
    """A queue of actions to send, with an event that wakes the sender."""

    def __init__(self) -> None:
        self.actions: deque[Action] = deque()
        self._changed = asyncio.Event()

    def add(self, actions: Sequence[Action]) -> None:
        if len(self.actions) + len(actions) > MOST_WAITING:
            raise OutboxFull(f"more than {MOST_WAITING} actions wait to be sent")
        self.actions.extend(actions)

    def wake(self) -> None:
        self._changed.set()

    async def wait(self) -> None:
        await self._changed.wait()
        self._changed.clear()


class InlineOutbox:
    """Sends batch after batch in the caller's task."""

    def __init__(self, executor: OrderExecutor, on_sent: Callable[[], None] = lambda: None) -> None:
        """``on_sent`` is called when all waiting actions are sent and answered."""
        self.executor = executor
        self._on_sent = on_sent
        self._waiting = _Waiting()
        self.actions: Final = self._waiting.actions
        """Actions that wait to be sent."""

    def __len__(self) -> int:
        """How many actions wait to be sent."""
        return len(self.actions)

    def put(self, actions: Sequence[Action]) -> None:
        """Take the actions of one step. Raises OutboxFull."""
        self._waiting.add(actions)
        self._waiting.wake()

    async def send(self) -> None:
        """Send actions as they come, until cancelled."""
        while True:
            await self._waiting.wait()
            await self.send_waiting()

    async def send_waiting(self) -> None:
        """Send the waiting actions, and those that their answers lead to."""
        actions = self.actions
        while actions:
            batch = tuple(actions)
            actions.clear()
            await self.executor.execute(batch)
        self._on_sent()


class TaskOutbox:
    """Sends each action once the journal has the step that led to it, and awaits its answer in a task of its own.

    Quotes are not sent if the journal cannot be written, or if they were decided too long ago. Exits wait for the
    journal only for a moment; cancels and account requests do not wait.
    """

    def __init__(
        self, executor: OrderExecutor, owed: OwedSteps, sink: EventSink, clock: ScaledClock, *, batch: int = 1
    ) -> None:
        """``sink`` gets an event for each quote that is not sent. ``batch`` is as in `VenueRules`."""
        self.executor = executor
        self._batch = batch
        self._owed, self._sink, self._clock = owed, sink, clock
        self._too_late_ns = round(_TOO_LATE_S * clock.speed * NS_PER_S)
        self._waiting = _Waiting()
        self._tasks: asyncio.TaskGroup | None = None
        """None before and after :meth:`send`, when nothing is sent."""
        self._failure: Exception | None = None
        """The unexpected error of a call, which ends the run."""
        self._answered = asyncio.Event()
        self.in_flight = 0
        """Actions that are not answered yet."""

    def __len__(self) -> int:
        """How many actions wait to be sent; those in flight do not count."""
        return len(self._waiting.actions)

    def put(self, actions: Sequence[Action]) -> None:
        """Send the actions of one step at once, as far as the limit of actions in flight allows. Raises OutboxFull."""
        self._waiting.add(actions)
        if self._tasks is None:
            self._waiting.wake()
        else:
            self._set_off_waiting(self._tasks)

    async def send(self) -> None:
        """Send actions as they come, until cancelled. Raises a call's unexpected error when all others are answered."""
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
        """Return when nothing waits to be sent and every action is answered or known to stay unanswered."""
        while len(self) or self.in_flight:
            self._answered.clear()
            await self._answered.wait()

    def _set_off_waiting(self, tasks: asyncio.TaskGroup) -> None:
        """Send the waiting actions, as far as the limit of actions in flight allows; then see to their answers."""
        begun: list[Later[None]] = []
        while self._failure is None and self._waiting.actions and self.in_flight < MOST_IN_FLIGHT:
            batch = self._next_batch()
            try:
                begun.append(self._begin(batch))
            except Exception as error:  # noqa: BLE001 - raised by `send`, as that of an answer is
                self._fail(error)
            else:
                self.in_flight += 1
        for sending in begun:
            tasks.create_task(self._follow(sending))

    def _begin(self, batch: Sequence[Action]) -> Later[None]:
        """Send now, or as soon as the journal has the step."""
        if self._owed:
            return Later(partial(self._send_written, batch, self._owed.taken, self._clock.now_ns()))
        return self.executor.begin(batch)

    def _next_batch(self) -> Sequence[Action]:
        """Remove and return the actions that are sent together: one, or quotes that fit into one call."""
        waiting = self._waiting.actions
        batch = [waiting.popleft()]
        while waiting and len(batch) < self._batch and type(batch[0]) is type(waiting[0]) is PlaceLimit:
            batch.append(waiting.popleft())
        return batch

    async def _follow(self, sending: Later[None]) -> None:
        """Wait for the end of an action."""
        try:
            await sending
        except Exception as error:  # noqa: BLE001 - raised by `send`; raised here it would cancel the other calls
            self._fail(error)
        finally:
            self.in_flight -= 1
            self._answered.set()
            if len(self):
                self._waiting.wake()

    def _fail(self, error: Exception) -> None:
        self._failure = self._failure or error
        self._waiting.wake()

    async def _send_written(self, batch: Sequence[Action], step: int, decided_ns: int) -> None:
        """Send actions whose step is not in the journal yet."""
        is_written = await self._owed.wait_written(step, _wait_s(batch[0]))
        if not isinstance(batch[0], PlaceLimit):
            await self.executor.execute(batch)
        elif not is_written:
            self._not_sent(batch, "the journal cannot be written")
        elif self._clock.now_ns() - decided_ns >= self._too_late_ns:
            self._not_sent(batch, "it was decided on before a pause")
        else:
            await self.executor.execute(batch)

    def _not_sent(self, quotes: Sequence[Action], why: str) -> None:
        for quote in quotes:
            if isinstance(quote, PlaceLimit):
                self._sink(
                    OrderEvent(
                        ts_ns=self._clock.now_ns(),
                        kind=OrderEventKind.NOT_SENT,
                        client_order_id=quote.client_order_id,
                        detail=why,
                    )
                )


def _wait_s(action: Action) -> float:
    """How long an action waits for its step to be written. Cancels and account requests do not wait: they are safe."""
    if isinstance(action, PlaceLimit):
        return QUOTE_WAIT_S
    return EXIT_WAIT_S if isinstance(action, CloseMarket) else 0.0
