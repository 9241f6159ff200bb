"""The venue's rate limits as rolling windows of send times, with a reserve that only exits may use.

If the venue's own count, from its response headers, is higher than ours, it is used: somebody else uses the account
too. After the venue says that a limit is exceeded or that it is overloaded, strikes and queries pause, and exits are
sent rarely.

A token bucket of N lets up to 2N-1 calls into one window, and the venue's own window may start at any of our calls.
Only the send times of the last window prove that no window of that length holds more than N. Pure: ``now_ns`` is given.
Which limits there are, and what a call counts in each, is the venue's (`VenueRules.limits`).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from stall_then_strike.engine.venue.rules import Limit
from stall_then_strike.types.dto import NS_PER_S, LimitReading, OrderMemo
from stall_then_strike.types.instrument import Lots

_FREE_SHARE: Final = (1, 2)
"""Part of the strikes' share of a window that they may use without spacing; beyond it they are spaced."""
ON_THE_WAY_NS: Final = 1 * NS_PER_S
"""Added to every window: the venue counts calls on arrival, where they may be closer together than when sent."""

NEVER_NS: Final = 1 << 62
"""Later than any time stamp, and still a 64-bit integer."""
_MOST_RESERVED: Final = 16
"""At most two reports are in flight, the core's and the shell's; any other reservation is of one that never ended."""
_FIRST_BREACH_NS: Final = 5 * NS_PER_S
_LONGEST_BREACH_NS: Final = 600 * NS_PER_S
_FORGIVEN_NS: Final = 3_600 * NS_PER_S
"""After this time without a breach, the next one counts as the first."""
_OWN_BREACHES: Final = 3
"""After this many breaches caused by our own calls, our count of them must be wrong, and a person has to look."""
_HALVINGS: Final = 12
"""Steps of a bisection, which locate a time within five minutes to 0.1 s."""
_EXIT_PAUSE_NS: Final = 5 * NS_PER_S
"""How long exits pause too after a refusal for a limit: each further refusal may increase the penalty."""

_OF_A_STRIKE: Final = 2
"""Orders."""
_LEFT_FOR_CLOSES: Final = 5
"""Calls that the cancels of more orders than these leave."""


def strike_gap_ns(used: int, calls: int, share: int, window_ns: int) -> int:
    """Pause between two strikes of ``calls`` each, so that a window of which they may use ``share`` never runs dry.

    It is zero until half of the share is used, and then rises without bound as the share fills up. With a strike on
    every stall, use settles at about 78 % of the share. Pure: research compiles it.
    """
    free = share * _FREE_SHARE[0] // _FREE_SHARE[1]
    if used <= free:
        return 0
    return window_ns * calls * (used - free) // (share * max(1, share - used))


