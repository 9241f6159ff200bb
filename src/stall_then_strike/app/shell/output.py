"""Standard output and standard error that can neither block nor end a command.

A terminal may stop reading (Ctrl-S, a hung ssh) or be closed, a pipe may be full or its reader gone, and an encoding
may lack a character. Therefore only a daemon thread per file writes there (one thread if both are the same file), from
a bounded queue. ``sys.stdout`` and ``sys.stderr`` themselves are replaced, so that this holds for everything: panel,
lines, log sinks, warnings, tracebacks. When the queue is full, the oldest text is dropped and counted; the count is
shown when the file is read again. The end of a command waits for a reader only for a moment.

A *patient* command, one that answers a question and ends, drops nothing: it waits for its reader while there is one.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import select
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Final, TextIO

from loguru import logger
from rich.control import Control

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

QUEUE_BYTES: Final = 1 << 17
"""Size of the queue, beyond the system's own buffer."""
END_S: Final = 2.0
"""How long the end of a command waits for the reader, seconds."""

_CHUNK: Final = 1 << 12
_POLL_S: Final = 1.0
_GONE: Final = frozenset({errno.EPIPE, errno.EIO, errno.EBADF, errno.ENXIO, errno.ENOTCONN, errno.ECONNRESET})
"""Errors after which a file is never written again: its reader or terminal is gone."""
_ENTER: Final = str(Control.alt_screen(enable=True)) + str(Control.show_cursor(show=False))
_LEAVE: Final = str(Control.show_cursor(show=True)) + str(Control.alt_screen(enable=False))
_SIMILAR: Final = "stall_then_strike.similar"
"""The codecs' error handler that writes a similar character of the same width for one that the encoding lacks."""
_STAND_INS: Final = str.maketrans("…·–−×µ─━│┃╭╮╰╯┌┐└┘┏┓┗┛├┤┬┴┼▁▂▃▄▅▆▇█", "~.--xu--||+++++++++++++++++_.:-=+*#")


def _similar(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end].translate(_STAND_INS)
    return "".join(char if char.isascii() else "?" for char in text), error.end


codecs.register_error(_SIMILAR, _similar)


