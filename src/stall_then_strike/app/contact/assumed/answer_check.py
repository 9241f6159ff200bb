"""Checks the venue's HTTP answers: their form, their headers, the rate limits in them, and how long they take.

It is the `on_answer` of a `BitflyerHttp`, so it sees each answer before the parser does, orders and cancels included.
"""

from __future__ import annotations

import json
from collections import deque
from typing import Any, Final

from stall_then_strike.app.contact.assumed.deviations import Deviations
from stall_then_strike.app.contact.assumed.documented import ANSWERS, ERROR
from stall_then_strike.config.models import ExchangeConfig
from stall_then_strike.infra.bitflyer.answers import BadAnswer, read_json
from stall_then_strike.infra.bitflyer.bitflyer_rules import LimitName, bitflyer_limits
from stall_then_strike.infra.bitflyer.error_table import CODES, Answer, limit_readings
from stall_then_strike.infra.line.clock_skew import read_date
from stall_then_strike.types.dto import NS_PER_S, LimitReading

_ORDER_CALLS: Final = frozenset({"me/sendchildorder", "me/cancelallchildorders"})
_EMPTY: Final = frozenset({"me/cancelchildorder", "me/cancelallchildorders"})
_LISTS: Final = frozenset({"getexecutions", "me/getexecutions"})
_STUCK: Final = 4
"""Answers with the same number of calls left that show that the number does not count."""
_ROW_NS: Final = 5 * NS_PER_S
"""Within this time: in a longer one as many old calls may leave the window as new ones come."""
_SLOW_S: Final = 3.0
_RESET_SLACK_S: Final = 3
_SHOWN_HEADERS: Final = ("content-type", "date", "retry-after")
_KEPT: Final = 1_000


