"""The session against a real server on loopback that behaves as a test scripts it."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import suppress
from pathlib import Path

import pytest
from aiohttp import WSMsgType, web

from stall_then_strike.infra import pyb_session
from stall_then_strike.infra.bitflyer.store import BitflyerStore
from stall_then_strike.infra.clock import SystemClock
from stall_then_strike.infra.line import connection_rules
from stall_then_strike.infra.market_source import MarketEvent
from stall_then_strike.infra.pyb_session import PyBotterSession
from stall_then_strike.types.dto import NS_PER_S, BoardSnapshot, BookStatus, PublicTrades, VenueStatus
from stall_then_strike.types.errors import FeedError
from tests.e2e.commands import dead_port
from tests.infra.session_rig import (
    BOARD,
    DELTA,
    EXECUTIONS,
    LIMIT_S,
    PRODUCT,
    SNAPSHOT,
    TICKER,
    WHOLE,
    Heard,
    Venue,
    config,
    data,
    is_board,
    live,
)
from tests.live.pace import steady_clock
from tests.waiting import until

# --- Start -----------------------------------------------------------------------------------------------------------


async def test_subscribes_all_channels_with_ids_and_is_ready_with_the_first_book(venue: Venue) -> None:
    heard = Heard()
    async with live(venue, heard, channels=[BOARD]) as session:
        assert heard.boards == [BookStatus.OK]
        subscribed = {request["params"]["channel"]: request for request in venue.requests}
        assert set(subscribed) == {SNAPSHOT, BOARD, EXECUTIONS, TICKER}, "whatever is configured"
        assert len({request["id"] for request in venue.requests}) == len(venue.requests) == 4
        assert all(request["method"] == "subscribe" for request in venue.requests)
        store = session.get_store()
        assert isinstance(store, BitflyerStore)
        assert store.board is session.board is session.view.board
        assert [item["price"] for item in store.board.sorted(limit=1)["bids"]] == [100.0]
        counts = session.statistics()
        assert (counts.connects, counts.drops, counts.is_connected, counts.last_error) == (1, 0, True, "")


async def test_all_kinds_of_events_arrive_in_order(venue: Venue) -> None:
    heard = Heard()
    async with live(venue, heard):
        await venue.send(BOARD, DELTA)
        await venue.send(EXECUTIONS, [{"id": 1, "side": "BUY", "price": 110.0, "size": 0.1}])
        await venue.send(TICKER, {"product_code": PRODUCT, "state": "RUNNING"})
        await heard.wait(lambda event: isinstance(event, VenueStatus))
    assert [type(event) for event in heard.events] == [BoardSnapshot, BoardSnapshot, PublicTrades, VenueStatus]
    stamps = [event.ts_ns for event in heard.events]
    assert stamps == sorted(stamps)


async def test_snapshot_channel_stays_subscribed(venue: Venue) -> None:
    heard = Heard()
    async with live(venue, heard) as session:
        for _ in range(3):
            await venue.send(SNAPSHOT, WHOLE)
        await until(lambda: session.statistics().feed.board_snapshots == 4)
        await venue.send(BOARD, DELTA)
        await until(lambda: session.statistics().feed.board_deltas == 1)
    assert {request["method"] for request in venue.requests} == {"subscribe"}


async def refusal(url: str, why: str) -> str:
    """The error that the operator sees if no book arrives, once it is as far as that."""
    async with PyBotterSession(config(url), SystemClock(), Heard()) as session:
        await session.connect_ws()
        await until(lambda: why in session._why_not_ready())
        with pytest.raises(FeedError) as caught:
            await session.wait_ready(0.4)
    return str(caught.value)


async def test_refused_connection_is_told() -> None:
    url = f"ws://127.0.0.1:{dead_port()}/json-rpc"
    why = f"connection refused (127.0.0.1:{dead_port()})"
    assert await refusal(url, why) == f"no board of FX_BTC_JPY from {url} within 0.4 s: {why}"


async def test_unknown_host_is_told() -> None:
    async with PyBotterSession(config("ws://no-such-host.invalid/x"), SystemClock(), Heard()) as session:
        await session.connect_ws()
        with pytest.raises(FeedError, match=r"no-such-host\.invalid"):
            await session.wait_ready(2)


async def test_http_answer_instead_of_a_socket_is_told(venue: Venue) -> None:
    url = venue.url.replace("json-rpc", "elsewhere")
    why = "HTTP status 404 instead of a WebSocket"
    assert why in await refusal(url, why)


async def test_server_that_accepts_and_says_nothing_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"ws://127.0.0.1:{server.getsockname()[1]}/"
        async with PyBotterSession(config(url), SystemClock(), Heard()) as session:
            await session.connect_ws()
            with pytest.raises(FeedError, match="no answer in time"):
                await session.wait_ready(1.5)


async def test_silent_product_is_told(venue: Venue) -> None:
    venue.greets = False
    why = "connected and subscribed, but no board came"
    assert why in await refusal(venue.url, why)


async def test_unanswered_subscription_is_told(venue: Venue) -> None:
    venue.greets = False
    venue.answers = lambda request: None if request["params"]["channel"] == TICKER else {"result": True}
    why = f"connected, but the subscription of {TICKER} was not answered"
    assert why in await refusal(venue.url, why)


async def test_refused_subscription_at_the_start_names_the_channel(venue: Venue) -> None:
    venue.greets = False
    error = {"error": {"code": -32602, "message": "invalid channel"}}
    venue.answers = lambda request: error if request["params"]["channel"] == EXECUTIONS else {"result": True}
    message = f"{venue.url} refuses the channel {EXECUTIONS}: invalid channel (-32602)"
    async with PyBotterSession(config(venue.url), SystemClock(), Heard()) as session:
        await session.connect_ws()
        with pytest.raises(FeedError) as caught:
            await session.wait_ready()
    assert str(caught.value) == message


async def test_credentials_lying_about_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, venue: Venue
) -> None:
    secrets = tmp_path / "apis.json"
    secrets.write_text(json.dumps({"bitflyer": ["key", "secret"]}))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYBOTTERS_APIS", str(secrets))
    async with live(venue, Heard()) as session:
        assert session.get_client()._session.__dict__["_apis"] == {}


# --- Drops -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["clean", "cut"])
async def test_drop_makes_the_book_unknown_until_the_snapshot_of_the_next_connection(venue: Venue, kind: str) -> None:
    heard = Heard()
    async with live(venue, heard) as session:
        venue.greets = False
        dropped = venue.sockets[-1]
        if kind == "clean":
            await dropped.close(code=1012, message=b"scheduled maintenance")
        else:
            venue.cut(dropped)
        await heard.wait(is_board(BookStatus.UNKNOWN))
        await until(lambda: len(venue.sockets) == 2 and len(venue.requests) == 8)
        seen = len(heard.events)
        await venue.send(BOARD, DELTA)
        await until(lambda: session.statistics().feed.deltas_before_snapshot == 1)
        assert len(heard.events) == seen, "deltas of the new connection say nothing before its snapshot"
        assert session.view.status is BookStatus.UNKNOWN
        await venue.send(SNAPSHOT, WHOLE)
        event = await heard.wait(is_board(BookStatus.OK), after=seen)
        assert isinstance(event, BoardSnapshot)
        assert event.best_age_ms == 0
        counts = session.statistics()
        assert (counts.connects, counts.drops, counts.forced_reconnects) == (2, 1, 0)
        assert "(code 1012, scheduled maintenance)" in counts.last_error or kind == "cut"
    assert heard.boards == [BookStatus.OK, BookStatus.UNKNOWN, BookStatus.OK]


async def test_drop_is_noticed_before_a_stall_could_matter(venue: Venue) -> None:
    heard = Heard()
    async with live(venue, heard, reconnect_min_sec=1), steady_clock(1.0) as clock:  # of the time that we are given
        started_ns = clock.now_ns()
        venue.cut(venue.sockets[-1])
        await heard.wait(is_board(BookStatus.UNKNOWN))
        assert clock.now_ns() - started_ns < NS_PER_S // 5, "stalls are 250 ms"


async def test_frames_before_a_close_are_all_taken(venue: Venue) -> None:
    heard = Heard()
    async with live(venue, heard):
        for number in range(1, 51):
            await venue.send(EXECUTIONS, [{"id": number, "side": "BUY", "price": 110.0, "size": 0.1}])
        await venue.sockets[-1].close()
        await heard.wait(is_board(BookStatus.UNKNOWN))
    trades = [event.trades[0].exec_id for event in heard.events if isinstance(event, PublicTrades)]
    assert trades == list(range(1, 51))
    assert heard.boards[:2] == [BookStatus.OK, BookStatus.UNKNOWN]


async def test_venue_that_dies_and_comes_back_is_found_again(venue: Venue) -> None:
    heard = Heard()
    async with live(venue, heard) as session:
        await venue.stop()
        await heard.wait(is_board(BookStatus.UNKNOWN))
        await until(lambda: session.statistics().failed_attempts >= 1)
        assert not session.statistics().is_connected
        seen = len(heard.events)
        await venue.start()
        await heard.wait(is_board(BookStatus.OK), after=seen)


async def test_server_that_closes_at_once_is_not_hammered(venue: Venue) -> None:
    """pybotters alone connects some 2,000 times a second here."""

    async def close(ws: web.WebSocketResponse) -> None:
        await ws.close()

    venue.on_connect = close
    async with PyBotterSession(config(venue.url, reconnect_min_sec="0.1"), SystemClock(), Heard()) as session:
        begun_s = asyncio.get_running_loop().time()
        await session.connect_ws()
        await until(lambda: session.statistics().drops == 5)
        counts, after_s = session.statistics(), [at_s - begun_s for at_s in venue.connected_s]
    assert all(at_s >= least for at_s, least in zip(after_s, (0, 0.09, 0.28, 0.68, 1.48), strict=True)), after_s
    assert counts.connects == counts.drops == 5


# --- Silence ---------------------------------------------------------------------------------------------------------


async def keep_sending(venue: Venue, *channels: str) -> None:
    """Send on some channels, ten times a real second."""
    contents = {
        SNAPSHOT: WHOLE,
        BOARD: DELTA,
        TICKER: {"product_code": PRODUCT, "state": "RUNNING"},
        EXECUTIONS: [{"id": 1, "side": "BUY", "price": 110.0, "size": 0.1}],
    }
    while True:
        for channel in channels:
            with suppress(ConnectionError):
                await venue.send(channel, contents[channel])
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("mute", [SNAPSHOT, BOARD])
async def test_mute_board_channel_renews_the_connection(
    venue: Venue, monkeypatch: pytest.MonkeyPatch, mute: str
) -> None:
    monkeypatch.setattr(connection_rules, "SILENCE_MIN_S", 0.05)
    heard = Heard()
    async with (
        steady_clock(20) as clock,
        live(venue, heard, clock, snapshot_silence_sec=6) as session,
        asyncio.TaskGroup() as tasks,
    ):
        talk = tasks.create_task(keep_sending(venue, *{SNAPSHOT, BOARD, TICKER, EXECUTIONS} - {mute}))
        await until(lambda: mute in session.statistics().last_error)
        await until(lambda: len(venue.sockets) >= 2)
        talk.cancel()
        assert session.statistics().forced_reconnects >= 1
    assert BookStatus.UNKNOWN in heard.boards


async def test_executions_that_never_come_renew_the_connection_once_and_later_silence_only_warns(
    venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen after the venue's maintenance: the board arrived, executions did not, and there was no error."""
    monkeypatch.setattr(connection_rules, "SILENCE_MIN_S", 0.05)
    heard = Heard()
    async with (
        steady_clock(20) as clock,
        live(venue, heard, clock, snapshot_silence_sec=10, executions_silence_sec=6) as session,
        asyncio.TaskGroup() as tasks,
    ):
        talk = tasks.create_task(keep_sending(venue, SNAPSHOT, BOARD, TICKER))
        await until(lambda: len(venue.sockets) == 2)
        assert EXECUTIONS in session.statistics().last_error
        await venue.send(EXECUTIONS, [{"id": 1, "side": "BUY", "price": 110.0, "size": 0.1}])
        await clock.sleep_until(clock.now_ns() + 12 * NS_PER_S)
        assert len(venue.sockets) == 2
        talk.cancel()