class Outlet(io.RawIOBase):
    """A standard file and the one thread that writes to it. Writing here never fails, and blocks only if patient.

    It shows text, or for a while a panel: then only the newest frame is written, and text waits for the panel's end.
    """

    def __init__(self, fd: int, encoding: str, *, patient: bool) -> None:
        """``fd`` is open and stays open."""
        self._fd, self._encoding, self._is_patient = fd, encoding, patient
        self.name = {1: "standard output", 2: "standard error"}.get(fd, f"file {fd}")
        self._changed = threading.Condition()
        self._texts: deque[bytes] = deque()
        self._size = 0
        self._lost = 0
        """Lines dropped since the count was last shown."""
        self._frame: Callable[[], str] | None = None
        self._is_panel = self._is_over = self._is_gone = self._is_busy = False
        self._is_drawn = False
        """Whether the panel is on the screen; used by the thread only."""
        self._is_spoilt = False
        """Whether an error of drawing was logged."""
        self._thread = threading.Thread(target=self._write_all, name=self.name, daemon=True)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # signals are for the main thread
        try:
            self._thread.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    # --- as a file

    def writable(self) -> bool:
        """Always True."""
        return True

    def fileno(self) -> int:
        """The file's own descriptor."""
        return self._fd

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return os.isatty(self._fd)

    def write(self, data: ReadableBuffer) -> int:
        """Queue bytes to be written. The bytes of one call are dropped together or not at all."""
        text = bytes(data)
        with self._changed:
            if self._is_patient:
                self._changed.wait_for(lambda: self._is_gone or self._is_over or self._size < QUEUE_BYTES)
            if not self._is_gone and not self._is_over:
                self._texts.append(text)
                self._size += len(text)
                while self._size > QUEUE_BYTES and len(self._texts) > 1 and not self._is_patient:
                    self._lose(self._texts.popleft())
                self._changed.notify_all()
        return len(text)

    def _lose(self, text: bytes) -> None:
        self._size -= len(text)
        self._lost += max(1, text.count(b"\n"))

    # --- as a panel

    def draw(self, frame: Callable[[], str]) -> None:
        """Show a frame as soon as the terminal reads, unless a newer one comes first. The thread calls ``frame``."""
        with self._changed:
            self._is_panel, self._frame = True, frame
            self._changed.notify_all()

    def end_panel(self) -> None:
        """Restore the terminal and show the text that was written meanwhile."""
        with self._changed:
            self._is_panel, self._frame = False, None
            self._changed.notify_all()

    # --- the end

    def drain(self) -> bool:
        """Wait until all is written (END_S; if patient, while there is a reader); return whether it is."""
        self.end_panel()
        with self._changed:
            return self._changed.wait_for(
                lambda: self._is_gone or not (self._has_work() or self._is_busy),
                None if self._is_patient else END_S,
            )

    def finish(self) -> None:
        """Accept no more and end the thread, unless it still waits for a reader. The file may be closed afterwards."""
        is_written = self.drain()
        with self._changed:
            self._is_over = True
            self._changed.notify_all()
        if is_written:
            self._thread.join()

    # --- the thread

    def _write_all(self) -> None:
        try:
            while self._write_next():
                pass
        except OSError as error:
            if not self._is_patient:
                logger.info("{} has no reader any more ({}); the run goes on", self.name, error.strerror)
        finally:
            with self._changed:
                self._is_gone, self._size = True, 0
                self._texts.clear()
                self._changed.notify_all()

    def _write_next(self) -> bool:
        """Wait for something and write it; return False when nothing more will come."""
        with self._changed:
            self._is_busy = False
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._is_over or self._has_work())
            self._is_busy = True
            frame, self._frame, is_panel, is_over = self._frame, None, self._is_panel, self._is_over
            texts = [] if is_panel else list(self._texts)
            if texts:
                self._texts.clear()
                self._size = 0
            lost = 0 if is_panel else self._lost
            self._lost -= lost
            self._changed.notify_all()
        if frame is not None:
            self._put(f"{'' if self._is_drawn else _ENTER}{self._drawn(frame)}".encode(self._encoding, _SIMILAR))
            self._is_drawn = True
        elif self._is_drawn and not is_panel:
            self._put(_LEAVE.encode(self._encoding))
            self._is_drawn = False
        if lost and not self._put(f"... {lost:,} lines not shown\n".encode(self._encoding)):
            with self._changed:
                self._lost += lost
        for text in texts:
            self._put(text)
        return not is_over

    def _has_work(self) -> bool:
        return self._frame is not None if self._is_panel else self._is_drawn or bool(self._texts)

    def _drawn(self, frame: Callable[[], str]) -> str:
        try:
            return frame()
        except Exception as error:  # noqa: BLE001 - text must still be written, whatever is wrong with a frame
            if not self._is_spoilt:
                self._is_spoilt = True
                logger.opt(exception=error).error("the panel cannot be drawn")
            return f"the panel cannot be drawn: {error!r}"

    def _put(self, data: bytes) -> bool:
        """Write, however long it takes; return False if the data was lost. Raises OSError if the reader is gone."""
        left = memoryview(data)
        while left:
            try:
                left = left[os.write(self._fd, left[:_CHUNK]) :]
            except BlockingIOError:  # another process that shares the file made it non-blocking
                select.select((), (self._fd,), (), _POLL_S)
            except OSError as error:
                if error.errno in _GONE:
                    raise
                with self._changed:  # for instance a full disk, which may recover
                    self._lost += data.count(b"\n")
                return False
        return True


def outlet_of(file: IO[str]) -> Outlet | None:
    """The outlet behind a stream; None if it has none."""
    raw = getattr(file, "buffer", None)
    return raw if isinstance(raw, Outlet) else None


@contextmanager
def watched(*, patient: bool) -> Iterator[None]:
    """Put outlets behind ``sys.stdout`` and ``sys.stderr``; at the end, write what is queued, if there is a reader.

    Behind the process's own streams the outlets stay, so that the interpreter's exit cannot block either.
    """
    _fill_standard_files()
    streams, outlets = (sys.stdout, sys.stderr), dict[int, Outlet]()
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115 - open as long as the process
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # `stty tostop` would stop a background process that writes
    try:
        sys.stdout, sys.stderr = _behind(streams[0], 1, outlets, patient), _behind(streams[1], 2, outlets, patient)
        yield
    finally:
        for outlet in set(outlets.values()):
            outlet.drain()
        if streams != (sys.__stdout__, sys.__stderr__):
            sys.stdout, sys.stderr = streams
            for outlet in outlets.values():
                outlet.finish()


def _behind(stream: TextIO | None, number: int, outlets: dict[int, Outlet], patient: bool) -> TextIO:
    """A stream like this one with an outlet behind it. A stream that is not a file cannot block and is kept."""
    if stream is not None:
        if outlet_of(stream) is not None:
            return stream
        try:
            number = stream.fileno()
        except (OSError, ValueError):
            return stream
        stream.flush()
    encoding = "utf-8" if stream is None else stream.encoding
    same = (outlet for fd, outlet in outlets.items() if os.path.sameopenfile(fd, number))
    outlets[number] = outlet = next(same, None) or Outlet(number, encoding, patient=patient)
    return io.TextIOWrapper(outlet, encoding=encoding, errors=_SIMILAR, write_through=True)


def _fill_standard_files() -> None:
    """Open closed standard files, or the next opened file, such as a journal, would get their number."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number
