"""Findings of a check, the exit code that follows from them, and the findings that all venues have."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final

from yarl import URL

from stall_then_strike.config.models import AppConfig, ForeignOrders
from stall_then_strike.infra.line.clock_skew import ClockSkew
from stall_then_strike.infra.line.own_machine import is_own_machine
from stall_then_strike.types.instrument import Instrument
from stall_then_strike.types.names import NS_PER_S
from stall_then_strike.types.text import money, plain

MAY_PASS: Final = 1
"""Exit code of a fault that may pass by itself."""
TO_MEND: Final = 2
"""Exit code of a fault in settings or keys."""


class Verdict(StrEnum):
    """Severity of a finding."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """One finding. ``exit_code`` is the command's exit code because of it, zero unless it is a fault."""

    name: str
    verdict: Verdict
    text: str
    advice: str = ""
    exit_code: int = 0
    is_halt: bool = False
    """Whether a run would only close its position, until the operator lifts the halt."""


def ok(name: str, text: str) -> CheckResult:
    """A finding without a problem."""
    return CheckResult(name=name, verdict=Verdict.OK, text=text)


def warning(name: str, text: str, advice: str) -> CheckResult:
    """A finding that does not prevent trading, but that the operator should know."""
    return CheckResult(name=name, verdict=Verdict.WARNING, text=text, advice=advice)


def fault(name: str, text: str, advice: str, *, exit_code: int = MAY_PASS) -> CheckResult:
    """A finding that prevents trading, with the exit code `MAY_PASS` or `TO_MEND`."""
    return CheckResult(name=name, verdict=Verdict.FAULT, text=text, advice=advice, exit_code=exit_code)


def address_finding(cfg: AppConfig, venue: str, is_venue_host: Callable[[str], bool], sent: str) -> CheckResult:
    """Whether requests go to the venue over TLS, or stay on this machine. ``sent`` is what goes nowhere else."""
    for key in ("base_url", "ws_url"):
        text: str = getattr(cfg.exchange, key)
        try:
            url = URL(text)
        except ValueError:
            url = URL()
        host = url.host or ""
        if not is_own_machine(host) and not (is_venue_host(host) and url.scheme in {"https", "wss"}):
            return fault(
                "address",
                f"exchange.{key}: {text} is neither {venue} over TLS nor this machine",
                f"{sent} are not sent there; remove the setting to use {venue}'s address",
                exit_code=TO_MEND,
            )
    return ok("address", cfg.exchange.base_url)


def collateral_finding(collateral: Decimal, quote: str) -> CheckResult:
    """Whether there is any."""
    text = f"{money(collateral, signed=False)} {quote}"
    if collateral <= 0:
        return fault("collateral", text, "deposit collateral: every order would be refused")
    return ok("collateral", text)


def orders_finding(cfg: AppConfig, count: int) -> CheckResult:
    """How many orders are open, and what becomes of those that are not ours."""
    if not count:
        return ok("open orders", "none")
    text = "1 order is open" if count == 1 else f"{count} orders are open"
    if cfg.account.foreign_orders is ForeignOrders.CANCEL:
        return warning(
            "open orders", text, "account.foreign_orders is cancel: those that are not ours will be cancelled"
        )
    return warning(
        "open orders", text, "those that are not ours are left alone; cancel them, or let others not trade here"
    )


def position_finding(
    size: Decimal, unit: Instrument, limit: Decimal, limit_key: str, *, name: str = "position", average: str = ""
) -> CheckResult:
    """The position, and whether it is within the strategy's limit. ``average`` is its entry price in words."""
    if not size:
        return ok(name, "flat")
    side = "long" if size > 0 else "short"
    text = f"{side} {plain(abs(size))} {unit.base}{average}"
    if abs(size) > limit:
        return warning(
            name, f"{text}; {limit_key} is {plain(limit)}", "it is quoted down on one side only; or close it"
        )
    return ok(name, text)


def clock_finding(skew: ClockSkew, max_skew_sec: Decimal) -> CheckResult:
    """Whether our clock is the venue's, by the dates of its answers; ``max_skew_sec`` is `risk.max_clock_skew_sec`."""
    bounds, skew_ns = skew.bounds_ns(), skew.skew_ns()
    if bounds is None or skew_ns is None:
        return warning("clock", "the venue's answers carry no date", "compare this machine's clock by hand")
    if not skew_ns:
        return ok("clock", f"within {max(-bounds[0], bounds[1]) / NS_PER_S:.1f} s of the venue's")
    direction = "behind" if skew_ns > 0 else "ahead of"
    text = f"at least {abs(skew_ns) / NS_PER_S:.1f} s {direction} the venue's"
    advice = "set this machine's clock and keep it set (NTP)"
    limit_ns = int(max_skew_sec * NS_PER_S)
    if abs(skew_ns) > limit_ns:
        return fault("clock", f"{text}; risk.max_clock_skew_sec is {plain(max_skew_sec)}", advice)
    return warning("clock", text, advice) if abs(skew_ns) > limit_ns // 2 else ok("clock", text)


def exit_code(results: Iterable[CheckResult]) -> int:
    """The exit code of all findings: settings and keys (2) come before what may pass by itself (1)."""
    return max((result.exit_code for result in results), default=0)
