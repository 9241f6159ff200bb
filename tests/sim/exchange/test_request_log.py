"""The log of received requests, and its bound."""

from __future__ import annotations

from stall_then_strike.sim.exchange.request_log import Audit, Received


def received(number: int, what: str = "GET /v1/me/getpositions?n={}") -> Received:
    return Received(time_ns=number, transport="rest", account="main", what=what.format(number))


def test_newest_records_are_kept_and_all_are_counted_and_handed_on() -> None:
    seen: list[Received] = []
    audit = Audit(limit=3, sink=seen.append)
    for number in range(5):
        audit.add(received(number))
    audit.add(received(9, "subscribe"))
    assert [r.time_ns for r in audit.records()] == [3, 4, 9]
    assert [r.time_ns for r in audit.records("GET /v1/me/getpositions")] == [3, 4]
    assert audit.dropped == 3
    assert audit.counts == {"GET /v1/me/getpositions": 5, "subscribe": 1}
    assert [r.time_ns for r in seen] == [0, 1, 2, 3, 4, 9]
