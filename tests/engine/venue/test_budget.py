"""D11: in no window do calls exceed any limit, strikes leave the reserve alone, and pacing never stops striking."""

from __future__ import annotations

import itertools
from bisect import bisect_left
from copy import deepcopy
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stall_then_strike.config.models import ExchangeConfig, LimitsConfig
from stall_then_strike.engine.venue.budget import ON_THE_WAY_NS, Budget, SendWindow
from stall_then_strike.engine.venue.rules import Limit
from stall_then_strike.infra.bitflyer.bitflyer_rules import PUBLIC_CALLS, LimitName, bitflyer_limits
from stall_then_strike.types.dto import (
    NS_PER_S,
    ClientOrderId,
    LimitReading,
    OrderMemo,
    Reason,
    Side,
    TimeInForce,
)
from stall_then_strike.types.instrument import Lots
from tests.engine.core_rig import MS, properties

SMALL, LARGE = Lots(100_000), Lots(10**8)
MINUTE, FIVE_MINUTES = 60 * NS_PER_S, 300 * NS_PER_S


def window(limit: int = 5, seconds: int = 10, reserve: int = 2) -> SendWindow:
    length_ns = seconds * NS_PER_S - ON_THE_WAY_NS
    return SendWindow(Limit(name="test", most=limit, window_ns=length_ns, reserve=reserve))


def budget_of(limits: LimitsConfig) -> Budget:
    return Budget(bitflyer_limits(ExchangeConfig(limits=limits)))


class Calls:
    """What the venue would count: stamps of every call, by limit."""

    def __init__(self, limits: LimitsConfig) -> None:
        self.budget = budget_of(limits)
        self.limits = limits
        self.private: list[int] = []
        self.orders: list[int] = []
        self.small: list[int] = []

    def order(self, now: int, size: Lots) -> None:
        self.private.append(now)
        self.orders.append(now)
        if size <= 10_000_000:
            self.small.append(now)

    def strike(self, now: int, size: Lots) -> bool:
        if self.budget.strike_at_ns(now, 2, size) > now:
            return False
        self.budget.spend_strike(now, 2, size)
        self.order(now, size)
        self.order(now, size)
        return True

    def close(self, now: int, size: Lots) -> bool:
        if not self.budget.may_send(now, size):
            return False
        self.budget.spend_order(now, size)
        self.order(now, size)
        return True

    def cancel(self, now: int, orders: int) -> bool:
        if not self.budget.may_cancel(now, orders):
            return False
        self.budget.spend_cancel(now, orders)
        self.private.extend([now] * orders)
        return True

    def assert_kept(self) -> None:
        for stamps, limit, length in (
            (self.private, self.limits.private_per_5min, FIVE_MINUTES),
            (self.orders, self.limits.orders_per_5min, FIVE_MINUTES),
            (self.small, self.limits.small_orders_per_min, MINUTE),
        ):
            for first, stamp in enumerate(stamps):
                assert bisect_left(stamps, stamp + length) - first <= limit


# --- What is waited for -----------------------------------------------------------------------------------------------


def test_the_wait_names_the_limit_that_is_in_the_way_and_until_when() -> None:
    budget = budget_of(LimitsConfig(small_orders_per_min=20, reserve_small_orders=4))
    for _ in range(16):
        budget.spend_order(0, SMALL)
    now = 10 * NS_PER_S
    assert budget.strike_at_ns(now, 2, SMALL) == MINUTE + ON_THE_WAY_NS
    wait = budget.wait(now)
    assert wait is not None
    assert wait.text(now) == "small orders 16/20, next in 51.0 s"


def test_the_wait_says_when_strikes_are_only_spaced() -> None:
    budget = budget_of(LimitsConfig())
    for _ in range(30):
        budget.spend_strike(NS_PER_S, 2, SMALL)
    at = budget.strike_at_ns(NS_PER_S, 2, SMALL)
    wait = budget.wait(NS_PER_S)
    assert wait is not None
    assert NS_PER_S < wait.until_ns <= at
    assert wait.is_spaced
    assert wait.text(NS_PER_S).startswith("small orders 60/100, spaced, next in ")


