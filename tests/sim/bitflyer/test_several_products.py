"""One venue with two products, the second with ticks of a tenth: what they share, and what each has for itself."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

import orjson
import pytest

from stall_then_strike.sim.bitflyer.limits import AddressCalls, Limits
from stall_then_strike.sim.bitflyer.private_rest import PrivateRest
from stall_then_strike.sim.bitflyer.private_venue import PrivateSettings, PrivateVenue
from stall_then_strike.sim.exchange.several_markets import Markets
from stall_then_strike.sim.exchange.source import iter_frames
from stall_then_strike.sim.market import Market
from stall_then_strike.types.dto import Side
from stall_then_strike.types.instrument import Instrument, Lots, Ticks
from tests.sim.exchange_rig import PRODUCT, SECOND, START_NS
from tests.sim.private_rig import ASK, BID, KEY, NO_CALENDAR, OTHER, QUIET, Room, order

ETH = Instrument(product_code="ETH_JPY", tick_size=Decimal("0.1"), lot_size=Decimal("1e-8"), min_size=Lots(100_000))


class TwoProducts(Room):
    """The private side of both, in virtual time."""

    def __init__(self, settings: PrivateSettings | None = None) -> None:
        super().__init__(KEY, settings=settings)
        self.eth_market = Market(seed=2, start_ns=START_NS, model=QUIET, instrument=ETH, ids=self.market.ids)
        self.eth = PrivateVenue(self.eth_market, beside=self.venue)
        self.markets = Markets([self.market, self.eth_market])
        self.rest = PrivateRest(self.venue, AddressCalls(None), self.audit)

    def advance(self, seconds: float = 1.0) -> None:
        self.frames += self.markets.advance(self.now_ns + round(seconds * SECOND))

    def both(self, name: str) -> tuple[Any, Any]:
        return self.get(name), self.get(name, "product_code=ETH_JPY")


def eth(side: str = "BUY", price: Any = BID / 10, **more: Any) -> Mapping[str, Any]:
    return {**order(side, None if price is None else 1, **more), "product_code": "ETH_JPY"} | (
        {} if price is None else {"price": price}
    )


def test_each_product_has_its_orders_fills_and_position() -> None:
    room = TwoProducts()
    btc, alt = room.send(order("BUY", None, 0.01)), room.send(eth("SELL", None, size=0.02))
    resting = room.send(eth(price=999_899.9, size=0.03))
    room.advance()
    assert [event["product_code"] for event in room.events(alt)] == ["ETH_JPY", "ETH_JPY"]
    assert room.events(alt)[1]["price"] == BID / 10
    assert room.events(resting)[0]["price"] == 999_899.9
    first, second = room.both("getexecutions")
    assert ([row["child_order_acceptance_id"] for row in first], first[0]["price"]) == ([btc], float(ASK))
    assert ([row["child_order_acceptance_id"] for row in second], second[0]["price"]) == ([alt], BID / 10)
    first, second = room.both("getpositions")
    assert [(row["product_code"], row["side"], row["size"]) for row in first] == [(PRODUCT, "BUY", 0.01)]
    assert [(row["product_code"], row["side"], row["size"]) for row in second] == [("ETH_JPY", "SELL", 0.02)]
    assert [[row["child_order_acceptance_id"] for row in rows] for rows in room.both("getchildorders")] == [
        [btc],
        [resting, alt],
    ]


def test_results_of_both_are_in_one_collateral_exactly() -> None:
    room = TwoProducts()
    for fields in (order("BUY", None, 0.01), eth("BUY", None, size=0.001)):
        room.send(fields)
        room.advance()
    room.eth_market.submit(room.now_ns, owner=OTHER, side=Side.BUY, size=Lots(200_000), price=Ticks(BID + 7))
    for fields in (order("SELL", None, 0.01), eth("SELL", None, size=0.001)):
        room.send(fields)
        room.advance()
    unit = room.market.instrument
    lost, lost_eth = unit.to_money((BID - ASK) * Decimal("0.01")), ETH.to_money((BID + 7 - ASK) * Decimal("0.0001"))
    assert (room.venue.ledger().realised, room.eth.ledger().realised) == (lost, lost_eth)
    text = room.answer("GET", "/v1/me/getcollateral").text
    said = Decimal(orjson.loads(text)["collateral"]).quantize(Decimal("1e-9"))
    assert said == 1_000_000 + unit.amount(lost) + ETH.amount(lost_eth)


def test_margin_is_required_for_both_together() -> None:
    """A million of collateral carries two millions: 0.15 of one product leaves too little for 0.6 of the other."""
    room = TwoProducts()
    room.other(Side.SELL, 20_000_000, ASK)
    room.eth_market.submit(room.now_ns, owner=OTHER, side=Side.SELL, size=Lots(100_000_000), price=Ticks(ASK))
    room.send(order("BUY", None, 0.15))
    room.advance()
    needed = room.get("getcollateral")["require_collateral"]
    assert needed == pytest.approx(750_000, rel=0.01)
    assert room.post("sendchildorder", eth(price=None, size=0.6))[1]["status"] == -205
    room.send(eth(price=None, size=0.4))
    room.advance()
    assert room.get("getcollateral")["require_collateral"] == pytest.approx(950_000, rel=0.01)
    assert room.post("sendchildorder", order("BUY", BID, 0.05))[1]["status"] == -205
    room.send(order("SELL", None, 0.15))


def test_limits_count_the_calls_of_both() -> None:
    limits = Limits(private_calls=None, order_calls=None, small_orders=3)
    room = TwoProducts(PrivateSettings(limits=limits, calendar=NO_CALENDAR))
    room.send(order())
    room.send(eth())
    room.send(order())
    assert room.post("sendchildorder", eth())[0] == 429
    assert room.venue.accounts["main"].calls is room.eth.accounts["main"].calls


def test_a_cancel_of_all_is_of_one_product() -> None:
    room = TwoProducts()
    names = room.send(order()), room.send(eth())
    room.advance()
    assert room.post("cancelallchildorders", {"product_code": "ETH_JPY"}) == (200, None)
    room.advance()
    assert [room.story(name) for name in names] == [["ORDER"], ["ORDER", "CANCEL"]]


def test_a_stale_list_shows_the_past_of_its_product_and_of_the_collateral() -> None:
    room = TwoProducts()
    room.advance(10)
    room.send(eth("BUY", None, size=0.02))
    room.advance(10)
    room.rest.shown_ns = lambda _path, now_ns: now_ns - 15 * SECOND
    assert room.both("getpositions") == ([], [])
    assert room.get("getcollateral")["require_collateral"] == 0


def test_ids_are_issued_once() -> None:
    room = TwoProducts()
    names = [room.send(order(size=0.001) if turn % 2 else eth(size=0.001)) for turn in range(40)]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("product", ["XRP_JPY", "BTC_JPY"])
def test_other_products_are_unknown(product: str) -> None:
    room = TwoProducts()
    assert room.answer("GET", f"/v1/me/getpositions?product_code={product}").status == 400
    assert room.post("sendchildorder", {**order(), "product_code": product})[1]["status"] == -100


def test_a_product_is_opened_once_and_needs_its_own_market() -> None:
    room = TwoProducts()
    with pytest.raises(ValueError, match="ETH_JPY already"):
        PrivateVenue(Market(seed=3, start_ns=START_NS, instrument=ETH), beside=room.venue)
    with pytest.raises(ValueError, match="one for each product"):
        Markets([room.market, room.market])


@pytest.mark.parametrize("step_s", [Fraction(1, 3), Fraction(7)])
def test_into_whatever_steps_time_is_cut_both_publish_the_same(step_s: Fraction) -> None:
    def markets() -> Markets:
        first = Market(seed=5, start_ns=START_NS)
        return Markets([first, Market(seed=6, start_ns=START_NS, instrument=ETH, ids=first.ids)])

    whole = list(iter_frames(markets(), START_NS + 21 * SECOND))
    cut, source = [], markets()
    for turn in range(1, int(21 / step_s) + 1):
        cut += source.advance(START_NS + int(turn * step_s * SECOND))
    assert cut == whole
    assert {frame.channel for frame in whole} >= {"lightning_board_ETH_JPY", f"lightning_board_{PRODUCT}"}
    assert [frame.time_ns for frame in whole] == sorted(frame.time_ns for frame in whole)
