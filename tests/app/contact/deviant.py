"""An exchange that deviates on the wire: a relay in front of a faithful one that changes frames, answers and headers.

``DEVIATIONS`` has one entry for each way, with the name under which a report must tell of it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Self

import aiohttp
from aiohttp import web
from yarl import URL

from stall_then_strike.sim.faults.kinds import Fault, FaultKind, FaultPlan

PRODUCT = "FX_BTC_JPY"
BOARD = f"lightning_board_{PRODUCT}"
SNAPSHOT = f"lightning_board_snapshot_{PRODUCT}"
TICKER = f"lightning_ticker_{PRODUCT}"
EXECUTIONS = f"lightning_executions_{PRODUCT}"
EVENTS = "child_order_events"
Message = dict[str, Any]
Frames = list[Message | str | bytes]
_DROPPED = frozenset(
    {"Content-Length", "Transfer-Encoding", "Content-Encoding", "Server", "Connection", "Content-Type"}
)


@dataclass
class Reply:
    """An HTTP answer on its way to the client."""

    path: str
    status: int
    headers: dict[str, str]
    text: str

    @property
    def body(self) -> Any:
        return json.loads(self.text)

    @body.setter
    def body(self, value: Any) -> None:
        self.text = json.dumps(value)


@dataclass
class Deviation:
    """One way to deviate, and the name of what is found."""

    found: str
    frame: Callable[[str, Message], Frames | None] | None = None
    """Channel and message in; what is sent instead, or None for the message, perhaps changed in place."""
    answer: Callable[[Reply], None] | None = None
    rpc: Callable[[Message], None] | None = None
    """Changes the answer to a request on the socket."""
    fault: Fault | None = None
    """A fault of the exchange itself."""
    ping_s: float | None = None


def channel_of(frame: Message) -> str | None:
    """The channel of a notification; None for another message."""
    return frame.get("params", {}).get("channel") if frame.get("method") == "channelMessage" else None


@dataclass
class Deviant:
    """The relay, as a context manager: the addresses to connect to are there inside the block."""

    base_url: str
    ws_url: str
    deviations: Sequence[Deviation] = ()
    socket_path: str = "/json-rpc"
    call_prefix: str = "/v1/"
    channel_of: Callable[[Message], str | None] = channel_of
    port: int = 0
    _client: aiohttp.ClientSession = field(init=False)
    _runner: web.AppRunner = field(init=False)

    async def __aenter__(self) -> Self:
        self._client = aiohttp.ClientSession()
        app = web.Application()
        app.router.add_get(self.socket_path, self._relay_socket)
        app.router.add_route("*", "/{path:.*}", self._relay_call)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *exc: Any) -> None:
        await self._runner.cleanup()
        await self._client.close()

    @property
    def addresses(self) -> tuple[str, str]:
        return f"http://127.0.0.1:{self.port}", f"ws://127.0.0.1:{self.port}{self.socket_path}"

    async def _relay_call(self, request: web.Request) -> web.Response:
        url = URL(f"{self.base_url}{request.raw_path}", encoded=True)
        headers = {name: value for name, value in request.headers.items() if name not in {"Host", "Content-Length"}}
        async with self._client.request(
            request.method, url, headers=headers, data=await request.read(), skip_auto_headers=["Content-Type"]
        ) as got:
            reply = Reply(request.path.removeprefix(self.call_prefix), got.status, dict(got.headers), await got.text())
        for one in self.deviations:
            if one.answer is not None:
                one.answer(reply)
        kind = reply.headers.get("Content-Type", "application/json").partition(";")[0]
        response = web.Response(status=reply.status, text=reply.text, content_type=kind)
        response.headers.update({name: value for name, value in reply.headers.items() if name not in _DROPPED})
        return response

    async def _relay_socket(self, request: web.Request) -> web.WebSocketResponse:
        down = web.WebSocketResponse(max_msg_size=0)
        await down.prepare(request)
        async with self._client.ws_connect(self.ws_url, max_msg_size=0) as up, asyncio.TaskGroup() as tasks:
            owned = [tasks.create_task(self._send_down(up, down)), tasks.create_task(self._ping(down))]
            async for message in down:
                await up.send_str(message.data if isinstance(message.data, str) else message.data.decode())
            for task in owned:
                task.cancel()
        return down

    async def _send_down(self, up: aiohttp.ClientWebSocketResponse, down: web.WebSocketResponse) -> None:
        async for message in up:
            for frame in changed(json.loads(message.data), self.deviations, self.channel_of):
                if isinstance(frame, bytes):
                    await down.send_bytes(frame)
                else:
                    await down.send_str(frame if isinstance(frame, str) else json.dumps(frame))
        await down.close()

    async def _ping(self, down: web.WebSocketResponse) -> None:
        period_s = next((one.ping_s for one in self.deviations if one.ping_s is not None), None)
        while period_s is not None:
            await asyncio.sleep(period_s)
            await down.ping()


def changed(
    message: Any, deviations: Sequence[Deviation], channel_of: Callable[[Message], str | None] = channel_of
) -> Frames:
    """What is sent in place of one frame."""
    frames: Frames = [message]
    for one in deviations:
        if one.rpc is not None and isinstance(message, dict):
            one.rpc(message)
        if one.frame is not None:
            edit = one.frame
            frames = [sent for frame in frames for sent in _edited(edit, channel_of, frame)]
    return frames


def _edited(
    edit: Callable[[str, Message], Frames | None],
    channel_of: Callable[[Message], str | None],
    frame: Message | str | bytes,
) -> Frames:
    """One frame after one edit. What an edit has put beside it may have no channel of the venue's."""
    channel = channel_of(frame) if isinstance(frame, dict) else None
    sent = None if channel is None or not isinstance(frame, dict) else edit(channel, frame)
    return [frame] if sent is None else sent


