"""Tells systemd how the process is (sd_notify(3)): ready, alive, stopping, and a line of status.

systemd restarts a process that does not say that it is alive for ``WatchdogSec``. It is said from the event loop that
trades, so a loop that hangs ends it. Without systemd (``NOTIFY_SOCKET`` is not set) nothing is said.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

SOCKET_VARIABLE: Final = "NOTIFY_SOCKET"
_MICROS: Final = 1_000_000


class ServiceManager:
    """The process's line to systemd. Nothing here blocks or raises."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        """Read the environment; nothing is said yet."""
        name = environ.get(SOCKET_VARIABLE, "")
        self._address = f"\0{name[1:]}" if name.startswith("@") else name
        micros, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
        is_ours = micros.isdigit() and (not pid or pid == str(os.getpid()))
        self.period_s: Final = int(micros) / _MICROS / 3 if is_ours and self._address else None
        """How often :meth:`alive` is to be called: a third of what systemd allows. None if it does not watch."""

    def __bool__(self) -> bool:
        """Whether there is somebody to tell."""
        return bool(self._address)

    def ready(self) -> None:
        """The start is over."""
        self._say("READY=1")

    def alive(self, status: str = "") -> None:
        """The process lives."""
        self._say("\n".join(("WATCHDOG=1", *([f"STATUS={status}"] if status else []))))

    def stopping(self) -> None:
        """The end has begun."""
        self._say("STOPPING=1")

    def _say(self, text: str) -> None:
        if not self._address:
            return
        # A datagram that finds no room is lost: the next one follows, and trading does not wait.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
            line.setblocking(False)
            line.sendto(text.encode(), self._address)
