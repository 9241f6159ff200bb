"""What a sweep has done so far, in its folder: one line a run, which a kill at any moment cannot take back.

``sweep.json`` says which sweep this is, before the first run. A line that was cut short is dropped when the folder is
opened again; the run that it told of is made once more. One process at a time writes.
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
    """A result folder, taken by this process. A context manager."""

    def __init__(self, folder: Path) -> None:
        """Nothing is taken yet."""
        self.folder = folder
        self.records: dict[tuple[int, str], Record] = {}
        """What is known, by number and span."""
        self._lock = FileLock(folder / ".lock")
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        """Take it. Raises LogError if another process has it, or if it cannot be made."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock.take()
        except BlockingIOError as error:
            raise LogError(f"{self.folder} is in use by another sweep; give this one its own by --out") from error
        except OSError as error:
            raise LogError(f"{self.folder} cannot be written to: {error.strerror}") from error
        return self

    def __exit__(self, *exc: object) -> None:
        """Let it go."""
        if self._file is not None:
            self._file.close()
        self._lock.release()

    def open(self, digest: str, identity: Mapping[str, Any], head: Mapping[str, Any]) -> None:
        """Begin this sweep, or take it up. Raises ConfigError if the folder has another one, LogError."""
        held = self._head()
        if held is not None and held.get("digest") != digest:
            raise ConfigError(
                f"{self.folder} holds another sweep ({_difference(held, identity)}); "
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
        """Leave out records from now on. The newest line of a run counts, so that nothing has to be taken back."""
        self.records = {key: record for key, record in self.records.items() if not unwanted(record)}

    def append(self, record: Record) -> None:
        """Remember a run: once this returns, a kill of the process does not lose it. Raises LogError."""
        if self._file is None:
            raise RuntimeError("not open")
        try:
            self._file.write(json.dumps(asdict(record), allow_nan=False, separators=(",", ":")).encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise LogError(f"{self.folder / RUNS} cannot be written: {error.strerror}") from error
        self.records[record.number, record.span] = record

    def write_head(self, head: Mapping[str, Any]) -> None:
        """Replace ``sweep.json``, at once or not at all. Raises OSError."""
        replace_file(self.folder / SWEEP, json.dumps(head, indent=1, allow_nan=False).encode() + b"\n")

    def _head(self) -> dict[str, Any] | None:
        """What ``sweep.json`` says; None if there is none. Raises ConfigError if it is not one of ours."""
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
        """Take up what is there, and cut off a line that was not finished."""
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
    """Write a file at once or not at all. Raises OSError."""
    making = path.with_name(f"{path.name}.part")
    with making.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    making.replace(path)


def _difference(held: Mapping[str, Any], identity: Mapping[str, Any]) -> str:
    """Which parts of two sweeps are not the same, in words."""
    was = held.get("identity")
    if not isinstance(was, Mapping):
        return "of another version"
    now = json.loads(json.dumps(identity))
    names = [name for name in now if was.get(name) != now[name]]
    return f"other {', '.join(names)}" if names else "of another version"
