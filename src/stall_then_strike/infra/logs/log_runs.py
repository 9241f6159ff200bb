"""The runs of a log folder, and which rows belong to which run, by the manifests.

Rows that no manifest covers, because they were written before there were manifests or changed by another program,
belong to run 0, which stands for "unknown".
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Final, Self

from stall_then_strike.infra.file_lock import holder
from stall_then_strike.infra.logging_structured import columns
from stall_then_strike.infra.logs.run_manifest import FOLDER, RunRecord, read_records
from stall_then_strike.types.errors import ConfigError

UNKNOWN: Final = 0
LIVE: Final = frozenset({"live", "live-sim", "shadow"})
"""Modes with a journal as live runs have; those on paper have one each (``run_manifest.run_journal``)."""
REAL_TIME: Final = frozenset({"live", "paper-feed"})
"""Modes whose rows are stamped in real time, so that two runs of one folder never overlap."""
_LISTED: Final = 10
_Span = tuple[int, int]


class RunRows:
    """The rows of some runs in the CSVs of a log folder."""

    def __init__(self, spans: dict[Path, list[_Span]]) -> None:
        """``spans`` gives the byte ranges of each file, in order; a missing file has none of the rows."""
        self._spans = spans

    def __contains__(self, path: Path) -> bool:
        """Whether a file has any of the rows."""
        return path in self._spans

    def read(self, path: Path) -> bytes:
        """The file's header line and those of its rows that belong to these runs. Raises OSError."""
        with path.open("rb") as file:
            parts = [file.readline()]
            start = len(parts[0])
            for from_, until in self._spans.get(path, ()):
                file.seek(max(start, from_))
                parts.append(file.read(max(0, until - max(start, from_))))
        return b"".join(parts)


class LogRuns:
    """The manifests of a log folder, read once. A run that is still going has all rows up to each file's end."""

    @classmethod
    def of(cls, folder: Path) -> Self:
        """The runs of a log folder that must exist. Raises ConfigError."""
        if not folder.is_dir():
            raise ConfigError(f"{folder}: no such folder; accepted: a log folder of run_live or run_paper")
        return cls(folder)

    def __init__(self, folder: Path) -> None:
        """Read the manifests; a folder without any, or one that does not exist, has no known runs."""
        self.folder = folder
        self.records: list[RunRecord] = read_records(folder / FOLDER)
        """In the order of the runs."""
        self._spans: dict[int, dict[Path, list[_Span]]] = {}
        for kind in columns():
            for path in sorted((folder / kind).glob(f"{kind}-????????.csv")):
                for run, span in _spans(self.records, path, path.relative_to(folder).as_posix()):
                    self._spans.setdefault(run, {})[path] = [span]

    @property
    def with_rows(self) -> list[int]:
        """Numbers of the runs that have rows, ascending."""
        return sorted(self._spans)

    def is_running(self, run: int) -> bool:
        """Whether a run is still going: it is the last one, has no end, and the folder is in use."""
        try:
            last = self.records[-1] if self.records else None
            return (
                last is not None and (last.run, last.ended) == (run, None) and holder(self.folder / ".lock") is not None
            )
        except OSError:
            return False

    def record(self, run: int) -> RunRecord | None:
        """The manifest of a run; None for run 0 (unknown)."""
        return next((record for record in self.records if record.run == run), None)

    def rows(self, runs: Collection[int]) -> RunRows:
        """The rows of the given runs."""
        spans: dict[Path, list[_Span]] = {}
        for run in sorted(runs):
            for path, own in self._spans.get(run, {}).items():
                spans.setdefault(path, []).extend(own)
        return RunRows(spans)

    def chosen(self, texts: Collection[str]) -> list[int]:
        """The runs selected by number, ``latest``, ``unknown``, ``all``, or a mode (all runs of that mode).

        Without a selection, the latest run that has rows. Raises ConfigError.
        """
        found: set[int] = set(() if texts else self.with_rows[-1:])
        for text in texts:
            by_mode = [record.run for record in self.records if record.mode == text]
            if text == "latest" and self.with_rows:
                found.add(self.with_rows[-1])
            elif text == "all" and self.with_rows:
                found.update(self.with_rows)
            elif text == "unknown" and UNKNOWN in self._spans:
                found.add(UNKNOWN)
            elif text.isdecimal() and self.record(int(text)) is not None:
                found.add(int(text))
            elif by_mode:
                found.update(by_mode)
            else:
                accepted = ", ".join(self.names()) or "none, because it has no rows"
                raise ConfigError(f"--run {text}: no such run in {self.folder}; accepted: {accepted}")
        return sorted(found)

    def names(self) -> list[str]:
        """What :meth:`chosen` accepts, the newest runs first."""
        numbers = [str(record.run) for record in reversed(self.records)]
        more = [f"... {numbers[-1]}"] if len(numbers) > _LISTED else []
        modes = sorted({record.mode for record in self.records})
        unknown = ["unknown"] if UNKNOWN in self._spans else []
        latest = ["latest", "all"] if self.with_rows else []
        return [*latest, *numbers[:_LISTED], *more, *modes, *unknown]

    def listing(self) -> str:
        """All runs, each in one line with its end."""
        rowless = [record.run for record in self.records if record.run not in self._spans]
        numbers = sorted({*self._spans, *rowless})
        lines = [self.line(run) + ("" if run in self._spans else ", no rows") for run in numbers]
        return "".join(f"{line}\n" for line in lines) or f"{self.folder}: no runs\n"

    def line(self, run: int) -> str:
        """A run as one line."""
        record = self.record(run)
        if record is None:
            return "unknown run: rows that no run's manifest covers"
        began, ended = (
            None if text is None else text[:19].replace("T", " ") for text in (record.started, record.ended)
        )
        if ended is not None:
            end = f"ended {ended} UTC, {record.end or 'reason not recorded'}"
        else:
            end = "running" if self.is_running(run) else "unfinished: it was killed"
        return f"run {run}: {record.mode}, {record.product} of {record.venue}, started {began} UTC, {end}"


def _spans(records: list[RunRecord], path: Path, name: str) -> list[tuple[int, _Span]]:
    """The byte range of each run in a file, from the end backwards; runs without rows are left out."""
    try:
        end = path.stat().st_size
        with path.open("rb") as file:
            header = file.readline()
    except OSError:
        return []
    found = []
    begin = len(header)
    if header != ",".join(columns()[path.parent.name]).encode() + b"\n" and begin < end:
        # Another program has saved the file, so the recorded byte positions no longer hold.
        is_one = len(records) == 1 and not records[0].files.get(name)
        return [(records[0].run if is_one else UNKNOWN, (0, end))]
    for record in reversed(records):
        # A file that is shorter than at the run's start was started again: its rows are of this run or a later one.
        start = record.files.get(name, 0)
        starts_file = name in record.anew or start > end
        from_ = 0 if start > end else start
        if max(from_, begin) < end:
            found.append((record.run, (from_, end)))
        end = from_
        if starts_file:
            break
    if begin < end:
        found.append((UNKNOWN, (0, end)))
    return found
