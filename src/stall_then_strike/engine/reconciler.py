"""When the account is to be asked, and whether its books agree with ours. Pure.

The account is asked when the private channel has come up (start, reconnect), on a period, and in doubt: an order whose
news are overdue, an execution that nobody claims, a position that differs. In doubt the questions come ever more rarely
until the doubt ends, for each costs four private calls or more.

Two books are compared. *Position*: ours and the venue's must be equal; a difference may be a fill on its way, so only
one that stays over several reports counts. *Cash*: collateral less the cost of what is open moves with each fill by its
notional, and is untouched by the daily re-basing; whatever else moves it is funding or carry if it is small against
what was held, and a deposit or withdrawal otherwise.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, unique
from typing import Final

from stall_then_strike.config.models import AccountConfig
from stall_then_strike.engine.evidence import overdue_at_ns
from stall_then_strike.engine.orders import Orders
from stall_then_strike.types.dto import NS_PER_MS, NS_PER_S, AccountReport, ExecId, FillEvent
from stall_then_strike.types.instrument import Instrument

REPORT_CALLS: Final = 8
"""The most private calls that one report may cost: they are reserved, and what was not made is given back."""
PERIOD: Final = "period"
"""Why one asks without a doubt."""
_LEAST_GAP_NS: Final = 1 * NS_PER_S
_LONGEST_GAP_NS: Final = 15 * NS_PER_S
_LOST_NS: Final = 90 * NS_PER_S
"""An answer that has not come by now never will: every call of it has a time limit."""
_SETTLED_NS: Final = 120 * NS_PER_S
"""Executions older than this are not asked for again once the positions agree."""
_PHANTOM_NS: Final = 10 * NS_PER_S
"""An execution so old is listed, if it is one. The venue's lists are not known to lag by more than a moment."""
_BROKEN_NS: Final = 2 * _PHANTOM_NS
"""How long a difference must stay: phantoms among it are found out in half of that."""
_CARRY_SHARE: Final = 200
"""A payment of up to 1/200 of what was held is carry: funding is at most 0.375 %, leverage points are 0.04 % a day."""


@unique
class Books(Enum):
    """How our position compares with the venue's."""

    AGREE = "agree"
    DIFFER = "differ"
    """Perhaps a fill is on its way."""
    PHANTOMS = "phantoms"
    """The difference is that of fills which we counted and the venue does not have."""
    BROKEN = "broken"
    """It stays, and nothing explains it."""


@dataclass(frozen=True, slots=True)
class Payment:
    """Cash that moved without a fill. ``is_carry``: it belongs to the result of the day."""

    amount: int
    is_carry: bool


