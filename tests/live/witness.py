"""Watches a daemon and its exchange from outside while they trade, and keeps what must not have happened.

Two points of view: every step of the core (what it knew when it sent a quote, and whether its decision log says why it
sends none), and every call as it reaches the exchange (what could be held if all that is on the book were filled).
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, TypeVar

from stall_then_strike.app.trader.live_run import LiveRun
from stall_then_strike.engine.core import Core
from stall_then_strike.sim.exchange.request_log import Received
from stall_then_strike.types.dto import (
    NS_PER_S,
    BoardState,
    BookStatus,
    DecisionLogRow,
    Event,
    Health,
    PlaceLimit,
    Reason,
    Side,
    Step,
)

if TYPE_CHECKING:
    from tests.live.rig import LiveRoom

_Told = TypeVar("_Told")
SEND = "POST /v1/me/sendchildorder"
ACTS = frozenset({"cancel", "close", "halt", "resume"})
BOOKS = {
    BookStatus.UNKNOWN: Reason.BOOK_UNKNOWN,
    BookStatus.SUSPECT: Reason.BOOK_SUSPECT,
    BookStatus.STALE: Reason.BOOK_STALE,
}


def why_no_quotes(core: Core, now_ns: int) -> Reason | None:
    """Why nothing may be quoted now, by what the core knows; asked in the order of its gates."""
    state, health = core.venue
    gates = (
        (core.halted is not None, Reason.HALTED),
        (core._stopping, Reason.STOPPING),
        (core.exits.closing is not None, Reason.CLOSING),
        (core.account is None or not core.account.is_sure(now_ns), Reason.ACCOUNT_UNKNOWN),
        (not core.shared.is_whole, Reason.ACCOUNT_UNKNOWN),
        (now_ns < core._margin.until_ns, Reason.MARGIN),
        (state is not BoardState.RUNNING, Reason.VENUE_NOT_RUNNING),
        (health in {Health.SUPER_BUSY, Health.NO_ORDER, Health.STOP}, Reason.VENUE_UNHEALTHY),
    )
    closed = next((reason for is_shut, reason in gates if is_shut), None)
    return closed or BOOKS.get(core.book_status(now_ns))


def to_all(listeners: Sequence[Callable[[_Told], None]]) -> Callable[[_Told], None]:
    """A listener that tells all of these."""

    def tell(what: _Told) -> None:
        for listener in listeners:
            listener(what)

    return tell


class Witness:
    """Of one instrument, in all runs in one room."""

    def __init__(self, number: int = 0) -> None:
        self.number = number
        self.wrongs: list[str] = []
        self.issued: Counter[tuple[Side, int, int]] = Counter()
        """Quotes that the core wanted sent."""
        self.arrived: list[tuple[int, tuple[Side, int, int]]] = []
        """Quotes that reached the exchange, and when; those it never looked at among them."""
        self.strikes_ns: list[int] = []
        self.halts: list[tuple[int, Reason]] = []
        self.decisions = 0
        """Rows that the core wanted in the decision log."""
        self.widest = 0
        """Lots that would be held if all that was on the book at one moment had been filled."""
        self.moved = asyncio.Event()
        """Set at each strike and each halt."""
        self._room: LiveRoom | None = None
        self._last: DecisionLogRow | None = None
        self._unsaid: Reason | None = None

    def enter(self, room: LiveRoom) -> None:
        self._room = room

    def wrong(self, now_ns: int, text: str) -> None:
        if len(self.wrongs) < 20:
            self.wrongs.append(f"{now_ns / NS_PER_S:.3f} {text}")

    # --- the daemon

    def attend(self, run: LiveRun) -> None:
        """Look at every step of a run that is about to begin."""
        core = run.portfolio.cores[self.number]
        on_event = core.on_event
        self._last = self._unsaid = None

        def watched(event: Event, now_ns: int) -> Step:
            was_halted = core.halted
            step = on_event(event, now_ns)
            self._look(core, step, core._now_ns, was_halted)
            return step

        core.on_event = watched  # type: ignore[method-assign]  # the one door through which everything comes

    def _look(self, core: Core, step: Step, now_ns: int, was_halted: Reason | None) -> None:
        shut = why_no_quotes(core, now_ns)
        quotes = [action for action in step.actions if isinstance(action, PlaceLimit)]
        if quotes:
            self.strikes_ns.append(now_ns)
            self.moved.set()
            if shut is not None:
                self.wrong(now_ns, f"quoted although {shut.label}")
        for quote in quotes:
            self.issued[quote.side, quote.price, quote.size] += 1
        if core.halted is not None and was_halted is None:
            self.halts.append((now_ns, core.halted))
            self.moved.set()
        for row in step.rows:
            if isinstance(row, DecisionLogRow):
                self.decisions += 1
                self._last = row
        # A closing may end, or begin, after the step's decision: the row comes with the next one then.
        said = self._last is not None and (self._last.reason is shut or self._last.decision_type in ACTS)
        if shut is None or said:
            self._unsaid = None
        elif self._unsaid is shut:
            self.wrong(now_ns, f"the decision log does not say {shut.label}")
        else:
            self._unsaid = shut

    # --- the exchange

    def on_received(self, record: Received) -> None:
        """A call has reached the exchange and had its effect."""
        if record.what != SEND or self._room is None:
            return
        room = self._room
        body = json.loads(record.body, parse_float=Decimal) if record.body else {}
        venue = list(room.venue.products.values())[self.number]
        unit = venue.market.instrument
        if body.get("product_code") != unit.product_code:
            return
        if body.get("child_order_type") == "LIMIT" and body.get("time_in_force") == "GTC":
            terms = (Side(body["side"]), int(unit.to_ticks(body["price"])), int(unit.to_lots(Decimal(body["size"]))))
            self.arrived.append((record.time_ns, terms))
        account = venue.accounts["main"]
        position = account.ledger.position
        long = position + sum(o.remaining for o in account.live.values() if o.side is Side.BUY)
        short = -position + sum(o.remaining for o in account.live.values() if o.side is Side.SELL)
        self.widest = max(self.widest, long, short)

    # --- afterwards

    def check(self, *, late_ns: int, slack: int) -> None:
        """Nothing wrong was seen.

        ``late_ns``: longest time of a send on its way; ``slack``: lots of executions that never were.
        """
        room = self._room
        assert room is not None
        assert not self.wrongs, "\n".join(self.wrongs)
        arrived = Counter(terms for _, terms in self.arrived)
        assert arrived <= self.issued, f"quotes that nobody wanted: {arrived - self.issued}"
        if self.halts:
            late = [at for at, _ in self.arrived if at > self.halts[0][0] + late_ns]
            assert not late, f"{len(late)} quotes arrived after the halt"
        cap = room.cfg.exchange.instrument().to_lots(room.cfg.strategy.max_inventory_btc) + slack
        assert self.widest <= cap, f"{self.widest} lots could have been held, {cap} are allowed"
        rows = room.rows("decisions", self.number)
        assert len(rows) == self.decisions, f"{len(rows)} rows of {self.decisions} in the decision log"
        assert all(row["reason"] for row in rows), "a decision without a reason"
