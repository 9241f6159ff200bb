"""Waiting, with a limit, for what announces itself to nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def until(is_so: Callable[[], object], limit_s: float = 30.0) -> None:
    """Let other tasks run until something is so; TimeoutError at the limit, in real seconds."""
    async with asyncio.timeout(limit_s):
        while not is_so():  # noqa: ASYNC110 - it has no event of its own
            await asyncio.sleep(0.002)
