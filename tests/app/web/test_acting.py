"""Every command from the browser, and its effect at the exchange; what a visitor sees meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from stall_then_strike.app.control.reloading import Settings
from stall_then_strike.app.shell.command import EXIT_HALTED
from tests.app.web.console_rig import BROWSER, Console, chromium, console, logged_in
from tests.live.test_control import Files
from tests.scenarios.at_work import CANCEL, STILL, AtWork, at_work
from tests.scenarios.test_c_restart import with_a_position
from tests.signing import SIGNED

pytestmark = [SIGNED, BROWSER, pytest.mark.alone, pytest.mark.slow(25)]


@asynccontextmanager
async def beside(folder: Path, **settings: Any) -> AsyncIterator[tuple[AtWork, Console]]:
    """The daemon at work, and a console of it, which starts first: waiting for it would hold the daemon's loop."""
    with console(folder / "logs", folder / "console") as shown:
        async with at_work(folder, **settings) as work:
            yield work, shown


async def act(page: Page, verb: str, reason: str = "") -> str:
    """Press a command's button, confirm it, and close the answer: what it said."""
    await page.click(f"[data-act={verb}]")
    if reason:
        await page.fill(".ask input", reason)
    await page.click(".ask .yes")
    await page.wait_for_selector(".ask .told[role=status]")
    told = await page.inner_text(".ask .told")
    await page.click(".ask .no")
    await expect(page.locator(".ask")).to_have_count(0)
    return told


async def test_commands_of_the_browser_have_their_effect_at_the_exchange(tmp_path: Path) -> None:
    async with chromium() as browser, beside(tmp_path, begin=False, **STILL) as (work, shown):
        files = Files(work.room.cfg)
        work.room.settings = Settings(files.cfg, files.read)
        work.task = asyncio.create_task(work.room.run(ending=work.ending))
        await work.until("both quotes", lambda: len(work.resting) == 2)
        page = await logged_in(browser, shown)
        await expect(page.locator(".badge")).to_contain_text("trading")

        await page.click("[data-act=pause]")
        await expect(page.locator(".ask")).to_contain_text("take the quotes back and send none until resumed")
        await page.click(".ask .no")
        await expect(page.locator(".ask")).to_have_count(0)
        assert not work.facts("operator"), "asked, and not sent"

        assert (await act(page, "pause", "CPI <b>now</b>")).endswith("; exits go on")
        await work.until("empty book", lambda: not work.live)
        await expect(page.locator(".badge")).to_contain_text("paused")
        assert await act(page, "resume") == "lifted: the pause"
        await work.until("both quotes", lambda: len(work.resting) == 2)
        cancels = len(work.calls(CANCEL))
        await page.click("[data-act=cancel-all]")
        await page.wait_for_selector(".ask .yes")
        await page.evaluate("for (const _ of [1, 2, 3]) document.querySelector('.ask .yes').click()")
        await page.wait_for_selector(".ask .told[role=status]")
        await page.click(".ask .no")
        await work.until("cancels", lambda: len(work.calls(CANCEL)) >= cancels + 2)

        await with_a_position(work)
        await act(page, "flatten")
        await work.until("flat account", lambda: not work.position and not work.live)
        await act(page, "resume")

        files.change("strategy", size_min=Decimal("0.002"))
        await page.click("[data-act=reload]")
        await expect(page.locator(".ask pre")).to_have_text("strategy.size_min: 0.001 -> 0.002 (at once)")
        await page.click(".ask .yes")
        await page.click(".ask .no")
        await work.until("larger quotes", lambda: {order.size for order in work.resting} == {200_000})

        await act(page, "halt", "the end")
        assert await work.ended() == EXIT_HALTED
        await expect(page.locator(".badge")).to_contain_text("no run answers", timeout=10_000)
        assert not list(shown.folder.iterdir()), "the console writes nothing"
        facts = [fact.detail for fact in work.facts("operator")]
        assert sum(fact.startswith("cancel_all") for fact in facts) == 1, "pressed three times, sent once"
        assert facts[0].startswith("pause: by ")
        assert facts[0].endswith(" over the socket: console: CPI <b>now</b>")
        assert "console: the end" in work.facts("halt")[0].detail
        await work.check()
