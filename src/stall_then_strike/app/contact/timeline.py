"""When each step of a rehearsal happened, by the events that a run's core gets and by the board, and what was expected.

Expected times are the documents' and logs': a queue delay of 0 s in quiet hours, 2 to 10 s in busy ones; an answer in
20 to 80 ms, and some hundred from overseas.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from stall_then_strike.app.contact.assumed.deviations import Deviations
from stall_then_strike.infra.bitflyer.error_table import Answer
from stall_then_strike.types.dto import (
    NS_PER_MS,
    NS_PER_S,
    BoardSnapshot,
    BookReader,
    Event,
    FillEvent,
    OrderEvent,
    OrderEventKind,
    Side,
)
from stall_then_strike.types.instrument import Lots, Ticks


@dataclass(frozen=True, slots=True)
class Step:
    """One step, and how long after another it is expected."""

    name: str
    after: str
    within_s: float
    is_of_trip: bool = False


SENT: Final = "the order is sent"
ACCEPTED: Final = "it is accepted (HTTP 200, an id)"
REGISTERED: Final = "ORDER comes on the private channel"
SEEN: Final = "the board shows it"
CANCEL_SENT: Final = "the cancel is sent"
CANCEL_TAKEN: Final = "the cancel is accepted (HTTP 200, no body)"
CANCELLED: Final = "CANCEL comes on the private channel"
GONE: Final = "the board shows it no more"
BOUGHT: Final = "an order at the market is sent"
BUY_FILLED: Final = "EXECUTION comes on the private channel"
CLOSE_SENT: Final = "the close is wanted"
CLOSED: Final = "EXECUTION of the close comes"

STEPS: Final = (
    Step(SENT, SENT, 0.0),
    Step(ACCEPTED, SENT, 1.0),
    Step(REGISTERED, SENT, 2.0),
    Step(SEEN, SENT, 3.0),
    Step(CANCEL_SENT, CANCEL_SENT, 0.0),
    Step(CANCEL_TAKEN, CANCEL_SENT, 1.0),
    Step(CANCELLED, CANCEL_SENT, 2.0),
    Step(GONE, CANCEL_SENT, 3.0),
    Step(BOUGHT, BOUGHT, 0.0, is_of_trip=True),
    Step(BUY_FILLED, BOUGHT, 3.0, is_of_trip=True),
    Step(CLOSE_SENT, CLOSE_SENT, 0.0, is_of_trip=True),
    Step(CLOSED, CLOSE_SENT, 5.0, is_of_trip=True),
)
_CANCEL: Final = "me/cancelchildorder"
_OK: Final = 200


class Timeline:
    """The steps so far. Stamps are nanoseconds of the run's clock."""

    def __init__(self) -> None:
        """Nothing has happened."""
        self.stamps: dict[str, int] = {}
        self.problems: list[str] = []
        """Refusals and lost answers, in the words of the events."""
        self._price: Ticks | None = None
        self._size = Lots(0)

    @property
    def is_accepted(self) -> bool:
        """Whether the venue has named the order, or shown it."""
        return ACCEPTED in self.stamps or REGISTERED in self.stamps

    @property
    def is_registered(self) -> bool:
        """Whether the private channel has told of the order."""
        return REGISTERED in self.stamps

    # --- what the strategy wants

    def order_wished(self, price: Ticks, size: Lots, now_ns: int) -> None:
        """The far order, perhaps once more: what happened to the one before does not count."""
        self.stamps.clear()
        self.stamps[SENT] = now_ns
        self._price, self._size = price, size

    def mark(self, step: str, now_ns: int) -> None:
        """A step happened; the first time counts."""
        self.stamps.setdefault(step, now_ns)

    # --- what happens

    def on_input(self, event: Event, now_ns: int, board: BookReader) -> None:
        """An event that the core gets; ``board`` is the displayed book by then."""
        if isinstance(event, BoardSnapshot):
            self._look_at(board, now_ns)
        elif isinstance(event, OrderEvent):
            self._on_order(event, now_ns)
        elif isinstance(event, FillEvent):
            if CLOSE_SENT in self.stamps:
                self.mark(CLOSED, now_ns)
            elif BOUGHT in self.stamps:
                self.mark(BUY_FILLED, now_ns)

    def on_answer(self, path: str, answer: Answer) -> None:
        """An HTTP answer."""
        if path == _CANCEL and answer.status == _OK and CANCEL_SENT in self.stamps:
            self.mark(CANCEL_TAKEN, answer.received_ns)

    def _look_at(self, board: BookReader, now_ns: int) -> None:
        if self._price is None or SENT not in self.stamps:
            return
        is_there = board.size_at(Side.BUY, self._price) >= self._size
        if is_there and CANCEL_SENT not in self.stamps:
            self.mark(SEEN, now_ns)
        elif not is_there and SEEN in self.stamps and CANCEL_SENT in self.stamps:
            self.mark(GONE, now_ns)

    def _on_order(self, event: OrderEvent, now_ns: int) -> None:
        match event.kind:
            case OrderEventKind.ACCEPTED:
                self._mark_first(ACCEPTED, now_ns)
            case OrderEventKind.REGISTERED:
                self._mark_first(REGISTERED, now_ns)
            case OrderEventKind.CANCELLED:
                if CANCEL_SENT in self.stamps:
                    self.mark(CANCELLED, now_ns)
            case OrderEventKind.EXPIRED if BOUGHT in self.stamps:
                pass  # the rest of a close
            case _:
                self.problems.append(f"{event.kind.value}: {event.detail}".rstrip(": "))

    def _mark_first(self, step: str, now_ns: int) -> None:
        """Of the far order alone: those of the round trip come after its cancel."""
        if SENT in self.stamps and CANCEL_SENT not in self.stamps:
            self.mark(step, now_ns)

    # --- judging

    def judge(self, deviations: Deviations, *, has_trip: bool) -> None:
        """Note the steps that did not happen, or late."""
        for step in STEPS:
            if step.is_of_trip and not has_trip:
                continue
            took_ns = self._took_ns(step)
            if took_ns is None:
                deviations.add(
                    f"rehearsal: not seen: {step.name}", expected=f"within {step.within_s:g} s", seen="nothing",
                    is_grave=True,
                )  # fmt: skip
            elif took_ns > step.within_s * NS_PER_S:
                deviations.add(
                    f"rehearsal: late: {step.name}",
                    expected=f"within {step.within_s:g} s of: {step.after}",
                    seen=f"after {took_ns / NS_PER_S:.2f} s",
                )
        for problem in self.problems:
            name = f"rehearsal: {problem.partition(':')[0]}"
            deviations.add(name, expected="no refusal and no lost answer", seen=problem, is_grave=True)

    def lines(self, *, has_trip: bool) -> Iterator[str]:
        """The steps with their times, a step a line."""
        for step in STEPS:
            if step.is_of_trip and not has_trip:
                continue
            took_ns = self._took_ns(step)
            took = "not seen" if took_ns is None else "" if not took_ns else f"after {took_ns // NS_PER_MS:,} ms"
            expected = f"expected within {step.within_s:g} s" if step.within_s else ""
            yield f"{step.name:<43}{took:<16}{expected}".rstrip()

    def _took_ns(self, step: Step) -> int | None:
        at_ns, since_ns = self.stamps.get(step.name), self.stamps.get(step.after)
        return None if at_ns is None or since_ns is None else at_ns - since_ns