# --- the ways


def every(number: int, edit: Callable[[str, Message], Frames | None]) -> Callable[[str, Message], Frames | None]:
    """Only every so many frames that the edit is for."""
    counts: dict[str, int] = {}

    def one_of_them(channel: str, message: Message) -> Frames | None:
        counts[channel] = counts.get(channel, 0) + 1
        return edit(channel, message) if counts[channel] % number == 0 else None

    return one_of_them


def content(of: str, edit: Callable[[Any], Any]) -> Callable[[str, Message], Frames | None]:
    """Change the content of one channel's messages in place."""

    def change(channel: str, message: Message) -> Frames | None:
        if channel == of:
            result = edit(message["params"]["message"])
            if result is not None:
                message["params"]["message"] = result
        return None

    return change


def rows(edit: Callable[[Any], None], kind: str = "") -> Callable[[Any], None]:
    """Change each row of a list, of one event type if ``kind`` says so."""

    def change(items: Any) -> None:
        for item in items:
            if not kind or item.get("event_type") == kind:
                edit(item)

    return change


def renamed(old: str, new: str) -> Callable[[Any], None]:
    def change(row: Any) -> None:
        if old in row:
            row[new] = row.pop(old)

    return change


def without(name: str) -> Callable[[Any], None]:
    def change(row: Any) -> None:
        row.pop(name, None)

    return change


def as_text(name: str) -> Callable[[Any], None]:
    return lambda row: row.update({name: str(row[name])})


def put(name: str, value: Any) -> Callable[[Any], None]:
    return lambda row: row.update({name: value})


def body_of(path: str, edit: Callable[[Any], Any]) -> Callable[[Reply], None]:
    """Change the JSON of a call's good answers; a result replaces it."""

    def change(reply: Reply) -> None:
        if reply.path == path and reply.status == 200:
            value = reply.body
            result = edit(value)
            reply.body = value if result is None else result

    return change


def stamp_with_offset(row: Any) -> None:
    row["exec_date"] = row["exec_date"].removesuffix("Z") + "+00:00"


def headers(edit: Callable[[Reply, str], None], *, private: bool) -> Callable[[Reply], None]:
    """Change each header about limits, on private calls or on the others."""

    def change(reply: Reply) -> None:
        if reply.path.startswith("me/") is private:
            for name in [name for name in reply.headers if "ratelimit" in name.lower()]:
                edit(reply, name)

    return change


def limit_renamed(reply: Reply, name: str) -> None:
    reply.headers["X-Limit" + name[len("X-RateLimit") :]] = reply.headers.pop(name)


