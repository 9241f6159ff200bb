"""What the compiled replay writes a second time, in one list: its functions, their twins, and what shows them equal.

A rule over plain integers is compiled as the engine wrote it. What holds state is written twice, and listed here; the
twins' runs below do each of it, and their rows and counts are equal to the last integer.
"""

from __future__ import annotations

import ast
import random
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from stall_then_strike.research.replay import compiled, core_steps, kernel_book, kernel_ledger, venue_steps
from stall_then_strike.research.tables import prepare, scan
from stall_then_strike.types.dto import DecisionLogRow, OrderLogRow, TradeLogRow
from tests.market_script import config
from tests.research.replay.twins import Twins, twins
from tests.research.tables.random_tapes import random_tape

pytestmark = pytest.mark.timeout(600)  # the first call compiles everything

KERNEL = (core_steps, kernel_ledger, kernel_book, venue_steps)
HOUSE = "stall_then_strike"


class Twice(NamedTuple):
    """A thing that is written twice."""

    what: str
    here: str
    """Functions of the compiled replay."""
    there: str
    """What they do again, module and name."""
    seen: str
    """What the twins' rows must show, in words of `marks`."""


TWICE = (
    Twice("the order of a step", "on_event _take_in", "engine.core.Core", "hold:budget strike:strike"),
    Twice(
        "what a decision sees",
        "_see",
        "engine.acting.quoting.Quoting",
        "hold:budget hold:quoting hold:position_limit hold:stall_immature hold:spread hold:book_suspect hold:closing",
    ),
    Twice("gates' inputs", "_see", "engine.core.Core", "hold:halted hold:venue_not_running hold:quiet_time"),
    Twice(
        "a verdict carried out", "_decide _strike", "engine.core.Core", "strike:strike strike:one_side close:reverse"
    ),
    Twice(
        "cancels that must come through",
        "_cancel_due_ns _send_cancels _may_send_cancels _cancel_quotes _retry_cancels",
        "engine.acting.exits.Exits",
        "cancel:ttl cancel:best_moved cancel:waited",
    ),
    Twice(
        "a closing driven",
        "_begin_closing _close_ended _go_on _send_close",
        "engine.acting.exits.Exits",
        "trade:close trade:dust hold:dust close:kill_pnl close:at_market close:at_limit",
    ),
    Twice(
        "the life of an order",
        "_track _end _on_order _on_fill",
        "engine.orders.Orders",
        "trade:stall trade:part order:place order:expire order:cancel order:refused",
    ),
    Twice(
        "the kill switch",
        "_check_limits _halt too_many_rejects _roll",
        "engine.risk.KillSwitch",
        "halt:kill_pnl halt:kill_drawdown halt:rejects resume:day_roll",
    ),
    Twice(
        "results of day and run",
        "equity track apply_fill apply_cash mark roll_day _on_board",
        "engine.inventory.InventoryManager",
        "trade:stall trade:fee cash:funding resume:day_roll",
    ),
    Twice(
        "stamps within a limit",
        "calls _spend spend_calls spend_order _room_ns _pause_ns strike_at _has_room may_send may_cancel",
        "engine.venue.budget.Budget",
        "hold:budget trade:close cancel:ttl",
    ),
    Twice(
        "rows and counts",
        "new_row _order_row _decision_row decision hold count_hold",
        "engine.recording.Recorder",
        "hold:budget strike:strike trade:stall order:place",
    ),
    Twice(
        "when to wake",
        "core_deadline next_deadline is_done",
        "engine.core.Core",
        "cancel:ttl hold:book_stale count:expired",
    ),
    Twice(
        "the paper venue",
        "_push _slot_of _send_order _send_cancel _drop _fill _taken_at _note_taken _take _rank _put"
        " _forget_taken _requeue _on_book _print _settle _meets_own _expect_rival _rest _arrive _end_order"
        " _first_due _pop_due _pop_expiry advance",
        "sim.paper.PaperGateway",
        "trade:stall trade:part order:refused order:expire order:venue_expiry cash:funding",
    ),
    Twice("who is served before an order", "_behind_rival", "sim.paper._Resting", "trade:stall trade:part"),
    Twice(
        "the displayed book",
        "put_levels lower_bound walk_from walk seek shown next_change",
        "infra.levels.Levels",
        "trade:stall",
    ),
    Twice(
        "messages and deadlines passed over because nothing follows",
        "is_calm _levels_stand_until _pass_calm _forget_expiry",
        "app.trader.virtual.VirtualRun",
        "hold:quoting hold:stall_immature hold:closing count:expired",
    ),
    Twice(
        "time, messages and what is sent",
        "_tell _step send_waiting begin_chunk _board_message _state_message _pass_deadlines run _sample stop",
        "app.trader.virtual.VirtualRun",
        "hold:stopping",
    ),
)


def written_here() -> set[str]:
    """Compiled functions that are written in the compiled replay."""
    found = set()
    for module in KERNEL:
        tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
        functions = (node for node in tree.body if isinstance(node, ast.FunctionDef))
        found |= {node.name for node in functions if node.decorator_list}
    return found


