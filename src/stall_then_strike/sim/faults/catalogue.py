"""Plans of faults: each kind alone, and mixtures drawn from a seed. Pure.

A recipe is a named fault with sensible parameters but without a window. Every kind has at least one, and several if it
can hit different channels, events or calls. Seconds are shortened for short runs, so that what is late still arrives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from random import Random
from typing import Any, Final

from stall_then_strike.sim.faults.kinds import SPECS, Fault, FaultKind, FaultPlan, Site
from stall_then_strike.types.dto import BoardState, Health

SHORTEST_S: Final = 20.0
"""Shortest run with faults, venue time: a maintenance takes some seconds, and recovery needs time after it."""

_EVENTS: Final = "child_order_events"
_SEND: Final = "/v1/me/sendchildorder"
_CANCEL: Final = "/v1/me/cancelchildorder"
_PRIVATE: Final = "/v1/me/*"
_TERMS: Final = ("child_order_type", "side", "price", "size", "expire_date")
"""Fields with the terms of an order in an ORDER event."""
OPTIONAL: Final[Mapping[str, tuple[str, ...]]] = {
    "/v1/me/getexecutions": ("commission",),
    "/v1/me/getpositions": (
        "commission",
        "swap_point_accumulate",
        "require_collateral",
        "open_date",
        "leverage",
        "pnl",
        "sfd",
    ),
    "/v1/me/getchildorders": (
        "id",
        "child_order_id",
        "average_price",
        "expire_date",
        "outstanding_size",
        "cancel_size",
        "total_commission",
        "time_in_force",
    ),
    "/v1/me/getcollateral": ("keep_rate", "margin_call_amount", "margin_call_due_date"),
}
"""Fields of each list that a client can do without."""
_K: Final = FaultKind


def _bare(path: str) -> dict[str, Any]:
    return {"path": path, "missing": OPTIONAL[path]}


Recipes = Mapping[str, Mapping[str, Any]]
OF_SOCKETS: Final[Recipes] = {
    "close_sockets": {"kind": _K.CLOSE_SOCKETS},
    "abort_sockets": {"kind": _K.ABORT_SOCKETS},
    "half_open": {"kind": _K.HALF_OPEN},
    "refuse_sockets": {"kind": _K.REFUSE_SOCKETS},
    "reset_sockets": {"kind": _K.RESET_SOCKETS},
    "cut_network": {"kind": _K.CUT_NETWORK},
    "reset_network": {"kind": _K.RESET_NETWORK},
}
"""Faults of sockets and the network, the same for every venue."""
RECIPES: Final[Recipes] = {
    # The public feed.
    "lose_deltas": {"kind": _K.LOSE_FRAME, "channel": "lightning_board_FX*", "chance": 0.3},
    "mute_board": {"kind": _K.LOSE_FRAME, "channel": "lightning_board_FX*"},
    "mute_snapshots": {"kind": _K.LOSE_FRAME, "channel": "lightning_board_snapshot_*"},
    "mute_executions": {"kind": _K.LOSE_FRAME, "channel": "lightning_executions_*"},
    "late_feed": {"kind": _K.DELAY_FRAME, "channel": "lightning_*", "seconds": 1.5},
    "twice_deltas": {"kind": _K.DUPLICATE_FRAME, "channel": "lightning_board_FX*", "chance": 0.5},
    "twice_executions": {"kind": _K.DUPLICATE_FRAME, "channel": "lightning_executions_*", "seconds": 0.5},
    "disordered_deltas": {"kind": _K.REORDER_FRAME, "channel": "lightning_board_FX*", "chance": 0.5},
    "frozen_feed": {"kind": _K.FREEZE_FEED},
    "frozen_feed_with_burst": {"kind": _K.FREEZE_FEED, "backlog": True},
    "wrong_mid": {"kind": _K.WRONG_MID, "ticks": 700, "chance": 0.5},
    "lose_deletion": {"kind": _K.LOSE_DELETION, "count": 3},
    # Order events.
    "lose_order_events": {"kind": _K.LOSE_FRAME, "channel": _EVENTS, "chance": 0.5},
    "mute_order_events": {"kind": _K.LOSE_FRAME, "channel": _EVENTS},
    "lose_order": {"kind": _K.LOSE_FRAME, "channel": _EVENTS, "event": "ORDER"},
    "lose_execution": {"kind": _K.LOSE_FRAME, "channel": _EVENTS, "event": "EXECUTION"},
    "lose_cancel": {"kind": _K.LOSE_FRAME, "channel": _EVENTS, "event": "CANCEL"},
    "late_order_events": {"kind": _K.DELAY_FRAME, "channel": _EVENTS, "seconds": 2.0, "chance": 0.5},
    "late_executions": {"kind": _K.DELAY_FRAME, "channel": _EVENTS, "event": "EXECUTION", "seconds": 3.0},
    "twice_execution": {"kind": _K.DUPLICATE_FRAME, "channel": _EVENTS, "event": "EXECUTION", "seconds": 0.3},
    "disordered_order_events": {"kind": _K.REORDER_FRAME, "channel": _EVENTS, "chance": 0.5, "seconds": 3.0},
    "wrong_outstanding": {"kind": _K.WRONG_OUTSTANDING, "lots": 50_000},
    "no_outstanding": {"kind": _K.LOSE_FIELDS, "missing": ("outstanding_size",)},
    "no_commission": {"kind": _K.LOSE_FIELDS},
    "blank_commission": {"kind": _K.LOSE_FIELDS, "blank": True},
    "no_terms": {"kind": _K.LOSE_FIELDS, "event": "ORDER", "missing": _TERMS},
    "twice_order_events": {"kind": _K.DUPLICATE_FRAME, "channel": _EVENTS},
    "phantom_execution": {"kind": _K.PHANTOM_EXECUTION, "count": 2},
    # Sockets and the network.
    **OF_SOCKETS,
    "refuse_auth": {"kind": _K.REFUSE_AUTH},
    "fail_auth": {"kind": _K.FAIL_AUTH},
    "silent_auth": {"kind": _K.LOSE_REPLY, "method": "auth"},
    "late_auth": {"kind": _K.DELAY_REPLY, "method": "auth", "seconds": 3.0},
    "cut_in_auth": {"kind": _K.CUT_REPLY, "method": "auth"},
    "cut_in_subscribe": {"kind": _K.CUT_REPLY, "method": "subscribe", "count": 3},
    # Calls.
    "lose_send": {"kind": _K.LOSE_REQUEST, "path": _SEND},
    "lose_cancel_request": {"kind": _K.LOSE_REQUEST, "path": _CANCEL},
    "reset_send": {"kind": _K.RESET_REQUEST, "path": _SEND},
    "over_limit": {"kind": _K.OVER_LIMIT, "path": _PRIVATE, "seconds": 3.0},
    "over_limit_on_send": {"kind": _K.OVER_LIMIT, "path": _SEND, "seconds": 3.0},
    "error_500": {"kind": _K.SERVER_ERROR, "path": _PRIVATE, "http_status": 500},
    "error_502": {"kind": _K.SERVER_ERROR, "path": _PRIVATE, "http_status": 502},
    "error_503": {"kind": _K.SERVER_ERROR, "path": "/v1/*", "http_status": 503},
    "overloaded": {"kind": _K.OVERLOADED},
    "order_not_found": {"kind": _K.ORDER_NOT_FOUND},
    "lose_answer_to_send": {"kind": _K.LOSE_ANSWER, "path": _SEND},
    "lose_answer_to_cancel": {"kind": _K.LOSE_ANSWER, "path": _CANCEL},
    "reset_answer_to_send": {"kind": _K.RESET_ANSWER, "path": _SEND},
    "late_answers": {"kind": _K.DELAY_ANSWER, "path": _PRIVATE, "seconds": 3.0},
    "error_after_send": {"kind": _K.ERROR_AFTER_EFFECT, "path": _SEND},
    "html_page": {"kind": _K.HTML_PAGE, "path": _PRIVATE},
    "truncated_json": {"kind": _K.TRUNCATED_JSON, "path": _PRIVATE},
    "empty_body": {"kind": _K.EMPTY_BODY, "path": _PRIVATE},
    "json_array": {"kind": _K.JSON_ARRAY, "path": _PRIVATE},
    "stuck_remaining": {"kind": _K.STUCK_REMAINING, "path": _PRIVATE},
    "wrong_date": {"kind": _K.WRONG_DATE, "path": "/v1/*", "count": 2},
    # What lists and collateral show.
    "no_listed_commission": {"kind": _K.STRIP_ANSWER},
    "blank_listed_commission": {"kind": _K.STRIP_ANSWER, "blank": True},
    "bare_positions": {"kind": _K.STRIP_ANSWER, **_bare("/v1/me/getpositions")},
    "bare_orders": {"kind": _K.STRIP_ANSWER, **_bare("/v1/me/getchildorders")},
    "bare_collateral": {"kind": _K.STRIP_ANSWER, **_bare("/v1/me/getcollateral")},
    "stale_executions": {"kind": _K.STALE_LIST, "path": "/v1/me/getexecutions"},
    "stale_positions": {"kind": _K.STALE_LIST, "path": "/v1/me/getpositions"},
    "stale_orders": {"kind": _K.STALE_LIST, "path": "/v1/me/getchildorders"},
    "stale_collateral": {"kind": _K.STALE_LIST, "path": "/v1/me/getcollateral"},
    "stale_fills": {"kind": _K.STALE_LIST, "path": "/v1/me/get[ep]*"},
    "stale_account": {"kind": _K.STALE_LIST},
    "flickering_executions": {"kind": _K.STALE_LIST, "path": "/v1/me/getexecutions", "chance": 0.5},
    # Orders.
    "vanish_order": {"kind": _K.VANISH_ORDER},
    "no_margin": {"kind": _K.NO_MARGIN},
    "fail_margin": {"kind": _K.FAIL_MARGIN},
    "ignore_cancel": {"kind": _K.IGNORE_CANCEL},
    # The venue's condition.
    "busy": {"kind": _K.BUSY, "seconds": 3.0},
    "no_orders_taken": {"kind": _K.BUSY, "seconds": 0.0, "health": Health.NO_ORDER},
    "circuit_break": {"kind": _K.HALT_BOARD},
    "closed": {"kind": _K.HALT_BOARD, "state": BoardState.CLOSED},
    "maintenance": {"kind": _K.MAINTENANCE},
    "clock_skew": {"kind": _K.CLOCK_SKEW},
    "clock_behind": {"kind": _K.CLOCK_SKEW, "seconds": -2.0},
}
"""Faults of bitFlyer's exchange by name, without their windows; Lighter's are in `lighter_catalogue.py`."""

_LONGEST_SHARE: Final = 0.1
"""Longest delay as a share of the run."""
_AS_THEY_ARE: Final = frozenset({_K.CLOCK_SKEW, _K.WRONG_DATE, _K.STALE_LIST})
"""Kinds whose seconds are not shortened, because they do not extend beyond the window."""
_SHORTEST_WINDOW_S: Final = 7.0


def single_plans(duration_s: float, recipes: Recipes = RECIPES) -> dict[str, FaultPlan]:
    """One plan per recipe, by name, with its fault from a fifth of the run to half of it.

    Raises ValueError for less than :data:`SHORTEST_S`. Faults of logins, handshakes and answers come with a cut of all
    sockets, because otherwise none of these may happen in the middle of a run.
    """
    _check(duration_s)
    plans: dict[str, FaultPlan] = {}
    for name, recipe in recipes.items():
        fault = _fault(
            name,
            recipe,
            duration_s,
            from_s=duration_s / 5,
            to_s=max(duration_s / 2, duration_s / 5 + _SHORTEST_WINDOW_S),
        )
        faults = [fault]
        if fault.spec.site in {Site.REPLY, Site.AUTH, Site.HANDSHAKE}:
            faults.append(Fault(kind=_K.ABORT_SOCKETS, from_s=fault.from_s, to_s=fault.to_s))
        plans[name] = FaultPlan(tuple(faults))
    return plans


def random_plan(seed: int, duration_s: float, *, max_faults: int = 6, recipes: Recipes = RECIPES) -> FaultPlan:
    """Up to ``max_faults`` faults of a run, drawn from a seed; the last third of the run is free of them.

    Raises ValueError for less than :data:`SHORTEST_S` and for ``max_faults`` below 1.
    """
    _check(duration_s)
    if max_faults < 1:
        raise ValueError(f"max_faults: {max_faults} is too small; accepted: 1 or more")
    rng = Random(f"chaos {seed}")
    names = sorted(recipes)
    faults = [
        _drawn(rng, name := rng.choice(names), recipes[name], duration_s) for _ in range(rng.randint(1, max_faults))
    ]
    return FaultPlan(tuple(faults), seed=seed)


# --- inside ----------------------------------------------------------------------------------------------------------


def _check(duration_s: float) -> None:
    if not duration_s >= SHORTEST_S:
        raise ValueError(f"{duration_s:g} s is too short for faults and recovery; accepted: {SHORTEST_S:g} or more")


def _fault(name: str, wanted: Mapping[str, Any], duration_s: float, **more: Any) -> Fault:
    """A recipe as a fault of a run."""
    recipe = dict(wanted)
    seconds = recipe.get("seconds", SPECS[recipe["kind"]].seconds)
    if "seconds" in SPECS[recipe["kind"]].takes and recipe["kind"] not in _AS_THEY_ARE:
        recipe["seconds"] = min(seconds, duration_s * _LONGEST_SHARE)
    return Fault(**{**recipe, "name": name, **more})


def _drawn(rng: Random, name: str, recipe: Mapping[str, Any], duration_s: float) -> Fault:
    """A recipe with a random window and, unless it is a scene, a random chance and count."""
    latest_s = duration_s * 2 / 3
    probe = _fault(name, recipe, duration_s, to_s=duration_s)
    if probe.quiet_from_s is None:
        raise AssertionError("a fault with to_s has an end")
    latest_s -= max(0.0, probe.quiet_from_s - duration_s)
    longest_s = max(_SHORTEST_WINDOW_S, duration_s * 0.3)
    length_s = rng.uniform(_SHORTEST_WINDOW_S, longest_s)
    from_s = round(rng.uniform(0.0, max(0.0, latest_s - length_s)), 3)
    fault = replace(probe, from_s=from_s, to_s=round(min(from_s + length_s, latest_s - 0.001), 3))
    if fault.spec.site is Site.SCENE:
        return fault
    chance = rng.choice((1.0, 1.0, round(rng.uniform(0.1, 0.9), 3)))
    return replace(fault, chance=chance, count=rng.choice((None, 1, 2, 5)))
