"""Every call against the embedded exchange: real HTTP, real signatures, the real pybotters client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import aiohttp
import orjson
import pybotters
import pytest

from stall_then_strike.config.models import ExchangeConfig
from stall_then_strike.infra.bitflyer.bitflyer_rules import LimitName
from stall_then_strike.infra.bitflyer.credentials import Credentials, sign_for
from stall_then_strike.infra.clock import ScaledClock
from stall_then_strike.infra.http_bitflyer import MAX_PAGES, BitflyerHttp
from stall_then_strike.sim.bitflyer.keys import PERMISSIONS, ApiKey
from stall_then_strike.sim.bitflyer.limits import Limits
from stall_then_strike.sim.bitflyer.private_venue import PrivateSettings, PrivateVenue
from stall_then_strike.sim.bitflyer_server import BitflyerExchange
from stall_then_strike.sim.faults.kinds import Fault, FaultKind
from stall_then_strike.sim.market import Market
from stall_then_strike.types.dto import (
    NS_PER_S,
    BoardState,
    CancelRequest,
    ClientOrderId,
    ExecId,
    Health,
    LimitReading,
    OrderId,
    OrderRequest,
    ReportedState,
    Side,
    TimeInForce,
)
from stall_then_strike.types.errors import AuthRefused, NotSent, Overloaded, Rejected, Throttled, VenueError
from stall_then_strike.types.instrument import Lots, Ticks
from tests.infra.ready_rig import ready
from tests.signing import SIGNED
from tests.sim.exchange_rig import PRODUCT, START_NS
from tests.sim.private_rig import ASK, BID, KEY, MID, NO_CALENDAR, NO_LIMITS, OTHER, QUIET

pytestmark = SIGNED
# pybotters 1.x hands its `auth` to aiohttp in a way that aiohttp 3.14 warns of.

SIZE = Lots(1_000_000)
TIMEOUT = aiohttp.ClientTimeout(total=20)


@dataclass
class Desk:
    """A trader at a quiet exchange."""

    http: BitflyerHttp
    private: PrivateVenue
    exchange: BitflyerExchange
    readings: list[LimitReading] = field(default_factory=list)
    skews: list[int] = field(default_factory=list)

    def fill(self, side: Side, lots: int) -> None:
        """Another trader takes what rests there, at once."""
        market = self.private.market
        market.submit(market.now_ns, owner=OTHER, side=side, size=Lots(lots))

    async def listed(self, condition: Callable[[set[ReportedState]], bool]) -> None:
        """Wait until the exchange lists orders in such states."""
        async with asyncio.timeout(20):
            while not condition({order.state for order in await self.http.get_child_orders()}):
                pass

    def sent(self, name: str) -> list[Any]:
        """Bodies of the calls with this name, as the exchange received them."""
        return [orjson.loads(r.body) for r in self.exchange.audit.records(f"POST /v1/me/{name}")]


@asynccontextmanager
async def desk(*keys: ApiKey, use: ApiKey = KEY, is_ready: bool = False, **options: Any) -> AsyncIterator[Desk]:
    options.setdefault("limits", NO_LIMITS)
    private = PrivateVenue(
        Market(seed=1, start_ns=START_NS, model=QUIET), keys or (KEY,), PrivateSettings(calendar=NO_CALENDAR, **options)
    )
    clock = ScaledClock(20.0, START_NS)
    readings: list[LimitReading] = []
    skews: list[int] = []
    with sign_for("127.0.0.1"):
        async with (
            BitflyerExchange(private.market, clock=clock, private=private, ip_limit=None) as exchange,
            pybotters.Client(apis={"bitflyer": [use.key, use.secret]}) as client,
            AsyncExitStack() as stack,
        ):
            pair, url = Credentials(key=use.key, secret=use.secret), exchange.base_url
            http = BitflyerHttp(
                client,
                ExchangeConfig(base_url=url),
                clock,
                timeout=TIMEOUT,
                on_reading=readings.append,
                on_skew=skews.append,
                at_once=await stack.enter_async_context(ready(url, pair)) if is_ready else None,
            )
            yield Desk(http, private, exchange, readings, skews)


def request(
    side: Side = Side.BUY, price: int | None = BID, size: int = SIZE, tif: TimeInForce = TimeInForce.GTC
) -> OrderRequest:
    return OrderRequest(
        client_order_id=ClientOrderId("c1"),
        side=side,
        price=None if price is None else Ticks(price),
        size=Lots(size),
        time_in_force=tif,
    )


@pytest.mark.parametrize("is_ready", [False, True])
async def test_orders_are_sent_with_an_end_and_with_exact_numbers(is_ready: bool) -> None:
    async with desk(collateral_jpy=Decimal(100_000_000), is_ready=is_ready) as d:
        name = await d.http.place(request(size=123_456_789))
        await d.http.place(request(price=None, size=100_000, tif=TimeInForce.IOC))
        limit, market = d.sent("sendchildorder")
        assert limit == {
            "product_code": PRODUCT,
            "child_order_type": "LIMIT",
            "side": "BUY",
            "price": BID,
            "size": 1.23456789,
            "minute_to_expire": 1,
            "time_in_force": "GTC",
        }
        assert market == {
            "product_code": PRODUCT,
            "child_order_type": "MARKET",
            "side": "BUY",
            "size": 0.001,
            "minute_to_expire": 1,
            "time_in_force": "IOC",
        }
        order = d.private.accounts["main"].orders[name]
        assert (order.size, order.price) == (123_456_789, BID)
        assert order.expires_ns - order.accepted_ns <= 60 * NS_PER_S


async def test_an_order_is_on_its_way_before_anybody_waits_for_its_answer() -> None:
    """And its answer may be left, as by a run that is ended in this moment."""
    async with desk(is_ready=True) as d:
        left = d.http.send([request()])
        async with asyncio.timeout(20):
            while not d.sent("sendchildorder"):  # noqa: ASYNC110 - the exchange's turns are what is waited for
                await asyncio.sleep(0.001)
        del left
        assert len(d.private.accounts["main"].orders) == 1


async def test_specifications_names_do_the_same() -> None:
    async with desk() as d:
        name = await d.http.send_limit_order(PRODUCT, Side.SELL, Ticks(ASK), SIZE, 800, "stall")
        await d.listed(lambda states: states == {ReportedState.ACTIVE})
        await d.http.cancel_order(name)
        assert d.sent("cancelchildorder") == [{"product_code": PRODUCT, "child_order_acceptance_id": name}]
        await d.listed(lambda states: not states)
        with pytest.raises(ValueError, match="not the product"):
            await d.http.send_limit_order("BTC_JPY", Side.SELL, Ticks(ASK), SIZE, 800, "stall")
        yen, _ = await d.http.get_balance()
        assert (yen.currency, yen.amount) == ("JPY", 1_000_000)


async def test_report_shows_orders_fills_position_and_collateral_in_four_calls() -> None:
    async with desk(collateral_jpy=Decimal(2_000_000)) as d:
        filled = await d.http.place(request(price=BID + 5, size=3_000_000))
        await d.listed(lambda states: states == {ReportedState.ACTIVE})
        d.fill(Side.SELL, 1_000_000)
        d.fill(Side.SELL, 2_000_000)
        resting = await d.http.place(request(side=Side.SELL, price=ASK + 7))
        await d.listed(lambda states: states == {ReportedState.ACTIVE, ReportedState.COMPLETED})
        calls = len(d.exchange.audit.records())
        report = await d.http.report(ExecId(0))
        asked = [r.what.partition("?")[0] for r in d.exchange.audit.records()[calls:]]
        assert asked == [
            f"GET /v1/me/{n}" for n in ("getchildorders", "getexecutions", "getpositions", "getcollateral")
        ]
        active, done = report.orders
        assert (active.order_id, active.state, active.side) == (resting, ReportedState.ACTIVE, Side.SELL)
        assert (active.price, active.size, active.executed) == (ASK + 7, SIZE, 0)
        assert (done.order_id, done.state, done.executed) == (filled, ReportedState.COMPLETED, 3_000_000)
        truth = d.private.accounts["main"].orders[OrderId(filled)]
        assert done.placed_ns == truth.accepted_ns // 1_000_000 * 1_000_000
        assert [(f.size, f.price, f.order_id, f.fee) for f in report.fills] == [
            (1_000_000, BID + 5, filled, 0),
            (2_000_000, BID + 5, filled, 0),
        ]
        assert report.fills[0].exec_id < report.fills[1].exec_id
        assert (report.position, report.basis) == (3_000_000, 3_000_000 * (BID + 5))
        assert report.collateral == 2_000_000 * 10**8
        assert report.is_complete
        assert report.asked_ns < report.ts_ns
        booked = [fill.time_ns // 1_000_000 * 1_000_000 for fill in d.private.accounts["main"].ledger.fills]
        assert [fill.ts_ns for fill in report.fills] == booked

        later = await d.http.report(report.fills[0].exec_id)
        assert (later.since, later.fills[0].exec_id, len(later.fills)) == (
            report.fills[0].exec_id,
            report.fills[1].exec_id,
            1,
        )


async def test_long_lists_are_paged_and_told_to_be_incomplete_when_there_is_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("stall_then_strike.infra.http_bitflyer.PAGE", 3)
    async with desk() as d:
        await d.http.place(request(price=BID + 5, size=20_000_000))
        await d.listed(lambda states: states == {ReportedState.ACTIVE})
        for _ in range(3 * MAX_PAGES):
            d.fill(Side.SELL, 1_000_000)
        cut = await d.http.report(ExecId(0))
        ids = [fill.exec_id for fill in cut.fills]
        assert (len(ids), len(set(ids)), cut.is_complete) == (3 * MAX_PAGES, 3 * MAX_PAGES, False)
        assert ids == sorted(ids)
        whole = await d.http.report(ids[0])
        assert ([fill.exec_id for fill in whole.fills], whole.is_complete) == (ids[1:], True)


@pytest.mark.parametrize(("active", "done", "calls"), [(2, 1, 1), (3, 1, 1), (4, 0, 2), (5, 2, 2)])
async def test_active_orders_are_all_there_however_many(
    active: int, done: int, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stall_then_strike.infra.http_bitflyer.ORDERS_ASKED", 4)
    async with desk() as d:
        for n in range(done):
            await d.http.place(request(price=BID + 5 + n))
        if done:
            await d.listed(lambda states: states == {ReportedState.ACTIVE})
            d.fill(Side.SELL, done * SIZE)
        names = {await d.http.place(request(price=BID - n)) for n in range(active)}
        async with asyncio.timeout(20):
            while len(await d.http.get_child_orders(ReportedState.ACTIVE)) < active:
                pass
        before = d.exchange.audit.counts["GET /v1/me/getchildorders"]
        report = await d.http.report(ExecId(0))
        assert d.exchange.audit.counts["GET /v1/me/getchildorders"] - before == calls
        assert {o.order_id for o in report.orders if o.state is ReportedState.ACTIVE} == names
        assert report.is_complete


async def test_filters_of_lists_reach_the_venue_signed() -> None:
    async with desk() as d:
        first = await d.http.place(request(price=BID + 5))
        second = await d.http.place(request(price=BID + 4))
        await d.listed(lambda states: states == {ReportedState.ACTIVE})
        d.fill(Side.SELL, 2 * SIZE)
        newest, oldest = await d.http.get_executions()
        assert (newest.order_id, oldest.order_id) == (second, first)
        assert await d.http.get_executions(before=newest.exec_id) == (oldest,)
        assert await d.http.get_executions(after=oldest.exec_id) == (newest,)
        (order,) = await d.http.get_child_orders(ReportedState.COMPLETED, count=1)
        assert order.order_id == second


async def test_small_questions() -> None:
    async with desk() as d:
        assert await d.http.get_permissions() == frozenset(PERMISSIONS)
        assert (await d.http.get_positions()).size == 0
        margin = await d.http.get_collateral()
        assert (margin.collateral, margin.required, margin.keep_rate) == (1_000_000 * 10**8, 0, 0)
        d.exchange.set_condition(state=BoardState.CIRCUIT_BREAK, health=Health.SUPER_BUSY)
        condition = await d.http.get_board_state()
        assert (condition.state, condition.health) == (BoardState.CIRCUIT_BREAK, Health.SUPER_BUSY)


async def test_public_questions_are_not_signed() -> None:
    async with desk(use=ApiKey(key="nobody", secret="s")) as d:
        assert (await d.http.get_board_state()).state is BoardState.RUNNING
        assert d.readings == []


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("use", "code"),
    [(ApiKey(key="nobody", secret=KEY.secret), -501), (ApiKey(key=KEY.key, secret=KEY.secret + "x"), -502)],
)
async def test_wrong_keys_are_refused_for_every_call(use: ApiKey, code: int) -> None:
    async with desk(use=use) as d:
        for call in (
            d.http.place(request()),
            d.http.cancel(OrderId("JRF1")),
            d.http.report(ExecId(0)),
            d.http.get_balance(),
        ):
            with pytest.raises(AuthRefused) as caught:
                await call
            assert caught.value.code == code
        assert d.readings == []


async def test_missing_permission_is_refused_where_it_is_missing() -> None:
    weak = ApiKey(key="weak", secret="s", permissions=frozenset(PERMISSIONS) - {"/v1/me/sendchildorder"})
    async with desk(weak, use=weak) as d:
        await d.http.report(ExecId(0))
        with pytest.raises(AuthRefused, match=r"sendchildorder: Permission denied \(venue code -503\)"):
            await d.http.place(request())


async def test_unsigned_calls_are_refused() -> None:
    async with desk() as d, pybotters.Client(apis={}) as client:
        http = BitflyerHttp(
            client, ExchangeConfig(base_url=d.exchange.base_url), ScaledClock(1.0, START_NS), timeout=TIMEOUT
        )
        with pytest.raises(AuthRefused) as caught:
            await http.get_balance()
        assert caught.value.code == -500


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (request(price=MID // 10), -106),
        (request(price=MID * 10), -107),
        (request(size=99_999), -110),
        (request(size=100 * 10**8), -205),
    ],
)
async def test_orders_the_venue_does_not_take_are_rejected_with_its_number(bad: OrderRequest, code: int) -> None:
    async with desk() as d:
        with pytest.raises(Rejected) as caught:
            await d.http.place(bad)
        assert (caught.value.code, caught.value.request) == (code, "sendchildorder")


async def test_each_item_of_a_batch_has_its_own_answer_and_an_error_is_one() -> None:
    """A single one and several: an error must not hide the others' answers."""
    unknown = CancelRequest(order_id=OrderId("JRF20260101-000000-000000"))
    async with desk() as d:
        first, refused, gone = await d.http.send([request(price=BID - 5), request(size=1), unknown])
        assert isinstance(first, str)
        await d.listed(lambda states: states == {ReportedState.ACTIVE})
        assert [(type(answer), getattr(answer, "code", 0)) for answer in (refused, gone)] == [
            (Rejected, -110),
            (Rejected, -111),
        ]
        assert await d.http.send([CancelRequest(order_id=OrderId(first))]) == [first]
        (again,) = await d.http.send([unknown])
        assert isinstance(again, Rejected)
        assert await d.http.send([]) == []


