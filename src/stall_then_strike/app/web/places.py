"""Where the things of a run are that the console reads besides its socket; the only part that knows folders."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from stall_then_strike.app.control.socket_server import socket_path
from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.journal.writer import OWN_FOLDER
from stall_then_strike.infra.logs.log_reader import LogReader, TradeLine
from stall_then_strike.infra.logs.runtime_reader import RuntimeLine, last_lines
from stall_then_strike.infra.watch.heartbeat import age_sec, heartbeat_path

_FOREVER_NS: Final = 1 << 62


@dataclass(frozen=True, slots=True)
class Places:
    """Those of a log folder."""

    log_dir: Path
    cfg: AppConfig

    @property
    def socket(self) -> Path:
        """The daemon's."""
        return socket_path(self.log_dir)

    def log(self, most: int) -> tuple[RuntimeLine, ...]:
        """The newest lines of the runtime log."""
        return last_lines(self.log_dir / "runtime", most)

    def beat_age_s(self, now_ns: int) -> float | None:
        """Seconds since the heartbeat's file was written, by the wall clock; None if there is none.

        A run on the embedded exchange keeps its own in its log folder.
        """
        configured = heartbeat_path(self.cfg)
        own = self.log_dir / OWN_FOLDER / configured.name
        return age_sec(own if own.exists() else configured, now_ns)

    def trades(self, products: Iterable[str]) -> Iterator[tuple[str, TradeLine]]:
        """All logged fills of an account's instruments, the first one first."""
        for number, product in enumerate(products):
            folder = self.log_dir if number == 0 else self.log_dir / product
            for row in LogReader(folder).trades(0, _FOREVER_NS).within:
                yield product, row
