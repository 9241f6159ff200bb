"""Compresses the CSVs of runs: ``trades-20261130.csv`` becomes ``trades-20261130.csv.zst``, which all readers read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import zstandard

from stall_then_strike.infra.logs.run_files import KINDS, PACKED, day_files, read_whole
from stall_then_strike.infra.logs.run_list import Run, folder_held
from stall_then_strike.types.errors import LogError

_LEVEL: Final = 9


def packable(run: Run) -> list[Path]:
    """The CSVs of a run that are not packed; none of one that goes on, or whose last fills may still be added."""
    record = run.record
    if record is None or (record.ended is None and record.mended is None) or run.is_running:
        return []
    return [path for path in _files(run) if path.suffix != PACKED]


def pack(run: Run) -> int:
    """Pack a run's CSVs; the bytes that this frees. Raises LogError; a file that could not be packed is as it was."""
    try:
        with folder_held(run.files.folder):
            return sum(map(_pack, packable(run)))
    except OSError as error:
        raise LogError(f"{error.filename or run.files.folder} cannot be packed: {error.strerror}") from error


def _files(run: Run) -> Iterator[Path]:
    for folder in run.files.each:
        for kind in KINDS:
            yield from (path for _, path in day_files(folder, kind))


def _pack(path: Path) -> int:
    packed = path.with_name(path.name + PACKED)
    new = path.with_name(f".{packed.name}.new{PACKED}")
    raw, before = path.read_bytes(), path.stat()
    try:
        with new.open("wb") as file:
            file.write(zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compress(raw))
            file.flush()
            os.fsync(file.fileno())
        if read_whole(new) != raw:
            raise OSError(0, "what was written is not what is read", str(new))
        os.utime(new, ns=(before.st_atime_ns, before.st_mtime_ns))
        new.replace(packed)
    finally:
        new.unlink(missing_ok=True)
    path.unlink()
    return before.st_size - packed.stat().st_size