def test_list_is_whole_and_each_twin_is_there() -> None:
    assert {name for twice in TWICE for name in twice.here.split()} == written_here()
    for twice in TWICE:
        module, _, name = f"{HOUSE}.{twice.there}".rpartition(".")
        assert hasattr(import_module(module), name), twice


def marks(pair: Twins) -> set[str]:
    """What happened in a run."""
    found = set()
    for row in pair.compiled_rows:
        if isinstance(row, DecisionLogRow):
            found.add(f"{row.decision_type}:{row.reason.label}")
            if row.decision_type == "strike" and not (row.entry_bid_px and row.entry_ask_px):
                found.add("strike:one_side")
            if row.decision_type == "cancel" and not row.actions:
                found.add("cancel:waited")
            for action in row.actions:
                if row.decision_type == "close" and hasattr(action, "price"):
                    found.add("close:at_market" if action.price is None else "close:at_limit")
        elif isinstance(row, TradeLogRow):
            found.add(f"trade:{row.tag}")
            found |= {"trade:fee"} if row.fee else set()
        elif isinstance(row, OrderLogRow):
            found.add(f"order:{row.action}")
            found |= {"order:refused"} if row.reason.startswith("rejected") else set()
            found |= {"order:venue_expiry"} if row.reason == "venue expiry" else set()
    booked = sum(row.pnl_jpy for row in pair.compiled_rows if isinstance(row, TradeLogRow))
    found |= {"cash:funding"} if pair.outcome.inventory.realised != booked else set()
    tally = pair.outcome.tally
    found |= {f"count:{name}" for name, count in tally.items() if count}
    return found | ({"trade:part"} if tally["touched"] > tally["filled"] else set())


def settings(seed: int) -> dict[str, dict[str, Any]]:
    """Settings under which much happens within seconds, the same for the same seed."""
    rng = random.Random(seed)
    one = rng.choice
    return {
        "strategy": {
            "stall_T_ms": one((1, 50)),
            "ttl_ms": one((100, 5_000)),
            "max_reverse_ticks": one((1, 10)),
            "max_inventory_btc": one((0.01, 0.02)),
            "size_min": one((0.001, 0.002, 0.01)),
            "stale_ms": one((100, 700)),
            "quote_mode": one(("inside", "join")),
            "close_type": one(("market", "ioc")),
        },
        "risk": {
            "daily_pnl_jpy": one((-30_000, -0.1, -0.001)),
            "max_dd_jpy": one((-20_000, -0.01)),
            "max_rejects": one((1, 10)),
            "after_halt": "wait",
        },
        "exchange": {"limits": one(({}, {"small_orders_per_min": 14, "private_per_5min": 70, "reserve_private": 10}))},
        "session": {
            "day_start": one(("09:00", "09:01")),
            "quiet": ({"start": "09:00:05", "end": "09:00:09", "why": "test"},),
        },
        "paper": {
            "seed": seed,
            "order_latency": {"kind": "uniform", "median_ms": 100, "spread_ms": 15},
            "cancel_latency": {"kind": "constant", "median_ms": one((20, 700, 65_000)), "spread_ms": 0},
            "taker_fee": 0.0015,
            "funding_rate": 0.0001,
            "funding_times": ("09:00:20", "09:02", "10:00"),
            "print_through": "queue" if seed == 2 else "all",
            "outbid_per_s": 5 if seed == 2 else 0,
        },
    }


SEEDS = (0, 1, 2, 3, 5, 13, 28, 35, 63)
"""Under which, together, all of it happens."""
CALM_SEEDS = (22, 57, 64, 102, 104, 139)
"""Of calm markets. Each condition that keeps a message from being passed over counts under one of them: a closing that
has ended, a level that we took of, the budget, an expiry, a change at our price, a cross."""


@cache
def seen() -> frozenset[str]:
    """What happened in all runs, each checked."""
    from tempfile import TemporaryDirectory

    found: set[str] = set()
    for seed, is_calm in (*((seed, False) for seed in SEEDS), *((seed, True) for seed in CALM_SEEDS)):
        with TemporaryDirectory() as folder:
            tape = random_tape(seed, 1_500, is_calm=is_calm)
            pair = twins(tape, config(**settings(seed)), Path(folder), chunk=300)
        pair.check()
        found |= marks(pair)
    return frozenset(found)


@pytest.mark.parametrize("twice", TWICE, ids=lambda twice: twice.what)
def test_twins_do_each_of_it(twice: Twice) -> None:
    assert set(twice.seen.split()) <= seen()


@pytest.mark.parametrize("module", [compiled, prepare])
def test_python_calls_entries_only(module: Any) -> None:
    """Other compiled functions have no gate for Python: a call ends the process."""
    called = [value for value in vars(module).values() if hasattr(value, "targetoptions")]
    assert called
    assert not [value for value in called if value.targetoptions.get("no_cpython_wrapper")]
    assert scan.scan_lines in called or module is compiled
