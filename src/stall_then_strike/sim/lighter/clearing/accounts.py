"""Accounts: collateral, positions, margin, funding and fees, in exact integers. Pure.

Money has two units: micro-USDC (a size times a price) and pico-USDC, 10^-12, in which collateral, fees and funding are
exact. Nothing is rounded but the entry quote of a position that shrinks. It is rounded down, which moves money only
between the position and the collateral of one account: :meth:`Accounts.wealth` never changes but by
deposits.

Venue facts (its published circuits, and a captured trade): a trade realises profit against the average entry and pays
it into the collateral at once; a fee is the quote times the fee; funding is booked when the position is next touched;
after a trade an account must hold its initial requirement, or, if it did not before, be no worse off against its
maintenance requirement.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from stall_then_strike.sim.lighter.clearing.contracts import FRACTION_ONE, LighterMarket, Plan
from stall_then_strike.sim.lighter.clearing.records import FundingPaid, LighterOrder, LighterTrade, Party

PICO: Final = 10**6
"""Pico-USDC in a micro-USDC."""
_KEPT: Final = 1_000
"""Closed orders, trades and funding payments that an account remembers."""


@dataclass(slots=True)
class Position:
    """A position in one market, flat or not. Mutable and owned by its account."""

    fraction: int
    """The initial margin fraction, which the account's leverage sets."""
    size: int = 0
    """Signed."""
    entry_quote: int = 0
    """What the open size cost, in micro-USDC; never negative."""
    funding_mark: int = 0
    """The market's funding index up to which funding is booked."""
    realized: int = 0
    """Profit realised since the position was flat, in micro-USDC."""
    funding_paid: int = 0
    """Funding paid since the position was flat, in pico-USDC."""

    def pnl(self, mark: int) -> int:
        """Unrealised profit at a price, in micro-USDC."""
        cost = self.entry_quote if self.size > 0 else -self.entry_quote
        return self.size * mark - cost


@dataclass(slots=True)
class ApiKey:
    """A registered key: who may sign for an account."""

    public_key: bytes
    nonce: int = 0
    """What the next transaction must carry."""
    changed_ns: int = 0


class Volume(NamedTuple):
    """Trades and their quote in micro-USDC."""

    trades: int
    quote: int


_NOTHING: Final = Volume(0, 0)


@dataclass(slots=True)
class Account:
    """An account. Mutable; written by the venue only. ``collateral`` is in pico-USDC."""

    index: int
    l1_address: str
    plan: Plan
    collateral: int = 0
    positions: dict[int, Position] = field(default_factory=dict)
    keys: dict[int, ApiKey] = field(default_factory=dict)
    orders: dict[int, LighterOrder] = field(default_factory=dict)
    """The live orders by order index, oldest first."""
    client_indices: dict[int, int] = field(default_factory=dict)
    """Client order index to order index, of live orders."""
    closed: deque[LighterOrder] = field(default_factory=lambda: deque(maxlen=_KEPT))
    trades: deque[LighterTrade] = field(default_factory=lambda: deque(maxlen=_KEPT))
    fundings: deque[FundingPaid] = field(default_factory=lambda: deque(maxlen=_KEPT))
    cancel_all_ms: int = 0
    """When the dead man's switch cancels all orders; zero when it is off."""
    order_count: int = 0
    """Orders ever made."""
    volume: Volume = _NOTHING
    quota_used: int = 0
    """Transactions paid from the volume quota (premium)."""
    free_after_ns: int = 0
    """When one more transaction costs nothing."""

    def size_in(self, market: int) -> int:
        """The signed position in a market."""
        position = self.positions.get(market)
        return 0 if position is None else position.size


class Prices(NamedTuple):
    """What a market is worth: prices in its units, the funding index in pico-USDC for one unit of size."""

    mark: int
    underlying: int
    """The index price."""
    funding: int = 0


class Health(NamedTuple):
    """An account's value and its requirements, in pico-USDC."""

    value: int
    initial: int
    maintenance: int
    notional: int

    def allows(self, after: Health) -> bool:
        """Whether a trade may lead from here to there."""
        if after.value >= after.initial:
            return True
        if self.value >= self.initial or after.value < 0:
            return False
        return after.value * self.maintenance >= self.value * after.maintenance


