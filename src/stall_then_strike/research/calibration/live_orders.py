"""The orders of a live run, from its event log or its journal: when sent, answered, registered, ended and filled.

Both sources give the same changes: the journal has stored them, the event log gives its events to a new core. An event
log also contains the configuration; a journal may contain many runs. All stamps are ours, of sending or of receipt.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from stall_then_strike.config.models import AppConfig
from stall_then_strike.engine.strategy import QUOTE_TAGS
from stall_then_strike.engine.venue.corrections import is_taken_back
from stall_then_strike.infra.journal.reader import JournalReader
from stall_then_strike.sim.paper import PAPER_PREFIX
from stall_then_strike.tapes.event_replay import open_run, replay_steps
from stall_then_strike.tapes.tape_reader import TapeError
from stall_then_strike.types.dto import (
    NS_PER_MS,
    BookedFill,
    ClientOrderId,
    ExecId,
    Fact,
    OrderEventKind,
    OrderId,
    OrderMemo,
    Side,
)
from stall_then_strike.types.errors import StallThenStrikeError
from stall_then_strike.types.instrument import Lots, Ticks

_K: Final = OrderEventKind
_FIRST: Final = frozenset({_K.ACCEPTED.value, _K.REGISTERED.value, _K.CANCELLED.value, _K.EXPIRED.value, "cancel"})
"""Facts whose first stamp is kept; ``cancel`` is the sending of a cancel."""


class CalibrationError(StallThenStrikeError):
    """The input of a calibration is missing or wrong. The text is meant for the operator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveFill:
    """One real fill."""

    exec_id: ExecId
    ts_ns: int
    """When the event was received."""
    price: Ticks
    size: Lots


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveOrder:
    """One order as known at the end of the record. Unknown stamps are None."""

    name: ClientOrderId
    order_id: OrderId | None
    tag: str
    side: Side
    price: Ticks | None
    size: Lots
    ttl_ns: int
    sent_ns: int
    accepted_ns: int | None
    """Receipt of the answer with its acceptance id."""
    registered_ns: int | None
    """Receipt of the ORDER event, or else of the first proof that it is on the book (a fill, a list of orders)."""
    is_registered_told: bool
    """Whether ``registered_ns`` is that of an ORDER event."""
    cancel_sent_ns: int | None
    """Sending of the first cancel."""
    cancelled_ns: int | None
    expired_ns: int | None
    is_live: bool
    """Whether its end was still unknown at the end of the record."""
    fills: tuple[LiveFill, ...]

    @property
    def is_quote(self) -> bool:
        """Whether it is one of the strategy's resting quotes."""
        return self.tag in QUOTE_TAGS and self.price is not None

    @property
    def executed(self) -> int:
        """Lots filled."""
        return sum(fill.size for fill in self.fills)


