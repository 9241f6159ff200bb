"""Makes one track per quote from a tape and the run's own orders: the market that each quote met, without our orders.

*Time.* All stamps are in the time of the tape's executions channel. Registrations and cancels are reported on the
private channel. Its lag, which may be negative, is measured on fills that both channels report (:class:`Hearing`), and
subtracted. No order arrives after the first print that filled it.

*Book.* The tape's sizes include our real orders; ``own_depth`` says which part of the level at a quote's price was
ours. Best prices and the opposite side are those of ``OrderBookView``, as in trading.

*Prints.* Public executions name both orders. A print that filled a real order of ours stays in the market, because its
taker came to this price; ``fill_replay`` says how it is counted.

*End.* An order that really was cancelled or expired ends then. An order that was filled might have been live for longer
in another queue: until its cancel, if one was sent; otherwise until the strategy would have cancelled it (the best
price of others moved, or its time to live passed) plus the usual duration of a cancel.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

import orjson

from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.bitflyer.feed import MarketFeed
from stall_then_strike.infra.bitflyer.wire_time import wire_time_ns
from stall_then_strike.infra.orderbook_view import OwnQuote
from stall_then_strike.research.calibration.fill_replay import (
    ARRIVAL,
    BOOK,
    PRINT_AT,
    PRINT_THROUGH,
    UNKNOWN,
    Happening,
    Levels,
    Track,
)
from stall_then_strike.research.calibration.live_orders import LiveOrder
from stall_then_strike.research.calibration.own_depth import DisplayLag, LevelLog, OwnPart, Step, display_lag
from stall_then_strike.research.figures.mid_path import SILENCE_NS, MidPath
from stall_then_strike.tapes.sequence import Message, one_run
from stall_then_strike.tapes.tape_reader import read_tape
from stall_then_strike.types.dto import (
    NO_ORDER,
    NS_PER_MS,
    NS_PER_S,
    BoardSnapshot,
    BoardState,
    BookStatus,
    ExecId,
    OrderId,
    PublicTrade,
    PublicTrades,
    Side,
    VenueStatus,
)
from stall_then_strike.types.instrument import Lots, Ticks

_SLACK_NS: Final = 60 * NS_PER_MS
"""Error of a stamp from the private channel after its usual lag is subtracted."""
_GONE_NS: Final = 2 * NS_PER_S
"""Time after its end when an order is surely no longer displayed."""


def in_order(tapes: Sequence[Path]) -> list[Path]:
    """Tapes in order of their first stamps, without empty ones. Raises TapeError, OSError."""
    firsts = [(line.recv_ns, path) for path in tapes if (line := next(iter(read_tape(path)), None)) is not None]
    return [path for _, path in sorted(firsts)]


@dataclass(slots=True)
class Hearing:
    """Receipt stamps from the executions channel."""

    own_ns: dict[ExecId, int] = field(default_factory=dict)
    """Receipt of the print of each of our fills."""
    first_own_ns: dict[OrderId, int] = field(default_factory=dict)
    """Receipt of the first print of each of our orders."""
    delays_ns: list[int] = field(default_factory=list)
    """Receipt less the venue's stamp, one per message; includes the difference of the clocks."""
    first_ns: int = 0
    last_ns: int = 0

    def private_lag_ns(self, orders: Iterable[LiveOrder]) -> tuple[int, int]:
        """How much later fills arrive on the private channel (the median; negative: earlier), and how many were
        measured."""
        lags = [
            fill.ts_ns - self.own_ns[fill.exec_id]
            for order in orders
            for fill in order.fills
            if fill.exec_id in self.own_ns
        ]
        return (int(median(lags)) if lags else 0), len(lags)


def hear(tapes: Sequence[Path], product: str, names: frozenset[OrderId]) -> Hearing:
    """Read the executions of the tapes. Raises TapeError, OSError."""
    found, channel = Hearing(), f"lightning_executions_{product}"
    for stamp_ns, text in one_run(tapes):
        recv_ns = found.last_ns = max(stamp_ns, found.last_ns)
        found.first_ns = found.first_ns or recv_ns
        if text is None or channel not in text:
            continue
        items = _items(text)
        for number, item in enumerate(items):
            try:
                exec_id = ExecId(item["id"])
                if not number:
                    found.delays_ns.append(recv_ns - wire_time_ns(item["exec_date"]))
                sides = (item["buy_child_order_acceptance_id"], item["sell_child_order_acceptance_id"])
            except (KeyError, TypeError, ValueError):
                continue
            for name in filter(lambda side: isinstance(side, str), sides):
                if name in names:
                    found.own_ns.setdefault(exec_id, recv_ns)
                    found.first_own_ns.setdefault(name, recv_ns)
    return found


