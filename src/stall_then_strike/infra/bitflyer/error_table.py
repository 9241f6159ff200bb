"""What a failed REST call means: the one table from bitFlyer's answers to our errors.

A request either has an effect (an order, a cancel) or is a query. The point is to know when it certainly had no effect:

================================================  ==========================  =====================
what happened                                     order, cancel               query
================================================  ==========================  =====================
no connection was made                            NotSent                     NotSent
time-out, reset; answer cut off or too long       OutcomeUnknown              NoAnswer
the venue's own refusal (a negative ``status``)   by its code, see CODES      by its code
HTTP 401, or 403 with the venue's refusal         AuthRefused                 AuthRefused
HTTP 429                                          Throttled                   Throttled
any other status, page or shape                   OutcomeUnknown              NoAnswer
================================================  ==========================  =====================

Only the venue's own refusal is definite: an HTML page may come from a gateway after the venue took the request. HTTP
status and ``status`` are independent of each other, so the body of a 200 is checked as well. A code that is not in
CODES is a definite refusal, except with HTTP 5xx, which leaves the outcome unknown. HTTP 5xx does not prove a wrong key
either, whatever its code, nor does a page with 403, which may come from a firewall in front of the venue.

Venue facts. Body of an error: ``{"status": negative, "error_message": text, "data": null}`` (API documentation).
Codes, documented or seen: -1 with 429 over a limit, -106 and -107 price out of band, -110 size, -121 terms not
accepted, -156 too old, -159 self trade, -200 funds, -204 state is closed, -205 margin, -208 with 500 "not accepted, try
again later", -500 header missing, -505 two-factor code, -508 and -509 irregular number of orders, -700 account not
authenticated; reported by others: -2 maintenance, -111 order not found, -501 to -504. How long -508 and -509 last is
not documented; a breach of the small-order rule lasts an hour (API documentation), so an hour is assumed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

import aiohttp

from stall_then_strike.infra.bitflyer.answers import BadAnswer, read_json
from stall_then_strike.infra.bitflyer.bitflyer_rules import LimitName
from stall_then_strike.types.dto import NS_PER_S, LimitReading
from stall_then_strike.types.errors import (
    AuthRefused,
    MarginRefused,
    NoAnswer,
    NotSent,
    OutcomeUnknown,
    Overloaded,
    Rejected,
    Restricted,
    Throttled,
    VenueError,
)

THROTTLED_S: Final = 60
"""Pause after a breach if no header gives its end."""
IRREGULAR_S: Final = 3_600
"""Pause after -508 and -509."""
_LONGEST_PERIOD_S: Final = 3_600
_MOST_REMAINING: Final = 1_000_000
_LONGEST_MESSAGE: Final = 160


class _Meaning(Enum):
    """What to do about a refusal."""

    REJECTED = auto()
    MARGIN = auto()
    OVERLOADED = auto()
    THROTTLED = auto()
    IRREGULAR = auto()
    AUTH = auto()


CODES: Final[Mapping[int, _Meaning]] = {
    -1: _Meaning.THROTTLED,
    -2: _Meaning.OVERLOADED,
    # -204 ends with the maintenance, and a cancel that got it must be repeated: the order may still rest.
    -204: _Meaning.OVERLOADED,
    -208: _Meaning.OVERLOADED,
    -508: _Meaning.IRREGULAR,
    -509: _Meaning.IRREGULAR,
    **dict.fromkeys((-500, -501, -502, -503, -504, -505, -700), _Meaning.AUTH),
    **dict.fromkeys(
        (-100, -106, -107, -108, -110, -111, -121, -153, -156, -159, -201, -202, -206, -207),
        _Meaning.REJECTED,
    ),
    **dict.fromkeys((-200, -205), _Meaning.MARGIN),
}

_UNAUTHORIZED: Final = 401
_AUTH_STATUS: Final = frozenset({_UNAUTHORIZED, 403})
_THROTTLED_STATUS: Final = 429
_SERVER_ERRORS: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An HTTP answer before it is parsed."""

    status: int
    headers: Mapping[str, str]
    text: str | None
    """None if it could not be read: cut off, too long, not UTF-8."""
    received_ns: int


def no_answer(request: str, detail: str, *, has_effect: bool) -> VenueError:
    """The error for a request that got no usable answer."""
    return OutcomeUnknown(request, detail) if has_effect else NoAnswer(request, detail)


def transport_error(request: str, error: Exception, *, has_effect: bool) -> VenueError:
    """What an exception of the transport means. Its own text may contain headers and is not repeated."""
    match error:
        case aiohttp.ConnectionTimeoutError():
            return NotSent(request, "no connection in time")
        case aiohttp.ClientConnectorDNSError():
            return NotSent(request, f"host name not found ({error.host})")
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
            return NotSent(request, f"TLS failed ({error.host})")
        case aiohttp.ClientConnectorError():
            reason = "connection refused" if isinstance(error.os_error, ConnectionRefusedError) else "cannot connect"
            return NotSent(request, f"{reason} ({error.host}:{error.port})")
        case aiohttp.InvalidURL():
            return NotSent(request, "the address is none")
        case TimeoutError():
            return no_answer(request, "no answer in time", has_effect=has_effect)
        case aiohttp.ServerDisconnectedError():
            return no_answer(request, "the connection was closed before an answer", has_effect=has_effect)
        case aiohttp.ClientPayloadError():
            return no_answer(request, "the answer was cut", has_effect=has_effect)
        case aiohttp.ClientResponseError():
            return no_answer(request, "the answer was not HTTP", has_effect=has_effect)
        case _:
            return no_answer(request, f"the connection broke ({type(error).__name__})", has_effect=has_effect)


