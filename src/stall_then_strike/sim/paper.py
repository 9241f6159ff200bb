"""Paper trading: orders are filled against public market data by fixed rules.

``PaperGateway`` is an ``OrderGateway`` like the live one. Orders and cancels take effect after latencies drawn from a
seeded distribution (latency.py), against the book as last seen at that time, never a later one. The rules:

- An order that crosses the book on arrival takes the displayed size up to its limit. The remainder rests, or expires if
  the order is IOC. Displayed size can be taken once; after that, only what the level grows by can be taken.
- A resting order waits behind the size displayed at its price. Prints at its price fill those ahead first. Of decreases
  that no print explains, the queue model says how much stood ahead of us: a share, none, or a power law.
- A print through its price fills those ahead first as well (``print_through: queue``), or the order at once (``all``).
  A displayed order of the other side that is priced through it fills it. A touch without a trade fills nothing. Prints
  without taker side (auctions) fill nothing.
- An order that improves the best is outbid after a drawn time: another order, as large as the best that ours improved,
  then stands ahead of it at a better price, until prints or displayed orders have filled that.
- A fill is at the order's own price if it rested, and at the displayed price if it took.
- A cancel that arrives after the fill fails, as at the venue. An order that would meet one of ours is refused, or ends
  the resting one, as the venue's rules say. A post-only order that would take is cancelled.
- An order lives as long as the venue's shortest expiry at most, as live orders do.

Public data cannot show how the market would have reacted to our orders. They are therefore never added to the book that
the strategy sees.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum, unique
from typing import Final

from stall_then_strike.config.models import PaperConfig, PrintThrough, QueueModel, SessionConfig
from stall_then_strike.engine.gateway import EventSink, Reply, Request
from stall_then_strike.engine.venue.budget import NEVER_NS
from stall_then_strike.engine.venue.calendar import TradingCalendar
from stall_then_strike.engine.venue.rules import VenueRules
from stall_then_strike.sim import fill_rules
from stall_then_strike.sim.fill_rules import SHARE_SCALE, Queue
from stall_then_strike.sim.latency import (
    CANCELS,
    ORDERS,
    OUTBIDS,
    STREAMS,
    Latency,
    drawn_ns,
    stream_seed,
    waiting_table,
)
from stall_then_strike.types.dto import (
    NS_PER_MS,
    NS_PER_S,
    BoardState,
    BookReader,
    CancelRequest,
    ExecId,
    FillEvent,
    FundingEvent,
    OrderEvent,
    OrderEventKind,
    OrderId,
    OrderRequest,
    PublicTrades,
    Side,
    TimeInForce,
    VenueStatus,
)
from stall_then_strike.types.errors import Rejected
from stall_then_strike.types.instrument import NO_PRICE, Instrument, Lots, Money, Ticks

# Enum members resolved once: in Python 3.11, reading one off its class costs as much as a call.
_BUY: Final = Side.BUY
_SELL: Final = Side.SELL
_RUNNING: Final = BoardState.RUNNING
_UNKNOWN: Final = BoardState.UNKNOWN

STOP_NS: Final = 5 * NS_PER_S
"""How long a stopped run waits, in its own time, for its cancels to be confirmed."""
PAPER_PREFIX: Final = "PAPER-"
"""How ids of paper orders begin, where the venue makes the ids."""
_NOT_KNOWN: Final = -1
"""A time that has not been computed yet."""
UNSEEN_NS: Final = 1 * NS_PER_S
"""The book shows a print within about 0.2 s; after this time the print no longer explains a decrease."""


@unique
class _Due(IntEnum):
    """What takes effect at a due time. At equal times, the entry that was added first takes effect first."""

    ORDER = 0
    CANCEL = 1
    EXPIRY = 2


@dataclass(slots=True)
class _Resting:
    """One order at the paper venue."""

    request: OrderRequest
    order_id: OrderId
    number: int
    """Which order of the run it is, from 1."""
    arrives_ns: int
    remaining: int
    queue: Queue | None = None
    """None until a book that can be trusted has been seen since arrival: without a place in a queue no fill."""
    traded_ns: int = 0
    rival: int = 0
    """What stands ahead of it at a better price from ``outbid_ns`` on."""
    outbid_ns: int = NEVER_NS

    def behind_rival(self, size: int, now_ns: int) -> int:
        """What is left of a size for this order, once whoever outbid it is served."""
        if now_ns < self.outbid_ns or not self.rival:
            return size
        served = min(self.rival, size)
        self.rival -= served
        return size - served


def queue_rule(cfg: PaperConfig) -> tuple[int, int]:
    """The queue model as ``share`` and ``power`` of ``fill_rules.share_ahead``."""
    if cfg.queue_model is QueueModel.POWER:
        return 0, cfg.queue_power
    return int(cfg.queue_cancel_share * SHARE_SCALE) if cfg.queue_model is QueueModel.SHARE else 0, 0


def _refusal(order: OrderRequest, why: str, code: int) -> Rejected:
    return Rejected(f"place {order.side} {order.size} lots", why, code=code)


def _by_priority(orders: Iterable[_Resting]) -> list[_Resting]:
    """Best price first on each side, then oldest first. A new list, because orders may end during its iteration."""
    return sorted(orders, key=lambda order: order.request.side.sign * -(order.request.price or 0))


class PaperGateway:
    """Order entry on paper. Give it every market message and wake it at ``next_deadline_ns``."""

    def __init__(
        self,
        cfg: PaperConfig,
        session: SessionConfig,
        instrument: Instrument,
        venue: VenueRules,
        *,
        sink: EventSink,
        now_ns: Callable[[], int],
        place: tuple[int, int] = (0, 1),
    ) -> None:
        """Events go to ``sink``; ``now_ns`` is the clock of the run, virtual or real.

        ``place`` is the number of the instrument and how many the account has: ids are unique among all of them.
        """
        self._number, self._instruments = place
        self._order_latency = Latency(cfg.order_latency, cfg.seed, ORDERS + STREAMS * self._number)
        self._cancel_latency = Latency(cfg.cancel_latency, cfg.seed, CANCELS + STREAMS * self._number)
        self._share, self._power = queue_rule(cfg)
        self._queues_through = cfg.print_through is PrintThrough.QUEUE
        self._outbids = waiting_table(float(cfg.outbid_per_s)) if cfg.outbid_per_s else ()
        self._outbid_seed = stream_seed(cfg.seed, OUTBIDS + self._number)
        self._maker, self._taker = cfg.maker_fee.as_integer_ratio(), cfg.taker_fee.as_integer_ratio()
        self._funding_rate = cfg.funding_rate.as_integer_ratio()
        self._calendar = TradingCalendar(session, cfg.funding_times)
        self._instrument = instrument
        self._venue = venue
        self._sink = sink
        self._now_ns = now_ns
        self._due: list[tuple[int, int, _Due, OrderId]] = []
        self._expiries: deque[tuple[int, int, _Due, OrderId]] = deque()
        """In order of time, because all orders live equally long. Most have ended before their entry is due."""
        self._sequence = 0
        self._placed = 0
        self._run_name = ""
        self._orders: dict[OrderId, _Resting] = {}
        self._resting: list[_Resting] = []
        self._book: BookReader | None = None
        self._state = _UNKNOWN
        self._taken: dict[tuple[Side, Ticks], int] = {}
        """What we took of displayed levels, in lots. The public book still shows it."""
        self._fills = 0
        self._position = 0
        self._mid2 = 0
        self._settlement_ns = _NOT_KNOWN
        """When the next funding is paid."""
        self._next_ns = NEVER_NS
        """When something takes effect next."""

    # --- requests

    async def send(self, batch: Sequence[Request]) -> Sequence[Reply]:
        """Answer orders and cancels in place."""
        return [
            self._cancel(request.order_id) if isinstance(request, CancelRequest) else self._place(request)
            for request in batch
        ]

    def _place(self, order: OrderRequest) -> OrderId | Rejected:
        """Accept an order, which reaches the book one latency later, or refuse it where the venue would."""
        if order.size < self._instrument.min_size:
            return _refusal(order, "under the minimum order size", -110)
        if order.price is not None and order.price <= 0:
            return _refusal(order, "price too low", -106)
        if not self._is_open:
            return _refusal(order, f"market state is {self._state}", -204)
        now = self._now_ns()
        number = self._placed * self._instruments + self._number + 1
        self._placed += 1
        self._run_name = self._run_name or f"{now // NS_PER_MS:x}"  # ids must differ: two runs of a day share log files
        name = order.client_order_id if self._venue.own_names else f"{PAPER_PREFIX}{self._run_name}-{number:06d}"
        order_id = OrderId(name)
        arrives = now + self._order_latency.draw_ns(now)
        self._orders[order_id] = _Resting(order, order_id, self._placed, arrives, order.size)
        self._push(arrives, _Due.ORDER, order_id)
        return order_id

    def _cancel(self, order_id: OrderId) -> OrderId:
        """Accept a cancel. Its outcome comes as an event one latency later, but not before the order's arrival."""
        now = self._now_ns()
        arrives = now + self._cancel_latency.draw_ns(now)
        order = self._orders.get(order_id)
        self._push(max(arrives, order.arrives_ns) if order else arrives, _Due.CANCEL, order_id)
        return order_id

    # --- time and market

    @property
    def next_deadline_ns(self) -> int:
        """When something takes effect next; NEVER_NS if nothing will."""
        return self._next_ns

    def advance(self, now_ns: int) -> None:
        """Let everything that is due take effect, against the book as last seen."""
        if self._settlement_ns == _NOT_KNOWN:
            self._settlement_ns = self._next_settlement_ns(now_ns)
        elif now_ns < self._next_ns:
            return
        while (entry := self._take_due(now_ns)) is not None:
            at_ns, _, what, order_id = entry
            self._settle(at_ns)
            if what is _Due.ORDER:
                self._arrive(self._orders[order_id], at_ns)
            elif what is _Due.CANCEL:
                self._end(order_id, OrderEventKind.CANCELLED, at_ns)
            else:
                self._end(order_id, OrderEventKind.EXPIRED, at_ns)
        self._settle(now_ns)
        self._next_ns = self._settlement_ns
        for entries in (self._due, self._expiries):
            if entries and entries[0][0] < self._next_ns:
                self._next_ns = entries[0][0]

    def on_status(self, status: VenueStatus) -> None:
        """Follow the venue's board state: orders are refused unless it is running or unknown."""
        self._state = status.state if status.state is not None else self._state

    def on_book(self, book: BookReader | None, now_ns: int) -> None:
        """Take the book after a message; None if it cannot be trusted: nothing is then matched against it."""
        self._book = book
        if book is None:
            return
        bid, ask = book.best(_BUY), book.best(_SELL)
        if bid and ask:
            self._mid2 = bid + ask
        if self._taken:
            self._taken = dict(self._still_taken(book))
        is_met = False
        for order in self._resting:
            request, queue = order.request, order.queue
            if (price := request.price) is None:
                raise AssertionError("market orders do not rest")
            displayed = book.size_at(request.side, price)
            if queue is None or displayed != queue.level:
                self._requeue(order, displayed, now_ns)
            is_met = is_met or (price > ask if request.side is _BUY else price < bid)
        if is_met and self._is_open:
            for order in _by_priority(self._resting):
                self._take(order, now_ns, through=True)
                if not order.remaining:
                    self._drop(order)

    def _still_taken(self, book: BookReader) -> Iterator[tuple[tuple[Side, Ticks], int]]:
        """The part of what we took that may still be displayed: all that is left of a level that shrank may be it."""
        for (side, price), taken in self._taken.items():
            if displayed := book.size_at(side, price):
                yield (side, price), min(taken, displayed)

    def on_trades(self, message: PublicTrades) -> None:
        """Match one executions message with our resting orders, in the venue's order."""
        if not self._resting:
            return
        for trade in message.trades:
            if trade.taker is not None:
                self._print(trade.taker, trade.price, trade.size, message.ts_ns)

    # --- arrivals and endings

    def _take_due(self, now_ns: int) -> tuple[int, int, _Due, OrderId] | None:
        """Remove and return the next entry that is due; None if there is none."""
        due, expiries = self._due, self._expiries
        if expiries and expiries[0][0] <= now_ns and not (due and due[0] < expiries[0]):
            return expiries.popleft()
        return heapq.heappop(due) if due and due[0][0] <= now_ns else None

    @property
    def _is_open(self) -> bool:
        """Whether the venue matches continuously. An unknown state counts as yes."""
        return self._state in (_RUNNING, _UNKNOWN)

    def _push(self, at_ns: int, what: _Due, order_id: OrderId) -> None:
        self._sequence += 1
        entry = (at_ns, self._sequence, what, order_id)
        if what is _Due.EXPIRY:
            self._expiries.append(entry)
        else:
            heapq.heappush(self._due, entry)
        self._next_ns = min(self._next_ns, at_ns)

    def _arrive(self, order: _Resting, now_ns: int) -> None:
        """An order reaches the book: it takes what it crosses, and the remainder rests or expires."""
        request = order.request
        refusal = ""
        if not self._is_open:
            refusal = f"market state is {self._state} (-204)"
        elif self._venue.refuses_self_trade and any(self._own_met_by(order)):
            refusal = "an own order would be met (-159)"
        if refusal:
            self._report(order, OrderEventKind.REJECTED, now_ns, refusal)
            del self._orders[order.order_id]
            return
        self._report(order, OrderEventKind.REGISTERED, now_ns)
        for met in tuple(self._own_met_by(order)):
            self._end(met.order_id, OrderEventKind.CANCELLED, now_ns)
        if request.post_only and self._would_take(request):
            self._report(order, OrderEventKind.CANCELLED, now_ns)
            del self._orders[order.order_id]
            return
        self._take(order, now_ns, through=False)
        if not order.remaining:
            del self._orders[order.order_id]
        elif request.time_in_force is not TimeInForce.GTC or request.price is None:
            self._report(order, OrderEventKind.EXPIRED, now_ns)
            del self._orders[order.order_id]
        else:
            if self._book is not None:
                order.queue = fill_rules.join(self._book.size_at(request.side, request.price))
                self._expect_rival(order, self._book, now_ns)
            self._resting.append(order)
            self._push(now_ns + self._venue.expiry_ns, _Due.EXPIRY, order.order_id)

    def _expect_rival(self, order: _Resting, book: BookReader, now_ns: int) -> None:
        """Draw when somebody outbids an order that improves the best."""
        request = order.request
        best = book.best(request.side)
        if self._outbids and fill_rules.stands_inside(request.side.sign, request.price or 0, best):
            order.rival = book.size_at(request.side, best)
            order.outbid_ns = now_ns + drawn_ns(self._outbids, self._outbid_seed, order.number)

    def _end(self, order_id: OrderId, kind: OrderEventKind, now_ns: int) -> None:
        """A cancel or an expiry reaches the book."""
        order = self._orders.get(order_id)
        if order is not None:
            self._report(order, kind, now_ns)
            self._drop(order)
        elif kind is OrderEventKind.CANCELLED:
            self._sink(OrderEvent(ts_ns=now_ns, kind=OrderEventKind.CANCEL_FAILED, order_id=order_id, detail="gone"))

    def _drop(self, order: _Resting) -> None:
        self._resting.remove(order)
        del self._orders[order.order_id]

    def _own_met_by(self, order: _Resting) -> Iterator[_Resting]:
        """Our resting orders that an order would trade with."""
        request = order.request
        for other in self._resting:
            price = other.request.price
            if other.request.side is request.side or price is None:
                continue
            if request.price is None or (request.price - price) * request.side.sign >= 0:
                yield other

    def _would_take(self, request: OrderRequest) -> bool:
        """Whether a limit order would trade with the displayed book."""
        best = NO_PRICE if self._book is None else self._book.best(request.side.opposite)
        return bool(best) and request.price is not None and (request.price - best) * request.side.sign >= 0

    # --- fills

    def _requeue(self, order: _Resting, displayed: int, now_ns: int) -> None:
        """Follow the size displayed at the price of an order."""
        if (queue := order.queue) is None:
            order.queue = fill_rules.join(displayed)
            return
        if now_ns - order.traded_ns > UNSEEN_NS:
            queue = queue._replace(unseen=0)
        share = fill_rules.share_ahead(queue, self._share, self._power)
        order.queue = fill_rules.after_level(queue, displayed, share)

    def _print(self, taker: Side, price: Ticks, size: int, now_ns: int) -> None:
        """Match one public trade: best price first, then oldest first, and never more than was traded."""
        left, passed, passed_at = size, 0, NO_PRICE
        for order in _by_priority(self._hit_by(taker, price)):
            if order.queue is None:
                continue
            own = order.request.price or NO_PRICE
            if own != passed_at:
                passed, passed_at = 0, own
            left = order.behind_rival(left, now_ns)
            ahead, level, unseen = order.queue
            if own != price and not self._queues_through:
                ahead = 0
            # Orders ahead of an earlier order of ours are ahead of this one too: count their fills once.
            match = fill_rules.match_behind(max(0, ahead - passed), order.remaining, left)
            passed += match.passed
            left -= match.passed + match.filled
            if own == price:
                unseen += size
                order.traded_ns = now_ns
            order.queue = Queue(max(0, ahead - passed), level, unseen)
            if match.filled:
                self._fill(order, own, match.filled, now_ns, is_maker=True)
                if not order.remaining:
                    self._drop(order)

    def _hit_by(self, taker: Side, price: Ticks) -> Iterator[_Resting]:
        """Our resting orders that a taker of this side meets at this price or at a better one."""
        for order in self._resting:
            own = order.request
            if own.side is not taker and own.price is not None and (own.price - price) * own.side.sign >= 0:
                yield order

    def _take(self, order: _Resting, now_ns: int, *, through: bool) -> None:
        """Match an order with the displayed other side.

        On arrival it takes at displayed prices. While it rests (``through``), only sizes priced strictly through it
        fill it, at its own price, as maker.
        """
        book, request = self._book, order.request
        if book is None:
            return
        other = request.side.opposite
        if request.price is not None:
            beyond = (request.price - book.best(other)) * request.side.sign
            if beyond < 0 or (through and beyond == 0):
                return  # the loop below would return at its first level
        for price, displayed in book.levels(other):
            if request.price is not None:
                beyond = (request.price - price) * request.side.sign
                if beyond < 0 or (through and beyond == 0):
                    return
            taken = self._taken.get((other, price), 0)
            offered = displayed - taken
            if offered <= 0:
                continue
            free = order.behind_rival(offered, now_ns)
            size = min(order.remaining, free)
            self._taken[other, price] = taken + offered - free + size
            if not size:
                continue
            rested = through and request.price is not None
            self._fill(order, request.price if rested else price, size, now_ns, is_maker=rested)
            if not order.remaining:
                return

    def _fill(self, order: _Resting, price: Ticks | None, size: int, now_ns: int, *, is_maker: bool) -> None:
        if price is None:
            raise AssertionError("a fill has a price")
        order.remaining -= size
        self._fills += 1
        self._position += size * order.request.side.sign
        self._sink(
            FillEvent(
                ts_ns=now_ns,
                exec_id=ExecId(self._fills),
                side=order.request.side,
                price=price,
                size=Lots(size),
                fee=Money(fill_rules.fee(price, size, self._maker if is_maker else self._taker)),
                order_id=order.order_id,
                client_order_id=order.request.client_order_id,
                is_maker=is_maker,
            )
        )

    def _settle(self, now_ns: int) -> None:
        """Pay or receive funding for each settlement that has passed."""
        while self._settlement_ns <= now_ns:
            at_ns = self._settlement_ns
            self._settlement_ns = self._next_settlement_ns(at_ns)
            cost = fill_rules.funding(self._position, self._mid2, self._funding_rate)
            if cost:
                self._sink(FundingEvent(ts_ns=at_ns, amount=Money(-cost), what="funding"))

    def _next_settlement_ns(self, now_ns: int) -> int:
        at_ns = self._calendar.next_settlement_ns(now_ns)
        return NEVER_NS if at_ns is None else at_ns

    def _report(self, order: _Resting, kind: OrderEventKind, now_ns: int, detail: str = "") -> None:
        self._sink(
            OrderEvent(
                ts_ns=now_ns,
                kind=kind,
                client_order_id=order.request.client_order_id,
                order_id=order.order_id,
                detail=detail,
            )
        )
