"""What one address may do."""

from __future__ import annotations

from stall_then_strike.sim.lighter.realtime.stream_limits import Caller, StreamLimits
from tests.sim.exchange_rig import SECOND
from tests.sim.lighter.stream_rig import NO_STREAM_LIMITS


def test_a_minute_rolls() -> None:
    caller = Caller(StreamLimits(messages=2))
    assert [caller.may_send(n * SECOND) for n in (0, 30, 59)] == [True, True, False]
    assert [caller.may_send(n * SECOND) for n in (60, 61, 90)] == [True, False, True]
    assert caller.refused == {"message": 2}


def test_connections_are_limited_in_number_and_rate() -> None:
    caller = Caller(StreamLimits(connections=2, handshakes=3))
    for _ in range(2):
        assert caller.may_connect(0)
        caller.connections += 1
    assert not caller.may_connect(0)
    caller.connections = 0
    assert [caller.may_connect(n * SECOND) for n in (1, 2, 61)] == [True, False, True]


def test_subscriptions_are_limited_by_connection_and_in_all() -> None:
    caller = Caller(StreamLimits(subscriptions=2, all_subscriptions=3))
    assert [caller.may_subscribe(n) for n in (0, 1, 2)] == [True, True, False]
    caller.subscriptions = 3
    assert not caller.may_subscribe(0)


def test_nothing_is_limited_without_limits() -> None:
    caller = Caller(NO_STREAM_LIMITS)
    caller.connections = caller.subscriptions = 10_000
    assert all(caller.may_connect(0) and caller.may_send(0) and caller.may_subscribe(10_000) for _ in range(1_000))
