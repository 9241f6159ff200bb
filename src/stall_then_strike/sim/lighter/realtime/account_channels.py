"""The private channels: from what happens in the venue to messages, in the venue's order. Pure.

Venue facts (captured around two fills; documentation of 2026):

- after a fill come ``account_all_orders``, ``account_all`` with the trades, then ``user_stats`` and ``account_all``
  with the position in either order, then ``account_tx``, all within a millisecond;
- an update has only what changed: ``"positions": {}`` means unchanged, not flat. Orders, positions and trades are
  dictionaries by market; an order that has ended is shown once more, in its final state;
- the first message of ``account_tx`` has no list; that of ``account_all_trades`` has a flat list and volumes, its
  updates a dictionary; ``account_all_positions`` tells the last funding of each market when funding was paid, here its
  amount;
- each update of ``account_market`` has one thing that changed; the rest is empty or null. Its position is one object
  (captured by a client; the documentation writes a list).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final

from stall_then_strike.sim.lighter.clearing.accounts import Account
from stall_then_strike.sim.lighter.clearing.records import LighterOrder, LighterTrade, TxRecord
from stall_then_strike.sim.lighter.forms import (
    funding_form,
    position_form,
    stats_form,
    tx_form,
)
from stall_then_strike.sim.lighter.lighter_venue import LighterVenue
from stall_then_strike.sim.lighter.realtime.account_parts import (
    account_part,
    assets_part,
    market_part,
    positions_part,
    volumes,
)
from stall_then_strike.sim.lighter.realtime.channel_names import Subject, Topic
from stall_then_strike.sim.lighter.realtime.notices import notices
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
_WITH_TIME: Final = frozenset({Topic.USER_STATS, Topic.ACCOUNT_ALL_ASSETS})
"""Topics whose messages tell the time."""


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
        self._firsts: dict[Topic, Callable[[Account], Message]] = {
            Topic.ACCOUNT_ALL: lambda account: {
                **account_part(account, positions=self._positions(account)),
                **volumes(account),
            },
            Topic.USER_STATS: lambda account: {"stats": stats_form(venue.accounts, account)},
            Topic.ACCOUNT_ALL_ORDERS: lambda account: {"orders": self._open_orders(account)},
            Topic.ACCOUNT_ALL_TRADES: lambda account: {"trades": self._newest_trades(account), **volumes(account)},
            Topic.ACCOUNT_ALL_POSITIONS: lambda account: positions_part(self._positions(account), {}),
            Topic.ACCOUNT_ALL_ASSETS: assets_part,
            Topic.NOTIFICATION: lambda account: {"notifs": self._notices(account, account.trades)},
        }
        """What the first messages say; the others say nothing."""
        self.nonce = 0
        """The venue's running number, set by the feed."""
        self.is_watched: Callable[[int], bool] = lambda _account: True
        """Whether anybody is subscribed to a channel of an account; the messages of others are not made."""
        self.silenced: set[str] = set()
        """Hashes of the transactions whose orders a fault keeps out of all updates."""

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
                if event.order.tx_hash not in self.silenced:
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
        if changed.orders:
            yield from self._about_orders(account, changed.orders)
        if changed.trades:
            yield from self._about_trades(account, changed.trades)
        if changed.positions or changed.has_collateral or changed.fundings:
            yield from self._about_money(account, now_ns)
        if changed.positions or changed.fundings:
            yield from self._about_positions(account, changed)
        if changed.txs:
            rows = [tx_form(tx, account.l1_address) for tx in changed.txs]
            yield _update(Topic.ACCOUNT_TX, account, {"txs": rows})
            yield _update(Topic.EXECUTED_TRANSACTION, account, {"txs": rows})

    def _about_orders(self, account: Account, changed: dict[int, list[LighterOrder]]) -> Iterator[Sent]:
        orders = {str(market): self._venue.order_forms(rows) for market, rows in changed.items()}
        yield _update(Topic.ACCOUNT_ALL_ORDERS, account, {"orders": orders})
        for market in changed:
            rows = orders[str(market)]
            subject = Subject(Topic.ACCOUNT_ORDERS, market, account.index)
            yield subject, self._orders_message("update", subject, {str(market): rows})
            yield _market_update(account, market, orders=rows)

    def _about_trades(self, account: Account, changed: dict[int, list[LighterTrade]]) -> Iterator[Sent]:
        trades = {str(market): self._venue.trade_forms(made) for market, made in changed.items()}
        yield _update(Topic.ACCOUNT_ALL, account, account_part(account, trades=trades))
        yield _update(Topic.ACCOUNT_ALL_TRADES, account, {"trades": trades})
        for market in changed:
            yield _market_update(account, market, trades=trades[str(market)])
        told = self._notices(account, chain.from_iterable(changed.values()))
        if told:
            yield _update(Topic.NOTIFICATION, account, {"notifs": told})

    def _about_money(self, account: Account, now_ns: int) -> Iterator[Sent]:
        stamp = {"timestamp": now_ns // NS_PER_MS}
        yield _update(Topic.USER_STATS, account, {"stats": stats_form(self._venue.accounts, account), **stamp})
        yield _update(Topic.ACCOUNT_ALL_ASSETS, account, {**assets_part(account), **stamp})

    def _about_positions(self, account: Account, changed: _Pending) -> Iterator[Sent]:
        markets = sorted({*changed.positions, *changed.fundings})
        positions = self._positions(account, markets)
        fundings = {str(market): rows for market, rows in changed.fundings.items()}
        part = account_part(account, positions=positions, fundings=fundings)
        yield _update(Topic.ACCOUNT_ALL, account, part)
        yield _update(Topic.ACCOUNT_ALL_POSITIONS, account, positions_part(positions, fundings))
        for market in markets:
            yield _market_update(account, market, position=positions[str(market)])
            for paid in changed.fundings.get(market, []):
                yield _market_update(account, market, funding=paid)

    # --- snapshots ------------------------------------------------------------------------------------------------

    def snapshot(self, subject: Subject, now_ns: int) -> Message:
        """The first message of a private channel. Raises Refusal (21100) for an unknown account."""
        if subject.account is None:
            raise AssertionError(f"{subject.key} is no private channel")
        account, topic = self._venue.account(subject.account), subject.topic
        if topic is Topic.ACCOUNT_ORDERS:
            return self._orders_message("subscribed", subject, self._open_orders(account, subject.market))
        if topic is Topic.ACCOUNT_MARKET:
            part = self._first_of_market(account, str(subject.market))
        else:
            part = self._firsts[topic](account) if topic in self._firsts else {}
        stamp = {"timestamp": now_ns // NS_PER_MS} if topic in _WITH_TIME else {}
        return {"channel": subject.wire, **part, **stamp, "type": f"subscribed/{topic}"}

    def _first_of_market(self, account: Account, market: str) -> Message:
        orders = self._open_orders(account, int(market)).get(market, [])
        return market_part(account, orders=orders, position=self._positions(account).get(market))

    # --- parts ----------------------------------------------------------------------------------------------------

    def _orders_message(self, kind: str, subject: Subject, orders: Message) -> Message:
        return {
            "account": subject.account,
            "channel": subject.wire,
            "nonce": self.nonce,
            "orders": orders,
            "type": f"{kind}/{subject.topic}",
        }

    def _open_orders(self, account: Account, market: int | None = None) -> Message:
        found: dict[str, list[LighterOrder]] = {}
        for order in account.orders.values():
            if market in {None, order.market}:
                found.setdefault(str(order.market), []).append(order)
        return {name: self._venue.order_forms(rows) for name, rows in found.items()}

    def _newest_trades(self, account: Account) -> list[Message]:
        return self._venue.trade_forms(list(account.trades)[: -_TRADES_SHOWN - 1 : -1])

    def _positions(self, account: Account, markets: Iterable[int] | None = None) -> Message:
        """The positions in some markets, or all that there are or were."""
        chosen = sorted(account.positions) if markets is None else markets
        return {str(market): position_form(self._venue.accounts, account, market) for market in chosen}

    def _notices(self, account: Account, trades: Iterable[LighterTrade]) -> list[Message]:
        return notices(account.index, trades, self._venue.accounts.markets)


def _update(topic: Topic, account: Account, part: Message) -> Sent:
    subject = Subject(topic, account=account.index)
    return subject, {"channel": subject.wire, **part, "type": f"update/{topic}"}


def _market_update(account: Account, market: int, **changed: Any) -> Sent:
    subject = Subject(Topic.ACCOUNT_MARKET, market, account.index)
    part = market_part(account, **changed)
    return subject, {"channel": subject.wire, **part, "type": f"update/{subject.topic}"}
