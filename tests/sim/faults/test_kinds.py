"""Faults as values, plans of them, and what they strike."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stall_then_strike.sim.faults.catalogue import RECIPES, SHORTEST_S, random_plan, single_plans
from stall_then_strike.sim.faults.injector import FaultInjector
from stall_then_strike.sim.faults.kinds import SPECS, Fault, FaultKind, FaultPlan, FaultVenue, Site, kinds_of
from stall_then_strike.types.dto import BoardState, Health
from tests.sim.exchange_rig import SECOND

DURATIONS = st.floats(SHORTEST_S, 5_000, allow_nan=False)


def injector(*faults: Fault, seed: int = 1, now_s: float = 0.0) -> FaultInjector:
    return FaultInjector(FaultPlan(faults, seed=seed), start_ns=0, now_ns=lambda: round(now_s * SECOND))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"from_s": -1}, "from_s: -1 is before the start; accepted: 0 or more"),
        ({"from_s": 5, "to_s": 5}, "to_s: 5 is not after from_s; accepted: above 5"),
        ({"chance": 0}, "chance: 0 is not a probability; accepted: above 0 to 1"),
        ({"chance": 1.1}, "chance: 1.1"),
        ({"count": 0}, "count: 0"),
        ({"skip": -1}, "skip: -1"),
        ({"seconds": 2}, "seconds: lose_frame does not take it; accepted: channel, event"),
        ({"path": "/v1/*"}, "path: lose_frame does not take it"),
        ({"kind": FaultKind.DELAY_FRAME, "seconds": -1}, "seconds: -1 is negative"),
        ({"kind": FaultKind.SERVER_ERROR, "http_status": 99}, "http_status: 99"),
        ({"kind": FaultKind.LOSE_FIELDS, "missing": ()}, "missing: is empty"),
        ({"kind": FaultKind.CUT_NETWORK}, "to_s: is missing; accepted: a number, because cut_network needs an end"),
        (
            {"kind": FaultKind.ABORT_SOCKETS, "chance": 0.5},
            "chance: abort_sockets strikes once, when its window begins",
        ),
        ({"kind": FaultKind.ABORT_SOCKETS, "count": 2}, "count: abort_sockets strikes once, when its window begins"),
        ({"kind": FaultKind.HALT_BOARD, "to_s": 1}, "to_s: 1 makes the halt too short; accepted: 2.0 or more"),
        ({"kind": FaultKind.HALT_BOARD, "to_s": 9, "state": BoardState.RUNNING}, "state: RUNNING is not a halt"),
        ({"kind": FaultKind.MAINTENANCE, "to_s": 5}, "to_s: 5 makes the maintenance too short; accepted: 6.0 or more"),
        ({"kind": FaultKind.BUSY, "health": Health.UNKNOWN}, "health: UNKNOWN is never sent"),
        ({"kind": FaultKind.STALE_LIST, "seconds": 601}, "seconds: 601 is too long ago; accepted: 0 to 600"),
        (
            {"kind": FaultKind.STALE_LIST, "path": "/v1/me/getbalance"},
            "matches no list; accepted: /v1/me/getexecutions",
        ),
        ({"kind": FaultKind.STALE_NONCE, "by": 0}, "by: 0 is too small; accepted: 1 or more"),
        (
            {"kind": FaultKind.REFUSE_TX, "code": 1},
            "code: 1 is not a refusal; accepted: 21104, 21120, 21136, 21506",
        ),
        ({"kind": FaultKind.SHUTDOWN}, "to_s: is missing; accepted: a number, because shutdown needs an end"),
        ({"kind": FaultKind.WRONG_MID, "blank": True}, "blank: wrong_mid does not take it; accepted: channel, ticks"),
    ],
)
def test_fault_that_makes_no_sense_says_what_is_accepted(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match="accepted:") as refused:
        Fault(**{"kind": FaultKind.LOSE_FRAME, **options})
    assert words in str(refused.value)


def test_all_mistakes_of_a_fault_are_told_at_once() -> None:
    with pytest.raises(ValueError, match="chance") as refused:
        Fault(kind=FaultKind.LOSE_FRAME, chance=2, skip=-1, seconds=1)
    lines = str(refused.value).splitlines()
    assert {line.partition(":")[0] for line in lines} == {"skip", "chance", "seconds"}


def test_every_kind_has_rules_and_a_recipe() -> None:
    assert set(SPECS) == set(FaultKind)
    assert set(kinds_of(FaultVenue.BITFLYER)) == {recipe["kind"] for recipe in RECIPES.values()}


def test_end_of_a_fault_counts_what_is_still_under_way() -> None:
    late = Fault(kind=FaultKind.DELAY_FRAME, seconds=3, to_s=10)
    assert late.quiet_from_s == 13
    assert Fault(kind=FaultKind.LOSE_FRAME, to_s=10).quiet_from_s == 10
    assert Fault(kind=FaultKind.BUSY, seconds=3, to_s=10).quiet_from_s == 16
    assert Fault(kind=FaultKind.CLOSE_SOCKETS, from_s=4).quiet_from_s == 4
    assert Fault(kind=FaultKind.LOSE_FRAME).quiet_from_s is None
    assert FaultPlan().quiet_from_s == 0
    assert FaultPlan((late, Fault(kind=FaultKind.ABORT_SOCKETS, from_s=20))).quiet_from_s == 20
    assert FaultPlan((late, Fault(kind=FaultKind.LOSE_FRAME))).quiet_from_s is None


@given(seed=st.integers(), duration_s=DURATIONS, most=st.integers(1, 20))
def test_random_plan_leaves_the_last_third_in_peace(seed: int, duration_s: float, most: int) -> None:
    plan = random_plan(seed, duration_s, max_faults=most)
    assert 1 <= len(plan.faults) <= most
    assert plan.quiet_from_s is not None
    assert plan.quiet_from_s <= duration_s * 2 / 3
    assert all(fault.from_s >= 0 for fault in plan.faults)
    assert plan == random_plan(seed, duration_s, max_faults=most)


def test_random_plans_differ_and_reach_every_kind() -> None:
    plans = [random_plan(seed, 60) for seed in range(300)]
    assert len(set(plans)) > 290
    assert {fault.kind for plan in plans for fault in plan.faults} == set(kinds_of(FaultVenue.BITFLYER))


def test_plans_of_nothing_and_of_too_short_runs_are_refused() -> None:
    with pytest.raises(ValueError, match="too short"):
        random_plan(1, 5)
    with pytest.raises(ValueError, match="too short"):
        single_plans(float("nan"))
    with pytest.raises(ValueError, match="max_faults: 0 is too small"):
        random_plan(1, 60, max_faults=0)


@given(duration_s=DURATIONS)
def test_single_plans_have_every_kind_within_the_run(duration_s: float) -> None:
    plans = single_plans(duration_s)
    assert set(plans) == set(RECIPES)
    for name, plan in plans.items():
        assert plan.faults[0].label == name
        assert all(f.to_s is not None and f.from_s < f.to_s < duration_s for f in plan.faults)


# --- strikes ---------------------------------------------------------------------------------------------------------


def test_window_begins_included_and_ends_excluded() -> None:
    faults = injector(Fault(kind=FaultKind.LOSE_REQUEST, from_s=2, to_s=4))
    struck = [faults.take(Site.CALL, second * SECOND) is not None for second in range(6)]
    assert struck == [False, False, True, True, False, False]
    assert faults.struck == Counter({"lose_request": 2})


def test_skip_spares_the_first_and_count_ends_it() -> None:
    faults = injector(Fault(kind=FaultKind.REFUSE_AUTH, name="again", skip=1, count=2))
    assert [faults.take(Site.AUTH, n) is not None for n in range(5)] == [False, True, True, False, False]
    assert faults.struck == Counter({"again": 2})
    faults.forget(5)
    assert faults.is_idle


def test_path_and_method_choose() -> None:
    faults = injector(
        Fault(kind=FaultKind.OVER_LIMIT, path="/v1/me/*", count=1),
        Fault(kind=FaultKind.SERVER_ERROR, path="*/sendchildorder"),
        Fault(kind=FaultKind.LOSE_REPLY, method="auth"),
    )
    paths = ["/v1/getboard", "/v1/me/getpositions", "/v1/me/getpositions", "/v1/me/sendchildorder"]
    taken = [faults.take(Site.CALL, 0, path=path) for path in paths]
    assert [fault and fault.kind for fault in taken] == [None, FaultKind.OVER_LIMIT, None, FaultKind.SERVER_ERROR]
    assert faults.take(Site.REPLY, 0, methods=frozenset({"subscribe"})) is None
    assert faults.take(Site.REPLY, 0, methods=frozenset({"subscribe", "auth"})) is not None


@pytest.mark.parametrize("seed", range(5))
def test_chance_is_the_same_for_the_same_seed_whatever_other_faults_draw(seed: int) -> None:
    one = Fault(kind=FaultKind.LOSE_REQUEST, chance=0.5)
    other = Fault(kind=FaultKind.LOSE_ANSWER, chance=0.5)
    alone, beside = injector(one, seed=seed), injector(one, other, seed=seed)
    expected = [alone.take(Site.CALL, n) is not None for n in range(50)]
    found = []
    for n in range(50):
        beside.take_all(Site.ANSWER, n)
        found.append(beside.take(Site.CALL, n) is not None)
    assert found == expected
    assert 10 < sum(expected) < 40


def test_injected_fault_counts_from_now_and_can_be_lifted() -> None:
    faults = injector(now_s=10)
    calls = 0

    def changed() -> None:
        nonlocal calls
        calls += 1

    faults.on_change = changed
    assert faults.is_idle
    faults.inject(Fault(kind=FaultKind.LOSE_REQUEST, from_s=1, to_s=2), Fault(kind=FaultKind.LOSE_ANSWER, name="b"))
    assert [faults.take(Site.CALL, s * SECOND) is not None for s in (10, 11, 12)] == [False, True, False]
    faults.lift("b")
    assert faults.take_all(Site.ANSWER, 11 * SECOND) == []
    assert not faults.is_idle
    faults.lift()
    assert faults.is_idle
    assert calls == 3
