"""Gates: the reasons for doing nothing, and how long each held.

A decision row is written when the reason changes, so a reason holds until the next row. Cancels and closes in between
do not end it. If the next row must be of a later run (two consecutive holds with the same reason, or a hold after a
stop), the end of the first is unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from stall_then_strike.app.story.why_words import lasting, measured, sentence
from stall_then_strike.config.models import AppConfig
from stall_then_strike.engine.strategy import QUOTE_WORDS
from stall_then_strike.infra.logs.log_reader import DecisionLine, Span

_BETWEEN: Final = frozenset({"cancel", "close"})
"""Decisions after which the same reason may continue."""
_LAST: Final = frozenset({"halted", "stopping"})
"""Reasons that only a logged decision or the end of the run can end."""
_AFTER_LAST: Final = _LAST | {"dust", "closing"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A reason for doing nothing, and the time that it held."""

    reason: str
    row: DecisionLine
    """Its first row, with the market and the position when it began."""
    from_ns: int
    until_ns: int | None
    """When the next decision came; None if none has."""
    is_end_unknown: bool
    """The run ended before ``until_ns``, at an unknown time."""
    figures: str = ""
    """What its gate measured, and the limit."""
    text: str = ""
    """In words."""

    @property
    def lasted_ns(self) -> int | None:
        """How long it held; None if unknown."""
        return None if self.until_ns is None or self.is_end_unknown else self.until_ns - self.from_ns

    @property
    def duration(self) -> str:
        """``for 12.4 s``, or what is known about its end."""
        if self.lasted_ns is not None:
            return f"for {lasting(self.lasted_ns)}"
        if self.is_end_unknown:
            return "until that run ended"
        return "and still holds"

    def holds_at(self, ts_ns: int) -> bool:
        """Whether it held at that time, as far as known."""
        return self.from_ns <= ts_ns and (self.until_ns is None or ts_ns < self.until_ns)


def holds_of(
    decisions: Span[DecisionLine],
    cfg: AppConfig,
    *,
    is_running: bool,
    ends: Iterable[int] = (),
    budget_waits: Mapping[int, str] = MappingProxyType({}),
) -> list[Hold]:
    """Holds that reach into the span. The last one continues while its run does.

    ``ends`` are stamps of other decisions in the journal, which has them at once; the CSVs have them up to
    ``log.flush_ms`` later, or never if the process was killed. ``budget_waits`` comes from :mod:`why_budget`.
    """
    edges = [decisions.before, *decisions.within, decisions.after]
    rows = [row for row in edges if row is not None]
    stamps = sorted(ends)
    holds = [_ended(hold, stamps) for hold in _holds(rows, decisions, is_running=is_running)]
    measures = (measured(hold.row, cfg, budget_waits.get(hold.from_ns, "")) for hold in holds)
    return [
        replace(hold, figures=figures, text=_worded(hold, figures))
        for hold, figures in zip(holds, measures, strict=True)
    ]


def _ended(hold: Hold, stamps: list[int]) -> Hold:
    """An open hold, ended by the first stamp after it."""
    first = next((stamp for stamp in stamps if stamp // 1_000 > hold.from_ns // 1_000), None)
    if hold.until_ns is not None or first is None:
        return hold
    return replace(hold, until_ns=first, is_end_unknown=False)


def _holds(rows: list[DecisionLine], decisions: Span[DecisionLine], *, is_running: bool) -> Iterator[Hold]:
    first = 0
    while first < len(rows):
        row = rows[first]
        if row.decision_type != "hold" or row is decisions.after:
            first += 1
            continue
        last = first + 1
        while last < len(rows) and (rows[last].decision_type in _BETWEEN or _goes_on(rows, last, row)):
            last += 1
        # Cancels and closes that are not followed by the same reason: the first of them ended the hold.
        while last > first + 1 and rows[last - 1].decision_type in _BETWEEN:
            last -= 1
        following = rows[last] if last < len(rows) else None
        yield Hold(
            reason=row.reason,
            row=row,
            from_ns=row.ts_ns,
            until_ns=None if following is None else following.ts_ns,
            is_end_unknown=not is_running if following is None else _is_later_run(rows[last - 1], following),
        )
        first = last


def _goes_on(rows: list[DecisionLine], index: int, hold: DecisionLine) -> bool:
    row = rows[index]
    return row.decision_type == "hold" and row.reason == hold.reason and rows[index - 1].decision_type in _BETWEEN


def _is_later_run(row: DecisionLine, following: DecisionLine) -> bool:
    if row.decision_type != "hold":
        return False
    if following.decision_type == "hold":
        return following.reason == row.reason or (row.reason in _LAST and following.reason not in _AFTER_LAST)
    return row.reason in _LAST and following.decision_type in QUOTE_WORDS


def _worded(hold: Hold, figures: str) -> str:
    return f"{sentence(hold.reason)}{f' ({figures})' if figures else ''}, {hold.duration} ({hold.reason})"
