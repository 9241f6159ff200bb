"""What becomes of a feed: it is ready one day, or it fails, and whoever waits is told.

A failure is told once: to those who wait for it, or else at the exit.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import NoReturn


class Outcome:
    """Ready once, failed once; the first failure counts."""

    def __init__(self) -> None:
        """Neither yet."""
        self.is_ready = False
        self.failure: BaseException | None = None
        self._is_told = False
        """Whether somebody was given the failure already."""
        self._failed = asyncio.Event()
        self._either = asyncio.Event()

    def set_ready(self) -> None:
        """It is ready."""
        self.is_ready = True
        self._either.set()

    def fail(self, error: BaseException) -> None:
        """It cannot go on."""
        if self.failure is None:
            self.failure = error
            self._failed.set()
            self._either.set()

    async def wait_ready(self, limit_s: float) -> bool:
        """Whether it got ready within so many seconds; raises what broke it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self._either.wait()
        if self.failure is not None:
            self._is_told = True
            raise self.failure
        return self.is_ready

    async def wait_failed(self) -> NoReturn:
        """Wait until it failed, and raise why."""
        await self._failed.wait()
        if self.failure is None:
            raise AssertionError("a failure is set before it is announced")
        self._is_told = True
        raise self.failure

    def raise_untold(self) -> None:
        """Raise what broke it, unless somebody was told."""
        if self.failure is not None and not self._is_told:
            raise self.failure
