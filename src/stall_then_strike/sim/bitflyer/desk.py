"""The life of the accounts' orders: accepted, registered, matched, cancelled, expired, and the events of each.

The desk stands between the private calls and the market. It acts in the market's time. It knows the JSON of events but
no socket: it hands its frames to the market, and they leave with the market's own. Rules:

- A request is *accepted* at once and takes effect after a drawn delay; effects keep the order of acceptance.
- Registration checks again what may have changed: the board's state and our own resting orders. A failure then sends
  ORDER_FAILED.
- The events of one account leave in the order in which they happened, each after a drawn delay; events of one moment
  share a message. An order's events are ORDER, EXECUTION*, and CANCEL or EXPIRE if it is not filled.
- A cancel that finds no live order sends CANCEL_FAILED. A cancel-all covers the orders that are registered when it is
  accepted.

Venue facts: 200 means queued; an order that would match a resting order of the same account is refused, the resting
one stays; the remainder of IOC, FOK and MARKET orders expires (API documentation, client logs, announcements of 2024).
Which requests the venue takes in which board state is not documented: here orders and cancels in RUNNING and PREOPEN,
only cancels in CIRCUIT BREAK, and no IOC or FOK in PREOPEN.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from random import Random
from typing import Final, Protocol

from stall_then_strike.sim.bitflyer.ledger import Fill
from stall_then_strike.sim.bitflyer.private_wire import EVENTS_CHANNEL, PrivateWire, Value
from stall_then_strike.sim.bitflyer.tickets import CancelTicket, Refusal, Ticket
from stall_then_strike.sim.bitflyer.venue_account import Account, ChildOrder, ChildState, new_order
from stall_then_strike.sim.bitflyer.wire import second_text
from stall_then_strike.sim.exchange.agenda import Agenda
from stall_then_strike.sim.exchange.book_side import Order, Owner
from stall_then_strike.sim.exchange.matching import Fate, MatchingEngine, Trade
from stall_then_strike.sim.exchange.source import Execution, Frame
from stall_then_strike.sim.market import Market
from stall_then_strike.types.dto import NS_PER_MS, NS_PER_S, BoardState, Health, OrderId, Side, TimeInForce
from stall_then_strike.types.instrument import Lots, Ticks

NO_MARGIN: Final = "Margin amount is insufficient for this order."

Span = tuple[int, int]
"""Shortest and longest delay, nanoseconds of venue time."""

_PRICE_BAND: Final = Fraction(1, 2)
"""Largest distance of a limit price from the mid, as a fraction of the mid."""
_ID_CYCLE: Final = 1_000_000
_ID_STEP: Final = 414_977
_LATEST_S: Final = 1.0
_FORGOTTEN_NS: Final = 600 * NS_PER_S
"""How long a cancel still finds an order that ended without an execution."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delays:
    """Delays, each drawn uniformly from its span; the defaults are those of a quiet day.

    Registration has a tail besides: of 190 orders that took in 2021, six were matched more than 1.17 s after the second
    of their acceptance, which 0.17 s cannot explain.
    """

    answer: Span = (20 * NS_PER_MS, 80 * NS_PER_MS)
    """From a request's arrival to its HTTP answer. If longer than registration and event together, events overtake
    it."""
    registration: Span = (90 * NS_PER_MS, 170 * NS_PER_MS)
    """From acceptance to the book. Measured over 190 orders that took in 2021: 0.13 s on average, hardly ever below
    0.09 s."""
    late_share: float = 0.08
    """Share of orders that need longer than that."""
    late_s: float = 0.25
    """How much longer, on average: exponential, at most 1 s."""
    cancel: Span = (30 * NS_PER_MS, 150 * NS_PER_MS)
    """From the request to the cancel."""
    event: Span = (20 * NS_PER_MS, 100 * NS_PER_MS)
    """From what happened to its event."""
    listing: Span = (0, 100 * NS_PER_MS)
    """From registration until `getchildorders` shows the order."""

    def registration_ns(self, rng: Random) -> int:
        """Draw the time from an order's acceptance to the book."""
        delay_ns = rng.randint(*self.registration)
        if self.late_share and rng.random() < self.late_share:
            delay_ns += int(min(rng.expovariate(1 / self.late_s), _LATEST_S) * NS_PER_S)
        return delay_ns


