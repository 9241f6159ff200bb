"""Checks, cuts, merges and generates tapes. Everything is streamed, in constant memory."""

from __future__ import annotations

import heapq
import os
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any, Final, Self

import orjson

from stall_then_strike.config.models import ExchangeConfig
from stall_then_strike.sim.exchange.source import iter_frames
from stall_then_strike.sim.market import Market
from stall_then_strike.tapes.part_file import PartFile, write_whole
from stall_then_strike.tapes.tape_audit import TapeAudit
from stall_then_strike.tapes.tape_reader import Stamps, TapeError, TapeLine, TapeStatistics, read_tape
from stall_then_strike.tapes.tape_writer import MANIFEST_VERSION, manifest_path, tape_line
from stall_then_strike.tapes.wires import HEADER, made_snapshot
from stall_then_strike.types.dto import NS_PER_S

MIN_AGREED: Final = 0.99
"""Least share of board messages whose mid price equals the book's. The real feed misses a deletion now and then."""
TWICE_S: Final = 5.0
"""How far apart two recorders may stamp the same message, in seconds."""


@dataclass(frozen=True, slots=True)
class Audited:
    """The audit of a tape, read to its end or as far as possible."""

    path: Path
    size: int
    audit: TapeAudit
    statistics: TapeStatistics
    stamps: Stamps
    error: str
    """Why it cannot be read any further; empty if it can."""


def audit_tape(path: Path, exchange: ExchangeConfig | None = None, *, gap_s: float | None = None) -> Audited:
    """Read a tape once. Raises OSError."""
    audit, reader, stamps, error = TapeAudit(exchange, gap_s=gap_s), read_tape(path), Stamps(), ""
    try:
        for line in reader:
            stamps.take(line.recv_ns, line.text)
            audit.add(line.recv_ns, orjson.loads(line.text), len(line.text))
    except TapeError as broken:
        error = str(broken)
    return Audited(path, path.stat().st_size, audit, reader.statistics(), stamps, error)


def faults_of(tape: Audited, *, min_agreed: float = MIN_AGREED) -> list[str]:
    """What is wrong with a tape, as texts; empty for a good one. Compares it with its manifest, if there is one."""
    return _faults_of_stream(tape) + _faults_of_books(tape.audit, min_agreed) + _against_manifest(tape)


def _faults_of_stream(tape: Audited) -> list[str]:
    audit, found = tape.audit, []
    if tape.error:
        found.append(tape.error)
    if tape.statistics.truncated or tape.statistics.is_unfinished:
        found.append("the end is cut off: by a crash, or because it is still being recorded")
    if not audit.messages:
        found.append("no message")
    if tape.stamps.not_ns:
        found.append(tape.stamps.unit_words())
    if tape.stamps.apart:
        found.append(tape.stamps.apart_words())
    if audit.backwards:
        found.append(f"{audit.backwards:,} stamps are earlier than the previous one")
    if audit.unreadable:
        found.append(f"{audit.unreadable:,} frames are not JSON")
    for name, facts in sorted(audit.channels.items()):
        if facts.gaps:
            found.append(
                f"{name}: {facts.gaps:,} gaps of more than {facts.limit_ns / NS_PER_S:g} s, "
                f"the longest {facts.longest_ns / NS_PER_S:.1f} s"
            )
    return found


def _faults_of_books(audit: TapeAudit, min_agreed: float) -> list[str]:
    found = []
    for product, book in audit.books().items():
        if not book.snapshots:
            found.append(f"{product}: no board snapshot")
        elif book.agreed < min_agreed * book.checked:
            found.append(f"{product}: the mid price agrees in only {book.agreed:,} of {book.checked:,} board messages")
        if book.gaps:
            found.append(f"{product}: {book.gaps:,} time(s) the book misses messages")
        if not book.executions:
            found.append(f"{product}: no executions, so it cannot show any fill")
        found.extend(f"{product}: {count:,} frames refused: {kind}" for kind, count in book.refused.items())
    if not audit.products and audit.messages:
        found.append("no public channel")
    return found


def _against_manifest(tape: Audited) -> list[str]:
    path = manifest_path(tape.path)
    if path == tape.path or not path.is_file():
        return []
    try:
        manifest: Any = orjson.loads(path.read_bytes())
        expected, lost = manifest["sha256"], manifest.get("lost", 0)
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        return [f"{path}: not a manifest: {error!r}"]
    found = []
    if sha256_of(tape.path) != expected:
        found.append(f"the file does not match {path.name}: SHA-256 differs")
    if lost:
        found.append(f"{lost:,} frames were lost while it was recorded: the disk was too slow")
    return found


def sha256_of(path: Path) -> str:
    """SHA-256 of a file in hex. Raises OSError."""
    whole = sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            whole.update(chunk)
    return whole.hexdigest()


