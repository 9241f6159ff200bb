"""The venue's order ids, checked in one way wherever they come from: REST, private events, public executions.

Venue facts (samples): ``JRF20230611-180201-097176`` is the moment of acceptance in UTC and a number.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from stall_then_strike.types.dto import NS_PER_S, OrderId

MAX_NAME_CHARS: Final = 64
"""Longest id accepted; the venue's have 26 characters."""
_NAME: Final = re.compile(rf"[!-~]{{1,{MAX_NAME_CHARS}}}", re.ASCII)
_ACCEPTED: Final = re.compile(r"[A-Z]{3}(\d{8})-(\d{6})-\d+", re.ASCII)


def order_name(value: object) -> OrderId | None:
    """The order id; None if invalid. It may go into logs and queries, so blanks and odd characters are refused."""
    return OrderId(value) if isinstance(value, str) and _NAME.fullmatch(value) else None


def accepted_ns(name: OrderId) -> int | None:
    """When the venue accepted the order (nanoseconds since the Unix epoch, whole seconds); None if the id lacks it."""
    match = _ACCEPTED.fullmatch(name)
    if match is None:
        return None
    try:
        moment = datetime.strptime(f"{match[1]}{match[2]}+0000", "%Y%m%d%H%M%S%z")
    except ValueError:
        return None
    return int(moment.timestamp()) * NS_PER_S
