"""LighterAccountProcessor: one account as its private channels tell it, and as REST shows it.

For the engine: events of orders, fills and funding by instrument, whether the private channels are live, and reports of
the account for reconciliation. One processor serves all instruments of the account: one look at it answers all of them.

For programs of one's own: positions, balances, open orders, leverage and margin as last told.

The channels are live while each has told its snapshot on the current connection. After a gap (a drop, a token that was
renewed, a message that cannot be read) they are down until then, and come up anew: the engine then asks for the
account, because events in between are lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial
from typing import Any, Final

from loguru import logger

from stall_then_strike.infra.clock import Clock
from stall_then_strike.lighter.client import LighterClient
from stall_then_strike.lighter.handlers.account import AccountHandler
from stall_then_strike.lighter.handlers.base import Unreadable
from stall_then_strike.lighter.markets import Market, Markets
from stall_then_strike.lighter.messages import (
    AccountFrame,
    AnyFrame,
    Order,
    OrdersFrame,
    StatsFrame,
    TransactionsFrame,
)
from stall_then_strike.lighter.private.account_report import Shown, look, look_at_fundings, report_of
from stall_then_strike.lighter.private.account_values import AccountValues, BalanceValue, PositionValue
from stall_then_strike.lighter.private.own_events import OwnEvents, Told
from stall_then_strike.lighter.ws import LighterWebSocketManager
from stall_then_strike.types.dto import NS_PER_S, AccountReport, Event, ExecId, PrivateChannel
from stall_then_strike.types.errors import NoAnswer, VenueError

KINDS: Final = ("account_all_orders", "account_all", "user_stats", "account_tx")
"""The private channels, in the order in which they are subscribed."""
_VITAL: Final = frozenset({"account_all_orders", "account_all"})
"""Without these, orders and fills are not told."""
_JOIN_S: Final = 0.005
"""How long a question waits for those of the other instruments, in real seconds."""
_RESYNC_NS: Final = 60 * NS_PER_S
"""Least pause between two new subscriptions because of messages that cannot be read."""
_FUNDING_NS: Final = 3_600 * NS_PER_S
_LISTED_NS: Final = 15 * NS_PER_S
"""How long after the hour the list may still lack its payment."""
_log = logger.bind(channel="ws")


@dataclass(slots=True, eq=False)
class _Question:
    """A look at the account that several instruments have asked for."""

    since: dict[int, ExecId]
    """By market index."""
    answer: asyncio.Future[Shown] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class LighterAccountProcessor:
    """The account, for its instruments."""

    def __init__(
        self,
        account_index: int,
        markets: Sequence[Market],
        socket: LighterWebSocketManager,
        calls: LighterClient,
        clock: Clock,
        *,
        sinks: Sequence[Callable[[Event], None]] = (),
    ) -> None:
        """``markets`` are those of the instruments; each sink gets its instrument's events and those of the channels.

        Sinks neither block nor raise.
        """
        self.account_index: Final = account_index
        self._markets: Final = tuple(markets)
        self._all_markets = Markets(markets)
        self._socket, self._calls, self._clock = socket, calls, clock
        self._sinks = tuple(sinks)
        self._events = OwnEvents(account_index, self._markets, clock.now_ns())
        self._values = AccountValues()
        self._handler = AccountHandler(account_index)
        self._shown: set[str] = set()
        """The vital channels that have told their snapshot since the last gap."""
        self._waiting: _Question | None = None
        self._asking = asyncio.Lock()
        self._resynced_ns: int | None = None
        self._fundings_ns = clock.now_ns() + _LISTED_NS
        """When the payments of funding were last asked for. Those from before now are not ours to tell."""
        self.is_live = False
        """Whether orders and fills are told as they happen."""
        self.on_live: Callable[[bool], None] = lambda is_live: None
        """Called when that changes, before the engine hears of it."""

    # --- life --------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Subscribe the private channels, now or as soon as there is a connection."""
        for kind in KINDS:
            channel = self._channel(kind)
            self._socket.subscribe(
                channel, partial(self._on_message, kind, channel), on_gap=partial(self._on_gap, kind)
            )

    def stop(self) -> None:
        """Give the channels up."""
        for kind in KINDS:
            self._socket.unsubscribe(self._channel(kind))
        self._set_live(is_live=False)

    def renew(self, why: str) -> None:
        """Make a new connection. Returns at once."""
        self._socket.renew(why)

    def _channel(self, kind: str) -> str:
        return self._socket.of_account(kind, self.account_index)

    # --- messages ----------------------------------------------------------------------------------------------------

    def _on_message(self, kind: str, channel: str, message: dict[str, Any], recv_ns: int) -> None:
        try:
            frame = self._handler.handle(message, recv_ns)
        except Unreadable as error:
            self._on_unreadable(channel, str(error), recv_ns)
            return
        told = self._take(frame, recv_ns)
        if kind in _VITAL and getattr(frame, "is_snapshot", False):
            self._shown.add(kind)
        if not self.is_live and self._shown == _VITAL:
            self._set_live(is_live=True)
        self._tell(told)

    def _take(self, frame: AnyFrame, recv_ns: int) -> Iterable[Told]:
        """Keep what a message tells, and return its events."""
        if isinstance(frame, OrdersFrame):
            self._values.take_orders(frame)
            return self._events.of_orders(frame, recv_ns)
        if isinstance(frame, AccountFrame):
            self._values.take_account(frame)
            return self._events.of_account(frame, recv_ns)
        if isinstance(frame, TransactionsFrame):
            return self._events.of_transactions(frame, recv_ns)
        if isinstance(frame, StatsFrame):
            self._values.take_stats(frame)
        return ()

    def _tell(self, told: Iterable[Told]) -> None:
        for number, event in told:
            if number < len(self._sinks):
                self._sinks[number](event)

    def _on_gap(self, kind: str, why: str) -> None:
        """What follows on a channel may not continue what it told before."""
        del why
        if kind in _VITAL:
            self._shown.discard(kind)
            self._events.forget()
            self._set_live(is_live=False)

    def _on_unreadable(self, channel: str, why: str, recv_ns: int) -> None:
        """A message is lost: begin anew, but not again and again if all are like that."""
        _log.warning("a message of {} cannot be read: {}", channel.partition("/")[0], why)
        if self._resynced_ns is None or recv_ns - self._resynced_ns >= _RESYNC_NS:
            self._resynced_ns = recv_ns
            self._socket.resync(channel, "a message could not be read")

    def _set_live(self, *, is_live: bool) -> None:
        if is_live is self.is_live:
            return
        self.is_live = is_live
        self.on_live(is_live)
        event = PrivateChannel(ts_ns=self._clock.now_ns(), is_live=is_live)
        for sink in self._sinks:
            sink(event)

    # --- reports -----------------------------------------------------------------------------------------------------

    async def report(self, number: int, since: ExecId) -> AccountReport:
        """The account as an instrument is to see it, with its fills after ``since``.

        What other instruments ask at the same time is answered by the same calls, and only one of them counts those.
        Raises VenueError with the number of calls made.
        """
        question, market = self._waiting, self._markets[number]
        if question is not None:
            question.since[market.market_index] = min(question.since.get(market.market_index, since), since)
            try:
                shown, calls = await asyncio.shield(question.answer), 0
            except VenueError as error:
                failure = NoAnswer(error.request, error.detail, code=error.code)
            else:
                return report_of(shown, market, self.account_index, since, calls=calls)
            failure.calls = 0
            raise failure
        shown = await self._look({market.market_index: since})
        return report_of(shown, market, self.account_index, since, calls=shown.calls)

    async def _look(self, since: dict[int, ExecId]) -> Shown:
        """Ask for the account, for all who ask just now."""
        question = self._waiting = _Question(since)
        question.answer.add_done_callback(_read_error)
        try:
            if len(self._markets) > 1:
                await asyncio.sleep(_JOIN_S)
            async with self._asking:
                self._waiting = None
                asked = await self._ask_fundings()
                try:
                    shown = await look(self._calls, self._clock, question.since)
                except VenueError as error:
                    error.calls += asked
                    raise
            shown = replace(shown, calls=shown.calls + asked)
        except VenueError as error:
            question.answer.set_exception(error)
            raise
        except BaseException:
            self._waiting = None if self._waiting is question else self._waiting
            question.answer.set_exception(NoAnswer("report", "it was cut short"))
            raise
        question.answer.set_result(shown)
        return shown

    async def _ask_fundings(self) -> int:
        """Tell payments of funding that the private channel has lost; returns the calls made.

        Funding falls due on the hour. It is asked for with the first reports after it.
        """
        now_ns = self._clock.now_ns()
        if (self._fundings_ns - _LISTED_NS) // _FUNDING_NS == now_ns // _FUNDING_NS:
            return 0
        try:
            paid = await look_at_fundings(self._calls)
        except VenueError as error:
            _log.warning("payments of funding are asked for again with the next report: {}", error)
        else:
            self._fundings_ns = now_ns
            self._tell(self._events.of_fundings(paid, now_ns))
        return 1

    # --- for programs of one's own -----------------------------------------------------------------------------------

    def get_positions(self) -> Mapping[str, PositionValue]:
        """Open positions by symbol, with entry price and result."""
        return self._values.positions(self._all_markets)

    def get_balances(self) -> Mapping[str, BalanceValue]:
        """Balances by asset: total, free, locked."""
        return self._values.balances()

    def get_orders(self, symbol: str | None = None) -> Mapping[str, Order]:
        """Open orders by client order index (or order index), of one market or all. Raises ConfigError."""
        return self._values.orders(None if symbol is None else self._all_markets.named(symbol).market_index)

    def get_capital(self) -> Decimal:
        """What is available for new positions, in USDC."""
        return self._values.stats.available_balance

    def get_total_capital(self) -> Decimal:
        """Collateral and the open positions' result, in USDC."""
        return self._values.stats.portfolio_value

    def get_leverage(self) -> Decimal:
        """Value of all positions per USDC of total capital."""
        return self._values.stats.leverage

    def get_margin_ratio(self) -> Decimal:
        """The share of total capital that positions bind as margin: 1 means that nothing new can be opened."""
        return self._values.stats.margin_usage / 100


def _read_error(answer: asyncio.Future[Shown]) -> None:
    """Nobody else may have asked: then its error is not unread."""
    if not answer.cancelled():
        answer.exception()
