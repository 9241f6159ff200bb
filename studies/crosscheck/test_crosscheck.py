"""Our replay against hftbacktest: equal, fill by fill, once the rules of docs/crosscheck.md are put on.

The numbers pinned here are those of docs/crosscheck.md. hftbacktest compiles its side in each process: some seconds.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import numpy as np
import orjson
import pytest

from stall_then_strike.research.tables.npz import write_npz
from stall_then_strike.types.instrument import fx_btc_jpy
from studies.crosscheck import agreement, order_script, pinned, same_terms, their_engine, their_events
from studies.crosscheck.order_script import Order, outcomes
from studies.crosscheck.same_terms import Tape, latency_ns, settings
from studies.crosscheck.their_rules import ANSWER_NS, Law, Rule, Theirs
from tests.e2e.commands import SAMPLE
from tests.market_script import MS, START_NS, Script
from tests.research.tables.random_tapes import random_tape
from tests.shared_data import real_tape_path

BUY, SELL = 1, -1
BID, ASK, INSIDE = 13_000_000, 13_000_100, 13_000_050
LOTS = 100_000_000


@pytest.fixture(scope="module")
def sample() -> Tape:
    return Tape(SAMPLE)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Tape:
    return same_terms.generated(tmp_path_factory.mktemp("made") / "made.jsonl", seconds=160, seed=3, lost=0.02)


# --- each rule alone, on a market made for it


@dataclass(frozen=True)
class Case:
    """A market, orders (when and until, ms; side, price, BTC), and by order what each side fills: (ms, price, BTC)."""

    rule: Rule
    market: Script
    orders: tuple[tuple[float, float, int, int, float], ...]
    ours: dict[int, list[tuple[float, int, float]]]
    theirs: dict[int, list[tuple[float, int, float]]]
    law: Law = Law.RISK_ADVERSE


def market(bids: dict[int, float] | None = None) -> Script:
    levels = {BID: 0.5, BID - 10: 0.5} if bids is None else bids
    return Script().ticker(0).snapshot(0, levels, {ASK: 0.5, ASK + 10: 0.5})


INVALID_ORDER_STATUS = 14
"""Their error code."""
ARRIVES = 110.000003
"""An order sent at 10 ms."""

CASES = {
    "a bid at our offer": Case(
        Rule.TOUCH, market().delta(1000, {INSIDE: 0.3}), ((10, 4000, SELL, INSIDE, 0.01),), {},
        {0: [(1000, INSIDE, 0.01)]},
    ),
    "a bid through our offer, smaller than it": Case(
        Rule.THROUGH, market().delta(1000, {INSIDE + 10: 0.004}), ((10, 4000, SELL, INSIDE, 0.01),),
        {0: [(1000, INSIDE, 0.004)]}, {0: [(1000, INSIDE, 0.01)]},
    ),
    "a print through our offer, smaller than it": Case(
        Rule.THROUGH, market().trade(1000, "BUY", INSIDE + 10, 0.004), ((10, 4000, SELL, INSIDE, 0.01),),
        {0: [(1000, INSIDE, 0.004)]}, {0: [(1000, INSIDE, 0.01)]},
    ),
    "a print at our offer, smaller than it": Case(
        Rule.THROUGH, market().trade(1000, "BUY", INSIDE, 0.004), ((10, 4000, SELL, INSIDE, 0.01),),
        {0: [(1000, INSIDE, 0.004)]}, {0: [(1000, INSIDE, 0.01)]},
    ),
    "one print for two orders": Case(
        Rule.ALONE, market().trade(1000, "BUY", INSIDE, 0.01),
        ((10, 4000, SELL, INSIDE, 0.01), (20, 4000, SELL, INSIDE, 0.01)),
        {0: [(1000, INSIDE, 0.01)]}, {0: [(1000, INSIDE, 0.01)], 1: [(1000, INSIDE, 0.01)]},
    ),
    "more than the best level": Case(
        Rule.TAKER, market({BID: 0.004, BID - 10: 0.5}), ((10, 4000, SELL, BID - 10, 0.01),),
        {0: [(ARRIVES, BID - 10, 0.01)]}, {0: [(ARRIVES, BID, 0.01)]},
    ),
    "after a minute": Case(
        Rule.LIFE, market().trade(65_000, "BUY", INSIDE, 1.0), ((10, 68_000, SELL, INSIDE, 0.01),), {},
        {0: [(65_000, INSIDE, 0.01)]},
    ),
    "an order that meets ours": Case(
        Rule.MEET, market().trade(1000, "BUY", INSIDE, 1.0),
        ((10, 4000, BUY, INSIDE, 0.01), (20, 4000, SELL, INSIDE - 10, 0.01)), {}, {1: [(1000, INSIDE - 10, 0.01)]},
    ),
    "a cancel that overtakes the acknowledgement": Case(
        Rule.CANCEL, market().trade(180, "BUY", INSIDE, 1.0), ((10, 60, SELL, INSIDE, 0.01),), {},
        {0: [(180, INSIDE, 0.01)]},
    ),
    "a book that contradicts its mid": Case(
        Rule.BELIEF, market().delta(1000, {INSIDE + 10: 0.5}, mid=1).delta(1500, {INSIDE + 10: 0}),
        ((10, 4000, SELL, INSIDE, 0.01),), {}, {0: [(1000, INSIDE, 0.01)]},
    ),
    "a print that shows in two steps": Case(
        Rule.QUEUE,
        market().trade(500, "SELL", BID, 0.2).delta(600, {BID: 0.4}).delta(700, {BID: 0.3})
        .trade(900, "SELL", BID, 0.25),
        ((10, 4000, BUY, BID, 0.01),), {}, {0: [(900, BID, 0.01)]}, Law.POWER,
    ),
    "a snapshot with a smaller level": Case(
        Rule.BOOK,
        market().delta(500, {BID: 1.0}).snapshot(600, {BID: 0.6, BID - 10: 0.5}, {ASK: 0.5})
        .trade(900, "SELL", BID, 0.4),
        ((10, 4000, BUY, BID, 0.01),), {0: [(900, BID, 0.01)]}, {}, Law.POWER,
    ),
}  # fmt: skip


def at_ns(ms: float) -> int:
    return START_NS + round(ms * MS)


def expected(fills: dict[int, list[tuple[float, int, float]]]) -> order_script.Outcomes:
    return {
        number: tuple((at_ns(ms), price, round(size * LOTS)) for ms, price, size in rows)
        for number, rows in fills.items()
    }


def placed(orders: tuple[tuple[float, float, int, int, float], ...]) -> list[Order]:
    return [Order(at_ns(at), at_ns(until), side, price, round(size * LOTS)) for at, until, side, price, size in orders]


def taped(script: Script, path: Path, *, seconds: float = 70) -> Tape:
    return same_terms.written(script.ticker(seconds * 1000).in_order(), path)


@pytest.mark.parametrize("name", CASES)
def test_each_rule_makes_the_difference_it_is_said_to_make(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    tape, cfg, theirs = taped(case.market, tmp_path / "t.jsonl"), settings(case.law), Theirs(law=case.law)
    orders = placed(case.orders)
    fills, _, code = their_engine.play(tape.data, orders, theirs, latency_ns(cfg), tape.end_ns)
    ours, _ = order_script.play(tape.messages, cfg, orders, (), theirs, ())
    assert code == 0
    assert outcomes(ours) == expected(case.ours)
    assert outcomes(fills) == expected(case.theirs)
    found = agreement.explain(tape, cfg, theirs, orders)
    assert not found.unexplained
    assert set(found.by_rule) == set(found.touched) == {case.rule}


# --- scripts of many orders


def test_pinned_digest_is_that_of_their_fills(sample: Tape) -> None:
    cfg, theirs = settings(), Theirs()
    orders = pinned.script(sample, cfg)
    fills, _, code = their_engine.play(sample.data, orders, theirs, latency_ns(cfg), sample.end_ns)
    played = outcomes(fill for fill in fills if fill.ts_ns < sample.end_ns)
    assert (code, sum(map(len, played.values())), pinned.digest(played)) == (0, pinned.FILLS, pinned.DIGEST)
    assert (SCRIPTED[theirs].ours, SCRIPTED[theirs].agree) == (pinned.OURS, pinned.AGREE)


def test_without_rules_the_ladder_begins_at_the_paper_venue_itself(sample: Tape, tmp_path: Path) -> None:
    cases = [(sample, settings(law), 5_000) for law in Law]
    for seed in range(1, 5):
        random = same_terms.written(believable(seed, 1_000), tmp_path / f"{seed}.jsonl")
        cases += [(random, settings(law), 75_000) for law in Law]
    for tape, cfg, longest_ms in cases:
        orders = order_script.script(tape.messages, cfg, seed=3, every_ms=100, longest_ms=longest_ms)
        fills, _ = order_script.play(tape.messages, cfg, orders, (), Theirs(), ())
        assert fills
        assert fills == order_script.play_plainly(tape.messages, cfg, orders)


@dataclass(frozen=True)
class Pinned:
    """What docs/crosscheck.md says of one script: fills, orders that agree, and what explains the others."""

    ours: int
    theirs: int
    agree: int
    by_rule: dict[Rule, int]


SCRIPTED = {
    Theirs(): Pinned(113, 129, 598, {Rule.MEET: 4, Rule.TAKER: 2, Rule.TOUCH: 1, Rule.THROUGH: 35, Rule.ALONE: 13}),
    Theirs(partial=True): Pinned(
        113, 129, 599, {Rule.MEET: 4, Rule.TAKER: 1, Rule.TOUCH: 1, Rule.THROUGH: 35, Rule.ALONE: 13}
    ),
    Theirs(law=Law.POWER): Pinned(
        113, 130, 597, {Rule.MEET: 4, Rule.TAKER: 2, Rule.TOUCH: 1, Rule.THROUGH: 35, Rule.ALONE: 14}
    ),
    Theirs(law=Law.LOG, partial=True): Pinned(
        114, 131, 597, {Rule.MEET: 4, Rule.TAKER: 1, Rule.TOUCH: 1, Rule.THROUGH: 35, Rule.ALONE: 14, Rule.QUEUE: 1}
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("theirs", SCRIPTED, ids=str)
def test_every_order_of_a_script_is_explained(theirs: Theirs, sample: Tape) -> None:
    cfg, wanted = settings(theirs.law), SCRIPTED[theirs]
    orders = order_script.script(sample.messages, cfg, seed=1, every_ms=100, longest_ms=5_000)
    found = agreement.explain(sample, cfg, theirs, orders)
    assert found.code == 0
    assert not found.unexplained
    assert (found.ours, found.theirs, found.agree) == (wanted.ours, wanted.theirs, wanted.agree)
    assert found.by_rule == wanted.by_rule
    assert found.agree + found.by_rule.total() == len(orders)


@pytest.mark.slow
def test_long_lives_and_lost_deletions_are_explained_too(made: Tape) -> None:
    theirs = Theirs(law=Law.POWER, partial=True)
    cfg = settings(theirs.law)
    orders = order_script.script(made.messages, cfg, seed=2, every_ms=150, longest_ms=90_000)
    found = agreement.explain(made, cfg, theirs, orders)
    assert found.code == 0
    assert not found.unexplained
    assert {Rule.LIFE, Rule.BELIEF} <= set(found.touched)


def believable(seed: int, messages: int) -> list[tuple[int, str]]:
    """A random market without what one of the two formats cannot say: halts, garbage, executions told twice."""
    found, ids, last_ns = list[tuple[int, str]](), set[int](), 0
    for at_ns, text in random_tape(seed, messages):
        if text is None or "channelMessage" not in text:
            continue
        tree = orjson.loads(text)
        content = tree["params"]["message"]
        if isinstance(content, list):
            told = [item["id"] for item in content]
            if len({*ids, *told}) < len(ids) + len(told):
                continue
            ids.update(told)
            for item in content:
                item.update(exec_date="", buy_child_order_acceptance_id="", sell_child_order_acceptance_id="")
        elif content.get("state", "RUNNING") != "RUNNING":
            continue
        levels = [] if isinstance(content, list) else [*content.get("bids", ()), *content.get("asks", ())]
        if any(level["size"] < 0 or level["price"] <= 0 for level in levels):
            continue
        last_ns = max(at_ns, last_ns + 1_000)
        found.append((last_ns, orjson.dumps(tree).decode()))
    return found


def test_random_markets_are_explained_too(tmp_path: Path) -> None:
    """Two hundred prices, where everything happens: levels cross, snapshots contradict, prints come from anywhere."""
    touched: Counter[Rule] = Counter()
    orders = 0
    for seed in range(1, 4):
        tape = same_terms.written(believable(seed, 700), tmp_path / f"{seed}.jsonl")
        for theirs in SCRIPTED:
            cfg = settings(theirs.law)
            script = order_script.script(tape.messages, cfg, seed=seed, every_ms=150, longest_ms=20_000)
            found = agreement.explain(tape, cfg, theirs, script)
            assert found.code == 0
            assert not found.unexplained, (seed, theirs)
            touched += found.touched
            orders += found.orders
    assert set(touched) == set(Rule) - {Rule.ANSWER, Rule.CANCEL, Rule.LIFE}


@pytest.mark.parametrize("theirs", [Theirs(), Theirs(law=Law.POWER, partial=True)], ids=str)
def test_recorded_market_is_explained_too(theirs: Theirs) -> None:
    tape, cfg = Tape(real_tape_path()), settings(theirs.law)
    orders = order_script.script(tape.messages, cfg, seed=1, every_ms=20, longest_ms=8_000)
    found = agreement.explain(tape, cfg, theirs, orders)
    assert found.code == 0
    assert not found.unexplained
    assert (found.agree, found.by_rule) == (95, {Rule.MEET: 1, Rule.TAKER: 7, Rule.THROUGH: 22, Rule.ALONE: 3})


# --- their stamps


FEED_NS = 100 * MS


def test_feed_latency_is_a_shift_of_their_clock(sample: Tape) -> None:
    """Their venue sees what we receive so much earlier: requests that take as much less arrive at the same book."""
    cfg, theirs = settings(), Theirs()
    orders = order_script.script(sample.messages, cfg, seed=1, every_ms=400, longest_ms=3_000)
    at_once, _, _ = their_engine.play(sample.data, orders, theirs, latency_ns(cfg), sample.end_ns)
    earlier = their_events.events(sample.path, fx_btc_jpy(), shift_ns=FEED_NS)
    entry_ns = latency_ns(cfg) - FEED_NS
    shifted, _, code = their_engine.play(
        earlier, orders, theirs, entry_ns, sample.end_ns, answer_ns=FEED_NS + ANSWER_NS
    )
    assert code == 0
    assert at_once
    assert outcomes(shifted, later_ns=FEED_NS) == outcomes(at_once)


@pytest.mark.slow
@pytest.mark.parametrize("source", ["sample", "recorded"])
def test_npz_differs_by_where_trades_stand_among_board_messages(source: str, sample: Tape, tmp_path: Path) -> None:
    """The file that ``tape convert`` writes has the venue's stamps of trades, and none of board messages."""
    tape = sample if source == "sample" else Tape(real_tape_path())
    cfg, theirs, npz = settings(), Theirs(), tmp_path / "t.npz"
    write_npz(tape.path, npz, fx_btc_jpy(), feed_latency_ms=FEED_NS / MS)
    orders = order_script.script(tape.messages, cfg, seed=1, every_ms=100, longest_ms=5_000)
    moved = same_terms.written(same_terms.restamped(tape, FEED_NS), tmp_path / "moved.jsonl")
    data = their_events.with_an_end(np.load(npz)["data"])
    entry_ns = latency_ns(cfg) - FEED_NS
    result = their_engine.play(data, orders, theirs, entry_ns, moved.end_ns, answer_ns=FEED_NS + ANSWER_NS)
    found = agreement.explain(moved, cfg, theirs, orders, result=result, later_ns=FEED_NS)
    assert not found.unexplained
    as_received, _ = order_script.play(tape.messages, cfg, orders, tuple(Rule), theirs, tape.depth)
    as_stamped = outcomes(result[0], later_ns=FEED_NS)
    differ = [n for n in range(len(orders)) if outcomes(as_received).get(n) != as_stamped.get(n)]
    assert (len(orders), len(differ)) == {"sample": (653, 87), "recorded": (105, 34)}[source]


