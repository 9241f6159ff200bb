"""The trading half of the adapter on the exchange on loopback: broker and account, and what the engine is told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from stall_then_strike.infra.clock import Clock, SystemClock
from stall_then_strike.infra.line.socket_line import LineRules
from stall_then_strike.lighter.account import LighterAccountProcessor
from stall_then_strike.lighter.broker import BrokerError, LighterBroker
from stall_then_strike.lighter.client import LighterClient
from stall_then_strike.lighter.limiter import PLANS, Limiter
from stall_then_strike.lighter.markets import Market, Markets
from stall_then_strike.lighter.signing.signer import Secret, Signer
from stall_then_strike.lighter.signing.tokens import Tokens
from stall_then_strike.lighter.ws import LighterWebSocketManager
from stall_then_strike.sim.lighter.clearing.accounts import Account
from stall_then_strike.sim.lighter.clearing.contracts import Plan
from stall_then_strike.sim.lighter.clearing.records import OrderTerms
from stall_then_strike.sim.lighter.lighter_venue import VenueSettings
from stall_then_strike.sim.lighter_server import Credentials, LighterExchange
from stall_then_strike.types.dto import NS_PER_MS, NS_PER_S, Event, FillEvent, OrderEvent
from stall_then_strike.types.names import ClientOrderId, Side
from tests.waiting import until

pytest.importorskip("lighter")
ETH, BTC = 0, 1
QUICK = VenueSettings(plan=Plan.PREMIUM, delay_ms=(1, 3), verifies_orders=False)
RULES = LineRules(
    connect_s=1.0, answer_s=2.0, first_pause_s=0.05, longest_pause_s=0.2, most_tries=None, ping_s=0.5, silent_s=3.0
)
CALL_S = 3.0


@dataclass
class Desk:
    """One account's broker and account processor, and what they told."""

    venue: LighterExchange
    key: Credentials
    clock: Clock
    markets: Markets
    calls: LighterClient
    socket: LighterWebSocketManager
    broker: LighterBroker
    account: LighterAccountProcessor
    told: list[list[Event]]
    """What each instrument's sink got."""
    errors: list[BrokerError]
    _last: int = field(default=0)

    @property
    def books(self) -> Account:
        """The account in the exchange's own books."""
        return self.venue.venue.account(self.key.account_index)

    def name(self) -> ClientOrderId:
        """A new client order id, as the engine makes them."""
        self._last += 1
        return ClientOrderId(str(self.clock.now_ns() // NS_PER_MS * 8 + self._last % 8))

    def market(self, symbol: str) -> Market:
        return self.markets.named(symbol)

    def order_events(self, number: int = 0) -> list[OrderEvent]:
        return [event for event in self.told[number] if isinstance(event, OrderEvent)]

    def fills(self, number: int = 0) -> list[FillEvent]:
        return [event for event in self.told[number] if isinstance(event, FillEvent)]

    def events(self, name: str, number: int = 0) -> list[str]:
        """What was told of an order, in words."""
        return [event.kind.value for event in self.order_events(number) if event.order_id == name]

    async def until(self, what: str, is_so: Callable[[], object], limit_s: float = 10.0) -> None:
        try:
            await until(is_so, limit_s)
        except TimeoutError:
            raise AssertionError(f"no {what}; told: {self.told}") from None

    def others(self, market: int, side: Side, price: int, size: int) -> int:
        """An order of somebody else, at once; its index."""
        venue, now_ns = self.venue.venue, self.clock.now_ns()
        maker = next((a for a in venue.accounts.by_index.values() if a.l1_address == "0xmaker"), None)
        if maker is None:
            maker = venue.add_account(10**13, l1_address="0xmaker")
        index = venue.place(
            maker.index,
            OrderTerms(
                market=market,
                is_ask=side is Side.SELL,
                size=size,
                price=price,
                expiry_ms=(now_ns + 3_600 * NS_PER_S) // NS_PER_MS,
            ),
            now_ns,
        )
        self.venue.wake()
        return index


@asynccontextmanager
async def desk(
    *symbols: str,
    clock: Clock | None = None,
    usdc: int = 100_000,
    rules: LineRules = RULES,
    **more: Any,
) -> AsyncIterator[Desk]:
    """An exchange with an account, whose private channels are live."""
    clock = SystemClock() if clock is None else clock
    async with LighterExchange(clock=clock, seed=1, settings=QUICK, signing_ns=time.time_ns, **more) as venue:
        key = venue.add_account(usdc)
        async with connected(venue, key, symbols or ("ETH",), clock, rules) as one:
            yield one


@asynccontextmanager
async def connected(
    venue: LighterExchange,
    key: Credentials,
    symbols: Sequence[str],
    clock: Clock,
    rules: LineRules = RULES,
) -> AsyncIterator[Desk]:
    """Broker and account of an account, with live channels."""
    plan = PLANS[venue.venue.settings.plan.value]
    async with AsyncExitStack() as stack:
        signer = Signer(venue.base_url, key.account_index, {key.api_key_index: Secret(key.private_key)})
        stack.push_async_callback(signer.aclose)
        tokens = Tokens(signer, key.api_key_index, clock)
        limiter = Limiter(clock, plan, most_wait_ns=NS_PER_S)
        calls = LighterClient(signer.client.api_client, key.account_index, limiter, tokens, clock, limit_s=CALL_S)
        markets = Markets.from_wire(await calls.order_books(), as_of_ns=clock.now_ns(), source="the exchange")
        socket = LighterWebSocketManager(venue.ws_url, tokens=tokens, rules=rules, clock=clock)
        told: list[list[Event]] = [[] for _ in symbols]
        errors: list[BrokerError] = []
        broker = LighterBroker(
            signer,
            [key.api_key_index],
            calls,
            limiter,
            clock,
            markets=markets,
            socket=socket,
            on_error=errors.append,
        )
        account = LighterAccountProcessor(
            key.account_index,
            [markets.named(symbol) for symbol in symbols],
            socket,
            calls,
            clock,
            sinks=[events.append for events in told],
        )
        account.start()
        running = asyncio.create_task(socket.run())
        try:
            await stack.enter_async_context(broker)
            one = Desk(venue, key, clock, markets, calls, socket, broker, account, told, errors)
            await one.until("live channels", lambda: account.is_live)
            yield one
        finally:
            socket.close()
            await asyncio.gather(running, return_exceptions=True)
