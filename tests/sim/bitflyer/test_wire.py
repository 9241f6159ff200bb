"""Numbers and stamps as bitFlyer writes them."""

from __future__ import annotations

from decimal import Decimal

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stall_then_strike.sim.bitflyer.wire import Wire, rest_time, ws_time
from stall_then_strike.sim.exchange.source import Channel, Depth, Execution
from stall_then_strike.types.dto import ExecId, OrderId, Side
from stall_then_strike.types.instrument import Instrument, Lots, Ticks, fx_btc_jpy

WIRE = Wire(fx_btc_jpy())


@pytest.mark.parametrize(
    ("lots", "text"),
    [(0, "0.0"), (1, "0.00000001"), (1_000_000, "0.01"), (100_000_000, "1.0"), (104_867_766, "1.04867766")],
)
def test_sizes_are_plain_decimals_without_exponent(lots: int, text: str) -> None:
    assert WIRE.size(Lots(lots)) == text


@given(st.integers(0, 10**15))
def test_every_size_survives_the_wire_exactly(lots: int) -> None:
    assert fx_btc_jpy().to_lots(Decimal(WIRE.size(Lots(lots)))) == lots
    assert round(orjson.loads(WIRE.size(Lots(lots))) * 100_000_000) == lots


def test_prices_have_a_decimal_point() -> None:
    assert WIRE.price(Ticks(13_600_000)) == "13600000.0"


def test_finer_ticks_are_written_with_their_decimals() -> None:
    wire = Wire(Instrument(product_code="X", tick_size=Decimal("0.01"), lot_size=Decimal("0.1"), min_size=Lots(1)))
    assert [wire.price(Ticks(n)) for n in (1, 10, 100, 12_345)] == ["0.01", "0.1", "1.0", "123.45"]


def test_a_tick_that_is_no_power_of_ten_is_refused() -> None:
    half = Instrument(product_code="X", tick_size=Decimal("0.5"), lot_size=Decimal("0.1"), min_size=Lots(1))
    with pytest.raises(ValueError, match="decimal step"):
        Wire(half)


@pytest.mark.parametrize(
    ("time_ns", "ws", "rest"),
    [
        (1_639_350_329_969_206_399, "2021-12-12T23:05:29.9692063Z", "2021-12-12T23:05:29.969"),
        (1_639_350_329_500_000_000, "2021-12-12T23:05:29.5000000Z", "2021-12-12T23:05:29.5"),
        (1_639_350_329_000_000_000, "2021-12-12T23:05:29.0000000Z", "2021-12-12T23:05:29"),
    ],
)
def test_stamps_differ_between_realtime_and_rest(time_ns: int, ws: str, rest: str) -> None:
    assert (ws_time(time_ns), rest_time(time_ns)) == (ws, rest)


def test_board_frame_is_byte_for_byte_the_venues_form() -> None:
    depth = Depth(mid=Ticks(100), bids=[(Ticks(99), Lots(1_000_000))], asks=[(Ticks(101), Lots(0))])
    assert WIRE.frame(Channel.BOARD, WIRE.board(depth)) == (
        '{"jsonrpc":"2.0","method":"channelMessage","params":{"channel":"lightning_board_FX_BTC_JPY",'
        '"message":{"mid_price":100.0,"bids":[{"price":99.0,"size":0.01}],"asks":[{"price":101.0,"size":0.0}]}}}'
    )


@pytest.mark.parametrize(("taker", "side"), [(Side.BUY, "BUY"), (Side.SELL, "SELL"), (None, "")])
def test_execution_names_the_takers_side_and_leaves_it_empty_in_an_auction(taker: Side | None, side: str) -> None:
    execution = Execution(
        exec_id=ExecId(7),
        taker=taker,
        price=Ticks(5),
        size=Lots(1),
        time_ns=0,
        buy_order_id=OrderId("b"),
        sell_order_id=OrderId("s"),
    )
    assert orjson.loads(WIRE.executions([execution]))[0]["side"] == side
