"""The venue's stamps as nanoseconds since the Unix epoch.

Venue facts (samples): realtime messages have ``2023-06-11T18:02:01.6573082Z``, with seven decimals; REST omits the
``Z`` and has any number of decimals or none. All are UTC.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from stall_then_strike.types.dto import NS_PER_S

_STAMP: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?Z?", re.ASCII)


def wire_time_ns(text: object) -> int:
    """Nanoseconds since the Unix epoch; decimals beyond nine are dropped. Raises ValueError for any other text."""
    match = _STAMP.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError("not a time")
    seconds = int(datetime.fromisoformat(f"{match[1]}+00:00").timestamp())
    return seconds * NS_PER_S + int((match[2] or "").ljust(9, "0"))
