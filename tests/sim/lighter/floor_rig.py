"""A floor with accounts in virtual time, without transactions or sockets."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from stall_then_strike.sim.lighter.clearing.accounts import PICO, Account, Accounts
from stall_then_strike.sim.lighter.clearing.contracts import MARKETS, MICRO, LighterMarket, Plan
from stall_then_strike.sim.lighter.clearing.records import InForce, LighterOrder, OrderTerms, OrderType, Status
from stall_then_strike.sim.lighter.clearing.trading_floor import TradingFloor
from stall_then_strike.sim.lighter.venue_events import VenueEvent

START_NS = 1_795_000_000 * 10**9
SECOND = 10**9
ETH, BTC, SOL = 0, 1, 2
PRICE = 3_100_00
IOC, GTT, POST = InForce.IMMEDIATE_OR_CANCEL, InForce.GOOD_TILL_TIME, InForce.POST_ONLY
Kind = TypeVar("Kind", bound=VenueEvent)


class Floor(TradingFloor):
    """A floor with two rich accounts, ``me`` and ``other``, and short ways to say things."""

    def __init__(self, *, plan: Plan = Plan.STANDARD, markets: Iterable[LighterMarket] = MARKETS) -> None:
        super().__init__(markets, START_NS)
        self.plan = plan
        self.me = self.open(1_000_000)
        self.other = self.open(1_000_000)

    def open(self, usdc: int, l1_address: str | None = None) -> Account:
        index = 101 + len(self.accounts.by_index)
        account = Account(index, f"0x{index:040x}" if l1_address is None else l1_address, self.plan)
        self.accounts.by_index[index] = account
        self.accounts.deposit(account, usdc * MICRO)
        return account

    def send(self, owner: Account, *, is_ask: bool, size: int, price: int, **more: Any) -> LighterOrder:
        """Place an order; return its state."""
        market = more.pop("market", ETH)
        index = self.place(owner, OrderTerms(market=market, is_ask=is_ask, size=size, price=price, **more), self.now_ns)
        return self.order(owner, index)

    def buy(self, owner: Account, size: int, price: int = PRICE, **more: Any) -> LighterOrder:
        return self.send(owner, is_ask=False, size=size, price=price, **more)

    def sell(self, owner: Account, size: int, price: int = PRICE, **more: Any) -> LighterOrder:
        return self.send(owner, is_ask=True, size=size, price=price, **more)

    def market(self, owner: Account, size: int, price: int, **more: Any) -> LighterOrder:
        """A market order with a bound; a negative size sells."""
        more = {"type": OrderType.MARKET, "in_force": IOC, **more}
        return self.send(owner, is_ask=size < 0, size=abs(size), price=price, **more)

    def hold(self, owner: Account, size: int, price: int = PRICE, market: int = ETH) -> None:
        """Give an account a position against ``other``."""
        self.send(self.other, is_ask=size > 0, size=abs(size), price=price, market=market)
        self.send(owner, is_ask=size < 0, size=abs(size), price=price, market=market, in_force=IOC)

    def order(self, owner: Account, index: int) -> LighterOrder:
        return next(o for o in (*owner.orders.values(), *reversed(owner.closed)) if o.order_index == index)

    def status(self, owner: Account, order: LighterOrder) -> Status:
        return self.order(owner, order.order_index).status

    def happened(self, kind: type[Kind]) -> list[Kind]:
        return [event for event in self.events if isinstance(event, kind)]

    def check(self) -> None:
        """Nothing is lost: money, sizes, and what the books and the accounts say of orders."""
        assert self.accounts.wealth() == self.accounts.deposits
        live = {order.order_index for pit in self.pits.values() for order in pit.live.values()}
        assert live == {index for account in self.accounts.by_index.values() for index in account.orders}
        for pit in self.pits.values():
            waiting = sum(order.waits_for_parent for order in pit.live.values())
            assert len(pit.engine) + len(pit.pending) + waiting == len(pit.live)


def usdc(pico: int) -> float:
    return pico / PICO / MICRO


def value_of(accounts: Accounts, account: Account) -> float:
    return usdc(accounts.health(account).value)
