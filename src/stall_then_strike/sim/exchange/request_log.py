"""The requests that the exchange received, kept for tests and for later reading.

The newest records are kept, and dropped ones are counted. A sink gets every record as it arrives, for instance to write
it to a file. Signatures and secrets are not recorded; a key is shown by its account.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One request and its answer."""

    time_ns: int
    """Venue time of arrival."""
    transport: str
    """``rest`` or ``ws``."""
    account: str | None
    """The account, if the request was authenticated."""
    what: str
    """Method and target as received, or the name of the JSON-RPC method."""
    body: str = ""
    http_status: int = 0
    """Zero for a request on a socket."""
    answer: str = ""


class Audit:
    """The newest records, and counts of all."""

    def __init__(self, limit: int = 100_000, sink: Callable[[Received], None] | None = None) -> None:
        """Keep at most ``limit`` records."""
        self._records: deque[Received] = deque(maxlen=limit)
        self._sink = sink
        self.dropped = 0
        self.counts: Counter[str] = Counter()
        """Records by call, without the query."""

    def add(self, record: Received) -> None:
        """Keep a record and pass it to the sink."""
        if len(self._records) == self._records.maxlen:
            self.dropped += 1
        self._records.append(record)
        self.counts[record.what.partition("?")[0]] += 1
        if self._sink is not None:
            self._sink(record)

    def records(self, what: str | None = None) -> list[Received]:
        """Records in order of arrival, of one call (``POST /v1/me/sendchildorder``) or of all."""
        return [r for r in self._records if what is None or r.what.partition("?")[0] == what]
