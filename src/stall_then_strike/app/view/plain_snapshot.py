"""A snapshot as it goes over the daemon's socket, and made again by programs that ask there.

It goes as orjson writes it, which costs the trading loop a seventh of what :func:`as_plain` would: fields under their
own names, stamps in nanoseconds, decimals as texts with all their digits. For people it is made plain by who asked.
"""

from __future__ import annotations

from decimal import Decimal
from functools import cache

import orjson
from pydantic import TypeAdapter

from stall_then_strike.app.view.snapshot import Snapshot


def encoded(value: object) -> bytes:
    """JSON of a value that may hold snapshots. Raises TypeError for what has no place in one."""
    return orjson.dumps(value, default=_text)


def _text(value: object) -> str:
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"{type(value).__name__} in a snapshot")


def snapshot_of(content: object) -> Snapshot:
    """The snapshot of which :func:`encoded` made the JSON of ``content``.

    Fields that are not known here are left out, and absent ones have their default: the daemon may be of another
    version. Raises ValueError.
    """
    return _reader().validate_python(content)


@cache
def _reader() -> TypeAdapter[Snapshot]:
    return TypeAdapter(Snapshot)
