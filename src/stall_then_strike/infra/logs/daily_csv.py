"""One CSV file per UTC day, continued where it ended, that loses no row if a write fails or others touch the file.

Rows are written with plain ``write`` calls on an append descriptor. What the disk did not take, even half a line, is
kept and written again later, so a disk that was full for a while leaves no gap and no torn line. If a crash cut a file
off in the middle of a line, the next row begins on a new line. Knows no row types and no threads.

Other programs rotate, truncate, move, delete and rewrite these files, even while they are written. So each flush checks
the file first:

- Truncated to nothing: a header is written first.
- Moved or deleted: a new file with a header is started.
- Replaced by another program's copy: the copy is kept as ``NAME.csv.old``, and the file goes on as we wrote it.
- Rewritten in place, or found at the start, in a form that is not ours: it is kept as ``NAME.csv.old``, and a new file
  is started with those of its rows that can be converted with certainty.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Final

from loguru import logger

from stall_then_strike.infra.logs.csv_dialects import BOM, as_written, csv_line, has_header
from stall_then_strike.types.errors import LogError

_BLOCK: Final = 1 << 20


class DailyCsv:
    """``<folder>/<kind>-YYYYMMDD.csv``, one file for the rows of each day."""

    def __init__(self, folder: Path, kind: str, columns: Sequence[str]) -> None:
        """Create the folder and check that it can be written to. Raises LogError with the path and the reason."""
        self.folder = folder
        self.kind = kind
        self.columns = tuple(columns)
        self._header = csv_line(columns).encode()
        self._day: str | None = None
        self._fd: int | None = None
        self._is_regular = False
        self._start = bytearray()
        """Written before ``_pending``: a header, the end of a cut line, or rows that were taken over."""
        self._pending = bytearray()
        self._torn = b""
        """The part of ``_pending``'s first line that is in the file already."""
        self._size = 0
        """The expected length of the file, if nobody else has changed it."""
        probe = folder / f".{kind}-write-test"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            probe.write_bytes(b"written to see whether the disk takes it\n")
            probe.unlink()
        except OSError as error:
            raise LogError(f"{folder} cannot be written to: {error.strerror}") from error

    @property
    def path(self) -> Path:
        """The file that is being written; the folder before the first file."""
        return self.folder if self._day is None else self.folder / f"{self.kind}-{self._day}.csv"

    @property
    def has_unwritten(self) -> bool:
        """Whether anything is waiting to be written."""
        return bool(self._start or self._pending)

    def append(self, day: str, line: str) -> None:
        """Add one line to the file of a day; :meth:`flush` hands it to the operating system.

        Raises LogError if the day changes and either file cannot be written; then the line is not added.
        """
        if day != self._day or self._fd is None:
            self.open(day)
        self._pending += line.encode("utf-8", "backslashreplace")

    def open(self, day: str) -> None:
        """Open the file of a day, with its header if it has none. Raises LogError."""
        self.close()
        self._day = day
        try:
            self._begin()
        except OSError as error:
            raise self._error(error) from error
        self.flush()

    def flush(self) -> None:
        """Hand everything to the operating system. Raises LogError; what could not be written is kept."""
        if self._fd is None and not self.has_unwritten:
            return
        try:
            if self._fd is None:
                self._begin()  # starting a new file failed the last time
            self._look()
            if self.has_unwritten:
                self._write()
                self._look()  # the file may have been truncated between the check and the write
                self._write()
        except OSError as error:
            raise self._error(error) from error

    def close(self) -> None:
        """Flush and close. Raises LogError and stays open when the flush fails."""
        self.flush()
        self._let_go()

    def abandon(self) -> None:
        """Close, and drop what could not be written."""
        self._start.clear()
        self._pending.clear()
        self._torn = b""
        self._let_go()

    # --- the open file

    def _let_go(self) -> None:
        if self._fd is not None:
            fd, self._fd = self._fd, None
            os.close(fd)

    def _write(self) -> None:
        """Write what is waiting. Raises OSError; what could not be written is kept."""
        if self._fd is None:
            raise AssertionError("the file is open")
        while self._start:
            taken = os.write(self._fd, self._start)
            self._size += taken
            del self._start[:taken]
        while self._pending:
            taken = os.write(self._fd, self._pending)
            self._size += taken
            self._torn = (self._torn + self._pending[:taken]).rpartition(b"\n")[2]
            del self._pending[:taken]

    def _begin(self) -> None:
        """Open the file of the day and prepare what must be written before the waiting rows. Raises OSError."""
        self.folder.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        fd = os.open(self.path, flags, 0o644)
        try:
            start = self._missing_start(fd)
            if start is None:
                kept, rows = self._set_aside(), as_written(_content(fd), self.columns)
                what = "an empty file is started" if rows is None else "its rows are copied into a new file"
                logger.warning("{}: not in this program's format; kept as {}, {}", self.path, kept.name, what)
                old, fd = fd, os.open(self.path, flags, 0o644)
                os.close(old)
                start = self._header if rows is None else rows
            opened = os.fstat(fd)
        except BaseException:
            os.close(fd)
            raise
        self._fd, self._size, self._is_regular = fd, opened.st_size, stat.S_ISREG(opened.st_mode)
        self._start[:] = start
        self._pending[:0] = self._torn
        self._torn = b""

    def _look(self) -> None:
        """Check whether others have changed the file since the last write, and repair it. Raises OSError."""
        if self._fd is None:
            raise AssertionError("the file is open")
        ours = os.fstat(self._fd)
        if not self._is_regular or not stat.S_ISREG(ours.st_mode):
            return
        try:
            there = self.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            there = None
        if there is not None and os.path.samestat(ours, there):
            if ours.st_size != self._size:
                self._resume(ours.st_size)
            return
        if there is None or ours.st_nlink or not there.st_size:
            logger.warning("{} was moved or deleted while it was written: a new file is started", self.path)
            self._let_go()
            self._begin()
        else:
            self._restore(ours.st_size)

    def _resume(self, size: int) -> None:
        """Continue in the same file after others have shortened, lengthened or rewritten it."""
        if size < self._size:
            logger.warning("{} was truncated or rewritten by another program while it was written", self.path)
        self._let_go()
        self._begin()

    def _restore(self, size: int) -> None:
        """Rebuild the file from our open descriptor after another program has replaced it with its own copy."""
        if self._fd is None:
            raise AssertionError("the file is open")
        whole = self.path.with_name(f".{self.path.name}.whole")
        new = os.open(whole, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            at = 0
            while at < size and (block := os.pread(self._fd, _BLOCK, at)):
                at += os.write(new, block)
            kept = self._set_aside()
            os.rename(whole, self.path)
        except BaseException:
            os.close(new)
            whole.unlink(missing_ok=True)
            raise
        logger.warning(
            "{} was replaced by another program: its copy is kept as {}, the log goes on", self.path, kept.name
        )
        self._let_go()
        self._fd, self._size = new, at

    def _set_aside(self) -> Path:
        """Rename the file at our path to a free ``.old`` name; return that. Raises OSError."""
        names = (self.path.with_name(f"{self.path.name}.old{f'-{n}' if n > 1 else ''}") for n in count(1))
        kept = next(name for name in names if not name.exists())
        os.rename(self.path, kept)
        return kept

    def _missing_start(self, fd: int) -> bytes | None:
        """What must be written before the first new row: a header or the rest of one, or the end of a cut line.

        None if the file is not in our form.
        """
        size = os.fstat(fd).st_size
        if size == 0:
            return self._header
        start = os.pread(fd, len(self._header) + len(BOM) + 1, 0)
        bare = start.removeprefix(BOM)
        if len(bare) < len(self._header) and self._header.startswith(bare):
            if bare != start:
                os.ftruncate(fd, 0)  # drop the byte order mark
                return self._header
            return self._header[len(bare) :]
        if not has_header(start, self.columns):
            return None
        return b"" if os.pread(fd, 1, size - 1) == b"\n" else b"\n"

    def _error(self, error: OSError) -> LogError:
        return LogError(f"{self.path} cannot be written: {error.strerror}")


def _content(fd: int) -> bytes:
    blocks = []
    at = 0
    while block := os.pread(fd, _BLOCK, at):
        blocks.append(block)
        at += len(block)
    return b"".join(blocks)