def exits_fit(own: int, calls: int, limit: int, elsewhere: int) -> bool:
    """Whether exits of this many calls fit besides our own calls, in one limit. They may use the reserve.

    Pure: research compiles it.
    """
    return own + calls <= limit - elsewhere


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowUse:
    """How much of one limit is used now."""

    name: str
    used: int
    limit: int
    reserve: int
    others: int = 0
    """How many of ``used`` are not our calls, by the venue's own count."""
    free_ns: int = 0
    """When a call fits that may not use the reserve; now or earlier if one fits now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetWait:
    """What the next strike waits for, and until when."""

    until_ns: int
    use: WindowUse | None
    """The limit that is in the way. None: strikes pause because a request was refused or could not be sent."""
    is_spaced: bool
    """There is room, but strikes are spaced to make it last."""

    def text(self, now_ns: int) -> str:
        """For example ``small orders 90/100, next in 3.2 s``."""
        use, left = self.use, f"next in {max(0, self.until_ns - now_ns) / NS_PER_S:,.1f} s"
        if use is None:
            return f"pause after a refused or unsent request, {left}"
        others = f" ({use.others:,} by others)" if use.others else ""
        return f"{use.name} {use.used:,}/{use.limit:,}{others}, {'spaced, ' if self.is_spaced else ''}{left}"


class SendWindow:
    """One limit, and the calls that count in it."""

    def __init__(self, rule: Limit) -> None:
        """Strikes may not use the limit's reserve."""
        self.rule = rule
        self.name, self.limit, self.reserve = rule.name, rule.most, rule.reserve
        self.window_ns = rule.window_ns + ON_THE_WAY_NS
        self._share = rule.most - rule.reserve
        """The calls that strikes may use."""
        self._stamps: deque[int] = deque()
        self._others = 0
        self._others_until_ns = 0

    def used(self, now_ns: int) -> int:
        """Calls within the window that ends now, including those of others."""
        return self.own(now_ns) + (self._others if now_ns < self._others_until_ns else 0)

    def own(self, now_ns: int) -> int:
        """Our calls within the window that ends now."""
        stamps, since = self._stamps, now_ns - self.window_ns
        while stamps and stamps[0] <= since:
            stamps.popleft()
        return len(stamps)

    def outlook(self, now_ns: int, calls: int) -> tuple[int, int, int]:
        """For a strike of this many calls: when there is room for it (0: now), `strike_gap_ns`, and until when both
        stay valid.
        """
        used = self.own(now_ns)
        changes_ns = self._stamps[0] + self.window_ns if used else NEVER_NS
        if now_ns < self._others_until_ns:
            used += self._others
            changes_ns = min(changes_ns, self._others_until_ns)
        room_ns = self.free_at_ns(now_ns, calls, keep=self.reserve) if used + calls > self._share else 0
        return room_ns, strike_gap_ns(used, calls, self._share, self.window_ns), changes_ns

    def gap_by_ns(self, at_ns: int, calls: int) -> int:
        """`strike_gap_ns` at a later time, if nothing is spent until then."""
        others = self._others if at_ns < self._others_until_ns else 0
        left = bisect_right(self._stamps, at_ns - self.window_ns)
        return strike_gap_ns(len(self._stamps) - left + others, calls, self._share, self.window_ns)

    def on_reading(self, now_ns: int, remaining: int, reset_ns: int) -> None:
        """Use the venue's count of its current window if it leaves less than ours does.

        It does not include our calls in flight, so the use by others may be underestimated by these, never
        overestimated.
        """
        self._others = max(0, self.limit - remaining - self.own(now_ns))
        self._others_until_ns = min(reset_ns, now_ns + self.window_ns)

    def spend(self, now_ns: int, calls: int = 1) -> None:
        """Record calls that are made now."""
        self._stamps.extend([now_ns] * calls)

    def give_back(self, at_ns: int, calls: int) -> None:
        """Remove up to this many of the calls recorded at ``at_ns``, if they still count."""
        stamps = self._stamps
        first = bisect_left(stamps, at_ns)
        count = min(calls, bisect_right(stamps, at_ns) - first)
        stamps.rotate(-first)
        for _ in range(count):
            stamps.popleft()
        stamps.rotate(first)

    def free_at_ns(self, now_ns: int, calls: int, *, keep: int) -> int:
        """When ``calls`` fit while ``keep`` of the limit stay unused; ``now_ns`` if they fit now.

        Raises ValueError if they never fit.
        """
        room = self.limit - keep
        if calls > room:
            raise ValueError(f"{self.name}: {calls} calls never fit into {self.limit} with {keep} kept")
        over = self.used(now_ns) + calls - room
        if over <= 0:
            return now_ns
        without_others = self.own(now_ns) + calls - room
        if without_others <= 0:
            at_ns = self._others_until_ns
        else:
            at_ns = max(self._others_until_ns, self._stamps[without_others - 1] + self.window_ns)
        return min(at_ns, self._stamps[over - 1] + self.window_ns) if over <= len(self._stamps) else at_ns

    def fits_exits(self, now_ns: int, calls: int) -> bool:
        """`exits_fit` in this window. The venue's count of others' calls is ignored."""
        return exits_fit(self.own(now_ns), calls, self.limit, self.rule.elsewhere)

    def fits_queries(self, now_ns: int, calls: int, *, urgent: bool) -> bool:
        """Whether queries fit. Urgent ones may use half of the reserve; the rest is for exits."""
        keep = self.reserve // 2 if urgent else self.reserve
        return self.used(now_ns) + calls <= self.limit - self.rule.elsewhere - keep

    def use(self, now_ns: int) -> WindowUse:
        """A frozen view."""
        used = self.used(now_ns)
        others = used - self.own(now_ns)
        free_ns = self.free_at_ns(now_ns, 1, keep=self.reserve) if used >= self._share > 0 else 0
        return WindowUse(
            name=self.name, used=used, limit=self.limit, reserve=self.reserve, others=others, free_ns=free_ns
        )


