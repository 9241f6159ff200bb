"""Decimals in, integers through, decimals out: exactly, or not at all."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stall_then_strike.types.instrument import Instrument, Lots, fx_btc_jpy
from tests.engine.core_rig import properties

FX = fx_btc_jpy()


def instrument(tick: str = "1", lot: str = "0.001") -> Instrument:
    return Instrument(product_code="X", tick_size=Decimal(tick), lot_size=Decimal(lot), min_size=Lots(1))


def test_units_of_the_crypto_cfd() -> None:
    assert (FX.ticks_per_one, FX.lots_per_one, FX.min_size) == (1, 10**8, 100_000)
    assert FX.to_ticks("13600000") == 13_600_000
    assert FX.to_lots("0.001") == FX.min_size
    assert FX.to_lots("0.00000001") == 1
    assert FX.to_money("-30000") == -30_000 * 10**8


@pytest.mark.parametrize(
    ("price", "ticks"), [("5860832.0", 5_860_832), (13_600_000, 13_600_000), (Decimal("1E+3"), 1_000), ("0", 0)]
)
def test_prices_as_the_wire_has_them(price: Decimal | int | str, ticks: int) -> None:
    assert FX.to_ticks(price) == ticks


@pytest.mark.parametrize("size", ["0.000000001", "0.123456789", Decimal("1e-9")])
def test_size_off_the_grid_is_refused(size: Decimal | str) -> None:
    with pytest.raises(ValueError, match="a size in steps of 1E-8"):
        FX.to_lots(size)


def test_price_off_the_grid_is_refused() -> None:
    with pytest.raises(ValueError, match="a price in steps of 1"):
        FX.to_ticks("100.5")
    with pytest.raises(ValueError, match=r"a price in steps of 0\.5"):
        instrument(tick="0.5").to_ticks("100.25")


def test_amount_finer_than_a_unit_is_refused() -> None:
    with pytest.raises(ValueError, match="an amount in steps of"):
        FX.to_money("0.000000001")


def test_nan_is_refused() -> None:
    for convert in (FX.to_ticks, FX.to_lots, FX.to_money):
        with pytest.raises(ValueError, match="NaN"):
            convert(Decimal("NaN"))


@pytest.mark.parametrize("step", ["0", "-1", "0.3", "0.7", "3", "10", "NaN", "Infinity"])
def test_step_that_does_not_divide_one_is_refused(step: str) -> None:
    for key in ("tick", "lot"):
        with pytest.raises(ValueError, match="_size must"):
            instrument(**{key: step})


@pytest.mark.parametrize(("step", "per_one"), [("1", 1), ("0.5", 2), ("0.25", 4), ("0.05", 20), ("1e-8", 10**8)])
def test_steps_that_divide_one(step: str, per_one: int) -> None:
    assert instrument(tick=step).ticks_per_one == per_one


def test_a_unit_of_money_is_a_tick_times_a_lot() -> None:
    one = instrument(tick="0.5", lot="0.001")
    assert one.to_money(one.price(1) * one.size(1)) == 1
    assert one.amount(one.to_ticks("100.5") * one.to_lots("0.003")) == Decimal("0.3015")


@properties(300)
@given(st.integers(0, 10**11), st.integers(0, 10**14), st.integers(-(10**22), 10**22))
def test_there_and_back_is_exact(ticks: int, lots: int, money: int) -> None:
    for one in (FX, instrument(tick="0.5", lot="0.0001")):
        assert one.to_ticks(one.price(ticks)) == ticks
        assert one.to_lots(one.size(lots)) == lots
        assert one.to_money(one.amount(money)) == money
        assert one.to_lots(str(one.size(lots))) == lots


@properties(300)
@given(st.integers(0, 10**15 - 1))
def test_sizes_that_passed_through_a_json_float_are_still_exact(lots: int) -> None:
    """Up to ten million BTC: the shortest text of the nearest float is the number that was sent."""
    assert FX.to_lots(repr(float(FX.size(Lots(lots))))) == lots


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "", "1,5", "one", "1E+999999", "-1E+99999"])
def test_what_is_no_number_is_refused(text: str) -> None:
    unit = fx_btc_jpy()
    for convert in (unit.to_ticks, unit.to_lots, unit.to_money):
        with pytest.raises(ValueError, match="is not a"):
            convert(text)
