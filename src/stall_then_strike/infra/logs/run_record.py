"""The record of a run, ``run.json`` in its folder: what it was, when it began, and how it ended."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from stall_then_strike.types.errors import LogError

Mode = Literal["live", "live-sim", "shadow", "paper", "paper-sim", "paper-tape", "backtest", "record", "watchdog"]
REAL_TIME: Final = frozenset({"live", "shadow", "paper"})
"""Modes whose rows are stamped in real time, so that several runs of one venue are restarts and one story."""
ON_PAPER: Final = frozenset({"shadow", "paper", "paper-sim", "paper-tape", "backtest"})
"""Modes whose orders no venue sees."""
REAL: Final = "real"
GENERATED: Final = "generated"
UNKNOWN: Final = "unknown"
_LOOPBACK: Final = (None, "localhost", "127.0.0.1", "::1")


def market_at(address: str) -> str:
    """Of what market are data from an address: ``generated`` on this machine, where only exchanges of ours are."""
    return GENERATED if urlsplit(address).hostname in _LOOPBACK else REAL


class RunRecord(BaseModel):
    """The content of the file. Stamps are as in the CSVs."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    mode: str
    venue: str
    """``bitflyer`` or ``lighter``."""
    source: str
    """Where the market data came from: an address, the embedded exchange, or tapes."""
    market: str = UNKNOWN
    """Of what market they are: ``real``, ``derived``, ``generated`` or ``unknown``; several are joined by ``+``."""
    instruments: tuple[str, ...]
    """Products. The CSVs of the first are in the run's folder itself."""
    quote: str = ""
    """The currency of the first instrument's money."""
    configuration: str
    """Digest of the effective configuration, which is beside this file."""
    version: str
    started: str
    ended: str | None = None
    """None while the run is going, and for a run that was killed."""
    end: str | None = None
    """Why it ended."""
    exit_code: int | None = None
    first_row: str | None = None
    """Stamp of the earliest row, in the run's own time (for a tape, the market's); known at the end."""
    last_row: str | None = None
    journal: str | None = None
    """Its journal, if it has one; a relative path begins at the run's folder."""
    mended: str | None = None
    """When a later start added what the CSVs of this killed run lacked."""

    @field_validator("instruments")
    @classmethod
    def _stay_inside(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        """Each but the first names a folder in the run's: a record from elsewhere must lead to no other."""
        if any(part in ("", ".", "..") for name in names for part in name.split("/")):
            raise ValueError("names no folder of the run")
        return names

    def write(self, path: Path) -> None:
        """Replace the file as a whole. Raises LogError."""
        new = path.with_name(f".{path.name}.new")
        try:
            new.write_bytes(orjson.dumps(self.model_dump(), option=orjson.OPT_INDENT_2))
            os.replace(new, path)
        except OSError as error:
            raise LogError(f"{path} cannot be written: {error.strerror}") from error


def read_record(path: Path) -> RunRecord | None:
    """The record in a file; None if there is none or it is invalid."""
    with suppress(OSError, ValidationError):
        return RunRecord.model_validate_json(path.read_bytes().removeprefix(b"\xef\xbb\xbf"))
    return None
