"""The dealer while the exchange loses answers, throttles and breaks: what the exchange's books say in the end."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest

from stall_then_strike.sim.faults.kinds import Fault, FaultKind
from stall_then_strike.types.errors import BatchFailed
from tests.lighter.dealer_rig import Rig, rig, sent

SENDS = "/api/v1/sendTx*"
NONCES = "/api/v1/nextNonce"
ALL = "/api/v1/*"
K = FaultKind
HARSH = {
    "request lost": Fault(kind=K.LOSE_REQUEST, path=SENDS, chance=0.5),
    "request reset": Fault(kind=K.RESET_REQUEST, path=SENDS, chance=0.5),
    "answer lost": Fault(kind=K.LOSE_ANSWER, path=SENDS, chance=0.5),
    "answer reset": Fault(kind=K.RESET_ANSWER, path=SENDS, chance=0.5),
    "error after the effect": Fault(kind=K.ERROR_AFTER_EFFECT, path=SENDS, chance=0.5),
    "bad gateway": Fault(kind=K.SERVER_ERROR, path=SENDS, http_status=502, chance=0.5),
    "page": Fault(kind=K.HTML_PAGE, path=SENDS, chance=0.5),
    "empty": Fault(kind=K.EMPTY_BODY, path=SENDS, chance=0.5),
    "throttled": Fault(kind=K.OVER_LIMIT, path=SENDS, seconds=0.01, chance=0.5),
    "invalid nonce": Fault(kind=K.REFUSE_TX, code=21_104, chance=0.5),
}


def hurry(at: Rig) -> None:
    """Pauses of milliseconds in place of half seconds, and no patience with silence."""
    for line in at.dealer._sender._lines.values():
        line._between_s = 0.005
    at.dealer.limiter.pause_until = lambda until_ns: None
    at.dealer.calls._limit_s = 0.2


async def place_change_and_cancel(at: Rig, count: int) -> None:
    """Orders are placed, changed and half of them cancelled, in batches; then the books are compared with the wish."""
    dealer = at.dealer
    orders = [(await dealer.create_limit_order(2000.0 + n, 0.01))["client_order_index"] for n in range(count)]
    await dealer.flush()
    for n, coi in enumerate(orders):
        await dealer.update_order(coi, 1000.0 + n, 0.02)
    await dealer.flush()
    for coi in orders[::2]:
        await dealer.cancel_order(coi)
    await dealer.flush()
    await at.settled()
    assert {order.client_index: (order.price, order.size) for order in at.orders()} == {
        coi: (100_000 + 100 * n, 200) for n, coi in enumerate(orders) if n % 2
    }
    assert at.nonces() == list(range(2 * count + (count + 1) // 2)), "each once, in order"
    creates = Counter(tx["ClientOrderIndex"] for tx in sent(at.venue) if "ClientOrderIndex" in tx)
    assert set(creates.values()) == {1}


@pytest.mark.parametrize("name", HARSH)
async def test_every_second_send_in_trouble(name: str) -> None:
    async with rig(max_ws_batch=10) as at:
        hurry(at)
        at.venue.faults.inject(HARSH[name])
        await place_change_and_cancel(at, 20)
        assert at.venue.faults.struck


async def test_nonces_are_stale_and_their_readings_get_lost() -> None:
    async with rig(max_ws_batch=10) as at:
        hurry(at)
        at.venue.faults.inject(
            Fault(kind=K.STALE_NONCE, by=3, chance=0.5),
            Fault(kind=K.RESET_ANSWER, path=NONCES, chance=0.3),
            Fault(kind=K.RESET_ANSWER, path=SENDS, chance=0.5),
        )
        await place_change_and_cancel(at, 20)


@pytest.mark.parametrize("seed", range(4))
async def test_mixtures_of_all_troubles(seed: int) -> None:
    rng = random.Random(seed)
    async with rig(max_ws_batch=rng.choice((1, 7, 50))) as at:
        hurry(at)
        for fault in HARSH.values():
            path = ALL if fault.path and rng.random() < 0.5 else fault.path
            at.venue.faults.inject(replace(fault, path=path, chance=0.07))
        await at.dealer.refresh_markets()
        orders = [await at.dealer.create_limit_order(2000.0 + n, 0.01) for n in range(20)]
        await at.dealer.flush()
        assert [tx["ClientOrderIndex"] for tx in sent(at.venue)] == [order["client_order_index"] for order in orders]
        assert at.nonces() == list(range(20))


async def test_venue_that_stays_away_leaves_a_report_of_what_is_in_doubt() -> None:
    async with rig() as at:
        hurry(at)
        for line in at.dealer._sender._lines.values():
            line._patience_s = 0.3
        order = await at.dealer.create_limit_order(3000.0, 0.01)
        at.venue.faults.inject(Fault(kind=K.RESET_ANSWER, path=SENDS), Fault(kind=K.RESET_ANSWER, path=NONCES, skip=1))
        with pytest.raises(BatchFailed, match="1 of 1 not accepted") as caught:
            await at.dealer.flush()
        assert caught.value.results[0]["status"] == "unknown"
        assert caught.value.results[0]["client_order_index"] == order["client_order_index"]
        at.venue.faults.lift()
        at.dealer.calls._limit_s = 10.0
        await at.settled()
        found = await at.dealer.fetch_order(order["client_order_index"])
        assert found["status"] == "open", "it was there; its client order index finds it"
        await at.dealer.create_limit_order(3001.0, 0.01)
        await at.dealer.flush()
        assert at.nonces() == [0, 1]
