"""The events that a run's cores received: one file per run, ``<PRODUCT>-YYYYMMDDTHHMMSSZ-<mode>.events.jsonl.zst``.

The first line has the initial state: the effective configuration and, for a live run, the state restored from the
journal. Each further line is one event with the time at which it was received: ``{"now_ns": int, "type": str, "event":
{...}}``. Of several instruments, the file is named after the first; the state of the ``others`` and of the ``account``
is in the first line, and an event that is not the first's has the ``number`` of its instrument. Two types are not
events: ``Asked``, for calls that the shell booked on the core's budget itself, and
``Lost``, where events are missing because the disk was too slow; the run cannot be replayed beyond it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

from stall_then_strike import __version__
from stall_then_strike.config.loader import effective_yaml
from stall_then_strike.config.models import AppConfig
from stall_then_strike.engine.core import Core
from stall_then_strike.engine.portfolio import Portfolio
from stall_then_strike.engine.strategy import MakeStrategy
from stall_then_strike.engine.venue.rules import VenueRules
from stall_then_strike.engine.venue.shared import Shared
from stall_then_strike.tapes.event_codec import encode, encode_event
from stall_then_strike.tapes.part_file import PartFile
from stall_then_strike.tapes.salvage import EVENTS
from stall_then_strike.tapes.stream_thread import Lost, StreamThread
from stall_then_strike.tapes.tape_writer import free_path
from stall_then_strike.types.dto import NS_PER_S, BookedFill, CoreMemo, Event, ExecId, OrderMemo

VERSION: Final = 1
ASKED: Final = "Asked"
LOST: Final = "Lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """The initial state of a core."""

    is_live: bool
    memo: CoreMemo | None = None
    orders: tuple[OrderMemo, ...] = ()
    exec_ids: tuple[ExecId, ...] = ()
    fills: tuple[BookedFill, ...] = ()

    def restore(self, core: Core) -> None:
        """Bring a new core into this state."""
        core.restore(self.memo, self.orders, self.exec_ids, self.fills)


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginnings:
    """The initial state of an account's cores."""

    first: Beginning
    others: tuple[Beginning, ...] = ()
    account: CoreMemo | None = None
    """The memo of the account as a whole; None if it never had several instruments."""

    @classmethod
    def on_paper(cls, cfg: AppConfig) -> Self:
        """Nothing is restored."""
        nothing = Beginning(is_live=False)
        return cls(first=nothing, others=(nothing,) * (len(cfg.products) - 1))

    def portfolio(self, cfg: AppConfig, venue: VenueRules, strategy: MakeStrategy) -> Portfolio:
        """New cores in this state."""
        is_live = self.first.is_live
        shared = Shared(cfg, venue, live=is_live)
        cores = [Core(each, shared, strategy=strategy) for each in cfg.by_instrument()]
        if is_live:
            for core, one in zip(cores, (self.first, *self.others), strict=True):
                one.restore(core)
        portfolio = Portfolio(cfg.risk, cores)
        if is_live:
            portfolio.restore(self.account)
        return portfolio


@dataclass(frozen=True, slots=True)
class Asked:
    """The shell booked this many calls on the core's budget."""

    calls: int


class OfAnother(NamedTuple):
    """An event of another instrument than the first."""

    event: Event
    number: int


Input = Event | Asked | OfAnother


class EventFile:
    """The file; used only by the writing thread. It is created at the first event, whose stamp is in its name."""

    def __init__(self, folder: Path, cfg: AppConfig, mode: str, beginnings: Beginnings) -> None:
        """Create nothing yet. ``mode`` is one word."""
        self._folder, self._cfg, self._mode, self._beginnings = folder, cfg, mode, beginnings
        self._file: PartFile | None = None

    def take(self, stamp_ns: int, item: Input) -> None:
        """Write one entry."""
        if isinstance(item, Asked):
            self._write(stamp_ns, ASKED, {"calls": item.calls})
        elif isinstance(item, OfAnother):
            self._write(stamp_ns, *encode_event(item.event), item.number)
        else:
            self._write(stamp_ns, *encode_event(item))

    def on_lost(self, lost: Lost) -> None:
        """Events are missing here."""
        self._write(lost.last_ns, LOST, {"count": lost.count, "first_ns": lost.first_ns, "last_ns": lost.last_ns})

    def flush(self, now_ns: int | None) -> None:
        """Make everything so far readable."""
        if self._file is not None:
            self._file.flush()

    def close(self, why: str) -> None:
        """Finish the file."""
        if self._file is not None:
            self._file.seal()
            self._file.publish()

    def abandon(self) -> None:
        """Leave the file as ``.part``."""
        if self._file is not None:
            self._file.abandon()

    def _write(self, now_ns: int, kind: str, content: Any, number: int = 0) -> None:
        if self._file is None:
            at = datetime.fromtimestamp(now_ns // NS_PER_S, UTC)
            stem = f"{self._cfg.exchange.product_code}-{at:%Y%m%dT%H%M%SZ}-{self._mode}"
            self._file = PartFile(free_path(self._folder, stem, EVENTS))
            self._file.write(_line(self._header()))
        more = {"number": number} if number else {}
        self._file.write(_line({"now_ns": now_ns, "type": kind, "event": content, **more}))

    def _header(self) -> dict[str, Any]:
        begun = self._beginnings
        more = {"others": encode(begun.others)} if begun.others else {}
        if begun.account is not None:
            more["account"] = encode(begun.account)
        return {
            "version": VERSION,
            "program": f"stall_then_strike {__version__}",
            "product": self._cfg.exchange.product_code,
            "mode": self._mode,
            "config": effective_yaml(self._cfg),
            "beginning": encode(begun.first),
            **more,
        }


class EventLog:
    """The recorder of a trader's events: takes them in the event loop, writes them in a thread."""

    def __init__(
        self,
        folder: Path,
        cfg: AppConfig,
        mode: str,
        beginnings: Beginnings,
    ) -> None:
        """Start the thread. The folder must exist and be locked by this process; see ``salvage``."""
        sink = EventFile(folder, cfg, mode, beginnings)
        name = f"events of {cfg.exchange.product_code}"
        self._thread: StreamThread[Input] = StreamThread(sink, name=name, bound=cfg.record.queue_frames)

    @property
    def lost(self) -> int:
        """Events that were not written."""
        return self._thread.lost

    def on_input(self, item: Event, now_ns: int, number: int) -> None:
        """Record one event, just before the core of the instrument with this number receives it."""
        self._thread.put(now_ns, OfAnother(item, number) if number else item)

    def on_asked(self, calls: int, now_ns: int) -> None:
        """Record that the shell booked calls on the budget."""
        self._thread.put(now_ns, Asked(calls))

    def drain(self) -> bool:
        """Wait until everything is written; for virtual time, which can be faster than the disk."""
        return self._thread.drain()

    def close(self, why: str) -> None:
        """Write what is queued, finish the file."""
        self._thread.close(why)


def _line(content: dict[str, Any]) -> bytes:
    # Not orjson, which is limited to 64-bit integers; money may exceed them.
    return json.dumps(content, separators=(",", ":")).encode() + b"\n"