async def test_unanswered_or_refused_subscription_later_on_renews_the_connection(
    venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pyb_session, "ACK_LIMIT_S", 0.1)
    async with live(venue, Heard()) as session:
        venue.answers = lambda request: None if request["params"]["channel"] == BOARD else {"result": True}
        await venue.sockets[-1].close()
        await until(lambda: session.statistics().last_error == f"the subscription of {BOARD} was not answered")
        renewed = len(venue.sockets)
        assert renewed >= 2
        await until(lambda: len(venue.sockets) > renewed)
        venue.answers = lambda _: {"error": {"code": -32009, "message": "already subscribed"}}
        await until(lambda: "already subscribed" in session.statistics().last_error)
        refused = len(venue.sockets)
        await until(lambda: len(venue.sockets) > refused)


# --- Garbage and failures --------------------------------------------------------------------------------------------


async def test_garbage_does_not_break_the_connection_nor_move_the_book(venue: Venue) -> None:
    heard = Heard()
    async with live(venue, heard) as session:
        ws = venue.sockets[-1]
        before = list(session.board)
        await ws.send_str("not json")
        await ws.send_str(" " * 10_000_000)
        await ws.send_str(json.dumps(data(BOARD, {**DELTA, "asks": [{"price": 50, "size": float("nan")}]})))
        await ws.send_str(json.dumps(data(BOARD, {**DELTA, "asks": [{"price": 50, "size": -1}]})))
        await ws.send_str(json.dumps([data(BOARD, DELTA)]))
        await ws.send_bytes(b"\x00")
        assert ws._writer is not None
        await ws._writer.send_frame(b"\xff\xfe", WSMsgType.TEXT)
        await until(lambda: sum(session.statistics().feed.refused.values()) == 7)
        assert dict(session.statistics().feed.refused) == {
            "bad_board": 1,
            "batch": 1,
            "binary": 1,
            "not_json": 3,
            "too_long": 1,
        }
        assert list(session.board) == before
        await venue.send(BOARD, DELTA)
        await until(lambda: session.statistics().feed.board_deltas == 1)
        assert session.statistics().drops == 0
    before, *doubts, after = heard.boards
    assert (before, set(doubts), after) == (BookStatus.OK, {BookStatus.SUSPECT}, BookStatus.OK)
    assert len(doubts) == 3, "of those that were about the book"


