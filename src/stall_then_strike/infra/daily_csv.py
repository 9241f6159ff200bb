"""One CSV file a UTC day, continued where it was left, that loses nothing when a write fails.

Written with plain ``write`` calls on an appending descriptor: what the disk did not take, down to half a line, is kept
and offered again, so a disk that was full for a while leaves no hole and no torn line. A file that a crash cut off in
the middle of a line is continued on a fresh one. Knows no row types and no threads.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from stall_then_strike.types.errors import LogError

# A row is one line: what comes from outside shall not break it.
_BREAKS: Final = str.maketrans({"\n": " ", "\r": " ", "\0": " "})


def csv_line(cells: Sequence[str]) -> str:
    """One line with its end, quoted only where CSV asks for it."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow([cell.translate(_BREAKS) for cell in cells])
    return text.getvalue()


class DailyCsv:
    """``<folder>/<kind>-YYYYMMDD.csv``, whose day is the day of the rows."""

    def __init__(self, folder: Path, kind: str, columns: Sequence[str]) -> None:
        """Make the folder and see that it can be written to. Raises LogError with the path and the reason."""
        self.folder = folder
        self.kind = kind
        self.columns = tuple(columns)
        self._header = csv_line(columns).encode()
        self._day: str | None = None
        self._fd: int | None = None
        self._pending = bytearray()
        probe = folder / f".{kind}-write-test"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            probe.write_bytes(b"written to see whether the disk takes it\n")
            probe.unlink()
        except OSError as error:
            raise LogError(f"{folder} cannot be written to: {error.strerror}") from error

    @property
    def path(self) -> Path:
        """The file of the day that is being written; the folder before the first."""
        return self.folder if self._day is None else self.folder / f"{self.kind}-{self._day}.csv"

    @property
    def has_unwritten(self) -> bool:
        """Whether the disk still owes us something."""
        return bool(self._pending)

    def append(self, day: str, line: str) -> None:
        """Add one line to the file of a day. It is on its way to the disk after :meth:`flush`.

        Raises LogError when the day changes and either file cannot be written; then the line is not taken.
        """
        if day != self._day or self._fd is None:
            self.open(day)
        self._pending += line.encode("utf-8", "backslashreplace")

    def open(self, day: str) -> None:
        """Open the file of a day, with its header if it has none. Raises LogError."""
        self.close()
        self._day = day
        fd: int | None = None
        try:
            fd = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            start = self._missing_start(fd)
        except (OSError, LogError) as error:
            if fd is not None:
                os.close(fd)
            raise (self._error(error) if isinstance(error, OSError) else error) from error
        self._fd = fd
        self._pending += start
        self.flush()

    def flush(self) -> None:
        """Hand everything to the operating system. Raises LogError, and keeps what it did not take."""
        if self._fd is None:
            return
        try:
            while self._pending:
                del self._pending[: os.write(self._fd, self._pending)]
        except OSError as error:
            raise self._error(error) from error

    def close(self) -> None:
        """Flush and close. Raises LogError and stays open when the flush fails."""
        self.flush()
        if self._fd is not None:
            fd, self._fd = self._fd, None
            os.close(fd)

    def abandon(self) -> None:
        """Close, and give up on what could not be written."""
        self._pending.clear()
        if self._fd is not None:
            fd, self._fd = self._fd, None
            os.close(fd)

    def _missing_start(self, fd: int) -> bytes:
        """What has to come before the first new row: a header or the rest of one, or the end of a cut line."""
        size = os.fstat(fd).st_size
        if size == 0:
            return self._header
        start = os.pread(fd, len(self._header) + 8, 0)
        if len(start) < len(self._header) and self._header.startswith(start):
            return self._header[len(start) :]
        first = start.removeprefix(b"\xef\xbb\xbf").splitlines()[0]  # a spreadsheet may have saved it in its own way
        if first != self._header.rstrip(b"\n"):
            raise LogError(f"{self.path} has other columns than {','.join(self.columns)}; move it away")
        return b"" if os.pread(fd, 1, size - 1) == b"\n" else b"\n"

    def _error(self, error: OSError) -> LogError:
        return LogError(f"{self.path} cannot be written: {error.strerror}")
