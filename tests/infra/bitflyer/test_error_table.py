"""The table from answers to errors, row by row, without a socket."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stall_then_strike.infra.bitflyer.bitflyer_rules import LimitName
from stall_then_strike.infra.bitflyer.error_table import IRREGULAR_S, THROTTLED_S, Answer, limit_readings, refusal
from stall_then_strike.types.dto import NS_PER_S, LimitReading
from stall_then_strike.types.errors import (
    AuthRefused,
    MarginRefused,
    NoAnswer,
    OutcomeUnknown,
    Overloaded,
    Rejected,
    Restricted,
    Throttled,
    VenueError,
)

NOW = 1_790_000_000 * NS_PER_S
PAGE = "<!DOCTYPE html><html><body>Bad Gateway</body></html>"


def said(code: Any, message: Any = "words") -> str:
    return json.dumps({"status": code, "error_message": message, "data": None})


def answer(status: int = 200, text: str | None = "", **headers: str) -> Answer:
    return Answer(
        status=status,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        text=text,
        received_ns=NOW,
    )


CODED = [
    *((code, Rejected) for code in (-100, -106, -107, -108, -110, -111, -121, -153, -156, -159, -207)),
    *((code, MarginRefused) for code in (-200, -205)),
    *((code, Overloaded) for code in (-2, -204, -208)),
    (-1, Throttled),
    *((code, Restricted) for code in (-508, -509)),
]
KEY_CODES = (-500, -501, -502, -503, -504, -505, -700)


@pytest.mark.parametrize("http_status", [200, 400, 404, 429, 500, 503])
@pytest.mark.parametrize(("code", "kind"), CODED)
def test_known_number_counts_whatever_the_http_status(http_status: int, code: int, kind: type[VenueError]) -> None:
    for has_effect in (True, False):
        error = refusal("call", answer(http_status, said(code)), has_effect=has_effect)
        assert type(error) is kind
        assert (error.code, error.request, error.detail) == (code, "call", "words")


@pytest.mark.parametrize("code", KEY_CODES)
def test_a_server_error_proves_no_wrong_key(code: int) -> None:
    """Otherwise a brief fault of the venue would end a start with exit code 2 and halt a run."""
    for http_status in (200, 400, 401, 403):
        assert type(refusal("call", answer(http_status, said(code)), has_effect=True)) is AuthRefused
    for http_status in (500, 502, 503):
        assert type(refusal("call", answer(http_status, said(code)), has_effect=True)) is OutcomeUnknown
        assert type(refusal("call", answer(http_status, said(code)), has_effect=False)) is NoAnswer


@pytest.mark.parametrize(
    ("http_status", "effect", "question"),
    [
        (200, Rejected, Rejected),
        (400, Rejected, Rejected),
        (401, AuthRefused, AuthRefused),
        (403, AuthRefused, AuthRefused),
        (429, Throttled, Throttled),
        (500, OutcomeUnknown, NoAnswer),
        (503, OutcomeUnknown, NoAnswer),
    ],
)
def test_unknown_number_is_a_refusal_except_beside_a_server_error(
    http_status: int, effect: type[VenueError], question: type[VenueError]
) -> None:
    given = answer(http_status, said(-987))
    assert type(refusal("call", given, has_effect=True)) is effect
    assert type(refusal("call", given, has_effect=False)) is question


@pytest.mark.parametrize("text", [PAGE, "", None, '{"status":', "[]", "null", said(0), said("-1"), said(True), "7"])
@pytest.mark.parametrize("http_status", [204, 301, 307, 400, 403, 404, 408, 500, 502, 503, 504])
def test_without_the_venues_word_nothing_is_sure(http_status: int, text: str | None) -> None:
    given = answer(http_status, text)
    assert type(refusal("call", given, has_effect=True)) is OutcomeUnknown
    assert type(refusal("call", given, has_effect=False)) is NoAnswer


@pytest.mark.parametrize("text", [PAGE, "", None, '{"status":'])
@pytest.mark.parametrize(("http_status", "kind"), [(401, AuthRefused), (429, Throttled)])
def test_some_http_statuses_say_enough(http_status: int, kind: type[VenueError], text: str | None) -> None:
    assert type(refusal("call", answer(http_status, text), has_effect=True)) is kind


@pytest.mark.parametrize("text", ["", "[]", '{"status":"NORMAL"}', '{"status":0}', "anything"])
def test_other_answers_of_200_are_the_readers_affair(text: str) -> None:
    assert refusal("call", answer(200, text), has_effect=True) is None


def test_answer_of_200_that_could_not_be_read_is_no_yes() -> None:
    assert type(refusal("call", answer(200, None), has_effect=True)) is OutcomeUnknown


def test_words_of_the_venue_are_kept_to_one_short_line() -> None:
    error = refusal("call", answer(400, said(-110, "a\nb\x1b[31m" + "x" * 1_000)), has_effect=True)
    assert error is not None
    assert error.detail.startswith("a b [31mxxx")
    assert len(error.detail) == 160
    silent = refusal("call", answer(400, said(-110, None)), has_effect=True)
    assert silent is not None
    assert str(silent) == "call: HTTP 400 (venue code -110)"


def headers(prefix: str, remaining: str, period: str) -> dict[str, str]:
    return {f"{prefix}_ratelimit_remaining": remaining, f"{prefix}_ratelimit_period": period}


@pytest.mark.parametrize(
    ("code", "given", "pause_s"),
    [
        (-1, {}, THROTTLED_S),
        (-1, headers("x", "0", "153"), 153),
        (-1, headers("x", "12", "153"), THROTTLED_S),
        (-1, {**headers("x", "0", "20"), **headers("x_orderrequest", "0", "228")}, 228),
        (-1, headers("x", "0", "999999"), THROTTLED_S),
        (-1, headers("x", "0", "-5"), THROTTLED_S),
        (-1, headers("x", "0", "0"), 1),
        (-508, headers("x", "0", "20"), IRREGULAR_S),
        (-509, {}, IRREGULAR_S),
    ],
)
def test_pause_ends_with_the_windows_that_are_used_up(code: int, given: dict[str, str], pause_s: int) -> None:
    error = refusal("call", answer(429, said(code), **given), has_effect=True)
    assert isinstance(error, Throttled)
    assert error.retry_at_ns == NOW + pause_s * NS_PER_S


def test_headers_are_the_venues_count_on_our_clock() -> None:
    given = answer(**headers("x", "494", "153"), **headers("x_orderrequest", "288", "228"), x_ratelimit_reset="1")
    assert limit_readings(given, is_private=True) == (
        LimitReading(ts_ns=NOW, limit=LimitName.PRIVATE, remaining=494, reset_ns=NOW + 153 * NS_PER_S),
        LimitReading(ts_ns=NOW, limit=LimitName.ORDERS, remaining=288, reset_ns=NOW + 228 * NS_PER_S),
    )


@pytest.mark.parametrize("remaining", ["", "-1", "1.5", "many", "٣", "9" * 5_000, "1000001"])
def test_header_that_makes_no_sense_tells_nothing(remaining: str) -> None:
    assert limit_readings(answer(**headers("x", remaining, "153")), is_private=True) == ()
    assert limit_readings(answer(**headers("x", "5", remaining)), is_private=True) == ()


@pytest.mark.parametrize(
    ("status", "text"), [(401, said(-500)), (404, PAGE), (429, said(-1, "Over API limit per period, per IP address"))]
)
def test_count_of_the_address_is_not_taken_for_the_accounts(status: int, text: str) -> None:
    assert limit_readings(answer(status, text, **headers("x", "5", "10")), is_private=True) == ()
