"""One run per log folder at a time: two would mix their rows.

The lock file says which process uses the folder. The folder itself is locked as well, because a file can be deleted.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Self

from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.file_lock import FileLock, hold
from stall_then_strike.types.errors import LogError


class LogFolder:
    """A log folder locked by this process, as a context manager."""

    def __init__(self, folder: Path) -> None:
        """Lock nothing yet."""
        self._folder = folder
        self._lock = FileLock(folder / ".lock")
        self._fd: int | None = None

    def __enter__(self) -> Self:
        """Lock the folder. Raises LogError if another process uses it or it cannot be created."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock.take()
            if hasattr(os, "O_DIRECTORY"):
                self._fd = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                hold(self._fd)
        except BlockingIOError as error:
            self._let_go()
            raise LogError(f"{self._folder} is in use by another run; give this one its own by --log-dir") from error
        except OSError as error:
            self._let_go()
            raise LogError(f"{self._folder} cannot be written to: {error.strerror}") from error
        return self

    def __exit__(self, *exc: object) -> None:
        """Release the lock."""
        self._let_go()

    def _let_go(self) -> None:
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)
        self._lock.release()


def log_folders(log_dir: Path, cfg: AppConfig) -> list[Path]:
    """The folders of each instrument's logs: the log folder itself for the first, one named after the product in it for
    each of the others."""
    return [log_dir, *(log_dir / code for code in cfg.products[1:])]