class Reconciler:
    """Keeper of the questions and of the comparison. It changes no order and no position."""

    def __init__(self, cfg: AccountConfig, instrument: Instrument) -> None:
        """Nothing is known of the account yet."""
        self._period_ns = int(cfg.reconcile_sec * NS_PER_S)
        self.doubt_ns = cfg.doubt_ms * NS_PER_MS
        self.vanish_ns = int(cfg.vanish_sec * NS_PER_S)
        self._position_checks = cfg.position_checks
        self._least_payment = instrument.ticks_per_one * instrument.lots_per_one // 2
        self.since: ExecId | None = None
        """Executions up to this one are accounted for; None before the first report of all."""
        self.cash_base: int | None = None
        self._is_live = False
        self._began_ns: int | None = None
        self._live_ns = 0
        self.is_known = False
        """Whether our position was equal to the venue's at any time of this run."""
        self.is_settled = False
        """Whether the channel is live and the books agreed in a report asked for since it came up."""
        self._asked_ns: int | None = None
        self._is_asking = False
        self._gap_ns = _LEAST_GAP_NS
        self._doubt_ns = 0
        """When there was last something to doubt."""
        self._odd_cash: int | None = None
        """Cash that moved without a fill in the last report, and waits for the next one to say the same."""
        self._differences = 0
        self._difference = 0
        self._differs_ns = 0
        self._suspects: frozenset[ExecId] = frozenset()
        self._unlisted: frozenset[ExecId] = frozenset()
        """Fills that we counted and the last report lacks, those too young to be suspected among them."""
        self._recent: deque[tuple[int, FillEvent]] = deque()
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
        last = self._asked_ns
        if self._began_ns is None:
            self._began_ns = now_ns
        soon = now_ns if last is None else last + self._gap_ns
        if doubt := self._doubt():
            return soon, doubt
        # At the start the channel has some time to come up.
        at_ns, why = (self._began_ns + _LONGEST_GAP_NS if last is None else last + self._period_ns), PERIOD
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

    def _doubt(self) -> str:
        """What there is to doubt now, beside orders and executions; empty if nothing."""
        if self._differences:
            return "the position differs"
        if self._is_live and not self.is_settled:
            return "the private channel came up"
        if self._alarm or self._suspects:
            return self._alarm or "the venue does not list an execution"
        return "the collateral moved" if self._odd_cash is not None else ""

    def alarm(self, why: str) -> None:
        """Something did not fit: ask at the next occasion."""
        self._alarm = self._alarm or why

    def asked(self, now_ns: int) -> None:
        """A report was asked for. The next one in doubt waits longer."""
        self._asked_ns = now_ns
        self._is_asking = True
        if self._alarm:
            self._again_ns = now_ns + _PHANTOM_NS + _LEAST_GAP_NS
        elif self._again_ns is not None and self._again_ns <= now_ns:
            self._again_ns = None
        self._alarm = ""
        self._gap_ns = min(2 * self._gap_ns, _LONGEST_GAP_NS)

    def failed(self) -> None:
        """The account could not be asked."""
        self._is_asking = False

    def answered(self, orders: Orders, now_ns: int) -> None:
        """A report was taken in; once all has been quiet for a while, a question in doubt may be the first again.

        Not at once: a channel that comes and goes, or doubt after doubt, would cost four calls each second.
        """
        self._is_asking = False
        at_ns, why = self.due(orders, now_ns)
        if why is not PERIOD and at_ns <= (self._asked_ns or now_ns) + self._gap_ns:
            self._doubt_ns = now_ns
        elif now_ns - max(self._doubt_ns, self._live_ns) >= _LONGEST_GAP_NS:
            self._gap_ns = _LEAST_GAP_NS

    # --- the books

    def note_fill(self, now_ns: int, fill: FillEvent) -> None:
        """A fill was booked."""
        self._recent.append((now_ns, fill))

    def note_held(self, notional: int) -> None:
        """So much is held now: the yardstick for what can be carry."""
        self._held = max(self._held, abs(notional))

    def compare(self, report: AccountReport, position: int) -> Books:
        """Compare positions, once all that the report has is booked."""
        difference = report.position - position
        suspects = self._missing(report, heard_before_ns=report.asked_ns - _PHANTOM_NS)
        self._unlisted = self._missing(report)
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
        self._differences += 1
        stays = self._differences >= self._position_checks and report.asked_ns - self._differs_ns >= _BROKEN_NS
        is_suspected = bool(suspects) and self._sum_of(suspects) == -difference  # the next list will tell
        return Books.BROKEN if stays and not is_suspected else Books.DIFFER

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
        like a payment once. One counts if the next report shows the same. Nothing is judged while a fill of ours is not
        listed: one that never was moved our cash and not the venue's, and another may have made up for its position.
        """
        if not self.is_listed:
            return None
        base = report.collateral - report.basis - cash
        if self.cash_base is None:
            self.cash_base = base
        amount = base - self.cash_base
        seen, self._odd_cash = self._odd_cash, amount
        if abs(amount) < self._least_payment:
            self._held, self._odd_cash = abs(report.basis), None
            return None
        if amount != seen:
            return None
        held, self._held, self._odd_cash = self._held, abs(report.basis), None
        if abs(amount) <= held // _CARRY_SHARE:
            return Payment(amount, is_carry=True)
        self.cash_base = base
        return Payment(amount, is_carry=False)

    def take_over(self, report: AccountReport, cash: int) -> None:
        """Begin anew from what the venue says: its position is ours now, and nothing before it is asked for again."""
        newest = max((fill.exec_id for fill in report.fills), default=ExecId(0))
        self.since = max(newest, self.since or ExecId(0))
        self.cash_base = report.collateral - report.basis - cash
        self._differences = 0
        self._recent.clear()
        self._unlisted = frozenset()
        self._agree(report)

    def _agree(self, report: AccountReport) -> None:
        self.is_known = True
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
