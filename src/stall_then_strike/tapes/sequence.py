"""Many tapes as one run: one message after the other, with breaks in the recording marked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from stall_then_strike.tapes.tape_reader import TapeError, read_tape
from stall_then_strike.types.dto import NS_PER_S

Message = tuple[int, str | None]
"""Receive stamp and text of one frame; a text of None means that the recording was interrupted before this stamp."""

GAP_NS: Final = 20 * NS_PER_S
"""A pause between two tapes longer than this (four snapshots) means that the next one is of a new connection."""


class Joints:
    """Detects breaks between the end of one tape and the beginning of the next."""

    def __init__(self) -> None:
        """Start before the first tape."""
        self._last_ns: int | None = None
        self._path: Path | None = None

    def is_break(self, path: Path, recv_ns: int) -> bool:
        """Whether the recording was interrupted before this message of the tape ``path``.

        Raises TapeError if the tape begins before the previous one ended.
        """
        if path == self._path:
            return False
        self._path = path
        if self._last_ns is None:
            return False
        if recv_ns < self._last_ns:
            raise TapeError(f"{path}: begins before the previous tape ends; accepted: tapes in order of time")
        return recv_ns - self._last_ns > GAP_NS

    def ended(self, last_ns: int) -> None:
        """A tape ended; ``last_ns`` is the latest stamp so far."""
        self._last_ns, self._path = last_ns, None


def one_run(tapes: Sequence[Path]) -> Iterator[Message]:
    """All messages of the tapes in the given order. Raises TapeError if a tape begins before the previous one ended."""
    join, last_ns = Joints(), 0
    for path in tapes:
        for line in read_tape(path, for_result=True):
            if join.is_break(path, line.recv_ns):
                yield line.recv_ns, None
            last_ns = max(last_ns, line.recv_ns)
            yield line
        if last_ns:
            join.ended(last_ns)
