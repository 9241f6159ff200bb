"""Parsing of moments and ids as the operator writes them."""

from __future__ import annotations

import pytest

from stall_then_strike.app.story.why_moment import parse_asked
from stall_then_strike.types.errors import ConfigError
from stall_then_strike.types.text import iso_ns

NOW = iso_ns("2026-11-21T16:00:00.5+00:00")  # 01:00 of the 22nd in Tokyo


def asked(text: str, zone: str = "UTC") -> int:
    found = parse_asked(text, now_ns=NOW, zone=zone).moment_ns
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        ("2026-11-21T07:30:13Z", "UTC", "2026-11-21T07:30:13Z"),
        ("2026-11-21T07:30:13+09:00", "UTC", "2026-11-20T22:30:13Z"),
        ("2026-11-21T07:30:13+0900", "Asia/Tokyo", "2026-11-20T22:30:13Z"),
        ("2026-11-21 07:30:13", "UTC", "2026-11-21T07:30:13Z"),
        ("2026-11-21 07:30:13", "Asia/Tokyo", "2026-11-20T22:30:13Z"),
        ("2026-11-21", "UTC", "2026-11-21T00:00:00Z"),
        ("07:30", "UTC", "2026-11-21T07:30:00Z"),
        ("07:30:13", "Asia/Tokyo", "2026-11-21T22:30:13Z"),
        ("07:30:13.5", "UTC", "2026-11-21T07:30:13.5Z"),
        ("now", "UTC", "2026-11-21T16:00:00.5Z"),
        ("-5m", "UTC", "2026-11-21T15:55:00.5Z"),
        (" -1.5h", "Asia/Tokyo", "2026-11-21T14:30:00.5Z"),
    ],
)
def test_a_moment(text: str, zone: str, expected: str) -> None:
    assert asked(text, zone) == iso_ns(expected)


def test_a_millisecond_is_meant_to_its_end_and_more_digits_to_theirs() -> None:
    start = iso_ns("2026-11-21T07:30:13Z")
    for text, first, last in (
        ("13.531", 531_000_000, 531_999_999),  # .531 may stand for up to .531999
        ("13.531426", 531_426_000, 531_426_999),
        ("13.531426789", 531_426_789, 531_426_789),
        ("13.5", 500_000_000, 500_000_000),
    ):
        for whole in (f"07:30:{text}", f"2026-11-21T07:30:{text}Z"):
            found = parse_asked(whole, now_ns=NOW, zone="UTC")
            assert (found.moment_ns, found.slack_ns) == (start + first, last - first)


@pytest.mark.parametrize("text", ["1a1fdcd39f3-10", "JRF20261121-111056-858959", "2636303818", "PAPER-1a-000015"])
def test_a_name(text: str) -> None:
    found = parse_asked(text, now_ns=NOW, zone="UTC")
    assert (found.name, found.moment_ns) == (text, None)


@pytest.mark.parametrize(
    "text",
    ["25:00", "07:60", "2026-02-30", "2026-11-21T24:30Z", "1815-06-18", "9999-01-01", "a b", "", "7:30", "-99999999d"],
)
def test_what_is_neither_is_refused_with_what_is_accepted(text: str) -> None:
    with pytest.raises(ConfigError, match="accepted:"):
        parse_asked(text, now_ns=NOW, zone="UTC")
