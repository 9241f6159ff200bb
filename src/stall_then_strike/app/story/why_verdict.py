"""The last sentences of an answer, one to three."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Final

from stall_then_strike.app.story.why_hold import Hold
from stall_then_strike.app.story.why_moment import Asked
from stall_then_strike.app.story.why_order import OrderLife
from stall_then_strike.app.story.why_sources import Records, Sources
from stall_then_strike.app.story.why_words import LOUD, clause, lasting, signed
from stall_then_strike.engine.strategy import QUOTE_TAGS, QUOTE_WORDS
from stall_then_strike.infra.logs.log_reader import DecisionLine
from stall_then_strike.types.dto import Reason
from stall_then_strike.types.instrument import Instrument
from stall_then_strike.types.text import money, plain, utc_clock, utc_iso

_DID: Final = {
    "strike": "a strike had been sent",
    "quote": "quotes had been sent",
    "cancel": "quotes were being cancelled",
    "close": "the position was being closed",
    "halt": "trading had halted",
    "resume": "a halt had been lifted",
}


def of_order(life: OrderLife, units: Instrument) -> list[str]:
    """What happened to an order."""
    at = "at market" if life.price is None else f"at {life.price:,f}"
    of_quotes = dict(zip(QUOTE_TAGS, ("a quote of a strike", "a quote"), strict=True))
    kind = of_quotes.get(life.tag) or f"an order to close ({life.tag}: {clause(life.reason)})"
    sent = f", sent at {utc_clock(life.sent_ns)}" if life.sent_ns is not None else ""
    name = life.client_order_id or life.order_id
    said = [f"Order {name} was {kind}: {life.side} {plain(life.size)} {units.base} {at}{sent}."]
    if life.was_refused:
        how = {"rejected": "It was refused", "not_sent": "It never took effect"}.get(
            life.end, "It was proven never to have been on the book"
        )
        said.append(f"{how}{': ' + life.detail if life.detail else ''}.")
        return said
    said.append(f"It {', '.join(part for part in (_rested(life), _end(life)) if part)}{_filled(life, units)}.")
    return said


def _rested(life: OrderLife) -> str:
    from_ns = life.registered_ns if life.registered_ns is not None else life.answered_ns
    if life.ended_ns is None or from_ns is None or life.price is None:
        return ""
    if life.ended_ns <= from_ns:
        return "ended before its registration was known" if life.registered_ns is None else ""
    since = "rested" if life.registered_ns is not None else "was live, since the venue's answer, for"
    return f"{since} {lasting(life.ended_ns - from_ns)}"


def _end(life: OrderLife) -> str:
    if life.end == "cancelled":
        if life.cancel_reason in ("", "by the venue"):
            return "was cancelled by the venue without our request"
        why = clause(life.cancel_reason)
        if life.cancel_reason == Reason.TTL.label:
            why = f"its time to live of {life.ttl_ms:,} ms had passed"
        took = ""
        if life.cancel_sent_ns is not None and life.ended_ns is not None:
            took = f" (confirmed {lasting(life.ended_ns - life.cancel_sent_ns)} after the request)"
        return f"was cancelled because {why}{took}"
    if life.end == "expired":
        return "expired"
    if life.end == "live":
        return "is not known to have ended"
    if life.end == "":
        return "has no end in the CSVs"
    return ""


def _filled(life: OrderLife, units: Instrument) -> str:
    if not life.fills:
        return " and was never filled" if life.end not in ("live", "") else ", with no known fill"
    executed = life.executed
    cost = sum((fill.price * fill.size for fill in life.fills), Decimal(0)) / executed
    share = "completely" if executed >= life.size else f"partly, {plain(executed)} of {plain(life.size)} {units.base},"
    many = "one fill" if len(life.fills) == 1 else f"{len(life.fills)} fills"
    won = sum((fill.pnl for fill in life.fills), Decimal(0))
    after = life.fills[-1].inventory_after
    link = "" if life.end == "filled" and not _rested(life) else " and "
    raced = life.cancel_sent_ns is not None and life.cancel_sent_ns <= life.fills[-1].ts_ns
    while_cancelled = " while its cancel was in flight" if raced else ""
    effect = f"{money(won)} {units.quote} realised, position {signed(after)} {units.base} after it"
    return f"{link}was filled {share} by {many} at {cost:,.0f}{while_cancelled}: {effect}"


def of_moment(sources: Sources, found: Records, hold: Hold | None, state: DecisionLine | None, at_ns: int) -> list[str]:
    """Which decision was in force at a moment, and what happened around it."""
    said = [_at(hold, state, at_ns)]
    halt = sources.last_halt(at_ns + 1) if hold is not None and hold.reason == Reason.HALTED.label else None
    if halt is not None:
        ts_ns, label, detail = halt
        said.append(f"Trading had halted at {utc_iso(ts_ns)[:23]}Z: {detail or clause(label)} ({label}).")
    live = [life for life in found.orders if life.is_live_at(at_ns) and not life.was_refused]
    if live:
        names = ", ".join(f"{life.side} {'market' if life.price is None else plain(life.price)}" for life in live[:4])
        more = f" and {len(live) - 4} more" if len(live) > 4 else ""
        said.append(f"Live then: {names}{more}.")
    said.append(_sum(found, sources.units))
    return said


def _at(hold: Hold | None, state: DecisionLine | None, at_ns: int) -> str:
    clock = utc_clock(at_ns)
    if hold is not None:
        what = "nothing new was quoted" if hold.reason == Reason.QUOTING.label else "nothing was quoted"
        text = f"At {clock} {what}: {clause(hold.reason)}{f' ({hold.figures})' if hold.figures else ''}"
        if hold.lasted_ns is not None and hold.until_ns is not None:
            span = f"{utc_clock(hold.from_ns)} to {utc_clock(hold.until_ns)}"
            return f"{text}; this held for {lasting(hold.lasted_ns)}, {span}."
        return f"{text}; this held from {utc_clock(hold.from_ns)}, {hold.duration}."
    if state is None:
        return f"The logs have no decision at or before {clock}."
    if state.decision_type == "hold":
        return f"The last decision before {clock} is in the journal, but not, or not yet, in the decision log."
    did = _DID.get(state.decision_type, state.decision_type)
    ago = lasting(at_ns - state.ts_ns)
    return f"At {clock} {did}, {ago} before: {clause(state.reason)} ({state.reason})."


def _sum(found: Records, units: Instrument) -> str:
    words = Counter(row.decision_type for row in found.decisions.within if row.decision_type in QUOTE_WORDS)
    parts = [f"{count} {word if count == 1 else f'{word}s'}" for word, count in (words or {"strike": 0}).items()]
    won = sum((fill.pnl for fill in found.fills), Decimal(0))
    count = len(found.fills)
    parts.append(
        f"{count} {'fill' if count == 1 else 'fills'}" + (f" ({money(won)} {units.quote} realised)" if count else "")
    )
    facts = [*found.facts, *(fact for life in found.orders for fact in life.facts)]
    odd = sum(fact.what in LOUD for fact in facts)
    parts.append(f"{odd} out of the ordinary" if odd else "nothing out of the ordinary")
    return f"In the window: {', '.join(parts)}."


def of_nothing(
    asked: Asked, nearest: tuple[int | None, int | None], sources: Sources, reach_s: float
) -> tuple[str, ...]:
    """What was searched without a result."""
    where = ", ".join(sources.searched) or "nothing, because there are neither logs nor a journal"
    if asked.moment_ns is None:
        note = "" if sources.journal is not None else " Execution ids are in a journal only."
        return (
            f"No order or execution {asked.name} was found. Searched: {where}.{note if asked.name.isdecimal() else ''}",
        )
    at = f"{utc_iso(asked.moment_ns)[:23]}Z"
    said = [f"Nothing was found within {reach_s:g} s of {at}. Searched: {where}."]
    before, after = (None if ns is None else f"{utc_iso(ns)[:23]}Z" for ns in nearest)
    if before or after:
        said.append(f"Nearest before: {before or 'none'}; nearest after: {after or 'none'}.")
    return tuple(said)