@dataclass(slots=True)
class OrderStories:
    """Collects changes, in their order, and makes orders of them."""

    _memos: dict[ClientOrderId, OrderMemo] = field(default_factory=dict)
    _stamps: dict[tuple[ClientOrderId, str], int] = field(default_factory=dict)
    _fills: dict[ExecId, tuple[ClientOrderId, LiveFill]] = field(default_factory=dict)
    _booked: set[ExecId] = field(default_factory=set)
    """All execution ids, including those of corrections."""

    def take(self, memos: Iterable[OrderMemo], facts: Iterable[Fact], fills: Iterable[BookedFill]) -> None:
        """Add the changes of one step, or all of a journal's."""
        for memo in memos:
            self._memos[memo.client_order_id] = memo
        for fact in facts:
            if fact.client_order_id is not None and fact.what in _FIRST:
                self._stamps.setdefault((fact.client_order_id, fact.what), fact.ts_ns)
        for fill in fills:
            self._booked.add(fill.exec_id)
            if fill.exec_id > 0 and fill.client_order_id is not None:
                row = fill.row
                self._fills[fill.exec_id] = (
                    fill.client_order_id,
                    LiveFill(exec_id=fill.exec_id, ts_ns=row.ts_ns, price=row.price, size=row.size),
                )

    def orders(self) -> list[LiveOrder]:
        """All orders, by time of sending."""
        fills: dict[ClientOrderId, list[LiveFill]] = {}
        for exec_id, (name, fill) in self._fills.items():
            if not is_taken_back(exec_id, self._booked.__contains__):  # a phantom fill
                fills.setdefault(name, []).append(fill)
        found = [self._order(memo, fills.get(memo.client_order_id, [])) for memo in self._memos.values()]
        return sorted(found, key=lambda order: (order.sent_ns, order.name))

    def _order(self, memo: OrderMemo, fills: list[LiveFill]) -> LiveOrder:
        def stamp(what: str) -> int | None:
            return self._stamps.get((memo.client_order_id, what))

        told = stamp(_K.REGISTERED.value)
        return LiveOrder(
            name=memo.client_order_id,
            order_id=memo.order_id,
            tag=memo.tag,
            side=memo.side,
            price=memo.price,
            size=memo.size,
            ttl_ns=memo.ttl_ms * NS_PER_MS,
            sent_ns=memo.sent_ns,
            accepted_ns=stamp(_K.ACCEPTED.value),
            registered_ns=memo.registered_ns if told is None else told,
            is_registered_told=told is not None,
            cancel_sent_ns=stamp("cancel"),
            cancelled_ns=stamp(_K.CANCELLED.value),
            expired_ns=stamp(_K.EXPIRED.value),
            is_live=memo.is_live,
            fills=tuple(sorted(fills, key=lambda fill: fill.exec_id)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveRecord:
    """All orders of one or several runs on one product."""

    cfg: AppConfig
    sources: tuple[Path, ...]
    orders: tuple[LiveOrder, ...]

    @property
    def names(self) -> frozenset[OrderId]:
        """The venue's ids of all orders."""
        return frozenset(order.order_id for order in self.orders if order.order_id)


def read_event_logs(paths: Sequence[Path]) -> LiveRecord:
    """The orders of recorded live runs. Raises CalibrationError: no live run, several products, or unreadable."""
    stories, cfg, sources = OrderStories(), None, []
    for path in paths:
        try:
            run = open_run(path)
            if not run.beginnings.first.is_live or run.mode == "shadow":  # its fills are on paper
                continue
            if cfg is not None and run.cfg.exchange.instrument() != cfg.exchange.instrument():
                raise CalibrationError(f"{path}: another product than {sources[0]}; accepted: one product at a time")
            cfg = run.cfg
            sources.append(path)
            # What a run remembers of an earlier run is in the events of that run, if they were given.
            for number, step in replay_steps(path):
                if step.changes is not None and not number:  # the product of ``cfg`` is the first
                    stories.take(step.changes.orders, step.changes.facts, step.changes.fills)
        except (TapeError, OSError) as error:
            raise CalibrationError(f"the event log cannot be read: {error}") from error
    if cfg is None:
        raise CalibrationError(
            f"{', '.join(map(str, paths))}: recorded by paper trading; "
            "accepted: an event log of run_live (*-live.events.jsonl.zst)"
        )
    return LiveRecord(cfg=cfg, sources=tuple(sources), orders=tuple(stories.orders()))


def read_journal(path: Path, cfg: AppConfig) -> LiveRecord:
    """The orders in a journal. Raises CalibrationError (another product), JournalError."""
    stories = OrderStories()
    with JournalReader.open(path) as journal:
        product = journal.info().product_code
        if product != cfg.exchange.product_code:
            raise CalibrationError(
                f"{path}: of {product}; accepted: {cfg.exchange.product_code} (exchange.product_code)"
            )
        orders = list(journal.orders())
        if any((order.order_id or "").startswith(PAPER_PREFIX) for order in orders):
            raise CalibrationError(f"{path}: of orders on paper; accepted: the journal of a live run")
        stories.take(orders, journal.facts(), journal.fills())
    return LiveRecord(cfg=cfg, sources=(path,), orders=tuple(stories.orders()))
