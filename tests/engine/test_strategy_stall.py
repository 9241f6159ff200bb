"""The decision: exits, gates in their order, where quotes go, and deadlines that are exact to the nanosecond."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stall_then_strike.config.models import ExchangeConfig, QuoteMode, RiskConfig, StallStrategyConfig
from stall_then_strike.engine import strategy_stall
from stall_then_strike.engine.inventory import InventoryManager
from stall_then_strike.engine.strategy import Holding, LiveQuote, Quote, Wish
from stall_then_strike.engine.strategy_stall import (
    CANCEL,
    CLOSE,
    HOLD,
    MODE_INSIDE,
    MODE_JOIN,
    MODE_MID,
    STRIKE,
    Situation,
    StallParams,
    StallThenStrikeStrategy,
    Verdict,
    decide,
)
from stall_then_strike.engine.venue.budget import NEVER_NS, Budget
from stall_then_strike.infra.bitflyer.bitflyer_rules import bitflyer_limits
from stall_then_strike.types.dto import BookStatus, Reason
from stall_then_strike.types.instrument import Lots, Ticks, fx_btc_jpy
from tests.engine.core_rig import BUY, MIN, MS, SELL, START_NS, at, board, fill, properties

NOW = START_NS
R = Reason

PARAMS = StallParams(
    stall_ns=250 * MS,
    ttl_ns=800 * MS,
    stale_ns=700 * MS,
    min_spread=2,
    max_reverse=2,
    size=MIN,
    max_inventory=5 * MIN,
    min_size=MIN,
    mode=MODE_MID,
    offset=1,
)

RIPE = Situation(
    now_ns=NOW,
    gate=0,
    may_close=1,
    book=BookStatus.OK,
    board_ns=NOW - 100 * MS,
    best_since_ns=NOW - 250 * MS,
    bid=10_000,
    ask=10_100,
    strike_at_ns=NOW,
    position=0,
    basis=0,
    open_buy=0,
    open_sell=0,
    quotes=0,
    cancelling=0,
    struck_ns=0,
    struck_bid=0,
    struck_ask=0,
)
"""All gates open: a strike."""

QUOTED: dict[str, Any] = {
    "quotes": 2,
    "open_buy": MIN,
    "open_sell": MIN,
    "struck_ns": NOW - 100 * MS,
    "struck_bid": 10_000,
    "struck_ask": 10_100,
}
"""Two quotes of 100 ms ago on an unmoved best."""


def asked(p: StallParams = PARAMS, **changes: Any) -> Verdict:
    return decide(p, RIPE._replace(**changes))


def long_at(average: int) -> dict[str, Any]:
    return {"position": MIN, "basis": average * MIN}


# --- Gates ------------------------------------------------------------------------------------------------------------


def test_all_gates_open_is_a_strike_around_the_mid() -> None:
    assert asked() == Verdict(STRIKE, R.STRIKE, 10_049, 10_051)


OUTER = [
    R.HALTED,
    R.STOPPING,
    R.CLOSING,
    R.VENUE_NOT_RUNNING,
    R.VENUE_UNHEALTHY,
    R.QUIET_TIME,
]
GATES: list[tuple[Reason, Mapping[str, Any]]] = [
    *((reason, {"gate": int(reason)}) for reason in OUTER),
    (R.BOOK_UNKNOWN, {"book": BookStatus.UNKNOWN}),
    (R.BOOK_SUSPECT, {"book": BookStatus.SUSPECT}),
    (R.BOOK_STALE, {"book": BookStatus.STALE}),
    (R.BOOK_STALE, {"board_ns": NOW - 700 * MS}),
    (R.BUDGET, {"strike_at_ns": NOW + 1}),
    (R.POSITION_LIMIT, {"open_buy": 5 * MIN, "open_sell": 5 * MIN}),
    (R.QUOTING, {"quotes": 1, "cancelling": 1}),
    (R.SPREAD, {"ask": 10_001}),
    (R.STALL_IMMATURE, {"best_since_ns": NOW - 250 * MS + 1}),
]


@pytest.mark.parametrize(("reason", "shut"), GATES, ids=lambda value: getattr(value, "label", ""))
def test_each_gate_alone_holds_with_its_reason(reason: Reason, shut: Mapping[str, Any]) -> None:
    assert asked(**shut) == Verdict(HOLD, reason, 0, 0)


PAIRS = [
    (first, second)
    for first, second in itertools.combinations(GATES, 2)
    if not set(first[1]) & set(second[1])  # two gates on one value cannot be shut by different ones
]


@pytest.mark.parametrize(("first", "second"), PAIRS, ids=lambda gate: gate[0].label)
def test_of_two_shut_gates_the_earlier_one_answers(
    first: tuple[Reason, Mapping[str, Any]], second: tuple[Reason, Mapping[str, Any]]
) -> None:
    assert asked(**second[1], **first[1]) == Verdict(HOLD, first[0], 0, 0)


def test_gates_are_asked_in_the_order_of_their_numbers() -> None:
    assert [reason for reason, _ in GATES] == sorted(reason for reason, _ in GATES)


@pytest.mark.parametrize("age_ns", [0, 1, 250 * MS - 1, 250 * MS, 251 * MS, 10**12])
def test_stall_matures_at_its_nanosecond(age_ns: int) -> None:
    assert (asked(best_since_ns=NOW - age_ns).move == STRIKE) is (age_ns >= 250 * MS)


@pytest.mark.parametrize("age_ns", [0, 700 * MS - 1, 700 * MS, 10**12])
def test_proof_of_life_ends_at_its_nanosecond_however_long_the_best_stood(age_ns: int) -> None:
    verdict = asked(board_ns=NOW - age_ns, best_since_ns=NOW - 10**12)
    assert (verdict.move == STRIKE) is (age_ns < 700 * MS)


@pytest.mark.parametrize("spread", range(5))
def test_spread_gate_includes_its_limit(spread: int) -> None:
    assert (asked(ask=10_000 + spread).move == STRIKE) is (spread >= 2)


# --- Exits ------------------------------------------------------------------------------------------------------------

EXITS: list[tuple[str, Mapping[str, Any], Verdict]] = [
    ("nothing", {}, Verdict(HOLD, R.QUOTING, 0, 0)),
    ("gate", {"gate": int(R.QUIET_TIME)}, Verdict(CANCEL, R.QUIET_TIME, 0, 0)),
    ("suspect book", {"book": BookStatus.SUSPECT}, Verdict(CANCEL, R.BOOK_SUSPECT, 0, 0)),
    ("book of messages that had waited", {"book": BookStatus.STALE}, Verdict(CANCEL, R.BOOK_STALE, 0, 0)),
    ("unknown book", {"book": BookStatus.UNKNOWN}, Verdict(CANCEL, R.BOOK_UNKNOWN, 0, 0)),
    ("stale book", {"board_ns": NOW - 700 * MS}, Verdict(CANCEL, R.BOOK_STALE, 0, 0)),
    ("TTL", {"struck_ns": NOW - 800 * MS}, Verdict(CANCEL, R.TTL, 0, 0)),
    ("a nanosecond before the TTL", {"struck_ns": NOW - 800 * MS + 1}, Verdict(HOLD, R.QUOTING, 0, 0)),
    ("bid moved", {"bid": 9_999}, Verdict(CANCEL, R.BEST_MOVED, 0, 0)),
    ("ask moved", {"ask": 10_101}, Verdict(CANCEL, R.BEST_MOVED, 0, 0)),
    ("best moved on a suspect book", {"bid": 1, "book": BookStatus.SUSPECT}, Verdict(CANCEL, R.BOOK_SUSPECT, 0, 0)),
    ("one is being cancelled, one not", {"cancelling": 1, "bid": 9_999}, Verdict(CANCEL, R.BEST_MOVED, 0, 0)),
    ("all are being cancelled", {"cancelling": 2, "bid": 9_999}, Verdict(HOLD, R.QUOTING, 0, 0)),
    ("halted, all being cancelled", {"cancelling": 2, "gate": int(R.HALTED)}, Verdict(HOLD, R.HALTED, 0, 0)),
    ("no budget is no exit", {"strike_at_ns": NOW + 1}, Verdict(HOLD, R.BUDGET, 0, 0)),
    ("reverse before TTL", {"struck_ns": 0, **long_at(10_100)}, Verdict(CLOSE, R.REVERSE, 0, 0)),
]


@pytest.mark.parametrize(("changes", "verdict"), [pytest.param(c, v, id=name) for name, c, v in EXITS])
def test_what_ends_a_quote(changes: Mapping[str, Any], verdict: Verdict) -> None:
    assert asked(**{**QUOTED, **changes}) == verdict


# The mid is 10,050 at 10,000 / 10,100; a tick more on one side moves it by half a tick.
REVERSES = [
    pytest.param(10_052, 10_100, MIN, True, id="long, by two ticks"),
    pytest.param(10_052, 10_101, MIN, False, id="long, by one and a half"),
    pytest.param(10_053, 10_101, MIN, True, id="long, by two and a half"),
    pytest.param(10_048, 10_100, -MIN, True, id="short, by two ticks"),
    pytest.param(10_048, 10_099, -MIN, False, id="short, by one and a half"),
    pytest.param(10_047, 10_099, -MIN, True, id="short, by two and a half"),
    pytest.param(10_000, 10_100, MIN, False, id="long and winning"),
    pytest.param(10_100, 10_100, -MIN, False, id="short and winning"),
    pytest.param(10_100, 10_100, MIN - 1, False, id="dust cannot be closed"),
    pytest.param(10_100, 10_100, 1 - MIN, False, id="dust, short"),
]


@pytest.mark.parametrize(("average", "ask", "position", "closes"), REVERSES)
def test_reverse_counts_half_ticks_of_the_mid(average: int, ask: int, position: int, closes: bool) -> None:
    verdict = asked(ask=ask, position=position, basis=average * position)
    assert (verdict.move == CLOSE) is closes


def test_reverse_counts_against_the_exact_average() -> None:
    """Average 10,051.99...: not yet two ticks above a mid of 10,050; a unit of basis more and it is."""
    position = 3 * MIN
    basis = 10_052 * position - 1
    assert asked(position=position, basis=basis).move != CLOSE
    assert asked(position=position, basis=basis + 1).move == CLOSE


@pytest.mark.parametrize(
    "changes",
    [{"may_close": 0}, {"book": BookStatus.SUSPECT}, {"book": BookStatus.UNKNOWN}, {"board_ns": NOW - 700 * MS}],
    ids=["may not", "suspect", "unknown", "stale"],
)
def test_no_reverse_without_leave_or_on_a_book_that_is_not_believed(changes: Mapping[str, Any]) -> None:
    assert asked(**long_at(10_100), **changes).move != CLOSE


def test_reverse_closes_behind_any_gate() -> None:
    """A quiet time or a busy venue forbids quotes, not the way out."""
    for reason in (R.VENUE_NOT_RUNNING, R.VENUE_UNHEALTHY, R.QUIET_TIME):
        assert asked(gate=int(reason), **long_at(10_100)).move == CLOSE


# --- Sides ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("position", "sides"),
    [
        (0, "both"),
        (4 * MIN, "both"),
        (4 * MIN + 1, "sell"),
        (5 * MIN, "sell"),
        (-4 * MIN, "both"),
        (-4 * MIN - 1, "buy"),
    ],
)
def test_side_that_would_exceed_the_limit_is_left_out(position: int, sides: str) -> None:
    verdict = asked(position=position, basis=10_050 * position)
    assert verdict.move == STRIKE
    assert (verdict.bid > 0, verdict.ask > 0) == (sides in ("both", "buy"), sides in ("both", "sell"))


@pytest.mark.parametrize(
    ("open_buy", "open_sell", "move"),
    [(4 * MIN, 4 * MIN, STRIKE), (4 * MIN + 1, 4 * MIN, STRIKE), (4 * MIN + 1, 4 * MIN + 1, HOLD)],
)
def test_open_orders_count_as_filled(open_buy: int, open_sell: int, move: int) -> None:
    assert asked(open_buy=open_buy, open_sell=open_sell).move == move


# --- Prices -----------------------------------------------------------------------------------------------------------

PRICES = [
    pytest.param(MODE_MID, 1, (10_000, 10_100), (10_049, 10_051), id="mid"),
    pytest.param(MODE_MID, 1, (10_000, 10_101), (10_049, 10_052), id="mid between ticks: away from it on both sides"),
    pytest.param(MODE_MID, 0, (10_000, 10_101), (10_050, 10_051), id="mid between ticks, no offset"),
    pytest.param(MODE_MID, 30, (10_000, 10_100), (10_020, 10_080), id="mid, wide"),
    pytest.param(MODE_MID, 100, (10_000, 10_100), (9_950, 10_150), id="mid, outside of the best"),
    pytest.param(MODE_MID, 0, (10_000, 10_002), None, id="mid without offset: both sides at one price"),
    pytest.param(MODE_INSIDE, 1, (10_000, 10_100), (10_001, 10_099), id="inside"),
    pytest.param(MODE_INSIDE, 0, (10_000, 10_100), (10_000, 10_100), id="inside by nothing is at the best"),
    pytest.param(MODE_INSIDE, 49, (10_000, 10_100), (10_049, 10_051), id="inside up to the middle"),
    pytest.param(MODE_INSIDE, 50, (10_000, 10_100), None, id="inside: the sides would meet"),
    pytest.param(MODE_INSIDE, 500, (10_000, 10_100), None, id="inside beyond the other best"),
    pytest.param(MODE_JOIN, 7, (10_000, 10_100), (10_000, 10_100), id="join"),
    pytest.param(MODE_MID, 5, (3, 6), None, id="a bid of less than a tick"),
]


@pytest.mark.parametrize(("mode", "offset", "best", "quotes"), PRICES)
def test_where_quotes_go(mode: int, offset: int, best: tuple[int, int], quotes: tuple[int, int] | None) -> None:
    verdict = asked(PARAMS._replace(mode=mode, offset=offset), bid=best[0], ask=best[1])
    if quotes is None:
        assert verdict == Verdict(HOLD, R.SPREAD, 0, 0)
    else:
        assert verdict == Verdict(STRIKE, R.STRIKE, *quotes)


@properties(500)
@given(
    mode=st.sampled_from([MODE_MID, MODE_INSIDE, MODE_JOIN]),
    offset=st.integers(0, 300),
    bid=st.integers(1, 500),
    spread=st.integers(-20, 300),
    position=st.integers(-6 * MIN, 6 * MIN),
    open_buy=st.integers(0, 6 * MIN),
    open_sell=st.integers(0, 6 * MIN),
)
def test_no_quote_ever_takes_meets_its_twin_or_exceeds_the_limit(
    mode: int, offset: int, bid: int, spread: int, position: int, open_buy: int, open_sell: int
) -> None:
    p = PARAMS._replace(mode=mode, offset=offset, min_spread=1)
    verdict = asked(
        p, bid=bid, ask=bid + spread, position=position, basis=0, may_close=0, open_buy=open_buy, open_sell=open_sell
    )
    if verdict.move != STRIKE:
        return
    assert verdict.bid or verdict.ask
    if verdict.bid:
        assert 0 < verdict.bid < bid + spread
        assert position + open_buy + MIN <= 5 * MIN
    if verdict.ask:
        assert verdict.ask > bid
        assert position - open_sell - MIN >= -5 * MIN
    assert not (verdict.bid and verdict.ask) or verdict.bid < verdict.ask


SITUATIONS = st.builds(
    Situation,
    now_ns=st.integers(NOW, NOW + 2 * 10**9),
    gate=st.sampled_from([0, 0, 0, int(R.HALTED), int(R.QUIET_TIME)]),
    may_close=st.integers(0, 1),
    book=st.sampled_from([BookStatus.OK, BookStatus.OK, BookStatus.SUSPECT, BookStatus.UNKNOWN]),
    board_ns=st.integers(NOW, NOW + 10**9),
    best_since_ns=st.integers(NOW - 10**9, NOW + 10**9),
    bid=st.integers(9_990, 10_010),
    ask=st.integers(9_990, 10_030),
    strike_at_ns=st.integers(NOW - 10**9, NOW + 10**9),
    position=st.sampled_from([0, MIN, -MIN, 5 * MIN]),
    basis=st.integers(-2 * 10**9, 2 * 10**9),
    open_buy=st.sampled_from([0, MIN]),
    open_sell=st.sampled_from([0, MIN]),
    quotes=st.integers(0, 2),
    cancelling=st.integers(0, 2),
    struck_ns=st.integers(NOW - 10**9, NOW + 10**9),
    struck_bid=st.integers(9_990, 10_010),
    struck_ask=st.integers(9_990, 10_030),
)


@properties(500)
@given(SITUATIONS)
def test_every_situation_has_one_answer_with_a_known_reason(s: Situation) -> None:
    verdict = decide(PARAMS, s)
    assert verdict == decide(PARAMS, s)
    assert Reason(verdict.reason)
    assert verdict.move == STRIKE or (verdict.bid, verdict.ask) == (0, 0)
    if verdict.move == STRIKE:
        assert not s.gate
        assert s.book == BookStatus.OK
        assert s.quotes == 0
        assert s.now_ns - s.board_ns < PARAMS.stale_ns
        assert s.now_ns - s.best_since_ns >= PARAMS.stall_ns
    if verdict.move == CANCEL:
        assert s.quotes > s.cancelling


# --- The strategy with its memory -------------------------------------------------------------------------------------


class Rig:
    """The strategy, with the test as the engine: what it wishes is live at once, and stays until the test ends it."""

    def __init__(self, **keys: Any) -> None:
        instrument = fx_btc_jpy()
        self.inventory = InventoryManager(RiskConfig(), instrument)
        self.budget = Budget(bitflyer_limits(ExchangeConfig()))
        self.strategy = StallThenStrikeStrategy(StallStrategyConfig(**keys), instrument)
        self.live: list[LiveQuote] = []

    def holding(self, now_ns: int) -> Holding:
        return Holding(
            position=self.inventory.position,
            basis=self.inventory.basis,
            open_buy=sum(quote.remaining for quote in self.live if quote.side is BUY),
            open_sell=sum(quote.remaining for quote in self.live if quote.side is SELL),
            quotes=tuple(self.live),
            last_key=max((quote.key for quote in self.live), default=0),
            budget_ns=self.budget.strike_at_ns(now_ns, 2, Lots(MIN)),
            may_close=True,
        )

    def ask(self, ms: float, board_ms: float = 0, **keys: Any) -> Wish:
        return self.strategy.on_event(board(board_ms, **keys), self.holding(at(ms)), None, at(ms))

    def strike(self, ms: float) -> Wish:
        wish = self.ask(ms, ms)
        assert wish.reason is R.STRIKE
        self.live = [LiveQuote(q.key, q.side, q.price, q.size, is_ending=False) for q in wish.quotes]
        return wish


def test_configuration_becomes_units() -> None:
    p = Rig(stall_T_ms=300, ttl_ms=900, stale_ms=500, quote_mode=QuoteMode.JOIN, quote_offset_ticks=3).strategy.params
    assert (p.stall_ns, p.ttl_ns, p.stale_ns, p.mode, p.offset) == (300 * MS, 900 * MS, 500 * MS, MODE_JOIN, 3)
    assert (p.size, p.min_size, p.max_inventory) == (MIN, MIN, 200 * MIN)


def test_strike_wishes_one_quote_a_side_with_new_keys() -> None:
    rig = Rig()
    first = rig.strike(250)
    assert first.quotes == (Quote(1, BUY, Ticks(10_049), MIN, 800), Quote(2, SELL, Ticks(10_051), MIN, 800))
    rig.live = []
    assert [quote.key for quote in rig.strike(500).quotes] == [3, 4]


def test_one_sided_strike_is_one_order() -> None:
    """The other side only uses up its key."""
    rig = Rig()
    rig.inventory.apply_fill(fill(BUY, 10_050, 200 * MIN))
    buy, sell = rig.ask(250, 250).quotes
    assert (buy.side, buy.key, buy.size) == (BUY, 1, 0)
    assert (sell.side, sell.key, sell.size) == (SELL, 2, MIN)


def test_live_quotes_are_read_with_what_remains_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, ...]] = []
    monkeypatch.setattr(strategy_stall, "decide", lambda p, s: (seen.append(s), decide(p, s))[1])
    rig = Rig(max_reverse_ticks=1000)
    struck = rig.strike(250)
    rig.live[0] = rig.live[0]._replace(remaining=Lots(60_000))
    rig.inventory.apply_fill(fill(BUY, 10_049, 40_000))
    assert rig.ask(300, 300)[:3] == (struck.quotes, R.QUOTING, False)
    s = Situation(*seen[-1])
    assert (s.quotes, s.cancelling, s.open_buy, s.open_sell, s.position) == (2, 0, 60_000, 100_000, 40_000)


def test_best_of_the_strike_is_what_moves_are_measured_against() -> None:
    rig = Rig()
    struck = rig.strike(250)
    assert rig.ask(300, 300)[:3] == (struck.quotes, R.QUOTING, False)
    assert rig.ask(310, 310, bid=10_001)[:3] == ((), R.BEST_MOVED, False)
    assert rig.ask(320, 320)[:3] == ((), R.QUOTING, False), "back again is no move, and what is taken back stays so"


def test_reverse_move_wishes_to_be_flat() -> None:
    rig = Rig()
    rig.inventory.apply_fill(fill(BUY, 10_060, MIN))
    assert rig.ask(100, 100)[:3] == ((), R.REVERSE, True)


def until_ms(wish: Wish) -> float | None:
    return None if wish.until_ns >= NEVER_NS else (wish.until_ns - START_NS) / MS


def test_wish_holds_until_the_stall_is_mature() -> None:
    rig = Rig()
    assert until_ms(rig.ask(0)) == 250
    assert until_ms(rig.ask(700)) is None, "the book is stale: only a message helps now"


def test_strike_holds_until_its_ttl_whatever_is_heard() -> None:
    """The answers may be late: the TTL must not wait for them."""
    assert until_ms(Rig(ttl_ms=100).strike(250)) == 350


def test_wish_without_budget_holds_until_there_is_some() -> None:
    rig = Rig(stall_T_ms=1)
    while rig.budget.strike_at_ns(at(0), 2, Lots(MIN)) <= at(0):
        rig.budget.spend_strike(at(0), 2, Lots(MIN))
    wish = rig.ask(1, 1)
    assert wish.reason is R.BUDGET
    assert wish.until_ns == rig.budget.strike_at_ns(at(1), 2, Lots(MIN))


def test_ended_quotes_end_no_wish() -> None:
    rig = Rig()
    rig.strike(250)
    rig.live = []
    assert until_ms(rig.ask(600, 600, since_ms=500)) == 750, "the next stall, not the old TTL"
