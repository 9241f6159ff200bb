"""When to query the account, and whether its position and cash agree with ours. Pure.

The account is queried when the private channel comes up (start, reconnect), periodically, and in doubt: when news of an
order are overdue, when an execution matches no known order, when the positions differ. A report costs several calls, so
only the first doubts within two minutes lead to a query within a second; later ones wait longer.

Two figures are compared. *Position*: ours and the venue's must be equal. A difference may be a fill in flight, so it
counts only if it persists over several reports. *Cash*: collateral minus the cost of the open position changes with
each fill by its notional, and the daily re-basing does not change it. Any other change is rounding, funding or carry if
it is small, and a deposit or withdrawal otherwise.

The venue's lists may lag its channels by tens of seconds. A report that lacks a fill with two witnesses is stale: what
else it lacks proves nothing. The venue's position is stale too if it equals ours before the newest fills, and does not
contradict ours if those fills are certain. Neither is assumed for longer than ``history_lag_ns`` of the venue's rules.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, unique
from typing import Final

from stall_then_strike.config.models import AccountConfig
from stall_then_strike.engine.orders import Orders
from stall_then_strike.engine.venue.evidence import overdue_at_ns
from stall_then_strike.engine.venue.rules import VenueRules
from stall_then_strike.engine.venue.witnesses import Witness, Witnesses
from stall_then_strike.types.dto import NS_PER_MS, NS_PER_S, AccountReport, BookedFill, ExecId, FillEvent, OrderId
from stall_then_strike.types.instrument import Instrument

PERIOD: Final = "period"
"""The reason of a query without a doubt."""
_LEAST_GAP_NS: Final = 1 * NS_PER_S
_LONGEST_GAP_NS: Final = 15 * NS_PER_S
_QUICK_ASKS: Final = 2
"""After this many queries within ``_MANY_NS`` the next may follow after the least gap; each more doubles the gap."""
_MANY_NS: Final = 120 * NS_PER_S
_LOST_NS: Final = 90 * NS_PER_S
"""After this time a report counts as lost: each of its calls has a shorter time limit."""
_SETTLED_NS: Final = 120 * NS_PER_S
"""Executions older than this are not queried again once the positions agree."""
_PHANTOM_NS: Final = 10 * NS_PER_S
"""A fill that is older and not listed is a phantom fill, unless the lists are stale."""
_BROKEN_NS: Final = 2 * _PHANTOM_NS
"""How long a difference must persist; phantom fills that cause it are found in half of that."""
_DRIFT_NS: Final = 20 * NS_PER_S
"""Period of the queries while rounding makes our cash drift from the account's."""


@unique
class Books(Enum):
    """How our position compares with the venue's."""

    AGREE = "agree"
    DIFFER = "differ"
    """Perhaps a fill is in flight."""
    BEHIND = "behind"
    """The venue's position is ours before fills that are certain: its lists are stale."""
    PHANTOMS = "phantoms"
    """The difference is caused by phantom fills, which we booked and the venue does not have."""
    BROKEN = "broken"
    """The difference persists, and nothing explains it."""


@dataclass(frozen=True, slots=True)
class Payment:
    """A change of cash without a fill. ``is_carry``: it belongs to the day's result. ``what`` is its probable cause."""

    amount: int
    is_carry: bool
    what: str = "deposit or withdrawal"


