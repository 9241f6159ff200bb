"""The manifest of a run, beside its CSVs: which rows of a log folder are whose.

``runs/NUMBER-MODE.json`` in the log folder, written as a whole before the first row, and again at the end. One run at a
time has a folder, and its CSVs only grow, so a run's rows are those behind the length that a file had when the run
began, up to the next run's. That also holds where rows carry a market's time and not ours. A run that was killed has a
manifest without an end.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self

import orjson
from loguru import logger
from pydantic import BaseModel, ConfigDict, ValidationError

from stall_then_strike import __version__
from stall_then_strike.config.loader import config_digest
from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.clock import SystemClock
from stall_then_strike.infra.logging_structured import CsvLogs, columns
from stall_then_strike.types.errors import LogError
from stall_then_strike.types.text import utc_iso

Mode = Literal["live", "live-sim", "paper-feed", "paper-sim", "paper-tape", "backtest"]
FOLDER: Final = "runs"


class RunRecord(BaseModel):
    """What a manifest says. Stamps as in the CSVs."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    run: int
    """Counts up within a log folder."""
    mode: str
    venue: str
    """Where the market was: an address, the embedded exchange, or tapes."""
    product: str
    configuration: str
    """Digest of the effective configuration, as in ``runtime/config-DIGEST.yml`` of a live run."""
    version: str
    started: str
    ended: str | None = None
    """None while it goes on, and of a run that was killed."""
    end: str | None = None
    """Why it ended."""
    exit_code: int | None = None
    first_row: str | None = None
    """Stamp of the earliest row, in the run's own time, which a tape's is its market's; known at the end."""
    last_row: str | None = None
    files: dict[str, int] = {}
    """Length in bytes of each CSV when the run began; what comes behind it is the run's."""
    anew: tuple[str, ...] = ()
    """CSVs that were begun anew after that: ``files`` says from where on they are the run's, nothing is older runs'."""


class RunManifest:
    """The writer, as a context manager around the CSV logs: the end is written when all rows are."""

    def __init__(self, log_dir: Path, cfg: AppConfig, mode: Mode, venue: str) -> None:
        """Nothing is written before :meth:`begin`. The log folder must be this process's alone."""
        self.why = ""
        """Why the run ended, to be said before the end."""
        self.exit_code: int | None = None
        self._folder = log_dir
        self._clock = SystemClock()
        self._logs: CsvLogs | None = None
        self._record = RunRecord(
            run=0,
            mode=mode,
            venue=venue,
            product=cfg.exchange.product_code,
            configuration=config_digest(cfg),
            version=__version__,
            started="",
        )

    def begin(self, logs: CsvLogs) -> None:
        """Say that rows are this run's from now on; those that were written before must be in the files.

        Raises LogError.
        """
        self._logs = logs
        folder = self._folder / FOLDER
        try:
            folder.mkdir(exist_ok=True)
            number = 1 + max((record.run for record in read_records(folder)), default=0)
            files = {
                path.relative_to(self._folder).as_posix(): path.stat().st_size
                for kind in columns()
                for path in sorted((self._folder / kind).glob(f"{kind}-*.csv"))
            }
        except OSError as error:
            raise LogError(f"{folder} cannot be used: {error.strerror}") from error
        anew = tuple(path.relative_to(self._folder).as_posix() for path in logs.anew)
        self._update(run=number, started=utc_iso(self._clock.now_ns()), files=files, anew=anew)
        record = self._record
        logger.info("run {} of this folder: {}, {} of {}", record.run, record.mode, record.product, record.venue)
        logs.on_new = self._on_new
        logs.first_ns = logs.last_ns = None  # rows so far were of an earlier run

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Say that the run is over. What goes wrong here does not matter any more: the run then shows as unfinished."""
        logs = self._logs
        if logs is None:
            return
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        with suppress(LogError):
            self._update(
                ended=utc_iso(self._clock.now_ns()),
                end=self.why if error is None else f"failed: {type(error).__name__}",
                exit_code=self.exit_code if error is None else None,
                first_row=None if logs.first_ns is None else utc_iso(logs.first_ns),
                last_row=None if logs.last_ns is None else utc_iso(logs.last_ns),
            )

    def _on_new(self, path: Path, size: int) -> None:
        """Take note that a CSV was begun anew, with so many bytes of rows that are known of no run."""
        name = path.relative_to(self._folder).as_posix()
        anew = tuple(dict.fromkeys((*self._record.anew, name)))
        try:
            self._update(files=self._record.files | {name: size}, anew=anew)
        except LogError as error:  # whose the rows are is not worth a halt
            logger.warning("{}", error)

    def _update(self, **changes: object) -> None:
        self._record = self._record.model_copy(update=changes)
        path = self._folder / FOLDER / f"{self._record.run:04d}-{self._record.mode}.json"
        new = path.with_suffix(".new")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            new.write_bytes(orjson.dumps(self._record.model_dump(), option=orjson.OPT_INDENT_2))
            os.replace(new, path)
        except OSError as error:
            raise LogError(f"{path} cannot be written: {error.strerror}") from error


def read_records(folder: Path) -> list[RunRecord]:
    """The manifests of a folder ``runs``, in the order of the runs; what is none is left out."""
    found = []
    for path in folder.glob("*.json"):
        with suppress(OSError, ValidationError):
            found.append(RunRecord.model_validate_json(path.read_bytes().removeprefix(b"\xef\xbb\xbf")))
    return sorted(found, key=lambda record: record.run)