def refusal(request: str, answer: Answer, *, has_effect: bool) -> VenueError | None:
    """What is wrong with an answer; None for an HTTP 200 that is not a refusal."""
    said = _venue_status(answer.text)
    if said is not None:
        code, message = said
        if (known := _meaning(code, answer.status)) is not None:
            return _error(known, request, message or f"HTTP {answer.status}", code, answer)
        return no_answer(request, f"HTTP {answer.status}, venue code {code}: {message}", has_effect=has_effect)
    if answer.status == _UNAUTHORIZED:
        return AuthRefused(request, f"HTTP {answer.status}")
    if answer.status == _THROTTLED_STATUS:
        return _error(_Meaning.THROTTLED, request, "HTTP 429", None, answer)
    if answer.status != 200:
        return no_answer(request, f"HTTP {answer.status} without the venue's word", has_effect=has_effect)
    if answer.text is None:
        return no_answer(request, "the answer could not be read", has_effect=has_effect)
    return None


def _meaning(code: int, http_status: int) -> _Meaning | None:
    """What the venue's code means with an HTTP status; None if the outcome is unknown."""
    known = CODES.get(code)
    if http_status >= _SERVER_ERRORS:
        return None if known is _Meaning.AUTH else known
    if known is not None:
        return known
    if http_status in _AUTH_STATUS:
        return _Meaning.AUTH
    return _Meaning.THROTTLED if http_status == _THROTTLED_STATUS else _Meaning.REJECTED


def limit_readings(answer: Answer, *, is_private: bool) -> tuple[LimitReading, ...]:
    """The rate limits in an answer's headers: the account's, or for a public call the IP address's.

    Invalid headers are ignored. A private call that is refused before the account is identified carries the address's
    count under the same names, so its headers are ignored too.
    """
    said = _venue_status(answer.text)
    is_of_address = said is not None and "IP" in said[1]
    if is_private and (answer.status in _AUTH_STATUS or answer.status == 404 or is_of_address):
        return ()
    names = ((LimitName.PRIVATE, "x"), (LimitName.ORDERS, "x-orderrequest"))
    return tuple(
        LimitReading(
            ts_ns=answer.received_ns, limit=limit, remaining=remaining, reset_ns=answer.received_ns + period * NS_PER_S
        )
        for limit, prefix in (names if is_private else ((LimitName.ADDRESS, "x"),))
        if (remaining := _header(answer, f"{prefix}-ratelimit-remaining", _MOST_REMAINING)) is not None
        and (period := _header(answer, f"{prefix}-ratelimit-period", _LONGEST_PERIOD_S)) is not None
    )


def _error(meaning: _Meaning, request: str, message: str, code: int | None, answer: Answer) -> VenueError:
    match meaning:
        case _Meaning.REJECTED:
            return Rejected(request, message, code=code)
        case _Meaning.OVERLOADED:
            return Overloaded(request, message, code=code)
        case _Meaning.AUTH:
            return AuthRefused(request, message, code=code)
        case _Meaning.MARGIN:
            return MarginRefused(request, message, code=code)
        case _Meaning.THROTTLED:
            retry_at_ns = answer.received_ns + _pause_s(answer) * NS_PER_S
            return Throttled(request, message, retry_at_ns=retry_at_ns, code=code)
        case _Meaning.IRREGULAR:
            return Restricted(request, message, retry_at_ns=answer.received_ns + IRREGULAR_S * NS_PER_S, code=code)


def _pause_s(answer: Answer) -> int:
    """Seconds until the last exhausted window ends; :data:`THROTTLED_S` if no header shows an exhausted one."""
    ends = [
        period
        for prefix in ("x", "x-orderrequest")
        if _header(answer, f"{prefix}-ratelimit-remaining", _MOST_REMAINING) == 0
        and (period := _header(answer, f"{prefix}-ratelimit-period", _LONGEST_PERIOD_S)) is not None
    ]
    return max(ends, default=THROTTLED_S) or 1


def _header(answer: Answer, name: str, most: int) -> int | None:
    text = answer.headers.get(name, "").strip()
    if not text.isascii() or not text.isdigit() or len(text) > len(str(most)):
        return None
    return number if (number := int(text)) <= most else None


def _venue_status(text: str | None) -> tuple[int, str] | None:
    """Code and message of a body in which the venue refuses; None for any other body."""
    if text is None or not text.lstrip().startswith("{"):
        return None
    try:
        value: Any = read_json(text)
    except BadAnswer:
        return None
    code = value.get("status")
    if isinstance(code, bool) or not isinstance(code, int) or code >= 0:
        return None
    message = value.get("error_message")
    words = "".join(c if c.isprintable() else " " for c in message) if isinstance(message, str) else ""
    return code, words[:_LONGEST_MESSAGE]
