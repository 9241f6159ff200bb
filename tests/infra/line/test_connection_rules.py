"""When to connect again, and when silence is too long."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from stall_then_strike.infra.line.connection_rules import PAUSE_MAX_S, SILENCE_MIN_S, STEADY_S, Pacer, Silence, Silences

S = 1_000_000_000


def test_first_connect_does_not_wait() -> None:
    assert Pacer(1.0).next_wait(100.0) == 0


def test_pause_doubles_up_to_its_limit_while_connects_fail_or_die_young() -> None:
    pacer, now_s = Pacer(1.0), 0.0
    starts = []
    for attempt in range(9):
        now_s += pacer.next_wait(now_s)
        starts.append(now_s)
        if attempt % 2:
            pacer.on_connected(now_s)  # and closed at once
    gaps = [later - earlier for earlier, later in pairwise(starts)]
    assert gaps == [1, 2, 4, 8, 16, 30, 30, 30]


def test_reconnect_after_a_steady_connection_is_immediate_and_the_next_pause_short() -> None:
    pacer, now_s = Pacer(1.0), 0.0
    for _ in range(6):
        now_s += pacer.next_wait(now_s)
    pacer.on_connected(now_s)
    now_s += STEADY_S
    assert pacer.next_wait(now_s) == 0
    assert pacer.next_wait(now_s + 0.25) == 1.75, "the pause counts from connect to connect"


@given(st.floats(0.01, 60), st.lists(st.tuples(st.booleans(), st.floats(0, 100)), max_size=40))
def test_connects_are_never_closer_than_the_least_pause(least_s: float, lives: list[tuple[bool, float]]) -> None:
    pacer, now_s, last_s = Pacer(least_s), 1000.0, None
    for succeeds, lived_s in lives:
        wait_s = pacer.next_wait(now_s)
        assert 0 <= wait_s <= max(PAUSE_MAX_S, least_s) + 1e-9
        now_s += wait_s
        assert last_s is None or now_s - last_s >= least_s - 1e-9
        last_s = now_s
        if succeeds:
            pacer.on_connected(now_s)
        now_s += lived_s


def silence(limit_s: int = 20) -> Silence:
    silence = Silence("x", limit_s * S, is_vital=True)
    silence.restart(0, 0.0)
    return silence


def test_silence_is_told_once_and_again_after_the_channel_spoke() -> None:
    quiet = silence()
    told = [quiet.is_too_long(None, second * S, float(second)) for second in range(40)]
    assert [second for second, is_told in enumerate(told) if is_told] == [20]
    assert not quiet.is_too_long(39 * S, 40 * S, 40.0)
    told = [quiet.is_too_long(39 * S, second * S, float(second)) for second in range(40, 70)]
    assert [second for second, is_told in enumerate(told, start=40) if is_told] == [59]


def test_fast_clock_does_not_turn_a_hiccup_into_silence() -> None:
    """At speed 1000 the machine's 100 ms are 100 s of the clock."""
    quiet = silence()
    assert not quiet.is_too_long(None, 100 * S, 0.1)
    assert quiet.is_too_long(None, 100 * S, SILENCE_MIN_S)


def test_handshake_is_due_when_it_would_not_be_held_back() -> None:
    pacer = Pacer(1.0)
    assert pacer.is_due(100.0)
    pacer.next_wait(100.0)
    assert [pacer.is_due(now_s) for now_s in (100.9, 101.0)] == [False, True]
    assert pacer.next_wait(101.0) == 0.0
    assert [pacer.is_due(now_s) for now_s in (102.9, 103.0)] == [False, True], "the pause has doubled"


def test_silences_ask_for_a_renewal_by_their_kind() -> None:
    vital = Silence("board", 10, is_vital=True)
    lesser = Silence("ticker", 10, is_vital=False)
    pausing = Silence("executions", 10, is_vital=False, may_pause=True)
    silences = Silences((vital, lesser, pausing), lesser_pause_ns=1_000)
    silences.restart(0, 0.0)
    assert [must for _, must in silences.found({"executions": 0}, 20, 60.0)] == [True, True, False]
    assert list(silences.found({"executions": 0}, 30, 90.0)) == [], "each silence is told once"
    silences.restart(100, 100.0)
    found = list(silences.found({"board": 111}, 112, 160.0))
    assert found == [
        ("ticker silent for 1e-08 s", False),
        ("executions silent for 1e-08 s", False),
    ], "renewed a while ago"
