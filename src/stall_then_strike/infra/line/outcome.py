"""Whether a feed has become ready or has failed, for those who wait for either.

A failure is raised from the waiting calls, or else once at the exit.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import NoReturn


class Outcome:
    """Readiness and the first failure; later failures are ignored."""

    def __init__(self) -> None:
        """Start neither ready nor failed."""
        self.is_ready = False
        self.failure: BaseException | None = None
        self._was_raised = False
        """Whether the failure was raised to a caller already."""
        self._failed = asyncio.Event()
        self._either = asyncio.Event()

    def set_ready(self) -> None:
        """The feed is ready."""
        self.is_ready = True
        self._either.set()

    def fail(self, error: BaseException) -> None:
        """The feed cannot go on."""
        if self.failure is None:
            self.failure = error
            self._failed.set()
            self._either.set()

    async def wait_ready(self, limit_s: float) -> bool:
        """Whether the feed became ready within ``limit_s`` seconds; raises its failure."""
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self._either.wait()
        if self.failure is not None:
            self._was_raised = True
            raise self.failure
        return self.is_ready

    async def wait_failed(self) -> NoReturn:
        """Wait for the failure and raise it."""
        await self._failed.wait()
        if self.failure is None:
            raise AssertionError("a failure is set before it is announced")
        self._was_raised = True
        raise self.failure

    def raise_unraised(self) -> None:
        """Raise the failure unless it was raised before."""
        if self.failure is not None and not self._was_raised:
            raise self.failure
