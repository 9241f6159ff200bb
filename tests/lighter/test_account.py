"""LighterAccountProcessor on the exchange on loopback: what the engine is told, reports, and the account's figures."""

from __future__ import annotations

import asyncio
from collections import Counter
from decimal import Decimal

import pytest

from stall_then_strike.infra.clock import ScaledClock, SystemClock
from stall_then_strike.lighter.account import KINDS
from stall_then_strike.sim.faults.kinds import Fault, FaultKind
from stall_then_strike.types.dto import (
    ExecId,
    FundingEvent,
    OrderId,
    PrivateChannel,
    ReportedState,
)
from stall_then_strike.types.errors import NoAnswer
from stall_then_strike.types.names import NS_PER_S, Side
from tests.lighter.trading_rig import BTC, ETH, Desk, desk

K = FaultKind
HOUR_NS = 3_600 * NS_PER_S


def channels(one: Desk, number: int = 0) -> list[bool]:
    return [event.is_live for event in one.told[number] if isinstance(event, PrivateChannel)]


def payments(one: Desk) -> list[int]:
    return [event.amount for event in one.told[0] if isinstance(event, FundingEvent)]


def calls(one: Desk) -> Counter[str]:
    return Counter(what.split("?")[0].rpartition("/")[2] for what in one.venue.audit.counts.elements())


async def filled(one: Desk) -> OrderId:
    """A bid of 0.03 ETH at 3,000, of which 0.01 is filled."""
    name = await one.broker.send_order("ETH", Side.BUY, "0.03", 3_000)
    await one.until("order", lambda: one.events(name))
    one.others(ETH, Side.SELL, 300_000, 100)
    await one.until("fill", lambda: one.fills())
    return name


async def test_fills_come_before_the_end_that_they_lead_to() -> None:
    async with desk() as one:
        name = await filled(one)
        await one.broker.cancel_order(name)
        await one.until("end", lambda: one.events(name)[-1] == "cancelled")
        (fill,) = one.fills()
        assert (fill.order_id, fill.side, fill.price, fill.size) == (name, Side.BUY, 300_000, 100)
        assert fill.fee == one.books.trades[0].maker.fee * 300_000 * 100 // 10**6
        kinds = [type(event).__name__ for event in one.told[0]]
        assert kinds.index("FillEvent") < len(kinds) - 1


async def test_report_has_orders_fills_position_and_collateral() -> None:
    async with desk("ETH", "BTC") as one:
        name = await filled(one)
        gone = await one.broker.send_order("BTC", Side.SELL, "0.001", 95_000)
        await one.until("order", lambda: one.events(gone, 1))
        await one.broker.cancel_order(gone)
        await one.until("end", lambda: one.events(gone, 1)[-1] == "cancelled")
        before = calls(one)
        eth, btc = await asyncio.gather(one.account.report(0, ExecId(0)), one.account.report(1, ExecId(0)))
        made = calls(one) - before
        assert set(made.values()) == {1}, "one look answers both"
        assert (eth.calls, btc.calls) == (4, 0)
        assert [(o.order_id, o.state, o.executed, o.size) for o in eth.orders] == [
            (name, ReportedState.ACTIVE, 100, 300)
        ]
        assert [(o.order_id, o.state, o.executed) for o in btc.orders] == [(gone, ReportedState.CANCELED, 0)]
        assert [(f.exec_id, f.order_id, f.size) for f in eth.fills] == [
            (one.fills()[0].exec_id, name, 100),
        ]
        assert (eth.position, eth.basis, btc.position, btc.basis) == (100, 300_000 * 100, 0, 0)
        assert eth.collateral == one.books.collateral // 10**6
        assert eth.is_complete
        assert btc.fills == ()
        later = await one.account.report(0, eth.fills[-1].exec_id)
        assert later.fills == ()
        assert later.is_complete


async def test_trades_in_other_markets_do_not_hide_that_a_report_is_complete() -> None:
    async with desk("ETH", "BTC", usdc=10_000_000) as one:
        name = await one.broker.send_order("BTC", Side.BUY, "1", 90_000)
        await one.until("order", lambda: one.events(name, 1))
        for _ in range(310):
            one.others(BTC, Side.SELL, 900_000, 20)
        await one.until("fills", lambda: len(one.fills(1)) == 310)
        alone = await one.account.report(0, ExecId(0))
        assert (alone.is_complete, alone.fills, alone.calls) == (True, (), 4)
        middle = one.fills(1)[150].exec_id
        eth, btc = await asyncio.gather(one.account.report(0, ExecId(0)), one.account.report(1, middle))
        assert (eth.is_complete, eth.fills, eth.calls + btc.calls) == (True, (), 7)
        assert [fill.exec_id for fill in btc.fills] == [fill.exec_id for fill in one.fills(1)[151:]]
        assert not (await one.account.report(1, ExecId(0))).is_complete, "more than are asked for"


async def test_list_that_is_null_where_orders_are_counted_is_no_complete_report() -> None:
    async with desk() as one:
        await filled(one)
        one.venue.faults.inject(Fault(kind=K.NULL_LIST, path="/api/v1/account*Orders"))
        assert not (await one.account.report(0, ExecId(0))).is_complete
        one.venue.faults.lift()
        one.venue.faults.inject(Fault(kind=K.NULL_LIST, path="/api/v1/account"))
        with pytest.raises(NoAnswer) as raised:
            await one.account.report(0, ExecId(0))
        assert raised.value.calls == 4


