"""What a run's core was told: one file a run, ``<PRODUCT>-YYYYMMDDTHHMMSSZ-<mode>.events.jsonl.zst``.

The first line has what the core started from: the effective configuration and, live, what the journal remembered. Each
further line is one event with the moment at which the core was told: ``{"now_ns": int, "type": str, "event": {...}}``.
Two lines are not events: ``Asked``, for a question that the shell booked on the core's budget by itself, and ``Lost``,
where the disk was too slow; from there on the run cannot be replayed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from stall_then_strike import __version__
from stall_then_strike.config.loader import effective_yaml
from stall_then_strike.config.models import AppConfig
from stall_then_strike.engine.core import Core
from stall_then_strike.research.event_codec import encode, encode_event
from stall_then_strike.research.part_file import PartFile
from stall_then_strike.research.salvage import EVENTS
from stall_then_strike.research.stream_thread import Lost, StreamThread
from stall_then_strike.research.tape_writer import free_path
from stall_then_strike.types.dto import NS_PER_S, BookedFill, CoreMemo, Event, ExecId, OrderMemo
from stall_then_strike.types.errors import LogError

VERSION: Final = 1
ASKED: Final = "Asked"
LOST: Final = "Lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """What a core starts from."""

    is_live: bool
    memo: CoreMemo | None = None
    orders: tuple[OrderMemo, ...] = ()
    exec_ids: tuple[ExecId, ...] = ()
    fills: tuple[BookedFill, ...] = ()

    def restore(self, core: Core) -> None:
        """Put a new core there."""
        core.restore(self.memo, self.orders, self.exec_ids, self.fills)


@dataclass(frozen=True, slots=True)
class Asked:
    """So many calls were booked on the core's budget."""

    calls: int


class EventFile:
    """The file; lives in the writing thread. It is made with the first event, whose stamp is in its name."""

    def __init__(self, folder: Path, cfg: AppConfig, mode: str, beginning: Beginning) -> None:
        """Nothing is made yet. ``mode`` is one word."""
        self._folder, self._cfg, self._mode, self._beginning = folder, cfg, mode, beginning
        self._file: PartFile | None = None

    def take(self, stamp_ns: int, item: Event | Asked) -> None:
        """Write one."""
        if isinstance(item, Asked):
            self._write(stamp_ns, ASKED, {"calls": item.calls})
        else:
            self._write(stamp_ns, *encode_event(item))

    def on_lost(self, lost: Lost) -> None:
        """Events are missing here."""
        self._write(lost.last_ns, LOST, {"count": lost.count, "first_ns": lost.first_ns, "last_ns": lost.last_ns})

    def flush(self, now_ns: int | None) -> None:
        """Make all so far readable."""
        if self._file is not None:
            self._file.flush()

    def close(self, why: str) -> None:
        """Finish the file."""
        if self._file is not None:
            self._file.seal()
            self._file.publish()

    def abandon(self) -> None:
        """Leave it as a part."""
        if self._file is not None:
            self._file.abandon()

    def _write(self, now_ns: int, kind: str, content: Any) -> None:
        if self._file is None:
            at = datetime.fromtimestamp(now_ns // NS_PER_S, UTC)
            stem = f"{self._cfg.exchange.product_code}-{at:%Y%m%dT%H%M%SZ}-{self._mode}"
            self._file = PartFile(free_path(self._folder, stem, EVENTS))
            self._file.write(_line(self._header()))
        self._file.write(_line({"now_ns": now_ns, "type": kind, "event": content}))

    def _header(self) -> dict[str, Any]:
        return {
            "version": VERSION,
            "program": f"stall_then_strike {__version__}",
            "product": self._cfg.exchange.product_code,
            "mode": self._mode,
            "config": effective_yaml(self._cfg),
            "beginning": encode(self._beginning),
        }


class EventLog:
    """What a trader is told to tell: takes events in the event loop and has them written."""

    def __init__(
        self,
        folder: Path,
        cfg: AppConfig,
        mode: str,
        beginning: Beginning,
        *,
        on_failure: Callable[[LogError], None] = lambda error: None,
    ) -> None:
        """Start the thread. The folder is there and ours; see ``salvage``."""
        sink = EventFile(folder, cfg, mode, beginning)
        name = f"events of {cfg.exchange.product_code}"
        self._thread: StreamThread[Event | Asked] = StreamThread(
            sink, name=name, bound=cfg.record.queue_frames, on_failure=on_failure
        )

    @property
    def lost(self) -> int:
        """Events that were not written."""
        return self._thread.lost

    def on_input(self, item: Event | Asked, now_ns: int) -> None:
        """Take one event, just before the core does."""
        self._thread.put(now_ns, item)

    def drain(self) -> bool:
        """Wait until all is written; for virtual time, which would outrun the disk."""
        return self._thread.drain()

    def close(self, why: str) -> None:
        """Write what waits, finish the file."""
        self._thread.close(why)


def _line(content: dict[str, Any]) -> bytes:
    # Not orjson, which knows no integers beyond 64 bits; money has no such bound.
    return json.dumps(content, separators=(",", ":")).encode() + b"\n"
