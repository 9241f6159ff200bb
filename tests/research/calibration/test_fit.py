"""Fits recover what produced the fills: a known parameter, and the queues of the embedded exchange."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import orjson
import pytest

from stall_then_strike.config.models import LatencyConfig, LatencyKind
from stall_then_strike.infra.bitflyer.wire_time import wire_time_ns
from stall_then_strike.research.calibration.fill_replay import QueueRule, Track, played
from stall_then_strike.research.calibration.fit import (
    BLOCK_NS,
    Calibration,
    Candidates,
    Compared,
    Fit,
    as_json,
    calibrate,
    fit,
    parameter_of,
    try_all,
    usual_cancel_ns,
)
from stall_then_strike.research.calibration.live_latencies import CANCEL, ORDER, write_samples
from stall_then_strike.research.calibration.live_orders import CalibrationError, LiveOrder, LiveRecord
from stall_then_strike.research.calibration.quote_tracks import Placed, TrackReader, hear, placed
from stall_then_strike.sim.exchange.flow_model import FlowModel
from stall_then_strike.sim.fill_rules import SHARE_SCALE
from stall_then_strike.sim.latency import Latency
from stall_then_strike.tapes.sequence import one_run
from stall_then_strike.types.dto import NS_PER_MS, ClientOrderId, OrderId, Side
from tests.research.calibration.live_market import record
from tests.sim.bitflyer.test_desk import FIXED

# --- a known parameter ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def met(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Placed, Track]]:
    """Quotes that were never sent, with the market that they would have met: the tape does not contain them.

    The recorded run's own quotes are far from the best price, so that they change nothing there.
    """
    folder = tmp_path_factory.mktemp("known")
    away, tape = record(folder, 600, ttl_s=3.0, back_ticks=100_000)
    near = [order for order in away.orders if order.registered_ns is not None and order.cancelled_ns is not None]
    hearing = hear([tape], "FX_BTC_JPY", away.names)
    quotes = []
    for number, order in enumerate(near):
        # As many at each second-best price as at the best, and on either side.
        price = (order.price or 0) + order.side.sign * 100_000
        moved = replace(order, price=price, name=ClientOrderId(f"n{number}"), order_id=OrderId(f"N{number}"))
        found = placed(moved, hearing, 0, 0)
        assert found is not None
        quotes.append(found)
    tracks = TrackReader(away.cfg, quotes, frozenset(), are_shown=False).read(one_run([tape])).tracks
    return [(quote, tracks[quote.order.name]) for quote in quotes if quote.order.name in tracks]


def compared(met: list[tuple[Placed, Track]], rule: QueueRule, wrong: float = 0.0) -> list[Compared]:
    """Their fills by this rule; a random part of them follows another rule."""
    rng = random.Random(5)
    return [
        Compared(
            order=quote.order,
            track=track,
            effect_ns=quote.effect_ns,
            real=tuple(played(track, QueueRule(rng.randrange(SHARE_SCALE), 0) if rng.random() < wrong else rule)),
        )
        for quote, track in met
    ]


def fitted(orders: list[Compared]) -> tuple[dict[str, Fit], Candidates]:
    candidates = try_all(orders)
    real = np.array([one.part(one.real) for one in orders])
    return {found.model: found for found in fit(candidates, real, [one.block for one in orders])}, candidates


def interval(found: Fit, candidates: Candidates) -> tuple[float, float, float]:
    assert found.low is not None
    assert found.high is not None
    low, best, high = (parameter_of(candidates.rules[at], found.model) for at in (found.low, found.best, found.high))
    assert low is not None
    assert best is not None
    assert high is not None
    return low, best, high


@pytest.mark.parametrize("share", [0.15, 0.4, 0.75])
@pytest.mark.parametrize("wrong", [0.0, 0.15])
def test_known_share_is_found(met: list[tuple[Placed, Track]], share: float, wrong: float) -> None:
    found, candidates = fitted(compared(met, QueueRule(round(share * SHARE_SCALE), 0), wrong))
    assert candidates.sensitive > 30
    low, best, high = interval(found["share"], candidates)
    assert low <= share <= high
    assert low <= best <= high
    assert high - low < 0.5
    assert found["share"].loss <= found["power"].loss
    assert found["share"].loss < found["pessimistic"].loss
    if not wrong:
        assert found["share"].loss == 0.0


def test_known_power_is_found(met: list[tuple[Placed, Track]]) -> None:
    found, candidates = fitted(compared(met, QueueRule(0, 3)))
    low, best, high = interval(found["power"], candidates)
    assert found["power"].loss == 0.0
    assert low <= 3 <= high
    assert 2 <= best <= 4


def test_pessimistic_market_is_told_with_the_fewest_parameters(met: list[tuple[Placed, Track]]) -> None:
    found, _ = fitted(compared(met, QueueRule(0, 0)))
    assert found["pessimistic"].loss == found["share"].loss == 0.0
    assert found["pessimistic"].wins == 1.0


def test_one_minute_has_no_interval(met: list[tuple[Placed, Track]]) -> None:
    first = met[0][0].order.sent_ns // BLOCK_NS
    few = [pair for pair in met if pair[0].order.sent_ns // BLOCK_NS == first]
    found, _ = fitted(compared(few, QueueRule(0, 1)))
    assert (found["share"].low, found["share"].wins) == (None, None)


def test_same_orders_give_the_same_fit(met: list[tuple[Placed, Track]]) -> None:
    orders = compared(met, QueueRule(400_000, 0), 0.1)
    assert fitted(orders)[0] == fitted(orders)[0]


# --- the embedded exchange, where orders really queue -----------------------------------------------------------------


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> tuple[LiveRecord, Path]:
    return record(tmp_path_factory.mktemp("live"), 900)


@pytest.fixture(scope="module")
def result(live: tuple[LiveRecord, Path]) -> Calibration:
    return calibrate(live[0], [live[1]])[0]


def test_best_model_fills_live_orders_as_they_were_filled(result: Calibration) -> None:
    best, real = result.best_model, result.real
    assert best is not None
    assert result.orders > 400
    assert result.sensitive > 60
    assert real.ratio is not None
    assert real.ratio.low is not None
    assert real.ratio.high is not None
    assert best.fills.ratio is not None
    assert real.ratio.low <= best.fills.ratio.value <= real.ratio.high
    assert best.difference is not None
    assert best.difference.verdict == 0
    assert best.both + best.only_real + best.only_predicted + best.neither == result.orders
    assert best.only_real + best.only_predicted < 0.12 * result.orders


def test_wrong_model_is_seen_to_be_wrong(result: Calibration) -> None:
    """On the exchange cancels come from the whole queue, so the pessimistic model must not win."""
    (pessimistic,) = (model for model in result.models if model.model == "pessimistic")
    assert pessimistic.difference is not None
    assert pessimistic.difference.verdict == -1
    assert pessimistic.wins == 0.0
    best = result.best_model
    assert best is not None
    mistakes = [model.only_real + model.only_predicted for model in (pessimistic, best)]
    assert mistakes[0] > 1.25 * mistakes[1]


def test_markouts_and_waits_are_told_for_both(result: Calibration) -> None:
    best = result.best_model
    assert best is not None
    for side in (result.real, best.fills):
        assert list(side.markouts) == ["0.1", "1", "5", "10", "60"]
        assert all(estimate is not None and estimate.low is not None for estimate in side.markouts.values())
        assert side.time_to_fill_ms is not None
        assert side.time_to_fill_ms.value > 100
    real, predicted = result.real.markouts["0.1"], best.fills.markouts["0.1"]
    assert real is not None
    assert predicted is not None
    assert real.low is not None
    assert real.high is not None
    assert real.low <= predicted.value <= real.high


def test_our_own_size_in_the_tapes_book_would_spoil_it(tmp_path: Path) -> None:
    """If our real order is not removed, it stands ahead of the replayed one when all others have gone."""
    orders, tape = record(tmp_path, 600, model=FlowModel())
    hearing = hear([tape], "FX_BTC_JPY", orders.names)
    lag_ns, _ = hearing.private_lag_ns(orders.orders)
    cancel_ns = usual_cancel_ns(orders.orders, lag_ns)
    quotes = [found for order in orders.orders if (found := placed(order, hearing, lag_ns, cancel_ns)) is not None]
    real = {order.name: order.executed for order in orders.orders}
    wrong = {}
    for are_shown in (True, False):
        tracks = TrackReader(orders.cfg, quotes, orders.names, are_shown=are_shown).read(one_run([tape])).tracks
        fills = {name: sum(fill.size for fill in played(track, QueueRule(0, 1))) for name, track in tracks.items()}
        wrong[are_shown] = sum(abs(real[name] - size) for name, size in fills.items()) / sum(real.values())
    assert wrong[True] < 0.06
    assert wrong[False] > 4 * wrong[True]


def test_result_is_plain_values(result: Calibration) -> None:
    plain = as_json(result)
    assert plain["version"] == 1
    assert plain["models"][0]["fills"]["markouts"]["60"]["n"] > 0
    assert plain["best"] == result.best


def test_order_that_a_gap_cut_through_is_left_out(
    live: tuple[LiveRecord, Path], result: Calibration, tmp_path: Path
) -> None:
    orders, tape = live
    lines = tape.read_text().splitlines(keepends=True)
    middle = len(lines) // 2
    start = int(lines[middle].split(":", 1)[1].split(",", 1)[0])
    hole = [line for line in lines if not 0 <= int(line.split(":", 1)[1].split(",", 1)[0]) - start < 30 * 10**9]
    holed = tmp_path / "holed.jsonl"
    holed.write_text("".join(hole))
    cut = calibrate(orders, [holed])[0]
    assert result.not_on_tape == 0
    assert 10 <= cut.not_on_tape <= 40
    assert cut.orders + cut.not_on_tape == result.orders


# --- latencies --------------------------------------------------------------------------------------------------------


def own_print_ms(tape: Path, names: frozenset[OrderId]) -> list[float]:
    """By the tape's own stamps: how long after its matching each print of ours was heard."""
    lines = map(orjson.loads, tape.read_text().splitlines())
    return [
        (line["recv_ns"] - wire_time_ns(item["exec_date"])) / NS_PER_MS
        for line in lines
        if line["msg"]["params"]["channel"] == "lightning_executions_FX_BTC_JPY"
        for item in line["msg"]["params"]["message"]
        if names & {item["buy_child_order_acceptance_id"], item["sell_child_order_acceptance_id"]}
    ]