def test_the_wait_tells_of_others_and_of_a_pause() -> None:
    budget, now = budget_of(LimitsConfig()), 100 * NS_PER_S
    budget.strike_at_ns(now, 2, SMALL)
    budget.on_reading(LimitReading(limit=LimitName.PRIVATE, remaining=10, reset_ns=now + 5 * NS_PER_S, ts_ns=now), now)
    budget.strike_at_ns(now, 2, SMALL)
    wait = budget.wait(now)
    assert wait is not None
    assert wait.text(now) == "private 490/500 (490 by others), next in 5.0 s"
    budget.block(now, now + 9 * NS_PER_S, exits=False)
    wait = budget.wait(now)
    assert wait is not None
    assert wait.text(now) == "pause after a refused or unsent request, next in 9.0 s"
    assert budget.wait(now + 9 * NS_PER_S) is None


@properties(100)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["strike", "order", "cancel", "block", "ask"]), st.integers(0, 20_000)), max_size=120
    )
)
def test_the_wait_is_the_answer_and_asking_for_it_changes_none(steps: list[tuple[str, int]]) -> None:
    limits = LimitsConfig(small_orders_per_min=30, private_per_5min=120, reserve_private=20)
    budget, silent, now = budget_of(limits), budget_of(limits), 0
    for what, ms in steps:
        now += ms * MS
        for one in (budget, silent):
            match what:
                case "strike" if one.strike_at_ns(now, 2, SMALL) <= now:
                    one.spend_strike(now, 2, SMALL)
                case "order":
                    one.spend_order(now, SMALL)
                case "cancel":
                    one.spend_cancel(now, 2)
                case "block":
                    one.block(now, now + 3 * NS_PER_S, exits=False)
                case _:
                    one.spend_questions(now, 4)
        wait = budget.wait(now)
        at = budget.strike_at_ns(now, 2, SMALL)
        assert at == silent.strike_at_ns(now, 2, SMALL)
        wait = budget.wait(now)
        assert (wait is None) == (at <= now)
        if wait is not None:
            assert now < wait.until_ns <= at
            sooner = deepcopy(silent)
            assert silent.strike_at_ns(wait.until_ns, 2, SMALL) <= wait.until_ns
            early = wait.until_ns - NS_PER_S // 5
            assert early <= now or sooner.strike_at_ns(early, 2, SMALL) > early
            break


# --- One window -------------------------------------------------------------------------------------------------------


def test_window_counts_what_is_younger_than_its_length() -> None:
    w = window()
    w.spend(0, 2)
    w.spend(3 * NS_PER_S)
    assert [w.used(int(t * NS_PER_S)) for t in (3, 9.999999999, 10, 12.999999999, 13)] == [3, 3, 1, 1, 0]


@pytest.mark.parametrize(
    ("calls", "keep", "free_at_s"),
    [(1, 0, 4), (2, 0, 4), (3, 0, 10), (3, 1, 11), (5, 0, 12), (2, 2, 11), (1, 4, 12)],
)
def test_room_comes_when_enough_stamps_have_left(calls: int, keep: int, free_at_s: int) -> None:
    w = window(limit=5)
    for second in (0, 1, 2):
        w.spend(second * NS_PER_S)
    assert w.free_at_ns(4 * NS_PER_S, calls, keep=keep) == free_at_s * NS_PER_S


def test_calls_that_never_fit_are_an_error_not_a_wait() -> None:
    with pytest.raises(ValueError, match="never fit"):
        window(limit=5).free_at_ns(0, 4, keep=2)


