"""The way out of a position: what is sent next, what is waited for, when it is over."""

from __future__ import annotations

from typing import Any

import pytest

from stall_then_strike.config.models import CloseType, StallStrategyConfig
from stall_then_strike.engine.acting.closing import CLOSE_TAG, DUST_TAG, CloseOrder, Closing, Done, Wait
from stall_then_strike.types.dto import Reason, Side
from stall_then_strike.types.instrument import Lots, Ticks
from tests.engine.core_rig import BUY, MIN, MS, SELL

BEST = (Ticks(10_000), Ticks(10_100))


def asked(
    position: int, *, flatten: bool = True, now: int = 0, closing: Closing | None = None, **keys: Any
) -> CloseOrder | Wait | Done:
    one = closing or Closing(Reason.FLATTEN, StallStrategyConfig(), Lots(MIN), flatten=flatten)
    situation = {"quotes_live": False, "order_live": False, "best": BEST, **keys}
    return one.next(now, position=Lots(position), **situation)


def order(side: Side, size: int, tag: str = CLOSE_TAG, price: int | None = None) -> CloseOrder:
    return CloseOrder(side=side, size=Lots(size), price=None if price is None else Ticks(price), tag=tag)


TABLE = [
    pytest.param(MIN, True, {}, order(SELL, MIN), id="long"),
    pytest.param(-MIN, True, {}, order(BUY, MIN), id="short"),
    pytest.param(3 * MIN + 7, True, {}, order(SELL, 3 * MIN + 7), id="odd sizes are closed whole"),
    pytest.param(MIN, False, {}, order(SELL, MIN), id="the same without the demand to be flat"),
    pytest.param(0, True, {}, Done.FLAT, id="flat"),
    pytest.param(0, True, {"best": None}, Done.FLAT, id="flat needs no book"),
    pytest.param(MIN - 1, False, {}, Done.DUST, id="dust may stay"),
    pytest.param(1 - MIN, False, {"best": None}, Done.DUST, id="short dust may stay"),
    pytest.param(MIN - 1, True, {}, order(BUY, MIN, DUST_TAG), id="dust is enlarged in its own direction"),
    pytest.param(1 - MIN, True, {}, order(SELL, MIN, DUST_TAG), id="short dust too"),
    pytest.param(2 * MIN - 1, True, {}, order(SELL, 2 * MIN - 1), id="enlarged dust is closed whole"),
    pytest.param(MIN, True, {"quotes_live": True}, Wait.QUOTES, id="own quotes first: -159"),
    pytest.param(MIN - 1, True, {"quotes_live": True}, Wait.QUOTES, id="dust too waits for own quotes"),
    pytest.param(0, True, {"quotes_live": True}, Wait.QUOTES, id="flat, but a quote may still be filled"),
    pytest.param(MIN, True, {"order_live": True}, Wait.ORDER, id="one close at a time"),
    pytest.param(0, True, {"order_live": True}, Wait.ORDER, id="flat, but the close may still be filled"),
    pytest.param(MIN, True, {"quotes_live": True, "order_live": True}, Wait.QUOTES, id="both"),
    pytest.param(MIN, True, {"best": None}, Wait.MARKET, id="no market"),
]


@pytest.mark.parametrize(("position", "flatten", "situation", "answer"), TABLE)
def test_what_to_do_next(position: int, flatten: bool, situation: dict[str, Any], answer: object) -> None:
    assert asked(position, flatten=flatten, **situation) == answer


def test_rest_is_tried_again_after_a_pause() -> None:
    closing = Closing(Reason.REVERSE, StallStrategyConfig(close_retry_ms=500), Lots(MIN), flatten=False)
    assert asked(MIN, closing=closing, now=0) == order(SELL, MIN)
    closing.order_ended(100 * MS, executed=Lots(1), remaining=Lots(MIN - 1))
    assert closing.retry_at_ns == 600 * MS
    assert asked(MIN, closing=closing, now=600 * MS - 1) is Wait.PAUSE
    assert asked(MIN, closing=closing, now=600 * MS) == order(SELL, MIN)
    assert asked(0, closing=closing, now=100 * MS) is Done.FLAT, "nothing is left: no pause"


def test_close_that_gets_nothing_is_tried_ever_more_rarely_until_one_gets_something() -> None:
    closing = Closing(Reason.REVERSE, StallStrategyConfig(close_retry_ms=500), Lots(MIN), flatten=False)
    pauses = []
    for _ in range(8):
        closing.order_ended(0, executed=Lots(0), remaining=MIN)
        pauses.append(closing.retry_at_ns // MS)
    assert pauses == [500, 1_000, 2_000, 4_000, 8_000, 16_000, 16_000, 16_000]
    closing.order_ended(0, executed=Lots(1), remaining=Lots(MIN - 1))
    closing.order_ended(0, executed=Lots(0), remaining=MIN)
    assert closing.retry_at_ns == 500 * MS


def test_close_that_was_filled_whole_needs_no_pause() -> None:
    closing = Closing(Reason.FLATTEN, StallStrategyConfig(), Lots(MIN), flatten=True)
    closing.order_ended(100 * MS, executed=MIN, remaining=Lots(0))
    assert asked(MIN, closing=closing, now=100 * MS) == order(SELL, MIN)


@pytest.mark.parametrize(
    ("position", "band", "price"),
    [(MIN, 30, 9_970), (-MIN, 30, 10_130), (MIN, 0, 10_000), (-MIN, 0, 10_100), (MIN, 10_000, 1), (MIN, 20_000, 1)],
)
def test_ioc_close_pays_up_to_its_band(position: int, band: int, price: int) -> None:
    cfg = StallStrategyConfig(close_type=CloseType.IOC, close_band_ticks=band)
    answer = asked(position, closing=Closing(Reason.REVERSE, cfg, Lots(MIN), flatten=True))
    assert isinstance(answer, CloseOrder)
    assert answer.price == price


def test_ioc_enlarges_dust_within_the_band_of_its_own_side() -> None:
    cfg = StallStrategyConfig(close_type=CloseType.IOC, close_band_ticks=30)
    answer = asked(MIN - 1, closing=Closing(Reason.FLATTEN, cfg, Lots(MIN), flatten=True))
    assert answer == order(BUY, MIN, DUST_TAG, 10_130)


@pytest.mark.parametrize("dust", [1, MIN // 2, MIN - 1, -1, 1 - MIN])
def test_dust_takes_two_orders_to_flat(dust: int) -> None:
    position = dust
    sent = []
    while isinstance(answer := asked(position), CloseOrder):
        sent.append(answer.tag)
        assert answer.size >= MIN, "the venue takes no less"
        position += answer.side.sign * answer.size
    assert (answer, sent) == (Done.FLAT, [DUST_TAG, CLOSE_TAG])