def test_latencies_are_those_of_the_exchange(tmp_path: Path) -> None:
    """A request takes 100 ms and a private event 50 ms more; executions take 35 ms and more, and each its own time.

    In the tape's time a request therefore takes 100 ms and the usual delay of our executions.
    """
    orders, tape = record(tmp_path, 240, delays=FIXED)
    result, found = calibrate(orders, [tape])
    heard_ms = own_print_ms(tape, orders.names)
    usual_ms = median(heard_ms)
    assert max(heard_ms) - min(heard_ms) > 200
    assert result.private_lag_ms == pytest.approx(50 - usual_ms, abs=0.01)
    assert sorted(found["private"]) == pytest.approx(sorted(50 - ms for ms in heard_ms), abs=0.01)
    assert len(found[CANCEL]) > 50
    assert found[CANCEL] == pytest.approx([100 + usual_ms] * len(found[CANCEL]), abs=0.01)
    assert len(found[ORDER]) > 50
    assert max(found[ORDER]) == median(found[ORDER]) == pytest.approx(100 + usual_ms, abs=0.01)
    assert min(found[ORDER]) >= 100 + 35  # an order whose first print was heard sooner had arrived by then
    assert min(found["feed"]) >= 35
    written = write_samples(tmp_path, found, "test", result.private_lag_ms)
    latency = Latency(LatencyConfig(kind=LatencyKind.SAMPLED, file=str(written[CANCEL])), 1, 1)
    assert {latency.draw_ns(0) // NS_PER_MS for _ in range(20)} == {int(100 + usual_ms)}


# --- what cannot be used ----------------------------------------------------------------------------------------------


def test_record_without_quotes_is_refused(live: tuple[LiveRecord, Path]) -> None:
    orders, tape = live
    closes = tuple(replace(order, tag="close") for order in orders.orders)
    with pytest.raises(CalibrationError, match=r"no quotes; accepted"):
        calibrate(replace(orders, orders=closes), [tape])


def test_tape_of_another_time_is_refused(live: tuple[LiveRecord, Path]) -> None:
    orders, tape = live
    day = 86_400 * 10**9
    with pytest.raises(CalibrationError, match=rf"{tape.name}: none of the \d+ quotes of .* is on the tapes"):
        calibrate(replace(orders, orders=tuple(earlier(order, day) for order in orders.orders)), [tape])


def earlier(order: LiveOrder, ns: int) -> LiveOrder:
    return replace(
        order,
        sent_ns=order.sent_ns - ns,
        registered_ns=order.registered_ns - ns if order.registered_ns else None,
        cancelled_ns=order.cancelled_ns - ns if order.cancelled_ns else None,
        cancel_sent_ns=order.cancel_sent_ns - ns if order.cancel_sent_ns else None,
        order_id=OrderId(f"{order.order_id}-other"),
        side=Side(order.side),
        fills=(),
    )


def test_damaged_tape_is_named(live: tuple[LiveRecord, Path], tmp_path: Path) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"recv_ns":1,"msg":{}}\nnonsense\n')
    with pytest.raises(CalibrationError, match=r"bad\.jsonl:2"):
        calibrate(live[0], [bad])
