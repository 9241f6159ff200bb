"""Where the things of a run are that the console reads besides its socket; the only part that knows folders."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.logs.log_reader import LogReader, TradeLine
from stall_then_strike.infra.logs.run_files import RunFiles
from stall_then_strike.infra.logs.run_list import RunList, is_held
from stall_then_strike.infra.logs.runtime_reader import RuntimeLine, last_lines
from stall_then_strike.infra.watch.heartbeat import age_sec, heartbeat_path

_FOREVER_NS: Final = 1 << 62


class Places:
    """Those of a run of a log folder: the newest one that is running, else the newest."""

    def __init__(self, log_dir: Path, cfg: AppConfig) -> None:
        """Nothing is looked for yet."""
        self.cfg = cfg
        self._log_dir = log_dir
        self._files: RunFiles | None = None

    @property
    def files(self) -> RunFiles:
        """The run's files; a folder without runs is taken for a run's."""
        if self._files is None or not is_held(self._files.folder):
            known = RunList(self._log_dir)
            found = (known.running or known.all)[-1:]
            self._files = found[0].files if found else RunFiles(self._log_dir)
        return self._files

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
        folder, known = self.files.folder, RunList(self._log_dir).all
        kinds = {run.kind for run in known if run.files.folder == folder}
        runs = [run.files for run in known if run.kind in kinds] or [self.files]
        for number, product in enumerate(products):
            each = [run.folder if number == 0 else run.folder / product for run in runs]
            for row in LogReader(each).trades(0, _FOREVER_NS).within:
                yield product, row
