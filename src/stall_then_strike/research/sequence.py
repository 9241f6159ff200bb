"""Many tapes as one run: one message after the other, and a break in the recording said as such."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from stall_then_strike.sim.tape import TapeError, read_tape
from stall_then_strike.types.dto import NS_PER_S

Message = tuple[int, str | None]
"""Receive stamp and text of one frame; no text: the recording was broken off before this moment."""

GAP_NS: Final = 20 * NS_PER_S
"""Between two tapes, a longer pause than this (four snapshots) means that another connection begins."""


def one_run(tapes: Sequence[Path]) -> Iterator[Message]:
    """All messages of the tapes in the order given. Raises TapeError if one begins before the last one ended."""
    last_ns: int | None = None
    for path in tapes:
        is_first = True
        for line in read_tape(path):
            if is_first and last_ns is not None:
                if line.recv_ns < last_ns:
                    raise TapeError(f"{path}: begins before the tape before it ends; accepted: tapes in order of time")
                if line.recv_ns - last_ns > GAP_NS:
                    yield line.recv_ns, None
            is_first = False
            last_ns = line.recv_ns if last_ns is None else max(last_ns, line.recv_ns)
            yield line