class Reconciler:
    """Decides when to query the account, and compares its reports. It changes no order and no position."""

    def __init__(self, cfg: AccountConfig, instrument: Instrument, venue: VenueRules) -> None:
        """Start without any report."""
        self.venue: Final = venue
        self._period_ns = int(cfg.reconcile_sec * NS_PER_S)
        self.doubt_ns = cfg.doubt_ms * NS_PER_MS
        self._position_checks = cfg.position_checks
        self._list_lag_ns = venue.history_lag_ns
        self._unit = instrument.ticks_per_one * instrument.lots_per_one
        """One unit of the quote currency, in money units."""
        self._is_whole = True
        """Whether the collateral had whole units in all reports: then a difference below one means nothing."""
        self._drifts = False
        """Whether rounding was booked: then the account is queried more often, because our cash is used for limits."""
        self.witnesses = Witnesses(venue.print_grace_ns)
        self.since: ExecId | None = None
        """Executions up to this one are accounted for; None before the very first report."""
        self.cash_base: int | None = None
        self._is_live = False
        self._began_ns: int | None = None
        self._live_ns = 0
        self.is_settled = False
        """Whether the channel is live and a report requested since it came up agreed with our position."""
        self.is_behind = False
        """Whether the last report is stale: it lacks a fill that is certain, so what else it lacks proves nothing."""
        self.failing_ns: int | None = None
        """Since when queries of the account fail; None while they succeed."""
        self._asked_ns: int | None = None
        self.is_asking = False
        """Whether an answer is awaited."""
        self._asks: deque[int] = deque()
        """Times of the queries in the last ``_MANY_NS``."""
        self.taken_ns = 0
        """Time of the report of the last take-over in this run; zero if there was none."""
        self._taken: Sequence[FillEvent] = ()
        """The executions in that report."""
        self._theirs = 0
        """The venue's position in the last report."""
        self._odd_cash: int | None = None
        """Change of cash without a fill in the last report, to be confirmed by the next one."""
        self._roundings = 0
        """Results since our cash last agreed with the venue's, or was made to."""
        self._differences = 0
        """Consecutive reports with the same difference."""
        self._difference = 0
        self._differs_ns = 0
        """When the first of these reports was requested."""
        self._unexplained = 0
        """Consecutive reports with this difference that stale lists do not explain."""
        self._unexplained_ns = 0
        """When the first of these reports was requested."""
        self._suspects: frozenset[ExecId] = frozenset()
        """Possible phantom fills: booked and uncertain, and not listed by the last report although old enough."""
        self._unlisted: frozenset[ExecId] = frozenset()
        """Booked fills that the last report lacks, including those too young to be suspects."""
        self._recent: deque[tuple[int, FillEvent]] = deque()
        self._results: deque[tuple[int, int]] = deque()
        """Time and realised result of recent fills: a stale collateral lacks the newest of them."""
        self._held = 0
        self._alarm = ""
        self._again_ns: int | None = None
        """When to query again after an alarm: at the first query its cause was too recent for the venue's lists."""

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
        """Whether the last report had every fill that we booked in the period that it covers."""
        return not self._unlisted

    # --- when to ask

    def on_channel(self, now_ns: int, *, is_live: bool) -> None:
        """The private channel came up or went down: events in between are lost."""
        self._is_live = is_live
        self._live_ns = now_ns
        self.is_settled = False

    def due(self, orders: Orders, now_ns: int) -> tuple[int, str]:
        """When to query the account next, and why."""
        if self.is_asking and self._asked_ns is not None:
            return self._asked_ns + _LOST_NS, "the last answer is lost"
        last, drifts = self._asked_ns, self._drifts or self._odd_cash is not None
        period_ns = min(self._period_ns, _DRIFT_NS) if drifts else self._period_ns
        if self._began_ns is None:
            self._began_ns = now_ns
        soon = now_ns if last is None else last + self._gap_ns(now_ns)
        if doubt := self._doubt():
            return soon, doubt
        # At the start the channel gets some time to come up.
        at_ns, why = (self._began_ns + _LONGEST_GAP_NS if last is None else last + period_ns), PERIOD
        for order in orders.live():
            overdue_ns = overdue_at_ns(order, self.doubt_ns, self.venue)
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
        """Least pause between the last query and the next."""
        while self._asks and self._asks[0] <= now_ns - _MANY_NS:
            self._asks.popleft()
        return min(_LEAST_GAP_NS << max(0, len(self._asks) - _QUICK_ASKS), _LONGEST_GAP_NS)

    def _doubt(self) -> str:
        """A reason for doubt besides orders and executions; empty if there is none."""
        if self.failing_ns is not None:
            return "the account could not be asked"
        if self._differences:
            return "the position differs"
        if self._is_live and not self.is_settled:
            return "the private channel came up"
        if self._alarm or self._suspects:
            return self._alarm or "the venue does not list an execution"
        if self._odd_cash is None or (self._is_whole and abs(self._odd_cash) < self._rounding):
            return ""
        return "the collateral moved"

    def alarm(self, why: str) -> None:
        """A contradiction was found: query as soon as possible."""
        self._alarm = self._alarm or why

    def asked(self, now_ns: int) -> None:
        """A report was requested."""
        self._asked_ns = now_ns
        self.is_asking = True
        self._asks.append(now_ns)
        if self._alarm:
            self._again_ns = now_ns + _PHANTOM_NS + _LEAST_GAP_NS
        elif self._again_ns is not None and self._again_ns <= now_ns:
            self._again_ns = None
        self._alarm = ""

    def failed(self, now_ns: int) -> None:
        """The query failed."""
        self.is_asking = False
        self.failing_ns = self.failing_ns or now_ns

    def answered(self) -> None:
        """A report arrived."""
        self.is_asking = False
        self.failing_ns = None

    # --- the books

    def note_fill(self, now_ns: int, fill: FillEvent, realised: int = 0) -> None:
        """A fill was booked, with the result ``realised``."""
        self._recent.append((now_ns, fill))
        if realised:
            self.note_result(now_ns, realised)

    def note_result(self, now_ns: int, realised: int) -> None:
        """Something was realised that the collateral may show late, here or by another instrument of the account."""
        self._forget_results(now_ns)
        self._results.append((now_ns, realised))
        self._roundings += 1

    def _forget_results(self, now_ns: int) -> None:
        """Drop the results that are so old that the collateral must show them."""
        while self._results and self._results[0][0] < now_ns - self._list_lag_ns:
            self._results.popleft()

    def remember(self, booked: BookedFill) -> None:
        """An earlier run booked this fill. Its sources are unknown, so it counts as certain while lists may lack it."""
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
        """Note the position's notional, the measure of what can be carry."""
        self._held = max(self._held, abs(notional))

    def look(self, report: AccountReport) -> None:
        """Note which fills a report shows, and whether it is stale. Call it first for each report."""
        for fill in report.fills:
            self.witnesses.add(fill.exec_id, Witness.LISTED)
        newest = max((fill.exec_id for fill in report.fills), default=ExecId(0))
        for at_ns, fill in self._recent:
            # A list that shows a later execution is not too old to show this one.
            may_lack = fill.exec_id > newest or at_ns > report.asked_ns - self.venue.lag_ns
            if not may_lack or at_ns < report.asked_ns - self._list_lag_ns:
                self.witnesses.forget(fill.exec_id)
        lacking = self._missing(report, heard_before_ns=report.asked_ns - self.venue.lag_ns)
        self.is_behind = any(map(self.witnesses.is_proven, lacking))

    def compare(self, report: AccountReport, position: int) -> Books:
        """Compare the positions, after everything in the report is booked."""
        difference = report.position - position
        self._theirs = report.position
        self._unlisted = self._missing(report)
        old = self._missing(report, heard_before_ns=report.asked_ns - _PHANTOM_NS)
        suspects = frozenset() if self.is_behind else frozenset(n for n in old if not self.witnesses.is_proven(n))
        doubly = suspects & self._suspects
        self._suspects = suspects
        # Phantom fills may cancel out: then the positions agree, and only the lists show them.
        if doubly and self._sum_of(doubly) == -difference:
            self._suspects = doubly
            return Books.PHANTOMS
        if not difference:
            # Fills that two reports lack but that explain no difference no longer delay the check for payments.
            self._unlisted -= doubly
            self._differences = 0
            self._agree(report)
            return Books.AGREE
        self.is_settled = False  # until they agree again, because limits and closes depend on the position
        if difference != self._difference or not self._differences:
            self._difference, self._differences, self._differs_ns = difference, 0, report.asked_ns
            self._unexplained = 0
        self._differences += 1
        if self._is_explained(position, report.asked_ns):
            # A fill during the report's calls also makes a difference, but that is gone in the next report.
            self.is_behind = self.is_behind or report.asked_ns - self._differs_ns >= self.venue.lag_ns
            self._unexplained = 0
            return Books.BEHIND
        self._unexplained += 1
        if self._unexplained == 1:
            self._unexplained_ns = report.asked_ns
        # An incomplete report may lack the fill that explains the difference, but it may stay incomplete for ever.
        long_ns = _BROKEN_NS if report.is_complete else self._list_lag_ns
        stays = self._unexplained >= self._position_checks and report.asked_ns - self._unexplained_ns >= long_ns
        may_tell = self._may_tell(suspects, difference) or (
            self._may_tell(self._unlisted, difference) and self._is_recent(self._unlisted, report.asked_ns)
        )
        return Books.BROKEN if stays and not may_tell else Books.DIFFER

    def _may_tell(self, unlisted: frozenset[ExecId], difference: int) -> bool:
        """Whether the next lists may explain the difference, because it is the sum of these unlisted fills."""
        return bool(unlisted) and self._sum_of(unlisted) == -difference

    def _is_recent(self, ids: frozenset[ExecId], now_ns: int) -> bool:
        """Whether the newest of these fills may still appear on the lists."""
        return any(at_ns >= now_ns - self._list_lag_ns for at_ns, fill in self._recent if fill.exec_id in ids)

    def contradicts(self, position: int, now_ns: int) -> bool:
        """Whether the last report's position differs from ours, and no certain fills explain that."""
        return self._differences > 0 and position != self._theirs and not self._is_explained(position, now_ns)

    def _is_explained(self, position: int, now_ns: int) -> bool:
        """Whether the venue's position is ours without the newest fills, none of them older than the lists' lag.

        Each of these fills must be certain, unless the report is known to be stale.
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
        """The phantom fills, after a comparison that found some. Forgets them."""
        found = list(self._fills_of(self._suspects))
        self._recent = deque((at, fill) for at, fill in self._recent if fill.exec_id not in self._suspects)
        self._unlisted -= self._suspects
        self._suspects = frozenset()
        self._differences = 0
        return found

    def payment(self, report: AccountReport, cash: int) -> Payment | None:
        """The change of the venue's cash that fills do not explain; None if there is none or it is not confirmed.

        ``cash`` is our realised result minus our basis. Call it when the positions agree. Positions and collateral are
        queried one after the other, so an event between the two (a fill, the re-basing) looks like a payment once. So a
        payment counts only if the next report shows the same. If collateral has whole units, the part that both reports
        show counts, because each fill in between adds a fraction. Nothing is decided while a booked fill is not listed:
        a phantom fill changed our cash but not the venue's, and another may have balanced its position.
        """
        if not self.is_listed:
            return None
        base = report.collateral - report.basis - cash
        if self.cash_base is None:
            self.cash_base = base
        amount = base - self.cash_base
        self._is_whole = self._is_whole and not report.collateral % self._unit
        self._forget_results(report.asked_ns)
        if self._is_behind_results(amount):
            return None
        seen, self._odd_cash = self._odd_cash, amount
        if abs(amount) < (self._unit if self._is_whole else self._unit // 2):
            self._held, self._odd_cash, self._roundings = abs(report.basis), None, 0
            return None
        if seen is None or (seen != amount and not (self._is_whole and seen * amount > 0)):
            return None
        both = min(seen, amount, key=abs)
        held, self._held, self._odd_cash = self._held, abs(report.basis), (amount - both) or None
        rounding, self._roundings = self._rounding, 0
        if abs(both) < rounding:
            self._drifts = self._is_whole
            return Payment(both, is_carry=True, what="rounding or carry")
        if self.venue.carry_share is not None and abs(both) <= held // self.venue.carry_share:
            return Payment(both, is_carry=True, what="funding or carry")
        self.cash_base += both
        return Payment(both, is_carry=False)

    @property
    def _rounding(self) -> int:
        """Below this, a change of cash may be rounding: with whole units each result may have lost almost one."""
        return max(self.venue.small_payment, self._roundings * self._unit if self._is_whole else 0)

    def _is_behind_results(self, amount: int) -> bool:
        """Whether the collateral lacks exactly the results of the newest fills.

        With rounded collateral a drift may come close to such a sum by chance, so what rounding can explain must match
        exactly.
        """
        tolerance = self._unit if self._is_whole and abs(amount) >= self._rounding else 1
        for _, realised in reversed(self._results):
            amount += realised
            if abs(amount) < tolerance:
                return True
        return False

    def take_over(self, report: AccountReport, cash: int) -> None:
        """Start again from the report: its position is ours now, and earlier executions are not queried again."""
        newest = max((fill.exec_id for fill in report.fills), default=ExecId(0))
        self.since = max(newest, self.since or ExecId(0))
        self.cash_base = report.collateral - report.basis - cash
        self.taken_ns, self._taken = report.ts_ns, report.fills
        self._differences = 0
        self._recent.clear()
        self._unlisted = frozenset()
        self._agree(report)

    def is_of_take_over(self, report: AccountReport) -> bool:
        """Whether the difference is the sum of the newest executions listed at the last take-over.

        Then the position that was taken over was stale and lacked them.
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
        """The executions of strangers that ``position`` does not include yet; None while that is undecided.

        In the report of a take-over the executions were queried before the position. An execution in between, or one
        that the list showed late, is in the position taken over and on the next list as well. Such executions are older
        than those that the position lacks, and the venue's current position shows how many they are. If that does not
        match because it is stale too, their stamps decide some reports later.
        """
        doubtful = sum(fill.ts_ns <= self.taken_ns + self.venue.lag_ns for fill in strange)
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
        # Only listed fills may advance `since`: the id of a phantom fill would hide real executions below it.
        while self._recent and self._recent[0][0] < report.asked_ns - _SETTLED_NS:
            fill = self._recent[0][1]
            if fill.exec_id in self._suspects or fill.exec_id in self._unlisted:
                return
            self._recent.popleft()
            self.since = max(fill.exec_id, self.since or ExecId(0))

    def _missing(self, report: AccountReport, heard_before_ns: int | None = None) -> frozenset[ExecId]:
        """Booked fills in the report's period that it lacks; with ``heard_before_ns`` only those booked before it."""
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
        """The change of position by these fills, in lots."""
        return sum(fill.side.sign * fill.size for fill in self._fills_of(ids))

    def _fills_of(self, ids: Iterable[ExecId]) -> Iterable[FillEvent]:
        wanted = set(ids)
        return (fill for _, fill in self._recent if fill.exec_id in wanted)
