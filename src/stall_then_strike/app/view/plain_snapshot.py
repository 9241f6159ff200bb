"""A snapshot as it goes over the daemon's socket, and made again by programs that ask there.

It goes as orjson writes it, which costs the trading loop a seventh of what :func:`as_plain` would: fields under their
own names, stamps in nanoseconds, decimals as texts with all their digits. For people it is made plain by who asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from functools import cache

import orjson
from pydantic import TypeAdapter

from stall_then_strike import __version__
from stall_then_strike.app.view.snapshot import Snapshot


class OtherVersion(ValueError):
    """A run's answer that this program cannot read. Its text says which version each is, and what to do."""

    def __init__(self, run: str) -> None:
        """``run`` is the version that the answer gives."""
        self.run = run
        super().__init__(
            f"the run is of version {run}, this program of {__version__}, which cannot read what the run tells; "
            "restart the older of the two"
        )


def answer_of(seen: Snapshot, text: str) -> bytes:
    """The daemon's answer: the snapshot, and the same for a person."""
    return encoded({"version": __version__, "text": text, "snapshot": seen})


def snapshot_in(answer: Mapping[str, object]) -> Snapshot:
    """The snapshot of a daemon's answer. Raises OtherVersion."""
    try:
        return snapshot_of(answer.get("snapshot"))
    except ValueError as error:
        raise OtherVersion(str(answer.get("version", "not told"))) from error


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
