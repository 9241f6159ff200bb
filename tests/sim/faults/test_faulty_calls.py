"""Faults of calls, sockets and the network, through real HTTP and WebSocket on loopback."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import orjson
import pytest

from stall_then_strike.sim.bitflyer.desk import Delays
from stall_then_strike.sim.bitflyer.ledger import Rounding
from stall_then_strike.sim.bitflyer.limits import Limits
from stall_then_strike.sim.bitflyer.private_wire import LISTS
from stall_then_strike.sim.faults.kinds import Fault, FaultKind
from stall_then_strike.types.dto import NS_PER_S, OrderId
from tests.sim.exchange_rig import BOARD, START_NS, TICKER
from tests.sim.faults.fault_client import EVENTS, Client, auth_request, subscribe, troubled
from tests.sim.private_rig import BID, order
from tests.waiting import until

START = datetime.fromtimestamp(START_NS // NS_PER_S, UTC)
LINE_ERRORS = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)
_ENDED = {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.ERROR}


async def message(ws: aiohttp.ClientWebSocketResponse) -> aiohttp.WSMessage:
    async with asyncio.timeout(20):
        return await ws.receive()


async def answer(ws: aiohttp.ClientWebSocketResponse) -> Any:
    """The next answer to a request."""
    while True:
        received = orjson.loads((await message(ws)).data)
        if "id" in received:
            return received


async def ended(ws: aiohttp.ClientWebSocketResponse) -> int | None:
    """Wait until the socket closes; return its close code."""
    while (await message(ws)).type not in _ENDED:
        pass
    return ws.close_code


# --- headers of all answers ------------------------------------------------------------------------------------------


async def test_every_answer_is_dated_in_the_venues_time() -> None:
    async with troubled(limits=Limits(private_calls=1)) as client:
        for call in ("getboardstate", "me/getcollateral", "me/getcollateral", "nothing"):
            await client.get(call)
            told = parsedate_to_datetime(client.headers["date"])
            assert START <= told < START + timedelta(hours=1)
        async with client.session.ws_connect(client.venue.ws_url) as ws:
            told = parsedate_to_datetime(ws._response.headers["Date"])
            assert START <= told < START + timedelta(hours=1)


async def test_skewed_clock_shows_in_date_and_reset_and_refuses_signatures() -> None:
    day = 86_400
    async with troubled(limits=Limits(), max_skew_ns=3_600 * NS_PER_S) as client:
        client.inject(FaultKind.CLOCK_SKEW, seconds=day)
        await until(lambda: client.struck)
        status, text = await client.get("me/getcollateral")
        assert (status, orjson.loads(text)["status"]) == (401, -504)
        told = parsedate_to_datetime(client.headers["date"])
        assert timedelta(days=1) <= told - START < timedelta(days=1, hours=1)
        assert START_NS // NS_PER_S + day < int(client.headers["x-ratelimit-reset"]) < START_NS // NS_PER_S + 2 * day
        client.venue.faults.lift()
        await until(lambda: client.venue.faults.is_idle)
        assert (await client.get("me/getcollateral"))[0] == 200
        assert parsedate_to_datetime(client.headers["date"]) < START + timedelta(days=1)


# --- answers that are wrong ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "options", "status", "code"),
    [
        (FaultKind.OVER_LIMIT, {"seconds": 30}, 429, -1),
        (FaultKind.OVERLOADED, {}, 500, -208),
        (FaultKind.SERVER_ERROR, {}, 500, None),
        (FaultKind.SERVER_ERROR, {"http_status": 502}, 502, None),
        (FaultKind.SERVER_ERROR, {"http_status": 503}, 503, None),
    ],
)
async def test_refused_call_has_no_effect(
    kind: FaultKind, options: dict[str, Any], status: int, code: int | None
) -> None:
    async with troubled(Fault(kind=kind, count=1, **options)) as client:
        got, text = await client.post("sendchildorder", order())
        assert got == status
        if code is None:
            assert client.headers["content-type"].startswith("text/html")
            assert text.startswith("<!DOCTYPE html>")
        else:
            assert orjson.loads(text)["status"] == code
        if kind is FaultKind.OVER_LIMIT:
            assert client.headers["x-ratelimit-remaining"] == "0"
            assert client.headers["x-ratelimit-period"] == "30"
        assert client.private.desk.counters.accepted == 0
        (record,) = client.venue.audit.records()
        assert (record.what, record.http_status) == ("POST /v1/me/sendchildorder", status)
        await client.send(order())
        assert client.struck == {kind.value: 1}


async def test_order_that_a_cancel_does_not_find_lives() -> None:
    async with troubled(Fault(kind=FaultKind.ORDER_NOT_FOUND, count=1)) as client:
        name = await client.send(order())
        status, text = await client.cancel(name)
        assert (status, orjson.loads(text)["status"]) == (400, -111)
        assert client.private.live_orders == 1
        assert await client.cancel(name) == (200, "")


@pytest.mark.parametrize(
    ("kind", "status", "content_type"),
    [
        (FaultKind.ERROR_AFTER_EFFECT, 502, "text/html"),
        (FaultKind.HTML_PAGE, 200, "text/html"),
        (FaultKind.TRUNCATED_JSON, 200, "application/json"),
        (FaultKind.EMPTY_BODY, 200, "application/json"),
        (FaultKind.JSON_ARRAY, 200, "application/json"),
    ],
)
async def test_spoilt_answer_hides_an_effect(kind: FaultKind, status: int, content_type: str) -> None:
    async with troubled(Fault(kind=kind, count=1), limits=Limits()) as client:
        got, text = await client.post("sendchildorder", order())
        assert got == status
        assert client.headers["content-type"].startswith(content_type)
        assert client.headers["x-ratelimit-remaining"] == "499"
        (name,) = client.private.accounts["main"].orders
        whole = orjson.dumps({"child_order_acceptance_id": name}).decode()
        if kind is FaultKind.JSON_ARRAY:
            assert orjson.loads(text) == [{"child_order_acceptance_id": name}]
        elif kind is FaultKind.TRUNCATED_JSON:
            assert whole.startswith(text)
            assert 0 < len(text) < len(whole)
        else:
            assert (text == "") is (kind is FaultKind.EMPTY_BODY)
            assert name not in text
        assert client.struck == {kind.value: 1}


async def test_empty_answer_truncated_is_no_json() -> None:
    async with troubled(Fault(kind=FaultKind.TRUNCATED_JSON, path="*cancelchildorder")) as client:
        assert await client.cancel(await client.send(order())) == (200, "{")


async def test_remaining_is_stuck_at_one() -> None:
    async with troubled(Fault(kind=FaultKind.STUCK_REMAINING, path="/v1/me/*"), limits=Limits()) as client:
        await client.send(order())
        assert client.headers["x-ratelimit-remaining"] == "1"
        assert client.headers["x-orderrequest-ratelimit-remaining"] == "1"
        await client.get("getboardstate")
        assert int(client.headers["x-ratelimit-remaining"]) > 400


async def test_public_calls_are_struck_too() -> None:
    async with troubled(Fault(kind=FaultKind.SERVER_ERROR, path="/v1/gethealth")) as client:
        assert (await client.get("gethealth"))[0] == 500
        assert (await client.get("getboardstate"))[0] == 200


async def filled(client: Client) -> str:
    """Make an order that has traded and is listed; return its acceptance id."""
    name = await client.send(order("BUY", None))
    done = client.private.accounts["main"].orders[OrderId(name)]
    await until(lambda: client.private.ledger().fills and client.private.market.now_ns >= done.listed_ns)
    return name


async def rows(client: Client, name: str) -> Any:
    status, text = await client.get(f"me/{name}")
    assert status == 200, text
    return orjson.loads(text)


@pytest.mark.parametrize("blank", [False, True])
@pytest.mark.parametrize(
    ("path", "missing"),
    [
        ("getexecutions", ("commission",)),
        ("getpositions", ("commission", "pnl", "open_date")),
        ("getchildorders", ("id", "average_price", "time_in_force")),
        ("getcollateral", ("margin_call_amount", "margin_call_due_date", "keep_rate")),
    ],
)
async def test_named_fields_of_a_named_answer_are_missing_or_null(
    path: str, missing: tuple[str, ...], blank: bool
) -> None:
    async with troubled() as client:
        await filled(client)
        whole = await rows(client, path)
        client.inject(FaultKind.STRIP_ANSWER, path=f"/v1/me/{path}", missing=missing, blank=blank, count=1)
        bare = await rows(client, path)
        for row, full in (
            zip([bare], [whole], strict=True) if isinstance(whole, dict) else zip(bare, whole, strict=True)
        ):
            assert [name in row for name in missing] == [blank] * len(missing)
            assert {**row, **{name: full[name] for name in missing}} == full
        assert await rows(client, path) == whole
        assert client.struck == {"strip_answer": 1}


async def test_numbers_of_a_stripped_answer_are_the_digits_that_stood_there() -> None:
    async with troubled() as client:
        await filled(client)
        _, whole = await client.get("me/getexecutions")
        client.inject(FaultKind.STRIP_ANSWER, missing=("nothing of it",), path="/v1/*")
        assert (await client.get("me/getexecutions"))[1] == whole
        assert (await client.cancel("JRF1"))[0] == 400
        assert (await client.cancel(await client.send(order("BUY", BID - 5_000)))) == (200, "")


async def test_date_of_some_answers_is_off_while_signatures_fit() -> None:
    async with troubled(max_skew_ns=3_600 * NS_PER_S) as client:
        client.inject(FaultKind.WRONG_DATE, path="/v1/me/*", seconds=-86_400, count=2)
        days = []
        for call in ("me/getcollateral", "getboardstate", "me/getpositions", "me/getcollateral"):
            assert (await client.get(call))[0] == 200
            days.append((parsedate_to_datetime(client.headers["date"]) - START).days)
        assert days == [-1, 0, -1, 0]


async def test_wrong_date_outlives_another_fault_of_the_answer() -> None:
    async with troubled() as client:
        client.inject(FaultKind.WRONG_DATE, seconds=86_400)
        client.inject(FaultKind.STRIP_ANSWER, path="/v1/me/getcollateral", missing=("keep_rate",))
        assert "keep_rate" not in await rows(client, "getcollateral")
        assert (parsedate_to_datetime(client.headers["date"]) - START).days == 1


@pytest.mark.parametrize("path", LISTS)
async def test_list_lags_over_the_wire(path: str) -> None:
    name = path.rpartition("/")[2]
    async with troubled() as client:
        before = await rows(client, name)
        first_ns = client.private.market.now_ns
        await filled(client)
        await client.send(order("BUY", BID - 5_000))
        await client.post("sendchildorder", order("SELL", None, "0.004"))
        await until(lambda: len(client.private.ledger().fills) > 1 and client.private.live_orders == 1)
        after = await rows(client, name)
        lag_s = (client.private.market.now_ns - first_ns) / NS_PER_S
        client.inject(FaultKind.STALE_LIST, path=path, seconds=lag_s + 60, count=1)
        assert await rows(client, name) == before != after
        assert client.struck == {"stale_list": 1}
        assert (await rows(client, name)) != before


@pytest.mark.parametrize("rounding", [None, Rounding.DOWN])
async def test_money_is_shown_in_whole_yen(rounding: Rounding | None) -> None:
    async with troubled(shown_yen=rounding) as client:
        await filled(client)
        await client.send(order("BUY", BID - 5_000, "0.0013"))
        await client.post("sendchildorder", order("SELL", None, "0.0003"))
        await client.post("sendchildorder", order("SELL", None, "0.0013"))
        await until(lambda: len(client.private.ledger().fills) > 1)
        (lot,), margin = await rows(client, "getpositions"), await rows(client, "getcollateral")
        money = [lot["pnl"], lot["require_collateral"], *(margin[n] for n in ("collateral", "open_position_pnl"))]
        assert all(amount == int(amount) for amount in money) is (rounding is not None)
        assert client.private.ledger().cash % NS_PER_S, "the books are exact"


async def test_results_settle_in_whole_yen() -> None:
    async with troubled(settled_yen=Rounding.DOWN) as client:
        await filled(client)
        await client.post("sendchildorder", order("SELL", None, "0.0013"))
        await until(lambda: len(client.private.ledger().fills) > 1)
        ledger = client.private.ledger()
        assert ledger.realised == -2.6 * 10**8
        assert (await rows(client, "getcollateral"))["collateral"] == 1_000_000 - 3
        assert ledger.rounded == -0.4 * 10**8


# --- answers that do not come ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "accepted"), [(FaultKind.LOSE_REQUEST, 0), (FaultKind.LOSE_ANSWER, 1)])
async def test_call_without_an_answer_ends_with_its_client(kind: FaultKind, accepted: int) -> None:
    async with troubled(Fault(kind=kind, path="*sendchildorder", count=1)) as client:
        await client.get("gethealth")
        sending = asyncio.create_task(client.post("sendchildorder", order()))
        await until(lambda: client.struck)
        for _ in range(3):
            assert (await client.get("me/getcollateral"))[0] == 200
        assert not sending.done()
        assert client.private.desk.counters.accepted == accepted
        held = asyncio.all_tasks() - {asyncio.current_task(), sending}
        sending.cancel()
        await asyncio.wait(held, return_when=asyncio.FIRST_COMPLETED)
        assert client.private.desk.counters.accepted == accepted
        await client.send(order())


@pytest.mark.parametrize("kind", [FaultKind.LOSE_REQUEST, FaultKind.LOSE_ANSWER, FaultKind.DELAY_ANSWER])
async def test_exit_gives_up_what_is_held(kind: FaultKind) -> None:
    options = {"seconds": 1e6} if kind is FaultKind.DELAY_ANSWER else {}
    async with troubled(Fault(kind=kind, **options)) as client:
        sending = asyncio.create_task(client.post("sendchildorder", order()))
        await until(lambda: client.struck)
        client.inject(FaultKind.CUT_NETWORK, to_s=1e6)
        await until(lambda: client.struck.get("cut_network"))
    with pytest.raises(LINE_ERRORS):
        await sending


@pytest.mark.parametrize(("kind", "accepted"), [(FaultKind.RESET_REQUEST, 0), (FaultKind.RESET_ANSWER, 1)])
async def test_reset_tells_nothing_of_the_effect(kind: FaultKind, accepted: int) -> None:
    async with troubled(Fault(kind=kind, count=1)) as client:
        with pytest.raises(LINE_ERRORS):
            await client.post("sendchildorder", order())
        assert client.private.desk.counters.accepted == accepted
        await client.send(order())


async def test_events_come_before_a_late_answer() -> None:
    async with (
        troubled(Fault(kind=FaultKind.DELAY_ANSWER, path="*sendchildorder", seconds=20, count=1)) as client,
        client.socket(auth_request(), subscribe(EVENTS)) as ws,
    ):
        assert [(await answer(ws))["result"] for _ in range(2)] == [True, True]
        sending = asyncio.create_task(client.send(order()))
        (event,) = orjson.loads((await message(ws)).data)["params"]["message"]
        assert not sending.done()
        assert await sending == event["child_order_acceptance_id"]


# --- answers on sockets ----------------------------------------------------------------------------------------------


async def test_lost_reply_leaves_only_the_next() -> None:
    async with (
        troubled(Fault(kind=FaultKind.LOSE_REPLY, method="auth")) as client,
        client.socket(auth_request(1), subscribe(EVENTS, 2)) as ws,
    ):
        assert await answer(ws) == {"jsonrpc": "2.0", "id": 2, "result": True}  # the login took effect
        assert client.struck == {"lose_reply": 1}


async def test_late_reply_is_overtaken_and_pings_are_answered_meanwhile() -> None:
    async with (
        troubled(Fault(kind=FaultKind.DELAY_REPLY, method="auth", seconds=10)) as client,
        client.socket(auth_request(1), subscribe(EVENTS, 2)) as ws,
    ):
        await ws.ping(b"there?")
        early = [await message(ws) for _ in range(2)]
        assert {received.type for received in early} == {aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.PONG}
        assert [orjson.loads(m.data)["id"] for m in early if m.type is aiohttp.WSMsgType.TEXT] == [2]
        assert (await answer(ws))["id"] == 1


async def test_late_reply_ends_with_its_socket() -> None:
    async with troubled(Fault(kind=FaultKind.DELAY_REPLY, seconds=1e6)) as client:
        async with client.socket(auth_request(1)):
            await until(lambda: client.struck)
        await until(lambda: client.venue.hub.connections == 0)


async def test_internal_error_at_a_login_says_nothing_of_the_key() -> None:
    async with troubled(Fault(kind=FaultKind.FAIL_AUTH, count=1)) as client:
        async with client.socket(auth_request(), subscribe(EVENTS)) as ws:
            said = [(await answer(ws))["error"]["code"] for _ in range(2)]
            assert said == [-32603, -32007]
        async with client.socket(auth_request(), subscribe(EVENTS)) as ws:
            assert [(await answer(ws))["result"] for _ in range(2)] == [True, True]


async def test_margin_is_refused_over_the_wire() -> None:
    async with (
        troubled() as client,
        client.socket(auth_request(), subscribe(EVENTS)) as ws,
    ):
        assert [(await answer(ws))["result"] for _ in range(2)] == [True, True]
        client.inject(FaultKind.NO_MARGIN, count=1)
        status, text = await client.post("sendchildorder", order())
        assert (status, orjson.loads(text)["status"]) == (400, -205)
        client.inject(FaultKind.FAIL_MARGIN, count=1)
        name = await client.send(order())
        (event,) = orjson.loads((await message(ws)).data)["params"]["message"]
        assert (event["event_type"], event["child_order_acceptance_id"]) == ("ORDER_FAILED", name)
        assert "Margin" in event["reason"]


async def test_line_is_cut_instead_of_a_reply() -> None:
    async with troubled(Fault(kind=FaultKind.CUT_REPLY, method="subscribe", count=1)) as client:
        async with client.socket(auth_request(1), subscribe(EVENTS, 2)) as ws:
            assert await ended(ws) == 1006
        async with client.socket(auth_request(1), subscribe(EVENTS, 2)) as ws:
            assert [(await answer(ws))["id"] for _ in range(2)] == [1, 2]


async def test_login_is_refused_on_the_reconnect() -> None:
    async with troubled(Fault(kind=FaultKind.REFUSE_AUTH, skip=1, count=1)) as client:
        said = []
        for _ in range(3):
            async with client.socket(auth_request()) as ws:
                said.append(await answer(ws))
        assert [reply.get("result") for reply in said] == [True, None, True]
        assert said[1]["error"]["code"] == -500


# --- sockets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "code"), [(FaultKind.CLOSE_SOCKETS, 1012), (FaultKind.ABORT_SOCKETS, 1006)])
async def test_sockets_are_ended_and_new_ones_live(kind: FaultKind, code: int) -> None:
    async with troubled() as client:
        async with client.socket(subscribe(BOARD)) as ws:
            await answer(ws)
            client.inject(kind)
            assert await ended(ws) == code
        async with client.socket(subscribe(BOARD)) as ws:
            assert (await answer(ws))["result"] is True


async def test_half_open_socket_says_nothing_until_the_line_is_cut() -> None:
    async with (
        troubled() as client,
        client.socket(subscribe(TICKER)) as dead,
    ):
        await answer(dead)
        client.inject(FaultKind.HALF_OPEN, name="half", to_s=1e6)
        await until(lambda: client.struck)
        await dead.ping(b"there?")
        await dead.send_json(subscribe(BOARD, 3))
        async with client.socket(subscribe(TICKER)) as live:  # new clients can connect and receive data
            await live.ping(b"there?")
            assert {(await message(live)).type for _ in range(4)} == {aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.PONG}
            client.venue.faults.lift("half")
            before = []  # frames under way when the silence began
            while (received := await message(dead)).type not in _ENDED:
                before.append(received)
            assert not [m for m in before if m.type is aiohttp.WSMsgType.PONG or '"id":3' in m.data]
            assert dead.close_code == 1006
            assert (await message(live)).type is aiohttp.WSMsgType.TEXT


async def test_goodbye_over_a_half_open_socket_is_not_answered() -> None:
    async with troubled() as client:
        async with client.session.ws_connect(client.venue.ws_url, timeout=aiohttp.ClientWSTimeout(ws_close=0.05)) as ws:
            await ws.send_json(subscribe(TICKER))
            await answer(ws)
            client.inject(FaultKind.HALF_OPEN)
            await until(lambda: client.struck)
        assert ws.close_code == 1006
        await until(lambda: client.venue.hub.connections == 0)


@pytest.mark.parametrize("kind", [FaultKind.REFUSE_SOCKETS, FaultKind.RESET_SOCKETS])
async def test_handshake_fails_while_calls_are_answered(kind: FaultKind) -> None:
    tries = 2 if kind is FaultKind.RESET_SOCKETS else 1  # aiohttp retries a GET whose connection is reset
    async with troubled(Fault(kind=kind, count=tries)) as client:
        with pytest.raises(aiohttp.ClientError) as failed:
            await client.session.ws_connect(client.venue.ws_url)
        if kind is FaultKind.REFUSE_SOCKETS:
            assert isinstance(failed.value, aiohttp.WSServerHandshakeError)
            assert failed.value.status == 503
        assert (await client.get("gethealth"))[0] == 200
        async with client.socket(subscribe(BOARD)) as ws:
            assert (await answer(ws))["result"] is True


async def test_market_at_maximal_speed_does_not_wait_for_whom_it_refuses() -> None:
    async with troubled(Fault(kind=FaultKind.RESET_SOCKETS, to_s=1000), is_paced=False) as client:
        await until(lambda: client.private.market.now_ns > START_NS + 999 * NS_PER_S)
        async with client.socket(subscribe(TICKER)) as ws:
            assert (await answer(ws))["result"] is True


# --- the network -----------------------------------------------------------------------------------------------------


async def test_cut_network_holds_everything_and_resets_it_when_it_is_mended() -> None:
    slow = Delays(answer=(15 * NS_PER_S, 15 * NS_PER_S))
    async with troubled(delays=slow) as client, client.socket(subscribe(TICKER)) as ws:
        await answer(ws)
        sending = asyncio.create_task(client.post("sendchildorder", order()))
        await until(lambda: client.private.desk.counters.accepted)
        client.inject(FaultKind.CUT_NETWORK, to_s=30)
        await until(lambda: client.struck)
        calling = asyncio.create_task(client.post("sendchildorder", order()))
        connecting = asyncio.create_task(client.session.ws_connect(client.venue.ws_url))
        assert await ended(ws) == 1006
        for task in (sending, calling):
            with pytest.raises(aiohttp.ClientError):
                await task
        await (await connecting).close()  # aiohttp has retried
        assert client.private.desk.counters.accepted == 1
        assert (await client.get("gethealth"))[0] == 200


async def test_reset_network_resets_at_once() -> None:
    async with troubled() as client, client.socket(subscribe(TICKER)) as ws:
        await answer(ws)
        client.inject(FaultKind.RESET_NETWORK, to_s=1e6)
        assert await ended(ws) == 1006
        with pytest.raises(aiohttp.ClientError):
            await client.get("gethealth")
        with pytest.raises(aiohttp.ClientError):
            await client.session.ws_connect(client.venue.ws_url)
        client.venue.faults.lift()
        assert (await client.get("gethealth"))[0] == 200


async def test_exchange_comes_up_again_with_its_faults() -> None:
    async with troubled(Fault(kind=FaultKind.LOSE_ANSWER, path="*gethealth", count=1)) as client:
        calling = asyncio.create_task(client.get("gethealth"))
        await until(lambda: client.struck)
        await client.venue.__aexit__(None, None, None)
        with pytest.raises(LINE_ERRORS):
            await calling
        await client.venue.__aenter__()
        assert (await client.get("gethealth"))[0] == 200


async def test_faults_of_frames_reach_real_sockets() -> None:
    lost = Fault(kind=FaultKind.LOSE_FRAME, channel=EVENTS, event="ORDER")
    async with troubled(lost) as client, client.socket(auth_request(), subscribe(EVENTS)) as ws:
        assert [(await answer(ws))["result"] for _ in range(2)] == [True, True]
        name = await client.send(order("BUY", BID))
        await client.cancel(name)
        (event,) = orjson.loads((await message(ws)).data)["params"]["message"]
        assert (event["event_type"], event["child_order_acceptance_id"]) == ("CANCEL", name)
        assert client.struck == {"lose_frame": 1}


async def test_injected_fault_begins_while_the_market_sleeps() -> None:
    async with troubled() as client:
        client.inject(FaultKind.HALT_BOARD, to_s=1e6)
        await until(lambda: client.struck)
        status, text = await client.post("sendchildorder", order())
        assert (status, orjson.loads(text)["status"]) == (400, -204)
