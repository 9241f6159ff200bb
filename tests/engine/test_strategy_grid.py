"""The grid: its lines, its zones, and its orders at a core whose venue does what hypothesis likes."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from stall_then_strike.config.models import AppConfig
from stall_then_strike.engine.context import MarketInfo
from stall_then_strike.engine.orders import Order
from stall_then_strike.engine.sandbox import Sandbox
from stall_then_strike.engine.strategy_grid import (
    Grid,
    GridParameters,
    Spacing,
    Zone,
    grid_lines,
    moved,
    share_out,
    wanted,
)
from stall_then_strike.types.dto import Command, OrderEventKind, PlaceLimit
from stall_then_strike.types.instrument import Instrument, Lots, Money, Ticks, fx_btc_jpy
from tests.engine.core_rig import BUY, MIN, SELL, Desk, config, properties

K = OrderEventKind
TWO = 2 * MIN
SETTINGS: dict[str, Any] = {"lower": 9_000, "upper": 11_000, "zones": 20, "size": Decimal("0.002")}


def cents() -> MarketInfo:
    """A market in cents, with a least size of 0.02 and a least notional of 3."""
    step = Decimal("0.01")
    return MarketInfo(
        Instrument(
            product_code="X_USDC", tick_size=step, lot_size=step, min_size=Lots(2), min_notional=Money(3 * 10**4)
        )
    )


class GridDesk(Desk):
    """A core with a grid from 9,000 to 11,000: 20 zones of 100 yen and 0.002 BTC."""

    def __init__(self, *, cap: str = "0.2", **settings: Any) -> None:
        self.grid = Grid(GridParameters.model_validate({**SETTINGS, **settings}))
        cfg = config(strategy={"stale_ms": 10**6, "max_inventory_btc": Decimal(cap)}, risk={"max_errors": 10**6})

        def made(cfg: AppConfig, instrument: Instrument) -> Sandbox:
            return Sandbox(self.grid, cfg, instrument)

        super().__init__(cfg, strategy=made)
        self.status(0)
        self.board(0, 10_040, 10_060)

    def resting(self) -> dict[int, str]:
        """Live orders by their prices."""
        return {order.price or 0: str(order.side) for order in self.core.orders.live()}

    def at(self, price: int) -> PlaceLimit:
        """The last order at a price."""
        return next(quote for quote in reversed(self.quotes) if quote.price == price)

    def zone(self, low: int) -> Zone:
        return next(zone for zone in self.grid.zones if zone.low == low)


# --- lines


@given(
    lower=st.integers(1, 10**7),
    width=st.integers(1, 10**7),
    zones=st.integers(1, 60),
    spacing=st.sampled_from(Spacing),
)
@properties(200)
def test_lines_are_ticks_that_count_up_from_bound_to_bound(
    lower: int, width: int, zones: int, spacing: Spacing
) -> None:
    upper = lower + width
    try:
        lines = grid_lines(Ticks(lower), Ticks(upper), zones, spacing)
    except ValueError:
        narrowest = width / zones if spacing is Spacing.ARITHMETIC else lower * ((upper / lower) ** (1 / zones) - 1)
        assert narrowest < 2, "only zones of about a tick are refused"
        return
    assert (lines[0], lines[-1], len(lines)) == (lower, upper, zones + 1)
    assert all(type(line) is int for line in lines)
    for number, line in enumerate(lines):
        if spacing is Spacing.ARITHMETIC:
            assert abs(zones * (line - lower) - width * number) * 2 <= zones, "the nearest tick"
        else:
            exact = lower ** (zones - number) * upper**number
            assert (2 * line - 1) ** zones <= exact << zones <= (2 * line + 2) ** zones, "the nearest tick"


def test_bounds_move_to_the_market_and_keep_their_width_or_ratio() -> None:
    assert moved(Ticks(900), Ticks(1_100), Spacing.ARITHMETIC, 5_000) == (4_900, 5_100)
    assert moved(Ticks(500), Ticks(2_000), Spacing.GEOMETRIC, 4_000) == (2_000, 8_000)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"upper": 9_000}, "upper: 9000 is not above lower"),
        ({"zones": 0}, "zones"),
        ({"spacing": "cubic"}, "spacing"),
        ({"size": 0}, "size"),
        ({"resting": 21}, "resting"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        GridParameters.model_validate({**SETTINGS, **settings})


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"lower": Decimal("0.005")}, "lower: 0.005 is off the tick; accepted: multiples of 0.01"),
        ({"size": Decimal("0.01")}, "size: 0.01 is no order; accepted: multiples of 0.01, 0.02 or more"),
        ({"size": Decimal("0.025")}, "size: 0.025 is no order"),
        ({"lower": 1, "size": 2}, "size: 2 is no order; accepted: multiples of 0.01, 3 or more"),
        ({"lower": 1, "upper": 2, "zones": 101, "size": 3}, "zones: 101 between"),
    ],
)
def test_settings_that_do_not_fit_the_market_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Grid(GridParameters.model_validate({**SETTINGS, **settings})).check(cents())


# --- zones


def test_position_goes_to_the_zones_that_can_turn_it_round_nearest() -> None:
    def zones() -> list[Zone]:
        return [Zone(Ticks(low), Ticks(low + 10), BUY) for low in (100, 110, 120, 130)]

    def shared(lots: int, mid: int) -> list[int]:
        all_zones = zones()
        share_out(all_zones, lots, Lots(2), 2 * mid)
        return [zone.held for zone in all_zones]

    assert shared(3, 115) == [0, 2, 1, 0], "bought: to be sold above the market"
    assert shared(-3, 115) == [-1, -2, 0, 0], "sold: to be bought below it"
    assert shared(3, 1_000) == [0, 0, 1, 2], "all below: the highest first"
    assert shared(-3, 1) == [-2, -1, 0, 0]
    assert shared(11, 115) == [2, 5, 2, 2], "more than fits goes to the first"
    held = zones()
    held[1].held = -2
    share_out(held, 2, Lots(2), 230)
    assert [zone.held for zone in held] == [0, 0, 0, 0], "what it sold is bought"


@given(
    held=st.integers(-3 * TWO, 3 * TWO),
    side=st.sampled_from([BUY, SELL]),
    bid=st.integers(9_000, 11_000),
)
@properties(200)
def test_next_order_of_a_zone_is_one_that_the_venue_takes_and_turns_round_what_it_holds(
    held: int, side: Any, bid: int
) -> None:
    zone = Zone(Ticks(9_900), Ticks(10_000), side, held)
    order = wanted(0, zone, Lots(TWO), MarketInfo(fx_btc_jpy()), bid, bid + 10)
    assert order.size >= MIN
    if abs(held) >= MIN:
        assert order.size == abs(held)
        assert order.side is (SELL if held > 0 else BUY)
        assert order.price >= 10_000 if held > 0 else order.price <= 9_900
        assert order.price > bid if held > 0 else order.price < bid + 10
    else:
        assert (order.side, order.price) == (side, 9_900 if side is BUY else 10_000)
        assert held + side.sign * order.size in (side.sign * TWO, held + side.sign * MIN)


# --- orders


def test_buys_rest_below_and_sells_above_and_the_nearest_line_stays_free() -> None:
    buys, sells = (10_000, 9_900, 9_800), (10_200, 10_300, 10_400)
    assert GridDesk().resting() == {**dict.fromkeys(buys, "BUY"), **dict.fromkeys(sells, "SELL")}


def test_filled_buy_becomes_a_sell_one_line_up_and_that_a_buy_one_line_down() -> None:
    desk = GridDesk()
    first = desk.at(10_000)
    desk.filled(10, first)
    sell = desk.at(10_100)
    assert (sell.side, sell.size) == (SELL, TWO)
    assert desk.zone(10_000).held == TWO
    desk.filled(20, sell)
    buy = desk.at(10_000)
    assert buy is not first
    assert (buy.side, buy.size) == (BUY, TWO)
    assert desk.zone(10_000).held == desk.core.inventory.position == 0


def test_filled_sell_becomes_a_buy_one_line_down() -> None:
    desk = GridDesk()
    desk.filled(10, desk.at(10_200))
    buy = desk.at(10_100 - 41)
    assert (buy.side, buy.size) == (BUY, TWO), "its line is passed: just behind the market"
    desk.board(20, 10_140, 10_160)
    desk.filled(30, desk.at(10_300))
    buy = desk.at(10_159)
    assert (buy.side, buy.size) == (BUY, TWO)


def test_order_that_expired_is_placed_anew() -> None:
    """At bitFlyer every order ends after a minute."""
    desk = GridDesk()
    first = desk.at(9_900)
    desk.accept(5, first.client_order_id)
    desk.tell(60_000, K.EXPIRED, first.client_order_id)
    again = desk.at(9_900)
    assert again is not first
    assert (again.side, again.size) == (first.side, first.size)


def test_partly_filled_order_that_expired_turns_round_what_was_filled() -> None:
    desk = GridDesk()
    first = desk.at(10_000)
    desk.accept(5, first.client_order_id)
    desk.filled(10, first, size=MIN + 7)
    desk.tell(60_000, K.EXPIRED, first.client_order_id)
    assert desk.at(10_100).size == MIN + 7


def test_rest_of_a_partly_filled_buy_is_taken_back_once_the_market_is_nearer_to_where_it_is_sold() -> None:
    desk = GridDesk()
    first = desk.at(10_000)
    desk.accept(5, first.client_order_id)
    desk.board(8, 10_020, 10_040)
    desk.filled(10, first, size=MIN)
    assert not desk.cancels
    desk.board(20, 10_120, 10_130)
    assert (f"V-{first.client_order_id}",) in [cancel.order_ids for cancel in desk.cancels]
    desk.cancelled(30, first.client_order_id)
    sell = desk.at(10_121)
    assert (sell.side, sell.size) == (SELL, MIN), "its line is passed: just behind the market"


def test_small_rest_is_carried_along() -> None:
    desk = GridDesk()
    first = desk.at(10_000)
    desk.accept(5, first.client_order_id)
    desk.filled(10, first, size=300)
    desk.tell(60_000, K.EXPIRED, first.client_order_id)
    assert desk.at(10_000).size == TWO - 300
    desk.filled(60_100, desk.at(10_000))
    assert desk.at(10_100).size == TWO


def test_orders_follow_the_market_and_one_more_is_kept_than_is_placed() -> None:
    desk = GridDesk()
    desk.accept(5, *[quote.client_order_id for quote in desk.quotes])
    desk.filled(10, desk.at(10_000))
    assert not desk.cancels, "four sells"
    desk.board(20, 9_940, 9_960)
    desk.filled(30, desk.at(9_900))
    assert [order.price for order in desk.core.orders.live() if order.cancel_reason is not None] == [10_400]
    assert {price for price, side in desk.resting().items() if side == "BUY"} == {9_800, 9_700, 9_600}


def test_cap_holds_orders_back() -> None:
    assert sorted(GridDesk(cap="0.004").resting()) == [9_900, 10_000, 10_200, 10_300]


def test_market_that_leaves_the_bounds_is_waited_for() -> None:
    desk = GridDesk()
    desk.accept(5, *[quote.client_order_id for quote in desk.quotes])
    desk.board(10, 12_000, 12_010)
    for sell in [quote for quote in desk.quotes if quote.side is SELL]:
        desk.tell(60_000, K.EXPIRED, sell.client_order_id)
    desk.wait(200_000, alive_ms=5_000)
    assert desk.grid.zones[0].low == 9_000
    assert {price for price, side in desk.resting().items() if side == "BUY"} >= {10_900, 10_800, 10_700}


def test_grid_moves_to_a_market_that_stays_outside_once_its_orders_have_ended() -> None:
    desk = GridDesk(rebuild_sec=60)
    desk.accept(5, *[quote.client_order_id for quote in desk.quotes])
    desk.filled(8, desk.at(10_200))
    desk.board(10, 12_000, 12_010)
    desk.wait(60_500, alive_ms=5_000)
    assert all(order.cancel_reason is not None for order in desk.core.orders.live() if order.order_id is not None)
    for order in desk.core.orders.live():
        desk.tell(60_600, K.CANCELLED, order.client_order_id)
    desk.tick(60_700)
    assert (desk.grid.zones[0].low, desk.grid.zones[-1].high) == (11_005, 13_005)
    assert sum(zone.held for zone in desk.grid.zones) == desk.core.inventory.position == -TWO
    assert {order.side for order in desk.core.orders.live()} == {BUY, SELL}


def test_halt_takes_the_grid_down_and_flattens_and_a_resume_builds_it_up() -> None:
    desk = GridDesk()
    desk.accept(5, *[quote.client_order_id for quote in desk.quotes])
    desk.filled(10, desk.at(10_000))
    desk.control(20, Command.HALT)
    for order in desk.core.orders.live():
        if order.is_quote:
            desk.tell(30, K.CANCELLED, order.client_order_id)
    (close,) = desk.closes
    desk.filled(40, close)
    assert desk.core.inventory.position == 0
    desk.control(50, Command.RESUME)
    desk.tick(60)
    assert sum(zone.held for zone in desk.grid.zones) == 0
    assert len(desk.resting()) == 6


def test_position_of_an_earlier_run_is_offered_on_the_next_lines() -> None:
    first = GridDesk()
    first.filled(10, first.at(10_000))
    first.filled(10, first.at(9_900))
    again = GridDesk()
    again.core.inventory.restore(first.core.inventory.memo())
    again.board(20, 9_850, 9_860)
    assert {zone.low: zone.held for zone in again.grid.zones if zone.held} == {9_800: TWO, 9_900: TWO}
    assert sum(zone.held for zone in again.grid.zones) == again.core.inventory.position


# --- whatever the venue does


OPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["move", "drift", "accept", "fill", "fill", "part", "end", "unknown", "late", "halt", "hold", "tick"]
        ),
        st.integers(0, 10**6),
    ),
    min_size=5,
    max_size=60,
)


@given(ops=OPS, cap=st.sampled_from(["0.002", "0.006", "0.2"]), spacing=st.sampled_from(Spacing), rebuild=st.booleans())
@properties(80)
def test_whatever_the_venue_does(ops: list[tuple[str, int]], cap: str, spacing: Spacing, *, rebuild: bool) -> None:
    desk = GridDesk(cap=cap, spacing=spacing, rebuild_sec=1 if rebuild else 0)
    limit, unit = desk.core.instrument.to_lots(Decimal(cap)), fx_btc_jpy()
    sent = len(desk.quotes)
    bid = 10_040
    for number, (what, luck) in enumerate(ops):
        ms = 500.0 * (number + 1)
        live = list(desk.core.orders.live())
        one = live[luck % len(live)] if live else None
        if what in ("move", "drift"):
            far = 300 if what == "move" else 15
            bid = max(8_000, min(12_000, bid + luck % (2 * far + 1) - far))
            desk.board(ms, bid, bid + 1 + luck % 40)
        elif one is None or what == "tick":
            desk.tick(ms)
        else:
            _let(desk, what, one, luck, ms)
        if what == "late" and one is not None and not one.is_live:
            limit = 10**12  # nothing can hold a fill of an order that had ended
        for quote in desk.quotes[sent:]:
            unit.price(quote.price)
            assert quote.size >= MIN
            assert quote.price > 0
            assert (
                (quote.price < desk.core.board.best_ask_price)
                if quote.side is BUY
                else (quote.price > desk.core.board.best_bid_price)
            )
        sent = len(desk.quotes)
        orders = desk.core.orders.live()
        position = desk.core.inventory.position
        for side in (BUY, SELL):
            at_risk = position * side.sign + sum(order.remaining for order in orders if order.side is side)
            assert at_risk <= limit, "no more than the cap, with all that may be live"
    desk.board(10**6, bid, bid + 7)
    desk.tick(10**6 + 1)
    if desk.core.halted is None and desk.core.hold_reason is not None:
        assert sum(zone.held for zone in desk.grid.zones) == desk.core.inventory.position, "each fill counts once"
    errors = [row for row in desk.rows if "strategy failed" in getattr(row, "text", "")]
    assert not errors
    again = GridDesk(cap=cap, spacing=spacing, rebuild_sec=1 if rebuild else 0)
    for (event, now_ns), step in zip(desk.fed[2:], desk.steps[2:], strict=True):
        again.grid._is_settled = False  # it decides whenever a price moves
        assert again.core.on_event(event, now_ns) == step


def _let(desk: GridDesk, what: str, one: Order, luck: int, ms: float) -> None:
    """Let something happen to an order."""
    name = one.client_order_id
    action = next((quote for quote in desk.quotes if quote.client_order_id == name), None)
    if action is None:  # a close
        desk.filled(ms, next(close for close in desk.closes if close.client_order_id == name), size=one.remaining)
    elif what == "accept":
        desk.tell(ms, K.ACCEPTED, name, f"V-{name}")
        desk.tell(ms, K.REGISTERED, name, f"V-{name}")
    elif what in ("fill", "part"):
        desk.filled(ms, action, size=one.remaining if what == "fill" else 1 + luck % one.remaining)
    elif what == "end":
        desk.tell(ms, K.CANCELLED if one.cancel_sent_ns else K.EXPIRED, name, f"V-{name}")
    elif what == "unknown" and one.accepted_ns is None and one.order_id is None:
        desk.tell(ms, K.SEND_UNKNOWN, name)
    elif what == "late":
        desk.tell(ms, K.CANCELLED, name, f"V-{name}")
        desk.filled(ms + 1, action, size=1 + luck % one.remaining)
    elif what == "halt":
        desk.control(ms, Command.HALT)
    elif what == "hold":
        desk.control(ms, Command.HOLD)
        desk.control(ms + 100, Command.RELEASE)
    else:
        desk.tick(ms)
