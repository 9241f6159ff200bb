"""Many tapes as one run: one message after the other, with breaks in the recording marked.

Of several instruments, the tapes of each are such a run, and the runs are merged by their stamps.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Final

from stall_then_strike.tapes.tape_files import product_of
from stall_then_strike.tapes.tape_reader import TapeError, read_tape
from stall_then_strike.tapes.wires import HEADER, MADE
from stall_then_strike.types.dto import NS_PER_S

Message = tuple[int, str | None]
"""Receive stamp and text of one frame; a text of None means that the recording was interrupted before this stamp."""

Numbered = tuple[int, tuple[int, str | None]]
"""The same with the number of the frame's instrument."""

NamedIn = Callable[[bytes], int | None]
"""The number of the instrument that a frame names; None if it names none."""

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
        is_new = not last_ns
        for line in read_tape(path, for_result=True):
            if join.is_break(path, line.recv_ns):
                is_new = True
                yield line.recv_ns, None
            if line.text.startswith(HEADER) or (line.text.startswith(MADE) and not is_new):
                continue  # the book goes on from the tape before
            last_ns = max(last_ns, line.recv_ns)
            yield line
        if last_ns:
            join.ended(last_ns)


def of_each(tapes: Sequence[Path], products: Sequence[str], named_in: NamedIn) -> Iterator[Numbered]:
    """All messages of the tapes of these instruments, merged by stamp, at equal stamps in the order of the instruments.

    A tape may be of one instrument or hold several; tapes of one must be in order of time. Raises TapeError as
    :func:`one_run`.
    """
    if len(products) == 1:
        return numbered(one_run(tapes), products, named_in)
    runs: dict[int | None, list[Path]] = {}
    for path in tapes:
        product = product_of(path)
        runs.setdefault(products.index(product) if product in products else None, []).append(path)
    ordered = sorted(runs.items(), key=lambda item: len(products) if item[0] is None else item[0])
    merged = (numbered(one_run(run), products, named_in, of=number) for number, run in ordered)
    return heapq.merge(*merged, key=itemgetter(0))


def numbered(
    messages: Iterable[Message], products: Sequence[str], named_in: NamedIn, *, of: int | None = None
) -> Iterator[Numbered]:
    """Messages with the number of the product that each names; ``of`` is that of the messages that name none."""
    if len(products) == 1:
        return ((recv_ns, (0, text)) for recv_ns, text in messages)
    return _numbered(messages, len(products), named_in, of)


def _numbered(messages: Iterable[Message], count: int, named_in: NamedIn, of: int | None) -> Iterator[Numbered]:
    for recv_ns, text in messages:
        if text is not None:
            found = named_in(text.encode())
            yield recv_ns, ((of or 0) if found is None else found, text)
        else:  # a break in tapes that may hold any product is one of all
            for number in range(count) if of is None else (of,):
                yield recv_ns, (number, None)
