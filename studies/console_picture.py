"""The picture of the console in the docs, taken anew: ``python -m studies.console_picture``.

A paper run on the embedded exchange trades for some minutes of its time, a console shows it, and the system's chromium
takes the picture. Needs the extra `console`, `playwright` of the group `dev`, and chromium.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from playwright.sync_api import Page, sync_playwright

PICTURE: Final = Path(__file__).resolve().parents[1] / "docs/images/console.png"
TOKEN: Final = "made up for the picture"  # noqa: S105 - good for nothing else
_STS: Final = Path(sys.executable).with_name("sts")
_TRADES_S: Final = 150
_SIZE: Final = (1280, 1000)


@contextmanager
def _process(*words: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    env = {**os.environ, "STS_CONSOLE_TOKEN": TOKEN, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(  # noqa: S603 - our own command
        [_STS, *words], cwd=folder, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


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
        stack.enter_context(_process("run_paper", "--sim", "--speed", "4", "--seed", "7", folder=folder))
        console = stack.enter_context(_process("console", "--port", "0", folder=folder))
        if console.stdout is None:
            raise AssertionError("its output is captured")
        address = re.sub(r".*?(http://\S+).*", r"\1", console.stdout.readline().strip())
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