def thousand_more(reply: Reply, name: str) -> None:
    if name.lower().endswith("remaining"):
        reply.headers[name] = str(int(reply.headers[name]) + 1000)


def reset_in_ms(reply: Reply, name: str) -> None:
    if name.lower().endswith("reset"):
        reply.headers[name] += "000"


def code_changed(reply: Reply) -> None:
    if reply.status == 400:
        reply.body = {**reply.body, "status": -999}


def denied_with_403(reply: Reply) -> None:
    if reply.status == 401:
        reply.status = 403


def error_code(old: int, new: int) -> Callable[[Message], None]:
    """Another code of a refusal on the socket."""

    def change(message: Message) -> None:
        if isinstance(message.get("error"), dict) and message["error"].get("code") == old:
            message["error"]["code"] = new

    return change


def twice_is_fine(message: Message) -> None:
    if isinstance(message.get("error"), dict) and message["error"].get("code") == -32009:
        message["result"] = True
        del message["error"]


def beside(of: str, what: Message | str | bytes) -> Callable[[str, Message], Frames | None]:
    """A frame more before each of one channel."""
    return lambda channel, message: [deepcopy(what), message] if channel == of else None


HEARTBEAT = {"jsonrpc": "2.0", "method": "channelMessage", "params": {"channel": "heartbeat", "message": {"n": 1}}}
NOTICE = {"jsonrpc": "2.0", "method": "notice", "params": {"text": "hello"}}


def every_second_snapshot(channel: str, _: Message) -> Frames | None:
    return [] if channel == SNAPSHOT else None


def same_id_again(channel: str, message: Message) -> Frames | None:
    return [message, deepcopy(message)] if channel == EXECUTIONS else None


def shallow(book: Any) -> None:
    book["bids"] = book["bids"][:200]


def empty_level(book: Any) -> None:
    book["asks"][-1]["size"] = 0.0


def oldest_first(items: Any) -> Any:
    return items[::-1]


def without_order_headers(reply: Reply) -> None:
    for name in [name for name in reply.headers if name.lower().startswith("x-orderrequest")]:
        del reply.headers[name]


def cancel_with_body(reply: Reply) -> None:
    if reply.path == "me/cancelchildorder" and reply.status == 200:
        reply.text = "{}"


def hide_small_bids() -> Callable[[str, Message], Frames | None]:
    """No delta has a bid of the smallest size."""

    def hide(book: Any) -> None:
        book["bids"] = [level for level in book["bids"] if level["size"] != 0.001]

    return content(BOARD, hide)


