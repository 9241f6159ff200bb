"""What can go wrong during a call: a scripted venue that answers anything, late, in part or not at all."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress

import aiohttp
import pybotters
import pytest
from loguru import logger

from stall_then_strike.config.models import ExchangeConfig
from stall_then_strike.infra.bitflyer.credentials import Credentials, sign_for
from stall_then_strike.infra.clock import SystemClock
from stall_then_strike.infra.http_bitflyer import MAX_BODY_BYTES, BitflyerHttp
from stall_then_strike.types.dto import NS_PER_S, ClientOrderId, ExecId, OrderId, OrderRequest, Side, TimeInForce
from stall_then_strike.types.errors import (
    AuthRefused,
    NoAnswer,
    NotSent,
    OutcomeUnknown,
    Rejected,
    Restricted,
    Throttled,
    VenueError,
)
from stall_then_strike.types.instrument import Lots, Ticks
from tests.infra.ready_rig import ready
from tests.signing import SIGNED

pytestmark = SIGNED
# pybotters 1.x hands its `auth` to aiohttp in a way that aiohttp 3.14 warns of.

PAIR = Credentials(key="KEY-THAT-MUST-NOT-SHOW", secret="SECRET-THAT-MUST-NOT-SHOW")
ORDER = OrderRequest(
    client_order_id=ClientOrderId("c1"),
    side=Side.BUY,
    price=Ticks(10_000_000),
    size=Lots(100_000),
    time_in_force=TimeInForce.GTC,
)
PAGE = b"<!DOCTYPE html><html><body><h1>502 Bad Gateway</h1></body></html>"
ACCEPTED = b'{"child_order_acceptance_id":"JRF20260101-000000-000001"}'

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter, bytes], Awaitable[None]]


def http(status: str, body: bytes, *headers: str, length: int | None = None) -> bytes:
    lines = [
        f"HTTP/1.1 {status}",
        f"Content-Length: {len(body) if length is None else length}",
        "Connection: close",
        *headers,
        "",
        "",
    ]
    return "\r\n".join(lines).encode() + body


def says(answer: bytes) -> Serve:
    """Answer that and close."""

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _request: bytes) -> None:
        writer.write(answer)
        await writer.drain()

    return serve


async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter, _request: bytes) -> None:
    await reader.read()  # until the client gives up


async def resets(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _request: bytes) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def answers_half_and_stops(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _request: bytes) -> None:
    writer.write(http("200 OK", b'{"child', length=57))
    await reader.read()


async def repeats_what_it_was_sent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> None:
    words = json.dumps({"status": -501, "error_message": request.decode() + PAIR.secret, "data": None}).encode()
    writer.write(http("401 Unauthorized", words))


@asynccontextmanager
async def venue(
    serve: Serve, *, timeout_s: float = 10.0, is_ready: bool = False
) -> AsyncIterator[tuple[BitflyerHttp, list[bytes]]]:
    """A client of a venue that serves every request so; the requests as they came.

    ``is_ready``: orders and cancels have open connections.
    """
    requests: list[bytes] = []
    serving: set[asyncio.Task[None] | None] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
            )
            request = head + await reader.readexactly(length)
            requests.append(request)
            await serve(reader, writer, request)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    with sign_for("127.0.0.1"):
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(pybotters.Client(apis=PAIR.apis()))
            limit = aiohttp.ClientTimeout(total=timeout_s)
            at_once = await stack.enter_async_context(ready(url, PAIR)) if is_ready else None
            cfg, clock = ExchangeConfig(base_url=url), SystemClock()
            yield BitflyerHttp(client, cfg, clock, timeout=limit, redact=PAIR.redact, at_once=at_once), requests
    server.close()
    await asyncio.gather(*(task for task in serving if task is not None))


def refused(code: int, status: str = "400 Bad Request") -> bytes:
    return http(status, json.dumps({"status": code, "error_message": "no", "data": None}).encode())


FAULTS: dict[str, tuple[Serve, type[VenueError], type[VenueError]]] = {
    "silence": (silent, OutcomeUnknown, NoAnswer),
    "half an answer, then silence": (answers_half_and_stops, OutcomeUnknown, NoAnswer),
    "closed without an answer": (says(b""), OutcomeUnknown, NoAnswer),
    "reset": (resets, OutcomeUnknown, NoAnswer),
    "cut answer": (says(http("200 OK", ACCEPTED[:20], length=len(ACCEPTED))), OutcomeUnknown, NoAnswer),
    "cut JSON": (says(http("200 OK", ACCEPTED[:20])), OutcomeUnknown, NoAnswer),
    "not HTTP": (says(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), OutcomeUnknown, NoAnswer),
    "502 page": (says(http("502 Bad Gateway", PAGE)), OutcomeUnknown, NoAnswer),
    "503 without a body": (says(http("503 Service Unavailable", b"")), OutcomeUnknown, NoAnswer),
    "500 with a number of nobody's": (says(refused(-987, "500 Internal")), OutcomeUnknown, NoAnswer),
    "200 page": (says(http("200 OK", PAGE)), OutcomeUnknown, NoAnswer),
    "200 of another shape": (says(http("200 OK", b'{"orders": 3}')), OutcomeUnknown, NoAnswer),
    "200 that is not UTF-8": (says(http("200 OK", b'{"child_order_acceptance_id":"\xff"}')), OutcomeUnknown, NoAnswer),
    "200 without end": (says(http("200 OK", b" " * (MAX_BODY_BYTES + 1))), OutcomeUnknown, NoAnswer),
    "redirect": (
        says(http("307 Temporary Redirect", b"", "Location: http://127.0.0.1:1/")),
        OutcomeUnknown,
        NoAnswer,
    ),
    "404 page": (says(http("404 Not Found", PAGE)), OutcomeUnknown, NoAnswer),
    "200 with a refusal": (says(refused(-110, "200 OK")), Rejected, Rejected),
    "401 page": (says(http("401 Unauthorized", PAGE)), AuthRefused, AuthRefused),
    "403 page": (says(http("403 Forbidden", PAGE)), OutcomeUnknown, NoAnswer),
    "429 page": (says(http("429 Too Many Requests", PAGE)), Throttled, Throttled),
    "cut 429": (says(http("429 Too Many Requests", PAGE, length=9_999)), Throttled, Throttled),
    "-508": (says(refused(-508)), Restricted, Restricted),
    "the request's own text": (repeats_what_it_was_sent, AuthRefused, AuthRefused),
}


def texts_of(error: BaseException) -> str:
    """All that an exception and those behind it could show."""
    found = ""
    seen: BaseException | None = error
    while seen is not None:
        found += f"{seen} {seen!r} {seen.args} {vars(seen)}"
        seen = seen.__cause__ or seen.__context__
    return found


@pytest.mark.parametrize("is_ready", [False, True])
@pytest.mark.parametrize("name", FAULTS)
async def test_every_fault_has_its_error_is_sent_once_and_shows_no_secret(name: str, is_ready: bool) -> None:
    serve, effect, question = FAULTS[name]
    logged: list[str] = []
    sink = logger.add(logged.append, level=0, format="{message} {extra} {exception}", diagnose=True, backtrace=True)
    try:
        async with venue(serve, timeout_s=0.3 if "silence" in name else 10.0, is_ready=is_ready) as (client, requests):
            for call, kind in (
                (client.place(ORDER), effect),
                (client.cancel(OrderId("JRF1")), effect),
                (client.report(ExecId(0)), question),
                (client.get_permissions(), question),
            ):
                with pytest.raises(VenueError) as caught:
                    await call
                assert type(caught.value) is kind
                assert caught.value.__cause__ is caught.value.__context__ is None
                logger.opt(exception=caught.value).warning("failed: {}", caught.value)
                assert "MUST-NOT-SHOW" not in texts_of(caught.value)
                assert "ACCESS-SIGN: " not in texts_of(caught.value)
            posts = [r.partition(b" HTTP")[0] for r in requests if r.startswith(b"POST")]
            assert posts == [b"POST /v1/me/sendchildorder", b"POST /v1/me/cancelchildorder"]
    finally:
        logger.remove(sink)
    assert logged
    assert "MUST-NOT-SHOW" not in "".join(logged)


@pytest.mark.parametrize("body", [b"", b" \r\n", b"null", b"{}"])
async def test_cancel_is_taken_when_nothing_is_said_and_an_order_is_not(body: bytes) -> None:
    async with venue(says(http("200 OK", body))) as (client, _):
        await client.cancel(OrderId("JRF1"))
        with pytest.raises(OutcomeUnknown):
            await client.place(ORDER)


@pytest.mark.parametrize("is_ready", [False, True])
async def test_order_is_accepted_by_its_name_alone(is_ready: bool) -> None:
    async with venue(says(http("200 OK", ACCEPTED)), is_ready=is_ready) as (client, requests):
        assert await client.place(ORDER) == "JRF20260101-000000-000001"
        assert len(requests) == 1
        assert PAIR.key.encode() in requests[0]
        assert PAIR.secret.encode() not in requests[0]
        assert (b"Accept-Encoding" not in requests[0]) is is_ready  # by which the two ways can be told apart


async def test_host_without_an_answer_to_a_connect_was_sent_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, ExitStack() as waiting:
        for _ in range(3):  # more connects than the queue holds: those that follow hang
            one = waiting.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        async with pybotters.Client(apis=PAIR.apis()) as client:
            hangs = ExchangeConfig(base_url=f"http://127.0.0.1:{full.getsockname()[1]}")
            slow = BitflyerHttp(client, hangs, SystemClock(), timeout=aiohttp.ClientTimeout(total=0.5))
            with pytest.raises(NotSent, match="no connection in time"):
                await slow.place(ORDER)


class SilentNames(aiohttp.abc.AbstractResolver):
    """A name server that never answers."""

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[aiohttp.abc.ResolveResult]:
        await asyncio.Event().wait()
        raise AssertionError("nobody sets it")

    async def close(self) -> None:
        pass


async def test_name_that_is_never_found_was_sent_nothing() -> None:
    connector = aiohttp.TCPConnector(resolver=SilentNames())
    async with pybotters.Client(apis=PAIR.apis(), connector=connector) as client:
        lost = BitflyerHttp(client, ExchangeConfig(), SystemClock(), timeout=aiohttp.ClientTimeout(total=0.5))
        with pytest.raises(NotSent, match="no connection in time"):
            await lost.place(ORDER)


async def test_only_private_calls_carry_the_key() -> None:
    async with venue(says(http("200 OK", b'{"state":"RUNNING"}'))) as (client, requests):
        await client.get_board_state()
        with pytest.raises(NoAnswer):
            await client.get_permissions()
    public, private = requests
    assert public.startswith(b"GET /v1/getboardstate?product_code=FX_BTC_JPY HTTP")
    assert b"ACCESS-" not in public.upper()
    assert b"ACCESS-SIGN: " in private


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://no-such-host.invalid", "host name not found"),
        ("https://127.0.0.1:{port}", "TLS failed"),
        ("http://127.0.0.1:99999", "the address is none"),
    ],
)
async def test_address_where_nothing_can_be_was_sent_nothing(url: str, words: str) -> None:
    async def garbage(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"not TLS")
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(garbage, "127.0.0.1", 0)
    async with server, pybotters.Client(apis=PAIR.apis()) as client:
        port = server.sockets[0].getsockname()[1]
        wrong = BitflyerHttp(
            client,
            ExchangeConfig(base_url=url.format(port=port)),
            SystemClock(),
            timeout=aiohttp.ClientTimeout(total=10),
        )
        with pytest.raises(NotSent, match=words):
            await wrong.place(ORDER)


async def test_dates_of_answers_bound_the_skew_and_garbage_is_ignored() -> None:
    async with venue(says(http("200 OK", b"", "Date: the day after"))) as (client, _):
        await client.cancel(OrderId("JRF1"))
        assert client.skew.skew_ns() is None
    async with venue(says(http("200 OK", b"", "Date: Fri, 02 Jan 2026 00:00:00 GMT"))) as (client, _):
        await client.cancel(OrderId("JRF1"))
        skew_ns = client.skew.skew_ns()
        assert skew_ns is not None
        assert skew_ns < -3_600 * NS_PER_S
