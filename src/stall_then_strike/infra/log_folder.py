"""One run a log folder: two would mix their rows."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from stall_then_strike.infra.file_lock import FileLock
from stall_then_strike.types.errors import LogError


class LogFolder:
    """A log folder taken by this process, as a context manager."""

    def __init__(self, folder: Path) -> None:
        """Nothing is taken yet."""
        self._folder = folder
        self._lock = FileLock(folder / ".lock")

    def __enter__(self) -> Self:
        """Take it. Raises LogError if another process has it, or if it cannot be made."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock.take()
        except BlockingIOError as error:
            raise LogError(f"{self._folder} is in use by another run; give this one its own by --log-dir") from error
        except OSError as error:
            raise LogError(f"{self._folder} cannot be written to: {error.strerror}") from error
        return self

    def __exit__(self, *exc: object) -> None:
        """Let it go."""
        self._lock.release()