async def test_error_of_the_consumer_stops_the_feed_and_is_raised(venue: Venue) -> None:
    seen = []

    def consume(event: MarketEvent) -> None:
        seen.append(event)
        if len(seen) == 2:
            raise ZeroDivisionError("a bug in the consumer")

    async with live(venue, consume) as session:
        for _ in range(3):
            await venue.send(BOARD, DELTA)
        with pytest.raises(ZeroDivisionError, match="a bug in the consumer"):
            await asyncio.wait_for(session.wait_failed(), LIMIT_S)
        await asyncio.sleep(0.02)
    assert len(seen) == 2


async def test_error_that_nobody_waited_for_is_raised_at_the_exit(venue: Venue) -> None:
    consumed = asyncio.Event()

    def consume(event: MarketEvent) -> None:
        if is_board(BookStatus.UNKNOWN)(event):
            consumed.set()
            raise ZeroDivisionError("a bug in the consumer")

    async def session_with_a_drop() -> None:
        async with live(venue, consume):
            venue.cut(venue.sockets[-1])
            async with asyncio.timeout(LIMIT_S):
                await consumed.wait()

    with pytest.raises(ZeroDivisionError):
        await session_with_a_drop()


async def test_error_of_the_consumer_at_the_first_book_is_raised_by_wait_ready(venue: Venue) -> None:
    def consume(_event: MarketEvent) -> None:
        raise ZeroDivisionError

    async with PyBotterSession(config(venue.url), SystemClock(), consume) as session:
        await session.connect_ws()
        with pytest.raises(ZeroDivisionError):
            await session.wait_ready()


async def test_nothing_runs_after_the_exit(venue: Venue) -> None:
    before = asyncio.all_tasks()
    async with live(venue, Heard()) as session:
        assert asyncio.all_tasks() - before
    await until(lambda: venue.sockets[-1].closed)
    await until(lambda: asyncio.all_tasks() == before)
    with pytest.raises(RuntimeError, match="not open"):
        session.get_client()


async def test_exit_during_a_pause_or_a_handshake_does_not_wait_for_it() -> None:
    url = f"ws://127.0.0.1:{dead_port()}/"
    loop = asyncio.get_running_loop()
    async with PyBotterSession(config(url, reconnect_min_sec=30), SystemClock(), Heard()) as session:
        await session.connect_ws()
        await until(lambda: session.statistics().failed_attempts == 1)
        started_s = loop.time()
    assert loop.time() - started_s < 10
