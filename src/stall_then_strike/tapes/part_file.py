"""A zstd file that is being written: ``NAME.part`` until it is complete, then renamed to ``NAME`` in one step.

Everything that was flushed stays readable even if the process is killed, because each flush ends a block of the zstd
frame. After a failed write (a full disk) the file is cut back to the last flush, so that it ends at a block.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import zstandard

PART: Final = ".part"
LEVEL: Final = 6
"""Compression level. A snapshot mostly repeats the previous one, so the window matters most; the top levels cost ten
times the CPU for a few per cent."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A file whose content is complete."""

    bytes: int
    sha256: str


class PartFile:
    """One file, written sequentially."""

    def __init__(self, path: Path, *, part: str = PART) -> None:
        """Create ``path`` with the suffix ``part``. Raises OSError, FileExistsError if it exists."""
        self.path = path
        self.part = path.with_name(path.name + part)
        fd = os.open(self.part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        self._raw = os.fdopen(fd, "wb", buffering=0)
        self._frame = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True).compressobj()
        self._sha256 = hashlib.sha256()
        self._bytes = 0
        self._flushed = 0
        self._is_dirty = False

    def write(self, data: bytes) -> None:
        """Add to the content. Raises OSError."""
        self._is_dirty = True
        self._put(self._frame.compress(data))

    def flush(self) -> None:
        """Make everything so far readable for others. Raises OSError."""
        if self._is_dirty:
            self._put(self._frame.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK))
            self._flushed = self._bytes
            self._is_dirty = False

    def seal(self) -> Sealed:
        """End the content and sync it to the disk. Raises OSError."""
        self._put(self._frame.flush(zstandard.COMPRESSOBJ_FLUSH_FINISH))
        os.fsync(self._raw.fileno())
        self._raw.close()
        return Sealed(self._bytes, self._sha256.hexdigest())

    def publish(self) -> None:
        """Rename a sealed file to its final name. Raises OSError."""
        self.part.replace(self.path)
        sync_folder(self.path.parent)

    def abandon(self) -> None:
        """Leave the file under its ``.part`` name, cut back to the last flush. Raises nothing."""
        with suppress(OSError, ValueError):  # ValueError: it is closed
            os.ftruncate(self._raw.fileno(), self._flushed)
        with suppress(OSError):
            self._raw.close()

    def _put(self, packed: bytes) -> None:
        rest = memoryview(packed)
        while rest:
            count = self._raw.write(rest) or 0
            self._sha256.update(rest[:count])
            self._bytes += count
            rest = rest[count:]


def write_whole(path: Path, content: bytes) -> None:
    """Write a small file atomically: others see it complete or not at all. Raises OSError."""
    temporary = path.with_name(path.name + ".new")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def sync_folder(folder: Path) -> None:
    """Sync the names in a folder to the disk. Raises OSError."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