class Accounts:
    """All accounts of the venue, and where money that leaves them goes."""

    def __init__(self, markets: Iterable[LighterMarket]) -> None:
        """Start without accounts; marks are the markets' start prices."""
        self.markets = {market.market_id: market for market in markets}
        self.prices = {m.market_id: Prices(m.start_price, m.start_price) for m in self.markets.values()}
        self.by_index: dict[int, Account] = {}
        self.fees = 0
        """Fees collected, in pico-USDC."""
        self.deposits = 0
        """Deposits less withdrawals, in pico-USDC."""

    def new_account(self, index: int, l1_address: str, plan: Plan = Plan.STANDARD) -> Account:
        """Open an account without money. Raises ValueError for an index that is taken."""
        if index in self.by_index:
            raise ValueError(f"account {index} exists already")
        account = self.by_index[index] = Account(index, l1_address, plan)
        return account

    # --- money ----------------------------------------------------------------------------------------------------

    def deposit(self, account: Account, micro: int) -> None:
        """Pay micro-USDC into an account, or out of it."""
        account.collateral += micro * PICO
        self.deposits += micro * PICO

    def wealth(self) -> int:
        """All money in the venue, in pico-USDC: always what was deposited.

        That is each account's collateral less what its open positions cost, the funding that is not booked yet, and the
        fees. Raises ValueError when the positions of a market do not cancel out.
        """
        for market in self.markets:
            if sum(account.size_in(market) for account in self.by_index.values()):
                raise ValueError(f"the positions in market {market} do not cancel out")
        total = self.fees
        for account in self.by_index.values():
            total += account.collateral
            for market, position in account.positions.items():
                total += position.pnl(0) * PICO + self._due(position, market)
        return total

    def trade(
        self,
        account: Account,
        market: int,
        size: int,
        price: int,
        fee: int,
        *,
        order_index: int = 0,
        client_index: int = 0,
    ) -> Party:
        """Book one side of a trade: ``size`` is signed, ``fee`` in 1/1,000,000 of the quote. Returns its record."""
        position = self.position(account, market)
        self.book_funding(account, market)
        before, entry_before = position.size, position.entry_quote
        pnl = _apply(position, size, price)
        paid = abs(size) * price * fee
        account.collateral += pnl * PICO - paid
        self.fees += paid
        position.realized = position.realized + pnl if position.size else 0
        if not position.size:
            position.funding_paid = 0
        has_changed = (before > 0) != (position.size > 0) or (before < 0) != (position.size < 0)
        account.volume = Volume(account.volume.trades + 1, account.volume.quote + abs(size) * price)
        return Party(
            account=account.index,
            order_index=order_index,
            client_index=client_index,
            fee=fee,
            size_before=before,
            entry_quote_before=entry_before,
            fraction_before=position.fraction,
            has_sign_changed=has_changed,
            pnl=pnl,
        )

    def book_funding(self, account: Account, market: int) -> None:
        """Pay into the collateral what a position's funding has come to."""
        position = account.positions.get(market)
        if position is None:
            return
        due = self._due(position, market)
        account.collateral += due
        position.funding_paid -= due
        position.funding_mark = self.prices[market].funding

    def pay_funding(self, market: int, rate: int, now_ns: int, funding_id: int) -> list[tuple[Account, FundingPaid]]:
        """Let one hour's funding fall due: ``rate`` in 1/1,000,000 of the index price, positive when longs pay."""
        prices = self.prices[market]
        step = prices.underlying * rate  # micro-USDC times 10^-6: pico-USDC for one unit of size
        self.prices[market] = prices._replace(funding=prices.funding + step)
        paid: list[tuple[Account, FundingPaid]] = []
        for account in self.by_index.values():
            if size := account.size_in(market):
                entry = FundingPaid(
                    time_ns=now_ns,
                    market=market,
                    funding_id=funding_id,
                    change=-size * step,
                    rate=rate,
                    position_size=size,
                )
                account.fundings.append(entry)
                paid.append((account, entry))
        return paid

    # --- margin ---------------------------------------------------------------------------------------------------

    def position(self, account: Account, market: int) -> Position:
        """The position in a market; a flat one is made when there is none."""
        position = account.positions.get(market)
        if position is None:
            position = account.positions[market] = Position(
                self.markets[market].default_fraction, funding_mark=self.prices[market].funding
            )
        return position

    def collateral(self, account: Account) -> int:
        """Collateral with the funding that is not booked yet, in pico-USDC."""
        return account.collateral + sum(self._due(position, market) for market, position in account.positions.items())

    def health(self, account: Account) -> Health:
        """What an account is worth and must hold, at mark prices."""
        value, initial, maintenance, notional = account.collateral, 0, 0, 0
        for market, position in account.positions.items():
            if not position.size:
                continue
            prices, terms = self.prices[market], self.markets[market]
            worth = abs(position.size) * prices.mark * PICO
            value += position.pnl(prices.mark) * PICO + self._due(position, market)
            notional += worth
            initial += worth * max(position.fraction, terms.min_fraction) // FRACTION_ONE
            maintenance += worth * terms.maintenance_fraction // FRACTION_ONE
        return Health(value, initial, maintenance, notional)

    def health_after(self, account: Account, market: int, size: int, price: int, fee: int) -> Health:
        """As :meth:`health` after a trade that has not happened yet."""
        now, terms, mark = self.health(account), self.markets[market], self.prices[market].mark
        position = account.positions.get(market)
        fraction = terms.default_fraction if position is None else position.fraction
        held = 0 if position is None else position.size
        grown = (abs(held + size) - abs(held)) * mark * PICO
        return Health(
            now.value + size * (mark - price) * PICO - abs(size) * price * fee,
            now.initial + grown * max(fraction, terms.min_fraction) // FRACTION_ONE,
            now.maintenance + grown * terms.maintenance_fraction // FRACTION_ONE,
            now.notional + grown,
        )

    def available(self, account: Account) -> int:
        """What may be withdrawn or bound, in pico-USDC."""
        health = self.health(account)
        return min(max(0, health.value - health.initial), self.collateral(account))

    def _due(self, position: Position, market: int) -> int:
        """Funding that has fallen due for a position and is not booked, in pico-USDC; positive when it is received."""
        return -position.size * (self.prices[market].funding - position.funding_mark)


def _apply(position: Position, size: int, price: int) -> int:
    """Change a position by a trade; return the realised profit in micro-USDC."""
    held = position.size
    position.size = held + size
    if held * size >= 0:
        position.entry_quote += abs(size) * price
        return 0
    sign = 1 if held > 0 else -1
    if abs(size) > abs(held):  # a flip: the old side closes, the rest opens at the trade's price
        pnl = sign * (abs(held) * price - position.entry_quote)
        position.entry_quote = abs(position.size) * price
        return pnl
    left = position.entry_quote * abs(position.size) // abs(held)
    pnl = sign * (abs(size) * price - (position.entry_quote - left))
    position.entry_quote = left
    return pnl