def test_no_pause_below_half_of_the_share_then_rising_ones() -> None:
    w = window(limit=120, seconds=60, reserve=20)
    gaps = []
    for _ in range(60):
        gaps.append(w.outlook(0, 2)[1])
        w.spend(0, 2)
    assert gaps[:26] == [0] * 26
    assert gaps[26:] == sorted(gaps[26:])
    assert gaps[26] > 0
    assert gaps[45] > 2 * gaps[35], "faster than in proportion"


def test_use_says_what_the_panel_shows() -> None:
    budget = budget_of(LimitsConfig())
    budget.spend_strike(0, 2, SMALL)
    budget.spend_cancel(0, 2)
    budget.spend_order(0, LARGE)
    use = budget.use(1)
    assert [(u.name, u.used, u.limit, u.reserve) for u in use] == [
        ("address", 5, 500, 60),
        ("private", 5, 500, 60),
        ("orders", 3, 300, 30),
        ("small orders", 2, 100, 10),
    ]


# --- All windows ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "counts"), [(Lots(10_000_000), True), (Lots(10_000_001), False)])
def test_orders_of_a_tenth_or_less_are_small(size: Lots, counts: bool) -> None:
    budget = budget_of(LimitsConfig())
    budget.spend_order(0, size)
    assert budget.use(0)[-1].used == counts


@pytest.mark.parametrize("limit", ["private", "orders", "small"])
def test_reserve_is_for_exits_only(limit: str) -> None:
    keys: dict[str, Any] = {
        "private": {"private_per_5min": 20, "reserve_private": 6},
        "orders": {"orders_per_5min": 20, "reserve_orders": 6},
        "small": {"small_orders_per_min": 20, "reserve_small_orders": 6},
    }
    calls = Calls(LimitsConfig(**keys[limit]))
    now = 0
    strikes = 0
    while strikes < 30 and now < 50 * NS_PER_S:
        strikes += calls.strike(now, SMALL)
        now += 20 * MS
    used = {"private": len(calls.private), "orders": len(calls.orders), "small": len(calls.small)}[limit]
    assert used <= 14
    assert calls.budget.may_send(now, SMALL)
    assert calls.budget.may_cancel(now, 6)
    closes = 0
    while calls.close(now, SMALL):
        closes += 1
    assert closes >= 6
    assert not calls.budget.may_send(now, SMALL)
    assert calls.budget.strike_at_ns(now, 2, SMALL) > now
    calls.assert_kept()


def test_strike_waits_for_room_for_its_cancels_too() -> None:
    calls = Calls(LimitsConfig(private_per_5min=10, reserve_private=2))
    calls.cancel(0, 5)
    assert calls.budget.strike_at_ns(0, 2, SMALL) == FIVE_MINUTES + ON_THE_WAY_NS, (
        "5 of 8 used: 2 sends fit, their 2 cancels do not"
    )


def test_wait_until_the_next_strike_ends_when_it_says() -> None:
    """The stamp is a promise: not allowed just before, allowed then, and as long as nothing is spent."""
    calls = Calls(LimitsConfig())
    now = 0
    while calls.strike(now, SMALL):
        now += 20 * MS
    for _ in range(30):
        at = calls.budget.strike_at_ns(now, 2, SMALL)
        while at > now:
            assert not calls.strike(at - 1, SMALL) or calls.budget.strike_at_ns(at - 1, 2, SMALL) <= at - 1
            now = at
            at = calls.budget.strike_at_ns(now, 2, SMALL)
        assert (
            calls.budget.strike_at_ns(now + FIVE_MINUTES + ON_THE_WAY_NS, 2, SMALL)
            <= now + FIVE_MINUTES + ON_THE_WAY_NS
        )
        assert calls.strike(now, SMALL)


