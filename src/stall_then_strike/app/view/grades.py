"""How good a figure is, by the share of its limit that it takes: the same on the panel and in the console."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

_WARN_AT: Final = 0.5
_BAD_AT: Final = 0.8


class Grade(StrEnum):
    """How good a figure is; always told by a word or a sign as well as by a colour."""

    GOOD = "good"
    WARN = "warn"
    BAD = "bad"
    NONE = "none"
    """Neither."""


def graded(share: float | None) -> Grade:
    """The grade of a figure by the share of its limit; None without a limit."""
    if share is None:
        return Grade.NONE
    return Grade.GOOD if share < _WARN_AT else Grade.WARN if share < _BAD_AT else Grade.BAD
