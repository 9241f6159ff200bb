"""Recorded tapes for the study: which are there, and which of them the tools accept.

The recordings are no part of the project. They are read from the folder STS_SHARED, or from ``shared`` beside the
repository (`studies.facts.shared_folder`), or from a folder that is named.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from stall_then_strike.tapes.tape_files import SUFFIXES, is_event_log, require_product
from stall_then_strike.tapes.tape_reader import read_tape
from stall_then_strike.types.errors import ConfigError, FeedError
from studies.choices import BASE

_FEWEST: Final = 100
"""Messages; a file with fewer is a sample and no market."""


@dataclass(frozen=True, slots=True)
class Found:
    """The tapes of a folder that can be replayed, and why the others cannot."""

    tapes: list[Path] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    """The reason by the file's name."""


def tapes_in(folder: Path | None) -> Found:
    """The tapes of a folder in order of time, as their names tell it; none if there is no folder."""
    found = Found()
    files = [] if folder is None else sorted(path for path in folder.iterdir() if path.name.endswith(SUFFIXES))
    for path in sorted((path for path in files if not is_event_log(path)), key=lambda path: _stamp(path.name)):
        if (why := _refusal(path)) is None:
            found.tapes.append(path)
        else:
            found.skipped[path.name] = why
    return found


def _stamp(name: str) -> str:
    """The date and time in a tape's name, by which it is sorted."""
    return next((part for part in name.split("-") if part[:8].isdigit()), name)


def _refusal(path: Path) -> str | None:
    try:
        require_product([path], BASE.config())
        with_messages = sum(1 for _, _ in zip(range(_FEWEST), read_tape(path), strict=False))
    except ConfigError:
        return f"not a tape of {BASE.config().exchange.product_code}"
    except FeedError:
        return "not a tape"
    return None if with_messages == _FEWEST else f"fewer than {_FEWEST} messages"
