"""The calls of one report, counted: an error tells how many were made, because the venue's limits count them, too."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

from stall_then_strike.types.errors import VenueError

_R = TypeVar("_R")


class CountedCalls:
    """Makes calls one after another."""

    def __init__(self) -> None:
        """None is made yet."""
        self.made = 0

    async def ask(self, question: Awaitable[_R]) -> _R:
        """Make one. Raises its VenueError, with the number of calls made."""
        self.made += 1
        try:
            return await question
        except VenueError as error:
            error.calls = self.made
            raise
