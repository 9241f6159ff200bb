"""When the account is to be asked, and whether its books agree with ours. Pure.

The account is asked when the private channel has come up (start, reconnect), on a period, and in doubt: an order whose
news are overdue, an execution that nobody claims, a position that differs. The first doubts of two minutes are asked
about within a second, the next ever more rarely, for each question costs four private calls and more.

Two books are compared. *Position*: ours and the venue's must be equal; a difference may be a fill on its way, so only
one that stays over several reports counts. *Cash*: collateral less the cost of what is open moves with each fill by its
notional, and is untouched by the daily re-basing; whatever else moves it is rounding, funding or carry if it is small,
and a deposit or withdrawal otherwise.

The venue's lists may be tens of seconds behind its channels. A report that lacks a fill with two witnesses is behind:
nothing is proven by what it lacks. A position that ours was before the newest fills is behind, too, and contradicts
nothing if those have two witnesses. Neither holds for longer than ``account.list_lag_sec``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, unique
from typing import Final

from stall_then_strike.config.models import AccountConfig
from stall_then_strike.engine.orders import Orders
from stall_then_strike.engine.venue.evidence import LAG_NS, overdue_at_ns
from stall_then_strike.engine.venue.witnesses import Witness, Witnesses
from stall_then_strike.types.dto import NS_PER_MS, NS_PER_S, AccountReport, BookedFill, ExecId, FillEvent, OrderId
from stall_then_strike.types.instrument import Instrument

REPORT_CALLS: Final = 8
"""The most private calls that one report may cost: they are reserved, and what was not made is given back."""
PERIOD: Final = "period"
"""Why one asks without a doubt."""
_LEAST_GAP_NS: Final = 1 * NS_PER_S
_LONGEST_GAP_NS: Final = 15 * NS_PER_S
_QUICK_ASKS: Final = 2
"""So many questions within ``_MANY_NS`` may be followed by another after the least gap; each more doubles the gap."""
_MANY_NS: Final = 120 * NS_PER_S
_LOST_NS: Final = 90 * NS_PER_S
"""An answer that has not come by now never will: every call of it has a time limit."""
_SETTLED_NS: Final = 120 * NS_PER_S
"""Executions older than this are not asked for again once the positions agree."""
_PHANTOM_NS: Final = 10 * NS_PER_S
"""An execution so old is listed, if it is one and the lists are not behind."""
_BROKEN_NS: Final = 2 * _PHANTOM_NS
"""How long a difference must stay: phantoms among it are found out in half of that."""
_CARRY_SHARE: Final = 200
"""A payment of up to 1/200 of what was held is carry: funding is at most 0.375 %, leverage points are 0.04 % a day."""
_DRIFT_NS: Final = 20 * NS_PER_S
"""Pause between two looks without doubt where rounding makes our figure drift from the account's."""
_SMALL: Final = 10
"""A payment of fewer units of the quote currency is no deposit, and the period's next report is early enough for it."""


@unique
class Books(Enum):
    """How our position compares with the venue's."""

    AGREE = "agree"
    DIFFER = "differ"
    """Perhaps a fill is on its way."""
    BEHIND = "behind"
    """The venue's position is one that we had, before fills that two witnesses told of: its lists are behind."""
    PHANTOMS = "phantoms"
    """The difference is that of fills which we counted and the venue does not have."""
    BROKEN = "broken"
    """It stays, and nothing explains it."""


@dataclass(frozen=True, slots=True)
class Payment:
    """Cash that moved without a fill. ``is_carry``: it belongs to the result of the day. ``what`` it probably is."""

    amount: int
    is_carry: bool
    what: str = "deposit or withdrawal"


