"""Makes the folder of a new run, says which run it is, and how it ended.

The folder is locked while the run goes. The lock ends with the process, so a run without an end in its record whose
folder nobody holds was killed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from loguru import logger

from stall_then_strike import __version__
from stall_then_strike.config.loader import config_digest, effective_yaml
from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.clock import SystemClock
from stall_then_strike.infra.file_lock import hold
from stall_then_strike.infra.logs.run_files import LATEST, RunFiles
from stall_then_strike.infra.logs.run_record import Mode, RunRecord, market_at
from stall_then_strike.types.errors import LogError
from stall_then_strike.types.text import utc_iso

_WITHOUT_JOURNAL: Final = frozenset({"backtest", "record", "watchdog"})


class RunFolder:
    """A context manager around everything that a run writes into its folder."""

    def __init__(
        self,
        root: Path,
        cfg: AppConfig,
        mode: Mode,
        source: str,
        market: str | None = None,
        *,
        journal: Path | None = None,
        instruments: Sequence[str] = (),
    ) -> None:
        """Make nothing yet. ``root`` is the log folder, ``source`` where the market data come from.

        ``market`` is what the source's address says unless it is given, as for tapes. ``journal`` is that of the
        account; a run on paper or on the embedded exchange keeps one of its own. ``instruments`` are those of the
        settings unless they are given.
        """
        self.files = RunFiles(root, tuple(instruments or cfg.products))
        """Of this run, once it is entered."""
        self.why = ""
        """Why the run ended; to be set before the exit, like ``exit_code``."""
        self.exit_code: int | None = None
        self.first_row_ns: int | None = None
        """Stamp of the run's earliest row; ``last_row_ns``: of the latest."""
        self.last_row_ns: int | None = None
        self._root, self._cfg, self._clock = root, cfg, SystemClock()
        self._fd: int | None = None
        self._record = RunRecord(
            mode=mode,
            venue=cfg.exchange.name,
            source=source,
            market=market_at(source) if market is None else market,
            instruments=self.files.instruments,
            quote=cfg.exchange.instrument().quote,
            configuration=config_digest(cfg),
            version=__version__,
            started="",
            journal=str(replace(self.files, folder=Path()).journal if journal is None else journal.absolute())
            if mode not in _WITHOUT_JOURNAL
            else None,
        )

    @property
    def folder(self) -> Path:
        """The run's folder; before it is entered, the log folder."""
        return self.files.folder

    @property
    def name(self) -> str:
        """The run's name, that of its folder."""
        return self.folder.name

    @property
    def mode(self) -> str:
        """As in its record."""
        return self._record.mode

    def begin(self) -> None:
        """Let ``latest`` point to this run, now that it trades or records. If that fails, the run goes on without."""
        link = self._root / LATEST
        new = self._root / f".{LATEST}-{self.name}"
        try:
            new.symlink_to(self.name, target_is_directory=True)
            new.replace(link)
        except OSError as error:
            with suppress(OSError):
                new.unlink(missing_ok=True)
            logger.warning("{} does not point to this run, {}: {}", link, self.name, error.strerror)

    def __enter__(self) -> Self:
        """Make the folder and lock it. Raises LogError."""
        started = utc_iso(self._clock.now_ns())
        try:
            self.files = replace(self.files, folder=self._made(started))
            self._fd = os.open(self.folder, os.O_RDONLY | os.O_CLOEXEC)
            hold(self._fd)
            self.files.settings.write_text(effective_yaml(self._cfg), encoding="utf-8")
        except OSError as error:
            self._let_go()
            raise LogError(f"{self.folder} cannot be written to: {error.strerror}") from error
        self._update(started=started)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Record the end of the run. If that fails, the run only shows as killed, so LogError is suppressed."""
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        first, last = self.first_row_ns, self.last_row_ns
        with suppress(LogError):
            self._update(
                ended=utc_iso(self._clock.now_ns()),
                end=self.why if error is None else f"failed: {type(error).__name__}",
                exit_code=self.exit_code if error is None else None,
                first_row=None if first is None else utc_iso(first),
                last_row=None if last is None else utc_iso(last),
            )
        self._let_go()

    def _made(self, started: str) -> Path:
        """A new folder of the run's name. Raises OSError, and LogError for a log folder that is a run's own."""
        if RunFiles(self._root).record.exists():
            raise LogError(f"{self._root} is the folder of a run; give the log folder by --log-dir")
        self._root.mkdir(parents=True, exist_ok=True)
        stamp = started[:19].replace("-", "").replace(":", "")
        name = f"{stamp}Z-{self._record.mode}-{self._record.venue}"
        for number in count(1):
            folder = self._root / (name if number == 1 else f"{name}-{number}")
            with suppress(FileExistsError):
                folder.mkdir()
                return folder
        raise AssertionError("numbers do not end")

    def _update(self, **changes: object) -> None:
        self._record = self._record.model_copy(update=changes)
        self._record.write(self.files.record)

    def _let_go(self) -> None:
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)
