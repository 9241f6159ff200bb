"""Signed orders a second on Lighter: the adapter in batches and one by one, beside the SDK's own client.

All three talk to the same exchange on loopback, in the same process and event loop, which verifies no signatures (a
signature's check in pure Python would be most of the time). The venue's limits are off, and so are the adapter's jitter
and its limiter's waits. Each client places the same orders on an account of its own.

Besides, the adapter's own share of the time that it and the signer need together: an order's way from the call to the
signed bytes, without the network, with the time inside the native library measured apart.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Any

from stall_then_strike.infra.clock import SystemClock
from stall_then_strike.lighter import DealerConfig, LighterDealer
from stall_then_strike.lighter.signing.key_line import Item, KeyLine
from stall_then_strike.lighter.signing.order_forms import limit_order
from stall_then_strike.sim.lighter.clearing.contracts import Plan
from stall_then_strike.sim.lighter.lighter_venue import VenueSettings
from stall_then_strike.sim.lighter_server import Credentials, LighterExchange

SETTINGS = VenueSettings(plan=Plan.PREMIUM, verifies_orders=False, limits_calls=False, delay_ms=(1, 2))
UNLIMITED = 10_000_000
ROUNDS = 3
"""The clients take turns, and the best round of each counts: other programs can only slow it down."""
PRICE, SIZE = 3_000.0, 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRates:
    """Orders a second of each client, and the adapter's share of the time beside the signer's."""

    orders: int
    batched: float
    single: float
    sdk: float
    own_us: float
    """The adapter's own time for an order, from the call to the signed bytes, in microseconds."""
    signing_us: float
    """The native library's."""

    @property
    def own_share(self) -> float:
        """The adapter's part of both."""
        return self.own_us / (self.own_us + self.signing_us)


def measure(orders: int) -> OrderRates:
    """Run all of it."""
    return asyncio.run(_measure(orders))


async def _measure(orders: int) -> OrderRates:
    async with LighterExchange(clock=SystemClock(), settings=SETTINGS) as venue:
        ways = (_place_in_batches, _place_one_by_one, _place_by_sdk)
        rounds = [[await _rate(orders, venue, way) for way in ways] for _ in range(ROUNDS)]
        batched, single, sdk = (max(rates) for rates in zip(*rounds, strict=True))
        own_us, signing_us = await _shares(orders, venue)
    return OrderRates(orders=orders, batched=batched, single=single, sdk=sdk, own_us=own_us, signing_us=signing_us)


Placing = Callable[[LighterExchange, Credentials, int], Awaitable[int]]


async def _rate(orders: int, venue: LighterExchange, place: Placing) -> float:
    """Orders a second; the venue must have accepted all."""
    key = venue.add_account(1_000_000)
    before = len(venue.venue.txs)
    took_ns = await place(venue, key, orders)
    accepted = len(venue.venue.txs) - before
    if accepted != orders:
        raise AssertionError(f"{accepted} of {orders} orders were accepted")
    return orders / (took_ns / 1e9)


async def _dealer(venue: LighterExchange, key: Credentials, **more: Any) -> LighterDealer:
    return await LighterDealer.create(
        DealerConfig(
            base_url=venue.base_url,
            account_index=key.account_index,
            api_keys=[{"api_key_index": key.api_key_index, "api_key_private_key": key.private_key}],
            symbol="ETH",
            standard_account=False,
            ip_weight_per_minute=UNLIMITED,
            jitter_ms=(0, 0),
            max_ws_batch=50,
            **more,
        )
    )


async def _place(dealer: LighterDealer, orders: int) -> int:
    async with dealer:
        await dealer.get_next_nonce()  # the connection is up
        started_ns = perf_counter_ns()
        for number in range(orders):
            await dealer.create_limit_order(PRICE - number % 100, SIZE)
        await dealer.flush()
        return perf_counter_ns() - started_ns


async def _place_in_batches(venue: LighterExchange, key: Credentials, orders: int) -> int:
    return await _place(await _dealer(venue, key), orders)


async def _place_one_by_one(venue: LighterExchange, key: Credentials, orders: int) -> int:
    return await _place(await _dealer(venue, key, prefer_high_level=True), orders)


async def _place_by_sdk(venue: LighterExchange, key: Credentials, orders: int) -> int:
    """The SDK's own `create_order`, which signs, counts the nonce and sends."""
    import lighter

    client = lighter.SignerClient(venue.base_url, key.account_index, {key.api_key_index: key.private_key})
    try:
        await client.tx_api.next_nonce(account_index=key.account_index, api_key_index=key.api_key_index)
        started_ns = perf_counter_ns()
        for number in range(orders):
            price = int(PRICE * 100) - number % 100 * 100
            _, _, error = await client.create_order(0, 1 + number, int(SIZE * 10_000), price, 0, 0, 1)
            if error is not None:
                raise AssertionError(error)
        return perf_counter_ns() - started_ns
    finally:
        await client.close()


async def _shares(orders: int, venue: LighterExchange) -> tuple[float, float]:
    """Microseconds for an order: the adapter's own, and inside the native library."""
    dealer = await _dealer(venue, venue.add_account())
    signer = dealer.signer
    native_ns = 0
    plain = signer.client.sign_create_order

    def timed(*args: Any, **named: Any) -> Any:
        nonlocal native_ns
        started_ns = perf_counter_ns()
        try:
            return plain(*args, **named)
        finally:
            native_ns += perf_counter_ns() - started_ns

    async def swallow(batch: object) -> None:
        """A venue that accepts at once."""

    signer.client.sign_create_order = timed
    try:
        line = KeyLine(
            next(iter(dealer.cfg.keys())),
            signer,
            swallow,
            dealer.calls,
            SystemClock(),
            batch_limit=50,
            on_trouble=lambda text: None,
        )
        await line.send_all([Item(limit_order(dealer.market, 1, PRICE, SIZE))])  # the nonce is known
        native_ns, started_ns = 0, perf_counter_ns()
        for first in range(0, orders, 50):
            items = [
                Item(limit_order(dealer.market, 2 + n, PRICE, SIZE)) for n in range(first, min(first + 50, orders))
            ]
            await line.send_all(items)
        whole_ns = perf_counter_ns() - started_ns
    finally:
        await dealer.aclose()
    return (whole_ns - native_ns) / orders / 1e3, native_ns / orders / 1e3
