"""The dealer behind a gate that loses answers, throttles and breaks: what the exchange's books say in the end."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from stall_then_strike.types.errors import BatchFailed
from tests.lighter.dealer_rig import Rig, Trouble, rig, sent

SENDS = ("sendTx", "sendTxBatch")
TROUBLES = [trouble for trouble in Trouble if trouble not in (Trouble.PASS, Trouble.STALE)]


def hurry(at: Rig) -> None:
    """Pauses of milliseconds in place of half seconds."""
    for line in at.dealer._sender._lines.values():
        line._between_s = 0.005
    at.dealer.limiter.pause_until = lambda until_ns: None


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


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: str(trouble.name).lower())
async def test_every_second_send_in_trouble(trouble: Trouble) -> None:
    async with rig(gated=True, max_ws_batch=10) as at:
        hurry(at)
        assert at.gate is not None
        at.gate.plan = lambda name, number: trouble if name in SENDS and number % 2 else Trouble.PASS
        await place_change_and_cancel(at, 30)


async def test_first_nonce_read_is_lost_and_later_ones_are_stale() -> None:
    async with rig(gated=True, max_ws_batch=10) as at:
        hurry(at)
        assert at.gate is not None

        def plan(name: str, number: int) -> Trouble:
            if name == "nextNonce":
                return Trouble.LOST_AFTER if number % 5 == 1 else Trouble.STALE
            return Trouble.LOST_AFTER if name in SENDS and number % 3 == 0 else Trouble.PASS

        at.gate.plan = plan
        await place_change_and_cancel(at, 30)


@pytest.mark.parametrize("seed", range(6))
async def test_mixtures_of_all_troubles(seed: int) -> None:
    rng = random.Random(seed)
    async with rig(gated=True, max_ws_batch=rng.choice((1, 7, 50))) as at:
        hurry(at)
        assert at.gate is not None
        at.gate.plan = lambda name, number: rng.choice(TROUBLES) if rng.random() < 0.3 else Trouble.PASS
        await place_change_and_cancel(at, 20)


async def test_venue_that_stays_away_leaves_a_report_of_what_is_in_doubt() -> None:
    async with rig(gated=True) as at:
        hurry(at)
        assert at.gate is not None
        for line in at.dealer._sender._lines.values():
            line._patience_s = 0.3
        order = await at.dealer.create_limit_order(3000.0, 0.01)

        def plan(name: str, number: int) -> Trouble:
            if name == "nextNonce" and number == 1:
                return Trouble.PASS
            return Trouble.LOST_AFTER if name in SENDS else Trouble.LOST_BEFORE

        at.gate.plan = plan
        with pytest.raises(BatchFailed, match="1 of 1 not accepted") as caught:
            await at.dealer.flush()
        assert caught.value.results[0]["status"] == "unknown"
        assert caught.value.results[0]["client_order_index"] == order["client_order_index"]
        at.gate.plan = lambda name, number: Trouble.PASS
        await at.settled()
        found = await at.dealer.fetch_order(order["client_order_index"])
        assert found["status"] == "open", "it was there; its client order index finds it"
        await at.dealer.create_limit_order(3001.0, 0.01)
        await at.dealer.flush()
        assert at.nonces() == [0, 1]
