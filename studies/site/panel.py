"""A picture of the live panel: ``python -m studies.site.panel`` trades two minutes on paper and keeps one frame.

The run is that of any user, in a terminal of its own. The frame is the last one in which quotes were live.
"""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import struct
import sys
import tempfile
import termios
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from studies.site.drawn import DOCS

PICTURE: Final = DOCS / "images/panel.svg"
COLUMNS, LINES = 112, 34
RUN: Final = ("run_paper", "--sim", "--duration", "120", "--seed", "7")
_HOME: Final = "\x1b[H"
_LIVE: Final = re.compile(r"SELL[^\n]*@[^\n]*working")
_INK, _GREY, _PALE, _WHITE = (27, 31, 36), (130, 140, 152), (200, 206, 212), (240, 244, 248)
_THEME: Final = TerminalTheme(
    _INK,
    (214, 220, 226),
    [_INK, (240, 98, 96), (94, 190, 140), (222, 176, 74), (96, 150, 220), (196, 130, 210), (80, 184, 196), _PALE],
    [
        _GREY,
        (255, 120, 118),
        (120, 214, 164),
        (240, 200, 110),
        (130, 178, 240),
        (216, 160, 226),
        (120, 208, 218),
        _WHITE,
    ],
)
_FONTS: Final = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def frames(command: tuple[str, ...]) -> list[str]:
    """All frames that a run draws in a terminal, as text with its escapes."""
    program = Path(sys.executable).parent / command[0]
    with tempfile.TemporaryDirectory() as folder:
        child, terminal = pty.fork()
        if child == 0:
            os.chdir(folder)
            os.execve(program, command, {**os.environ, "TERM": "xterm-256color"})  # noqa: S606 - our own command
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", LINES + 1, COLUMNS, 0, 0))
        drawn = bytearray()
        try:
            while chunk := os.read(terminal, 65_536):
                drawn += chunk
        except OSError:  # the other end has gone: the run is over
            pass
        os.waitpid(child, 0)
    return drawn.decode("utf-8", "replace").replace("\r\n", "\n").split(_HOME)[1:]


def picture(frame: str) -> str:
    """A frame as SVG that loads no font."""
    console = Console(record=True, width=COLUMNS, height=LINES, file=io.StringIO(), force_terminal=True)
    lines = Text.from_ansi(frame.partition("\x1b[?1049l")[0]).split("\n", allow_blank=True)[:LINES]
    console.print(Text("\n").join(lines), end="")
    text = console.export_svg(title="run_paper --sim", theme=_THEME, unique_id="panel")
    return _FONTS.sub("", text).replace("Fira Code", "DejaVu Sans Mono")


if __name__ == "__main__":
    all_frames = frames(RUN)
    live = [frame for frame in all_frames if _LIVE.search(frame)] or all_frames
    PICTURE.write_text(picture(live[-1]), "utf-8")
