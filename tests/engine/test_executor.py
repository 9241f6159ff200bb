"""Actions to gateway calls: every answer and every failure becomes one event."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from stall_then_strike.engine.executor import OrderExecutor
from stall_then_strike.engine.gateway import Reply, Request
from stall_then_strike.types.dto import (
    Action,
    CancelAllStall,
    CancelRequest,
    ClientOrderId,
    CloseMarket,
    Event,
    OrderEvent,
    OrderEventKind,
    OrderId,
    OrderRequest,
    PlaceLimit,
    Reason,
    RefusalKind,
    Side,
    TimeInForce,
    VenueRefusal,
)
from stall_then_strike.types.errors import (
    AuthRefused,
    MarginRefused,
    NotSent,
    OutcomeUnknown,
    Overloaded,
    Rejected,
    Restricted,
    Throttled,
    VenueError,
)
from stall_then_strike.types.instrument import Lots, Ticks
from tests.engine.core_rig import BUY, SELL

K = OrderEventKind


class ScriptedGateway:
    """A venue that gives order x the id V-x, or an error; a gate can delay all answers."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.open = asyncio.Event()
        self.open.set()
        self.batches: list[Sequence[Request]] = []

    @property
    def asked(self) -> list[Request]:
        return [request for batch in self.batches for request in batch]

    async def send(self, batch: Sequence[Request]) -> Sequence[Reply]:
        self.batches.append(batch)
        await self.open.wait()
        return [self.answer(request) for request in batch]

    def answer(self, request: Request) -> Reply:
        if isinstance(self.error, VenueError):
            return self.error
        if self.error is not None:
            raise self.error
        return OrderId(f"V-{request.client_order_id}") if isinstance(request, OrderRequest) else request.order_id


def quote(name: str, side: Side = BUY) -> PlaceLimit:
    return PlaceLimit(
        client_order_id=ClientOrderId(name),
        side=side,
        price=Ticks(100),
        size=Lots(5),
        ttl_ms=800,
        tag="stall",
        reason=Reason.STRIKE,
    )


def close(name: str, price: int | None = None) -> CloseMarket:
    return CloseMarket(
        client_order_id=ClientOrderId(name),
        side=SELL,
        price=None if price is None else Ticks(price),
        size=Lots(5),
        tag="close",
        reason=Reason.REVERSE,
    )


def cancel(*ids: str) -> CancelAllStall:
    return CancelAllStall(order_ids=tuple(OrderId(name) for name in ids), reason=Reason.TTL)


def name_of(request: Request) -> str:
    return request.client_order_id if isinstance(request, OrderRequest) else request.order_id


async def sent(gateway: ScriptedGateway, *actions: Action, now_ns: Callable[[], int] = lambda: 77) -> list[Event]:
    events: list[Event] = []
    await OrderExecutor(gateway, events.append, now_ns).execute(actions)
    return events


def request(name: str, side: Side, price: int | None, time_in_force: TimeInForce) -> OrderRequest:
    return OrderRequest(
        client_order_id=ClientOrderId(name),
        side=side,
        price=None if price is None else Ticks(price),
        size=Lots(5),
        time_in_force=time_in_force,
    )


@pytest.mark.parametrize(
    ("action", "request_"),
    [
        pytest.param(quote("q"), request("q", BUY, 100, TimeInForce.GTC), id="quote rests"),
        pytest.param(close("c"), request("c", SELL, None, TimeInForce.IOC), id="close at market"),
        pytest.param(close("c", 90), request("c", SELL, 90, TimeInForce.IOC), id="close within a band"),
    ],
)
async def test_action_becomes_a_request_and_its_answer_an_acceptance(action: Action, request_: OrderRequest) -> None:
    gateway = ScriptedGateway()
    (event,) = await sent(gateway, action)
    assert gateway.asked == [request_]
    name = request_.client_order_id
    assert event == OrderEvent(ts_ns=77, kind=K.ACCEPTED, client_order_id=name, order_id=OrderId(f"V-{name}"))


REFUSED = VenueRefusal(ts_ns=77, kind=RefusalKind.THROTTLED, until_ns=77, detail="")