class TapeOutput:
    """A new tape, zstd if its name ends in ``.zst``, else plain. It exists only if the ``with`` block succeeds."""

    def __init__(self, path: Path) -> None:
        """Create nothing yet."""
        self.messages = 0
        self._path = path
        self._temporary = path.with_name(path.name + ".new")

    def __enter__(self) -> Self:
        """Begin. Raises OSError, FileExistsError if the file exists."""
        if self._path.exists():
            raise FileExistsError(17, "exists already", str(self._path))
        self._temporary.unlink(missing_ok=True)
        self._file = PartFile(self._path, part=".new") if self._path.suffix == ".zst" else self._temporary.open("wb")
        return self

    def write(self, recv_ns: int, text: str) -> None:
        """Add a message. Raises OSError."""
        self._file.write(tape_line(recv_ns, text.encode()))
        self.messages += 1

    def __exit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        """Publish the tape, or remove it after an exception. Raises OSError."""
        try:
            if not isinstance(self._file, PartFile):
                with self._file:
                    self._file.flush()
                    os.fsync(self._file.fileno())
            elif kind is None:
                self._file.seal()
            else:
                self._file.abandon()
            if kind is None:
                self._temporary.replace(self._path)
        finally:
            self._temporary.unlink(missing_ok=True)


def cut(path: Path, from_ns: int | None, to_ns: int | None) -> Iterator[TapeLine]:
    """Messages in ``[from_ns, to_ns)``; None means no bound. Raises TapeError, OSError.

    The whole tape is read, because its stamps need not be in order. The book begins with the first snapshot in the cut.
    A tape of Lighter, where there is only one, gets the book at that moment.
    """
    audit, own = TapeAudit(), list[TapeLine]()
    for line in read_tape(path):
        if line.text.startswith(HEADER):
            audit.take_header(orjson.loads(line.text))
            own.append(line)
        elif from_ns is not None and line.recv_ns < from_ns:
            if own:
                audit.add(line.recv_ns, orjson.loads(line.text), len(line.text))
        elif to_ns is None or line.recv_ns < to_ns:
            if own:
                yield from _beginning(own, audit, line.recv_ns)
                own = []
            yield line


def _beginning(own: Sequence[TapeLine], audit: TapeAudit, recv_ns: int) -> Iterator[TapeLine]:
    """What the recorder says at the beginning of a tape, at this stamp, and the books so far."""
    for line in own:
        yield TapeLine(recv_ns, line.text)
    for feed in audit.feeds.values():
        if (made := made_snapshot(feed)) is not None:
            yield TapeLine(recv_ns, made.decode())


def merge(paths: Sequence[Path], *, twice_s: float | None = None) -> Iterator[TapeLine]:
    """All messages by stamp; equal stamps in the order of the tapes. Raises TapeError, OSError.

    With ``twice_s``, a message that another tape had within that many seconds is left out as a copy. A repetition on
    the same tape is not a copy: each text is kept as often as on the tape that has it most often.
    """
    sources = [_numbered(number, path) for number, path in enumerate(paths)]
    lines = heapq.merge(*sources, key=lambda entry: entry[0].recv_ns)
    if twice_s is None:
        return (line for line, _ in lines)
    return _without_copies(lines, int(twice_s * NS_PER_S))


def _numbered(number: int, path: Path) -> Iterator[tuple[TapeLine, int]]:
    last_ns = 0
    for line in read_tape(path):
        if line.recv_ns < last_ns:
            raise TapeError(f"{path}: cannot be merged: stamp {line.recv_ns} is earlier than the previous one")
        last_ns = line.recv_ns
        yield line, number


def _without_copies(lines: Iterable[tuple[TapeLine, int]], window_ns: int) -> Iterator[TapeLine]:
    counts: dict[bytes, Counter[int]] = {}
    recent: deque[tuple[int, bytes, int]] = deque()
    for line, number in lines:
        while recent and line.recv_ns - recent[0][0] > window_ns:
            _, old, source = recent.popleft()
            counts[old][source] -= 1
            if not counts[old].total():
                del counts[old]
        key = blake2b(line.text.encode(), digest_size=16).digest()
        seen = counts.setdefault(key, Counter())
        most = max(seen.values(), default=0)
        seen[number] += 1
        recent.append((line.recv_ns, key, number))
        if seen[number] > most:
            yield line


def generate(seed: int, start_ns: int, seconds: float) -> Iterator[TapeLine]:
    """Messages of the simulated market; equal arguments give equal messages."""
    for frame in iter_frames(Market(seed=seed, start_ns=start_ns), start_ns + int(seconds * NS_PER_S)):
        yield TapeLine(frame.time_ns, frame.text)


def write_tape(path: Path, lines: Iterable[TapeLine], market: str | None = None) -> int:
    """Write a tape, and a manifest if it is known of what ``market`` it is; return its number of messages.

    Raises OSError, TapeError.
    """
    with TapeOutput(path) as output:
        for line in lines:
            output.write(line.recv_ns, line.text)
    if market is not None:
        about = {"version": MANIFEST_VERSION, "file": path.name, "sha256": sha256_of(path), "market": market}
        write_whole(manifest_path(path), orjson.dumps(about, option=orjson.OPT_INDENT_2) + b"\n")
    return output.messages
