"""One run a log folder: two would mix their rows.

The lock is the operating system's, so it ends with the process however that ends. Where there is no ``fcntl`` (not on
any system this runs on unattended) nothing is locked.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Self

from stall_then_strike.types.errors import LogError

try:
    import fcntl
except ImportError:  # pragma: no cover
    fcntl = None  # type: ignore[assignment]  # told apart by None


class LogFolder:
    """A log folder taken by this process, as a context manager."""

    def __init__(self, folder: Path) -> None:
        """Nothing is taken yet."""
        self._folder = folder
        self._fd: int | None = None

    def __enter__(self) -> Self:
        """Take it. Raises LogError if another process has it, or if it cannot be made."""
        path = self._folder / ".lock"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            if fcntl is not None:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._release()
            raise LogError(f"{self._folder} is in use by another run; give this one its own by --log-dir") from error
        except OSError as error:
            self._release()
            raise LogError(f"{self._folder} cannot be written to: {error.strerror}") from error
        return self

    def __exit__(self, *exc: object) -> None:
        """Let it go. The file stays: removing it would race with the next one who takes it."""
        self._release()

    def _release(self) -> None:
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)