STREAM = {
    "a field is missing": Deviation("ticker.volume is missing", content(TICKER, without("volume"))),
    "a field is renamed": Deviation("ticker.last is not known", content(TICKER, renamed("ltp", "last"))),
    "a number is a text": Deviation("ticker.best_bid has another form", content(TICKER, as_text("best_bid"))),
    "a stamp has an offset": Deviation(
        "executions.exec_date has another form", content(EXECUTIONS, rows(stamp_with_offset))
    ),
    "another word for a state": Deviation("ticker.state has another form", content(TICKER, put("state", "OPEN"))),
    "sides in small letters": Deviation(
        "the parser refuses: bad_executions",
        content(EXECUTIONS, rows(lambda row: row.update(side=row["side"].lower()))),
    ),
    "a snapshot is shallow": Deviation("the depth of a snapshot", content(SNAPSHOT, shallow)),
    "a snapshot has an empty level": Deviation("a snapshot has a level of size 0", content(SNAPSHOT, empty_level)),
    "snapshots every ten seconds": Deviation(f"the period of {SNAPSHOT}", every(2, every_second_snapshot)),
    "an unknown channel": Deviation("a message of a channel that was not asked for", beside(SNAPSHOT, HEARTBEAT)),
    "a text that is not JSON": Deviation("a frame is not JSON", beside(SNAPSHOT, "<html>busy</html>")),
    "an unknown method": Deviation("a message is neither a notification nor an answer", beside(SNAPSHOT, NOTICE)),
    "an execution again": Deviation("the ids of executions do not rise", same_id_again),
    "a wrong mid": Deviation(
        "mid_price is not the book's", content(BOARD, lambda book: book.update(mid_price=book["mid_price"] + 7))
    ),
}
"""Deviations of public frames, each visible by itself in a stream of frames."""
PRIVATE = {
    "an unknown event": Deviation(
        "an event of an unknown type", content(EVENTS, rows(put("event_type", "AMEND"), "CANCEL"))
    ),
    "an id of another form": Deviation(
        "ORDER.child_order_id has another form", content(EVENTS, rows(put("child_order_id", "8f14e45f"), "ORDER"))
    ),
    "an event lacks a field": Deviation(
        "EXECUTION.commission is missing", fault=Fault(kind=FaultKind.LOSE_FIELDS, missing=("commission",))
    ),
    "a wrong rest": Deviation("outstanding_size is not what is left", fault=Fault(kind=FaultKind.WRONG_OUTSTANDING)),
    "an execution twice": Deviation(
        "an execution was told twice", fault=Fault(kind=FaultKind.DUPLICATE_FRAME, channel=EVENTS, event="EXECUTION")
    ),
}
"""Deviations of the private channel; somebody has to trade."""
SOCKET = {
    "binary frames": Deviation("binary frames", beside(SNAPSHOT, b"\x00\x01")),
    "pings every second": Deviation("the period of pings", ping_s=1.0),
    "another refusal before the login": Deviation(
        "the answer to the private channel before a login", rpc=error_code(-32007, -32000)
    ),
    "no refusal of a channel again": Deviation("the answer to the same channel again", rpc=twice_is_fine),
}
ANSWERS = {
    "headers of the address renamed": Deviation(
        "the headers of the limit address", answer=headers(limit_renamed, private=False)
    ),
    "a larger limit": Deviation("the size of the limit private", answer=headers(thousand_more, private=True)),
    "reset in milliseconds": Deviation(
        "the reset header of the limit private", answer=headers(reset_in_ms, private=True)
    ),
    "another code": Deviation("the refusal of getticker NO_SUCH_PRODUCT", answer=code_changed),
    "another status": Deviation("the refusal of me/getcollateral without a signature", answer=denied_with_403),
    "another load": Deviation(
        "getboardstate.health has another form", answer=body_of("getboardstate", put("health", "QUITE BUSY"))
    ),
    "a number in quotes": Deviation(
        "me/getcollateral fails", answer=body_of("me/getcollateral", as_text("collateral"))
    ),
    "the oldest first": Deviation(
        "me/getexecutions is not newest first", answer=body_of("me/getexecutions", oldest_first)
    ),
    "another market": Deviation("the market's type", answer=body_of("getmarkets", rows(put("market_type", "Perp")))),
    "a fee": Deviation(
        "the commission is not 0", answer=body_of("me/gettradingcommission", put("commission_rate", 0.0004))
    ),
    "a page in place of an answer": Deviation(
        "gethealth is not JSON", fault=Fault(kind=FaultKind.HTML_PAGE, path="/v1/gethealth")
    ),
}
ORDERS = {
    "more in the answer to an order": Deviation(
        "me/sendchildorder.state is not known", answer=body_of("me/sendchildorder", put("state", "NEW"))
    ),
    "no headers about orders": Deviation("the headers of the limit orders", answer=without_order_headers),
    "a cancel is answered by a text": Deviation("me/cancelchildorder has a body", answer=cancel_with_body),
    "an event comes late": Deviation(
        "rehearsal: late: ORDER comes on the private channel",
        fault=Fault(kind=FaultKind.DELAY_FRAME, channel=EVENTS, event="ORDER", seconds=3.5, count=2),
    ),
    "the board does not show an own order": Deviation("rehearsal: not seen: the board shows it", hide_small_bids()),
}
"""Deviations that show when an order is sent."""
DEVIATIONS = {**STREAM, **PRIVATE, **SOCKET, **ANSWERS}


def faults_of(deviations: Sequence[Deviation]) -> FaultPlan:
    """Those that are faults of the exchange behind the relay."""
    return FaultPlan(tuple(one.fault for one in deviations if one.fault is not None))


def sent(message: Message, way: Deviation) -> Iterator[bytes]:
    """The text frames that a client gets in place of one, with one way to deviate."""
    for frame in changed(message, (way,)):
        if not isinstance(frame, bytes):
            yield (frame if isinstance(frame, str) else json.dumps(frame)).encode()