def _items(text: str) -> list[Any]:
    try:
        items = orjson.loads(text)["params"]["message"]
    except (ValueError, KeyError, TypeError):
        return []
    return items if isinstance(items, list) else []


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A real quote with its times on the tape."""

    order: LiveOrder
    effect_ns: int
    end_ns: int | None
    """None if it was filled before any cancel: its end then follows from the market."""
    cancel_ns: int
    """How long a cancel takes."""


def placed(order: LiveOrder, hearing: Hearing, lag_ns: int, cancel_ns: int) -> Placed | None:
    """The times of a quote; None if it was never on the book or its end is unknown."""
    if order.order_id is None or order.registered_ns is None or order.price is None:
        return None
    first = hearing.first_own_ns.get(order.order_id)
    effect = order.registered_ns - lag_ns
    effect = max(order.sent_ns, effect if first is None else min(effect, first))
    last = max((hearing.own_ns.get(fill.exec_id, fill.ts_ns - lag_ns) for fill in order.fills), default=effect)
    told = order.cancelled_ns if order.cancelled_ns is not None else order.expired_ns
    end: int | None = None
    if told is not None:
        end = told - lag_ns
    elif order.executed < order.size:
        return None
    elif order.cancel_sent_ns is not None:
        end = order.cancel_sent_ns + cancel_ns
    return Placed(
        order=order,
        effect_ns=effect,
        end_ns=None if end is None else max(end, last + 1, effect + 1),
        cancel_ns=cancel_ns,
    )


@dataclass(slots=True, kw_only=True)
class Tracks:
    """The result of reading the tapes."""

    tracks: dict[str, Track] = field(default_factory=dict)
    """By the order's name."""
    path: MidPath = field(default_factory=MidPath)
    """Mids without our own orders."""
    lag: DisplayLag = field(default_factory=DisplayLag)
    broken: int = 0
    """Quotes that the tapes do not cover completely."""


class _Watched:
    """A real quote while the tape is read."""

    def __init__(self, placed: Placed, total: int, bests: tuple[int, int], now_ns: int) -> None:
        self.placed = placed
        self.side, self.price = placed.order.side, placed.order.price or Ticks(0)
        self.bests = bests
        self.log = LevelLog(now_ns, total)
        self.real = int(placed.order.size)
        """Remaining size of the real order."""
        self.steps = [Step(placed.effect_ns, self.real, _SLACK_NS)]
        self.changed_ns = placed.effect_ns
        self.end_ns = placed.end_ns
        self.happenings: list[Happening] = []
        """Sizes include our own."""
        self.has_arrived = self.is_over = self.is_broken = False

    def lose(self, size: int, now_ns: int, slack_ns: int = 0) -> None:
        """Reduce the real order."""
        size = min(size, self.real)
        if size:
            self.real -= size
            self.changed_ns = now_ns
            self.steps.append(Step(now_ns, -size, slack_ns))


