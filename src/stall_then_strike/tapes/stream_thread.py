"""A thread that writes what the event loop hands over, and never blocks the loop.

The queue is bounded. When it is full, items are lost: they are counted, this is logged once, and the file records
between which stamps. More than twice a second the thread wakes up, writes everything in the queue and flushes, so a
killed process loses less than a second.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

from loguru import logger

from stall_then_strike.types.errors import LogError

FLUSH_S: Final = 0.4
"""Pause between two flushes, in real seconds."""
CLOSE_S: Final = 30.0
"""How long closing waits for a hanging disk, in real seconds."""

Item = TypeVar("Item")
Taken = TypeVar("Taken", contravariant=True)


@dataclass(frozen=True, slots=True)
class Lost:
    """Items that were lost because the queue was full, between two stamps."""

    count: int
    first_ns: int
    last_ns: int


class Sink(Protocol[Taken]):
    """The writer of the items. Used only by the thread; may raise OSError, after which only ``abandon`` is called."""

    def take(self, stamp_ns: int, item: Taken) -> None:
        """Write one item."""
        ...

    def on_lost(self, lost: Lost) -> None:
        """Items were lost between the last item and the next."""
        ...

    def flush(self, now_ns: int | None) -> None:
        """Make everything so far readable. ``now_ns``, if known, is the time up to which all items were written."""
        ...

    def close(self, why: str) -> None:
        """Finish the output."""
        ...

    def abandon(self) -> None:
        """Stop without finishing. Raises nothing."""
        ...


class StreamThread(Generic[Item]):
    """One sink, its queue and its thread."""

    def __init__(
        self,
        sink: Sink[Item],
        *,
        name: str,
        bound: int,
        now_ns: Callable[[], int] | None = None,
        on_failure: Callable[[LogError], None] = lambda error: None,
    ) -> None:
        """Start the thread. ``now_ns`` is the clock of the stamps; ``on_failure`` is called once, by the thread."""
        self.name = name
        self.lost = 0
        """Items that were not written, for whatever reason."""
        self.failure: LogError | None = None
        """Why writing has stopped; None while it has not."""
        self._sink = sink
        self._bound = bound
        self._now_ns = now_ns
        self._on_failure = on_failure
        # Everything below is shared with the thread. The condition guards it and is only held briefly.
        self._changed = threading.Condition()
        self._items: deque[tuple[int, Item | Lost]] = deque()
        self._hole: Lost | None = None
        self._taken = 0
        self._done = 0
        self._hurry = False
        self._closing = ""
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, stamp_ns: int, item: Item) -> bool:
        """Queue one item; return whether there was room. Never waits, never raises."""
        with self._changed:
            if self.failure is not None or self._closing:
                self.lost += 1
                return False
            waiting = len(self._items)
            if waiting < self._bound:
                if self._hole is not None:
                    self._items.append((stamp_ns, self._hole))
                    self._hole = None
                self._items.append((stamp_ns, item))
                self._taken += 1
                if waiting == self._bound // 2:
                    self._hurry = True
                    self._changed.notify_all()
                return True
            self.lost += 1
            hole, self._hole = self._hole, _wider(self._hole, stamp_ns)
        if hole is None:
            logger.error(
                "{}: {} items are waiting for the disk; new ones are lost until it catches up", self.name, waiting
            )
        return False

    def drain(self) -> bool:
        """Block until all items so far are written; return whether they are. For runs in virtual time."""
        with self._changed:
            target = self._taken
            self._hurry = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._done >= target or self.failure is not None, CLOSE_S)
            return self._done >= target

    def close(self, why: str) -> None:
        """Write what is queued and finish. Safe to call twice; blocks for at most :data:`CLOSE_S`."""
        with self._changed:
            if self._closing:
                return
            self._closing = why
            self._changed.notify_all()
        self._thread.join(CLOSE_S)
        if self._thread.is_alive():
            self._fail(LogError(f"{self.name} could not be finished: the disk does not answer"))

    # --- the thread

    def _run(self) -> None:
        try:
            while not self._turn():
                pass
        except OSError as error:
            where = f": {error.filename}" if error.filename else ""
            self._fail(LogError(f"{self.name} cannot be written{where}: {error.strerror or error}"))
            self._sink.abandon()
        except Exception as error:  # noqa: BLE001 - a bug in the sink must not end the thread silently
            self._fail(LogError(f"{self.name} failed: {error!r}"))
            self._sink.abandon()

    def _turn(self) -> bool:
        """Write and flush everything in the queue; return whether that was the last time."""
        with self._changed:
            self._changed.wait_for(lambda: self._closing or self._hurry, FLUSH_S)
            self._hurry = False
            closing = self._closing
            now_ns = None if self._now_ns is None else self._now_ns()
            batch, self._items = self._items, deque()
            taken = self._taken
            if closing and self._hole is not None:
                batch.append((self._hole.last_ns, self._hole))
        for stamp_ns, item in batch:
            if isinstance(item, Lost):
                self._sink.on_lost(item)
            else:
                self._sink.take(stamp_ns, item)
        if closing:
            self._sink.close(closing)
        else:
            self._sink.flush(now_ns)
        with self._changed:
            self._done = taken
            self._changed.notify_all()
        return bool(closing)

    def _fail(self, error: LogError) -> None:
        with self._changed:
            if self.failure is not None:
                return
            self.failure = error
            self.lost += self._taken - self._done
            self._items.clear()
            self._changed.notify_all()
        logger.error("{}; recording stops", error)
        self._on_failure(error)


def _wider(hole: Lost | None, stamp_ns: int) -> Lost:
    return Lost(1, stamp_ns, stamp_ns) if hole is None else Lost(hole.count + 1, hole.first_ns, stamp_ns)