ERRORS = [
    pytest.param(NotSent("place", "no connection"), K.NOT_SENT, K.CANCEL_UNSENT, None, id="never left"),
    pytest.param(
        Overloaded("place", "later", code=-208),
        K.NOT_SENT,
        K.CANCEL_UNSENT,
        replace(REFUSED, kind=RefusalKind.OVERLOADED),
        id="overloaded",
    ),
    pytest.param(Rejected("place", "margin", code=-205), K.REJECTED, K.CANCEL_FAILED, None, id="refused"),
    pytest.param(
        AuthRefused("place", "key", code=-501),
        K.REJECTED,
        K.CANCEL_UNSENT,
        replace(REFUSED, kind=RefusalKind.UNAUTHORISED),
        id="unauthorised",
    ),
    pytest.param(
        Throttled("place", "busy", retry_at_ns=99, code=-1),
        K.NOT_SENT,
        K.CANCEL_UNSENT,
        replace(REFUSED, until_ns=99),
        id="throttled",
    ),
    pytest.param(OutcomeUnknown("place", "timeout"), K.SEND_UNKNOWN, K.CANCEL_UNSENT, None, id="no answer"),
]


def told(event: OrderEvent, error: VenueError, refusal: VenueRefusal | None) -> list[Event]:
    """The expected events: the order's, then the refusal that affects later requests."""
    return [event] if refusal is None else [event, replace(refusal, detail=str(error))]


@pytest.mark.parametrize(("error", "kind", "_cancel", "refusal"), ERRORS)
async def test_failed_send_says_whether_the_order_may_live(
    error: VenueError, kind: OrderEventKind, _cancel: OrderEventKind, refusal: VenueRefusal | None
) -> None:
    event = OrderEvent(ts_ns=77, kind=kind, client_order_id=ClientOrderId("q"), detail=str(error))
    assert await sent(ScriptedGateway(error), quote("q")) == told(event, error, refusal)


@pytest.mark.parametrize(("error", "_send", "kind", "refusal"), ERRORS)
async def test_failed_cancel_says_whether_to_ask_again(
    error: VenueError, _send: OrderEventKind, kind: OrderEventKind, refusal: VenueRefusal | None
) -> None:
    event = OrderEvent(ts_ns=77, kind=kind, order_id=OrderId("V-q"), detail=str(error))
    assert await sent(ScriptedGateway(error), cancel("V-q")) == told(event, error, refusal)


async def test_cancel_that_was_taken_is_no_event_yet() -> None:
    gateway = ScriptedGateway()
    assert await sent(gateway, cancel("V-a", "V-b")) == []
    assert gateway.asked == [CancelRequest(order_id=OrderId("V-a")), CancelRequest(order_id=OrderId("V-b"))]


async def test_nothing_to_do_asks_nothing() -> None:
    gateway = ScriptedGateway()
    assert await sent(gateway) == await sent(gateway, cancel()) == []
    assert gateway.asked == []


async def test_calls_of_a_batch_leave_side_by_side_in_order() -> None:
    """The second quote does not wait for the first one's answer."""
    gateway = ScriptedGateway()
    events: list[Event] = []
    gateway.open.clear()
    executor = OrderExecutor(gateway, events.append, lambda: 0)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(executor.execute([quote("b"), quote("a", SELL), cancel("V-x", "V-y"), close("c")]))
        for _ in range(5):
            await asyncio.sleep(0)
        assert list(map(name_of, gateway.asked)) == ["b", "a", "V-x", "V-y", "c"]
        assert events == []
        gateway.open.set()
    assert [event.order_id for event in events if isinstance(event, OrderEvent)] == ["V-b", "V-a", "V-c"]


