"""What the engine's tests share: a Monday morning in Tokyo, boards and fills by hand, a core that is driven by hand.

``Desk`` is the core with the test as its venue: nothing is answered unless the test answers it. All times are
milliseconds after the start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from hypothesis import HealthCheck, settings

from stall_then_strike.config.models import AppConfig
from stall_then_strike.engine.core import Core
from stall_then_strike.engine.orders import Order
from stall_then_strike.engine.strategy import MakeStrategy
from stall_then_strike.engine.strategy_stall import stall_then_strike
from stall_then_strike.engine.venue.rules import VenueRules
from stall_then_strike.engine.venue.shared import Shared
from stall_then_strike.infra.bitflyer.bitflyer_rules import bitflyer_rules
from stall_then_strike.types.dto import (
    Action,
    BoardSnapshot,
    BoardState,
    BookStatus,
    CancelAllStall,
    ClientOrderId,
    CloseMarket,
    Command,
    Control,
    DecisionLogRow,
    Event,
    ExecId,
    FillEvent,
    Health,
    OrderEvent,
    OrderEventKind,
    OrderId,
    PlaceLimit,
    Reason,
    Row,
    Side,
    Step,
    Tick,
    TimeInForce,
    VenueStatus,
)
from stall_then_strike.types.instrument import Lots, Money, Ticks
from tests.market_script import START_NS, config

__all__ = ["BUY", "MS", "SELL", "START_NS", "Desk", "board", "config", "core_of", "fill", "properties"]

MS = 10**6
BTC = 10**8
BUY, SELL = Side.BUY, Side.SELL
MIN = 100_000
"""0.001 BTC: the venue's minimum and the size of a quote."""


def properties(examples: int, steps: int = 50) -> settings:
    """Settings of a hypothesis test: no time limit for one example, since other tests may be busy beside it.

    How many depends on the profile (tests/conftest.py): three of ten ``examples`` by default, ten times them with
    `long`.
    """
    return settings(
        max_examples=examples * settings().max_examples // 100,
        stateful_step_count=steps,
        deadline=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )


def at(ms: float) -> int:
    """Milliseconds after the start as a stamp."""
    return START_NS + round(ms * MS)


def board(
    ms: float,
    bid: int = 10_000,
    ask: int = 10_100,
    *,
    since_ms: float = 0,
    status: BookStatus = BookStatus.OK,
) -> BoardSnapshot:
    return BoardSnapshot(
        ts_ns=at(ms),
        best_bid_price=Ticks(bid),
        best_bid_size=Lots(BTC),
        best_ask_price=Ticks(ask),
        best_ask_size=Lots(BTC),
        best_since_ns=at(since_ms),
        status=status,
    )


def fill(
    side: Side,
    price: int,
    size: int,
    *,
    fee: int = 0,
    exec_id: int = 1,
    name: str | None = "a",
    order_id: str | None = None,
    ms: float = 0,
) -> FillEvent:
    return FillEvent(
        ts_ns=at(ms),
        exec_id=ExecId(exec_id),
        side=side,
        price=Ticks(price),
        size=Lots(size),
        fee=Money(fee),
        client_order_id=None if name is None else ClientOrderId(name),
        order_id=None if order_id is None else OrderId(order_id),
    )


def own_order(name: str = "a", size: int = MIN, **others: Any) -> Order:
    """A quote of ours that was just sent."""
    values: dict[str, Any] = {
        "client_order_id": ClientOrderId(name),
        "side": BUY,
        "price": Ticks(100),
        "size": Lots(size),
        "time_in_force": TimeInForce.GTC,
        "ttl_ms": 800,
        "tag": "stall",
        "reason": Reason.STRIKE,
        "sent_ns": START_NS,
    }
    return Order(**(values | others))


def core_of(
    cfg: AppConfig,
    rules: VenueRules | None = None,
    *,
    live: bool = False,
    strategy: MakeStrategy = stall_then_strike,
) -> Core:
    """A core at a venue, by default with bitFlyer's rules and our strategy."""
    return Core(cfg, Shared(cfg, rules or bitflyer_rules(cfg), live=live), strategy=strategy)