@pytest.mark.parametrize("is_lost", [True, False], ids=["lost", "told"])
async def test_funding_that_the_private_channel_loses_is_told_with_the_report_and_once(*, is_lost: bool) -> None:
    hour_ns = (SystemClock().now_ns() // HOUR_NS + 1) * HOUR_NS
    clock = ScaledClock(1.0, hour_ns - 5 * NS_PER_S)
    async with desk(clock=clock) as one:
        await filled(one)
        if is_lost:
            one.venue.faults.inject(Fault(kind=K.LOSE_FRAME, channel="account_*", event="update"))
        await one.until("funding", lambda: one.books.fundings)
        if not is_lost:
            await one.until("payment", lambda: payments(one))
        assert len(payments(one)) == 1 - is_lost
        first, second = [await one.account.report(0, ExecId(0)) for _ in range(2)]
        (paid,) = one.books.fundings
        assert payments(one) == [paid.change // 10**6]
        assert paid.change
        assert (first.calls, second.calls) == (5, 5), "asked for while the list may lack it"
        one.account._fundings_ns = hour_ns + 15 * NS_PER_S
        assert (await one.account.report(0, ExecId(0))).calls == 4


async def test_refused_token_is_a_failed_question() -> None:
    async with desk() as one:
        one.venue.faults.inject(Fault(kind=K.REFUSE_AUTH))
        with pytest.raises(NoAnswer, match="20013"):
            await one.account.report(0, ExecId(0))


async def test_tokens_that_are_refused_for_a_while_leave_the_minutes_messages_to_the_books() -> None:
    async with desk("ETH", "BTC") as one:
        one.venue.faults.inject(Fault(kind=K.REFUSE_AUTH))
        one.account.renew("a test")
        await one.until("two more connections", lambda: one.socket.connects >= 3)
        one.venue.faults.lift()
        await one.until("live channels", lambda: one.account.is_live)
        books: list[object] = []
        one.socket.subscribe("order_book/0", lambda message, recv_ns: books.append(message))
        await one.until("book", lambda: books)
        assert one.socket._minute.used(one.clock.now_ns()) < one.socket._minute.limit // 2


async def test_new_token_that_is_refused_once_is_made_anew_on_the_same_connection() -> None:
    async with desk() as one:
        one.venue.faults.inject(Fault(kind=K.REFUSE_AUTH, count=len(KINDS)))
        one.socket._renew_private("its token ends soon")
        await one.until("new snapshots", lambda: channels(one) == [True, False, True])
        assert one.socket.connects == 1


async def test_report_that_fails_fails_for_all_who_asked() -> None:
    async with desk("ETH", "BTC") as one:
        one.venue.faults.inject(Fault(kind=K.SERVER_ERROR, path="/api/v1/accountActiveOrders"))
        found = await asyncio.gather(*(one.account.report(n, ExecId(0)) for n in (0, 1)), return_exceptions=True)
        assert [type(error) for error in found] == [NoAnswer, NoAnswer]
        assert [getattr(error, "calls", None) for error in found] == [1, 0]


async def test_channels_go_down_and_up_with_the_connection() -> None:
    async with desk("ETH", "BTC") as one:
        one.account.renew("a test")
        await one.until("new connection", lambda: channels(one) == [True, False, True])
        assert channels(one, 1) == [True, False, True]
        one.socket.resync("account_all/" + str(one.key.account_index), "a test")
        await one.until("new snapshot", lambda: channels(one) == [True, False, True, False, True])


async def test_transaction_without_effect_refuses_its_order_and_its_cancel() -> None:
    async with desk() as one:
        await one.broker.cancel_order(4711, "ETH")
        await one.until("refused cancel", lambda: one.events("4711") == ["cancel_failed"])
        name = await one.broker.send_order("ETH", Side.BUY, "0.03", 3_000)
        await one.until("order", lambda: one.events(name) == ["registered"])


async def test_account_in_figures() -> None:
    async with desk("ETH", "BTC", usdc=1_000) as one:
        name = await filled(one)
        await one.until("position", lambda: "ETH" in one.account.get_positions())
        await one.until("margin", lambda: one.account.get_leverage() > 0)
        position = one.account.get_positions()["ETH"]
        assert (position.size, position.entry_price, position.leverage) == (Decimal("0.01"), Decimal(3_000), 20)
        assert list(one.account.get_orders("ETH")) == [name]
        assert one.account.get_orders("BTC") == {}
        balance = one.account.get_balances()["USDC"]
        assert balance.total == balance.free + balance.locked
        assert balance.total == Decimal(one.books.collateral // 10**6) / 10**6
        assert one.account.get_total_capital() > one.account.get_capital() > 900
        assert 0 < one.account.get_margin_ratio() < 1
        assert one.books.size_in(BTC) == 0


async def test_channels_are_given_up_at_the_end() -> None:
    async with desk() as one:
        one.account.stop()
        assert channels(one) == [True, False]
        assert one.socket.channels == ()
