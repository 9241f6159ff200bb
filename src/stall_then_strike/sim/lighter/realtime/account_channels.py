"""The private channels: from what happens in the venue to messages, in the venue's order. Pure.

Venue facts (captured around two fills; documentation of 2026):

- after a fill come ``account_all_orders``, ``account_all`` with the trades, then ``user_stats`` and ``account_all``
  with the position in either order, then ``account_tx``, all within a millisecond;
- an update has only what changed: ``"positions": {}`` means unchanged, not flat. Orders, positions and trades are
  dictionaries by market; an order that has ended is shown once more, in its final state;
- the first message of ``account_tx`` has no list; that of ``account_all_trades`` has a flat list and volumes, its
  updates a dictionary; ``account_all_positions`` says when funding was paid.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from stall_then_strike.sim.lighter.clearing.accounts import Account
from stall_then_strike.sim.lighter.clearing.contracts import MICRO
from stall_then_strike.sim.lighter.clearing.records import LighterOrder, LighterTrade, TxRecord
from stall_then_strike.sim.lighter.forms import (
    USDC_ID,
    asset_form,
    funding_form,
    order_form,
    position_form,
    stats_form,
    trade_form,
    tx_form,
)
from stall_then_strike.sim.lighter.lighter_venue import LighterVenue
from stall_then_strike.sim.lighter.realtime.channel_names import Subject, Topic
from stall_then_strike.sim.lighter.venue_events import (
    BookChanged,
    CollateralChanged,
    FundingFell,
    OrderChanged,
    PositionChanged,
    PricesChanged,
    Traded,
    TxDone,
    VenueEvent,
)
from stall_then_strike.types.dto import NS_PER_MS

Message = dict[str, Any]
Sent = tuple[Subject, Message]
_OfAccount = OrderChanged | PositionChanged | CollateralChanged | FundingFell | TxDone
_TRADES_SHOWN: Final = 100
_STAGES: Final = {OrderChanged: 0, Traded: 1, PositionChanged: 2, CollateralChanged: 2, FundingFell: 2, TxDone: 3}
"""The place of an event among those of one transaction."""


@dataclass(slots=True)
class _Pending:
    """What one transaction has changed for one account so far."""

    orders: dict[int, list[LighterOrder]] = field(default_factory=dict)
    trades: dict[int, list[LighterTrade]] = field(default_factory=dict)
    positions: dict[int, None] = field(default_factory=dict)
    fundings: dict[int, list[Message]] = field(default_factory=dict)
    has_collateral: bool = False
    txs: list[TxRecord] = field(default_factory=list)


class AccountChannels:
    """Turns the venue's events into the messages of its accounts."""

    def __init__(self, venue: LighterVenue) -> None:
        """Start without anything pending."""
        self._venue = venue
        self._pending: dict[int, _Pending] = {}
        self._stage = 0
        self.nonce = 0
        """The venue's running number, set by the feed."""
        self.is_watched: Callable[[int], bool] = lambda _account: True
        """Whether anybody is subscribed to a channel of an account; the messages of others are not made."""
        self.silenced: set[tuple[int, int]] = set()
        """Account and client order index of the orders whose events a fault keeps back."""

    # --- updates --------------------------------------------------------------------------------------------------

    def messages(self, events: Iterable[VenueEvent], now_ns: int) -> Iterator[Sent]:
        """The messages that events bring about, those of one transaction together."""
        for event in events:
            stage = _STAGES.get(type(event))
            if stage is None:
                continue
            if stage < self._stage:
                yield from self.flush(now_ns)
            self._stage = stage
            self._collect(event)
            if isinstance(event, TxDone):
                yield from self.flush(now_ns)
        yield from self.flush(now_ns)

    def flush(self, now_ns: int) -> Iterator[Sent]:
        """The messages of all that is pending."""
        pending, self._pending, self._stage = self._pending, {}, 0
        for index, changed in pending.items():
            yield from self._of_account(self._venue.account(index), changed, now_ns)

    def _collect(self, event: VenueEvent) -> None:
        if isinstance(event, Traded):
            for index in {event.trade.maker.account, event.trade.taker.account}:
                if self.is_watched(index):
                    self._of(index).trades.setdefault(event.market, []).append(event.trade)
            return
        if isinstance(event, (BookChanged, PricesChanged)) or not self.is_watched(event.account):
            return
        self._note(self._of(event.account), event)

    def _note(self, pending: _Pending, event: _OfAccount) -> None:
        match event:
            case OrderChanged():
                if (event.account, event.order.client_index) not in self.silenced:
                    pending.orders.setdefault(event.market, []).append(event.order)
            case PositionChanged():
                pending.positions[event.market] = None
            case CollateralChanged():
                pending.has_collateral = True
            case FundingFell():
                form = funding_form(event.paid, self._venue.accounts.markets[event.market])
                pending.fundings.setdefault(event.market, []).append(form)
            case TxDone():
                pending.txs.append(event.tx)

    def _of(self, account: int) -> _Pending:
        return self._pending.setdefault(account, _Pending())

    def _of_account(self, account: Account, changed: _Pending, now_ns: int) -> Iterator[Sent]:
        stamp = {"timestamp": now_ns // NS_PER_MS}
        if changed.orders:
            orders = {str(market): self._order_rows(rows) for market, rows in changed.orders.items()}
            yield self._update(Topic.ACCOUNT_ALL_ORDERS, account, {"orders": orders})
            for market, rows in orders.items():
                subject = Subject(Topic.ACCOUNT_ORDERS, int(market), account.index)
                yield subject, self._orders_message("update", subject, {market: rows})
        if changed.trades:
            trades = {str(market): self._trade_rows(rows) for market, rows in changed.trades.items()}
            yield self._update(Topic.ACCOUNT_ALL, account, _account_part(account, trades=trades))
            yield self._update(Topic.ACCOUNT_ALL_TRADES, account, {"trades": trades})
        if changed.positions or changed.has_collateral or changed.fundings:
            yield self._update(Topic.USER_STATS, account, {"stats": stats_form(self._venue.accounts, account), **stamp})
            yield self._update(Topic.ACCOUNT_ALL_ASSETS, account, {"assets": self._assets(account), **stamp})
        if changed.positions or changed.fundings:
            markets = sorted({*changed.positions, *changed.fundings})
            positions = self._positions(account, markets)
            fundings = {str(market): rows for market, rows in changed.fundings.items()}
            part = _account_part(account, positions=positions, fundings=fundings)
            yield self._update(Topic.ACCOUNT_ALL, account, part)
            yield self._update(Topic.ACCOUNT_ALL_POSITIONS, account, self._positions_part(positions, changed.fundings))
        if changed.txs:
            rows = [tx_form(tx, account.l1_address) for tx in changed.txs]
            yield self._update(Topic.ACCOUNT_TX, account, {"txs": rows})
            yield self._update(Topic.EXECUTED_TRANSACTION, account, {"txs": rows})

    def _update(self, topic: Topic, account: Account, part: Message) -> Sent:
        subject = Subject(topic, account=account.index)
        return subject, {"channel": subject.wire, **part, "type": f"update/{topic}"}

    # --- snapshots ------------------------------------------------------------------------------------------------

    def snapshot(self, subject: Subject, now_ns: int) -> Message:
        """The first message of a private channel. Raises Refusal (21100) for an unknown account."""
        if subject.account is None:
            raise AssertionError(f"{subject.key} is no private channel")
        account = self._venue.account(subject.account)
        if subject.topic is Topic.ACCOUNT_ORDERS:
            orders = self._open_orders(account, subject.market)
            return self._orders_message("subscribed", subject, orders)
        part = self._first(subject.topic, account, now_ns)
        return {"channel": subject.wire, **part, "type": f"subscribed/{subject.topic}"}

    def _first(self, topic: Topic, account: Account, now_ns: int) -> Message:
        stamp = {"timestamp": now_ns // NS_PER_MS}
        match topic:
            case Topic.ACCOUNT_ALL:
                positions = self._positions(account, sorted(account.positions))
                return {**_account_part(account, positions=positions), **_volumes(account)}
            case Topic.USER_STATS:
                return {"stats": stats_form(self._venue.accounts, account), **stamp}
            case Topic.ACCOUNT_ALL_ORDERS:
                return {"orders": self._open_orders(account, None)}
            case Topic.ACCOUNT_ALL_TRADES:
                newest = list(account.trades)[: -_TRADES_SHOWN - 1 : -1]
                return {"trades": self._trade_rows(newest), **_volumes(account)}
            case Topic.ACCOUNT_ALL_POSITIONS:
                return self._positions_part(self._positions(account, sorted(account.positions)), {})
            case Topic.ACCOUNT_ALL_ASSETS:
                return {"assets": self._assets(account), **stamp}
            case _:
                return {}

    # --- parts ----------------------------------------------------------------------------------------------------

    def _orders_message(self, kind: str, subject: Subject, orders: Message) -> Message:
        return {
            "account": subject.account,
            "channel": subject.wire,
            "nonce": self.nonce,
            "orders": orders,
            "type": f"{kind}/{subject.topic}",
        }

    def _open_orders(self, account: Account, market: int | None) -> Message:
        found: dict[str, list[LighterOrder]] = {}
        for order in account.orders.values():
            if market is None or order.market == market:
                found.setdefault(str(order.market), []).append(order)
        return {name: self._order_rows(rows) for name, rows in found.items()}

    def _order_rows(self, orders: Iterable[LighterOrder]) -> list[Message]:
        markets, block_of = self._venue.accounts.markets, self._venue.block_of
        return [order_form(order, markets[order.market], block_of(order.updated_ns)) for order in orders]

    def _trade_rows(self, trades: Iterable[LighterTrade]) -> list[Message]:
        markets = self._venue.accounts.markets
        return [trade_form(trade, markets[trade.market]) for trade in trades]

    def _positions(self, account: Account, markets: Iterable[int]) -> Message:
        return {str(market): position_form(self._venue.accounts, account, market) for market in markets}

    def _positions_part(self, positions: Message, fundings: dict[int, list[Message]]) -> Message:
        newest = max((row["timestamp"] for rows in fundings.values() for row in rows), default=None)
        return {"positions": positions, "shares": [], "last_funding_round": newest, "last_funding_discount": None}

    def _assets(self, account: Account) -> Message:
        return {str(USDC_ID): asset_form(account)}


def _account_part(
    account: Account,
    *,
    positions: Message | None = None,
    trades: Message | None = None,
    fundings: Message | None = None,
) -> Message:
    """``account_all``: empty maps mean unchanged."""
    return {
        "account": account.index,
        "assets": {str(USDC_ID): asset_form(account)} if positions is not None else {},
        "funding_histories": fundings or {},
        "positions": positions or {},
        "shares": [],
        "trades": trades or {},
    }


def _volumes(account: Account) -> Message:
    """Counts and volumes: all of them of the account's whole life here, which is shorter than a day."""
    trades, quote = account.volume.trades, account.volume.quote / MICRO
    spans = ("daily", "weekly", "monthly", "total")
    counts = {f"{span}_trades_count": trades for span in spans}
    return {**counts, **{f"{span}_volume": quote for span in spans}}