class Desk:
    """A core, the market that it sees, and all that it answered."""

    def __init__(
        self,
        cfg: AppConfig | None = None,
        rules: VenueRules | None = None,
        *,
        live: bool = False,
        strategy: MakeStrategy = stall_then_strike,
    ) -> None:
        self.cfg, self.rules = cfg or config(), rules
        self.core = core_of(self.cfg, rules, live=live, strategy=strategy)
        self.ms: float = 0
        self.fed: list[tuple[Event, int]] = []
        self.steps: list[Step] = []
        self.rows: list[Row] = []
        self.actions: list[tuple[float, Action]] = []
        self.ticks = 0
        self._best = (10_000, 10_100)
        self._since_ms: float = 0
        self._exec_id = 0

    # --- feeding

    def feed(self, event: Event, ms: float) -> Step:
        """One event, at a moment."""
        self.ms = max(ms, self.ms)
        self.fed.append((event, at(ms)))
        step = self.core.on_event(event, at(ms))
        self.steps.append(step)
        self.rows.extend(step.rows)
        self.actions.extend((ms, action) for action in step.actions)
        return step

    def status(
        self, ms: float, state: BoardState | None = BoardState.RUNNING, health: Health | None = Health.NORMAL
    ) -> Step:
        return self.feed(VenueStatus(ts_ns=at(ms), state=state, health=health), ms)

    def board(
        self, ms: float, bid: int | None = None, ask: int | None = None, status: BookStatus = BookStatus.OK
    ) -> Step:
        """A board message; the best stays where it was unless given."""
        best = (self._best[0] if bid is None else bid, self._best[1] if ask is None else ask)
        if best != self._best:
            self._best, self._since_ms = best, ms
        return self.feed(board(ms, *best, since_ms=self._since_ms, status=status), ms)

    def tick(self, ms: float) -> Step:
        return self.feed(Tick(ts_ns=at(ms)), ms)

    def control(self, ms: float, command: Command, reason: Reason = Reason.OPERATOR) -> Step:
        return self.feed(Control(ts_ns=at(ms), command=command, reason=reason), ms)

    def tell(
        self, ms: float, kind: OrderEventKind, name: str, order_id: str | None = None, *, is_margin: bool = False
    ) -> Step:
        """An order event that knows our name, and the venue's if given."""
        event = OrderEvent(
            ts_ns=at(ms),
            kind=kind,
            client_order_id=ClientOrderId(name),
            order_id=None if order_id is None else OrderId(order_id),
            is_margin=is_margin,
        )
        return self.feed(event, ms)

    def accept(self, ms: float, *names: str) -> None:
        """Acceptance and registration; the venue calls order x by the name V-x."""
        for name in names:
            self.tell(ms, OrderEventKind.ACCEPTED, name, f"V-{name}")
            self.tell(ms, OrderEventKind.REGISTERED, name, f"V-{name}")

    def cancelled(self, ms: float, *names: str) -> None:
        for name in names:
            self.tell(ms, OrderEventKind.CANCELLED, name, f"V-{name}")

    def filled(self, ms: float, action: PlaceLimit | CloseMarket, size: int | None = None, price: int = 0) -> Step:
        """A fill of an order, by default whole and at its own price."""
        self._exec_id += 1
        return self.feed(
            fill(
                action.side,
                price or action.price or 10_000,
                action.size if size is None else size,
                exec_id=self._exec_id,
                name=action.client_order_id,
                ms=ms,
            ),
            ms,
        )

    def wait(self, until_ms: float, *, alive_ms: float | None = None) -> None:
        """Let time pass: wake the core at its deadlines, and with ``alive_ms`` repeat the board so often."""
        next_board = self.ms + alive_ms if alive_ms else None
        while True:
            deadline = (self.core.next_deadline_ns - START_NS) / MS
            if next_board is not None and next_board <= min(deadline, until_ms):
                self.board(next_board)
                next_board += alive_ms or 0
            elif deadline <= until_ms:
                self.ticks += 1
                assert self.ticks < 20_000, "a busy loop"
                self.tick(deadline)
            else:
                self.ms = until_ms
                return

    def wait_for(self, is_it: Callable[[Action], bool], until_ms: float) -> Action:
        """Let time pass until the core does this."""
        while self.ms <= until_ms:
            if (found := next((action for _, action in self.actions if is_it(action)), None)) is not None:
                return found
            self.tick((self.core.next_deadline_ns - START_NS) / MS)
        raise AssertionError("it never did")

    # --- what it did

    def of(self, kind: type[Any]) -> list[Any]:
        return [action for _, action in self.actions if isinstance(action, kind)]

    @property
    def quotes(self) -> list[PlaceLimit]:
        return self.of(PlaceLimit)

    @property
    def cancels(self) -> list[CancelAllStall]:
        return self.of(CancelAllStall)

    @property
    def closes(self) -> list[CloseMarket]:
        return self.of(CloseMarket)

    def times(self, kind: type[Any]) -> list[float]:
        """Milliseconds at which it did this."""
        return [ms for ms, action in self.actions if isinstance(action, kind)]

    @property
    def decisions(self) -> list[DecisionLogRow]:
        return [row for row in self.rows if isinstance(row, DecisionLogRow)]

    def said(self, decision_type: str) -> list[Reason]:
        """Reasons of all decision rows of one type."""
        return [row.reason for row in self.decisions if row.decision_type == decision_type]


def open_desk(cfg: AppConfig | None = None) -> Desk:
    """A running venue and a whole book, whose best stands still from now on."""
    desk = Desk(cfg)
    desk.status(0)
    desk.board(0)
    return desk


def struck_desk(cfg: AppConfig | None = None) -> tuple[Desk, PlaceLimit, PlaceLimit]:
    """A strike at 250 ms, both quotes on the book."""
    desk = open_desk(cfg)
    desk.wait(250)
    bid, ask = desk.quotes
    desk.accept(260, bid.client_order_id, ask.client_order_id)
    return desk, bid, ask


def names(quotes: Iterable[PlaceLimit | CloseMarket]) -> tuple[str, ...]:
    return tuple(quote.client_order_id for quote in quotes)
