"""The finished runs of a sweep, in its folder: one line per run, safe against a kill at any moment.

``sweep.json``, which is written before the first run, says which sweep this is. An incomplete line is dropped when the
folder is opened again, and its run is repeated. One process at a time writes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, Final, Self

from stall_then_strike.infra.file_lock import FileLock
from stall_then_strike.research.sweep.runs import Record
from stall_then_strike.types.errors import ConfigError, LogError

FORMAT: Final = 1
SWEEP: Final = "sweep.json"
RUNS: Final = "runs.jsonl"
RESULTS: Final = ("runs.parquet", "out_of_sample.parquet")


class RunJournal:
    """A result folder, locked by this process. A context manager."""

    def __init__(self, folder: Path) -> None:
        """Do not lock the folder yet."""
        self.folder = folder
        self.records: dict[tuple[int, str], Record] = {}
        """Records by number and span."""
        self._lock = FileLock(folder / ".lock")
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        """Lock the folder. Raises LogError if another process has it, or if it cannot be created."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock.take()
        except BlockingIOError as error:
            raise LogError(f"{self.folder} is in use by another sweep; choose another folder with --out") from error
        except OSError as error:
            raise LogError(f"{self.folder} cannot be written to: {error.strerror}") from error
        return self

    def __exit__(self, *exc: object) -> None:
        """Release the folder."""
        if self._file is not None:
            self._file.close()
        self._lock.release()

    def open(self, digest: str, identity: Mapping[str, Any], head: Mapping[str, Any]) -> None:
        """Begin or continue this sweep. Raises ConfigError if the folder has another sweep, LogError."""
        held = self._head()
        if held is not None and held.get("digest") != digest:
            raise ConfigError(
                f"{self.folder} has another sweep ({_difference(held, identity)}); "
                "accepted: the same command as before, or another folder by --out"
            )
        try:
            if held is None:
                self.write_head({**head, "digest": digest, "identity": dict(identity)})
            self._read()
            self._file = (self.folder / RUNS).open("ab")
        except OSError as error:
            raise LogError(f"{self.folder} cannot be written to: {error.strerror}") from error

    def forget(self, unwanted: Callable[[Record], bool]) -> None:
        """Drop records from memory. The file stays as it is, because a run's newest line counts."""
        self.records = {key: record for key, record in self.records.items() if not unwanted(record)}

    def append(self, record: Record) -> None:
        """Write a record. After the return, a kill of the process does not lose it. Raises LogError."""
        if self._file is None:
            raise RuntimeError("not open")
        try:
            self._file.write(json.dumps(asdict(record), allow_nan=False, separators=(",", ":")).encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise LogError(f"{self.folder / RUNS} cannot be written: {error.strerror}") from error
        self.records[record.number, record.span] = record

    def write_head(self, head: Mapping[str, Any]) -> None:
        """Replace ``sweep.json`` atomically. Raises OSError."""
        replace_file(self.folder / SWEEP, json.dumps(head, indent=1, allow_nan=False).encode() + b"\n")

    def _head(self) -> dict[str, Any] | None:
        """The content of ``sweep.json``; None if there is none. Raises ConfigError if it is not a sweep's."""
        path = self.folder / SWEEP
        try:
            held = json.loads(path.read_bytes())
        except FileNotFoundError:
            if foreign := [name for name in (RUNS, *RESULTS) if (self.folder / name).exists()]:
                raise ConfigError(
                    f"{self.folder} has {foreign[0]} and no {SWEEP}; "
                    "accepted: a sweep's folder, or an empty one, by --out"
                ) from None
            return None
        except (OSError, ValueError) as error:
            raise ConfigError(f"{path}: {error}; accepted: what a sweep wrote, or another folder by --out") from error
        if not isinstance(held, dict) or held.get("format") != FORMAT:
            raise ConfigError(f"{path}: not of format {FORMAT}; accepted: another folder by --out")
        return held

    def _read(self) -> None:
        """Read the records, and cut off an incomplete line."""
        path = self.folder / RUNS
        if not path.exists():
            return
        whole = 0
        with path.open("rb+") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                try:
                    record = Record(**json.loads(line))
                except (ValueError, TypeError) as error:
                    raise ConfigError(
                        f"{path}: byte {whole}: not a run; accepted: what a sweep wrote, or another folder by --out"
                    ) from error
                whole += len(line)
                self.records[record.number, record.span] = record
            file.truncate(whole)


def replace_file(path: Path, content: bytes) -> None:
    """Write a file atomically. Raises OSError."""
    making = path.with_name(f"{path.name}.part")
    with making.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    making.replace(path)


def _difference(held: Mapping[str, Any], identity: Mapping[str, Any]) -> str:
    """The parts in which two sweeps differ, in words."""
    was = held.get("identity")
    if not isinstance(was, Mapping):
        return "of another version"
    now = json.loads(json.dumps(identity))
    names = [name for name in now if was.get(name) != now[name]]
    return f"other {', '.join(names)}" if names else "of another version"
