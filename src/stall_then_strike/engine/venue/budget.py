"""The venue's rate limits as rolling windows of send stamps, with a reserve that only exits may use.

The venue's own count, from its headers, is believed where it is higher than ours: somebody else uses the account too.
After an answer that we went too far or that the venue is overloaded, strikes and questions pause, and exits go out
rarely.

A token bucket of N lets up to 2N-1 calls into one window, and the venue's own window may start at any of our calls;
only the stamps of the last window prove that no window of that length holds more than N. Pure: ``now_ns`` is given.

Limits (bitFlyer API documentation): all calls of an address, private calls, and order sends per 5 minutes, small orders
per minute. Single cancels count as private calls only.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from stall_then_strike.config.models import LimitsConfig
from stall_then_strike.types.dto import NS_PER_S, LimitName, LimitReading, OrderMemo
from stall_then_strike.types.instrument import Instrument, Lots

_FREE_SHARE: Final = (1, 2)
"""Share of a window that strikes may use as fast as they come; beyond it they are spaced."""
ON_THE_WAY_NS: Final = 1 * NS_PER_S
"""The venue counts a call when it arrives, so calls that we space by a whole window may be closer there: stay apart."""

PUBLIC_CALLS: Final = 25
"""Public calls in 5 minutes that share the address's limit with the private ones: the board's state each 15 s, the
pre-flight's. Exits leave them their room; for all else the venue's own count of the address tells of them."""
NEVER_NS: Final = 1 << 63
"""Later than any stamp."""
_MOST_RESERVED: Final = 16
"""Reports under way: the core's and the shell's are two, all others never ended."""
_FIRST_BREACH_NS: Final = 5 * NS_PER_S
_LONGEST_BREACH_NS: Final = 600 * NS_PER_S
_FORGIVEN_NS: Final = 3_600 * NS_PER_S
"""After so long without a breach the next one is the first again."""
_OWN_BREACHES: Final = 3
"""So many breaches that our own calls brought about, and our count of them is wrong: a person has to look."""
_HALVINGS: Final = 12
"""A five-minute window is then known to 0.1 s."""
_EXIT_PAUSE_NS: Final = 5 * NS_PER_S
"""After a refusal for a limit, how long exits pause too: each further refusal may deepen the penalty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowUse:
    """How much of one limit is used now."""

    name: str
    used: int
    limit: int
    reserve: int
    others: int = 0
    """Of ``used``: calls of somebody else's, by the venue's own count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetWait:
    """What the next strike waits for, and until when."""

    until_ns: int
    use: WindowUse | None
    """The limit that is in the way; None: the venue refused, or nothing could be sent, and strikes pause."""
    is_spaced: bool
    """There is room, but strikes are spaced so that it lasts."""

    def text(self, now_ns: int) -> str:
        """Such as ``small orders 90/100, next in 3.2 s``."""
        use, left = self.use, f"next in {max(0, self.until_ns - now_ns) / NS_PER_S:,.1f} s"
        if use is None:
            return f"pause after a refused or unsent request, {left}"
        others = f" ({use.others:,} by others)" if use.others else ""
        return f"{use.name} {use.used:,}/{use.limit:,}{others}, {'spaced, ' if self.is_spaced else ''}{left}"


class SendWindow:
    """One limit: at most ``limit`` stamps in any ``window_ns``."""

    def __init__(self, name: str, *, limit: int, window_ns: int, reserve: int) -> None:
        """``reserve`` of the limit is out of reach for strikes."""
        self.name = name
        self.limit = limit
        self.window_ns = window_ns
        self.reserve = reserve
        self._share = limit - reserve
        """What strikes may use, and how much of it as fast as they come."""
        self._free = self._share * _FREE_SHARE[0] // _FREE_SHARE[1]
        self._stamps: deque[int] = deque()
        self._others = 0
        self._others_until_ns = 0

    def used(self, now_ns: int) -> int:
        """Calls within the window that ends now, those of others included."""
        return self.own(now_ns) + (self._others if now_ns < self._others_until_ns else 0)

    def own(self, now_ns: int) -> int:
        """Calls of ours within the window that ends now."""
        stamps, since = self._stamps, now_ns - self.window_ns
        while stamps and stamps[0] <= since:
            stamps.popleft()
        return len(stamps)

    def outlook(self, now_ns: int, calls: int) -> tuple[int, int, int]:
        """For a strike of so many calls: from when on there is room for it, or 0; :meth:`gap_ns`; and until when both
        stay as they are.
        """
        used = self.own(now_ns)
        changes_ns = self._stamps[0] + self.window_ns if used else NEVER_NS
        if now_ns < self._others_until_ns:
            used += self._others
            changes_ns = min(changes_ns, self._others_until_ns)
        room_ns = self.free_at_ns(now_ns, calls, keep=self.reserve) if used + calls > self._share else 0
        return room_ns, self.gap_ns(used, calls), changes_ns

    def gap_by_ns(self, at_ns: int, calls: int) -> int:
        """:meth:`gap_ns` as of a moment to come, if nothing is spent until then."""
        stamps, since = self._stamps, at_ns - self.window_ns
        used = len(stamps) + (self._others if at_ns < self._others_until_ns else 0)
        if used <= self._free:
            return 0
        for stamp in stamps:
            if stamp > since:
                break
            used -= 1
        return self.gap_ns(used, calls)

    def on_reading(self, now_ns: int, remaining: int, reset_ns: int) -> None:
        """Take the venue's word for how much is left of its present window, if that is less than we think.

        Our calls that are on their way are not in its count yet, so what others use is only ever underrated, by those.
        """
        self._others = max(0, self.limit - remaining - self.own(now_ns))
        self._others_until_ns = min(reset_ns, now_ns + self.window_ns)

    def spend(self, now_ns: int, calls: int = 1) -> None:
        """Record calls that are being made."""
        self._stamps.extend([now_ns] * calls)

    def give_back(self, at_ns: int, calls: int) -> None:
        """Take back so many calls recorded at that moment, as far as they still count."""
        stamps = self._stamps
        first = bisect_left(stamps, at_ns)
        count = min(calls, bisect_right(stamps, at_ns) - first)
        stamps.rotate(-first)
        for _ in range(count):
            stamps.popleft()
        stamps.rotate(first)

    def free_at_ns(self, now_ns: int, calls: int, *, keep: int) -> int:
        """When ``calls`` fit while ``keep`` of the limit stays untouched: ``now_ns`` if they do."""
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

    def gap_ns(self, used: int, calls: int) -> int:
        """Pause to keep between two strikes of so many calls, so that this window never runs dry with so many used.

        None while less than half is used; then rising without bound as the strikes' share fills up. Strikes on every
        stall settle at about 78 % of the share.
        """
        if used <= self._free:
            return 0
        return self.window_ns * calls * (used - self._free) // (self._share * max(1, self._share - used))

    def use(self, now_ns: int) -> WindowUse:
        """A frozen view."""
        used = self.used(now_ns)
        others = used - self.own(now_ns)
        return WindowUse(name=self.name, used=used, limit=self.limit, reserve=self.reserve, others=others)


class Budget:
    """All windows together, in terms of what the strategy does."""

    def __init__(self, limits: LimitsConfig, instrument: Instrument) -> None:
        """Start with nothing used."""
        five_min, minute = 300 * NS_PER_S + ON_THE_WAY_NS, 60 * NS_PER_S + ON_THE_WAY_NS
        self._address = SendWindow(
            "address", limit=limits.address_per_5min, window_ns=five_min, reserve=limits.reserve_private
        )
        self._private = SendWindow(
            "private", limit=limits.private_per_5min, window_ns=five_min, reserve=limits.reserve_private
        )
        self._orders = SendWindow(
            "orders", limit=limits.orders_per_5min, window_ns=five_min, reserve=limits.reserve_orders
        )
        self._small = SendWindow(
            "small orders", limit=limits.small_orders_per_min, window_ns=minute, reserve=limits.reserve_small_orders
        )
        self._small_lots = instrument.to_lots(limits.small_order_btc)
        self._calls: dict[tuple[int, bool], tuple[tuple[SendWindow, int], ...]] = {}
        self._last_strike_ns: int | None = None
        self._strike_ns: int | None = None
        """What ``strike_at_ns`` answered; None once anything was spent or told since."""
        self._asked = (0, Lots(0))
        self._asked_ns = 0
        self._stands_until_ns = 0
        """When that answer may change by itself. Free stays free."""
        self._blocked_until_ns = 0
        self._exit_from_ns = 0
        self._reserved: deque[tuple[int, int]] = deque(maxlen=_MOST_RESERVED)
        """Reports that were asked for and have not ended: when, and how many calls were put aside for each."""
        self._breaches: deque[bool] = deque()
        """Breaches of the venue's limits in a row: of each, whether our own calls alone had nearly used one up."""
        self._breach_until_ns = 0

    def restore(self, orders: Iterable[OrderMemo]) -> None:
        """Count what an earlier run sent, for the venue does.

        Of cancels the last of each order is remembered and of questions none; the venue's own count, in the headers of
        the first answer, makes up for those.
        """
        memos = list(orders)
        for memo in sorted(memos, key=lambda memo: memo.sent_ns):
            self._orders.spend(memo.sent_ns)
            if memo.size <= self._small_lots:
                self._small.spend(memo.sent_ns)
        cancels = [memo.cancel_sent_ns for memo in memos if memo.cancel_sent_ns is not None]
        for stamp in sorted([*(memo.sent_ns for memo in memos), *cancels]):
            self._spend_call(stamp)

    def strike_at_ns(self, now_ns: int, orders: int, size: Lots) -> int:
        """When the next strike of so many orders may go out: ``now_ns`` or earlier if now.

        Each order is counted with its cancel, so that a strike that goes out can also be taken back. Asked at every
        step, mostly for the same strike: an answer is kept for as long as it stands.
        """
        asked = (orders, size)
        if self._strike_ns is not None and self._asked == asked and self._asked_ns <= now_ns < self._stands_until_ns:
            return self._strike_ns
        at_ns, gap_ns, stands_ns = self._blocked_until_ns, 0, NEVER_NS
        for window, calls in self._strike_calls(orders, size):
            window_room_ns, window_gap_ns, changes_ns = window.outlook(now_ns, calls)
            if window_room_ns > at_ns:
                at_ns = window_room_ns
            if window_gap_ns > gap_ns:
                gap_ns = window_gap_ns
            if changes_ns < stands_ns:
                stands_ns = changes_ns
        if self._last_strike_ns is not None and self._last_strike_ns + gap_ns > at_ns:
            at_ns = self._last_strike_ns + gap_ns
        self._strike_ns, self._asked, self._asked_ns = at_ns, asked, now_ns
        self._stands_until_ns = NEVER_NS if at_ns <= now_ns else stands_ns  # free stays so until something is spent
        return at_ns

    def wait(self, now_ns: int) -> BudgetWait | None:
        """What the strike that was asked about last waits for; None if it need not. For people: changes no answer."""
        binding: SendWindow | None = None
        at_ns, room_ns = self._blocked_until_ns, self._blocked_until_ns
        for window, calls in self._strike_calls(*self._asked):
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
        """About when a spaced strike may go out, if nothing is spent: spacing narrows as calls leave their windows."""
        if self._last_strike_ns is None or high_ns <= low_ns:
            return high_ns
        last_ns = self._last_strike_ns
        calls = self._strike_calls(*self._asked)
        for _ in range(_HALVINGS):
            mid_ns = (low_ns + high_ns) // 2
            if last_ns + max(window.gap_by_ns(mid_ns, count) for window, count in calls) <= mid_ns:
                high_ns = mid_ns
            else:
                low_ns = mid_ns
        return high_ns

    def may_send(self, now_ns: int, size: Lots) -> bool:
        """Whether one closing order fits; it may use the reserve, and the venue's word on others does not bind it."""
        if now_ns < self._exit_from_ns:
            return False
        windows = [self._private, self._orders] + ([self._small] if size <= self._small_lots else [])
        if self._address.own(now_ns) >= self._address.limit - PUBLIC_CALLS:
            return False
        return all(window.own(now_ns) < window.limit for window in windows)

    def may_cancel(self, now_ns: int, orders: int) -> bool:
        """Whether so many single cancels fit; they may use the reserve, as closing orders may."""
        calls = self._private.own(now_ns) + orders
        return now_ns >= self._exit_from_ns and calls <= min(self._private.limit, self._address.limit - PUBLIC_CALLS)

    def may_ask(self, now_ns: int, calls: int, *, urgent: bool) -> bool:
        """Whether so many questions fit. Urgent ones may use half of the reserve; the rest is for exits."""
        keep = self._private.reserve // 2 if urgent else self._private.reserve
        of_account = self._private.used(now_ns) + calls <= self._private.limit - keep
        of_address = self._address.used(now_ns) + calls <= self._address.limit - PUBLIC_CALLS - keep
        return now_ns >= self._blocked_until_ns and of_account and of_address

    def block(self, now_ns: int, until_ns: int, *, exits: bool) -> None:
        """The venue refused for its limits or its load: no strikes and questions before ``until_ns``.

        ``exits``: those too are to be rare meanwhile, one batch every few seconds.
        """
        self._strike_ns = None
        self._blocked_until_ns = max(self._blocked_until_ns, until_ns)
        if exits:
            self._exit_from_ns = max(self._exit_from_ns, now_ns + _EXIT_PAUSE_NS)

    def breach(self, now_ns: int, until_ns: int) -> tuple[int, bool]:
        """The venue says that a limit is exceeded: pause as it says, and longer with each breach that follows another.

        Returns the length of the pause, zero if one is on already, for what is refused then was on its way; and whether
        this is our own doing: another program on the account or the address uses the limits up too, and that passes.
        """
        if is_on := now_ns < self._breach_until_ns:
            is_ours = False
        else:
            if now_ns - self._breach_until_ns >= _FORGIVEN_NS:
                self._breaches.clear()
            windows = (self._address, self._private, self._orders, self._small)
            is_ours = any(10 * window.own(now_ns) >= 9 * window.limit for window in windows)
            self._breaches.append(is_ours)
        least_ns = min(_FIRST_BREACH_NS << min(len(self._breaches) - 1, 10), _LONGEST_BREACH_NS)
        end_ns = max(until_ns, self._breach_until_ns if is_on else now_ns + least_ns)
        self._breach_until_ns = end_ns
        self.block(now_ns, end_ns, exits=True)
        return (0 if is_on else end_ns - now_ns), is_ours and sum(self._breaches) >= _OWN_BREACHES

    def on_reading(self, reading: LimitReading, now_ns: int) -> None:
        """Compare our count with the venue's."""
        self._strike_ns = None
        window = {
            LimitName.PRIVATE: self._private,
            LimitName.ORDERS: self._orders,
            LimitName.ADDRESS: self._address,
        }[reading.limit]
        window.on_reading(now_ns, reading.remaining, reading.reset_ns)

    def spend_questions(self, now_ns: int, calls: int) -> None:
        """Record questions: private calls that are neither an order nor a cancel."""
        self._strike_ns = None
        self._spend_call(now_ns, calls)

    def reserve_questions(self, now_ns: int, calls: int) -> None:
        """Count a report that is asked for as the most that it may cost, until :meth:`settle_questions`."""
        self.spend_questions(now_ns, calls)
        self._reserved.append((now_ns, calls))

    def settle_questions(self, now_ns: int, calls: int) -> None:
        """A report has ended after so many calls. They count as made just now.

        All reservations are alike, so the last one is given back. That of a report which never ends stays: what it cost
        is not known.
        """
        if not self._reserved:
            return
        asked_ns, reserved = self._reserved.pop()
        self._private.give_back(asked_ns, reserved)
        self._address.give_back(asked_ns, reserved)
        self.spend_questions(now_ns, calls)

    def spend_strike(self, now_ns: int, orders: int, size: Lots) -> None:
        """Record a strike's sends."""
        for _ in range(orders):
            self.spend_order(now_ns, size)
        self._last_strike_ns = now_ns

    def spend_order(self, now_ns: int, size: Lots) -> None:
        """Record one order send."""
        self._strike_ns = None
        self._spend_call(now_ns)
        self._orders.spend(now_ns)
        if size <= self._small_lots:
            self._small.spend(now_ns)

    def spend_cancel(self, now_ns: int, orders: int) -> None:
        """Record single cancels."""
        self._strike_ns = None
        self._spend_call(now_ns, orders)

    def use(self, now_ns: int) -> tuple[WindowUse, ...]:
        """All windows, for the panel."""
        return tuple(window.use(now_ns) for window in (self._address, self._private, self._orders, self._small))

    def _spend_call(self, now_ns: int, calls: int = 1) -> None:
        """Every private call counts on the account and on the address."""
        self._private.spend(now_ns, calls)
        self._address.spend(now_ns, calls)

    def _strike_calls(self, orders: int, size: Lots) -> tuple[tuple[SendWindow, int], ...]:
        """The windows that a strike counts in, and how often."""
        key = (orders, size <= self._small_lots)
        if key not in self._calls:
            calls = ((self._address, 2 * orders), (self._private, 2 * orders), (self._orders, orders))
            self._calls[key] = (*calls, (self._small, orders)) if key[1] else calls
        return self._calls[key]