# --- the strategy


@dataclass(frozen=True)
class PinnedRun:
    """Our fills and result, how many of the fills are theirs, their fills and result; JPY."""

    ours: int
    ours_jpy: str
    same: int
    theirs: int
    theirs_jpy: str
    explained_by: Rule
    """Under which rule all fills have become the same."""


STRATEGY = {
    "sample": PinnedRun(46, "-36.276", 45, 46, "-36.276", Rule.CANCEL),
    "made": PinnedRun(41, "-85.44", 36, 44, "-116.19", Rule.CANCEL),
    "recorded": PinnedRun(22, "-12.842", 20, 24, "-14.903", Rule.CANCEL),
}


@pytest.mark.slow
@pytest.mark.parametrize("source", STRATEGY)
def test_strategy_written_twice_makes_the_same_fills(source: str, sample: Tape, made: Tape) -> None:
    """The core on our venue under their rules, and a strategy written for hftbacktest, in hftbacktest."""
    tape = {"sample": sample, "made": made}.get(source) or Tape(real_tape_path())
    wide = {"quote_offset_ticks": 300, "max_reverse_ticks": 600, "max_inventory_btc": 0.01, "size_min": 0.003}
    theirs = Theirs(law=Law.POWER)
    cfg = settings(theirs.law, **(wide if source == "made" else {}))
    found = agreement.compare(tape, cfg, theirs)
    wanted = STRATEGY[source]
    first, last = found.steps[0], found.steps[-1]
    assert found.theirs.code == 0
    assert [(f.ts_ns, f.side, f.price, f.size) for f in found.ours] == [
        (f.ts_ns, f.side, f.price, f.size) for f in found.theirs.fills
    ]
    assert last.strikes_same
    assert last.closes == found.theirs.closes
    assert last.pnl_jpy == found.pnl_jpy
    assert (first.fills, first.pnl_jpy, first.near) == (wanted.ours, Decimal(wanted.ours_jpy), wanted.same)
    assert (len(found.theirs.fills), found.pnl_jpy) == (wanted.theirs, Decimal(wanted.theirs_jpy))
    assert next(s.rule for s in found.steps if s.same == s.fills == wanted.theirs) is wanted.explained_by
    held = sum(fill.side * fill.size for fill in found.ours)
    assert round(found.theirs.position * LOTS) == held
    assert found.theirs.balance == pytest.approx(-sum(f.side * f.size * f.price for f in found.ours) / LOTS)


