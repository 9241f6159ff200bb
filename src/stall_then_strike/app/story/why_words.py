"""Reasons and facts in plain English, and what a gate measured against its limit.

Limits are those of the present configuration, because no log has the configuration of the run. A figure that
contradicts its limit is reported as such.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from stall_then_strike.app.view.reason_words import SENTENCES
from stall_then_strike.config.models import AppConfig, QuoteMode
from stall_then_strike.engine.venue.calendar import TradingCalendar
from stall_then_strike.infra.logs.log_reader import DecisionLine
from stall_then_strike.types.dto import OrderEventKind, Reason
from stall_then_strike.types.text import plain

_USUAL: Final[Mapping[str, tuple[str, str]]] = {
    "send": ("send", "order sent"),
    "cancel": ("cancel", "cancel sent"),
    OrderEventKind.ACCEPTED: ("answer", "accepted by the venue"),
    OrderEventKind.REGISTERED: ("book", "on the book"),
    OrderEventKind.CANCELLED: ("cancelled", "cancel confirmed"),
    OrderEventKind.EXPIRED: ("expired", "expired, or an unfilled remainder"),
    OrderEventKind.CANCEL_FAILED: ("cancel", "cancel refused by the venue"),
    "fill": ("fill", "filled"),
    "ask": ("account", "queried because"),
    "report": ("account", "reconciled"),
    "funding": ("account", "funding or carry, {quote}"),
    "day": ("day", "trading day"),
}
_LOUD: Final[Mapping[str, tuple[str, str]]] = {
    OrderEventKind.REJECTED: ("refused", "refused by the venue"),
    OrderEventKind.SEND_UNKNOWN: ("unknown", "no answer; counted as live"),
    OrderEventKind.NOT_SENT: ("not sent", "did not take effect"),
    OrderEventKind.PROVEN_ABSENT: ("absent", "proven never to have been on the book"),
    OrderEventKind.CANCEL_UNSENT: ("cancel", "cancel not sent or without effect; will be sent again"),
    "anomaly": ("anomaly", ""),
    "error": ("error", "the strategy failed"),
    "halt": ("HALT", ""),
    "resume": ("resume", "halt lifted"),
    "operator": ("operator", ""),
    "limit": ("limit", "reached while the operator handles the position"),
    "refusal": ("refusal", "the venue refused a request"),
    "margin": ("margin", "the collateral is insufficient for an order"),
    "start_failed": ("start", "failed before trading began"),
    "channel": ("channel", "private channel"),
    "report_failed": ("account", "could not be queried"),
    "take_over": ("account", "position from before the first run taken over"),
    "stranger": ("account", "an order on the book is not ours"),
    "orphan": ("account", "an order believed ended is still on the book"),
    "difference": ("account", "our books and the venue's differ"),
    "behind": ("account", ""),
    "unreconciled": ("account", ""),
    "collateral": ("account", "collateral moved without a fill, {quote}"),
    "pause": ("pause", ""),
    "journal": ("journal", ""),
    "start": ("start", "run started, configuration"),
    "stop": ("stop", "run ended"),
}
FACTS: Final[Mapping[str, tuple[str, str]]] = {**_USUAL, **_LOUD}
"""Facts of the journal: a word for the time line, and the text before the detail (``{quote}``: the currency). Others
are shown as they are."""
LOUD: Final = frozenset(_LOUD)
"""Facts that are out of the ordinary."""

_CHANGED: Final = "the configuration has changed since"
_REASONS: Final = {reason.label: reason for reason in Reason}


def reason_of(label: str) -> Reason | None:
    """The reason of a label; None for a text that is none."""
    return _REASONS.get(label)


def sentence(label: str) -> str:
    """A reason in words, without its full stop. A text that is no reason's label stays as it is."""
    reason = reason_of(label)
    return label if reason is None else SENTENCES[reason].rstrip(".")


def clause(label: str) -> str:
    """A reason as the second half of a sentence."""
    text = sentence(label)
    return text[:1].lower() + text[1:] if reason_of(label) is not None else text


def measured(line: DecisionLine, cfg: AppConfig, budget_wait: str = "") -> str:
    """What the gate measured in this row, and its limit; empty if the row does not show it.

    ``budget_wait`` is the result of :mod:`why_budget`.
    """
    strategy = cfg.strategy
    match reason_of(line.reason):
        case Reason.SPREAD:
            ticks, limit = line.spread_ticks, strategy.min_spread_tick
            met = strategy.quote_mode is not QuoteMode.MID and ticks <= 2 * strategy.quote_offset_ticks
            why = "the two quotes would have met" if met else _CHANGED
            return _against(ticks, limit, f"{ticks:,} {'tick' if ticks == 1 else 'ticks'}", "min_spread_tick", why)
        case Reason.STALL_IMMATURE:
            return _against(line.best_age_ms, strategy.stall_T_ms, f"{line.best_age_ms:,} ms", "stall_T_ms")
        case Reason.BOOK_STALE:
            return f"stale_ms {strategy.stale_ms:,}; the age of the last message is not logged"
        case Reason.POSITION_LIMIT:
            held, limit_btc = line.inventory, strategy.max_inventory_btc
            size = f"{signed(held)} {cfg.exchange.instrument().base}"
            return f"position {size}, quotes of {plain(strategy.size_min)}, limit {plain(limit_btc)}"
        case Reason.QUIET_TIME:
            why_quiet = TradingCalendar(cfg.session).quiet(line.ts_ns)
            return why_quiet or "not quiet by the present configuration"
        case Reason.VENUE_NOT_RUNNING | Reason.VENUE_UNHEALTHY:
            return "which state the venue reported is not logged"
        case Reason.BUDGET:
            return budget_wait
        case _:
            return ""


LIMITED: Final = frozenset(
    {Reason.SPREAD, Reason.STALL_IMMATURE, Reason.BOOK_STALE, Reason.POSITION_LIMIT, Reason.QUIET_TIME}
    | {Reason.BUDGET}
)
"""Gates whose limit :func:`measured` takes from the configuration."""


def _against(value: int, limit: int, shown: str, name: str, why: str = _CHANGED) -> str:
    """A figure and its limit; ``why`` is why a figure that is not under it held."""
    return f"{shown}, under {name} {limit:,}" if value < limit else f"{shown}, not under {name} {limit:,}: {why}"


def signed(size: Decimal) -> str:
    """A position with its sign, ``+0.001``; ``0`` when flat."""
    return f"+{plain(size)}" if size > 0 else plain(size)


def lasting(ns: int) -> str:
    """A duration in readable units: ``0.234 s``, ``12.4 s``, ``3 min 20 s``, ``2 h 05 min``."""
    ms = (ns + 500_000) // 1_000_000
    if ms < 10_000:
        return f"{ms / 1000:.3f} s"
    if ms < 120_000:
        return f"{ms / 1000:.1f} s"
    seconds = ms // 1000
    if seconds < 7_200:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600:,} h {seconds % 3600 // 60:02d} min"
