"""Figures of a run in Prometheus' text format (version 0.0.4).

They are made anew of a snapshot and of histograms each time somebody asks, so a client library with its registry would
have nothing to keep. Money is in the quote currency, sizes in the base asset, times in seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from stall_then_strike import __version__
from stall_then_strike.app.view.snapshot import InstrumentSnapshot, Snapshot
from stall_then_strike.infra.watch.histogram import LatencyHistogram
from stall_then_strike.types.dto import NS_PER_S, BookStatus

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_EXPONENTS: Final = range(14, 35)
"""Buckets end at powers of two nanoseconds: 16 µs to 17 s. There the histograms' own buckets end, too."""
_ORDER_STATES: Final = ("pending_new", "working", "partial", "pending_cancel", "unknown")
_ESCAPED: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
_Labels = Mapping[str, str]
_NONE: Final[_Labels] = {}
_Sample = tuple[_Labels, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Histograms:
    """The distributions that a run measures; None for one that it does not."""

    decision: LatencyHistogram
    round_trip: LatencyHistogram
    lag: LatencyHistogram | None = None


def metrics_text(seen: Snapshot, histograms: Histograms | None = None) -> str:
    """All figures. Those that are not known are left out; without ``histograms``, distributions are."""
    distributions = () if histograms is None else _distributions(histograms)
    return "".join((*_run(seen), *_account(seen), *_instruments(seen.instruments), *distributions))


def _run(seen: Snapshot) -> Iterator[str]:
    yield _gauge("sts_info", "The program and what it runs on.", [({"version": __version__, "mode": seen.mode}, 1)])
    yield _gauge("sts_uptime_seconds", "Length of the run, on its own clock.", [(_NONE, seen.uptime_s)])
    halt = seen.halt
    yield _gauge(
        "sts_halted",
        "1 while trading is halted, with the reason.",
        [({"reason": "" if halt is None else halt.reason}, halt is not None)],
    )
    yield _gauge("sts_paused", "1 while the operator's pause holds.", [(_NONE, bool(seen.paused))])
    yield _gauge("sts_connected", "1 while the venue's feed is connected.", [(_NONE, seen.connected)])
    yield _counter("sts_reconnects_total", "Connections after the first.", [(_NONE, seen.reconnects)])
    day, money = seen.day, {"currency": seen.quote}
    yield _gauge("sts_day_result", "Result of the trading day, realised and marked.", [(money, day.pnl)])
    yield _gauge("sts_day_realised", "Realised result of the trading day.", [(money, day.realised)])
    yield _gauge("sts_day_drawdown", "Fall from the day's peak, zero or below.", [(money, day.drawdown)])
    yield _gauge("sts_day_max_drawdown", "Deepest fall of the day, zero or below.", [(money, day.max_drawdown)])
    yield _gauge("sts_day_result_limit", "Result at which trading halts.", [(money, seen.pnl_limit)])
    yield _gauge("sts_day_drawdown_limit", "Drawdown at which trading halts.", [(money, seen.drawdown_limit)])
    used, limit = ([({"limit": use.name}, getattr(use, what)) for use in seen.budget] for what in ("used", "limit"))
    yield _gauge("sts_limit_used", "Use of a rate limit of the venue, in its rolling window.", used)
    yield _gauge("sts_limit_most", "What the window of a rate limit holds.", limit)
    yield _gauge(
        "sts_waits_for_limit", "1 while a rate limit delays the next quote.", [(_NONE, bool(seen.budget_wait))]
    )


def _account(seen: Snapshot) -> Iterator[str]:
    account = seen.account
    if account is None:
        return
    yield _gauge("sts_private_channel_live", "1 while the private channel is up.", [(_NONE, account.is_live)])
    yield _gauge("sts_account_settled", "1 while the account is reconciled.", [(_NONE, account.is_settled)])
    yield _gauge("sts_account_age_seconds", "Time since the last reconciliation.", [(_NONE, account.reported_s)])
    yield _gauge("sts_orders_in_doubt", "Live orders whose fate is uncertain.", [(_NONE, account.in_doubt)])


def _instruments(all_of: tuple[InstrumentSnapshot, ...]) -> Iterator[str]:
    named = [({"product": one.product}, one) for one in all_of]

    def each(get: str) -> list[_Sample]:
        return [(name, getattr(one, get)) for name, one in named]

    yield _gauge("sts_position", "Position, signed.", each("position"))
    yield _gauge("sts_position_limit", "Largest position either way.", each("max_position"))
    results = [(name, one.day.pnl) for name, one in named]
    yield _gauge("sts_instrument_day_result", "An instrument's part of the day's result.", results)
    yield _gauge("sts_best_bid", "Best bid without our own orders.", each("best_bid"))
    yield _gauge("sts_best_ask", "Best ask without our own orders.", each("best_ask"))
    ages = [(name, None if one.message_age_ms is None else one.message_age_ms / 1000) for name, one in named]
    yield _gauge("sts_feed_age_seconds", "Time since the last board message.", ages)
    books = [({**name, "status": s.name.lower()}, one.book is s) for name, one in named for s in BookStatus]
    yield _gauge("sts_book_status", "1 for the book's present status.", books)
    states = [
        ({**name, "state": state}, sum(order.state == state for order in one.orders))
        for name, one in named
        for state in sorted({*_ORDER_STATES, *(order.state for order in one.orders)})
    ]
    yield _gauge("sts_orders", "Live orders of ours by their state.", states)
    for what, counted, text in (
        ("board_messages", "messages", "Board messages."),
        ("strikes", "strikes", "Strikes."),
        ("orders_placed", "placed", "Quotes that the venue accepted."),
        ("orders_filled", "filled", "Orders filled completely."),
        ("fills", "fills", "Executions of ours."),
        ("cancels", "cancels", "Confirmed cancels."),
        ("closes", "closes", "Closing orders."),
        ("refusals", "rejects", "Orders that the venue refused or that were not sent."),
        ("garbage_frames", "garbage", "Frames that could not be read."),
    ):
        yield _counter(f"sts_{what}_total", text, [(name, getattr(one.counts, counted)) for name, one in named])
    reasons = [({**name, "reason": r.reason}, r) for name, one in named for r in one.run.reasons]
    yield _counter("sts_decisions_total", "Decisions by reason.", [(name, r.count) for name, r in reasons])
    yield _counter(
        "sts_reason_seconds_total", "How long a reason for doing nothing held.", [(n, r.seconds) for n, r in reasons]
    )


def _distributions(histograms: Histograms) -> Iterator[str]:
    decision, trip = histograms.decision, histograms.round_trip
    yield _histogram("sts_decision_seconds", "From a board message's text to the decision.", decision)
    yield _histogram("sts_order_round_trip_seconds", "From the decision to the venue's acceptance.", trip)
    if histograms.lag is not None:
        yield _histogram("sts_loop_lag_seconds", "How late the event loop runs.", histograms.lag)


# --- the format


def _gauge(name: str, text: str, samples: Iterable[_Sample]) -> str:
    return _family(name, "gauge", text, samples)


def _counter(name: str, text: str, samples: Iterable[_Sample]) -> str:
    return _family(name, "counter", text, samples)


def _family(name: str, kind: str, text: str, samples: Iterable[_Sample]) -> str:
    known = [f"{name}{_braced(labels)} {_number(value)}\n" for labels, value in samples if value is not None]
    return f"# HELP {name} {text}\n# TYPE {name} {kind}\n{''.join(known)}" if known else ""


def _histogram(name: str, text: str, histogram: LatencyHistogram) -> str:
    counts = histogram.below(_EXPONENTS)
    edges = [*(repr(2**exponent / NS_PER_S) for exponent in _EXPONENTS), "+Inf"]
    lines = [
        f'{name}_bucket{{le="{edge}"}} {count}\n' for edge, count in zip(edges, (*counts, histogram.count), strict=True)
    ]
    total = f"{name}_sum {histogram.total_ns / NS_PER_S!r}\n{name}_count {histogram.count}\n"
    return f"# HELP {name} {text}\n# TYPE {name} histogram\n{''.join(lines)}{total}"


def _braced(labels: _Labels) -> str:
    """Labels with their values escaped as the format wants it."""
    if not labels:
        return ""
    pairs = [f'{name}="{value.translate(_ESCAPED)}"' for name, value in labels.items()]
    return f"{{{','.join(pairs)}}}"


def _number(value: object) -> str:
    if isinstance(value, bool):
        return str(int(value))
    return f"{value:f}" if isinstance(value, Decimal) else repr(value)
