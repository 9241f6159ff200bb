"""What happens to an account that no longer holds its maintenance requirement. Pure.

Venue facts (documentation and published circuits): all its orders are cancelled. While it still holds the close-out
requirement, its positions are sold with orders that may only reduce, at the zero price = mark x (1 - side x maintenance
fraction x value / maintenance requirement) or better, until the requirement is met; what a sale brings beyond the zero
price is its fee, at most 1 %. Below that requirement the liquidity pool takes the positions at their zero prices, which
leave the account with nothing.

Not simulated: winners that are closed against losers when the pool itself cannot take more.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from stall_then_strike.sim.lighter.clearing.accounts import PICO, Account, Accounts, Health
from stall_then_strike.sim.lighter.clearing.contracts import FRACTION_ONE, MICRO
from stall_then_strike.sim.lighter.clearing.records import InForce, OrderTerms, OrderType

POOL_INDEX: Final = 2**48 - 2
"""The account of the liquidity pool."""
POOL_USDC: Final = 500_000_000
LARGEST_FEE: Final = 10_000
"""1 %, in 1/1,000,000."""


class Sale(NamedTuple):
    """A position that must go, and at which price."""

    market: int
    size: int
    """Signed."""
    zero_price: int


def open_pool(accounts: Accounts) -> Account:
    """The liquidity pool; it is opened when it is first needed."""
    pool = accounts.by_index.get(POOL_INDEX)
    if pool is None:
        pool = accounts.new_account(POOL_INDEX, "0x" + "0" * 40)
        accounts.deposit(pool, POOL_USDC * MICRO)
    return pool


def is_unhealthy(health: Health) -> bool:
    """Whether an account must be liquidated."""
    return health.notional > 0 and health.value < health.maintenance


def is_closed_out(accounts: Accounts, account: Account, health: Health) -> bool:
    """Whether it is too late for orders."""
    needed = sum(
        abs(position.size) * accounts.prices[market].mark * PICO * accounts.markets[market].closeout_fraction
        for market, position in account.positions.items()
    )
    return health.value * FRACTION_ONE < needed


def sales(accounts: Accounts, account: Account) -> Iterator[Sale]:
    """The positions, largest value first, with their zero prices as they are now."""
    worth = {m: abs(p.size) * accounts.prices[m].mark for m, p in account.positions.items() if p.size}
    for market in sorted(worth, key=lambda m: -worth[m]):
        size, mark = account.size_in(market), accounts.prices[market].mark
        health, fraction = accounts.health(account), accounts.markets[market].maintenance_fraction
        whole = health.maintenance * FRACTION_ONE
        cut = mark * fraction * health.value
        # Rounded in the account's favour: a sale's price upwards, a purchase's downwards.
        price = -((cut - mark * whole) // whole) if size > 0 else (mark * whole + cut) // whole
        yield Sale(market, size, max(1, price))


def order_of(sale: Sale) -> OrderTerms:
    """The order that sells a position."""
    return OrderTerms(
        market=sale.market,
        is_ask=sale.size > 0,
        size=abs(sale.size),
        price=sale.zero_price,
        type=OrderType.LIQUIDATION,
        in_force=InForce.IMMEDIATE_OR_CANCEL,
        is_reduce_only=True,
    )


def fee_of(price: int, zero_price: int) -> int:
    """The fee of a sale, in 1/1,000,000 of its quote."""
    return min(LARGEST_FEE, abs(price - zero_price) * MICRO // price)


def needed_lots(accounts: Accounts, account: Account, market: int, price: int, fee: int) -> int:
    """How much of a position must go at a price until the account holds its maintenance requirement."""
    health, mark = accounts.health(account), accounts.prices[market].mark
    sign = 1 if account.size_in(market) > 0 else -1
    gain = sign * (price - mark) * PICO - price * fee
    relief = mark * PICO * accounts.markets[market].maintenance_fraction // FRACTION_ONE
    missing = health.maintenance - health.value
    if missing <= 0:
        return 0
    return -(-missing // (gain + relief)) if gain + relief > 0 else abs(account.size_in(market))
