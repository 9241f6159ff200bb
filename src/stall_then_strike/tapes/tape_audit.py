"""The contents of a tape: counts, gaps, connections, and whether its book agrees with the venue's mid price.

It takes one pass, in file order, in constant memory. The recorder runs it on what it writes, for the manifest; ``tape
info`` and ``tape check`` run it on what they read. Each file is judged on its own.

A new connection is recognised by its acknowledgements, whose request ids start again. From there to the next snapshot
deltas are ignored, as in the live feed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from stall_then_strike.config.models import AppConfig, ExchangeConfig
from stall_then_strike.infra.bitflyer.feed import MarketFeed
from stall_then_strike.sim.exchange.source import Channel
from stall_then_strike.types.dto import NS_PER_S
from stall_then_strike.types.text import utc_iso

GAP_S: Final[Mapping[Channel, float]] = {
    Channel.SNAPSHOT: 10.0,
    Channel.BOARD: 2.0,
    Channel.TICKER: 5.0,
    Channel.EXECUTIONS: 300.0,
}
"""Silence of a channel that counts as a gap, in seconds. Snapshots come every 5 s, deltas every 0.1 s (longest pause
seen: 0.54 s), tickers more than once a second, executions after up to 17 s (measured) or far later in quiet nights."""
GAPS_KEPT: Final = 200
"""Most gaps and drops whose stamps are kept; all are counted."""
_OTHER: Final = "(other)"


@dataclass(slots=True)
class ChannelFacts:
    """Counts of one channel."""

    limit_ns: int
    messages: int = 0
    bytes: int = 0
    first_ns: int = 0
    last_ns: int = 0
    longest_ns: int = 0
    gaps: int = 0
    gap_stamps: list[tuple[int, int]] = field(default_factory=list)

    def add(self, recv_ns: int, size: int) -> None:
        """Count a message."""
        if not self.messages:
            self.first_ns = recv_ns
        elif (pause_ns := recv_ns - self.last_ns) > self.longest_ns:
            self.longest_ns = pause_ns
        if self.messages and recv_ns - self.last_ns > self.limit_ns:
            self.gaps += 1
            if len(self.gap_stamps) < GAPS_KEPT:
                self.gap_stamps.append((self.last_ns, recv_ns))
        self.messages += 1
        self.bytes += size
        self.last_ns = recv_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class BookFacts:
    """Counts of one product's book."""

    snapshots: int
    deltas: int
    deltas_before_snapshot: int
    checked: int
    """Board messages whose mid price was compared."""
    agreed: int
    executions: int
    execution_gaps: int
    executions_missing: int
    refused: Mapping[str, int]

    @property
    def failed(self) -> int:
        """Board messages whose mid price differed from the book's."""
        return self.checked - self.agreed


