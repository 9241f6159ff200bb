"""What the venue last told of an account: positions, balances, open orders, margin. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from stall_then_strike.lighter.markets import SETTLE, Market, Markets
from stall_then_strike.lighter.messages import AccountFrame, Asset, Order, OrdersFrame, Position, Stats, StatsFrame

_NOTHING: Final = Decimal(0)
_NO_STATS: Final = Stats(collateral=_NOTHING)


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionValue:
    """A position. Amounts are in USDC."""

    symbol: str
    size: Decimal
    """Signed."""
    entry_price: Decimal
    """Average price of the open size; zero when flat."""
    value: Decimal
    """Unsigned, at the mark price."""
    unrealized_pnl: Decimal
    realized_pnl: Decimal
    """Since it was last flat."""
    liquidation_price: Decimal | None
    leverage: Decimal
    """The most that the account's setting for this market allows; zero if it is not told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceValue:
    """A balance, in its own asset."""

    total: Decimal
    free: Decimal
    locked: Decimal


class AccountValues:
    """Filled by messages; empty before the first."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._positions: dict[int, Position] = {}
        self._assets: dict[str, Asset] = {}
        self._orders: dict[int, Order] = {}
        self._stats: Stats | None = None

    # --- messages

    def take_account(self, frame: AccountFrame) -> None:
        """``account_all``: an empty map means unchanged."""
        for position in (frame.positions or {}).values():
            self._positions[position.market_id] = position
        for asset in (frame.assets or {}).values():
            self._assets[asset.symbol] = asset

    def take_orders(self, frame: OrdersFrame) -> None:
        """``account_all_orders``: a snapshot has all open orders, an update those that changed."""
        if frame.is_snapshot:
            self._orders = {}
        for order in frame.all():
            if order.is_over:
                self._orders.pop(order.order_index, None)
            else:
                self._orders[order.order_index] = order

    def take_stats(self, frame: StatsFrame) -> None:
        """``user_stats``."""
        self._stats = frame.stats

    # --- questions

    def positions(self, markets: Markets) -> Mapping[str, PositionValue]:
        """Open positions, by symbol."""
        return {
            value.symbol: value
            for index, position in sorted(self._positions.items())
            if position.position
            for value in [_value(position, markets.at(index))]
        }

    def balances(self) -> Mapping[str, BalanceValue]:
        """Balances by asset. Of the collateral, what positions bind is locked."""
        found = {
            name: BalanceValue(
                total=asset.balance, free=asset.balance - asset.locked_balance, locked=asset.locked_balance
            )
            for name, asset in self._assets.items()
            if asset.balance
        }
        if (stats := self._stats) is not None:
            free = min(stats.collateral, stats.available_balance)
            found[SETTLE] = BalanceValue(total=stats.collateral, free=free, locked=stats.collateral - free)
        return found

    def orders(self, market_index: int | None = None) -> Mapping[str, Order]:
        """Open orders by name (`Order.name`), of one market or of all."""
        return {o.name: o for o in self._orders.values() if market_index in (None, o.market_index)}

    @property
    def stats(self) -> Stats:
        """The account's margin figures; all zero before the first message."""
        return _NO_STATS if self._stats is None else self._stats


def _value(position: Position, market: Market | None) -> PositionValue:
    fraction = position.initial_margin_fraction
    return PositionValue(
        symbol=position.symbol or (str(position.market_id) if market is None else market.symbol),
        size=position.size,
        entry_price=position.avg_entry_price,
        value=abs(position.position_value),
        unrealized_pnl=position.unrealized_pnl,
        realized_pnl=position.realized_pnl,
        liquidation_price=position.liquidation_price or None,
        leverage=100 / fraction if fraction else _NOTHING,
    )
