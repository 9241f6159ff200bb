"""What the console says of a run: figures with their limits and grades, made of a snapshot, without any drawing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from stall_then_strike.app.view.amounts import UNKNOWN, micros, millis, price
from stall_then_strike.app.view.grades import Grade, graded
from stall_then_strike.app.view.snapshot import InstrumentSnapshot, Snapshot
from stall_then_strike.app.web.drawing.console_words import Words
from stall_then_strike.app.web.poller import Seen
from stall_then_strike.types.dto import NS_PER_S, BoardState, BookStatus, Health
from stall_then_strike.types.text import money, plain, utc_clock

_LATE_NS: Final = 7 * NS_PER_S
"""Longer than the longest pause between two questions: the daemon hangs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauge:
    """A figure against its limit."""

    title: str
    value: str
    note: str = ""
    share: float | None = None
    """Of the limit, 0 to 1; None without one."""
    grade: Grade = Grade.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A figure without a limit."""

    title: str
    text: str
    grade: Grade = Grade.NONE


def state_of(seen: Seen, now_ns: int = 0) -> tuple[str, Grade]:
    """The word for what the run does at ``now_ns``, as a key of the catalogue, and how good that is."""
    run = seen.snapshot
    if seen.problem:
        return ("state.other" if seen.other else "state.absent"), Grade.BAD
    if run is None:
        return "state.waiting", Grade.NONE
    if now_ns - seen.at_ns > _LATE_NS:
        return "state.late", Grade.BAD
    if run.halt is not None:
        return "state.halted", Grade.BAD
    if run.awaited:
        return "state.ending", Grade.WARN
    if run.paused:
        return ("state.flat" if run.paused == "flatten" else "state.paused"), Grade.WARN
    begun = any(one.reason for one in run.instruments)
    return ("state.running", Grade.GOOD) if begun else ("state.starting", Grade.NONE)


def account_gauges(run: Snapshot, words: Words) -> Iterator[Gauge]:
    """Result of the day, drawdown, and each position, against their limits."""
    day = run.day
    loss = _share(min(day.pnl, Decimal(0)), run.pnl_limit)
    yield Gauge(
        title=words("day", date=run.date),
        value=f"{money(day.pnl)} {run.quote}",
        note=f"{words('day.realised', money=money(day.realised))} · {_limit(run.pnl_limit, words)}",
        share=loss,
        grade=graded(loss),
    )
    fall = _share(day.drawdown, run.drawdown_limit)
    yield Gauge(
        title=words("drawdown"),
        value=f"{money(day.drawdown)} {run.quote}",
        note=_limit(run.drawdown_limit, words),
        share=fall,
        grade=graded(fall),
    )
    for name, one in run.named:
        held = _share(abs(one.position), one.max_position)
        average = words("average", price=price(one.avg_price)) if one.avg_price is not None else words("flat")
        limit = words("of", limit=plain(one.max_position)) if one.max_position else words("no_limit")
        yield Gauge(
            title=f"{words('position')} {name}".rstrip(),
            value=f"{one.position:+f} {one.base}" if one.position else f"0 {one.base}",
            note=f"{average} · {limit}",
            share=held,
            grade=graded(held),
        )


def limit_gauges(run: Snapshot, words: Words) -> Iterator[Gauge]:
    """Use of each rate limit, and when its next slot is free."""
    for use in run.budget:
        share = use.used / use.limit if use.limit else None
        is_free = not use.next_s
        note = "" if use.next_s is None else words("limit.free")
        if not is_free:
            note = words("limit.next", seconds=f"{use.next_s:,.1f}")
        yield Gauge(
            title=use.name,
            value=f"{use.used:,}/{use.limit:,}",
            note=note,
            share=share,
            grade=Grade.BAD if not is_free else graded(share),
        )


def health_lines(run: Snapshot, words: Words) -> Iterator[Line]:
    """What may be wrong with the run, its feed and its knowledge of the account."""
    yield from _feeds(run, words)
    yield Line(
        title=words("health.reconnects"),
        text=f"{run.reconnects:,}",
        grade=Grade.WARN if run.reconnects else Grade.GOOD,
    )
    yield from _account(run, words)
    latency = run.latency
    yield Line(title=words("health.decision"), text=f"{micros(latency.p50_us)} / {micros(latency.p99_us)}")
    halt = run.halt
    text = words("health.halt.none") if halt is None else words.reason(halt.reason)
    since = "" if halt is None or not halt.ts_ns else f" · {words('since', time=utc_clock(halt.ts_ns)[:8])}"
    detail = "" if halt is None or not halt.detail else f" · {halt.detail}"
    grade = Grade.GOOD if halt is None else Grade.BAD
    yield Line(title=words("health.halt"), text=f"{text}{since}{detail}", grade=grade)


def beat_line(age_s: float | None, words: Words) -> Line:
    """The heartbeat file's age, which the watchdog looks at."""
    if age_s is None:
        return Line(title=words("health.beat"), text=words("health.beat.none"))
    grade = Grade.GOOD if age_s < 5 else Grade.BAD
    return Line(title=words("health.beat"), text=words("health.beat.ok", age=words.age(age_s)), grade=grade)