class TapeAudit:
    """Collects the counts: call ``add`` for every message in order, then read the results."""

    def __init__(self, exchange: ExchangeConfig | None = None, *, gap_s: float | None = None) -> None:
        """``exchange`` gives the units of prices; ``gap_s`` replaces all of :data:`GAP_S`."""
        self.messages = 0
        self.bytes = 0
        """Size of all messages as received."""
        self.first_ns = 0
        self.last_ns = 0
        self.backwards = 0
        """Messages whose stamp is earlier than the previous one."""
        self.acknowledged = 0
        self.reconnects = 0
        """How often the request ids started again."""
        self.unreadable = 0
        """Frames that were not JSON, kept as text."""
        self.channels: dict[str, ChannelFacts] = {}
        self._exchange = ExchangeConfig() if exchange is None else exchange
        self._gap_s = gap_s
        self._feeds: dict[str, MarketFeed] = {}
        self._answered: set[object] = set()

    def add(self, recv_ns: int, message: Any, size: int) -> None:
        """Count one parsed message, of ``size`` bytes."""
        if not self.messages:
            self.first_ns = recv_ns
        elif recv_ns < self.last_ns:
            self.backwards += 1
        self.messages += 1
        self.bytes += size
        self.last_ns = recv_ns
        name = channel_of(message)
        if name is None:
            self._on_other(recv_ns, message, size)
            return
        kind, product = kind_of(name)
        facts = self.channels.get(name)
        if facts is None:
            limit_s = self._gap_s if self._gap_s is not None else GAP_S.get(kind, 0.0) if kind is not None else 0.0
            facts = self.channels[name] = ChannelFacts(int(limit_s * NS_PER_S) if limit_s else 1 << 62)
        facts.add(recv_ns, size)
        if kind is not None:
            feed = self._feeds.get(product)
            if feed is None:
                feed = self._feeds[product] = MarketFeed(product_config(self._exchange, product), is_quiet=True)
            feed.on_message(message, recv_ns)

    def _on_other(self, recv_ns: int, message: Any, size: int) -> None:
        if isinstance(message, dict) and "id" in message and ("result" in message or "error" in message):
            self.acknowledged += 1
            number = message["id"]
            if number in self._answered:
                self.reconnects += 1
                self._answered.clear()
                for feed in self._feeds.values():
                    feed.on_connect()
            self._answered.add(number)
            return
        self.unreadable += isinstance(message, str)
        self.channels.setdefault(_OTHER, ChannelFacts(1 << 62)).add(recv_ns, size)

    @property
    def products(self) -> tuple[str, ...]:
        """The products with a public channel on the tape."""
        return tuple(sorted(self._feeds))

    def books(self) -> dict[str, BookFacts]:
        """The counts of each product's book."""
        found = {}
        for product in self.products:
            counts = self._feeds[product].statistics()
            found[product] = BookFacts(
                snapshots=counts.board_snapshots,
                deltas=counts.board_deltas,
                deltas_before_snapshot=counts.deltas_before_snapshot,
                checked=counts.mid_checked,
                agreed=counts.mid_agreed,
                executions=counts.executions,
                execution_gaps=counts.execution_gaps,
                executions_missing=counts.executions_missing,
                refused=counts.refused,
            )
        return found

    def as_json(self) -> dict[str, Any]:
        """All counts, for a manifest."""
        return {
            "messages": self.messages,
            "message_bytes": self.bytes,
            "first_ns": self.first_ns,
            "last_ns": self.last_ns,
            "first": utc_iso(self.first_ns),
            "last": utc_iso(self.last_ns),
            "backwards": self.backwards,
            "unreadable": self.unreadable,
            "acknowledgements": self.acknowledged,
            "reconnects": self.reconnects,
            "channels": {
                name: {
                    "messages": facts.messages,
                    "bytes": facts.bytes,
                    "first_ns": facts.first_ns,
                    "last_ns": facts.last_ns,
                    "longest_gap_ns": facts.longest_ns,
                    "gaps": facts.gaps,
                    "gap_stamps_ns": facts.gap_stamps,
                }
                for name, facts in sorted(self.channels.items())
            },
            "books": {
                product: {
                    "snapshots": book.snapshots,
                    "deltas": book.deltas,
                    "deltas_before_snapshot": book.deltas_before_snapshot,
                    "mid_checked": book.checked,
                    "mid_agreed": book.agreed,
                    "mid_failed": book.failed,
                    "execution_gaps": book.execution_gaps,
                    "executions_missing": book.executions_missing,
                    "refused": dict(book.refused),
                }
                for product, book in self.books().items()
            },
        }


def product_config(exchange: ExchangeConfig, product: str, tick_size: Decimal | None = None) -> AppConfig:
    """Settings for a feed of one product."""
    changed: dict[str, object] = {"product_code": product}
    if tick_size is not None:
        changed["tick_size"] = tick_size
    return AppConfig().model_copy(update={"exchange": exchange.model_copy(update=changed)})


def channel_of(message: Any) -> str | None:
    """The channel of a channel message; None for anything else."""
    try:
        name = message["params"]["channel"]
    except (KeyError, TypeError, IndexError):
        return None
    return name if isinstance(name, str) else None


def kind_of(channel: str) -> tuple[Channel | None, str]:
    """Kind and product of a public channel's name, (None, "") for any other; the longest matching prefix wins."""
    for kind in Channel:  # SNAPSHOT comes before BOARD, whose name is a prefix of its own
        if channel.startswith(kind.value):
            return kind, channel.removeprefix(kind.value)
    return None, ""
