"""Trading days, quiet windows and settlements, also where clocks are changed."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stall_then_strike.config.models import QuietWindow, SessionConfig
from stall_then_strike.engine.venue.calendar import TradingCalendar
from stall_then_strike.types.dto import NS_PER_S
from tests.engine.core_rig import properties

TOKYO, LONDON = "Asia/Tokyo", "Europe/London"
HOUR = 3_600 * NS_PER_S


def stamp(text: str, zone: str = TOKYO) -> int:
    moment = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))
    return round(moment.timestamp()) * NS_PER_S


def quiet(start: str, end: str, why: str = "why") -> QuietWindow:
    return QuietWindow.model_validate({"start": start, "end": end, "why": why})


def calendar(
    *windows: QuietWindow, day_start: str = "00:00", zone: str = TOKYO, funding: tuple[str, ...] = ()
) -> TradingCalendar:
    session = SessionConfig(timezone=zone, day_start=time.fromisoformat(day_start).isoformat(), quiet=windows)  # type: ignore[arg-type]  # validated from text
    return TradingCalendar(session, [time.fromisoformat(at) for at in funding])


# --- The trading day --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day_start", "moment", "day"),
    [
        ("00:00", "2026-11-21T00:00:00", "2026-11-21"),
        ("00:00", "2026-11-21T23:59:59", "2026-11-21"),
        ("18:00", "2026-11-21T17:59:59", "2026-11-20"),
        ("18:00", "2026-11-21T18:00:00", "2026-11-21"),
        ("18:00", "2026-11-22T17:59:59", "2026-11-21"),
    ],
)
def test_day_is_named_by_the_date_on_which_it_began(day_start: str, moment: str, day: str) -> None:
    assert calendar(day_start=day_start).day(stamp(moment)) == date.fromisoformat(day)


def test_day_begins_at_its_first_nanosecond() -> None:
    c, roll = calendar(day_start="18:00"), stamp("2026-11-21T18:00")
    assert c.day(roll - 1) == date(2026, 11, 20)
    assert c.next_change_ns(roll - 1) == roll
    assert c.day(roll) == date(2026, 11, 21)
    assert c.next_change_ns(roll) == roll + 24 * HOUR


def test_asking_for_an_earlier_moment_again_is_answered_rightly() -> None:
    """A clock that steps back over the roll."""
    c, roll = calendar(), stamp("2026-11-21T00:00")
    assert [c.day(at).day for at in (roll - 1, roll, roll - 1, roll + 24 * HOUR, roll)] == [20, 21, 20, 22, 21]


@pytest.mark.parametrize(
    ("day_start", "day", "hours"),
    [
        pytest.param("00:00", "2026-03-29", 23, id="spring"),
        pytest.param("00:00", "2026-10-25", 25, id="autumn"),
        pytest.param("17:00", "2026-03-28", 23, id="spring, from the evening before"),
        pytest.param("17:00", "2026-10-24", 25, id="autumn, from the evening before"),
        pytest.param("00:00", "2026-03-28", 24, id="ordinary"),
    ],
)
def test_days_on_which_clocks_change_are_an_hour_off(day_start: str, day: str, hours: int) -> None:
    c, start = calendar(zone=LONDON, day_start=day_start), stamp(f"{day}T{day_start}", LONDON)
    assert c.day(start) == date.fromisoformat(day)
    assert c.next_change_ns(start) - start == hours * HOUR
    assert c.day(start + hours * HOUR - 1) == date.fromisoformat(day)
    assert c.day(start + hours * HOUR) == date.fromisoformat(day) + timedelta(days=1)
    assert c.span(date.fromisoformat(day)) == (start, start + hours * HOUR)


@pytest.mark.parametrize(
    ("zone", "day_start", "from_utc"),
    [
        pytest.param(LONDON, "01:30", "2026-03-28T00:00", id="the roll's hour is skipped"),
        pytest.param(LONDON, "01:30", "2026-10-24T00:00", id="the roll's hour comes twice"),
        pytest.param("Africa/Cairo", "00:00", "2026-04-22T12:00", id="midnight is skipped"),
        pytest.param("Africa/Cairo", "00:00", "2026-10-28T12:00", id="midnight comes twice"),
        pytest.param("Australia/Lord_Howe", "01:45", "2026-04-03T00:00", id="half an hour comes twice"),
    ],
)
def test_each_roll_happens_once_where_clocks_change(zone: str, day_start: str, from_utc: str) -> None:
    c = calendar(zone=zone, day_start=day_start)
    now = int(datetime.fromisoformat(from_utc).replace(tzinfo=UTC).timestamp()) * NS_PER_S
    end = now + 72 * HOUR
    days = [c.day(now)]
    while now < end:
        following = c.next_change_ns(now)
        assert now < following <= now + 25 * HOUR
        assert c.day(following - 1) == days[-1]
        now = following
        days.append(c.day(now))
    assert days == [days[0] + timedelta(days=n) for n in range(len(days))]


# --- Quiet windows ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("moment", "why"),
    [
        ("2026-11-21T03:57:59", None),
        ("2026-11-21T03:58:00", "maintenance"),
        ("2026-11-21T04:14:59", "maintenance"),
        ("2026-11-21T04:15:00", None),
        ("2026-11-21T23:49:59", None),
        ("2026-11-21T23:50:00", "midnight"),
        ("2026-11-22T00:00:00", "midnight"),
        ("2026-11-22T00:09:59", "midnight"),
        ("2026-11-22T00:10:00", None),
    ],
)
def test_start_is_included_end_is_not_and_midnight_is_passed(moment: str, why: str | None) -> None:
    c = calendar(quiet("03:58", "04:15", "maintenance"), quiet("23:50", "00:10", "midnight"))
    assert c.quiet(stamp(moment)) == why


@pytest.mark.parametrize("day_start", ["00:00", "04:00", "23:55", "18:00"])
def test_windows_are_the_same_whenever_the_day_rolls(day_start: str) -> None:
    windows = quiet("03:58", "04:15"), quiet("23:50", "00:10")
    c, plain = calendar(*windows, day_start=day_start), calendar(*windows)
    start = stamp("2026-11-21T00:00")
    for minute in range(2 * 24 * 60):
        at = start + minute * 60 * NS_PER_S
        assert c.quiet(at) == plain.quiet(at)


def test_changes_come_in_order_and_the_roll_is_one() -> None:
    c = calendar(quiet("03:58", "04:15"), quiet("23:50", "00:10"))
    now, seen = stamp("2026-11-21T01:00"), []
    for _ in range(7):
        now = c.next_change_ns(now)
        seen.append(f"{datetime.fromtimestamp(now // NS_PER_S, ZoneInfo(TOKYO)):%d %H:%M}")
    assert seen == ["21 03:58", "21 04:15", "21 23:50", "22 00:00", "22 00:10", "22 03:58", "22 04:15"]


def test_overlapping_windows_are_quiet_throughout() -> None:
    c = calendar(quiet("10:00", "11:00", "a"), quiet("10:30", "12:00", "b"))
    assert [c.quiet(stamp(f"2026-11-21T{at}")) for at in ("10:15", "10:45", "11:30", "12:00")] == ["a", "a", "b", None]


@pytest.mark.parametrize(
    ("start", "end", "quiet_utc"),
    [
        pytest.param("01:30", "02:30", ("01:00", "01:30"), id="begins in the hour that is skipped"),
        pytest.param("01:00", "02:30", ("01:00", "01:30"), id="begins as it is skipped"),
        pytest.param("00:30", "01:30", ("00:30", "01:30"), id="ends in it"),
        pytest.param("01:15", "01:45", ("01:00", "01:45"), id="lies in it"),
        pytest.param("01:00", "02:00", ("01:00", "02:00"), id="is it"),
        pytest.param("01:45", "00:30", ("01:00", "23:30"), id="over midnight"),
    ],
)
def test_no_window_vanishes_where_an_hour_is_skipped(start: str, end: str, quiet_utc: tuple[str, str]) -> None:
    """London, 2026-03-29: 01:00 is 02:00."""
    c = calendar(quiet(start, end), zone=LONDON, day_start="12:00")
    begin, over = (stamp(f"2026-03-29T{at}", "UTC") for at in quiet_utc)
    assert c.quiet(begin - 1) is None
    assert c.quiet(begin) == c.quiet((begin + over) // 2) == c.quiet(over - 1) == "why"
    assert c.quiet(over) is None
    assert begin in (c.next_change_ns(begin - 1), c.next_change_ns(begin - HOUR // 4))


@pytest.mark.parametrize(
    ("start", "end", "quiet_utc"),
    [
        pytest.param("01:15", "01:45", ("00:15", "01:45"), id="lies in the hour that comes twice"),
        pytest.param("00:30", "01:15", ("23:30", "01:15"), id="ends in it"),
        pytest.param("01:30", "02:30", ("00:30", "02:30"), id="begins in it"),
    ],
)
def test_a_time_that_comes_twice_is_quiet_both_times(start: str, end: str, quiet_utc: tuple[str, str]) -> None:
    """London, 2026-10-25: 02:00 is 01:00 again."""
    c = calendar(quiet(start, end), zone=LONDON, day_start="12:00")
    begin, over = (stamp(f"2026-10-2{4 if at > '12' else 5}T{at}", "UTC") for at in quiet_utc)
    assert c.quiet(begin - 1) is None
    assert c.quiet(begin) == c.quiet((begin + over) // 2) == c.quiet(over - 1) == "why"
    assert c.quiet(over) is None


ZONES = st.sampled_from([TOKYO, LONDON, "America/New_York", "Africa/Cairo", "Australia/Lord_Howe", "UTC"])
TIMES = st.builds("{:02d}:{:02d}".format, st.integers(0, 23), st.integers(0, 59))
WINDOWS = st.lists(st.tuples(TIMES, TIMES).filter(lambda ends: ends[0] != ends[1]), max_size=4)
MOMENTS = st.integers(stamp("2026-01-01T00:00"), stamp("2027-01-01T00:00"))


@properties(200)
@given(ZONES, TIMES, WINDOWS, MOMENTS, st.lists(st.integers(1, 30 * HOUR), max_size=5))
def test_nothing_changes_before_the_next_change(
    zone: str, day_start: str, ends: list[tuple[str, str]], now: int, steps: list[int]
) -> None:
    c = calendar(*(quiet(*pair) for pair in ends), day_start=day_start, zone=zone)
    days = calendar(day_start=day_start, zone=zone)  # without windows, only the roll is a change
    for step in steps:
        change = c.next_change_ns(now)
        roll = days.next_change_ns(now)
        assert now < change <= roll
        state = c.day(now), c.quiet(now)
        for at in (now + (change - now) // 2, change - 1):
            assert (c.day(at), c.quiet(at)) == state
        if change == roll:
            assert c.day(change) == state[0] + timedelta(days=1)
        now += step


# --- Settlements ------------------------------------------------------------------------------------------------------


def test_settlements_are_strictly_later_and_go_on_over_midnight() -> None:
    c = calendar(funding=("22:00", "06:00", "14:00"))
    now, seen = stamp("2026-11-21T06:00") - 1, []
    for _ in range(5):
        following = c.next_settlement_ns(now)
        assert following is not None
        now = following
        seen.append(f"{datetime.fromtimestamp(now // NS_PER_S, ZoneInfo(TOKYO)):%d %H:%M}")
    assert seen == ["21 06:00", "21 14:00", "21 22:00", "22 06:00", "22 14:00"]


def test_without_funding_times_there_is_no_settlement() -> None:
    assert calendar().next_settlement_ns(stamp("2026-11-21T06:00")) is None


@properties(200)
@given(ZONES, st.lists(TIMES, min_size=1, max_size=4), MOMENTS)
def test_next_settlement_is_later_by_no_more_than_a_day_and_a_changed_clock(
    zone: str, funding: list[str], now: int
) -> None:
    following = calendar(zone=zone, funding=tuple(funding)).next_settlement_ns(now)
    assert following is not None
    assert now < following <= now + 25 * HOUR
