"""Free space on the disks that are written to: a warning before it runs out, and a small reserve.

A full disk ends trading, because an order that cannot be journalled must not be sent. The warning comes while there is
time to act: when the free space falls below a limit, again at each halving, and once an hour.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.clock import perf_ns
from stall_then_strike.types.dto import NS_PER_S

MB: Final = 1_000_000
LOOK_S: Final = 10.0
AGAIN_NS: Final = 3_600 * NS_PER_S
_ROOM_AGAIN: Final = (11, 10)
"""Space is enough again only at this ratio to the limit: otherwise each deleted file would cause a message."""
RESERVE_BYTES: Final = 1 << 20


def nearest(folder: Path) -> Path:
    """The folder itself, or its nearest existing parent."""
    return next((path for path in (folder, *folder.absolute().parents) if path.exists()), folder)


def free_bytes(folder: Path) -> int:
    """Free bytes on the disk where a folder is or will be. Raises OSError."""
    return shutil.disk_usage(nearest(folder)).free


def written_folders(cfg: AppConfig, *folders: Path) -> tuple[Path, ...]:
    """The folders that a trader writes to: the given ones, and that of its recordings if it makes any."""
    return (*folders, Path(cfg.record.dir)) if cfg.record.enabled else folders


class DiskWatch:
    """Compares the free space of some folders with a limit, at each look."""

    def __init__(self, folders: Iterable[Path], min_free_mb: int) -> None:
        """Folders on one disk share a message."""
        self._folders = tuple(dict.fromkeys(folders))
        self._limit = min_free_mb * MB
        self._told: dict[int, tuple[int, int]] = {}
        """For each disk with a warning: its free bytes at the last message, and when that was."""

    def look(self, now_ns: int) -> list[str]:
        """The messages due now. ``now_ns`` is of any monotonic clock. It may block on a disk: call it in a thread."""
        disks: dict[int, list[Path]] = {}
        for folder in self._folders:
            with suppress(OSError):
                disks.setdefault(os.stat(nearest(folder)).st_dev, []).append(folder)
        found: list[str] = []
        for disk, folders in disks.items():
            with suppress(OSError):
                found += self._judge(disk, folders, free_bytes(folders[0]), now_ns)
        return found

    def _judge(self, disk: int, folders: list[Path], free: int, now_ns: int) -> list[str]:
        where = ", ".join(map(str, folders))
        told = self._told.get(disk)
        if free >= self._limit:
            if told is None or free < self._limit * _ROOM_AGAIN[0] // _ROOM_AGAIN[1]:
                return []
            del self._told[disk]
            return [f"{free / MB:,.0f} MB are free again for {where}"]
        if told is not None and free > told[0] // 2 and now_ns - told[1] < AGAIN_NS:
            return []
        self._told[disk] = free, now_ns
        limit = f"watch.min_free_disk_mb is {self._limit // MB:,}"
        return [
            f"only {free / MB:,.1f} MB are free for {where} ({limit}): free some, or the run ends at a failed write"
        ]


async def watch_disks(watch: DiskWatch, tell: Callable[[str], None]) -> None:
    """Check for ever, in a thread, and pass each message to ``tell``."""
    while True:
        for words in await asyncio.to_thread(watch.look, perf_ns()):
            tell(words)
        await asyncio.sleep(LOOK_S)


class Reserve:
    """A file that reserves space, to be freed when something that must be written finds a full disk."""

    def __init__(self, path: Path) -> None:
        """Write nothing yet."""
        self._path = path

    @property
    def is_kept(self) -> bool:
        """Whether the reserve exists in full size."""
        try:
            return self._path.stat().st_size >= RESERVE_BYTES
        except OSError:
            return False

    def keep(self) -> bool:
        """Create the reserve if missing; return whether it exists. Writes nothing if there is too little space."""
        if self.is_kept:
            return True
        try:
            if free_bytes(self._path.parent) < 2 * RESERVE_BYTES:
                return False
            self._path.write_bytes(os.urandom(RESERVE_BYTES))  # a compressing file system stores zeros in no space
        except OSError:
            self.release()
            return False
        return True

    def release(self) -> None:
        """Free the reserve."""
        with suppress(OSError):
            self._path.unlink()
