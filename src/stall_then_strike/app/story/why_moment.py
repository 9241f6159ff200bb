"""Parses what is asked about: a moment or an order, as the operator writes it.

Times without an offset are UTC, as in all logs; with ``--local`` they are in the session's zone. A time of day means
today in that zone. Anything that does not look like a time is the id of an order or execution.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Final
from zoneinfo import ZoneInfo

from stall_then_strike.types.dto import NS_PER_MS, NS_PER_S
from stall_then_strike.types.errors import ConfigError
from stall_then_strike.types.text import iso_ns

AGO: Final = re.compile(r"-(\d{1,9}(?:\.\d{1,9})?)([smhd])")
"""A time span before now, such as ``-5m``."""
_UNIT_S: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_CLOCK: Final = r"(\d\d:\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?"
_TIME: Final = re.compile(_CLOCK)
_ISO: Final = re.compile(rf"(\d{{4}}-\d\d-\d\d)(?:[T ]{_CLOCK}(Z|[+-]\d\d:?\d\d)?)?")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_YEARS: Final = range(1971, 2200)
"""Years whose nanoseconds fit into 64 bits, with room for the window."""
_ACCEPTED: Final = (
    "accepted: 2026-11-21T07:30:13.123Z, 07:30[:13[.123]] of today, now, -5m (s, m, h, d), or the id of an order "
    "or execution"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Either a moment or an id."""

    text: str
    moment_ns: int | None = None
    slack_ns: int = 0
    """How much later the moment may be if milliseconds were given: ``.531`` may stand for ``.531999``."""
    name: str = ""


def parse_asked(text: str, *, now_ns: int, zone: str) -> Asked:
    """Read a moment or an id; ``zone`` applies to times without an offset. Raises ConfigError."""
    text = text.strip()
    if text == "now":
        return Asked(text=text, moment_ns=now_ns)
    if ago := AGO.fullmatch(text):
        back_ns = int(float(ago[1]) * _UNIT_S[ago[2]] * NS_PER_S)
        if back_ns >= now_ns:
            raise ConfigError(f"{text!r} is too long ago; {_ACCEPTED}")
        return Asked(text=text, moment_ns=now_ns - back_ns)
    try:
        if clock := _TIME.fullmatch(text):
            today = datetime.fromtimestamp(now_ns // NS_PER_S, ZoneInfo(zone)).date()
            moment_ns = _moment(today, clock[1], clock[2], clock[3], zone)
            return Asked(text=text, moment_ns=moment_ns, slack_ns=_slack(clock[3]))
        if iso := _ISO.fullmatch(text):
            day, clock_text, seconds, fraction, offset = iso.groups()
            moment_ns = _moment(date.fromisoformat(day), clock_text, seconds, fraction, zone, offset)
            return Asked(text=text, moment_ns=moment_ns, slack_ns=_slack(fraction))
    except ValueError as error:
        raise ConfigError(f"{text!r} is not a time: {error}; {_ACCEPTED}") from error
    if not _NAME.fullmatch(text):
        raise ConfigError(f"{text!r} is neither a time nor the id of an order; {_ACCEPTED}")
    return Asked(text=text, name=text)


def _moment(
    day: date, clock: str | None, seconds: str | None, fraction: str | None, zone: str, offset: str | None = None
) -> int:
    """Nanoseconds since the epoch. Raises ValueError."""
    if day.year not in _YEARS:
        raise ValueError(f"its year is outside {_YEARS.start} to {_YEARS.stop - 1}")
    at = datetime.combine(day, time.fromisoformat(f"{clock or '00:00'}:{seconds or '00'}"))
    if offset is None:
        whole = int(at.replace(tzinfo=ZoneInfo(zone)).timestamp()) * NS_PER_S
    else:
        whole = iso_ns(f"{at.isoformat()}{offset}")
    return whole + int((fraction or "").ljust(9, "0"))


def _slack(fraction: str | None) -> int:
    return min(10 ** (9 - len(fraction)), NS_PER_MS) - 1 if fraction and len(fraction) >= 3 else 0
