"""A file that one process at a time may hold.

The lock is the operating system's (``flock``), so it ends with the process, however that ends. A forked process
inherits it; one started by exec does not. On a system without ``fcntl`` (none where this runs unattended) nothing is
locked.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

try:
    import fcntl
except ImportError:  # pragma: no cover
    fcntl = None  # type: ignore[assignment]  # told apart by None

_TRIES: Final = 5
_PAUSE_S: Final = 0.05
"""Pause between tries. Checking whether a lock is held takes it for a moment, so one failed try proves nothing."""


class FileLock:
    """One lock file. Releasing leaves the file in place: removing it would race with the next process that takes it."""

    def __init__(self, path: Path) -> None:
        """Take nothing yet."""
        self.path = path
        self._fd: int | None = None

    def take(self) -> None:
        """Take the lock. Raises BlockingIOError if another process holds it, other OSErrors if the file is unusable."""
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0), 0o644)
        try:
            hold(fd)
            with suppress(OSError):  # such as a full disk; the process id is only for people
                os.ftruncate(fd, 0)
                os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd

    def release(self) -> None:
        """Release the lock; does nothing if it is not held."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)


def holder(path: Path) -> str | None:
    """Who holds a lock file, as ``process 1234``; None if nobody does.

    Raises OSError if the file exists but cannot be opened.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        share(fd)
    except BlockingIOError:
        number = os.pread(fd, 20, 0).decode("ascii", "replace").strip()
        return f"process {number}" if number.isdigit() else "another process"
    finally:
        os.close(fd)
    return None


def share(fd: int) -> None:
    """Take a shared lock on an open file or folder. Raises BlockingIOError if a process holds it exclusively."""
    if fcntl is not None:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)


def hold(fd: int) -> None:
    """Take an exclusive lock on an open file or folder. Raises BlockingIOError if another process keeps holding it."""
    if fcntl is not None:
        for _ in range(_TRIES - 1):
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                _pause()
            else:
                return
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _pause() -> None:
    threading.Event().wait(_PAUSE_S)
