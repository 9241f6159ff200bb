"""Faults inside bitFlyer's answers: its refusals, its headers, its rows.

The faults of any call are in `call_faults.py`.
"""

from __future__ import annotations

import json
from typing import Any, Final

from aiohttp import web

from stall_then_strike.sim.bitflyer.limits import Reading
from stall_then_strike.sim.bitflyer.private_wire import Number, to_json
from stall_then_strike.sim.bitflyer.public_rest import OVER_LIMIT
from stall_then_strike.sim.bitflyer.rpc import methods_in
from stall_then_strike.sim.bitflyer.wire import error_body
from stall_then_strike.sim.faults.call_faults import CallFaults, like
from stall_then_strike.sim.faults.kinds import Fault, FaultKind
from stall_then_strike.types.dto import NS_PER_S

REALTIME_PATH: Final = "/json-rpc"
DATE_OFF_S: Final = web.ResponseKey("date_off_s", int)
"""Seconds by which an answer's `Date` is ahead."""


class FaultyCalls(CallFaults):
    """Applies faults to bitFlyer's calls and handshakes, on their way in and out."""

    stream_path = REALTIME_PATH

    def _methods_in(self, message: str | bytes) -> frozenset[str]:
        return methods_in(message)

    def _refusal(self, fault: Fault, now_ns: int) -> web.Response:
        status, headers = 500, dict[str, str]()
        if fault.kind is FaultKind.OVER_LIMIT:
            status, text = 429, error_body(-1, OVER_LIMIT)
            left_s = -(-fault.span_ns // NS_PER_S)
            reset_s = -(-(now_ns + fault.span_ns) // NS_PER_S)
            headers = Reading(is_allowed=False, remaining=0, period_s=left_s, reset_s=reset_s).headers()
        elif fault.kind is FaultKind.OVERLOADED:
            text = error_body(-208, "Order is not accepted. Please try again later.")
        elif fault.kind is FaultKind.ORDER_NOT_FOUND:
            status, text = 400, error_body(-111, "Order not found")
        else:
            raise AssertionError(f"{fault.kind.value} does not strike before the effect")
        return web.Response(status=status, text=text, content_type="application/json", headers=headers)

    def _edited(self, response: web.Response, fault: Fault) -> web.Response:
        match fault.kind:
            case FaultKind.STUCK_REMAINING:
                for name in [name for name in response.headers if name.lower().endswith("-remaining")]:
                    response.headers[name] = "1"
                return response
            case FaultKind.WRONG_DATE:
                response[DATE_OFF_S] = response.get(DATE_OFF_S, 0) + fault.span_ns // NS_PER_S
                return response
            case FaultKind.STRIP_ANSWER:
                return like(response, _stripped(response.text or "", fault))
            case _:
                raise AssertionError(f"{fault.kind.value} does not strike after the effect")


def _stripped(text: str, fault: Fault) -> str:
    """A row, or the rows of a list, without the fault's fields; all other numbers keep their digits."""
    try:
        value: Any = json.loads(text, parse_int=Number, parse_float=Number)
    except ValueError:
        return text
    if isinstance(value, dict):
        return to_json(fault.stripped(value))
    if isinstance(value, list):
        return to_json([fault.stripped(row) if isinstance(row, dict) else row for row in value])
    return text
