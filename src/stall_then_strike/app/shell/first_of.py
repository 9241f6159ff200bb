"""One helper for "this or a signal, whichever comes first"."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


async def first_of(what: Coroutine[Any, Any, _T], signal: asyncio.Event, *, limit_s: float | None = None) -> _T | None:
    """Await ``what``, but not past ``signal`` or ``limit_s`` real seconds.

    Returns its result; None if the signal or the limit came first, and then it is cancelled. If both came in the same
    turn of the event loop, the result counts. What it raises comes in an ExceptionGroup.
    """
    async with asyncio.TaskGroup() as tasks:
        asked, stopped = tasks.create_task(what), tasks.create_task(signal.wait())
        await asyncio.wait((asked, stopped), timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        stopped.cancel()
    return None if asked.cancelled() else asked.result()