class Budget:
    """All windows together, in terms of strikes, closes, cancels and queries."""

    def __init__(self, limits: Iterable[Limit], batch: int = 1) -> None:
        """Start with nothing used. ``batch`` is the most orders or cancels in one call."""
        self._windows = tuple(SendWindow(limit) for limit in limits)
        self._batch = batch
        self._last_strike_ns: int | None = None
        self._strike_ns: int | None = None
        """The last answer of ``strike_at_ns``; None if anything has been spent or reported since."""
        self._asked = (0, Lots(0))
        self._asked_calls: Sequence[tuple[SendWindow, int]] = ()
        """The windows in which that strike counts, and how many calls in each."""
        self._asked_ns = 0
        self._stands_until_ns = 0
        """When that answer may change without a call. An answer "now" does not."""
        self._blocked_until_ns = 0
        self._exit_from_ns = 0
        self._reserved: deque[tuple[int, int]] = deque(maxlen=_MOST_RESERVED)
        """Reports requested and not ended: when each was requested, and the calls reserved for it."""
        self._breaches: deque[bool] = deque()
        """Consecutive breaches of the venue's limits: for each, whether our own calls alone had nearly used one up."""
        self._breach_until_ns = 0

    def restore(self, orders: Iterable[OrderMemo]) -> None:
        """Count what an earlier run sent, because the venue does.

        Only the last cancel of each order is stored, and no queries. The venue's own count, in the headers of the first
        response, makes up for the rest.
        """
        memos = list(orders)
        for window in self._windows:
            spent = [(memo.sent_ns, window.rule.sends(1, memo.size)) for memo in memos]
            spent += [(memo.cancel_sent_ns, window.rule.cancel) for memo in memos if memo.cancel_sent_ns is not None]
            for stamp, calls in sorted(spent):
                window.spend(stamp, calls)

    def strike_at_ns(self, now_ns: int, orders: int, size: Lots) -> int:
        """When the next strike of this many orders may be sent; ``now_ns`` or earlier means now.

        Each order is counted together with its cancel, so that a strike that was sent can also be cancelled. This is
        asked at every step, mostly for the same strike, so the answer is cached while it is valid.
        """
        asked = (orders, size)
        if self._asked != asked:
            self._asked, self._asked_calls = asked, self._strike_calls(orders, size)
        elif self._strike_ns is not None and self._asked_ns <= now_ns < self._stands_until_ns:
            return self._strike_ns
        at_ns, gap_ns, stands_ns = self._blocked_until_ns, 0, NEVER_NS
        for window, calls in self._asked_calls:
            window_room_ns, window_gap_ns, changes_ns = window.outlook(now_ns, calls)
            if window_room_ns > at_ns:
                at_ns = window_room_ns
            if window_gap_ns > gap_ns:
                gap_ns = window_gap_ns
            if changes_ns < stands_ns:
                stands_ns = changes_ns
        if self._last_strike_ns is not None and self._last_strike_ns + gap_ns > at_ns:
            at_ns = self._last_strike_ns + gap_ns
        self._strike_ns, self._asked_ns = at_ns, now_ns
        self._stands_until_ns = NEVER_NS if at_ns <= now_ns else stands_ns  # "now" stays valid until something is spent
        return at_ns

    def sendable(self, now_ns: int, orders: int, size: Lots) -> int:
        """How many of this many orders a strike may send now."""
        for count in range(orders, 0, -1):
            calls = self._strike_calls(count, size)
            is_possible = all(spent <= window.limit - window.reserve for window, spent in calls)
            if is_possible and self.strike_at_ns(now_ns, count, size) <= now_ns:
                return count
        return 0

    def wait(self, now_ns: int) -> BudgetWait | None:
        """What the strike last asked about waits for; None if it need not wait. For display: changes no answer."""
        binding: SendWindow | None = None
        at_ns, room_ns = self._blocked_until_ns, self._blocked_until_ns
        for window, calls in self._asked_calls:
            window_room_ns, gap_ns, _ = window.outlook(now_ns, calls)
            spaced_ns = 0 if self._last_strike_ns is None or not gap_ns else self._last_strike_ns + gap_ns
            room_ns = max(room_ns, window_room_ns)
            if max(window_room_ns, spaced_ns) > at_ns:
                binding, at_ns = window, max(window_room_ns, spaced_ns)
        if at_ns <= now_ns:
            return None
        use = None if binding is None else binding.use(now_ns)
        return BudgetWait(until_ns=self._spaced_ns(max(now_ns, room_ns), at_ns), use=use, is_spaced=at_ns > room_ns)

    def _spaced_ns(self, low_ns: int, high_ns: int) -> int:
        """About when a spaced strike may be sent, if nothing is spent: the gap shrinks as calls leave their windows."""
        if self._last_strike_ns is None or high_ns <= low_ns:
            return high_ns
        last_ns = self._last_strike_ns
        # A gap only shrinks, so one that is over at the earliest time stays over.
        spaced = [each for each in self._asked_calls if last_ns + each[0].gap_by_ns(low_ns, each[1]) > low_ns]
        for _ in range(_HALVINGS):
            mid_ns = (low_ns + high_ns) // 2
            if all(last_ns + window.gap_by_ns(mid_ns, calls) <= mid_ns for window, calls in spaced):
                high_ns = mid_ns
            else:
                low_ns = mid_ns
        return high_ns

    def may_send(self, now_ns: int, size: Lots) -> bool:
        """Whether one closing order fits. It may use the reserve, and ignores the venue's count of others' calls."""
        if now_ns < self._exit_from_ns:
            return False
        spent = ((window, window.rule.sends(1, size)) for window in self._windows)
        return all(window.fits_exits(now_ns, calls) for window, calls in spent if calls)

    def may_cancel(self, now_ns: int, orders: int, *, keep: int = 0) -> bool:
        """Whether the cancels of this many orders fit, and leave ``keep`` calls. They may use the reserve, as closing
        orders may.
        """
        if now_ns < self._exit_from_ns:
            return False
        spent = ((window, (self._calls(orders) + keep) * window.rule.cancel) for window in self._windows)
        return all(window.fits_exits(now_ns, calls) for window, calls in spent if calls)

    def cancellable(self, now_ns: int, orders: int) -> int:
        """How many of this many orders may be cancelled now.

        The two of a strike go together. Of more, as many go as leave a few calls for the close that follows.
        """
        if orders <= _OF_A_STRIKE:
            return orders if self.may_cancel(now_ns, orders) else 0
        fitting = (n for n in range(orders, 0, -1) if self.may_cancel(now_ns, n, keep=_LEFT_FOR_CLOSES))
        return next(fitting, 0)

    def may_ask(self, now_ns: int, calls: int, *, urgent: bool) -> bool:
        """Whether this many queries fit. Urgent ones may use half of the reserve; the rest is for exits."""
        if now_ns < self._blocked_until_ns:
            return False
        spent = ((window, calls * window.rule.query) for window in self._windows)
        return all(window.fits_queries(now_ns, count, urgent=urgent) for window, count in spent if count)

    def block(self, now_ns: int, until_ns: int, *, exits: bool) -> None:
        """No strikes or queries before ``until_ns``: a request was refused, or could not be sent.

        ``exits``: exits pause too, for a few seconds. If each is refused again, one batch is sent every few seconds.
        """
        self._strike_ns = None
        self._blocked_until_ns = max(self._blocked_until_ns, until_ns)
        if exits:
            self._exit_from_ns = max(self._exit_from_ns, now_ns + _EXIT_PAUSE_NS)

    def breach(self, now_ns: int, until_ns: int) -> tuple[int, bool]:
        """The venue says that a limit is exceeded: pause as long as it says, and longer with each consecutive breach.

        Returns the length of the pause, or zero if one is on already (the refused request was then in flight), and
        whether this breach and several before it were caused by our own calls. Another program on the account or the
        address may use the limits up too, and that passes.
        """
        if is_on := now_ns < self._breach_until_ns:
            is_ours = False
        else:
            if now_ns - self._breach_until_ns >= _FORGIVEN_NS:
                self._breaches.clear()
            is_ours = any(10 * window.own(now_ns) >= 9 * window.limit for window in self._windows)
            self._breaches.append(is_ours)
        least_ns = min(_FIRST_BREACH_NS << min(len(self._breaches) - 1, 10), _LONGEST_BREACH_NS)
        end_ns = max(until_ns, self._breach_until_ns if is_on else now_ns + least_ns)
        self._breach_until_ns = end_ns
        self.block(now_ns, end_ns, exits=True)
        return (0 if is_on else end_ns - now_ns), is_ours and sum(self._breaches) >= _OWN_BREACHES

    def on_reading(self, reading: LimitReading, now_ns: int) -> None:
        """Use the venue's count of one limit."""
        self._strike_ns = None
        for window in self._windows:
            if window.name == reading.limit:
                window.on_reading(now_ns, reading.remaining, reading.reset_ns)

    def spend_questions(self, now_ns: int, calls: int) -> None:
        """Record queries."""
        self._strike_ns = None
        for window in self._windows:
            window.spend(now_ns, calls * window.rule.query)

    def reserve_questions(self, now_ns: int, calls: int) -> None:
        """Count a requested report as the most calls that it may need, until :meth:`settle_questions`."""
        self.spend_questions(now_ns, calls)
        self._reserved.append((now_ns, calls))

    def settle_questions(self, now_ns: int, calls: int) -> None:
        """A report has ended after this many calls. They count as made now.

        All reservations are alike, so the last one is given back. The reservation of a report that never ends stays:
        its calls are not known.
        """
        if not self._reserved:
            return
        asked_ns, reserved = self._reserved.pop()
        for window in self._windows:
            window.give_back(asked_ns, reserved * window.rule.query)
        self.spend_questions(now_ns, calls)

    def spend_strike(self, now_ns: int, orders: int, size: Lots) -> None:
        """Record a strike's sends."""
        self._spend_sends(now_ns, self._calls(orders), size)
        self._last_strike_ns = now_ns

    def spend_order(self, now_ns: int, size: Lots) -> None:
        """Record one order send."""
        self._spend_sends(now_ns, 1, size)

    def spend_cancel(self, now_ns: int, orders: int) -> None:
        """Record the cancels of this many orders."""
        self._strike_ns = None
        for window in self._windows:
            window.spend(now_ns, self._calls(orders) * window.rule.cancel)

    def use(self, now_ns: int) -> tuple[WindowUse, ...]:
        """All windows, for the panel."""
        return tuple(window.use(now_ns) for window in self._windows)

    def _spend_sends(self, now_ns: int, calls: int, size: Lots) -> None:
        self._strike_ns = None
        for window in self._windows:
            window.spend(now_ns, window.rule.sends(calls, size))

    def _calls(self, orders: int) -> int:
        """How many calls the sends or cancels of this many orders are, if they are sent together."""
        return -(-orders // self._batch)

    def _strike_calls(self, orders: int, size: Lots) -> Sequence[tuple[SendWindow, int]]:
        """The windows in which a strike counts, and how many calls in each. Its cancels may go out one by one."""
        rules = ((window, window.rule) for window in self._windows)
        counted = [(window, rule.sends(self._calls(orders), size) + orders * rule.cancel) for window, rule in rules]
        return [(window, calls) for window, calls in counted if calls]
