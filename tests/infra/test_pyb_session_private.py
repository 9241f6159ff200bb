"""The session's private side: against the embedded exchange with accounts, and against a server that misbehaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from loguru import logger

from stall_then_strike.infra import pyb_session
from stall_then_strike.infra.bitflyer.credentials import Credentials
from stall_then_strike.infra.clock import ScaledClock, SystemClock
from stall_then_strike.infra.pyb_session import PyBotterSession, SessionEvent
from stall_then_strike.sim.bitflyer.keys import Keyring
from stall_then_strike.sim.bitflyer.private_venue import PrivateSettings, PrivateVenue
from stall_then_strike.sim.bitflyer_server import BitflyerExchange
from stall_then_strike.sim.faults.kinds import Fault, FaultKind
from stall_then_strike.sim.market import Market
from stall_then_strike.types.dto import (
    BoardSnapshot,
    BookStatus,
    FillEvent,
    OrderEvent,
    OrderEventKind,
    PrivateChannel,
    PublicTrades,
    Side,
)
from stall_then_strike.types.errors import FeedError, LoginRefused
from tests.infra.session_rig import (
    BOARD,
    EXECUTIONS,
    LIMIT_S,
    PRODUCT,
    SNAPSHOT,
    TICKER,
    Heard,
    Venue,
    config,
    is_board,
    live,
)
from tests.live.pace import steady_clock
from tests.signing import SIGNED
from tests.sim.exchange_rig import START_NS
from tests.sim.private_rig import BID, KEY, NO_CALENDAR, OTHER, QUIET, order, signing_on_loopback
from tests.waiting import until

pytestmark = SIGNED
# pybotters 1.x hands its `auth` to aiohttp in a way that aiohttp 3.14 warns of.

EVENTS = "child_order_events"
OWN = Credentials(key=KEY.key, secret=KEY.secret)
WRONG = Credentials(key=KEY.key, secret="another secret")


@pytest.fixture(autouse=True)
def _signed() -> Iterator[None]:
    with signing_on_loopback():
        yield


@pytest.fixture
def log_text() -> Iterator[list[str]]:
    lines: list[str] = []
    sink = logger.add(lambda line: lines.append(str(line)), level="DEBUG")
    yield lines
    logger.remove(sink)


class Room:
    """The embedded exchange with one account, and a clock that all share."""

    def __init__(self, clock: ScaledClock) -> None:
        self.clock = clock
        self.market = Market(seed=1, start_ns=START_NS, model=QUIET)
        self.private = PrivateVenue(self.market, (KEY,), PrivateSettings(calendar=NO_CALENDAR))
        self.exchange = BitflyerExchange(self.market, clock=self.clock, private=self.private)

    @asynccontextmanager
    async def session(self, heard: Callable[[SessionEvent], None], **ws: Any) -> AsyncIterator[PyBotterSession]:
        cfg = config(self.exchange.ws_url, **{"connect_timeout_sec": 10, **ws})
        async with PyBotterSession(cfg, self.clock, heard, OWN) as session:
            await session.connect_ws()
            await session.wait_ready()
            yield session

    async def post(self, session: PyBotterSession, name: str, fields: dict[str, Any]) -> Any:
        answer = await session.get_client().fetch("POST", f"{self.exchange.base_url}/v1/me/{name}", data=fields)
        assert answer.response.status == 200, answer.text
        return answer.data

    async def send(self, session: PyBotterSession, fields: dict[str, Any]) -> str:
        name: str = (await self.post(session, "sendchildorder", fields))["child_order_acceptance_id"]
        return name

    async def cancel(self, session: PyBotterSession, name: str) -> None:
        fields = {"product_code": PRODUCT, "child_order_acceptance_id": name}
        await self.post(session, "cancelchildorder", fields)


@pytest.fixture
async def room() -> AsyncIterator[Room]:
    async with steady_clock(20.0, START_NS) as clock:
        room = Room(clock)
        async with room.exchange:
            yield room


def is_private(is_live: bool) -> Callable[[SessionEvent], bool]:
    return lambda event: isinstance(event, PrivateChannel) and event.is_live is is_live


def is_kind(kind: OrderEventKind) -> Callable[[SessionEvent], bool]:
    return lambda event: isinstance(event, OrderEvent) and event.kind is kind


def is_fill(event: SessionEvent) -> bool:
    return isinstance(event, FillEvent)


def story(heard: Heard) -> list[str]:
    """The events of the account and the connection, without repeats of the same book."""
    words = []
    for event in heard.events:
        match event:
            case PrivateChannel():
                words.append("live" if event.is_live else "down")
            case BoardSnapshot():
                words.append(f"book {event.status.name}")
            case OrderEvent():
                words.append(event.kind.value)
            case FillEvent():
                words.append("fill")
            case PublicTrades():
                words.append("trades")
    return [word for number, word in enumerate(words) if number == 0 or word != words[number - 1]]


# --- Events ----------------------------------------------------------------------------------------------------------


async def test_life_of_a_real_order_arrives_as_events_in_order(room: Room) -> None:
    heard = Heard()
    async with room.session(heard) as session:
        assert {"live", "book OK"} <= set(story(heard)), "ready means both"
        assert session.statistics().is_private_live
        name = await room.send(session, order("BUY", BID + 500, 0.01))
        await heard.wait(is_kind(OrderEventKind.REGISTERED))
        market = room.market
        market.submit(market.now_ns, owner=OTHER, side=Side.SELL, size=market.instrument.to_lots("0.00400001"))
        fill = await heard.wait(is_fill)
        trades = await heard.wait(lambda event: isinstance(event, PublicTrades))
        await room.cancel(session, name)
        await heard.wait(is_kind(OrderEventKind.CANCELLED))
        counts = session.statistics().private
    ours = [event for event in heard.events if isinstance(event, OrderEvent | FillEvent)]
    assert [getattr(event, "kind", "fill") for event in ours] == ["registered", "fill", "cancelled"]
    assert {event.order_id for event in ours} == {name}
    assert isinstance(fill, FillEvent)
    assert (fill.side, fill.price, fill.size, fill.fee) == (Side.BUY, BID + 500, 400_001, 0)
    assert isinstance(trades, PublicTrades)
    (trade,) = trades.trades
    assert (trade.exec_id, trade.buy_order_id) == (fill.exec_id, name)
    assert trade.sell_order_id not in ("", name)
    assert counts is not None
    assert (counts.order_events, counts.fills, dict(counts.refused)) == (2, 1, {})
    assert counts.delay_ns is not None
    assert counts.delay_ns >= 0
    stamps = [event.ts_ns for event in heard.events]
    assert stamps == sorted(stamps)


async def test_private_channel_is_subscribed_after_the_login_and_last(venue: Venue) -> None:
    async with live(venue, Heard(), credentials=OWN, channels=[BOARD]):
        login, *subscribed = venue.requests
    assert (login["method"], login["params"]["api_key"]) == ("auth", KEY.key)
    assert [request["params"]["channel"] for request in subscribed] == [SNAPSHOT, BOARD, EXECUTIONS, TICKER, EVENTS]
    assert len({request["id"] for request in subscribed}) == 5


async def test_without_credentials_nothing_logs_in_and_private_messages_are_strangers(venue: Venue) -> None:
    heard = Heard()
    async with live(venue, heard) as session:
        await venue.send(EVENTS, [])
        await until(lambda: bool(session.statistics().feed.refused))
        assert dict(session.statistics().feed.refused) == {"unknown_channel": 1}
        assert session.statistics().private is None
    assert {request["method"] for request in venue.requests} == {"subscribe"}
    assert story(heard) == ["book OK"]


async def test_error_of_the_consumer_at_a_private_event_stops_the_feed(venue: Venue) -> None:
    def consume(event: SessionEvent) -> None:
        if isinstance(event, OrderEvent):
            raise ZeroDivisionError("a bug in the consumer")

    async with live(venue, consume, credentials=OWN) as session:
        fields = {"product_code": PRODUCT, "child_order_acceptance_id": "JRF1", "event_type": "CANCEL"}
        await venue.send(EVENTS, [fields])
        with pytest.raises(ZeroDivisionError, match="a bug in the consumer"):
            await asyncio.wait_for(session.wait_failed(), LIMIT_S)


# --- Login at the start ----------------------------------------------------------------------------------------------


async def test_wrong_secret_is_refused_at_the_start_without_showing_it(room: Room, log_text: list[str]) -> None:
    async with PyBotterSession(config(room.exchange.ws_url), room.clock, Heard(), WRONG) as session:
        await session.connect_ws()
        with pytest.raises(LoginRefused) as caught:
            await session.wait_ready()
    assert str(caught.value) == f"{room.exchange.ws_url} refuses the login: Invalid signature (-502)"
    assert room.exchange.hub.counters.connections == 1
    assert not any(WRONG.secret in line or WRONG.key in line for line in log_text)


async def test_refusal_that_repeats_the_key_is_masked(venue: Venue) -> None:
    error = {"error": {"code": -1, "message": f"no key {KEY.key} with {KEY.secret}"}}
    venue.answers = lambda request: error if request["method"] == "auth" else private_refused(request)
    async with PyBotterSession(config(venue.url), SystemClock(), Heard(), OWN) as session:
        await session.connect_ws()
        with pytest.raises(LoginRefused) as caught:
            await session.wait_ready()
    assert str(caught.value) == f"{venue.url} refuses the login: no key *** with *** (-1)"


def private_refused(request: dict[str, Any]) -> dict[str, Any]:
    if request["params"].get("channel") == EVENTS:
        return {"error": {"code": -32007, "message": "authentication required"}}
    return {"result": True}


async def test_acknowledged_login_does_not_make_up_for_a_refused_channel(venue: Venue) -> None:
    venue.answers = private_refused
    async with PyBotterSession(config(venue.url), SystemClock(), Heard(), OWN) as session:
        await session.connect_ws()
        with pytest.raises(LoginRefused) as caught:
            await session.wait_ready()
        assert not session.statistics().is_private_live
    assert str(caught.value) == f"{venue.url} refuses the private channel: authentication required (-32007)"


async def test_unanswered_private_channel_is_told(venue: Venue) -> None:
    venue.answers = lambda request: None if request["params"].get("channel") == EVENTS else {"result": True}
    heard = Heard()
    async with PyBotterSession(config(venue.url), SystemClock(), heard, OWN) as session:
        await session.connect_ws()
        await until(lambda: f"the subscription of {EVENTS} was not answered" in session._why_not_ready())
        await heard.wait(is_board(BookStatus.OK))
        with pytest.raises(FeedError) as caught:
            await session.wait_ready(0.4)
    assert str(caught.value) == (
        f"no private channel from {venue.url} within 0.4 s: "
        f"connected, but the subscription of {EVENTS} was not answered"
    )


async def test_ready_takes_book_and_private_channel_of_one_connection(venue: Venue) -> None:
    venue.answers = lambda request: None if request["params"].get("channel") == EVENTS else {"result": True}
    heard = Heard()
    async with PyBotterSession(config(venue.url), SystemClock(), heard, OWN) as session:
        await session.connect_ws()
        await heard.wait(is_board(BookStatus.OK))
        venue.answers, venue.greets = lambda _: {"result": True}, False
        await venue.sockets[-1].close()
        await heard.wait(is_private(True))
        with pytest.raises(FeedError, match="no board of FX_BTC_JPY"):
            await session.wait_ready(0.1)


async def test_login_that_is_never_answered_is_given_up_and_tried_again(
    venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pyb_session, "ACK_LIMIT_S", 0.1)
    venue.answers = lambda request: None if request["method"] == "auth" else {"result": True}
    heard = Heard()
    async with PyBotterSession(config(venue.url), SystemClock(), heard, OWN) as session:
        await session.connect_ws()
        with pytest.raises(FeedError, match="neither the login nor the subscriptions were answered"):
            await session.wait_ready(0.4)
        await until(lambda: session.statistics().forced_reconnects >= 2)
        assert len(venue.sockets) >= 2
        venue.answers = lambda _: {"result": True}
        await session.wait_ready(LIMIT_S)
        assert session.statistics().is_private_live
    assert {request["method"] for request in venue.requests[:2]} == {"auth"}, "nothing is asked before the answer"


async def test_ping_during_the_login_costs_a_connection_and_no_more(venue: Venue) -> None:
    """pybotters mistakes the ping for the answer and fails."""
    pinged = 0

    async def ping(ws: web.WebSocketResponse) -> None:
        nonlocal pinged
        if pinged < 2:
            pinged += 1
            await ws.ping()

    venue.on_connect = ping
    async with live(venue, Heard(), credentials=OWN) as session:
        assert session.statistics().is_private_live
        assert (len(venue.sockets), session.statistics().drops) == (3, 2)
        assert session.statistics().forced_reconnects == 0


# --- Drops -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [FaultKind.CLOSE_SOCKETS, FaultKind.ABORT_SOCKETS])
async def test_drop_takes_the_private_channel_down_before_the_book_and_a_login_brings_it_back(
    room: Room, kind: FaultKind
) -> None:
    heard = Heard()
    async with room.session(heard) as session:
        seen = len(heard.events)
        room.exchange.faults.inject(Fault(kind=kind))
        await heard.wait(is_private(False))
        await heard.wait(is_private(True), after=seen)
        await heard.wait(is_board(BookStatus.OK), after=seen)
        await room.send(session, order())
        await heard.wait(is_kind(OrderEventKind.REGISTERED))
        assert session.statistics().forced_reconnects == 0
    words = story(heard)
    assert words[words.index("down") + 1] == "book UNKNOWN"
    assert [word for word in words if word in {"live", "down"}] == ["live", "down", "live"]


async def test_login_refused_later_on_leaves_the_public_side_and_heals_when_accepted_again(room: Room) -> None:
    heard = Heard()
    async with room.session(heard) as session:
        keyring, room.private.keyring = room.private.keyring, Keyring([])
        room.exchange.faults.inject(Fault(kind=FaultKind.CLOSE_SOCKETS))
        await heard.wait(is_private(False))
        seen = len(heard.events)
        await heard.wait(is_board(BookStatus.OK), after=seen)
        await until(lambda: "Key not found (-501)" in session.statistics().last_error, limit_s=10)
        assert not session.statistics().is_private_live
        assert not any(is_private(True)(event) for event in heard.events[seen:])
        room.private.keyring = keyring
        await heard.wait(is_private(True), after=seen)
        await room.send(session, order())
        await heard.wait(is_kind(OrderEventKind.REGISTERED))
    assert [word for word in story(heard) if word in {"live", "down"}] == ["live", "down", "live"]


async def test_each_connection_is_refused_for_its_own_reason(venue: Venue) -> None:
    async with live(venue, Heard(), credentials=OWN) as session:
        error = {"error": {"code": -501, "message": "Key not found"}}
        venue.answers = lambda request: error if request["method"] == "auth" else private_refused(request)
        await venue.sockets[-1].close()
        await until(lambda: session.statistics().last_error.endswith("refuses the login: Key not found (-501)"))
        venue.answers = private_refused
        await until(lambda: "refuses the private channel: auth" in session.statistics().last_error, limit_s=10)


async def test_refused_logins_are_paced(venue: Venue) -> None:
    async with live(venue, Heard(), credentials=OWN, reconnect_min_sec="0.1") as session:
        venue.answers = private_refused
        closed_s = asyncio.get_running_loop().time()
        await venue.sockets[-1].close()
        await until(lambda: len(venue.sockets) == 5)
        assert session.statistics().forced_reconnects == 3
        after_s = [at_s - closed_s for at_s in venue.connected_s[1:]]
    assert all(at_s >= least for at_s, least in zip(after_s, (0, 0.15, 0.5, 1.25), strict=True)), after_s


# --- Renewal on request ----------------------------------------------------------------------------------------------


async def test_channel_that_went_mute_is_not_noticed_and_healed_by_a_renewal(room: Room) -> None:
    heard = Heard()
    async with room.session(heard) as session:
        room.exchange.faults.inject(Fault(kind=FaultKind.LOSE_FRAME, channel=EVENTS))
        name = await room.send(session, order())
        await until(lambda: room.private.live_orders == 1)
        seen = len(heard.events)
        await heard.wait(is_board(BookStatus.OK), after=seen + 1)
        assert session.statistics().is_private_live
        assert "registered" not in story(heard)
        room.exchange.faults.lift()
        session.renew("no event of an order")
        await heard.wait(is_private(False))
        await heard.wait(is_private(True), after=seen)
        assert session.statistics().forced_reconnects == 1
        assert session.statistics().last_error == "no event of an order"
        await room.cancel(session, name)
        await heard.wait(is_kind(OrderEventKind.CANCELLED))
    assert [word for word in story(heard) if word in {"live", "down"}] == ["live", "down", "live"]


async def test_renewal_from_within_an_event_is_done_once(venue: Venue) -> None:
    heard = Heard()

    def consume(event: SessionEvent) -> None:
        heard(event)
        if is_kind(OrderEventKind.CANCELLED)(event):
            session.renew("doubt")
            session.renew("doubt")

    async with live(venue, consume, credentials=OWN) as session:
        seen = len(heard.events)
        fields = {"product_code": PRODUCT, "child_order_acceptance_id": "JRF1", "event_type": "CANCEL"}
        await venue.send(EVENTS, [fields, fields])
        await heard.wait(is_private(True), after=seen)
        await asyncio.sleep(5 * pyb_session.POLL_S)
        assert session.statistics().forced_reconnects == 1
        assert len(venue.sockets) == 2


async def test_renewal_is_ignored_while_there_is_no_connection(venue: Venue) -> None:
    heard = Heard()
    async with live(venue, heard, credentials=OWN) as session:
        await venue.stop()
        await heard.wait(is_private(False))
        await until(lambda: session.statistics().failed_attempts >= 1)
        session.renew("doubt")
        seen = len(heard.events)
        await venue.start()
        await heard.wait(is_private(True), after=seen)
        await heard.wait(is_board(BookStatus.OK), after=seen)
        await asyncio.sleep(3 * pyb_session.POLL_S)
        assert session.statistics().forced_reconnects == 0
        assert session.statistics().is_private_live