@dataclass(slots=True, kw_only=True)
class DeskCounters:
    """Counts since the start, over all accounts."""

    accepted: int = 0
    refused: int = 0
    failed: int = 0
    """Accepted, but refused at registration."""
    cancelled: int = 0
    cancels_failed: int = 0
    expired: int = 0
    executions: int = 0
    longest_life_ns: int = 0
    """Longest time from acceptance to the end, over the orders that have ended."""


class Mishaps(Protocol):
    """What can go wrong with a request; the fault injector implements it."""

    def loses_order(self, now_ns: int) -> bool:
        """Whether an order accepted now vanishes: it is never registered and has no event."""
        ...

    def lacks_margin(self, now_ns: int) -> bool:
        """Whether an order sent now is refused for lack of margin; asked for orders that would open a position."""
        ...

    def fails_margin(self, now_ns: int) -> bool:
        """Whether an order registered now fails for lack of margin; asked for orders that would open a position."""
        ...

    def ignores_cancel(self, now_ns: int) -> bool:
        """Whether a cancel accepted now has no effect and no event."""
        ...


class OrderDesk:
    """Takes the accounts' requests and sends their events."""

    def __init__(
        self,
        market: Market,
        accounts: Mapping[str, Account],
        agenda: Agenda,
        *,
        rng: Random,
        delays: Delays,
    ) -> None:
        """Start with no orders."""
        self._market = market
        self._accounts = accounts
        self._agenda = agenda
        self._rng = rng
        self._wire = PrivateWire(market.instrument)
        self._ids_issued = rng.randrange(_ID_CYCLE)
        self._rows_issued = 2_000_000_000 + rng.randrange(100_000_000)
        self._busy_until_ns = 0
        self._told_until_ns: dict[str, int] = {}
        self._untold: dict[str, list[dict[str, Value]]] = {}
        self.delays = delays
        """May be changed at any time; requests under way keep their delay."""
        self.mishaps: Mishaps | None = None
        """None, the default: nothing goes wrong."""
        self.refusal: Refusal | None = None
        """If given, every order is refused with it."""
        self.counters = DeskCounters()

    # --- requests ---------------------------------------------------------------------------------------------------

    def place(self, now_ns: int, account: Account, ticket: Ticket) -> OrderId | Refusal:
        """Accept an order and return its acceptance id, or return why it is refused."""
        refusal = self.refusal or self._refusal(now_ns, account, ticket)
        if refusal is not None:
            self.counters.refused += 1
            return refusal
        order = new_order(self._market.new_order_id(now_ns), ticket, now_ns)
        self.counters.accepted += 1
        if self.mishaps is not None and self.mishaps.loses_order(now_ns):
            return order.acceptance_id
        account.orders[order.acceptance_id] = account.live[order.acceptance_id] = order
        delay_ns = self.delays.registration_ns(self._rng)
        self._queue(now_ns, delay_ns, partial(self._register, account=account, order=order))
        return order.acceptance_id

    def cancel(self, now_ns: int, account: Account, ticket: CancelTicket) -> Refusal | None:
        """Accept a cancel of one order, or return why it is refused. An event reports the outcome."""
        refusal = self._cancel_refusal()
        if refusal is not None:
            return refusal
        if ticket.acceptance_id is not None:
            order = account.orders.get(OrderId(ticket.acceptance_id))
        else:
            order = account.registered.get(ticket.registered_id or "")
        if order is None:
            return Refusal(status=-111, message="Order not found")
        if self.mishaps is not None and self.mishaps.ignores_cancel(now_ns):
            return None
        self._queue(now_ns, self._draw(self.delays.cancel), partial(self._cancel, account=account, order=order))
        return None

    def cancel_all(self, now_ns: int, account: Account) -> Refusal | None:
        """Accept a cancel of all orders registered now, or return why it is refused."""
        refusal = self._cancel_refusal()
        if refusal is not None:
            return refusal
        if self.mishaps is not None and self.mishaps.ignores_cancel(now_ns):
            return None
        orders = [order for order in account.live.values() if order.state is ChildState.ACTIVE]
        effect = partial(self._cancel_each, account=account, orders=orders)
        self._queue(now_ns, self._draw(self.delays.cancel), effect)
        return None

    # --- called by the market ---------------------------------------------------------------------------------------

    def on_trades(self, trades: Sequence[Trade], executions: Sequence[Execution]) -> None:
        """Book the accounts' fills."""
        for trade, execution in zip(trades, executions, strict=True):
            taker = Side.SELL if trade.taker_side is Side.SELL else Side.BUY
            self._fill(trade.maker_owner, trade.maker_id, taker.opposite, execution)
            self._fill(trade.taker_owner, trade.taker_id, taker, execution)

    def on_expired(self, now_ns: int, orders: Sequence[Order]) -> None:
        """End the accounts' orders that expired in the book."""
        for gone in orders:
            account = self._accounts.get(gone.owner)
            if account is not None:
                self._expire(now_ns, account, account.live[gone.order_id])

    def tell(self, now_ns: int) -> None:
        """Send the collected events; call it after everything that may cause one."""
        untold, self._untold = self._untold, {}
        for name, events in untold.items():
            leave_ns = max(self._told_until_ns.get(name, 0), now_ns + self._draw(self.delays.event))
            self._told_until_ns[name] = leave_ns
            self._market.send(
                Frame(time_ns=leave_ns, channel=EVENTS_CHANNEL, text=self._wire.message(events), account=name)
            )

    # --- refusals -----------------------------------------------------------------------------------------------------

    def _refusal(self, now_ns: int, account: Account, ticket: Ticket) -> Refusal | None:
        """Why the venue refuses an order now; None if it accepts it."""
        if self._market.condition.health in {Health.NO_ORDER, Health.STOP}:
            return Refusal(status=-208, message="Order is not accepted. Please try again later.", http_status=500)
        if not self._takes_orders(ticket.time_in_force):
            return Refusal(status=-204, message="The market state is closed.")
        mid = self._market.mid()
        if ticket.price is not None and ticket.price < mid * (1 - _PRICE_BAND):
            return Refusal(status=-106, message="The price is too low.")
        if ticket.price is not None and ticket.price > mid * (1 + _PRICE_BAND):
            return Refusal(status=-107, message="The price is too high.")
        if meets_own(self._market.engine, Owner(account.name), ticket.side, ticket.price, ticket.size):
            return Refusal(status=-159, message="Self trade: an own order would match.")
        if not account.may_open(ticket, mid) or self._lacks_margin(now_ns, account, ticket):
            return Refusal(status=-205, message=NO_MARGIN)
        return None

    def _lacks_margin(self, now_ns: int, account: Account, ticket: Ticket) -> bool:
        if self.mishaps is None or not account.opens(self._market.mid(), ticket.side, ticket.price, ticket.size):
            return False
        return self.mishaps.lacks_margin(now_ns)

    def _takes_orders(self, time_in_force: TimeInForce) -> bool:
        state = self._market.condition.state
        return state is BoardState.RUNNING or (state is BoardState.PREOPEN and time_in_force is TimeInForce.GTC)

    def _cancel_refusal(self) -> Refusal | None:
        state = self._market.condition.state
        if state in {BoardState.RUNNING, BoardState.PREOPEN, BoardState.CIRCUIT_BREAK}:
            return None
        return Refusal(status=-204, message="The market state is closed.")

    # --- effects ------------------------------------------------------------------------------------------------------

    def _register(self, now_ns: int, *, account: Account, order: ChildOrder) -> None:
        """Register an accepted order and match it."""
        owner = Owner(account.name)
        if not self._takes_orders(order.time_in_force):
            self._fail(now_ns, account, order, "The market state is closed.")
        elif order.expires_ns <= now_ns:
            self._fail(now_ns, account, order, "The order has expired.")
        elif meets_own(self._market.engine, owner, order.side, order.price, order.size):
            self._fail(now_ns, account, order, "Self trade: an own order would match.")
        elif self._fails_margin(now_ns, account, order):
            self._fail(now_ns, account, order, NO_MARGIN)
        else:
            self._ids_issued += 1
            digits = self._ids_issued * _ID_STEP % _ID_CYCLE
            order.registered_id = f"JFX{second_text(now_ns // NS_PER_S, '%Y%m%d-%H%M%S')}-{digits:06d}F"
            order.listed_ns = now_ns + self._draw(self.delays.listing)
            order.registered_ns = now_ns
            order.state = ChildState.ACTIVE
            account.registered[order.registered_id] = order
            self._note(account, self._wire.registered(order, now_ns))
            outcome = self._market.match(
                now_ns,
                order_id=order.acceptance_id,
                owner=owner,
                side=order.side,
                size=order.size,
                price=order.price,
                time_in_force=order.time_in_force,
                expires_ns=order.expires_ns,
            )
            if outcome.fate is Fate.EXPIRED:
                self._expire(now_ns, account, order)

    def _fails_margin(self, now_ns: int, account: Account, order: ChildOrder) -> bool:
        mark = self._market.mid()
        if self.mishaps is None or not account.opens(mark, order.side, order.price, order.size, but=order):
            return False
        return self.mishaps.fails_margin(now_ns)

    def _fail(self, now_ns: int, account: Account, order: ChildOrder, reason: str) -> None:
        self.counters.failed += 1
        self._note(account, self._wire.failed(order, now_ns, reason))
        self._end(now_ns, account, order, ChildState.REJECTED)

    def _cancel(self, now_ns: int, *, account: Account, order: ChildOrder) -> None:
        if order.state is ChildState.ACTIVE and self._market.cancel(now_ns, order.acceptance_id):
            self.counters.cancelled += 1
            self._note(account, self._wire.event(order, now_ns, "CANCEL"))
            self._end(now_ns, account, order, ChildState.CANCELED)
        else:
            self.counters.cancels_failed += 1
            self._note(account, self._wire.event(order, now_ns, "CANCEL_FAILED"))

    def _cancel_each(self, now_ns: int, *, account: Account, orders: Iterable[ChildOrder]) -> None:
        for order in orders:
            if order.state is ChildState.ACTIVE:
                self._cancel(now_ns, account=account, order=order)

    def _expire(self, now_ns: int, account: Account, order: ChildOrder) -> None:
        self.counters.expired += 1
        self._note(account, self._wire.event(order, now_ns, "EXPIRE"))
        self._end(now_ns, account, order, ChildState.EXPIRED)

    def _fill(self, owner: Owner, order_id: OrderId, side: Side, execution: Execution) -> None:
        account = self._accounts.get(owner)
        if account is None:
            return
        order = account.live[order_id]
        fill = Fill(
            exec_id=execution.exec_id,
            time_ns=execution.time_ns,
            side=side,
            price=execution.price,
            size=execution.size,
            order_id=order_id,
            registered_id=order.registered_id,
        )
        order.executed = Lots(order.executed + fill.size)
        order.value += fill.price * fill.size
        account.ledger.fill(fill)
        self.counters.executions += 1
        self._note(account, self._wire.executed(order, fill))
        if not order.remaining:
            self._end(execution.time_ns, account, order, ChildState.COMPLETED)

    def _end(self, now_ns: int, account: Account, order: ChildOrder, state: ChildState) -> None:
        """Record that an order can no longer trade."""
        order.state = state
        order.ended_ns = now_ns
        order.cancelled = order.remaining
        self.counters.longest_life_ns = max(self.counters.longest_life_ns, now_ns - order.accepted_ns)
        self._rows_issued += self._rng.randrange(1, 50)
        order.row_id = self._rows_issued
        del account.live[order.acceptance_id]
        if not order.executed:
            self._agenda.at(now_ns + _FORGOTTEN_NS, partial(_forget, account=account, order=order))

    # --- inside -------------------------------------------------------------------------------------------------------

    def _queue(self, now_ns: int, delay_ns: int, effect: Callable[[int], None]) -> None:
        """Plan a request's effect after a delay, and never before the effect of an earlier request."""
        self._busy_until_ns = max(self._busy_until_ns, now_ns + delay_ns)
        self._agenda.at(self._busy_until_ns, effect)

    def _note(self, account: Account, event: dict[str, Value]) -> None:
        self._untold.setdefault(account.name, []).append(event)

    def _draw(self, span: Span) -> int:
        return self._rng.randint(*span)


def meets_own(engine: MatchingEngine, owner: Owner, side: Side, price: Ticks | None, size: Lots) -> bool:
    """Whether an order matched now would trade with its owner's own; in an auction's collection, whether it might."""
    left = int(size)
    for resting in engine.resting(side.opposite):
        if price is not None and side.sign * (price - resting.price) < 0:
            break
        if resting.owner == owner:
            return True
        left -= resting.remaining
        if left <= 0 and not engine.is_auction:
            break
    return engine.is_auction and any(order.owner == owner for order in engine.waiting_orders(side.opposite))


def _forget(_now_ns: int, *, account: Account, order: ChildOrder) -> None:
    account.orders.pop(order.acceptance_id, None)
    account.registered.pop(order.registered_id, None)