async def test_self_trade_and_unknown_order_are_rejected() -> None:
    async with desk() as d:
        await d.http.place(request(price=BID + 5))
        await d.listed(lambda states: states == {ReportedState.ACTIVE})
        with pytest.raises(Rejected) as caught:
            await d.http.place(request(side=Side.SELL, price=None, tif=TimeInForce.IOC))
        assert caught.value.code == -159
        with pytest.raises(Rejected) as caught:
            await d.http.cancel(OrderId("JRF20260101-000000-000000"))
        assert caught.value.code == -111


@pytest.mark.parametrize(
    ("state", "health", "code"),
    [(BoardState.CLOSED, None, -204), (None, Health.STOP, -208), (None, Health.NO_ORDER, -208)],
)
async def test_closed_and_overloaded_venue_takes_nothing_and_may_be_asked_again(
    state: BoardState | None, health: Health | None, code: int
) -> None:
    async with desk() as d:
        d.exchange.set_condition(state=state, health=health)
        with pytest.raises(Overloaded) as caught:
            await d.http.place(request())
        assert caught.value.code == code


async def test_limits_are_told_and_a_breach_ends_with_its_window() -> None:
    limits = Limits(private_calls=5, order_calls=2, small_orders=None)
    async with desk(limits=limits) as d:
        await d.http.get_collateral()
        await d.http.place(request(price=BID))
        await d.http.place(request(price=BID - 1))
        assert [(r.limit, r.remaining) for r in d.readings] == [
            (LimitName.PRIVATE, 4),
            (LimitName.PRIVATE, 3),
            (LimitName.ORDERS, 1),
            (LimitName.PRIVATE, 2),
            (LimitName.ORDERS, 0),
        ]
        assert d.http.limits == {LimitName.PRIVATE: d.readings[3], LimitName.ORDERS: d.readings[4]}
        assert all(0 < r.reset_ns - r.ts_ns <= 300 * NS_PER_S for r in d.readings)
        with pytest.raises(Throttled) as caught:
            await d.http.place(request(price=BID - 2))
        assert caught.value.code == -1
        assert caught.value.retry_at_ns == d.readings[-1].reset_ns
        await d.http.get_collateral()
        with pytest.raises(Throttled):
            await d.http.get_collateral()