# --- what is wrong in hftbacktest 2.4.4, and why the scripts above avoid it


def test_their_account_counts_only_the_last_part_of_an_order(tmp_path: Path) -> None:
    tape = taped(
        market().trade(1000, "BUY", INSIDE, 0.004).trade(1100, "BUY", INSIDE, 1.0), tmp_path / "t.jsonl", seconds=5
    )
    cfg, orders = settings(), placed(((10, 4000, SELL, INSIDE, 0.01),))
    fills, account, code = their_engine.play(tape.data, orders, Theirs(partial=True), latency_ns(cfg), tape.end_ns)
    assert code == 0
    assert [fill.size for fill in fills] == [400_000, 600_000]
    assert round(account) == -600_000


def test_their_partial_exchange_fails_after_a_print_of_just_our_size(tmp_path: Path) -> None:
    tape = taped(
        market().trade(1000, "BUY", INSIDE, 0.01).trade(1100, "BUY", INSIDE, 0.01), tmp_path / "t.jsonl", seconds=5
    )
    cfg, orders = settings(), placed(((10, 4000, SELL, INSIDE, 0.01),))
    fills, _, code = their_engine.play(tape.data, orders, Theirs(partial=True), latency_ns(cfg), tape.end_ns)
    assert [fill.size for fill in fills] == [1_000_000]
    assert code == INVALID_ORDER_STATUS
