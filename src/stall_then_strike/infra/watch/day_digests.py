"""The digest of a trading day, with a report on it that another process makes.

The report needs seconds of computing and packages that trading does without, so it is made by a process of its own, at
the lowest priority and with a time limit. The digest is sent in any case: without its report it says why.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from loguru import logger

LIMIT_S: Final = 300.0
"""How long a report may take, in real seconds."""
KEPT: Final = 30
"""Reports that are kept."""
_GATHER_S: Final = 2.0
"""The instruments of an account end their day within this time: they are one digest. Real seconds."""
_MOST: Final = 100
"""Parts of digests that may wait for a report."""
_ENVIRONMENT: Final = ("PATH", "PYTHONPATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "VIRTUAL_ENV")
"""What the process gets of ours: no keys and no addresses."""
_WORDS: Final = 300
"""Characters that are told of an error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportJob:
    """How to make the report on a day."""

    command: Sequence[str]
    out: Path
    """The file that it writes."""


Send = Callable[[str, Path | None], None]
"""Sends the text of a digest, perhaps with a file. Never blocks."""


class DayDigests:
    """Takes the days as they end. ``run`` is a task of the run's."""

    def __init__(self, send: Send, job: Callable[[str], ReportJob] | None, *, limit_s: float = LIMIT_S) -> None:
        """``job`` is asked with the day (``YYYY-MM-DD``); without it digests are sent at once and alone."""
        self._send, self._job, self._limit_s = send, job, limit_s
        self._waiting: list[tuple[str, str]] = []
        self._changed = asyncio.Event()

    def put(self, day: str, text: str) -> None:
        """Take a day that has ended. Never blocks."""
        if self._job is None or len(self._waiting) >= _MOST:
            self._send(text, None)
            return
        self._waiting.append((day, text))
        self._changed.set()

    async def run(self) -> None:
        """Send digests until cancelled; what is waiting then is sent without a report."""
        try:
            while True:
                await self._changed.wait()
                await asyncio.sleep(_GATHER_S)
                self._changed.clear()
                while self._waiting and self._job is not None:
                    day = self._waiting[0][0]
                    self._send_day(day, *await self._made(self._job(day)))
        finally:
            for day in dict.fromkeys(day for day, _ in self._waiting):
                self._send_day(day, None, "the run ended")

    def _send_day(self, day: str, report: Path | None, why: str) -> None:
        texts = [text for of, text in self._waiting if of == day]
        self._waiting = [one for one in self._waiting if one[0] != day]
        self._send("\n".join([*texts, f"(no report: {why})"] if report is None else texts), report)

    async def _made(self, job: ReportJob) -> tuple[Path | None, str]:
        """The report, or why there is none."""
        try:
            job.out.parent.mkdir(parents=True, exist_ok=True)
            said = await self._run(job)
        except TimeoutError:  # which is an OSError, too
            said = f"it took more than {self._limit_s:g} s"
        except OSError as error:
            said = f"{type(error).__name__}: {error.strerror}"
        if said:
            logger.warning("no report on the day: {}", said)
            return None, said
        for old in sorted(job.out.parent.glob(f"*{job.out.suffix}"))[:-KEPT]:
            with suppress(OSError):  # left where it is: an error here would end the run
                old.unlink()
        return job.out, ""

    async def _run(self, job: ReportJob) -> str:
        """Run the command; returns its last words if it fails. Raises OSError and TimeoutError."""
        nice = shutil.which("nice")
        process = await asyncio.create_subprocess_exec(
            *([nice, "-n", "19"] if nice else []),
            *job.command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env={name: value for name in _ENVIRONMENT if (value := os.environ.get(name)) is not None},
            start_new_session=True,  # a Ctrl-C is for the run
        )
        try:
            async with asyncio.timeout(self._limit_s):
                _, errors = await process.communicate()
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if not process.returncode and job.out.is_file():
            return ""
        lines = errors.decode("utf-8", "replace").strip().splitlines()
        return lines[-1][:_WORDS] if lines else f"it ended with {process.returncode}"
