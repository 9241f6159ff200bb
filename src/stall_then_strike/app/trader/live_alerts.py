"""Which events of a live run send an alert: halts, long disconnects, surprises in the account, the day's result."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from stall_then_strike.infra.logs.run_files import RunFiles
from stall_then_strike.infra.watch.alerts import AlertKind
from stall_then_strike.infra.watch.day_digests import ReportJob
from stall_then_strike.types.dto import Fact

PAUSE: Final = "pause"
"""Name of the fact that the machine slept, the process stood still or a clock was set."""
JOURNAL: Final = "journal"
"""Name of the fact that another program locks the journal or has released it."""
SHADOW: Final = "shadow"
"""Name of the fact that the real account of a shadow run has changed."""
DAY: Final = "day"
"""Name of the fact that a trading day has ended; its text begins with the day."""
_KINDS: Final[Mapping[str, tuple[AlertKind, str]]] = {
    "halt": (AlertKind.HALT, "trading is halted"),
    "difference": (AlertKind.RECONCILIATION, "the position differs from the venue's"),
    "behind": (AlertKind.RECONCILIATION, "the venue's lists are behind"),
    "unreconciled": (AlertKind.RECONCILIATION, "the account cannot be reconciled"),
    "take_over": (AlertKind.RECONCILIATION, "a position was taken over"),
    "orphan": (AlertKind.RECONCILIATION, "an order believed ended is on the book"),
    "stranger": (AlertKind.RECONCILIATION, "an order that is not ours"),
    "limit": (AlertKind.HALT, "a limit is reached, and the position is left to you"),
    "margin": (AlertKind.MARGIN, "margin is insufficient: no quotes"),
    "start_failed": (AlertKind.STOP, "not started"),
    "collateral": (AlertKind.RECONCILIATION, "collateral moved without a fill"),
    PAUSE: (AlertKind.CLOCK, "time passed unnoticed"),
    JOURNAL: (AlertKind.JOURNAL, "the journal"),
    SHADOW: (AlertKind.RECONCILIATION, "the account changed under a shadow run"),
}

_COUNTED: Final = ("fill", "halt")

Send = Callable[[AlertKind, str, str], None]


class LiveAlerts:
    """Turns facts about the account and the state of the connection into alerts."""

    def __init__(self, send: Send, disconnect_sec: float, end_day: Callable[[str, str], None]) -> None:
        """``send`` never blocks. ``disconnect_sec``: real seconds without the venue after which an alert is sent.

        ``end_day`` takes a day that has ended, and its digest; it never blocks.
        """
        self._send, self._end_day = send, end_day
        self._limit_s = disconnect_sec
        self._away_s: float | None = None
        self._is_alerted = False
        self._counts: Counter[tuple[str, str]] = Counter()
        """Fills and halts of each instrument since the last day roll, or since the start."""

    def on_fact(self, fact: Fact, product: str = "") -> None:
        """Take one fact, and send an alert if its kind needs one. ``product``: whose it is, if there are several."""
        self._counts[product, fact.what] += fact.what in _COUNTED
        of = f"{product}: " if product else ""
        if fact.what == DAY:
            self._end_day(fact.detail.partition(" ")[0], f"{of}{fact.detail}{self._digest(product)}")
        elif (known := _KINDS.get(fact.what)) is not None:
            kind, title = known
            text = " ".join(word for word in (fact.order_id or "", fact.detail) if word) or title
            self._send(kind, title, f"{of}{text}")

    def _digest(self, product: str) -> str:
        """What the day had, as far as this run saw it."""
        return "".join(f", {name}s {self._counts.pop((product, name), 0):,}" for name in _COUNTED)

    def on_connection(self, now_s: float, *, is_up: bool, why: str) -> None:
        """Check the connection; to be called regularly."""
        if is_up:
            if self._is_alerted and self._away_s is not None:
                self._send(AlertKind.DISCONNECT, "connected again", f"after {now_s - self._away_s:.0f} s")
            self._away_s, self._is_alerted = None, False
            return
        self._away_s = now_s if self._away_s is None else self._away_s
        if not self._is_alerted and now_s - self._away_s >= self._limit_s:
            self._is_alerted = True
            self._send(AlertKind.DISCONNECT, "not connected", why or "no private channel")


def day_report(run: RunFiles, journal: Path, day: str) -> ReportJob:
    """How to make the report on a day: by the command, from what the run and its restarts have in their folders."""
    out = run.folder / "reports" / f"{day}.html"
    runs = (run.folder.parent, "--run", run.folder.name, "--all")
    command = (sys.executable, "-m", "stall_then_strike.app.report", *runs, "--config", run.settings)
    return ReportJob(command=[*map(str, command), "--journal", str(journal), "--day", day, "--out", str(out)], out=out)