class Reconciler:
    """Keeper of the questions and of the comparison. It changes no order and no position."""

    def __init__(self, cfg: AccountConfig, instrument: Instrument) -> None:
        """Nothing is known of the account yet."""
        self._period_ns = int(cfg.reconcile_sec * NS_PER_S)
        self.doubt_ns = cfg.doubt_ms * NS_PER_MS
        self.vanish_ns = int(cfg.vanish_sec * NS_PER_S)
        self._position_checks = cfg.position_checks
        self._list_lag_ns = int(cfg.list_lag_sec * NS_PER_S)
        self._unit = instrument.ticks_per_one * instrument.lots_per_one
        """One of the quote currency."""
        self._is_whole = True
        """Whether the collateral was in whole units in all reports: then less than one says nothing."""
        self._drifts = False
        """Whether rounding was booked: then it is looked at more often, for the day's limits count from our figure."""
        self.witnesses = Witnesses()
        self.since: ExecId | None = None
        """Executions up to this one are accounted for; None before the first report of all."""
        self.cash_base: int | None = None
        self._is_live = False
        self._began_ns: int | None = None
        self._live_ns = 0
        self.is_settled = False
        """Whether the channel is live and the books agreed in a report asked for since it came up."""
        self.is_behind = False
        """Whether the last report lacked a fill that is proven: what it lacks proves nothing."""
        self.failing_ns: int | None = None
        """Since when the account cannot be asked; None while it can."""
        self._asked_ns: int | None = None
        self._is_asking = False
        self._asks: deque[int] = deque()
        """When it was asked in the last ``_MANY_NS``."""
        self.taken_ns = 0
        """When the report came from which the position was taken over last; zero if none was in this run."""
        self._taken: Sequence[FillEvent] = ()
        """The executions that it listed."""
        self._theirs = 0
        """The venue's position in the last report."""
        self._odd_cash: int | None = None
        """Cash that moved without a fill in the last report, and waits for the next one to say the same."""
        self._differences = 0
        self._difference = 0
        self._differs_ns = 0
        self._unexplained = 0
        """Reports in a row with this difference that no lists' lag explains, and when the first was asked for."""
        self._unexplained_ns = 0
        self._suspects: frozenset[ExecId] = frozenset()
        self._unlisted: frozenset[ExecId] = frozenset()
        """Fills that we counted and the last report lacks, those too young to be suspected among them."""
        self._recent: deque[tuple[int, FillEvent]] = deque()
        self._results: deque[tuple[int, int]] = deque()
        """What fills have realised lately, and when: collateral that is behind lacks the newest of it."""
        self._held = 0
        self._alarm = ""
        self._again_ns: int | None = None
        """When to look again after an alarm: what it was about was too young for the venue's lists to deny it."""

    @property
    def is_live(self) -> bool:
        """Whether the private channel is up."""
        return self._is_live

    @property
    def live_ns(self) -> int:
        """When the private channel last came up or went down."""
        return self._live_ns

    @property
    def is_listed(self) -> bool:
        """Whether the last report had every fill that we counted in the time that it covers."""
        return not self._unlisted

    # --- when to ask

    def on_channel(self, now_ns: int, *, is_live: bool) -> None:
        """The private channel came up or went down: what was told meanwhile is lost."""
        self._is_live = is_live
        self._live_ns = now_ns
        self.is_settled = False

    def due(self, orders: Orders, now_ns: int) -> tuple[int, str]:
        """When to ask next, and why."""
        if self._is_asking and self._asked_ns is not None:
            return self._asked_ns + _LOST_NS, "the last answer is lost"
        last, drifts = self._asked_ns, self._drifts or self._odd_cash is not None
        period_ns = min(self._period_ns, _DRIFT_NS) if drifts else self._period_ns
        if self._began_ns is None:
            self._began_ns = now_ns
        soon = now_ns if last is None else last + self._gap_ns(now_ns)
        if doubt := self._doubt():
            return soon, doubt
        # At the start the channel has some time to come up.
        at_ns, why = (self._began_ns + _LONGEST_GAP_NS if last is None else last + period_ns), PERIOD
        for order in orders.live():
            overdue_ns = overdue_at_ns(order, self.doubt_ns)
            if overdue_ns is not None and max(overdue_ns, soon) < at_ns:
                at_ns, why = max(overdue_ns, soon), f"order {order.client_order_id} is {order.state.value}"
        for events in orders.early.values():
            fill = next((event for event in events if isinstance(event, FillEvent)), None)
            if fill is not None and max(fill.ts_ns + self.doubt_ns, soon) < at_ns:
                at_ns, why = max(fill.ts_ns + self.doubt_ns, soon), f"nobody claims execution {fill.exec_id}"
        if self._again_ns is not None and max(self._again_ns, soon) < at_ns:
            at_ns, why = max(self._again_ns, soon), "something did not fit"
        return at_ns, why

    def _gap_ns(self, now_ns: int) -> int:
        """Least pause between the last question and the next."""
        while self._asks and self._asks[0] <= now_ns - _MANY_NS:
            self._asks.popleft()
        return min(_LEAST_GAP_NS << max(0, len(self._asks) - _QUICK_ASKS), _LONGEST_GAP_NS)

    def _doubt(self) -> str:
        """What there is to doubt now, beside orders and executions; empty if nothing."""
        if self.failing_ns is not None:
            return "the account could not be asked"
        if self._differences:
            return "the position differs"
        if self._is_live and not self.is_settled:
            return "the private channel came up"
        if self._alarm or self._suspects:
            return self._alarm or "the venue does not list an execution"
        if self._odd_cash is None or (self._is_whole and abs(self._odd_cash) < _SMALL * self._unit):
            return ""
        return "the collateral moved"

    def alarm(self, why: str) -> None:
        """Something did not fit: ask at the next occasion."""
        self._alarm = self._alarm or why

    def asked(self, now_ns: int) -> None:
        """A report was asked for."""
        self._asked_ns = now_ns
        self._is_asking = True
        self._asks.append(now_ns)
        if self._alarm:
            self._again_ns = now_ns + _PHANTOM_NS + _LEAST_GAP_NS
        elif self._again_ns is not None and self._again_ns <= now_ns:
            self._again_ns = None
        self._alarm = ""

    def failed(self, now_ns: int) -> None:
        """The account could not be asked."""
        self._is_asking = False
        self.failing_ns = self.failing_ns or now_ns

    def answered(self) -> None:
        """A report has come."""
        self._is_asking = False
        self.failing_ns = None

    # --- the books

    def note_fill(self, now_ns: int, fill: FillEvent, realised: int = 0) -> None:
        """A fill was booked, with this result."""
        self._recent.append((now_ns, fill))
        if realised:
            self._results.append((now_ns, realised))
        while self._results and self._results[0][0] < now_ns - self._list_lag_ns:
            self._results.popleft()

    def remember(self, booked: BookedFill) -> None:
        """An earlier run booked this fill. Who told of it is forgotten: it is not doubted while lists may lack it."""
        row = booked.row
        self.witnesses.add(booked.exec_id, Witness.REMEMBERED)
        fill = FillEvent(
            ts_ns=row.ts_ns,
            exec_id=booked.exec_id,
            side=row.side,
            price=row.price,
            size=row.size,
            fee=row.fee,
            order_id=OrderId(row.order_id),
            client_order_id=booked.client_order_id,
        )
        self.note_fill(row.ts_ns, fill)

    def note_held(self, notional: int) -> None:
        """So much is held now: the yardstick for what can be carry."""
        self._held = max(self._held, abs(notional))

    def look(self, report: AccountReport) -> None:
        """See which fills a report shows, and whether it is behind. To be told of each report first."""
        for fill in report.fills:
            self.witnesses.add(fill.exec_id, Witness.LISTED)
        newest = max((fill.exec_id for fill in report.fills), default=ExecId(0))
        for at_ns, fill in self._recent:
            # A list that shows a later execution is not behind this one.
            may_lack = fill.exec_id > newest or at_ns > report.asked_ns - LAG_NS
            if not may_lack or at_ns < report.asked_ns - self._list_lag_ns:
                self.witnesses.forget(fill.exec_id)
        lacking = self._missing(report, heard_before_ns=report.asked_ns - LAG_NS)
        self.is_behind = any(map(self.witnesses.is_proven, lacking))

    def compare(self, report: AccountReport, position: int) -> Books:
        """Compare positions, once all that the report has is booked."""
        difference = report.position - position
        self._theirs = report.position
        self._unlisted = self._missing(report)
        old = self._missing(report, heard_before_ns=report.asked_ns - _PHANTOM_NS)
        suspects = frozenset() if self.is_behind else frozenset(n for n in old if not self.witnesses.is_proven(n))
        doubly = suspects & self._suspects
        self._suspects = suspects
        # Phantoms may cancel out: then the positions agree, and only the lists tell.
        if doubly and self._sum_of(doubly) == -difference:
            self._suspects = doubly
            return Books.PHANTOMS
        if not difference:
            # What two reports lack and does not explain anything holds up no payment any longer.
            self._unlisted -= doubly
            self._differences = 0
            self._agree(report)
            return Books.AGREE
        self.is_settled = False  # until they agree again: what is held is what limits and closes are counted from
        if difference != self._difference or not self._differences:
            self._difference, self._differences, self._differs_ns = difference, 0, report.asked_ns
            self._unexplained = 0
        self._differences += 1
        if self._is_explained(position, report.asked_ns):
            # Not a fill that came while the report was being made: that is gone from the next.
            self.is_behind = self.is_behind or report.asked_ns - self._differs_ns >= LAG_NS
            self._unexplained = 0
            return Books.BEHIND
        self._unexplained += 1
        if self._unexplained == 1:
            self._unexplained_ns = report.asked_ns
        # What is not whole may lack what explains the difference; but it may be so for ever.
        long_ns = _BROKEN_NS if report.is_complete else self._list_lag_ns
        stays = self._unexplained >= self._position_checks and report.asked_ns - self._unexplained_ns >= long_ns
        may_tell = self._may_tell(suspects, difference) or (
            self._may_tell(self._unlisted, difference) and self._is_recent(self._unlisted, report.asked_ns)
        )
        return Books.BROKEN if stays and not may_tell else Books.DIFFER

    def _may_tell(self, unlisted: frozenset[ExecId], difference: int) -> bool:
        """Whether the next lists will tell if the difference is that of these fills."""
        return bool(unlisted) and self._sum_of(unlisted) == -difference

    def _is_recent(self, ids: frozenset[ExecId], now_ns: int) -> bool:
        """Whether the lists may still come to show the newest of these."""
        return any(at_ns >= now_ns - self._list_lag_ns for at_ns, fill in self._recent if fill.exec_id in ids)

    def contradicts(self, position: int, now_ns: int) -> bool:
        """Whether the last report's position differs from ours and no fills with two witnesses explain that."""
        return self._differences > 0 and position != self._theirs and not self._is_explained(position, now_ns)

    def _is_explained(self, position: int, now_ns: int) -> bool:
        """Whether the venue's position is ours without the newest fills, none of them too old.

        Each of these has to be proven, unless another already shows that the lists are behind.
        """
        for at_ns, fill in sorted(self._recent, key=lambda heard: heard[1].exec_id, reverse=True):
            is_sure = self.is_behind or self.witnesses.is_proven(fill.exec_id)
            if at_ns < now_ns - self._list_lag_ns or not is_sure:
                return False
            position -= fill.side.sign * fill.size
            if position == self._theirs:
                return True
        return False

    def phantoms(self) -> list[FillEvent]:
        """The fills that the venue does not have, after a comparison that found some. Forgets them."""
        found = list(self._fills_of(self._suspects))
        self._recent = deque((at, fill) for at, fill in self._recent if fill.exec_id not in self._suspects)
        self._unlisted -= self._suspects
        self._suspects = frozenset()
        self._differences = 0
        return found

    def payment(self, report: AccountReport, cash: int) -> Payment | None:
        """What moved the venue's cash beside fills. ``cash`` is our realised result less our basis. Positions agree.

        Positions and collateral are asked one after the other: what lies between the two (a fill, the re-basing) looks
        like a payment once. One counts if the next report shows the same. Where collateral is settled in whole units,
        what both show of it counts, for each fill between the two adds a fraction. Nothing is judged while a fill of
        ours is not listed: one that never was moved our cash and not the venue's, and another may have made up for its
        position.
        """
        if not self.is_listed:
            return None
        base = report.collateral - report.basis - cash
        if self.cash_base is None:
            self.cash_base = base
        amount = base - self.cash_base
        self._is_whole = self._is_whole and not report.collateral % self._unit
        if self._is_behind_results(amount):
            return None
        seen, self._odd_cash = self._odd_cash, amount
        if abs(amount) < (self._unit if self._is_whole else self._unit // 2):
            self._held, self._odd_cash = abs(report.basis), None
            return None
        if seen is None or (seen != amount and not (self._is_whole and seen * amount > 0)):
            return None
        both = min(seen, amount, key=abs)
        held, self._held, self._odd_cash = self._held, abs(report.basis), (amount - both) or None
        if abs(both) < _SMALL * self._unit:
            self._drifts = self._is_whole
            return Payment(both, is_carry=True, what="rounding or carry")
        if abs(both) <= held // _CARRY_SHARE:
            return Payment(both, is_carry=True, what="funding or carry")
        self.cash_base += both
        return Payment(both, is_carry=False)

    def _is_behind_results(self, amount: int) -> bool:
        """Whether the collateral lacks what the newest fills have realised, and nothing else.

        Where it may be rounded, a small drift comes close to that now and then, and hardly ever to the unit.
        """
        tolerance = self._unit if self._is_whole and abs(amount) >= _SMALL * self._unit else 1
        for _, realised in reversed(self._results):
            amount += realised
            if abs(amount) < tolerance:
                return True
        return False

    def take_over(self, report: AccountReport, cash: int) -> None:
        """Begin anew from what the venue says: its position is ours now, and nothing before it is asked for again."""
        newest = max((fill.exec_id for fill in report.fills), default=ExecId(0))
        self.since = max(newest, self.since or ExecId(0))
        self.cash_base = report.collateral - report.basis - cash
        self.taken_ns, self._taken = report.ts_ns, report.fills
        self._differences = 0
        self._recent.clear()
        self._unlisted = frozenset()
        self._agree(report)

    def is_of_take_over(self, report: AccountReport) -> bool:
        """Whether the difference is that of executions which were listed at the last take-over, just before it.

        Then the position that was taken over was behind them.
        """
        difference = self._difference
        for fill in reversed(self._taken):
            if self._recent or report.asked_ns - fill.ts_ns > self._list_lag_ns:
                return False
            difference -= fill.side.sign * fill.size
            if not difference:
                return True
        return False

    def not_held(
        self, strange: Sequence[FillEvent], report: AccountReport, position: int
    ) -> Sequence[FillEvent] | None:
        """Those executions of strangers that ``position`` does not hold yet; None while that cannot be told.

        A position is taken over from a report whose executions were asked for before it: one in between is in the
        position and on the next list. So may be one that the list showed late. They came before those that are not in
        the position, and the venue's position now says how many of them there are; if it does not, being behind as
        well, the stamps say it some reports later.
        """
        doubtful = sum(fill.ts_ns <= self.taken_ns + LAG_NS for fill in strange)
        if not doubtful:
            return strange
        ordered = sorted(strange, key=lambda fill: fill.exec_id)
        for base in (position, position - self._sum_of(self._missing(report))):
            for held in range(doubtful, -1, -1):
                rest = ordered[held:]
                if base + sum(fill.side.sign * fill.size for fill in rest) == report.position:
                    return rest
        is_late = report.asked_ns - self.taken_ns >= _PHANTOM_NS
        return [fill for fill in ordered if fill.ts_ns > self.taken_ns] if is_late else None

    def _agree(self, report: AccountReport) -> None:
        if self._is_live and report.asked_ns >= self._live_ns:
            self.is_settled = True
        # Only what the venue lists may move the mark: the number of a phantom would hide true ones below it.
        while self._recent and self._recent[0][0] < report.asked_ns - _SETTLED_NS:
            fill = self._recent[0][1]
            if fill.exec_id in self._suspects:
                return
            self._recent.popleft()
            self.since = max(fill.exec_id, self.since or ExecId(0))

    def _missing(self, report: AccountReport, heard_before_ns: int | None = None) -> frozenset[ExecId]:
        """Fills that we counted in the time that the report covers, and that it does not have: all, or old ones."""
        if not report.is_complete:
            return frozenset()
        listed = {fill.exec_id for fill in report.fills}
        return frozenset(
            fill.exec_id
            for at_ns, fill in self._recent
            if fill.exec_id > report.since
            and fill.exec_id not in listed
            and (heard_before_ns is None or at_ns < heard_before_ns)
        )

    def _sum_of(self, ids: Iterable[ExecId]) -> int:
        """What these fills did to the position."""
        return sum(fill.side.sign * fill.size for fill in self._fills_of(ids))

    def _fills_of(self, ids: Iterable[ExecId]) -> Iterable[FillEvent]:
        wanted = set(ids)
        return (fill for _, fill in self._recent if fill.exec_id in wanted)
