"""Asks ``why`` in a process of its own: reading logs may take seconds, and the console's loop must not stand still."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

_MOST_S: Final = 30.0
_MOST_BYTES: Final = 8_000_000
_ASKED: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z:.+_-]{0,63}")
"""A moment or a name; never a flag."""
_PROGRAM: Final = "import sys; from stall_then_strike.app.why import main; sys.exit(main())"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What ``why`` said: its JSON, or why there is none."""

    story: Mapping[str, Any] | None = None
    problem: str = ""


class WhyDesk:
    """One question at a time."""

    def __init__(self, flags: Sequence[str]) -> None:
        """``flags`` are those of every question: the log folder and the configuration."""
        self._flags = tuple(flags)
        self._busy = asyncio.Lock()

    async def ask(self, asked: str, product: str) -> Answer:
        """An answer in good time; a second question meanwhile is sent away."""
        if not _ASKED.fullmatch(asked) or (product and not _ASKED.fullmatch(product)):
            return Answer(problem="no moment and no order's id")
        if self._busy.locked():
            return Answer(problem="busy")
        async with self._busy:
            return await self._asked((asked, "--json", *self._flags, *(("--product", product) if product else ())))

    async def _asked(self, words: Sequence[str]) -> Answer:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _PROGRAM, *words),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(_MOST_S):
                out, err = await process.communicate()
        except TimeoutError:
            return Answer(problem=f"no answer in {_MOST_S:.0f} s")
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if len(out) > _MOST_BYTES:
            return Answer(problem="the answer is too large")
        try:
            return Answer(story=orjson.loads(out))
        except orjson.JSONDecodeError:
            return Answer(problem=err.decode("utf-8", "replace").strip()[-500:] or "no answer")
