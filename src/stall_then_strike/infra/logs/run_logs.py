"""The logs of one run: for each instrument its CSVs and a manifest, in the folders of :func:`log_folders`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.logging_structured import CsvLogs
from stall_then_strike.infra.logs.log_folder import log_folders
from stall_then_strike.infra.logs.run_manifest import FOLDER, Mode, RunManifest, read_records
from stall_then_strike.types.dto import TradeLogRow
from stall_then_strike.types.errors import LogError


def no_rows(cfg: AppConfig, folder: Path) -> Sequence[TradeLogRow]:
    """Nothing is missing from an instrument's folder."""
    return ()


class RunLogs:
    """A context manager; the log folder must be locked by this process."""

    def __init__(
        self,
        log_dir: Path,
        cfg: AppConfig,
        mode: Mode,
        venue: str,
        market: str | None = None,
        *,
        start_ns: int | None = None,
        owed: Callable[[AppConfig, Path], Sequence[TradeLogRow]] = no_rows,
    ) -> None:
        """Open nothing yet. ``venue`` is the source of the market data; ``market`` says of what market
        they are, as in `RunManifest`; ``start_ns`` is as in `CsvLogs`.

        ``owed``: the rows of earlier runs that are missing from an instrument's folder, to be written first.
        """
        self.folders = log_folders(log_dir, cfg)
        self.each: list[CsvLogs] = []
        """The CSVs of each instrument."""
        self.why = ""
        """Why the run ended; to be set before the exit, like ``exit_code``."""
        self.exit_code: int | None = None
        self._cfg, self._mode, self._venue, self._market = cfg, mode, venue, market
        self._start_ns, self._owed = start_ns, owed
        self._manifests: list[RunManifest] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Open the CSVs and write the manifests; the run has the same number in each folder. Raises LogError."""
        with ExitStack() as stack:
            last = max((record.run for folder in self.folders for record in read_records(folder / FOLDER)), default=0)
            for folder, each in zip(self.folders, self._cfg.by_instrument(), strict=True):
                manifest = stack.enter_context(RunManifest(folder, each, self._mode, self._venue, self._market))
                owed, unit = self._owed(each, folder), each.exchange.instrument()
                logs = stack.enter_context(
                    CsvLogs(folder, unit, self._cfg.log, strategy=each.strategy.name, start_ns=self._start_ns)
                )
                for row in owed:
                    logs.write(row)
                logs.flush()
                manifest.begin(logs, after=last)
                self._manifests.append(manifest)
                self.each.append(logs)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write all rows, and the end of the run to the manifests."""
        for manifest in self._manifests:
            manifest.why, manifest.exit_code = self.why, self.exit_code
        self._stack.__exit__(kind, error, trace)

    @property
    def first(self) -> CsvLogs:
        """The CSVs of the first instrument."""
        return self.each[0]

    @property
    def failure(self) -> LogError | None:
        """Why a log cannot be written; None if all can."""
        return next((logs.failure for logs in self.each if logs.failure is not None), None)

    @property
    def journal(self) -> Path:
        """Where the run keeps its journal if it is one on paper."""
        return self._manifests[0].journal

    def flush(self) -> None:
        """Wait until all rows are written."""
        for logs in self.each:
            logs.flush()