class TrackReader:
    """Reads the tapes once and makes the tracks."""

    def __init__(
        self, cfg: AppConfig, quotes: Sequence[Placed], names: frozenset[OrderId], *, are_shown: bool = True
    ) -> None:
        """``names`` are the ids of all our orders, with closes; ``are_shown`` says whether the tape's book shows
        them."""
        self._are_shown = are_shown
        self._feed = MarketFeed(cfg, is_quiet=True, is_recorded=True)
        self._upcoming = sorted(quotes, key=lambda quote: quote.order.sent_ns, reverse=True)
        self._names = names
        self._watched: list[_Watched] = []
        self._done: list[_Watched] = []
        self._book_ok = False
        self._is_open = True
        self._answered: set[object] = set()
        self._heard_ns: int | None = None
        self.found = Tracks()

    def read(self, messages: Iterable[Message]) -> Tracks:
        """Read all messages. Raises TapeError."""
        for stamp_ns, text in messages:
            recv_ns = max(stamp_ns, self._heard_ns or 0)  # a stamp that goes back counts as the latest one
            self._pass_time(recv_ns)
            if text is None or self._is_new_connection(text):
                self._lose(recv_ns)
            if text is not None:
                event = self._feed.on_text(text, recv_ns)
                if isinstance(event, BoardSnapshot):
                    self._on_board(event, recv_ns)
                elif isinstance(event, PublicTrades):
                    for trade in event.trades:
                        self._on_trade(trade, recv_ns)
                elif isinstance(event, VenueStatus) and event.state is not None:
                    self._is_open = event.state in (BoardState.RUNNING, BoardState.UNKNOWN)
        self._end()
        return self.found

    # --- time

    def _pass_time(self, now_ns: int) -> None:
        if self._heard_ns is not None and now_ns - self._heard_ns > SILENCE_NS:
            self.found.path.add(self._heard_ns + SILENCE_NS, 0)
            self._lose(now_ns)
        self._heard_ns = now_ns
        while self._upcoming and self._upcoming[-1].order.sent_ns <= now_ns:
            placed = self._upcoming.pop()
            side, price = placed.order.side, placed.order.price or Ticks(0)
            watched = _Watched(placed, self._feed.board.size_at(side, price), self._bests(), now_ns)
            watched.is_broken = self._feed.view.status is BookStatus.UNKNOWN
            self._watched.append(watched)
            self._tell_own()
        for quote in self._watched:
            if not quote.has_arrived and quote.placed.effect_ns <= now_ns:
                self._arrive(quote)
            self._plan_end(quote)
            if quote.end_ns is not None and quote.end_ns <= now_ns and not quote.is_over:
                self._finish(quote)
        if any(quote.is_over and now_ns > (quote.end_ns or 0) + _GONE_NS for quote in self._watched):
            self._watched = [q for q in self._watched if not q.is_over or now_ns <= (q.end_ns or 0) + _GONE_NS]

    def _tell_own(self) -> None:
        if not self._are_shown:
            return
        self._feed.view.set_own(
            OwnQuote(side=quote.side, price=quote.price, remaining=Lots(quote.real))
            for quote in self._watched
            if quote.real
        )

    def _arrive(self, quote: _Watched) -> None:
        quote.has_arrived = True
        size, levels = (self._total(quote), self._levels(quote)) if self._book_ok else (UNKNOWN, ())
        quote.happenings.append(Happening(quote.placed.effect_ns, ARRIVAL, size, levels=levels))

    def _plan_end(self, quote: _Watched) -> None:
        """Plan when a filled order would have ended unfilled: one cancel after the strategy would have sent it."""
        if quote.end_ns is None and not quote.real:
            order, now_ns = quote.placed.order, self._heard_ns or 0
            if now_ns >= order.sent_ns + order.ttl_ns:
                asked_ns = order.sent_ns + order.ttl_ns
            elif self._bests() != quote.bests:
                asked_ns = now_ns
            else:
                return
            quote.end_ns = max(asked_ns, quote.changed_ns) + quote.placed.cancel_ns

    def _finish(self, quote: _Watched) -> None:
        quote.is_over = True
        if quote.real and quote.end_ns is not None:
            quote.lose(quote.real, quote.end_ns, _SLACK_NS)
            self._tell_own()
        if quote.is_broken or not quote.has_arrived:
            self.found.broken += 1
        else:
            self._done.append(quote)

    def _end(self) -> None:
        """Handle the end of the tapes; quotes that are still live then are not covered."""
        self.found.broken += len(self._upcoming) + sum(not quote.is_over for quote in self._watched)
        if self._heard_ns is not None:
            self.found.path.add(self._heard_ns + SILENCE_NS, 0)
        lag = self.found.lag = display_lag(
            [(quote.log, step) for quote in self._done for step in quote.steps if not step.slack_ns]
        )
        levels: dict[tuple[Side, Ticks], list[tuple[int, int, OwnPart]]] = {}
        for quote in self._done if self._are_shown else ():
            part = OwnPart(quote.log, quote.steps, lag)
            until_ns = (quote.end_ns or 0) + _GONE_NS
            levels.setdefault((quote.side, quote.price), []).append((quote.placed.order.sent_ns, until_ns, part))
        for quote in self._done:
            order = quote.placed.order
            self.found.tracks[order.name] = Track(
                side=quote.side,
                price=quote.price,
                size=order.size,
                happenings=tuple(_without_ours(quote.happenings, levels.get((quote.side, quote.price), ()))),
            )

    def _lose(self, now_ns: int) -> None:
        """Handle a lost connection: what live quotes met is unknown."""
        self._feed.on_disconnect(now_ns)
        self._feed.on_connect()
        self._book_ok = False
        self.found.path.add(now_ns, 0)
        for quote in self._watched:
            quote.is_broken = True

    def _is_new_connection(self, text: str) -> bool:
        """Whether this acknowledges a request whose id was used before (see ``tape_audit``)."""
        if '"channelMessage"' in text:
            return False
        try:
            message = orjson.loads(text)
        except ValueError:
            return False
        if not isinstance(message, dict) or "id" not in message or not ("result" in message or "error" in message):
            return False
        is_again = message["id"] in self._answered
        if is_again:
            self._answered.clear()
        self._answered.add(message["id"])
        return is_again

    # --- market

    def _on_board(self, event: BoardSnapshot, now_ns: int) -> None:
        self._book_ok = event.status is BookStatus.OK
        for quote in self._watched:
            quote.log.see(now_ns, self._total(quote))
        self.found.path.add(now_ns, event.best_bid_price + event.best_ask_price if self._book_ok else 0)
        if self._book_ok:
            for quote in self._watched:
                if quote.has_arrived and not quote.is_over:
                    levels = self._levels(quote)
                    quote.happenings.append(
                        Happening(now_ns, BOOK, self._total(quote), is_open=self._is_open, levels=levels)
                    )

    def _on_trade(self, trade: PublicTrade, now_ns: int) -> None:
        maker = taker = NO_ORDER
        if trade.taker is not None:
            maker, taker = trade.buy_order_id, trade.sell_order_id
            if trade.taker is Side.BUY:
                maker, taker = taker, maker
        own = trade.size if maker in self._names else 0
        for quote in self._watched:
            if trade.taker is not None and quote.has_arrived and not quote.is_over and quote.side is not trade.taker:
                beyond = (quote.price - trade.price) * quote.side.sign
                if beyond >= 0:
                    kind = PRINT_THROUGH if beyond else PRINT_AT
                    quote.happenings.append(Happening(now_ns, kind, trade.size, own=own, is_self=taker in self._names))
            if quote.placed.order.order_id in (trade.buy_order_id, trade.sell_order_id):
                quote.lose(trade.size, now_ns)
                self._tell_own()

    def _total(self, quote: _Watched) -> int:
        """Size at the quote's price, including ours."""
        return self._feed.board.size_at(quote.side, quote.price)

    def _bests(self) -> tuple[int, int]:
        best = self._feed.view.snapshot(0)
        return int(best.best_bid_price), int(best.best_ask_price)

    def _levels(self, quote: _Watched) -> Levels:
        """Levels that others display on the opposite side, at the order's price or through it."""
        found = []
        for price, size in self._feed.view.levels(quote.side.opposite):
            if (quote.price - price) * quote.side.sign < 0:
                break
            found.append((int(price), int(size)))
        return tuple(found)


def _without_ours(happenings: Sequence[Happening], ours: Sequence[tuple[int, int, OwnPart]]) -> Iterator[Happening]:
    """The same with the sizes of others only, and without books that show no change."""
    size, levels = UNKNOWN, ()  # type: int, Levels
    for what in happenings:
        if what.kind in (ARRIVAL, BOOK) and what.size != UNKNOWN:
            own = sum(part.at(what.ts_ns) for from_ns, until_ns, part in ours if from_ns <= what.ts_ns <= until_ns)
            what = what._replace(size=max(0, what.size - own))
            if what.kind == BOOK and what.size == size and not what.levels and not levels:
                continue
            size, levels = what.size, what.levels
        yield what
