"""Where the things of a run are that the console reads besides its socket; the only part that knows folders."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.clock import perf_ns
from stall_then_strike.infra.logs.log_reader import LogReader, TradeLine
from stall_then_strike.infra.logs.run_files import RunFiles
from stall_then_strike.infra.logs.run_list import Run, RunList, is_held, newest_of
from stall_then_strike.infra.logs.runtime_reader import RuntimeLine, last_lines
from stall_then_strike.infra.watch.heartbeat import age_sec, heartbeat_path
from stall_then_strike.types.dto import NS_PER_S

_FOREVER_NS: Final = 1 << 62
_PAUSE_NS: Final = 2 * NS_PER_S


class Places:
    """Those of a run of a log folder: the named one, else the newest that is running, else the newest.

    When it has ended, the next one of its kind takes its place, never one of another mode, venue or set of instruments:
    who commands a live run must not find a paper run under the same buttons.
    """

    def __init__(self, log_dir: Path, cfg: AppConfig, name: str | None = None) -> None:
        """Raises ConfigError if ``name`` is no run's."""
        self.cfg = cfg
        self._log_dir = log_dir
        self._run: Run | None = None if name is None else RunList(log_dir).named(name)
        self._kind = None if self._run is None else self._run.kind
        self._looked_ns = -_PAUSE_NS

    @property
    def files(self) -> RunFiles:
        """The run's files; a folder without runs is taken for a run's.

        Where none is running, another is looked for now and then: that reads the records of all.
        """
        now_ns = perf_ns()
        if now_ns - self._looked_ns >= _PAUSE_NS and (self._run is None or not is_held(self._run.files.folder)):
            self._looked_ns = now_ns
            self._look()
        return RunFiles(self._log_dir) if self._run is None else self._run.files

    def _look(self) -> None:
        alike = [run for run in RunList(self._log_dir).all if self._kind in (None, run.kind)]
        running = [run for run in alike if run.is_running]
        if running:
            self._run, self._kind = running[-1], running[-1].kind
        elif self._kind is None and alike:
            self._run = newest_of(alike)  # to be read, until one runs

    @property
    def name(self) -> str:
        """The run's; empty if there is none."""
        return "" if self._run is None else self._run.name

    @property
    def socket(self) -> Path:
        """The daemon's."""
        return self.files.socket

    def log(self, most: int) -> tuple[RuntimeLine, ...]:
        """The newest lines of the runtime log."""
        return last_lines(self.files.runtime, most)

    def beat_age_s(self, now_ns: int) -> float | None:
        """Seconds since the heartbeat's file was written, by the wall clock; None if there is none.

        A run on the embedded exchange keeps its own in its folder.
        """
        configured = heartbeat_path(self.cfg)
        own = self.files.journals / configured.name
        return age_sec(own if own.exists() else configured, now_ns)

    def trades(self, products: Iterable[str]) -> Iterator[tuple[str, TradeLine]]:
        """All logged fills of an account's instruments, the first one first, in the run and those of its kind."""
        run = self._run
        runs = [] if run is None else [one.files for one in RunList(self._log_dir).all if one.kind == run.kind]
        runs = runs or [self.files]
        for number, product in enumerate(products):
            each = [files.folder if number == 0 else files.folder / product for files in runs]
            for row in LogReader(each).trades(0, _FOREVER_NS).within:
                yield product, row
