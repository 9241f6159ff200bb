"""The runs of a log folder, and their rows told apart by the manifests.

Rows that no manifest knows, written before there were any or through another program's hands, are of run 0, which
stands for "unknown".
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Final

from stall_then_strike.infra.file_lock import holder
from stall_then_strike.infra.logging_structured import columns
from stall_then_strike.infra.logs.run_manifest import FOLDER, RunRecord, read_records
from stall_then_strike.types.errors import ConfigError

UNKNOWN: Final = 0
LIVE: Final = frozenset({"live", "live-sim"})
"""Modes with a journal."""
REAL_TIME: Final = frozenset({"live", "paper-feed"})
"""Modes whose rows have our time at our speed, so that two runs of one folder never overlap."""
_LISTED: Final = 10
_Span = tuple[int, int]


class RunRows:
    """The rows of some runs in the CSVs of a log folder."""

    def __init__(self, spans: dict[Path, list[_Span]]) -> None:
        """Bytes of each file, in their order; a file that is not among them has none of the rows."""
        self._spans = spans

    def __contains__(self, path: Path) -> bool:
        """Whether a file has any of them."""
        return path in self._spans

    def read(self, path: Path) -> bytes:
        """A file with its first line, which is its header, and of the rest what is of these runs. Raises OSError."""
        with path.open("rb") as file:
            parts = [file.readline()]
            start = len(parts[0])
            for from_, until in self._spans.get(path, ()):
                file.seek(max(start, from_))
                parts.append(file.read(max(0, until - max(start, from_))))
        return b"".join(parts)


class LogRuns:
    """What a log folder's manifests tell. Read once; a run that goes on has all rows up to each file's present end."""

    def __init__(self, folder: Path) -> None:
        """A folder without manifests has no known runs."""
        self.folder = folder
        self.records: list[RunRecord] = read_records(folder / FOLDER)
        """In their order."""
        self._spans: dict[int, dict[Path, list[_Span]]] = {}
        for kind in columns():
            for path in sorted((folder / kind).glob(f"{kind}-????????.csv")):
                for run, span in _spans(self.records, path, path.relative_to(folder).as_posix()):
                    self._spans.setdefault(run, {})[path] = [span]

    @property
    def with_rows(self) -> list[int]:
        """Numbers of the runs that have rows, in their order."""
        return sorted(self._spans)

    def is_running(self, run: int) -> bool:
        """Whether a run goes on: the last one, without an end, while the folder is in use."""
        try:
            last = self.records[-1] if self.records else None
            return (
                last is not None and (last.run, last.ended) == (run, None) and holder(self.folder / ".lock") is not None
            )
        except OSError:
            return False

    def record(self, run: int) -> RunRecord | None:
        """What is known of a run; None of the unknown one."""
        return next((record for record in self.records if record.run == run), None)

    def rows(self, runs: Collection[int]) -> RunRows:
        """The rows of these runs."""
        spans: dict[Path, list[_Span]] = {}
        for run in sorted(runs):
            for path, own in self._spans.get(run, {}).items():
                spans.setdefault(path, []).extend(own)
        return RunRows(spans)

    def chosen(self, texts: Collection[str]) -> list[int]:
        """The runs that are meant: by number, ``latest``, ``unknown``, ``all``, or a mode for all of it.

        Of none, the latest that has rows. Raises ConfigError.
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
                accepted = ", ".join(self.names()) or "none, for it holds no rows"
                raise ConfigError(f"--run {text}: no such run in {self.folder}; accepted: {accepted}")
        return sorted(found)

    def names(self) -> list[str]:
        """What :meth:`chosen` takes, the newest runs first."""
        numbers = [str(record.run) for record in reversed(self.records)]
        more = [f"... {numbers[-1]}"] if len(numbers) > _LISTED else []
        modes = sorted({record.mode for record in self.records})
        unknown = ["unknown"] if UNKNOWN in self._spans else []
        latest = ["latest", "all"] if self.with_rows else []
        return [*latest, *numbers[:_LISTED], *more, *modes, *unknown]

    def lines(self) -> list[str]:
        """All runs, each in one line."""
        rowless = [record.run for record in self.records if record.run not in self._spans]
        numbers = sorted({*self._spans, *rowless})
        return [self.line(run) + ("" if run in self._spans else ", no rows") for run in numbers]

    def line(self, run: int) -> str:
        """A run in one line."""
        record = self.record(run)
        if record is None:
            return "unknown run: rows that no manifest of a run knows"
        began, ended = (
            None if text is None else text[:19].replace("T", " ") for text in (record.started, record.ended)
        )
        if ended is not None:
            end = f"ended {ended} UTC, {record.end or 'not said why'}"
        else:
            end = "running" if self.is_running(run) else "unfinished: it was killed"
        return f"run {run}: {record.mode}, {record.product} of {record.venue}, started {began} UTC, {end}"


def _spans(records: list[RunRecord], path: Path, name: str) -> list[tuple[int, _Span]]:
    """Which bytes of a file are whose, from its end backwards; only those who have any."""
    try:
        end = path.stat().st_size
        with path.open("rb") as file:
            header = file.readline()
    except OSError:
        return []
    found = []
    begin = len(header)
    if header != ",".join(columns()[path.parent.name]).encode() + b"\n" and begin < end:
        # Another program has saved it, so that its bytes stand elsewhere than they did.
        is_one = len(records) == 1 and not records[0].files.get(name)
        return [(records[0].run if is_one else UNKNOWN, (0, end))]
    for record in reversed(records):
        # A file that is shorter than it was has been begun anew since: what is in it is of this run or a later one.
        start = record.files.get(name, 0)
        is_anew = name in record.anew or start > end
        from_ = 0 if start > end else start
        if max(from_, begin) < end:
            found.append((record.run, (from_, end)))
        end = from_
        if is_anew:
            break
    if begin < end:
        found.append((UNKNOWN, (0, end)))
    return found
