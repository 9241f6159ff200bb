"""LighterBroker on the exchange on loopback: the engine's gateway, and the methods for programs of one's own."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from stall_then_strike.lighter.broker import ErrorLevel
from stall_then_strike.lighter.signing import order_forms
from stall_then_strike.sim.faults.kinds import Fault, FaultKind
from stall_then_strike.sim.lighter.transactions import Refusal
from stall_then_strike.types.dto import CancelRequest, ExecId, OrderId, OrderRequest, ReportedState, TimeInForce
from stall_then_strike.types.errors import (
    MarginRefused,
    NotSent,
    OutcomeUnknown,
    Rejected,
    Throttled,
    UnfitOrder,
    VenueError,
)
from stall_then_strike.types.instrument import Lots, Ticks
from stall_then_strike.types.names import Side
from tests.lighter.trading_rig import ETH, RULES, Desk, desk

K = FaultKind
SOCKET, CALLS = "jsonapi/sendtx*", "/api/v1/sendTx*"


def request(
    one: Desk, side: Side = Side.BUY, price: int | None = 300_000, size: int = 100, **more: Any
) -> OrderRequest:
    given: dict[str, Any] = {"time_in_force": TimeInForce.GTC, **more}
    return OrderRequest(
        client_order_id=one.name(), side=side, price=None if price is None else Ticks(price), size=Lots(size), **given
    )


def refuse_once(one: Desk, code: int) -> None:
    """The next transaction is refused."""
    left = [Refusal(code, "a test")]
    one.venue.venue.refusal = lambda: left.pop() if left else None


async def test_batch_of_quotes_is_placed_and_cancelled_over_the_socket() -> None:
    async with desk() as one:
        gateway = one.broker.gateway(one.market("ETH"))
        quotes = [request(one, post_only=True), request(one, Side.SELL, 400_000, post_only=True)]
        names = [quote.client_order_id for quote in quotes]
        assert await gateway.send(quotes) == names
        await one.until("orders", lambda: all(one.events(name) == ["registered"] for name in names))
        assert {order.client_index for order in one.books.orders.values()} == {int(name) for name in names}
        assert all(order.in_force.name == "POST_ONLY" for order in one.books.orders.values())
        cancels = [CancelRequest(order_id=OrderId(name)) for name in names]
        assert await gateway.send(cancels) == names
        await one.until("ends", lambda: all(one.events(name)[-1] == "cancelled" for name in names))
        assert not one.books.orders
        assert not [what for what in one.venue.audit.counts if "sendTx" in what], "the socket takes all"


async def test_close_at_market_is_bounded_and_only_reduces() -> None:
    async with desk() as one:
        gateway = one.broker.gateway(one.market("ETH"))
        one.others(ETH, Side.SELL, 300_000, 50)
        one.others(ETH, Side.SELL, 400_000, 50)  # a third more: out of bounds
        one.others(ETH, Side.BUY, 299_900, 1_000)
        bought = request(one, size=50)
        await gateway.send([bought])
        await one.until("position", lambda: one.books.size_in(ETH) == 50)
        close = request(one, Side.SELL, None, 80, time_in_force=TimeInForce.IOC)
        assert await gateway.send([close]) == [close.client_order_id]
        await one.until("flat", lambda: one.books.size_in(ETH) == 0)
        await one.until("two fills", lambda: len(one.fills()) == 2)
        assert [(fill.side, fill.size, fill.order_id) for fill in one.fills()] == [
            (Side.BUY, 50, bought.client_order_id),
            (Side.SELL, 50, close.client_order_id),
        ]
        report = await one.account.report(0, ExecId(0))
        assert [(o.executed, o.state) for o in report.orders if o.order_id == close.client_order_id] == [
            (50, ReportedState.COMPLETED)
        ]


@pytest.mark.parametrize("row", [{}, None, {"price": None}, {"price": "0"}])
async def test_answer_without_a_best_price_gives_no_bound_and_ends_nothing(row: Any) -> None:
    async with desk() as one:
        with pytest.raises((Rejected, UnfitOrder)):
            order_forms.market_bound(one.market("ETH"), {"asks": [row]}, 1)


async def test_what_the_venue_cannot_take_is_refused_for_itself_alone() -> None:
    async with desk() as one:
        gateway = one.broker.gateway(one.market("ETH"))
        good, small = request(one), request(one, size=1)
        odd = request(one)._replace(time_in_force=TimeInForce.FOK)
        first, second, third = await gateway.send([good, small, odd])
        assert first == good.client_order_id
        assert isinstance(second, Rejected)
        assert "minimum" in str(second)
        assert isinstance(third, Rejected)
        assert "FOK" in str(third)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (21104, NotSent),
        (21506, VenueError),
        (21703, Rejected),
        (21739, MarginRefused),
        (29500, OutcomeUnknown),
        (29501, OutcomeUnknown),
    ],
)
async def test_refusals_of_the_venue_mean_what_they_say(code: int, kind: type[VenueError]) -> None:
    async with desk() as one:
        gateway = one.broker.gateway(one.market("ETH"))
        one.venue.venue.refusal = lambda: Refusal(code, "a test")
        (reply,) = await gateway.send([request(one)])
        assert isinstance(reply, kind)
        one.venue.venue.refusal = None
        again = request(one)
        assert await gateway.send([again]) == [again.client_order_id]


async def test_what_is_refused_over_the_socket_counts_in_the_plans_limit() -> None:
    async with desk() as one:
        gateway = one.broker.gateway(one.market("ETH"))
        await gateway.send([request(one)])
        before, _ = one.broker._limiter.used()
        refuse_once(one, 21703)
        await gateway.send([request(one)])
        assert one.broker._limiter.used()[0] > before


async def test_while_the_socket_is_down_orders_go_over_rest() -> None:
    async with desk() as one:
        gateway = one.broker.gateway(one.market("ETH"))
        one.venue.faults.inject(Fault(kind=K.REFUSE_SOCKETS))
        one.socket.renew("a test")
        await one.until("no connection", lambda: not one.socket.is_connected)
        order = request(one)
        assert await gateway.send([order]) == [order.client_order_id]
        assert any("sendTx" in what for what in one.venue.audit.counts)


async def test_lost_answer_is_unknown_and_the_key_goes_on() -> None:
    rules = replace(RULES, answer_s=0.3)
    async with desk(rules=rules) as one:
        gateway = one.broker.gateway(one.market("ETH"))
        one.venue.faults.inject(Fault(kind=K.LOSE_REPLY, method="jsonapi/sendtx", count=1))
        lost = request(one)
        (reply,) = await gateway.send([lost])
        if reply != lost.client_order_id:  # by its hash it may have been found in time
            assert isinstance(reply, OutcomeUnknown)
        await one.until("order", lambda: one.events(lost.client_order_id) == ["registered"])
        cancel = CancelRequest(order_id=OrderId(lost.client_order_id))
        assert await gateway.send([cancel]) == [lost.client_order_id]
        await one.until("end", lambda: not one.books.orders)


async def test_quote_that_had_to_wait_for_its_key_is_not_sent_and_what_ends_something_is() -> None:
    rules = replace(RULES, answer_s=2.5)
    async with desk(rules=rules) as one:
        gateway = one.broker.gateway(one.market("ETH"))
        resting = request(one, price=290_000)
        await gateway.send([resting])
        one.venue.faults.inject(Fault(kind=K.LOSE_REPLY, method="jsonapi/sendtx", count=1))
        late, close = request(one, post_only=True), request(one, Side.SELL, 280_000, time_in_force=TimeInForce.IOC)
        cancel = CancelRequest(order_id=OrderId(resting.client_order_id))
        sent = [[request(one)], [late], [cancel], [close]]
        replies = await asyncio.gather(*map(gateway.send, sent))
        assert isinstance(replies[1][0], NotSent)
        assert "busy" in str(replies[1][0])
        assert [replies[2][0], replies[3][0]] == [resting.client_order_id, close.client_order_id]
        await one.until("cancel", lambda: one.events(resting.client_order_id)[-1] == "cancelled")
        assert not one.events(late.client_order_id)


async def test_throttled_is_told_at_once() -> None:
    async with desk() as one:
        one.socket.close()
        await one.until("no connection", lambda: not one.socket.is_connected)
        one.venue.faults.inject(Fault(kind=K.OVER_LIMIT, path=CALLS, seconds=5, count=1))
        gateway = one.broker.gateway(one.market("ETH"))
        (reply,) = await gateway.send([request(one)])
        assert isinstance(reply, Throttled)
        (reply,) = await gateway.send([request(one)])
        assert isinstance(reply, NotSent), "our own limiter does not keep it waiting"


# --- for programs of one's own --------------------------------------------------------------------------------------


async def test_orders_of_every_kind() -> None:
    async with desk("ETH", "BTC") as one:
        broker = one.broker
        resting = await broker.send_order("BTC-USDC", Side.BUY, "0.001", 50_000)
        post = await broker.send_order("ETH", Side.SELL, "0.02", 4_000, post_only=True)
        await one.until("both", lambda: len(one.books.orders) == 2)
        by_name = {str(order.client_index): order for order in one.books.orders.values()}
        assert by_name[resting].size == 100
        assert by_name[resting].price == 500_000
        assert by_name[post].in_force.name == "POST_ONLY"
        one.others(ETH, Side.SELL, 300_000, 1_000)
        await broker.send_order("ETH", Side.BUY, Decimal("0.03"))
        await one.until("long", lambda: one.books.size_in(ETH) == 300)
        out = await broker.send_order("ETH", Side.SELL, "0.02", 5_000, reduce_only=True)
        await one.until("way out", lambda: any(o.is_reduce_only for o in one.books.orders.values()))
        await broker.cancel_order(out)
        await broker.send_order("ETH", Side.BUY, Decimal("0.02"), 3_001, time_in_force=TimeInForce.IOC)
        await one.until("position", lambda: one.books.size_in(ETH) == 500)
        with pytest.raises(UnfitOrder, match="FOK"):
            await broker.send_order("ETH", Side.BUY, "0.02", 3_001, time_in_force=TimeInForce.FOK)
        assert await broker.cancel_orders("BTC") == 1
        await one.until("cancel", lambda: resting not in {str(o.client_index) for o in one.books.orders.values()})


async def test_changed_order_keeps_its_name() -> None:
    async with desk() as one:
        name = await one.broker.send_order("ETH", Side.BUY, "0.02", 3_000)
        await one.until("order", lambda: one.books.orders)
        assert await one.broker.update_order(name, price=3_010) == name
        await one.until("change", lambda: [o.price for o in one.books.orders.values()] == [301_000])
        assert [(o.size, str(o.client_index)) for o in one.books.orders.values()] == [(200, name)]


async def test_refused_change_is_a_cancel_and_then_a_new_order_of_the_rest() -> None:
    async with desk() as one:
        name = await one.broker.send_order("ETH", Side.SELL, "0.03", 3_000, post_only=True)
        await one.until("order", lambda: one.books.orders)
        one.others(ETH, Side.BUY, 300_000, 100)
        await one.until("partly filled", lambda: one.books.size_in(ETH) == -100)
        refuse_once(one, 21703)
        new = await one.broker.update_order(name, price=3_020)
        assert new != name
        await one.until("new order", lambda: [o.price for o in one.books.orders.values()] == [302_000])
        (order,) = one.books.orders.values()
        assert (order.size, order.is_ask, order.in_force.name) == (200, True, "POST_ONLY")


async def test_end_that_cannot_be_read_is_waited_for() -> None:
    async with desk() as one:
        name = await one.broker.send_order("ETH", Side.BUY, "0.01", "3000", post_only=True)
        asked, calls = one.broker._calls.inactive_orders, 0

        async def inactive_orders(limit: int = 100) -> list[dict[str, Any]]:
            nonlocal calls
            calls += 1
            rows = await asked(limit)
            return rows if calls > 1 else [{**row, "initial_base_amount": "much"} for row in rows]

        one.broker._calls.inactive_orders = inactive_orders  # type: ignore[method-assign]  # one broken answer
        refuse_once(one, 21703)
        new = await one.broker.update_order(name, price=3_020)
        assert new != name
        assert calls == 2
        await one.until("new order", lambda: one.books.orders)
        (order,) = one.books.orders.values()
        assert order.client_index == int(new)


async def test_calls_that_return_at_once_tell_their_errors() -> None:
    async with desk() as one:
        good = one.broker.send_order_async("ETH", Side.BUY, "0.02", 3_000)
        one.broker.send_order_async("ETH", Side.BUY, "0.0201234", 3_000)
        await one.until("order", lambda: one.events(good) == ["registered"])
        one.broker.cancel_order_async(good)
        await one.until("end", lambda: one.events(good)[-1:] == ["cancelled"])
        refuse_once(one, 21703)
        refused = one.broker.send_order_async("ETH", Side.BUY, "0.02", 3_000)
        await one.until("errors", lambda: len(one.errors) == 2)
        assert [(error.level, error.what) for error in one.errors] == [
            (ErrorLevel.LOW, "send_order"),
            (ErrorLevel.MEDIUM, "send_order"),
        ]
        assert one.errors[1].order == refused
