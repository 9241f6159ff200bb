"""The contents of a tape: counts, gaps, connections, and whether its book agrees with the venue's mid price.

It takes one pass, in file order, in constant memory. The recorder runs it on what it writes, for the manifest; ``tape
info`` and ``tape check`` run it on what they read. Each file is judged on its own.

A new connection is recognised by its acknowledgements, whose request ids start again. From there to the next snapshot
deltas are ignored, as in the live feed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from stall_then_strike.config.models import ExchangeConfig
from stall_then_strike.lighter.markets import Market
from stall_then_strike.sim.exchange.source import Channel
from stall_then_strike.tapes.wires import BitflyerWire, LighterWire, ReadsMessages, Wire, market_in
from stall_then_strike.types.dto import NS_PER_S
from stall_then_strike.types.text import utc_iso

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
    gaps: int = 0
    """How often the book missed a message, at a venue that numbers them."""

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
        self.wire: Wire = BitflyerWire(self._exchange)
        """Lighter's from the first line that says so."""
        self.feeds: dict[str, ReadsMessages] = {}
        """A feed for each product on the tape."""
        self._answered: set[object] = set()

    def add(self, recv_ns: int, message: Any, size: int) -> None:
        """Count one parsed message, of ``size`` bytes. What the recorder wrote by itself does not count."""
        if type(message) is dict and self._is_own(message, recv_ns):
            return
        if not self.messages:
            self.first_ns = recv_ns
        elif recv_ns < self.last_ns:
            self.backwards += 1
        self.messages += 1
        self.bytes += size
        self.last_ns = recv_ns
        name = self.wire.channel_of(message)
        if name is None:
            self._on_other(recv_ns, message, size)
            return
        kind, product = self.wire.kind_of(name)
        facts = self.channels.get(name)
        if facts is None:
            limit_s = self._gap_s if self._gap_s is not None else self.wire.gap_s.get(kind, 0.0) if kind else 0.0
            facts = self.channels[name] = ChannelFacts(int(limit_s * NS_PER_S) if limit_s else 1 << 62)
        facts.add(recv_ns, size)
        if kind is not None:
            self._feed(product).on_message(message, recv_ns)

    def take_header(self, message: Any) -> Market | None:
        """Learn of a market from a header; None if the message is none. Raises ValueError for one of another form."""
        market = market_in(message)
        if market is not None:
            if not isinstance(self.wire, LighterWire):
                self.wire = LighterWire()
            self.wire.add(market)
        return market

    def _is_own(self, message: dict[str, Any], recv_ns: int) -> bool:
        """Take a line of the recorder's own."""
        if "made" in message and isinstance(self.wire, LighterWire):
            kind, product = self.wire.kind_of(str(message.get("channel")))
            if kind is not None:
                self._feed(product).on_message(message, recv_ns)
            return True
        try:
            return self.take_header(message) is not None
        except ValueError:
            return False

    def _feed(self, product: str) -> ReadsMessages:
        feed = self.feeds.get(product)
        if feed is None:
            feed = self.feeds[product] = self.wire.feed(product)
        return feed

    def _on_other(self, recv_ns: int, message: Any, size: int) -> None:
        if (number := self.wire.request_of(message)) is not None:
            self.acknowledged += 1
            if number in self._answered:
                self.reconnects += 1
                self._answered.clear()
                for feed in self.feeds.values():
                    feed.on_connect()
            self._answered.add(number)
            return
        self.unreadable += isinstance(message, str)
        self.channels.setdefault(_OTHER, ChannelFacts(1 << 62)).add(recv_ns, size)

    @property
    def products(self) -> tuple[str, ...]:
        """The products with a public channel on the tape."""
        return tuple(sorted(self.feeds))

    def messages_of(self, product: str) -> dict[Channel, int]:
        """How many messages of each kind a product has. Where one channel has snapshots and changes, they are split."""
        counts = dict.fromkeys(Channel, 0)
        for kind, facts in self._of(product):
            counts[kind] += facts.messages
        if not counts[Channel.SNAPSHOT] and product in self.feeds:
            counts[Channel.SNAPSHOT] = min(counts[Channel.BOARD], self.feeds[product].statistics().board_snapshots)
            counts[Channel.BOARD] -= counts[Channel.SNAPSHOT]
        return counts

    def gaps_of(self, product: str) -> int:
        """The gaps of all channels of a product."""
        return sum(facts.gaps for _, facts in self._of(product))

    def _of(self, product: str) -> Iterator[tuple[Channel, ChannelFacts]]:
        for name, facts in self.channels.items():
            kind, of_product = self.wire.kind_of(name)
            if kind is not None and of_product == product:
                yield kind, facts

    def books(self) -> dict[str, BookFacts]:
        """The counts of each product's book."""
        found = {}
        for product in self.products:
            counts = self.feeds[product].statistics()
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
                gaps=counts.book_gaps,
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
                    **({"book_gaps": book.gaps} if book.gaps else {}),
                }
                for product, book in self.books().items()
            },
        }
