"""The CSVs of one run: those of each instrument."""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import Self

from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.logging_structured import CsvLogs
from stall_then_strike.infra.logs.run_folder import RunFolder
from stall_then_strike.types.errors import LogError


class RunLogs:
    """A context manager inside that of the run's folder."""

    def __init__(self, run: RunFolder, cfg: AppConfig, *, start_ns: int | None = None) -> None:
        """Open nothing yet; ``start_ns`` is as in `CsvLogs`."""
        self.each: list[CsvLogs] = []
        """The CSVs of each instrument."""
        self.run = run
        self._cfg, self._start_ns = cfg, start_ns
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Open the CSVs. Raises LogError."""
        with ExitStack() as stack:
            for folder, each in zip(self.run.files.each, self._cfg.by_instrument(), strict=True):
                unit, name = each.exchange.instrument(), each.strategy.name
                logs = CsvLogs(folder, unit, self._cfg.log, strategy=name, start_ns=self._start_ns)
                self.each.append(stack.enter_context(logs))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write all rows, and tell the run's folder from when to when they are."""
        self._stack.__exit__(kind, error, trace)
        firsts = [logs.first_ns for logs in self.each if logs.first_ns is not None]
        lasts = [logs.last_ns for logs in self.each if logs.last_ns is not None]
        self.run.first_row_ns, self.run.last_row_ns = min(firsts, default=None), max(lasts, default=None)

    @property
    def first(self) -> CsvLogs:
        """The CSVs of the first instrument."""
        return self.each[0]

    @property
    def failure(self) -> LogError | None:
        """Why a log cannot be written; None if all can."""
        return next((logs.failure for logs in self.each if logs.failure is not None), None)

    def flush(self) -> None:
        """Wait until all rows are written."""
        for logs in self.each:
            logs.flush()