async def test_small_orders_rule_has_no_header_so_the_pause_is_a_minute() -> None:
    async with desk(limits=Limits(private_calls=None, order_calls=None, small_orders=1)) as d:
        await d.http.place(request(price=BID))
        with pytest.raises(Throttled) as caught:
            await d.http.place(request(price=BID - 1))
        assert d.readings == []
        assert caught.value.retry_at_ns > START_NS + 60 * NS_PER_S


async def test_clocks_are_compared_at_every_answer() -> None:
    async with desk() as d:
        await d.http.get_board_state()
        await d.http.get_collateral()
        bounds = d.http.skew.bounds_ns()
        assert bounds is not None
        assert len(d.skews) == 2
        assert d.skews[-1] == d.http.skew.skew_ns() == 0
        d.exchange.faults.inject(Fault(kind=FaultKind.CLOCK_SKEW, seconds=90))
        async with asyncio.timeout(10):  # a fault begins with the exchange's next turn
            while not d.skews[-1]:
                await d.http.get_board_state()
        assert 87 * NS_PER_S < d.skews[-1] <= 91 * NS_PER_S


async def test_venue_that_is_gone_was_sent_nothing(unused_tcp_port: int) -> None:
    async with desk() as d, pybotters.Client(apis={"bitflyer": [KEY.key, KEY.secret]}) as client:
        gone = ExchangeConfig(base_url=f"http://127.0.0.1:{unused_tcp_port}")
        http = BitflyerHttp(client, gone, ScaledClock(1.0, START_NS), timeout=TIMEOUT)
        for call in (http.place(request()), http.cancel(OrderId("JRF1")), http.report(ExecId(0))):
            with pytest.raises(NotSent, match=f"connection refused \\(127.0.0.1:{unused_tcp_port}\\)") as caught:
                await call
            assert isinstance(caught.value, VenueError)
        assert d.sent("sendchildorder") == []


async def test_call_without_a_time_limit_cannot_be_made() -> None:
    async with pybotters.Client(apis={}) as client:
        with pytest.raises(ValueError, match="time limit"):
            BitflyerHttp(client, ExchangeConfig(), ScaledClock(1.0, START_NS), timeout=aiohttp.ClientTimeout())
