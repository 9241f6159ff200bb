"""Room on the disks that are written to: told before it is used up, and a little of it kept back.

A full disk ends trading, because what cannot be written must not be sent. It is told while there is time to act: when
the free space falls under a limit, again at each halving, and once an hour.
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
"""How far over the limit the space must be to count as enough again: it would be told of at each file that goes."""
RESERVE_BYTES: Final = 1 << 20


def nearest(folder: Path) -> Path:
    """The folder itself, or the nearest above it that exists."""
    return next((path for path in (folder, *folder.absolute().parents) if path.exists()), folder)


def free_bytes(folder: Path) -> int:
    """Free space where a folder is, or will be. Raises OSError."""
    return shutil.disk_usage(nearest(folder)).free


def written_folders(cfg: AppConfig, *folders: Path) -> tuple[Path, ...]:
    """Where a trader writes: these folders, and that of its recordings if it makes any."""
    return (*folders, Path(cfg.record.dir)) if cfg.record.enabled else folders


class DiskWatch:
    """Compares the free space of some folders with a limit, from one look to the next."""

    def __init__(self, folders: Iterable[Path], min_free_mb: int) -> None:
        """Folders on one disk are told of together."""
        self._folders = tuple(dict.fromkeys(folders))
        self._limit = min_free_mb * MB
        self._told: dict[int, tuple[int, int]] = {}
        """By disk: how much was free when it was told, and when."""

    def look(self, now_ns: int) -> list[str]:
        """What there is to tell. ``now_ns`` is of any clock that goes on. It may wait for a disk: for a thread."""
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
        return [f"only {free / MB:,.1f} MB are free for {where} ({limit}): make room, or it ends when a write fails"]


async def watch_disks(watch: DiskWatch, tell: Callable[[str], None]) -> None:
    """Look for ever, off the event loop."""
    while True:
        for words in await asyncio.to_thread(watch.look, perf_ns()):
            tell(words)
        await asyncio.sleep(LOOK_S)


class Reserve:
    """A file that only takes up room, until what must be written finds none."""

    def __init__(self, path: Path) -> None:
        """Nothing is made yet."""
        self._path = path

    @property
    def is_kept(self) -> bool:
        """Whether it is there, whole."""
        try:
            return self._path.stat().st_size >= RESERVE_BYTES
        except OSError:
            return False

    def keep(self) -> bool:
        """Make it if it is not there; whether it is. Leaves nothing where there is no room."""
        if self.is_kept:
            return True
        try:
            if free_bytes(self._path.parent) < 2 * RESERVE_BYTES:
                return False
            self._path.write_bytes(os.urandom(RESERVE_BYTES))  # a disk that compresses would keep no room for zeros
        except OSError:
            self.release()
            return False
        return True

    def release(self) -> None:
        """Give the room back."""
        with suppress(OSError):
            self._path.unlink()
