"""The console as a process, and a browser that opens it."""

from __future__ import annotations

import os
import re
import resource
import select
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, async_playwright

TOKEN = "made up for tests, long enough"
CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",  # containers have little of it
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
BROWSER = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
_START_S = 40.0


class Console:
    """One that listens."""

    def __init__(self, process: subprocess.Popen[str], port: int, folder: Path) -> None:
        self.process, self.port, self.folder = process, port, folder
        """``folder`` is the one in which it was started."""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def cookie(self) -> str:
        return f"sts_console_{self.port}"


@contextmanager
def console(log_dir: Path, folder: Path, *flags: str) -> Iterator[Console]:
    """A console of a log folder, started in an empty folder of its own. Once open it can write no file, as on a disk
    that has filled."""
    folder.mkdir(exist_ok=True)
    program = [Path(sys.executable).parent / "sts", "console", "--port", "0", "--log-dir", log_dir, *flags]
    process = subprocess.Popen(
        [*map(str, program)],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "STS_CONSOLE_TOKEN": TOKEN, "PYTHONUNBUFFERED": "1"},
    )
    try:
        port = _port_of(process)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, 0))
        yield Console(process, port, folder)
    finally:
        process.kill()
        process.communicate(timeout=_START_S)


def _port_of(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    end_s = time.monotonic() + _START_S
    while time.monotonic() < end_s and process.poll() is None:
        if select.select([process.stdout], [], [], 1.0)[0] and (
            found := re.search(r"http://[^ ]*:(\d+)", process.stdout.readline())
        ):
            return int(found[1])
    raise AssertionError(f"the console did not start: {process.poll()}")


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """The system's browser without a window."""
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS])
        try:
            yield browser
        finally:
            await browser.close()


async def logged_in(browser: Browser, shown: Console, **context: Any) -> Page:
    """A page of a new visitor who has shown the token; what its scripts complain about fails the test."""
    opened = await browser.new_context(**{"viewport": {"width": 1280, "height": 900}, "locale": "en-US", **context})
    page = await opened.new_page()
    page.on("pageerror", lambda error: pytest.fail(f"an error on the page: {error}"))
    await page.goto(f"{shown.address}/login")
    await page.fill("#token", TOKEN)
    await page.click("button[type=submit]")
    await page.wait_for_selector(".badge")
    return page
