"""What a case left behind, as digests, and how two of them differ."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from itertools import chain, count, zip_longest
from pathlib import Path
from typing import Any, Final, NamedTuple

import zstandard

EXIT_CODES: Final = "exit codes"
"""The file of a case's folder that holds them, one a line."""
SAID: Final = ("stdout", "stderr")
"""The files that hold what its commands said."""

_RUN: Final = re.compile(r"\d{8}T\d{6}Z-[a-z-]+-(?:bitflyer|lighter)(?:-\d+)?/?")
"""A run's folder, which is named after its start."""
_MADE_BY_THE_CLOCK: Final = (
    (re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[.\d]*Z? \| "), ""),
    (re.compile(r"p50 \S+ \S+, p99 \S+ \S+ of"), "p50 *, p99 * of"),
    (_RUN, ""),
    (re.compile(r"[ ─]+"), " "),  # columns are as wide as what is in them
    # Depends on whether this machine has compiled this version before.
    (re.compile(r", as the tape is short"), ""),
    (re.compile(r"^.*(?:compiling first|functions were compiled).*$"), ""),
)
_CACHE: Final = "data/cache/"
"""Prepared tapes: whether there are any depends on the machine."""
_LEFT_OUT: Final = frozenset({"started", "ended", "version", "program", "configuration"})
"""Keys of JSON files. A setting more is a difference of the cases that show the settings, and not of all."""


class Digest(NamedTuple):
    """Of one file."""

    sha256: str
    lines: int


class Outcome(NamedTuple):
    """Of one case."""

    exit_codes: list[int]
    files: dict[str, Digest]
    """By name in the case's folder."""

    @property
    def rows(self) -> dict[str, Digest]:
        """Without what is written for people: output, runtime logs, manifests."""
        return {name: digest for name, digest in self.files.items() if is_rows(name)}

    def only_rows(self) -> Outcome:
        """The same without what is written for people."""
        return Outcome(self.exit_codes, self.rows)


def is_rows(name: str) -> bool:
    """Whether a file is CSV or a tape."""
    return name.endswith((".csv", ".jsonl", ".jsonl.zst"))


def outcome_of(folder: Path) -> Outcome:
    """Of the case that was run in a folder."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    names = [name for name in names if not name.startswith(_CACHE)]
    files: dict[str, Digest] = {}
    for name in names:
        if (content := comparable(folder / name)) is not None:
            files[_free(_RUN.sub("", name), files)] = Digest(hashlib.sha256(content).hexdigest(), content.count(b"\n"))
    return Outcome([int(code) for code in (folder / EXIT_CODES).read_text().split()], files)


def _free(name: str, taken: Mapping[str, Digest]) -> str:
    """A file's name without that of its run; the same file of a later run has a number."""
    return next(one for one in chain([name], (f"{name} ({number})" for number in count(2))) if one not in taken)


def comparable(path: Path) -> bytes | None:
    """A file without what depends on when and where it was written; None for a file that is not compared."""
    name = path.name
    if name in SAID or name.endswith(".log"):
        return _without_clock(path.read_text(encoding="utf-8")).encode()
    if name.endswith((".csv", ".jsonl")):
        return path.read_bytes()
    if name.endswith(".jsonl.zst"):
        with path.open("rb") as file:
            content = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True).read()
        # The first line of a recording of events holds the version and all settings.
        return content.partition(b"\n")[2] if name.endswith(".events.jsonl.zst") else content
    if name.endswith(".json") and not name.startswith("."):
        return json.dumps(_pruned(json.loads(path.read_bytes())), indent=1).encode()
    return None


def _without_clock(text: str) -> str:
    lines = []
    for line in text.splitlines():
        kept = line
        for pattern, instead in _MADE_BY_THE_CLOCK:
            kept = pattern.sub(instead, kept)
        if kept or not line:
            lines.append(kept + "\n")
    return "".join(lines)


def _pruned(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _pruned(inner) for key, inner in value.items() if key not in _LEFT_OUT}
    return [_pruned(inner) for inner in value] if isinstance(value, list) else value


def differences(before: Outcome, after: Outcome, was: Path | None = None, now: Path | None = None) -> Iterator[str]:
    """Each in words. ``was`` and ``now`` are the case's folders, if they are still there: they tell the first line."""
    if before.exit_codes != after.exit_codes:
        yield f"exit codes: {_codes(before)}, now {_codes(after)}"
    for name in sorted({*before.files, *after.files}):
        old, new = before.files.get(name), after.files.get(name)
        if old == new:
            continue
        if old is None or new is None:
            yield f"{name}: {'new' if old is None else 'no longer written'}"
            continue
        counts = f"{old.lines} lines, now {new.lines}" if old.lines != new.lines else f"{old.lines} lines"
        where = _first_difference(was / name, now / name) if was is not None and now is not None else ""
        yield f"{name}: {counts}{where}"


def _codes(outcome: Outcome) -> str:
    return ", ".join(map(str, outcome.exit_codes))


def _first_difference(was: Path, now: Path) -> str:
    if not was.is_file() or not now.is_file():
        return ""
    lines = ((comparable(path) or b"").decode(errors="replace").splitlines() for path in (was, now))
    for number, (old, new) in enumerate(zip_longest(*lines), 1):
        if old != new:
            return f"\n    line {number} was {old!r}\n    line {number} is  {new!r}"
    return ""


def as_json(outcomes: Mapping[str, Outcome], kept: Path | None) -> str:
    """A file of digests; ``kept``: the folder in which the cases' folders stay."""
    cases = {
        name: {
            "exit codes": outcome.exit_codes,
            "files": {file: list(digest) for file, digest in outcome.files.items()},
        }
        for name, outcome in outcomes.items()
    }
    return json.dumps({"kept": "" if kept is None else str(kept), "cases": cases}, indent=1) + "\n"


def from_json(text: str) -> tuple[dict[str, Outcome], Path | None]:
    """What `as_json` was given. Raises ValueError for any other text."""
    try:
        read = json.loads(text)
        outcomes = {
            name: Outcome(case["exit codes"], {file: Digest(*digest) for file, digest in case["files"].items()})
            for name, case in read["cases"].items()
        }
        return outcomes, Path(read["kept"]) if read["kept"] else None
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a file of digests: {error!r}") from error
