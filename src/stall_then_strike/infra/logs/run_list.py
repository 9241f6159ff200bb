"""The runs of a log folder, for readers.

A folder in which CSVs lie directly, as older versions wrote them, is one run without a record: the unknown run. It has
the rows of all runs that used the folder.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, Self

from stall_then_strike.infra.file_lock import hold, share
from stall_then_strike.infra.logs.run_files import KINDS, LATEST, RunFiles, day_files
from stall_then_strike.infra.logs.run_record import REAL_TIME, UNKNOWN, RunRecord, read_record
from stall_then_strike.types.errors import ConfigError

_LISTED: Final = 10
_HEADER: Final = 110
"""Bytes: more than any header has, and fewer than a header and a row."""


@dataclass(frozen=True)
class Run:
    """A run of the past or one that is going."""

    files: RunFiles
    record: RunRecord | None
    """None for the unknown run."""

    @property
    def name(self) -> str:
        """What ``--run`` calls it."""
        return UNKNOWN if self.record is None else self.files.folder.name

    @property
    def mode(self) -> str:
        """Its mode."""
        return UNKNOWN if self.record is None else self.record.mode

    @cached_property
    def is_running(self) -> bool:
        """Whether a process holds its folder, as of the first question."""
        return self.record is not None and self.record.ended is None and is_held(self.files.folder)

    @cached_property
    def has_rows(self) -> bool:
        """Whether it has rows, as of the first question."""
        if self.record is not None and self.record.ended is not None:
            return self.record.first_row is not None
        return any(
            path.stat().st_size > _HEADER
            for folder in (self.files.each if self.record is not None else [self.files.folder])
            for kind in KINDS
            for _, path in day_files(folder, kind)
        )

    @property
    def journal(self) -> Path | None:
        """Its journal by its record, which may be gone; None if it kept none, or is unknown."""
        named = None if self.record is None else self.record.journal
        return None if named is None else self.files.folder / named

    @property
    def story(self) -> tuple[object, ...]:
        """Equal for runs that are restarts of one another in real time; others are each their own."""
        record = self.record
        if record is None or record.mode not in REAL_TIME:
            return (self.files.folder,)
        return self.kind

    @property
    def kind(self) -> tuple[object, ...]:
        """Equal for runs whose rows may be put together: of one mode, on one venue and with the same instruments."""
        record = self.record
        if record is None:
            return (UNKNOWN,)
        source = record.source if record.mode in REAL_TIME else ""
        return record.mode, record.venue, source, record.instruments

    @property
    def how_it_ended(self) -> str:
        """In words."""
        if self.record is None:
            return UNKNOWN
        if self.record.ended is not None:
            return self.record.end or "reason not recorded"
        return "running" if self.is_running else "killed"

    def line(self) -> str:
        """The run as one line."""
        record = self.record
        if record is None:
            return f"run {UNKNOWN}: rows in {self.files.folder} of an older version, perhaps of several runs"
        began = record.started[:19].replace("T", " ")
        end = self.how_it_ended
        if record.ended is not None:
            end = f"ended {record.ended[:19].replace('T', ' ')} UTC, {end}"
        what = f"{record.mode}, {' and '.join(record.instruments)} of {record.venue}, {record.source}"
        return f"run {self.name}: {what}, started {began} UTC, {end}"


@contextmanager
def folder_held(folder: Path) -> Iterator[None]:
    """Hold the folder of a run that does not go any more. Raises BlockingIOError if somebody holds it, and OSError."""
    fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        hold(fd)
        yield
    finally:
        os.close(fd)


def is_held(folder: Path) -> bool:
    """Whether a process holds a run's folder; no if that cannot be told."""
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        share(fd)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(fd)
    return False


def newest_of(runs: Sequence[Run]) -> Run | None:
    """The newest with rows: one that failed at its start has none. Without any, the newest; None if there is none."""
    return next((run for run in reversed(runs) if run.has_rows), runs[-1] if runs else None)


class RunList:
    """The runs of a log folder, or the one of a run's own folder; the records are read once."""

    @classmethod
    def of(cls, folder: Path) -> Self:
        """The runs of a log folder that must exist. Raises ConfigError."""
        if not folder.is_dir():
            raise ConfigError(f"{folder}: no such folder; accepted: a log folder of run_live or run_paper")
        return cls(folder)

    def __init__(self, folder: Path) -> None:
        """Read the records; a folder that does not exist has no runs."""
        self.folder = folder
        self.all: list[Run] = _runs_in(folder)
        """The unknown run if there is one, then the others from the oldest to the newest."""

    @property
    def running(self) -> list[Run]:
        """Those that are going, the oldest first."""
        return [run for run in self.all if run.is_running]

    @property
    def newest(self) -> Run | None:
        """As :func:`newest_of` says."""
        return newest_of(self.all)

    @property
    def _linked(self) -> Run | None:
        """The run to which the link leads; None without a link, or without the run."""
        name = (self.folder / LATEST).resolve().name
        return next((run for run in self.all if run.name == name), None)

    def chosen(self, texts: Collection[str]) -> list[Run]:
        """The runs named by their names, by unique beginnings of these, or by ``latest``; the oldest first.

        Without texts, :attr:`newest`. Raises ConfigError.
        """
        if not texts:
            return [] if self.newest is None else [self.newest]
        found = {self.named(text).name for text in texts}
        return [run for run in self.all if run.name in found]

    def one(self, texts: Sequence[str], what: str) -> Run:
        """The only one chosen. Raises ConfigError."""
        runs = self.chosen(texts)
        if len(runs) != 1:
            raise ConfigError(f"{self.folder}: {'no runs' if not runs else f'{what} takes one --run'}")
        return runs[0]

    def named(self, text: str) -> Run:
        """The run of a name, or of a unique beginning of one. Raises ConfigError."""
        if text == LATEST and self.newest is not None:
            return self._linked or self.newest
        found = [run for run in self.all if run.name == text] or [run for run in self.all if run.name.startswith(text)]
        if len(found) == 1:
            return found[0]
        names = [run.name for run in reversed(found or self.all)]
        more = [f"and {len(names) - _LISTED} more"] if len(names) > _LISTED else []
        accepted = ", ".join([*names[:_LISTED], *more]) or "none, there are no runs"
        problem = f"begins the names of {len(found)} runs" if found else f"no such run in {self.folder}"
        raise ConfigError(f"--run {text}: {problem}; accepted: {accepted}")


def _runs_in(folder: Path) -> list[Run]:
    own = _known(folder.resolve())  # by its name, where it is given as `latest`
    if own is not None:
        return [own]
    known = [] if not folder.is_dir() else [_known(path) for path in folder.iterdir() if not path.is_symlink()]
    runs = sorted((run for run in known if run is not None), key=lambda run: (_started(run), run.name))
    is_flat = any(day_files(folder, kind) for kind in KINDS)
    return [*([Run(RunFiles(folder), None)] if is_flat else []), *runs]


def _known(folder: Path) -> Run | None:
    """The run of a folder; None if it is no run's."""
    record = read_record(RunFiles(folder).record)
    return None if record is None else Run(RunFiles(folder, record.instruments), record)


def _started(run: Run) -> str:
    return "" if run.record is None else run.record.started
