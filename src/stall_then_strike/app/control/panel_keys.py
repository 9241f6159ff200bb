"""Keys pressed at the panel: one asks, a second one, ``y``, confirms.

The terminal is looked at ten times a second and never waited for. While another process has the terminal's foreground,
nothing is read and no mode is set: a process in the background that reads would be stopped by the system. Several
characters at once, as of an arrow key or of pasted text, mean nothing.
"""

from __future__ import annotations

import asyncio
import os
import select
import termios
import tty
from contextlib import suppress
from typing import Any, Final

from stall_then_strike.app.control.command_desk import CommandDesk
from stall_then_strike.app.control.verbs import MEANING, Act, Verb
from stall_then_strike.infra.clock import perf_ns
from stall_then_strike.types.dto import NS_PER_S
from stall_then_strike.types.errors import ConfigError

KEYS: Final = {
    "p": Verb.PAUSE,
    "r": Verb.RESUME,
    "c": Verb.CANCEL_ALL,
    "f": Verb.FLATTEN,
    "h": Verb.HALT,
    "s": Verb.STOP,
    "l": Verb.RELOAD,
}
_HINT: Final = "keys: " + "  ".join(f"{key} {verb.value}" for key, verb in KEYS.items())
_LOOK_S: Final = 0.1
_SHOWN_NS: Final = 15 * NS_PER_S
"""How long a question waits for its answer, and how long an answer is shown."""
_LOCAL: Final = 3
"""Index of the local modes in what termios returns."""


class Keys:
    """Reads the terminal of one run."""

    def __init__(self, desk: CommandDesk, fd: int) -> None:
        """``fd`` is a terminal; nothing is read or set yet."""
        self._desk, self._fd = desk, fd
        self._asked: Verb | None = None
        self._seen = ""
        self._text = ""
        self._text_ns = 0
        self._before: list[Any] | None = None
        self._is_on = True

    def footer(self) -> str:
        """The line for the panel: a question, what became of a command, or which keys there are."""
        self._expire()
        return self._text or (_HINT if self._is_on else "")

    async def run(self) -> None:
        """Read until cancelled, or until the terminal is gone; then leave it as it was."""
        try:
            while True:
                await asyncio.sleep(_LOOK_S)
                if self._is_ours() and select.select((self._fd,), (), (), 0)[0]:
                    pressed = os.read(self._fd, 64)
                    if not pressed:
                        break
                    await self.press(pressed.decode(errors="replace"))
        except (OSError, ValueError, termios.error):  # the terminal was closed
            pass
        finally:
            self._is_on = False
            if self._before is not None:
                with suppress(OSError, termios.error):
                    termios.tcsetattr(self._fd, termios.TCSANOW, self._before)

    def _is_ours(self) -> bool:
        """Whether this process has the foreground; keys then come one by one, also after a shell has set the modes."""
        if os.tcgetpgrp(self._fd) != os.getpgrp():
            return False
        modes = termios.tcgetattr(self._fd)
        if modes[_LOCAL] & termios.ICANON:
            self._before = self._before or modes
            tty.setcbreak(self._fd, termios.TCSANOW)
        return True

    async def press(self, pressed: str) -> None:
        """Take what was pressed since the last look."""
        self._expire()
        asked, self._asked = self._asked, None
        if asked is not None and pressed in ("y", "Y"):
            self._say(f"{asked.value}: ...")
            answer = await self._desk.act(Act(asked, "the panel"), self._seen)
            self._say(f"{asked.value}: {'' if answer.is_done else 'refused: '}{' | '.join(answer.text.splitlines())}")
        elif asked is not None:
            self._say(f"{asked.value}: not done")
        elif pressed in KEYS:
            await self._ask(KEYS[pressed])

    async def _ask(self, verb: Verb) -> None:
        meaning, self._seen = MEANING[verb], ""
        if verb is Verb.RELOAD and self._desk.reloading is not None:
            try:
                preview = await self._desk.reloading.preview()
            except ConfigError as error:
                self._say(f"reload: nothing is changed: {' '.join(str(error).split())}")
                return
            meaning, self._seen = " | ".join(preview.text().splitlines()), preview.digest
        self._asked = verb
        self._say(f"{verb.value} (y: yes, any other key: no): {meaning}")

    def _say(self, text: str) -> None:
        self._text, self._text_ns = text, perf_ns()

    def _expire(self) -> None:
        if self._text and perf_ns() - self._text_ns > _SHOWN_NS:
            self._text, self._asked = "", None
