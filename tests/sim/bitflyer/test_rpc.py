"""JSON-RPC requests and their answers, as a table."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from stall_then_strike.sim.bitflyer.rpc import RpcSession

BOARD = "lightning_board_FX_BTC_JPY"


def subscribe(channel: str = BOARD, **fields: Any) -> dict[str, Any]:
    return {"method": "subscribe", "params": {"channel": channel}, **fields}


def error(code: int, request_id: object = 1) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "error": {"code": code}}


def true(request_id: object) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "result": True}


def converse(session: RpcSession, said: object) -> Any:
    """The answer, without error messages."""
    answer = session.receive(said if isinstance(said, str | bytes) else orjson.dumps(said))
    if answer is None:
        return None
    value = orjson.loads(answer)
    for one in value if isinstance(value, list) else [value]:
        if "error" in one:
            assert one["error"].pop("message")
    return value


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (subscribe(id=3), true(3)),
        (subscribe(id="three", jsonrpc="2.0"), true("three")),
        (subscribe(), None),
        (subscribe(id=None), None),
        (subscribe("lightning_board_NO_SUCH_PRODUCT", id=1), true(1)),
        (subscribe("lightning_nothing_FX_BTC_JPY", id=1), error(-32602)),
        (subscribe("", id=1), error(-32602)),
        (subscribe("nothing"), None),
        (subscribe("child_order_events", id=1), error(-32007)),
        (subscribe("parent_order_events", id=1), error(-32007)),
        ({"method": "subscribe", "id": 1}, error(-32602)),
        ({"method": "subscribe", "params": [BOARD], "id": 1}, error(-32602)),
        ({"method": "subscribe", "params": {"channel": 5}, "id": 1}, error(-32602)),
        ({"method": "unsubscribe", "params": {"channel": BOARD}, "id": 1}, true(1)),
        ({"method": "dance", "id": 1}, error(-32601)),
        ({"method": "dance"}, None),
        ({"id": 1}, error(-32600, None)),
        ({"method": 7, "id": 1}, error(-32600, None)),
        ("5", error(-32600, None)),
        ("[]", error(-32600, None)),
        ("hello", error(-32700, None)),
        (b"\xff\xfe", error(-32700, None)),
        ("", error(-32700, None)),
        ([subscribe(id=1), {"method": "dance", "id": 2}, subscribe("lightning_ticker_X")], [true(1), error(-32601, 2)]),
        ([subscribe(), subscribe("lightning_ticker_X")], None),
        ([subscribe(id=1)], [true(1)]),
    ],
)
def test_answer(said: object, answer: object) -> None:
    assert converse(RpcSession(), said) == answer


def test_batch_is_processed_in_order() -> None:
    session = RpcSession()
    off = {"method": "unsubscribe", "params": {"channel": BOARD}, "id": 2}
    assert converse(session, [subscribe(id=1), off, subscribe(id=3)]) == [true(1), true(2), true(3)]
    assert session.channels == {BOARD}


def test_same_channel_twice_is_refused_and_stays_subscribed() -> None:
    session = RpcSession()
    assert converse(session, subscribe(id=1)) == true(1)
    assert converse(session, subscribe(id=2)) == error(-32009, 2)
    assert session.channels == {BOARD}
    assert (session.requests, session.errors) == (2, 1)


def test_garbage_leaves_the_conversation_usable() -> None:
    session = RpcSession()
    converse(session, "{")
    assert converse(session, subscribe(id=1)) == true(1)
