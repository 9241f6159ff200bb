"""The token and its sessions."""

from __future__ import annotations

import pytest

from stall_then_strike.app.web.sessions import (
    GUESS_WINDOW_S,
    GUESSES,
    LIFE_S,
    MOST_SESSIONS,
    Door,
    Sessions,
    new_token,
)
from stall_then_strike.types.dto import NS_PER_S
from stall_then_strike.types.errors import ConfigError

TOKEN = "long enough, and made up"


def test_a_session_ends_by_time_and_by_hand() -> None:
    sessions = Sessions(TOKEN)
    one, two = sessions.begin(0), sessions.begin(0)
    assert sessions.is_open(one, 1)
    assert not sessions.is_open(one, LIFE_S * NS_PER_S)
    sessions.end(two)
    assert not sessions.is_open(two, 1)
    assert not sessions.is_open("", 1)


def test_sessions_are_bounded_and_the_oldest_ends_first() -> None:
    sessions = Sessions(TOKEN)
    names = [sessions.begin(0) for _ in range(MOST_SESSIONS + 1)]
    assert [sessions.is_open(name, 1) for name in names[:2]] == [False, True]


def test_guesses_are_few_within_a_minute_and_allowed_again_after_it() -> None:
    sessions = Sessions(TOKEN)
    assert not any(sessions.is_token(f"no {number}", Door.METRICS, number) for number in range(GUESSES))
    assert sessions.wait_s(Door.METRICS, GUESSES) == GUESS_WINDOW_S
    assert not sessions.is_token(TOKEN, Door.METRICS, GUESSES)
    assert sessions.is_token(TOKEN, Door.LOGIN, GUESSES), "a program's wrong token keeps nobody out"
    assert sessions.is_token(TOKEN, Door.METRICS, GUESS_WINDOW_S * NS_PER_S)


def test_tokens_differ_and_short_ones_are_refused() -> None:
    assert new_token() != new_token()
    with pytest.raises(ConfigError, match="16 characters"):
        Sessions("short")
