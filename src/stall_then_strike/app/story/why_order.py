"""The life of an order: from the journal with every step, or from the CSVs as far as they have it.

The CSVs have no rows for the sending of an order, its registration and the sending of a cancel. Both sendings are taken
from the decisions that asked for them, which have the same stamps; the registration stays unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Final

from stall_then_strike.engine.strategy import QUOTE_TAGS
from stall_then_strike.infra.logs.log_reader import DecisionLine, OrderLine, TradeLine
from stall_then_strike.types.dto import BookedFill, Fact, OrderEventKind, OrderMemo, Reason
from stall_then_strike.types.instrument import Instrument
from stall_then_strike.types.text import plain

_K = OrderEventKind
_REASONS: Final = dict(zip(QUOTE_TAGS, (Reason.STRIKE.label, Reason.STRATEGY.label), strict=True))
"""Why a quote was sent, by its tag."""
_ENDS: Final = (_K.CANCELLED, _K.EXPIRED, _K.REJECTED, _K.NOT_SENT, _K.PROVEN_ABSENT)
_ANSWERS: Final = (_K.ACCEPTED, _K.REJECTED, _K.NOT_SENT, _K.SEND_UNKNOWN)
_REFUSALS: Final = (_K.REJECTED, _K.NOT_SENT, _K.PROVEN_ABSENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill(TradeLine):
    """A fill with its effect, as in the trade log, and whose it is."""

    exec_id: int | None = None
    """None in the CSVs, which have no execution ids."""
    client_order_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderLife:
    """What is known about an order. Unknown stamps are None."""

    source: str
    """``journal`` or ``csv``."""
    client_order_id: str
    order_id: str
    side: str
    price: Decimal | None
    """None at market."""
    size: Decimal
    ttl_ms: int
    tag: str
    reason: str
    """Why it was sent; a label."""
    sent_ns: int | None
    answered_ns: int | None
    answer: str
    """The answer; with its detail if it was not an acceptance."""
    registered_ns: int | None
    cancel_sent_ns: int | None
    cancel_reason: str
    """Why it was cancelled; a label, or the log's text."""
    ended_ns: int | None
    end: str
    """``filled``, ``cancelled``, ``expired``, ``rejected`` ...; ``live`` if it may still be filled, else empty."""
    detail: str
    """The message of the venue or the transport at its end."""
    fills: tuple[Fill, ...]
    facts: tuple[Fact, ...] = ()
    rows: tuple[OrderLine, ...] = ()

    @property
    def names(self) -> frozenset[str]:
        """Our id and the venue's, as far as known."""
        return frozenset({self.client_order_id, self.order_id} - {""})

    @property
    def executed(self) -> Decimal:
        """Filled size."""
        return sum((fill.size for fill in self.fills), Decimal(0))

    @property
    def first_ns(self) -> int:
        """The first known stamp."""
        return min(self._stamps(), default=0)

    @property
    def last_ns(self) -> int:
        """The last known stamp."""
        return max(self._stamps(), default=0)

    @property
    def was_refused(self) -> bool:
        """Whether it never became live."""
        return self.end in _REFUSALS

    def is_live_at(self, ts_ns: int) -> bool:
        """Whether it may have been filled at that time."""
        until_ns = self.ended_ns
        return self.first_ns <= ts_ns and (ts_ns < until_ns if until_ns is not None else self.end == "live")

    def _stamps(self) -> Iterable[int]:
        stamps = (self.sent_ns, self.answered_ns, self.registered_ns, self.cancel_sent_ns, self.ended_ns)
        yield from (stamp for stamp in stamps if stamp is not None)
        yield from (fill.ts_ns for fill in self.fills)
        yield from (fact.ts_ns for fact in self.facts)


def fill_of_journal(fill: BookedFill, units: Instrument) -> Fill:
    """A fill from the journal."""
    row = fill.row
    return Fill(
        ts_ns=row.ts_ns,
        exec_id=fill.exec_id,
        client_order_id=fill.client_order_id or "",
        order_id=row.order_id,
        side=row.side.value,
        price=units.price(row.price),
        size=units.size(row.size),
        fee=units.amount(row.fee),
        tag=row.tag,
        pnl=units.amount(row.pnl_jpy),
        pnl_cum=units.amount(row.pnl_cum_jpy),
        inventory_after=units.size(row.inventory_after),
    )


def fill_of_csv(line: TradeLine, client_order_id: str = "") -> Fill:
    """A fill from the trade log."""
    return Fill(client_order_id=client_order_id, **asdict(line))


