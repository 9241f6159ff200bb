"""Connections that are open before they are needed: each answer goes to its own request, or nothing was sent."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import aiohttp
import pytest

from stall_then_strike.infra.line import ready_line
from stall_then_strike.infra.line.ready_line import CONNECTIONS, NotHttp, ReadyLine
from tests.waiting import until

LIMIT_S = 20.0
REQUEST = b"POST /%d HTTP/1.1\r\nContent-Length: 0\r\n\r\n"


@dataclass
class Server:
    """Answers each request by its own path, when it may."""

    url: str = ""
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    head: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    paths: list[bytes] = field(default_factory=list)
    after_answer: Callable[[], None] = lambda: None

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                path = (await reader.readuntil(b"\r\n\r\n")).split()[1]
                self.paths.append(path)
                await self.may_answer.wait()
                writer.write(self.head + path)
                self.after_answer()
        writer.close()


@asynccontextmanager
async def opened() -> AsyncIterator[tuple[ReadyLine, Server]]:
    """A line with all its connections open."""
    server = Server()
    server.may_answer.set()
    listening = await asyncio.start_server(server.connected, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    line = ReadyLine(server.url, connect_s=LIMIT_S)
    async with listening, asyncio.timeout(LIMIT_S), asyncio.TaskGroup() as tasks:
        keeping = tasks.create_task(line.keep_open())
        await until(lambda: len(line) == len(server.writers) == CONNECTIONS)
        yield line, server
        keeping.cancel()
        server.may_answer.set()
    assert len(line) == 0


async def call(line: ReadyLine, number: int, limit_s: float = LIMIT_S) -> str | None:
    """The body of the answer to a request with this number; None if there was no connection for it."""

    async def read(content: aiohttp.StreamReader) -> str:
        return (await content.read()).decode()

    sent = line.send(lambda: REQUEST % number)
    return None if sent is None else (await sent.answer(limit_s, read)).text


async def test_calls_side_by_side_have_a_connection_each_which_are_used_again() -> None:
    async with opened() as (line, server):
        for _ in range(20):
            answers = await asyncio.gather(*(call(line, n) for n in range(CONNECTIONS)))
            assert answers == [f"/{n}" for n in range(CONNECTIONS)]
        assert len(server.writers) == CONNECTIONS


async def test_request_is_with_the_system_at_once() -> None:
    async with opened() as (line, server):
        sent = line.send(lambda: REQUEST % 1)
        assert sent is not None
        await until(lambda: server.paths == [b"/1"])  # the answer is not waited for yet

        async def read(content: aiohttp.StreamReader) -> str:
            return (await content.read()).decode()

        assert (await sent.answer(LIMIT_S, read)).text == "/1"


async def test_request_that_cannot_be_made_costs_no_connection_for_long() -> None:
    async with opened() as (line, server):
        with pytest.raises(ZeroDivisionError):
            line.send(lambda: REQUEST % (1 // 0))
        assert len(line) == CONNECTIONS - 1
        await until(lambda: len(line) == CONNECTIONS)
        assert not server.paths


async def test_connection_of_an_answer_that_nobody_waits_for_is_closed_at_the_end() -> None:
    async with opened() as (line, server):
        server.may_answer.clear()
        assert line.send(lambda: REQUEST % 1) is not None
        await until(lambda: server.paths == [b"/1"])
    await until(lambda: all(writer.is_closing() for writer in server.writers))


async def test_nothing_is_sent_when_all_are_in_use() -> None:
    async with opened() as (line, server):
        server.may_answer.clear()
        calls = [asyncio.ensure_future(call(line, n)) for n in range(CONNECTIONS)]
        await until(lambda: len(server.paths) == CONNECTIONS)
        assert await call(line, 9) is None
        server.may_answer.set()
        assert await asyncio.gather(*calls) == [f"/{n}" for n in range(CONNECTIONS)]
        assert len(server.paths) == CONNECTIONS


async def test_answer_that_comes_too_late_is_nobodys() -> None:
    async with opened() as (line, server):
        server.may_answer.clear()
        with pytest.raises(TimeoutError):
            await call(line, 1, limit_s=0.01)
        server.may_answer.set()
        assert len(line) == CONNECTIONS - 1
        assert [await call(line, n) for n in range(2, 9)] == [f"/{n}" for n in range(2, 9)]
        await until(lambda: len(line) == CONNECTIONS)


async def test_answer_that_came_while_the_process_was_stopped_is_read() -> None:
    async with opened() as (line, server):
        server.after_answer = lambda: time.sleep(0.1)
        assert await call(line, 1, limit_s=0.05) == "/1"


async def test_answer_of_a_cancelled_call_is_nobodys() -> None:
    async with opened() as (line, server):
        server.may_answer.clear()
        given_up = asyncio.ensure_future(call(line, 1))
        await until(lambda: server.paths == [b"/1"])
        given_up.cancel()
        await asyncio.wait((given_up,))
        server.may_answer.set()
        assert [await call(line, n) for n in range(2, 9)] == [f"/{n}" for n in range(2, 9)]


async def test_connection_that_spoke_unasked_or_was_closed_is_replaced() -> None:
    async with opened() as (line, server):
        server.writers[0].write(server.head + b"//")
        server.writers[1].close()
        await until(lambda: len(server.writers) == CONNECTIONS + 2)
        assert [await call(line, n) for n in range(9)] == [f"/{n}" for n in range(9)]


async def test_peer_that_closes_all_connections_is_not_stormed(monkeypatch: pytest.MonkeyPatch) -> None:
    """B13."""
    monkeypatch.setattr(ready_line, "_LOOK_S", 0.0)
    async with opened() as (_, server):
        for writer in tuple(server.writers):
            writer.close()
        await until(lambda: len(server.writers) == 2 * CONNECTIONS)
        for writer in server.writers:
            writer.close()
        await asyncio.sleep(0.2)  # a thousand looks, if it did not wait
        assert len(server.writers) == 2 * CONNECTIONS


async def test_connection_that_was_idle_for_long_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened() as (line, server):
        monkeypatch.setattr(ready_line, "IDLE_S", 0.0)
        assert await call(line, 1) is None
        assert not server.paths
        monkeypatch.undo()
        await until(lambda: len(line) == CONNECTIONS)
        assert await call(line, 1) == "/1"


async def test_answer_that_is_not_http_ends_the_call_and_the_connection() -> None:
    async with opened() as (line, server):
        server.head = b"SSH-2.0\r\n\r\n"
        with pytest.raises(NotHttp):
            await call(line, 1)
        assert len(line) == CONNECTIONS - 1


async def test_announcement_is_not_the_answer() -> None:
    async with opened() as (line, server):
        server.head = b"HTTP/1.1 100 Continue\r\n\r\n" + server.head
        assert await call(line, 1) == "/1"


async def test_without_a_server_nothing_is_sent_and_nothing_fails() -> None:
    holder = socket.socket()
    holder.bind(("127.0.0.1", 0))  # and nobody listens
    line = ReadyLine(f"http://127.0.0.1:{holder.getsockname()[1]}", connect_s=1)
    with holder:
        async with asyncio.TaskGroup() as tasks:
            keeping = tasks.create_task(line.keep_open())
            await asyncio.sleep(0.05)
            assert await call(line, 1) is None
            keeping.cancel()
