"""The picture of the console in the docs, taken anew: ``python -m studies.console_picture``.

A paper run on the embedded exchange trades for some minutes of its time, a console shows it, and the system's chromium
takes the picture. Needs the extra `console`, `playwright` of the group `dev`, and chromium.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from playwright.sync_api import Page, sync_playwright

from benchmarks.viewers import TOKEN, console, process

PICTURE: Final = Path(__file__).resolve().parents[1] / "docs/images/console.png"
_TRADES_S: Final = 150
_SIZE: Final = (1280, 1000)


def _look(page: Page, address: str) -> None:
    page.goto(f"{address}/login")
    page.fill("#token", TOKEN)
    page.click("button[type=submit]")
    page.wait_for_selector(".badge")
    page.wait_for_timeout(_TRADES_S * 1000)
    page.screenshot(path=PICTURE)


def main() -> None:
    """Take it."""
    PICTURE.parent.mkdir(exist_ok=True)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.enter_context(process("run_paper", "--sim", "--speed", "4", "--seed", "7", folder=folder))
        address = stack.enter_context(console(folder))
        driver = stack.enter_context(sync_playwright())
        browser = driver.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--headless", "--no-sandbox", "--disable-gpu"]
        )
        width, height = _SIZE
        _look(browser.new_page(viewport={"width": width, "height": height}, locale="en-US"), address)
        browser.close()
    sys.stdout.write(f"{PICTURE}: {PICTURE.stat().st_size // 1000} kB\n")


if __name__ == "__main__":
    main()