def _feeds(run: Snapshot, words: Words) -> Iterator[Line]:
    for name, one in run.named:
        seconds = None if one.message_age_ms is None else one.message_age_ms / 1000
        is_stale = one.message_age_ms is not None and one.stale_ms is not None and one.message_age_ms >= one.stale_ms
        text = words("health.feed.on", age=UNKNOWN if seconds is None else words.age(seconds))
        grade = Grade.BAD if not run.connected else Grade.WARN if is_stale else Grade.GOOD
        yield Line(
            title=f"{words('health.feed')} {name}".rstrip(),
            text=text if run.connected else words("health.feed.off"),
            grade=grade,
        )
        yield Line(
            title=f"{words('health.book')} {name}".rstrip(),
            text=words(f"health.book.{one.book.name.lower()}"),
            grade=_book(one),
        )
        is_open = one.venue_state is BoardState.RUNNING and one.venue_health in (Health.NORMAL, Health.BUSY)
        yield Line(
            title=f"{words('health.venue')} {name}".rstrip(),
            text=f"{one.venue_state.value}, {one.venue_health.value}",
            grade=Grade.GOOD if is_open else Grade.WARN,
        )


def _book(one: InstrumentSnapshot) -> Grade:
    return {BookStatus.OK: Grade.GOOD, BookStatus.UNKNOWN: Grade.WARN}.get(one.book, Grade.BAD)


def _account(run: Snapshot, words: Words) -> Iterator[Line]:
    account = run.account
    if account is None:
        yield Line(title=words("health.account"), text=words("health.account.paper"))
        return
    text, grade = words("health.account.open"), Grade.WARN
    if not account.is_live:
        text, grade = words("health.account.down"), Grade.BAD
    elif account.is_settled and account.reported_s is not None:
        text, grade = words("health.account.ok", age=words.age(account.reported_s)), Grade.GOOD
    if account.in_doubt:
        text, grade = f"{text} · {words('health.doubt', count=account.in_doubt)}", Grade.WARN
    yield Line(title=words("health.account"), text=text, grade=grade)
    lag = account.lag_p99_ms
    yield Line(
        title=words("health.loop"),
        text=UNKNOWN if lag is None else f"{lag:,.1f} ms" if lag < 10 else millis(round(lag)),
        grade=Grade.NONE if lag is None else Grade.GOOD if lag < 50 else Grade.WARN,
    )


def _share(value: Decimal, limit: Decimal | None) -> float | None:
    return None if not limit else min(1.0, max(0.0, float(value / limit)))


def _limit(limit: Decimal | None, words: Words) -> str:
    return words("no_limit") if limit is None else words("of", limit=money(limit))
