"""bitFlyer's messages and answers as documented or seen, field by field. Data only: the parsers are in infra/bitflyer.

Sources: API documentation and Realtime API documentation; recorded frames of 2021 and 2026 (``preopen_end`` and
``circuit_break_end`` of the ticker are of 2026); logged private messages and answers. Realtime stamps have seven
decimals less the zeros at their end, and ``Z`` (recorded: a tenth have six). Those of REST have any number of decimals
and no ``Z``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from stall_then_strike.app.contact.shapes import (
    ANYTHING,
    NUMBER,
    TEXT,
    WHOLE,
    Fields,
    Form,
    ListOf,
    Plain,
    like,
    one_of,
    or_null,
    words_of,
)
from stall_then_strike.types.dto import BoardState, Health, ReportedState, Side, TimeInForce

_SECOND: Final = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"
REALTIME_STAMP: Final = like(rf"{_SECOND}(\.\d{{1,7}})?Z", "a time in UTC with up to seven decimals and Z")
REST_STAMP: Final = like(rf"{_SECOND}(\.\d+)?", "a time in UTC without Z")
SECOND_STAMP: Final = like(_SECOND, "a time in UTC in whole seconds without Z")
ACCEPTANCE_ID: Final = like(r"JRF\d{8}-\d{6}-\d{6}", "an id such as JRF20230611-180201-097176")
ORDER_ID: Final = like(r"J[A-Z]{2}\d{8}-\d{6}-\d{6}F?", "an id such as JFX20230611-180201-440296F")
_SIDE: Final = one_of(side.value for side in Side)
_TAKER: Final = one_of((*(side.value for side in Side), ""))
_STATE: Final = words_of(BoardState, BoardState.UNKNOWN)
_HEALTH: Final = words_of(Health, Health.UNKNOWN)
_ORDER_TYPE: Final = one_of(("LIMIT", "MARKET"))
_TRUE: Final = Plain("true", lambda value: value is True)
_VERSION: Final = one_of(("2.0",))

# --- the socket

LEVELS: Final = ListOf(Fields({"price": NUMBER, "size": NUMBER}))
BOARD: Final = Fields({"mid_price": NUMBER, "bids": LEVELS, "asks": LEVELS})


def _ticker(stamp: Form) -> Fields:
    numbers = (
        *("best_bid", "best_ask", "best_bid_size", "best_ask_size", "total_bid_depth", "total_ask_depth"),
        *("market_bid_size", "market_ask_size", "ltp", "volume", "volume_by_product"),
    )
    ends = ("preopen_end", "circuit_break_end")
    return Fields(
        {
            "product_code": TEXT,
            "state": _STATE,
            "timestamp": stamp,
            "tick_id": WHOLE,
            **dict.fromkeys(numbers, NUMBER),
            **dict.fromkeys(ends, or_null(TEXT)),
        },
        optional=frozenset(ends),
    )


def _executions(stamp: Form) -> ListOf:
    return ListOf(
        Fields(
            {
                "id": WHOLE,
                "side": _TAKER,
                "price": NUMBER,
                "size": NUMBER,
                "exec_date": stamp,
                "buy_child_order_acceptance_id": ACCEPTANCE_ID,
                "sell_child_order_acceptance_id": ACCEPTANCE_ID,
            }
        )
    )


TICKER: Final = _ticker(REALTIME_STAMP)
EXECUTIONS: Final = _executions(REALTIME_STAMP)


def _event(kind: str, **more: Form) -> Fields:
    # An order that failed was perhaps never registered, so it may lack the id of its registration.
    order_id = ORDER_ID if kind != "ORDER_FAILED" else ANYTHING
    common = {
        "product_code": TEXT,
        "child_order_id": order_id,
        "child_order_acceptance_id": ACCEPTANCE_ID,
        "event_date": REALTIME_STAMP,
        "event_type": one_of((kind,)),
    }
    return Fields({**common, **more}, optional=frozenset({"child_order_id"}) if kind == "ORDER_FAILED" else frozenset())


EVENTS: Final[Mapping[str, Fields]] = {
    "ORDER": _event(
        "ORDER", child_order_type=_ORDER_TYPE, side=_SIDE, price=NUMBER, size=NUMBER, expire_date=SECOND_STAMP
    ),
    "ORDER_FAILED": _event("ORDER_FAILED", reason=TEXT),
    "CANCEL": _event("CANCEL"),
    "CANCEL_FAILED": _event("CANCEL_FAILED"),
    "EXECUTION": _event(
        "EXECUTION",
        exec_id=WHOLE,
        side=_SIDE,
        price=NUMBER,
        size=NUMBER,
        commission=NUMBER,
        sfd=NUMBER,
        outstanding_size=NUMBER,
    ),
    "EXPIRE": _event("EXPIRE"),
}
"""The events of ``child_order_events`` by type."""

NOTIFICATION: Final = Fields(
    {
        "jsonrpc": _VERSION,
        "method": one_of(("channelMessage",)),
        "params": Fields({"channel": TEXT, "message": ANYTHING}),
    }
)
ACKNOWLEDGED: Final = Fields({"jsonrpc": _VERSION, "id": ANYTHING, "result": _TRUE})
REFUSED: Final = Fields(
    {
        "jsonrpc": _VERSION,
        "id": ANYTHING,
        "error": Fields(
            {"code": Plain("a whole number", lambda value: type(value) is int), "message": TEXT, "data": ANYTHING},
            optional=frozenset({"data"}),
        ),
    }
)

# --- REST

ERROR: Final = Fields(
    {
        "status": Plain("a whole number below 0", lambda value: type(value) is int and value < 0),
        "error_message": TEXT,
        "data": Plain("null", lambda value: value is None),
    }
)
_CHILD_ORDER: Final = Fields(
    {
        "id": WHOLE,
        "child_order_id": ORDER_ID,
        "product_code": TEXT,
        "side": _SIDE,
        "child_order_type": _ORDER_TYPE,
        **dict.fromkeys(("price", "average_price", "size"), NUMBER),
        "child_order_state": one_of(state.value for state in ReportedState),
        "expire_date": REST_STAMP,
        "child_order_date": REST_STAMP,
        "child_order_acceptance_id": ACCEPTANCE_ID,
        **dict.fromkeys(("outstanding_size", "cancel_size", "executed_size", "total_commission"), NUMBER),
        "time_in_force": one_of(way.value for way in TimeInForce),
    }
)
_OWN_EXECUTION: Final = Fields(
    {
        "id": WHOLE,
        "child_order_id": ORDER_ID,
        "side": _SIDE,
        **dict.fromkeys(("price", "size", "commission"), NUMBER),
        "exec_date": REST_STAMP,
        "child_order_acceptance_id": ACCEPTANCE_ID,
    }
)
_POSITION: Final = Fields(
    {
        "product_code": TEXT,
        "side": _SIDE,
        **dict.fromkeys(("price", "size", "commission", "swap_point_accumulate", "require_collateral"), NUMBER),
        "open_date": REST_STAMP,
        **dict.fromkeys(("leverage", "pnl", "sfd"), NUMBER),
    }
)
_COLLATERAL: Final = Fields(
    {
        **dict.fromkeys(("collateral", "open_position_pnl", "require_collateral", "keep_rate"), NUMBER),
        "margin_call_amount": NUMBER,
        "margin_call_due_date": or_null(REST_STAMP),
    },
    optional=frozenset({"margin_call_amount", "margin_call_due_date"}),
)
ANSWERS: Final[Mapping[str, Form]] = {
    "getmarkets": ListOf(
        Fields({"product_code": TEXT, "market_type": TEXT, "alias": TEXT}, optional=frozenset({"alias"}))
    ),
    "getboard": BOARD,
    "getticker": _ticker(REST_STAMP),
    "getexecutions": _executions(REST_STAMP),
    "getboardstate": Fields({"health": _HEALTH, "state": _STATE, "data": ANYTHING}, optional=frozenset({"data"})),
    "gethealth": Fields({"status": _HEALTH}),
    "getfundingrate": Fields({"current_funding_rate": NUMBER, "next_funding_rate_settledate": or_null(REST_STAMP)}),
    "me/getpermissions": ListOf(like(r"/v1/[a-z/]+", "a path such as /v1/me/getcollateral")),
    "me/getcollateral": _COLLATERAL,
    "me/getbalance": ListOf(Fields({"currency_code": TEXT, "amount": NUMBER, "available": NUMBER})),
    "me/getchildorders": ListOf(_CHILD_ORDER),
    "me/getexecutions": ListOf(_OWN_EXECUTION),
    "me/getpositions": ListOf(_POSITION),
    "me/gettradingcommission": Fields({"commission_rate": NUMBER}),
    "me/sendchildorder": Fields({"child_order_acceptance_id": ACCEPTANCE_ID}),
}
"""The answers with HTTP 200 by their path after ``/v1/``. Those to cancels are empty."""
SNAPSHOT_LEVELS: Final = 300
"""Levels of each side in a snapshot (recorded frames of 2021 and 2026)."""
SNAPSHOT_S: Final = 5.0
"""Between two snapshots: a timer of the venue, not of the connection (recorded: 4.86 to 5.14 s)."""
PING_S: Final = 15.0
"""Between two pings of the server (measured in 2026)."""
FUNDING_HOURS: Final = (5, 13, 21)
"""Hours of settlement, UTC."""
