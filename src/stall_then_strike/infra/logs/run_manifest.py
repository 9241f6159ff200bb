"""The manifest of a run, beside its CSVs: it tells which rows of a log folder belong to the run.

``runs/NUMBER-MODE.json`` in the log folder is written before the first row and again at the end. Only one run at a time
uses a folder, and its CSVs only grow, so a run's rows are those after the length that a file had when the run began, up
to the next run's. This also works for rows stamped with a recorded market's time instead of ours. The manifest of a
killed run has no end.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self
from urllib.parse import urlsplit

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

Mode = Literal["live", "live-sim", "shadow", "paper-feed", "paper-sim", "paper-tape", "backtest"]
FOLDER: Final = "runs"
REAL: Final = "real"
GENERATED: Final = "generated"
UNKNOWN: Final = "unknown"
_LOOPBACK: Final = (None, "localhost", "127.0.0.1", "::1")


def market_at(address: str) -> str:
    """Of what market are data from an address: ``generated`` on this machine, where only exchanges of ours are."""
    return GENERATED if urlsplit(address).hostname in _LOOPBACK else REAL


class RunRecord(BaseModel):
    """The content of a manifest. Stamps are as in the CSVs."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    run: int
    """Number of the run, counted up within a log folder."""
    mode: str
    venue: str
    """Where the market data came from: an address, the embedded exchange, or tapes."""
    market: str = UNKNOWN
    """Of what market they are: ``real``, ``derived``, ``generated`` or ``unknown``; several are joined by ``+``."""
    product: str
    configuration: str
    """Digest of the effective configuration, as in ``runtime/config-DIGEST.yml`` of a live run."""
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
    files: dict[str, int] = {}
    """Length in bytes of each CSV when the run began; what follows belongs to the run."""
    anew: tuple[str, ...] = ()
    """CSVs that were started again later: they hold no rows of older runs; ``files`` says where this run's begin."""


def run_journal(log_dir: Path, record: RunRecord) -> Path:
    """Where a paper run keeps its journal: beside its manifest. Live runs keep theirs elsewhere (``journal.dir``)."""
    return log_dir / FOLDER / f"{record.run:04d}-{record.mode}.sqlite3"


class RunManifest:
    """The writer, as a context manager around the CSV logs: it records the end after all rows are written."""

    def __init__(self, log_dir: Path, cfg: AppConfig, mode: Mode, venue: str, market: str | None = None) -> None:
        """Write nothing before :meth:`begin`. The log folder must be locked by this process.

        ``market`` is what the venue's address says unless it is given, as for tapes.
        """
        self.why = ""
        """Why the run ended; to be set before the exit."""
        self.exit_code: int | None = None
        self._folder = log_dir
        self._clock = SystemClock()
        self._logs: CsvLogs | None = None
        self._record = RunRecord(
            run=0,
            mode=mode,
            venue=venue,
            market=market_at(venue) if market is None else market,
            product=cfg.exchange.product_code,
            configuration=config_digest(cfg),
            version=__version__,
            started="",
        )

    @property
    def journal(self) -> Path:
        """Where this run, which has begun, keeps its journal if it is one on paper."""
        return run_journal(self._folder, self._record)

    def begin(self, logs: CsvLogs, *, after: int = 0) -> None:
        """Record that rows belong to this run from now on; earlier rows must be in the files already.

        The run's number is beyond ``after`` and those of the folder. Raises LogError.
        """
        self._logs = logs
        folder = self._folder / FOLDER
        try:
            folder.mkdir(exist_ok=True)
            number = 1 + max((record.run for record in read_records(folder)), default=0)
            number = max(number, 1 + after)
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
        logs.first_ns = logs.last_ns = None  # rows so far belong to an earlier run

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Record the end of the run. If that fails, the run only shows as unfinished, so LogError is suppressed."""
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
        """Record that a CSV was started again, with ``size`` bytes of rows whose run is unknown."""
        name = path.relative_to(self._folder).as_posix()
        anew = tuple(dict.fromkeys((*self._record.anew, name)))
        try:
            self._update(files=self._record.files | {name: size}, anew=anew)
        except LogError as error:  # not worth a halt: only the assignment of rows to runs suffers
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
    """The manifests in a folder ``runs``, in the order of the runs; invalid files are left out."""
    found = []
    for path in folder.glob("*.json"):
        with suppress(OSError, ValidationError):
            found.append(RunRecord.model_validate_json(path.read_bytes().removeprefix(b"\xef\xbb\xbf")))
    return sorted(found, key=lambda record: record.run)
