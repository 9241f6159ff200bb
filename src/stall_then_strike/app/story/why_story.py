"""What happened around a moment or an order, combined from all sources, in order of time.

It knows no terminal: :mod:`why_view` shows a :class:`Story`, :mod:`why_verdict` writes its last sentences.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from stall_then_strike.app.story import why_verdict
from stall_then_strike.app.story.why_hold import Hold, holds_of
from stall_then_strike.app.story.why_moment import Asked
from stall_then_strike.app.story.why_order import Fill, OrderLife
from stall_then_strike.app.story.why_sources import Records, Sources
from stall_then_strike.app.story.why_words import FACTS, LIMITED, LOUD, clause, reason_of, sentence, signed
from stall_then_strike.engine.strategy import QUOTE_TAGS, QUOTE_WORDS
from stall_then_strike.infra.logs.log_reader import DecisionLine
from stall_then_strike.types.dto import NS_PER_S, Fact
from stall_then_strike.types.instrument import Instrument
from stall_then_strike.types.text import money, plain

MOMENT_S: Final = 10.0
"""Default window on each side of a moment, seconds."""
ORDER_S: Final = 1.0
"""Default window before the sending and after the end of an order, seconds."""

_CANCELS: Final = re.compile(r"cancel_all_stall (\d+)")
_SENT: Final = frozenset({"send", "cancel"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """One line of the time line."""

    ts_ns: int
    what: str
    """One word."""
    text: str
    source: str
    """``decisions``, ``orders``, ``trades``, ``journal`` or ``log``."""
    name: str = ""
    """The order's id: ours, or else the venue's."""
    is_loud: bool = False
    """Out of the ordinary."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """The answer."""

    asked: str
    units: Instrument
    """What is traded."""
    kind: str
    """``moment`` or ``order``."""
    zero_ns: int | None
    """Zero of relative times: the moment, or the sending of the order. None if nothing was found."""
    from_ns: int
    until_ns: int
    is_found: bool
    searched: tuple[str, ...]
    notes: tuple[str, ...]
    runs: tuple[str, ...] = ()
    """The runs whose rows were searched, one line each; empty if all rows were."""
    state: DecisionLine | None = None
    """The decision in force at ``zero_ns``, with the market and the position of that time."""
    happenings: tuple[Happening, ...] = ()
    holds: tuple[Hold, ...] = ()
    orders: tuple[OrderLife, ...] = ()
    """For an order: that order only."""
    fills: tuple[Fill, ...] = ()
    nearest: tuple[int | None, int | None] = (None, None)
    """If nothing was found: stamps of the last row before and the first after."""
    verdict: tuple[str, ...] = ()


def tell(sources: Sources, asked: Asked, window_s: float | None, *, now_ns: int) -> Story:
    """Answer a question. Raises JournalError."""
    if asked.moment_ns is not None:
        return _of_moment(sources, asked, asked.moment_ns, MOMENT_S if window_s is None else window_s, now_ns)
    return _of_order(sources, asked, ORDER_S if window_s is None else window_s)


def _of_moment(sources: Sources, asked: Asked, zero_ns: int, window_s: float, now_ns: int) -> Story:
    reach_ns = int(window_s * NS_PER_S)
    at_ns = zero_ns + asked.slack_ns
    from_ns, until_ns = max(0, zero_ns - reach_ns), at_ns + reach_ns + 1
    found = sources.around(from_ns, until_ns)
    holds = _holds(sources, found)
    happenings = tuple(_time_line(found, holds, from_ns, until_ns, sources.units))
    state = _state_at(found, at_ns)
    hold = next((hold for hold in holds if hold.holds_at(at_ns)), None)
    story = Story(
        asked=asked.text,
        units=sources.units,
        kind="moment",
        zero_ns=zero_ns,
        from_ns=from_ns,
        until_ns=until_ns,
        # A reason that is still in force says nothing about the future.
        is_found=bool(happenings)
        or (hold is not None and not hold.is_end_unknown and (hold.until_ns is not None or at_ns <= now_ns)),
        searched=tuple(sources.searched),
        notes=(*sources.notes, *sources.logs.notes),
        state=state,
        happenings=happenings,
        holds=tuple(holds),
        orders=tuple(found.orders),
        fills=tuple(found.fills),
    )
    if not story.is_found:
        return _nothing(sources, asked, "moment", from_ns, until_ns)
    return _ended(sources, story, why_verdict.of_moment(sources, found, hold, state, at_ns))


def _of_order(sources: Sources, asked: Asked, window_s: float) -> Story:
    life = sources.order(asked.name)
    if life is None:
        return _nothing(sources, asked, "order", 0, 0)
    reach_ns = int(window_s * NS_PER_S)
    from_ns, until_ns = max(0, life.first_ns - reach_ns), life.last_ns + reach_ns + 1
    found = sources.around(from_ns, until_ns)
    holds = _holds(sources, found)
    # Other orders of this time have their own stories.
    own = Records(
        decisions=found.decisions,
        orders=[life],
        fills=list(life.fills),
        facts=[fact for fact in found.facts if not fact.client_order_id],
        log=found.log,
    )
    story = Story(
        asked=asked.text,
        units=sources.units,
        kind="order",
        zero_ns=life.first_ns if life.sent_ns is None else life.sent_ns,
        from_ns=from_ns,
        until_ns=until_ns,
        is_found=True,
        searched=tuple(sources.searched),
        notes=(*sources.notes, *sources.logs.notes),
        state=_state_at(found, life.first_ns),
        happenings=tuple(_time_line(own, holds, from_ns, until_ns, sources.units)),
        holds=tuple(holds),
        orders=(life,),
        fills=life.fills,
    )
    return _ended(sources, story, why_verdict.of_order(life, sources.units))


def _nothing(sources: Sources, asked: Asked, kind: str, from_ns: int, until_ns: int) -> Story:
    nearest = sources.nearest(from_ns, until_ns) if kind == "moment" else (None, None)
    return Story(
        asked=asked.text,
        units=sources.units,
        kind=kind,
        zero_ns=asked.moment_ns,
        from_ns=from_ns,
        until_ns=until_ns,
        is_found=False,
        searched=tuple(sources.searched),
        notes=(*sources.notes, *sources.logs.notes),
        nearest=nearest,
        verdict=why_verdict.of_nothing(asked, nearest, sources, (until_ns - from_ns) / 2 / NS_PER_S),
    )


def _ended(sources: Sources, story: Story, verdict: Sequence[str]) -> Story:
    notes = story.notes
    if any(reason_of(hold.reason) in LIMITED for hold in story.holds):
        notes += (f"limits are those {sources.limits}",)
    return replace(story, notes=notes, verdict=tuple(verdict))


def _holds(sources: Sources, found: Records) -> list[Hold]:
    waits = sources.budget_waits(found.decisions)
    return holds_of(found.decisions, sources.cfg, is_running=sources.is_running, ends=_ends(found), budget_waits=waits)


def _ends(found: Records) -> Iterator[int]:
    """Stamps of decisions in the journal: strikes, halts and resumes."""
    for life in found.orders:
        if life.source == "journal" and life.tag in QUOTE_TAGS and life.sent_ns is not None:
            yield life.sent_ns
    yield from (fact.ts_ns for fact in found.facts if fact.what in ("halt", "resume"))


def _state_at(found: Records, ts_ns: int) -> DecisionLine | None:
    rows = [row for row in found.decisions.within if row.ts_ns <= ts_ns]
    return rows[-1] if rows else found.decisions.before


# --- the time line


def _time_line(
    found: Records, holds: Sequence[Hold], from_ns: int, until_ns: int, units: Instrument
) -> Iterator[Happening]:
    halts = {row.ts_ns // 1_000 for row in found.decisions.within if row.decision_type == "halt"}
    booked = {str(fill.exec_id) for fill in found.fills}
    facts = [
        fact
        for fact in found.facts
        if not (fact.what == "halt" and fact.ts_ns // 1_000 in halts)
        and not (fact.what == "fill" and fact.detail.split(" ")[0] in booked)
    ]
    lines: list[Happening] = []
    lines += (_of_hold(hold) for hold in holds)
    lines += (_of_decision(row) for row in found.decisions.within if row.decision_type != "hold")
    for life in found.orders:
        lines += _of_life(life, units)
    lines += (_of_fact(fact, units) for fact in facts)
    lines += (_of_fill(fill, units) for fill in found.fills)
    lines += (
        Happening(
            ts_ns=line.ts_ns, what="log", text=line.text, source="log", is_loud=line.level not in ("INFO", "DEBUG")
        )
        for line in found.log
    )
    wanted = [line for line in lines if from_ns <= line.ts_ns < until_ns]
    sent = {(line.name, line.ts_ns // 1_000) for line in wanted if line.what == "send"}

    def place(line: Happening) -> tuple[int, int]:
        """CSVs have whole microseconds. Within one: what became known, was decided, was sent, was answered at once."""
        at = line.ts_ns // 1_000
        is_at_once = line.what == "answer" and (line.name, at) in sent  # as paper orders are
        return at, 4 if is_at_once else _rank(line)

    yield from sorted(wanted, key=place)


def _rank(line: Happening) -> int:
    if line.name and line.what in _SENT and not line.text.startswith(("cancel refused", "cancel without")):
        return 3
    if line.source != "decisions":
        return 0
    return 1 if line.what in ("HALT", "resume") else 2


def _of_hold(hold: Hold) -> Happening:
    return Happening(ts_ns=hold.from_ns, what="hold", text=hold.text, source="decisions")


def _of_decision(row: DecisionLine) -> Happening:
    why, kind = sentence(row.reason), row.decision_type
    if kind in QUOTE_WORDS:
        text = f"{_orders(row.actions)}: spread {row.spread_ticks:,}, best stood {row.best_age_ms:,} ms"
    elif kind == "cancel":
        count = sum(int(part.split()[1]) for part in row.actions.split("; ") if _CANCELS.fullmatch(part))
        quotes = f"{count} quote{'s' if count > 1 else ''}" if count else "wanted, cannot be sent yet"
        text = f"{quotes}: {clause(row.reason)} ({row.reason})"
    else:
        text = f"{why} ({row.reason})"
        if row.actions:
            text = f"{_orders(row.actions)}: {clause(row.reason)} ({row.reason})"
    what = kind.upper() if kind == "halt" else kind
    return Happening(ts_ns=row.ts_ns, what=what, text=text, source="decisions", is_loud=kind in ("halt", "resume"))


def _orders(actions: str) -> str:
    """``place_limit BUY 0.001@13600000`` as ``BUY 0.001 @ 13600000``."""
    text = actions.replace("place_limit ", "").replace("close_market ", "").replace("; ", ", ").replace("@", " @ ")
    return _CANCELS.sub(r"cancels of \1", text)


def _of_life(life: OrderLife, units: Instrument) -> Iterable[Happening]:
    if life.source == "journal":
        for fact in life.facts:
            if fact.what != "fill":
                yield _of_fact(fact, units, life)
        return
    name = life.client_order_id or life.order_id
    if life.sent_ns is not None:
        yield _step(life.sent_ns, "send", f"{_terms(life)}, by the decision log", "decisions", name)
    if life.cancel_sent_ns is not None:
        yield _step(life.cancel_sent_ns, "cancel", "cancel sent, by the decision log", "decisions", name)
    for row in life.rows:
        kind = row.reason.split(":")[0]
        if row.action == "place" and row.order_id:
            yield _step(row.ts_ns, "answer", f"accepted by the venue as {row.order_id}", "orders", name)
        elif kind in FACTS:
            yield _step(row.ts_ns, FACTS[kind][0], row.reason, "orders", name, is_loud=kind in LOUD)
        else:
            what = {"cancel": "cancelled", "expire": "expired"}.get(row.action, row.action)
            yield _step(row.ts_ns, what, f"{sentence(row.reason)} ({row.reason})", "orders", name)


def _step(ts_ns: int, what: str, text: str, source: str, name: str, *, is_loud: bool = False) -> Happening:
    return Happening(ts_ns=ts_ns, what=what, text=text, source=source, name=name, is_loud=is_loud)


def _terms(life: OrderLife) -> str:
    at = "market" if life.price is None else plain(life.price)
    return f"{life.side} {plain(life.size)} @ {at}"


def _of_fact(fact: Fact, units: Instrument, life: OrderLife | None = None) -> Happening:
    what, text = FACTS.get(fact.what, (fact.what, ""))
    text = text.replace("{quote}", units.quote)
    detail = fact.detail
    if life is not None and fact.what == "send":
        text, detail = _terms(life), ""
    elif life is not None and fact.what == "accepted" and life.order_id:
        text = f"{text} as {life.order_id}"
    elif life is not None and fact.what == "cancelled":
        detail = life.cancel_reason
    if fact.what == "halt":
        label, _, rest = fact.detail.partition(" ")
        detail = f"{sentence(label)} ({label}) {rest}".strip()
    text = ": ".join(part for part in (text, detail) if part)
    return Happening(
        ts_ns=fact.ts_ns,
        what=what,
        text=text,
        source="journal",
        name=fact.client_order_id or fact.order_id or "",
        is_loud=fact.what in LOUD,
    )


def _of_fill(fill: Fill, units: Instrument) -> Happening:
    number = "" if fill.exec_id is None else f", execution {fill.exec_id}"
    fee = f", fee {money(fill.fee)} {units.quote}" if fill.fee else ""
    text = (
        f"{fill.side} {plain(fill.size)} @ {plain(fill.price)}: {money(fill.pnl)} {units.quote}{fee}, "
        f"position {signed(fill.inventory_after)} {units.base}{number}"
    )
    what = "fill" if fill.tag in (*QUOTE_TAGS, "close", "dust") else fill.tag
    return Happening(
        ts_ns=fill.ts_ns,
        what=what,
        text=text,
        source="trades" if fill.exec_id is None else "journal",
        name=fill.client_order_id or fill.order_id,
        is_loud=what != "fill",
    )
