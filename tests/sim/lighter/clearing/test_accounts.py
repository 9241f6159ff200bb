"""Collateral, positions, margin and funding are exact, and money is conserved."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from stall_then_strike.sim.lighter.clearing.accounts import PICO, Account, Accounts, Health
from stall_then_strike.sim.lighter.clearing.contracts import MARKETS, MICRO, Plan

ETH, HYPE = 0, 24


def room(*usdc: int) -> tuple[Accounts, list[Account]]:
    accounts = Accounts(MARKETS)
    everyone = [Account(n, f"0x{n}", Plan.PREMIUM) for n in range(len(usdc))]
    for account, amount in zip(everyone, usdc, strict=True):
        accounts.by_index[account.index] = account
        accounts.deposit(account, amount * MICRO)
    return accounts, everyone


def exchange(accounts: Accounts, buyer: Account, seller: Account, size: int, price: int) -> None:
    accounts.trade(buyer, ETH, size, price, 40)
    accounts.trade(seller, ETH, -size, price, 280)


trades = st.tuples(st.integers(0, 2), st.integers(1, 2), st.integers(1, 10_000), st.integers(1, 500_000))
fundings = st.tuples(st.integers(-40_000, 40_000), st.integers(1, 500_000))


@given(st.lists(st.one_of(trades, fundings), max_size=30))
def test_money_is_conserved(steps: list[tuple[int, ...]]) -> None:
    accounts, everyone = room(1_000, 2_000, 3_000)
    for step in steps:
        if len(step) == 2:
            rate, price = step
            accounts.prices[ETH] = accounts.prices[ETH]._replace(underlying=price)
            accounts.pay_funding(ETH, rate, 0, 1)
        else:
            first, further, size, price = step
            exchange(accounts, everyone[first], everyone[(first + further) % 3], size, price)
        assert accounts.wealth() == accounts.deposits == 6_000 * MICRO * PICO
    for account in everyone:
        accounts.book_funding(account, ETH)
    assert accounts.wealth() == accounts.deposits


@given(st.lists(st.tuples(st.sampled_from([-1, 1]), st.integers(1, 500), st.integers(1, 9_999)), max_size=25))
def test_positions_follow_the_average_cost_rule(steps: list[tuple[int, int, int]]) -> None:
    accounts, (account, _) = room(0, 0)
    size, cost, realised, rounding = 0, Fraction(0), Fraction(0), 0
    for sign, lots, price in steps:
        signed = sign * lots
        accounts.trade(account, ETH, signed, price, 0)
        closed = min(lots, abs(size)) if size * signed < 0 else 0
        if closed:
            part = cost * closed / abs(size)
            realised += (1 if size > 0 else -1) * (closed * price - part)
            cost -= part
            rounding += 1
        cost += (lots - closed) * price
        size += signed
        position = account.positions[ETH]
        assert position.size == size
        assert abs(position.entry_quote - cost) <= rounding, "rounded down by less than one at each reduction"
        assert abs(Fraction(account.collateral, PICO) - realised) <= rounding
        if not size:
            assert position.entry_quote == 0
            rounding = max(rounding, 1)


def test_a_captured_round_trip() -> None:
    """A short of 1.00 HYPE at 40.1342, closed at 40.1397 by an account that pays no fee."""
    accounts, (account, other) = room(1_000, 1_000)
    account.collateral = 998_931_800 * PICO
    accounts.position(account, HYPE).fraction = 2_000
    accounts.trade(account, HYPE, -100, 40_1342, 0)
    accounts.trade(other, HYPE, 100, 40_1342, 20)
    accounts.prices[HYPE] = accounts.prices[HYPE]._replace(mark=40_1303)
    assert accounts.health(account).value == 998_935_700 * PICO
    assert accounts.available(account) == 990_909_640 * PICO
    assert account.positions[HYPE].pnl(40_1303) == 3_900
    change = accounts.trade(account, HYPE, 100, 40_1397, 0)
    assert (change.entry_quote_before, change.pnl, change.has_sign_changed) == (40_134_200, -5_500, True)
    assert account.collateral == 998_926_300 * PICO
    assert account.positions[HYPE].realized == 0, "as captured after the close"


def test_fees_are_exact_to_twelve_decimals() -> None:
    accounts, (buyer, seller) = room(100, 100)
    exchange(accounts, buyer, seller, 1, 310_001)
    assert 100 * MICRO * PICO - buyer.collateral == 310_001 * 40
    assert accounts.fees == 310_001 * 320


def test_funding_is_paid_by_longs_and_booked_when_touched() -> None:
    accounts, (long, short) = room(1_000, 1_000)
    exchange(accounts, long, short, 10_000, 310_000)
    before = long.collateral, short.collateral
    paid = accounts.pay_funding(ETH, 12, 5, 1)
    due = 10_000 * 310_000 * 12  # 3,100 USDC at 0.0012 %
    assert {account.index: entry.change for account, entry in paid} == {0: -due, 1: due}
    assert (long.collateral, short.collateral) == before
    assert accounts.collateral(long) == before[0] - due
    accounts.book_funding(long, ETH)
    assert long.collateral == before[0] - due
    assert long.positions[ETH].funding_paid == due
    accounts.book_funding(long, ETH)
    assert long.collateral == before[0] - due, "once"


def test_requirements_by_leverage_and_market() -> None:
    accounts, (long, short) = room(1_000, 1_000)
    exchange(accounts, long, short, 10_000, 310_000)
    worth = 3_100 * MICRO * PICO
    assert accounts.health(long)[1:] == (worth * 5 // 100, worth * 12 // 1_000, worth)
    long.positions[ETH].fraction = 10
    assert accounts.health(long).initial == worth * 2 // 100, "not below the market's own"


def test_health_after_a_trade_is_what_the_trade_makes_it() -> None:
    accounts, (account, other) = room(1_000, 1_000)
    for size, price in ((100, 300_000), (-40, 312_345), (-160, 305_000), (20, 309_999)):
        expected = accounts.health_after(account, ETH, size, price, 40)
        accounts.trade(account, ETH, size, price, 40)
        accounts.trade(other, ETH, -size, price, 40)
        reached = accounts.health(account)
        assert reached[1:] == expected[1:]
        assert abs(reached.value - expected.value) <= PICO, "the entry quote is rounded down"


def test_what_a_trade_may_lead_to() -> None:
    poor = Health(value=50, initial=100, maintenance=60, notional=1_000)
    assert poor.allows(Health(30, 50, 30, 500)), "a better ratio"
    assert not poor.allows(Health(20, 50, 30, 500)), "a worse one"
    assert not poor.allows(Health(-1, 0, 0, 0))
    assert Health(100, 100, 60, 1_000).allows(Health(100, 100, 60, 1_000))
    assert not Health(100, 100, 60, 1_000).allows(Health(99, 100, 60, 1_000)), "it must keep the initial requirement"