class AnswerCheck:
    """Notes deviations of answers."""

    def __init__(self, exchange: ExchangeConfig, deviations: Deviations) -> None:
        """``exchange`` has the limits that the program counts with."""
        self._found, self._add = deviations, deviations.add
        self._limits = {limit.name: limit for limit in bitflyer_limits(exchange)}
        self._last: dict[str, tuple[int, int, int]] = {}
        """For each limit: the last number of calls left, how often it came in a row, and since when."""
        self.times_ns: Final[deque[int]] = deque(maxlen=_KEPT)
        """How long the answers took."""
        self.calls = 0

    def take(self, path: str, answer: Answer, sent_ns: int) -> None:
        """Check one answer to the call of ``path``, which was sent at ``sent_ns``."""
        self.calls += 1
        took_ns = answer.received_ns - sent_ns
        self.times_ns.append(took_ns)
        if took_ns > _SLOW_S * NS_PER_S:
            self._add(f"{path} is slow", f"an answer within {_SLOW_S:g} s", f"{took_ns / NS_PER_S:.1f} s")
        self._check_headers(path, answer)
        self._check_body(path, answer)

    # --- the body

    def _check_body(self, path: str, answer: Answer) -> None:
        kind = answer.headers.get("Content-Type", "")
        if answer.status == 200 and path in _EMPTY:
            if (answer.text or "").strip():
                self._add(f"{path} has a body", "none", "some", answer.text)
            return
        try:
            read_json(answer.text or "")
            value = json.loads(answer.text or "")  # with floats, which forms and examples know
        except BadAnswer as bad:
            if answer.status == 200 or answer.status >= 500:
                self._add(f"{path} is not JSON", "JSON", str(bad), self._told(answer), is_grave=True)
            return
        if not kind.startswith("application/json"):
            self._add(f"the content type of {path}", "application/json", kind)
        form = ANSWERS.get(path)
        if answer.status == 200 and form is not None:
            self._found.look_at(form, value, path)
            self._check_order(path, value)
        elif answer.status != 200 and isinstance(value, dict) and "status" in value:
            self._found.look_at(ERROR, value, "error")
            code = value.get("status")
            if type(code) is int and code not in CODES:
                self._add(f"the venue's code {code} is not known", "a code of the table", str(code), value)

    def _check_order(self, path: str, value: Any) -> None:
        """Whether a list that is read page by page is newest first."""
        rows = value if path in _LISTS and isinstance(value, list) else []
        ids = [number for row in rows if isinstance(row, dict) and type(number := row.get("id")) is int]
        if ids != sorted(ids, reverse=True):
            self._add(f"{path} is not newest first", "falling ids", "another order", value, is_grave=True)

    # --- the headers

    def _check_headers(self, path: str, answer: Answer) -> None:
        is_private = path.startswith("me/")
        if read_date(answer.headers.get("Date")) is None:
            seen = self._told(answer)
            self._add("the Date header", "an HTTP date in each answer", answer.headers.get("Date", "none"), seen)
        if answer.status in {401, 403, 404} or answer.status >= 500:
            return  # refused before the limits are counted, or answered by another machine
        names = [LimitName.PRIVATE if is_private else LimitName.ADDRESS]
        if path in _ORDER_CALLS:
            names.append(LimitName.ORDERS)
        readings = {reading.limit: reading for reading in limit_readings(answer, is_private=is_private)}
        for name in names:
            reading = readings.pop(str(name), None)
            if reading is None:
                expected = "x-ratelimit-period, -remaining and -reset as numbers"
                if name is LimitName.ORDERS:
                    expected = expected.replace("x-", "x-orderrequest-", 1)
                self._add(f"the headers of the limit {name}", expected, "missing or no numbers", self._told(answer))
            else:
                self._check_reading(reading, answer)
        for other in readings:
            self._add(f"headers of the limit {other} on another call", "only on orders", path, self._told(answer))

    def _check_reading(self, reading: LimitReading, answer: Answer) -> None:
        name, at_ns, limit = reading.limit, answer.received_ns, self._limits[reading.limit]
        told = self._told(answer)
        if reading.remaining >= limit.most:
            seen = f"{reading.remaining} left after a call"
            self._add(f"the size of the limit {name}", f"at most {limit.most - 1} left after a call", seen, told)
        if reading.reset_ns - at_ns > limit.window_ns:
            expected, seen = (
                f"{limit.window_ns // NS_PER_S} s",
                f"{(reading.reset_ns - at_ns) / NS_PER_S:.0f} s to its end",
            )
            self._add(f"the window of the limit {name}", expected, seen, told)
        last, times, since_ns = self._last.get(name, (-1, 0, 0))
        is_in_row = last == reading.remaining and at_ns - since_ns <= _ROW_NS
        times, since_ns = (times + 1, since_ns) if is_in_row else (1, at_ns)
        self._last[name] = reading.remaining, times, since_ns
        if times >= _STUCK:
            expected, seen = "one less after each call", f"{reading.remaining} after each of {times} calls"
            self._add(f"the count of the limit {name} is stuck", expected, seen, told)
        self._check_reset(reading, answer, told)

    def _check_reset(self, reading: LimitReading, answer: Answer, told: str) -> None:
        prefix = "x-orderrequest" if reading.limit == LimitName.ORDERS else "x"
        text, date_ns = answer.headers.get(f"{prefix}-ratelimit-reset", ""), read_date(answer.headers.get("Date"))
        if date_ns is None:
            return
        end_s = (date_ns + reading.reset_ns - answer.received_ns) // NS_PER_S
        if not text.isdigit() or abs(int(text) - end_s) > _RESET_SLACK_S:
            expected = f"the second of its end since 1970: {end_s}, by Date and period"
            self._add(f"the reset header of the limit {reading.limit}", expected, text or "none", told)

    def _told(self, answer: Answer) -> str:
        """Status, headers of interest and the beginning of the body."""
        headers = "\n".join(
            f"{name}: {value}"
            for name, value in answer.headers.items()
            if name.lower() in _SHOWN_HEADERS or "ratelimit" in name.lower()
        )
        body = (answer.text or "")[:200] if answer.status != 200 else ""
        return f"HTTP {answer.status}\n{headers}\n{body}".rstrip()