async def test_a_venue_with_batches_gets_them_in_order_and_answers_each_item() -> None:
    class Full(ScriptedGateway):
        def answer(self, request: Request) -> Reply:
            return Rejected("send", "no") if name_of(request) in {"a", "V-y"} else super().answer(request)

    gateway, events = Full(), list[Event]()
    executor = OrderExecutor(gateway, events.append, lambda: 0, batch=3, post_only=True)
    await executor.execute([quote("b"), quote("a", SELL), cancel("V-x", "V-y"), close("c")])
    assert [list(map(name_of, batch)) for batch in gateway.batches] == [["b", "a", "V-x"], ["V-y", "c"]]
    assert [r.post_only for r in gateway.asked if isinstance(r, OrderRequest)] == [True, True, False]
    assert [(e.kind, e.client_order_id or e.order_id) for e in events if isinstance(e, OrderEvent)] == [
        (K.ACCEPTED, "b"),
        (K.REJECTED, "a"),
        (K.CANCEL_FAILED, "V-y"),
        (K.ACCEPTED, "c"),
    ]


async def test_one_failure_of_a_batch_leaves_the_others_alone() -> None:
    class Fussy(ScriptedGateway):
        def answer(self, request: Request) -> Reply:
            if isinstance(request, OrderRequest) and request.side is SELL:
                return Rejected("place", "no sells today")
            return super().answer(request)

    events = await sent(Fussy(), quote("b"), quote("a", SELL))
    assert {(e.client_order_id, e.kind) for e in events if isinstance(e, OrderEvent)} == {
        ("b", K.ACCEPTED),
        ("a", K.REJECTED),
    }


async def test_bug_in_a_gateway_is_not_taken_for_an_answer() -> None:
    gateway = ScriptedGateway(ZeroDivisionError("a bug"))
    events: list[Event] = []
    with pytest.raises(ZeroDivisionError):
        await OrderExecutor(gateway, events.append, lambda: 0).execute([quote("q")])
    assert events == []


async def test_answer_is_stamped_when_it_comes() -> None:
    stamps = iter([5, 6])
    events = await sent(ScriptedGateway(), quote("b"), quote("a"), now_ns=lambda: next(stamps))
    assert [event.ts_ns for event in events] == [5, 6]


async def test_a_bug_in_one_call_of_a_batch_orphans_no_other() -> None:
    """The others are sent already: their acknowledgements are awaited before the bug is raised."""

    class Breaking(ScriptedGateway):
        def answer(self, request: Request) -> Reply:
            if name_of(request) == "bad":
                raise ZeroDivisionError("a bug")
            return super().answer(request)

    gateway, events = Breaking(), list[Event]()
    gateway.open.clear()
    executor = OrderExecutor(gateway, events.append, lambda: 0)
    async with asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(_raised(executor, [quote("bad"), quote("good")]))
        for _ in range(5):
            await asyncio.sleep(0)
        assert gateway.asked
        assert not sending.done()
        gateway.open.set()
    assert isinstance(sending.result(), ZeroDivisionError)
    assert [(e.kind, e.order_id) for e in events if isinstance(e, OrderEvent)] == [(K.ACCEPTED, "V-good")]


async def _raised(executor: OrderExecutor, actions: list[Action]) -> Exception:
    try:
        await executor.execute(actions)
    except ZeroDivisionError as error:
        return error
    raise AssertionError("nothing was raised")


@pytest.mark.parametrize(
    ("error", "is_margin"),
    [(MarginRefused("call", "no margin", code=-205), True), (Rejected("call", "no", code=-110), False)],
)
async def test_a_refusal_for_margin_says_so(error: VenueError, is_margin: bool) -> None:
    (event,) = await sent(ScriptedGateway(error), quote("a"))
    assert isinstance(event, OrderEvent)
    assert (event.kind, event.is_margin) == (K.REJECTED, is_margin)


async def test_a_restriction_is_told_apart_from_a_used_up_limit() -> None:
    for error, kind in (
        (Restricted("call", "irregular", retry_at_ns=9, code=-509), RefusalKind.RESTRICTED),
        (Throttled("call", "limit", retry_at_ns=9, code=-1), RefusalKind.THROTTLED),
    ):
        _, refusal = await sent(ScriptedGateway(error), quote("a"))
        assert isinstance(refusal, VenueRefusal)
        assert (refusal.kind, refusal.until_ns) == (kind, 9)
