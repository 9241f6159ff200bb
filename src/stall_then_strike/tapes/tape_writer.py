"""One tape per hour: frames of one product, as received, in ``<PRODUCT>-YYYYMMDDTHHZ.jsonl.zst``, with a manifest.

A tape is named ``.part`` until it is complete; then its manifest is written and it is renamed. If a tape of the hour
exists already, the next one is named ``..._2`` and so on, so that names sort by time.

A frame that is not JSON is kept as a JSON string, because it is evidence too. A line break within a frame becomes a
blank; no other change is made. Frames of private channels are left out. For what stands before the first frame on a
tape of Lighter, see ``wires``.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson

from stall_then_strike.config.models import ExchangeConfig
from stall_then_strike.tapes.part_file import PART, PartFile, write_whole
from stall_then_strike.tapes.stream_thread import Lost, StreamThread
from stall_then_strike.tapes.tape_audit import GAPS_KEPT, TapeAudit
from stall_then_strike.tapes.wires import header_of, made_snapshot
from stall_then_strike.types.dto import NS_PER_S
from stall_then_strike.types.errors import LogError
from stall_then_strike.types.text import utc_iso

TAPE: Final = ".jsonl.zst"
MANIFEST: Final = ".manifest.json"
MANIFEST_VERSION: Final = 1
_HOUR_NS: Final = 3_600 * NS_PER_S
_GRACE_NS: Final = 2 * NS_PER_S
"""Without a message in the next hour, a tape is finished this long after its hour."""

Told = tuple[str, str]
"""``connected`` or ``dropped``, and why."""


class HourlyTape:
    """The tape being written; used only by the writing thread."""

    def __init__(
        self, folder: Path, product: str, exchange: ExchangeConfig, source: str, on_finished: Callable[[Path], None]
    ) -> None:
        """Create no file before the first message. ``source`` is the address, for the manifest."""
        self._folder, self._product, self._exchange, self._source = folder, product, exchange, source
        self._on_finished = on_finished
        self._header = header_of(exchange)
        self._hour = -1
        self._file: PartFile | None = None
        self._snapshot: bytes | None = None
        """The book at the end of the last tape, for the beginning of the next one."""
        self._begin()

    def _begin(self) -> None:
        self._audit = TapeAudit(self._exchange)
        if self._header is not None:
            self._audit.take_header(orjson.loads(self._header))
        self._lost = 0
        self._holes: list[Lost] = []
        self._connects = 0
        self._drops: list[tuple[int, str]] = []
        self._dropped = 0

    def take(self, stamp_ns: int, item: bytes | Told) -> None:
        """Write a frame, or count a change of the connection."""
        if isinstance(item, tuple):
            what, why = item
            if what == "connected":
                self._connects += 1
            else:
                self._dropped += 1
                if len(self._drops) < GAPS_KEPT:
                    self._drops.append((stamp_ns, why))
            return
        try:
            message: Any = orjson.loads(item)
            if self._audit.wire.is_private(message):
                return
            text = item if b"\n" not in item and b"\r" not in item else item.replace(b"\n", b" ").replace(b"\r", b" ")
        except orjson.JSONDecodeError:
            message = item.decode("utf-8", "replace")
            text = orjson.dumps(message)
        hour = stamp_ns // _HOUR_NS
        if self._file is None or hour > self._hour:
            self._finish("hour over")
            self._hour = hour
            self._file = PartFile(free_path(self._folder, hour_stem(self._product, hour), TAPE))
            self._write_beginning(self._file, stamp_ns)
        self._file.write(tape_line(stamp_ns, text))
        self._audit.add(stamp_ns, message, len(item))

    def _write_beginning(self, file: PartFile, stamp_ns: int) -> None:
        """Say what the tape is of, and what the book is, where frames do not tell by themselves."""
        for own in (self._header, self._snapshot):
            if own is not None:
                file.write(tape_line(stamp_ns, own))
                self._audit.add(stamp_ns, orjson.loads(own), 0)

    def on_lost(self, lost: Lost) -> None:
        """Frames are missing here."""
        self._lost += lost.count
        if len(self._holes) < GAPS_KEPT:
            self._holes.append(lost)

    def flush(self, now_ns: int | None) -> None:
        """Make everything so far readable, and finish a tape whose hour is over."""
        if self._file is None:
            return
        if now_ns is not None and now_ns - _GRACE_NS >= (self._hour + 1) * _HOUR_NS:
            self._finish("hour over")
        else:
            self._file.flush()

    def close(self, why: str) -> None:
        """Finish the tape."""
        self._finish(why)

    def abandon(self) -> None:
        """Leave the tape as ``.part``."""
        if self._file is not None:
            self._file.abandon()

    def _finish(self, why: str) -> None:
        file = self._file
        if file is None:
            return
        finish_tape(
            file,
            self._audit,
            {
                "product": self._product,
                **({} if self._header is None else {"venue": self._exchange.name}),
                "source": self._source,
                "ended": why,
                "lost": self._lost,
                "lost_stamps_ns": [(hole.first_ns, hole.last_ns, hole.count) for hole in self._holes],
                "connects": self._connects,
                "drops": self._dropped,
                "drop_stamps": [{"ns": ns, "at": utc_iso(ns), "why": text} for ns, text in self._drops],
            },
        )
        self._file = None
        self._snapshot = made_snapshot(self._audit.feeds.get(self._product))
        self._begin()
        self._on_finished(file.path)


class TapeWriter:
    """The tap of a session: takes frames in the event loop, writes them in a thread."""

    def __init__(
        self,
        folder: Path,
        exchange: ExchangeConfig,
        *,
        bound: int,
        now_ns: Callable[[], int] | None,
        on_failure: Callable[[LogError], None] = lambda error: None,
        on_finished: Callable[[Path], None] = lambda path: None,
        source: str | None = None,
    ) -> None:
        """Start the thread. The folder must exist and be locked by this process; see ``salvage``.

        ``now_ns`` None means that only the frames' stamps tell the time. ``on_failure`` and ``on_finished`` are called
        by the thread. ``source`` is where frames come from, by default the address of the settings.
        """
        self.messages = 0
        """Frames queued so far."""
        product = exchange.product_code
        sink = HourlyTape(folder, product, exchange, exchange.ws_url if source is None else source, on_finished)
        self._thread: StreamThread[bytes | Told] = StreamThread(
            sink, name=f"tape of {product}", bound=bound, now_ns=now_ns, on_failure=on_failure
        )

    @property
    def failure(self) -> LogError | None:
        """Why writing has stopped; None while it has not."""
        return self._thread.failure

    @property
    def lost(self) -> int:
        """Frames that were not written."""
        return self._thread.lost

    def on_frame(self, data: bytes, recv_ns: int) -> None:
        """Record one frame."""
        self.messages += self._thread.put(recv_ns, data)

    def on_connected(self, now_ns: int) -> None:
        """Record a new connection."""
        self._thread.put(now_ns, ("connected", ""))

    def on_dropped(self, now_ns: int, why: str) -> None:
        """Record the end of a connection."""
        self._thread.put(now_ns, ("dropped", why))

    def drain(self) -> bool:
        """Wait until everything is written; for virtual time, which can be faster than the disk."""
        return self._thread.drain()

    def close(self, why: str) -> None:
        """Write what is queued, finish the tape."""
        self._thread.close(why)


def finish_tape(file: PartFile, audit: TapeAudit, more: dict[str, Any]) -> None:
    """Seal a tape, write its manifest, rename it to its final name. Raises OSError."""
    sealed = file.seal()
    manifest = {
        "version": MANIFEST_VERSION,
        "file": file.path.name,
        "bytes": sealed.bytes,
        "sha256": sealed.sha256,
        **more,
        **audit.as_json(),
    }
    write_whole(manifest_path(file.path), orjson.dumps(manifest, option=orjson.OPT_INDENT_2) + b"\n")
    file.publish()


def tape_line(recv_ns: int, text: bytes) -> bytes:
    """One line of a tape."""
    return b'{"recv_ns":%d,"msg":%b}\n' % (recv_ns, text)


def manifest_path(tape: Path) -> Path:
    """The path of a tape's manifest."""
    return tape.with_name(tape.name.removesuffix(TAPE) + MANIFEST)


def hour_stem(product: str, hour: int) -> str:
    """The file name's stem, ``FX_BTC_JPY-20261121T11Z``; ``hour`` counts from the Unix epoch."""
    return f"{product}-{datetime.fromtimestamp(hour * 3_600, UTC):%Y%m%dT%HZ}"


def free_path(folder: Path, stem: str, suffix: str) -> Path:
    """The first free path of ``STEM``, ``STEM_2``, ``STEM_3`` and so on, with no file or part of that name."""
    number = 1
    while True:
        path = folder / f"{stem}{'' if number == 1 else f'_{number}'}{suffix}"
        if not path.exists() and not path.with_name(path.name + PART).exists():
            return path
        number += 1