def life_of_journal(
    order: OrderMemo, facts: Sequence[Fact], fills: Iterable[BookedFill], units: Instrument
) -> OrderLife:
    """An order from the journal: its row, its facts and its fills."""
    own = tuple(fill_of_journal(fill, units) for fill in fills)
    answer = next((fact for fact in facts if fact.what in _ANSWERS), None)
    end = next((fact for fact in facts if fact.what in _ENDS), None)
    cancel = next((fact for fact in facts if fact.what == "cancel"), None)
    ended_ns, how = (None, "live") if order.is_live else (None, order.state)
    if end is not None and not order.is_live:
        ended_ns, how = end.ts_ns, end.what
    elif order.state == "filled" and own:
        ended_ns = own[-1].ts_ns
    reason = "" if order.cancel_reason is None else order.cancel_reason.label
    return OrderLife(
        source="journal",
        client_order_id=order.client_order_id,
        order_id=order.order_id or "",
        side=order.side.value,
        price=None if order.price is None else units.price(order.price),
        size=units.size(order.size),
        ttl_ms=order.ttl_ms,
        tag=order.tag,
        reason=order.reason.label,
        sent_ns=order.sent_ns,
        answered_ns=None if answer is None else answer.ts_ns,
        answer="" if answer is None else _with_detail(answer.what, answer.detail),
        registered_ns=order.registered_ns,
        cancel_sent_ns=order.cancel_sent_ns if cancel is None else cancel.ts_ns,
        cancel_reason=reason or ("by the venue" if how == _K.CANCELLED else ""),
        ended_ns=ended_ns,
        end=how,
        detail="" if end is None else end.detail,
        fills=own,
        facts=tuple(facts),
    )


def life_of_csv(rows: Sequence[OrderLine], trades: Iterable[TradeLine], decisions: Sequence[DecisionLine]) -> OrderLife:
    """An order from the CSVs: its rows of the order log (at least one), its trades, and the decisions around it."""
    first = rows[0]
    name = next((row.order_id for row in rows if row.order_id), "")
    fills = tuple(fill_of_csv(trade, first.client_order_id) for trade in trades)
    place = next((row for row in rows if row.action == "place"), None)
    end = next(
        (row for row in rows if row.action in ("cancel", "expire") or row.reason.split(":")[0] in _REFUSALS), None
    )
    cancel_reason = end.reason if end is not None and end.action == "cancel" else ""
    how, ended_ns, detail = _end_of_csv(first, end, fills)
    return OrderLife(
        source="csv",
        client_order_id=first.client_order_id,
        order_id=name,
        side=first.side,
        price=first.price,
        size=first.size,
        ttl_ms=first.ttl_ms,
        tag=first.tag,
        reason=_REASONS.get(first.tag, first.reason),
        sent_ns=None if place is None else _sent_ns(place, decisions),
        answered_ns=None if place is None else place.ts_ns,
        answer="" if place is None else ("accepted" if place.order_id else place.reason),
        registered_ns=None,
        cancel_sent_ns=None if end is None else _asked_ns(end, place, cancel_reason, decisions),
        cancel_reason=cancel_reason,
        ended_ns=ended_ns,
        end=how,
        detail=detail,
        fills=fills,
        rows=tuple(rows),
    )


def _end_of_csv(first: OrderLine, end: OrderLine | None, fills: Sequence[Fill]) -> tuple[str, int | None, str]:
    if end is not None:
        kind, _, detail = end.reason.partition(": ")
        if kind in _REFUSALS:
            return kind, end.ts_ns, detail
        return {"cancel": "cancelled", "expire": "expired"}[end.action], end.ts_ns, ""
    if sum(fill.size for fill in fills) >= first.size:
        return "filled", fills[-1].ts_ns, ""
    return "", None, ""


def _sent_ns(place: OrderLine, decisions: Sequence[DecisionLine]) -> int | None:
    """The stamp of the last decision before the answer that asked for an order with these terms."""
    verb = "place_limit" if place.ttl_ms else "close_market"
    at = "market" if place.price is None else plain(place.price)
    text = f"{verb} {place.side} {plain(place.size)}@{at}"
    asked = (d.ts_ns for d in decisions if d.ts_ns <= place.ts_ns and text in d.actions.split("; "))
    return max(asked, default=None)


def _asked_ns(end: OrderLine, place: OrderLine | None, reason: str, decisions: Sequence[DecisionLine]) -> int | None:
    """The stamp of the first cancel with this reason that can have included the order."""
    from_ns = 0 if place is None else place.ts_ns
    asked = (
        d.ts_ns
        for d in decisions
        if from_ns <= d.ts_ns <= end.ts_ns and d.reason == reason and "cancel_all_stall" in d.actions
    )
    return min(asked, default=None)


def _with_detail(what: str, detail: str) -> str:
    return f"{what}: {detail}" if detail else what
