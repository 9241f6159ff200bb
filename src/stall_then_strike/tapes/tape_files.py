"""Which files are tapes: a folder of recordings holds event logs, manifests and unfinished parts beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from stall_then_strike.tapes.part_file import PART
from stall_then_strike.tapes.salvage import EVENTS
from stall_then_strike.types.errors import ConfigError

SUFFIXES: Final = (".jsonl", ".jsonl.zst")


@dataclass(frozen=True, slots=True)
class TapeFiles:
    """What was named, sorted."""

    tapes: list[Path]
    passed_over: list[Path]
    """Event logs and tapes of other products."""

    def words(self) -> str | None:
        """What was passed over, for a person; None if nothing was."""
        if not self.passed_over:
            return None
        names = ", ".join(path.name for path in self.passed_over[:_NAMED])
        more = len(self.passed_over) - _NAMED
        return f"passed over, no tape of this product: {names}{f' and {more} more' if more > 0 else ''}"


_NAMED: Final = 3


def is_event_log(path: Path) -> bool:
    """Whether a file holds what a run's core was told, and no tape: by its name."""
    return path.name.removesuffix(PART).endswith(EVENTS)


def tape_files(paths: Sequence[Path], product: str) -> TapeFiles:
    """The named tapes in their order, and of named folders this product's, by name, which is by time.

    A folder's tape whose name says no product (it is not one of a recorder's) is taken. Raises ConfigError for what is
    not there, and where no tape is left.
    """
    tapes: list[Path] = []
    passed_over: list[Path] = []
    for path in paths:
        if path.is_dir():
            for file in sorted(file for file in path.iterdir() if file.name.endswith(SUFFIXES)):
                (tapes if not is_event_log(file) and _may_be_of(file, product) else passed_over).append(file)
        elif path.is_file():
            (passed_over if is_event_log(path) else tapes).append(path)
        else:
            raise ConfigError(f"{path}: not a file or folder; accepted: a tape ({' or '.join(SUFFIXES)}), or a folder")
    if paths and not tapes:
        logs = f", but {len(passed_over)} other recording(s)" if passed_over else ""
        raise ConfigError(
            f"{', '.join(map(str, paths))}: no tape of {product}{logs}; accepted: a tape ({' or '.join(SUFFIXES)}), "
            "or a folder of them"
        )
    return TapeFiles(tapes, passed_over)


def _may_be_of(file: Path, product: str) -> bool:
    said, dash, rest = file.name.partition("-")
    return not (dash and said.isupper() and rest[:8].isdigit()) or said == product
