"""Trading neither waits for who looks nor notices their end; who looks notices the daemon's."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest
from playwright.async_api import Page, expect

from stall_then_strike.app.shell.command import EXIT_DONE
from stall_then_strike.app.web.guard import SOCKET
from tests.app.web.console_rig import BROWSER, TOKEN, Console, chromium, console, logged_in
from tests.e2e.commands import Process, rows, run, running, wait_until
from tests.signing import SIGNED

pytestmark = [SIGNED, BROWSER, pytest.mark.alone, pytest.mark.slow(30)]


async def until(what: str, condition: Callable[[], object]) -> None:
    """Wait for something in the world outside."""
    await asyncio.to_thread(wait_until, what, condition)


async def more_is_decided(log_dir: Path) -> None:
    """Trading goes on."""
    before = len(rows(log_dir, "decisions"))
    await until("more decisions", lambda: len(rows(log_dir, "decisions")) > before + 2)


async def nothing_is_on_its_way(log_dir: Path) -> None:
    """Trading pauses. What became of an order meanwhile would not be known for a minute after a freeze."""
    await asyncio.to_thread(run, "ctl", "pause", "--yes", "--log-dir", log_dir)

    def orders() -> list[object]:
        status = run("ctl", "status", "--json", "--log-dir", log_dir)
        (one,) = json.loads(status.stdout)["instruments"]
        found: list[object] = one["orders"]
        return found

    await until("no orders", lambda: not orders())


async def enter(session: aiohttp.ClientSession, shown: Console) -> None:
    headers = {"origin": shown.address}
    async with session.post(f"{shown.address}/login", data={"token": TOKEN}, headers=headers) as answer:
        assert answer.url.path == "/"


async def unread(shown: Console, session: aiohttp.ClientSession) -> asyncio.StreamWriter:
    """A page's socket that says all it should and reads nothing."""
    async with session.get(f"{shown.address}/") as answer:
        page = await answer.text()
    client = page.partition('"client_id": "')[2] or page.partition('client_id":"')[2]
    query = f"EIO=4&transport=websocket&client_id={client[:36]}&next_message_id=0&implicit_handshake=true"
    cookie = session.cookie_jar.filter_cookies(answer.url)[shown.cookie]
    reader, writer = await asyncio.open_connection("127.0.0.1", shown.port, limit=1024)
    writer.write(
        f"GET {SOCKET}?{query}&tab_id=t&document_id=d HTTP/1.1\r\nHost: 127.0.0.1:{shown.port}\r\n"
        f"Origin: {shown.address}\r\nCookie: {shown.cookie}={cookie.value}\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    assert b"101" in await reader.readline()
    writer.write(bytes((0x81, 0x82, 0, 0, 0, 0)) + b"40")  # Socket.IO's own connect, as one masked text frame
    return writer


async def test_trading_outlives_the_console_and_the_console_the_daemon(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    with running("run_live", "--config", "configs/sim.yml", "--yes", "--log-dir", logs) as daemon:
        await until("socket", lambda: list(logs.glob("latest/control.sock")))
        async with chromium() as browser, aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as visitor:
            with console(logs, tmp_path / "first") as first:
                page = await logged_in(browser, first)
                await expect(page.locator(".badge")).to_contain_text("trading", timeout=30_000)
                await enter(visitor, first)
                silent = [await unread(first, visitor) for _ in range(5)]
                await more_is_decided(logs)
                await nothing_is_on_its_way(logs)
                daemon.send_signal(signal.SIGSTOP)
                await expect(page.locator(".badge")).to_contain_text("does not answer", timeout=20_000)
                daemon.send_signal(signal.SIGCONT)
                await asyncio.to_thread(run, "ctl", "resume", "--yes", "--log-dir", logs)
                await expect(page.locator(".badge")).to_contain_text("trading", timeout=30_000)
                await looks_as_it_should(page, first)
                first.process.send_signal(signal.SIGKILL)
                await more_is_decided(logs)
                for writer in silent:
                    writer.transport.abort()
            with console(logs, tmp_path / "second", "--port", str(first.port)) as second:
                await page.wait_for_selector("#token", timeout=30_000)  # the page finds back to the door by itself
                page = await logged_in(browser, second)
                await stops_by_the_browser(page, daemon)
                await expect(page.locator(".badge")).to_contain_text("no run answers", timeout=15_000)
                await expect(page.locator(".notice")).to_contain_text("The last known figures")
                assert second.process.poll() is None


async def looks_as_it_should(page: Page, shown: Console) -> None:
    """Language, colours, results, and why; nothing is wider than a phone."""
    await page.set_viewport_size({"width": 390, "height": 844})
    await page.click("text=日本語")
    await expect(page.locator(".badge")).to_contain_text("取引中")
    before = await page.evaluate("getComputedStyle(document.body).backgroundColor")
    await page.click("text=暗い")
    await page.wait_for_selector(".theme-dark")
    assert await page.evaluate("getComputedStyle(document.body).backgroundColor") != before
    await page.click("text=English")
    await page.locator(".decisions a").first.click()
    await expect(page.locator("h2").first).to_contain_text("What was done around", timeout=40_000)
    for path in ("/", "/results", "/log"):
        await page.goto(f"{shown.address}{path}")
        await page.wait_for_selector(".card")
        assert await page.evaluate("document.documentElement.scrollWidth") == 390, path
    figures = await page.request.get(f"{shown.address}/metrics")
    assert "sts_limit_used" in await figures.text()


async def stops_by_the_browser(page: Page, daemon: Process) -> None:
    await page.click("[data-act=stop]")
    await expect(page.locator(".ask")).to_contain_text("end the program in good order")
    await page.click(".ask .yes")
    await expect(page.locator(".ask .told")).to_contain_text("stopping in good order")
    await page.click(".ask .no")
    await until("end of the daemon", lambda: daemon.poll() is not None)
    assert daemon.poll() == EXIT_DONE
