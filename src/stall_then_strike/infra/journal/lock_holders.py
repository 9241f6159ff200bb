"""Which processes hold a lock on an SQLite file in WAL mode, for messages to the operator. Read from ``/proc/locks``.

The locks are on bytes of the ``-shm`` file (SQLite, "WAL-mode File Format", section 2.3.1): 120 for the writer, 123 to
127 for readers of a snapshot of the log. Processes that cannot be found (on other systems than Linux, or in another
namespace) are left out.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_LOCKS: Final = Path("/proc/locks")
_WRITING: Final = (120, 120)
_READING: Final = (123, 127)


def writers(database: Path) -> str:
    """The process that writes, as ``process 1234 (sqlite3)``; empty if none is known. This process is left out."""
    return ", ".join(_holders(database, "WRITE", _WRITING))


def readers(database: Path) -> str:
    """The processes that read, in the same form."""
    return ", ".join(_holders(database, "READ", _READING))


def _holders(database: Path, kind: str, held: tuple[int, int]) -> list[str]:
    try:
        shm = os.stat(database.with_name(f"{database.name}-shm"))
        lines = _LOCKS.read_text().splitlines()
    except OSError:
        return []
    file = f"{os.major(shm.st_dev):02x}:{os.minor(shm.st_dev):02x}:{shm.st_ino}"
    pids = {
        pid for pid, where, first, last in _locks(lines, kind) if where == file and first <= held[1] and last >= held[0]
    }
    return [f"process {pid}{_name(pid)}" for pid in sorted(pids - {os.getpid()})]


def _locks(lines: list[str], kind: str) -> Iterator[tuple[int, str, int, int]]:
    """Process, file and byte range of each lock of a kind, from ``1: POSIX  ADVISORY  WRITE 12 fe:01:131 120 120``."""
    for line in lines:
        words = line.split()
        if len(words) == 8 and words[3] == kind and words[4].isdigit() and words[6].isdigit() and words[7].isdigit():
            yield int(words[4]), words[5], int(words[6]), int(words[7])


def _name(pid: int) -> str:
    try:
        return f" ({Path(f'/proc/{pid}/comm').read_text().strip()})"
    except OSError:
        return ""