def test_an_answer_is_for_the_strike_that_was_asked_about() -> None:
    calls = Calls(LimitsConfig(small_orders_per_min=12, reserve_small_orders=2))
    now = 0
    while calls.strike(now, SMALL):
        now += 1
    assert calls.budget.strike_at_ns(now, 2, SMALL) > now
    assert calls.budget.strike_at_ns(now, 2, LARGE) <= now, "large orders are no small ones"
    assert calls.budget.strike_at_ns(now, 2, SMALL) > now


@pytest.mark.parametrize("both_filled", [False, True])
def test_a_stall_every_20_ms_for_an_hour_breaches_nothing_and_never_dries_up(both_filled: bool) -> None:
    calls = Calls(LimitsConfig())
    strikes: list[int] = []
    for now in range(0, 3_600 * NS_PER_S, 20 * MS):
        if calls.strike(now, SMALL):
            strikes.append(now)
            cancel_at = now + 10 * MS
            if not both_filled:
                assert calls.cancel(cancel_at, 2), "a strike that went out can be taken back"
    calls.assert_kept()
    assert len(strikes) > 1_000, "80 % of what the limit would ever allow"
    pauses = [later - earlier for earlier, later in itertools.pairwise(strikes)]
    assert max(pauses) < 30 * NS_PER_S, "also after the first burst, which is the worst"
    assert max(pauses[len(pauses) // 2 :]) < 5 * NS_PER_S, "spaced, not in bursts with silence between"
    minutes = [sum(stamp // MINUTE == minute for stamp in strikes) for minute in range(30, 60)]
    assert min(minutes) >= 0.7 * max(minutes), "evenly, once under way"


LIMITS = st.builds(
    LimitsConfig,
    private_per_5min=st.integers(10, 60),
    orders_per_5min=st.integers(8, 40),
    small_orders_per_min=st.integers(6, 20),
    small_order_btc=st.just(Decimal("0.1")),
    reserve_private=st.integers(0, 6),
    reserve_orders=st.integers(0, 4),
    reserve_small_orders=st.integers(0, 2),
)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["strike", "strike", "strike", "close", "cancel"]),
        st.one_of(st.just(0), st.integers(0, 300 * MS), st.integers(0, 90 * NS_PER_S)),
        st.sampled_from([SMALL, LARGE]),
    ),
    min_size=20,
    max_size=200,
)


@properties(150)
@given(LIMITS, STEPS)
def test_no_window_ever_holds_more_than_its_limit(limits: LimitsConfig, steps: list[tuple[str, int, Lots]]) -> None:
    calls, now = Calls(limits), 0
    for what, pause, size in steps:
        now += pause
        if what == "strike":
            calls.strike(now, size)
        elif what == "close":
            calls.close(now, size)
        else:
            calls.cancel(now, 2)
    calls.assert_kept()


@properties(150)
@given(LIMITS, STEPS)
def test_the_next_strike_is_never_later_than_a_window_away(
    limits: LimitsConfig, steps: list[tuple[str, int, Lots]]
) -> None:
    """Whatever was spent, striking goes on after at most one window; and asking changes nothing."""
    calls, now = Calls(limits), 0
    for what, pause, _ in steps:
        now += pause
        at = calls.budget.strike_at_ns(now, 2, SMALL)
        assert calls.budget.strike_at_ns(now, 2, SMALL) == at, "asking twice answers the same"
        if at > now:
            later = max(now, min(at, now + FIVE_MINUTES + ON_THE_WAY_NS))
            again = calls.budget.strike_at_ns(later, 2, SMALL)
            assert again <= later, "waiting as long as told, or a whole window, is enough"
            now = later
        elif what == "strike":
            calls.strike(now, SMALL)
        if what == "close":
            calls.close(now, SMALL)
        elif what == "cancel":
            calls.cancel(now, 1)


def test_memory_is_bounded_by_the_limits() -> None:
    calls = Calls(LimitsConfig())
    for now in range(0, 3_600 * NS_PER_S, 200 * MS):
        if calls.strike(now, SMALL):
            calls.cancel(now, 2)
    assert all(len(w._stamps) <= w.limit for w in calls.budget._windows)


# --- the venue's word, refusals, questions, restarts (live)


def budget(**limits: int) -> Budget:
    return budget_of(LimitsConfig(**limits))


def used(found: Budget, now: int, name: str = "private") -> int:
    return next(use.used for use in found.use(now) if use.name == name)


def reading(remaining: int, reset_s: int, limit: LimitName = LimitName.PRIVATE) -> LimitReading:
    return LimitReading(ts_ns=0, limit=limit, remaining=remaining, reset_ns=reset_s * NS_PER_S)


def test_the_venues_count_is_believed_where_it_is_higher() -> None:
    """Somebody else uses the account too."""
    found = budget()
    found.spend_questions(0, 4)
    found.on_reading(reading(450, 100), 0)
    assert used(found, 1) == 50
    assert used(found, 99 * NS_PER_S) == 50
    assert used(found, 100 * NS_PER_S) == 4, "its window has ended"


def test_the_venues_count_is_not_believed_where_it_is_lower() -> None:
    """Its window is fixed and has just begun; ours still holds the calls of its last one."""
    found = budget()
    found.spend_questions(0, 40)
    found.on_reading(reading(499, 300), 1)
    assert used(found, 1) == 40


def test_a_reading_cannot_bind_for_longer_than_a_window() -> None:
    found = budget()
    found.on_reading(reading(0, 10_000_000), 0)
    assert used(found, 302 * NS_PER_S) == 0


def test_others_leave_no_room_for_strikes_and_questions_but_for_exits() -> None:
    """D9: turmoil was seen to leave "remaining" at 1."""
    found = budget()
    for limit in LimitName:
        found.on_reading(reading(1, 100, limit), 0)
    assert found.strike_at_ns(0, 2, SMALL) == 100 * NS_PER_S
    assert not found.may_ask(0, 4, urgent=True)
    assert found.may_send(0, SMALL)
    assert found.may_cancel(0, 2)


def test_a_reading_of_the_orders_limit_binds_strikes_and_not_questions() -> None:
    found = budget()
    found.on_reading(reading(10, 100, LimitName.ORDERS), 0)
    assert found.strike_at_ns(0, 2, SMALL) > 0
    assert found.may_ask(0, 4, urgent=False)


def test_urgent_questions_may_use_half_of_the_reserve() -> None:
    found = budget()
    asked = {True: 0, False: 0}
    for urgent in (False, True):
        while found.may_ask(0, 4, urgent=urgent):
            found.spend_questions(0, 4)
            asked[urgent] += 4
    assert asked[False] == 412
    assert 0 < asked[True] <= 33
    assert found.may_cancel(0, 30), "the other half is for exits"


@pytest.mark.parametrize("exits", [False, True])
def test_a_refusal_pauses_strikes_and_questions_and_for_a_limit_also_exits(exits: bool) -> None:
    found = budget()
    assert found.strike_at_ns(0, 2, SMALL) <= 0
    found.block(0, 20 * NS_PER_S, exits=exits)
    assert found.strike_at_ns(0, 2, SMALL) == 20 * NS_PER_S
    assert not found.may_ask(19 * NS_PER_S, 4, urgent=True)
    assert found.may_ask(20 * NS_PER_S, 4, urgent=False)
    assert found.may_cancel(0, 1) is found.may_send(0, SMALL) is not exits
    assert found.may_cancel(5 * NS_PER_S, 1), "exits are to be rare, not absent"
    assert found.may_send(5 * NS_PER_S, SMALL)


def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    found = budget()
    found.block(0, 20 * NS_PER_S, exits=False)
    found.block(1, 2 * NS_PER_S, exits=False)
    assert found.strike_at_ns(2, 2, SMALL) == 20 * NS_PER_S


def test_what_an_earlier_run_sent_still_counts() -> None:
    """C1: a crash loop must not send a hundred small orders a minute, run after run."""
    memo = OrderMemo(
        client_order_id=ClientOrderId("a"),
        order_id=None,
        side=Side.BUY,
        price=None,
        size=SMALL,
        time_in_force=TimeInForce.GTC,
        ttl_ms=800,
        tag="stall",
        reason=Reason.STRIKE,
        sent_ns=0,
        state="cancelled",
        executed=Lots(0),
        cancel_reason=Reason.TTL,
        cancel_sent_ns=NS_PER_S,
        registered_ns=None,
        is_live=False,
    )
    found = budget()
    found.restore(memo._replace(sent_ns=n) for n in range(90))
    now = 2 * NS_PER_S
    assert [used(found, now, name) for name in ("private", "orders", "small orders")] == [180, 90, 90]
    assert found.strike_at_ns(now, 2, SMALL) > now
    assert found.strike_at_ns(70 * NS_PER_S, 2, SMALL) <= 70 * NS_PER_S
    assert [used(found, 400 * NS_PER_S, name) for name in ("private", "orders", "small orders")] == [0, 0, 0]


def test_public_calls_of_the_same_address_leave_less_for_private_ones() -> None:
    found = budget()
    reading = LimitReading(ts_ns=0, limit=LimitName.ADDRESS, remaining=100, reset_ns=100 * NS_PER_S)
    found.on_reading(reading, 0)
    asked = 0
    while found.may_ask(0, 4, urgent=False):
        found.spend_questions(0, 4)
        asked += 4
    assert asked == 12, "100 less the reserve of 60 and the public calls to come"
    assert found.strike_at_ns(0, 2, SMALL) == 0
    found.on_reading(replace(reading, remaining=60), 0)
    assert found.strike_at_ns(0, 2, SMALL) > 0


def test_exits_leave_the_address_its_public_calls() -> None:
    found = budget()
    found.spend_cancel(0, 500 - PUBLIC_CALLS - 1)
    assert found.may_cancel(0, 1)
    assert found.may_send(0, SMALL)
    found.spend_cancel(0, 1)
    assert not found.may_cancel(0, 1)
    assert not found.may_send(0, SMALL)


def test_a_report_reserves_the_most_and_gives_back_what_it_did_not_take() -> None:
    found = budget()
    found.spend_questions(0, 2)
    found.reserve_questions(NS_PER_S, 8)
    assert used(found, NS_PER_S, "private") == 10
    found.spend_cancel(2 * NS_PER_S, 1)
    found.settle_questions(3 * NS_PER_S, 5)
    assert [used(found, 3 * NS_PER_S, name) for name in ("private", "address")] == [8, 8]
    # What was made counts from when it had been made for certain, not from the question on.
    end = FIVE_MINUTES + ON_THE_WAY_NS
    assert [used(found, second * NS_PER_S + end, "private") for second in (0, 1, 2, 3)] == [6, 6, 5, 0]
    found.settle_questions(3 * NS_PER_S + end, 4)
    assert used(found, 3 * NS_PER_S + end, "private") == 0, "nothing was asked"


def test_a_report_that_never_ends_stays_at_the_most_it_may_cost() -> None:
    found = budget()
    for second in range(2):
        found.reserve_questions(second * NS_PER_S, 8)
    found.settle_questions(2 * NS_PER_S, 4)
    assert used(found, 2 * NS_PER_S, "private") == 12


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 8)), min_size=1, max_size=30),
)
@properties(50)
def test_giving_back_never_takes_other_calls_away(steps: list[tuple[int, int]]) -> None:
    """Whatever else is sent meanwhile, the window holds exactly what was made."""
    found, now, made = budget(), 0, 0
    for pause, calls in steps:
        found.reserve_questions(now, 8)
        found.spend_cancel(now, 1)
        now += pause * NS_PER_S
        found.settle_questions(now, calls)
        made += calls + 1
    assert used(found, now, "private") == made
