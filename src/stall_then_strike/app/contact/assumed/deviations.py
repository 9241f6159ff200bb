"""What differs from what this program assumes: each kind once, with how often it came and its first example."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from stall_then_strike.app.contact.assumed.masking import Masking
from stall_then_strike.app.contact.assumed.shapes import Form
from stall_then_strike.infra.clock import Clock

MOST_KINDS: Final = 200
"""Kinds that are kept; a venue that sends ever new names of fields makes more."""


@dataclass(slots=True, kw_only=True)
class Deviation:
    """One kind."""

    name: str
    """What differs, in a few words."""
    expected: str
    seen: str
    """What came instead, the first time."""
    example: str
    """The message or answer, without secrets and ids; empty if it is no matter of one message."""
    is_grave: bool
    """Whether trading would misread or lose something. Otherwise the parsers cope."""
    first_ns: int
    last_ns: int
    count: int = 1


class Deviations:
    """All kinds found so far, in the order in which they were found."""

    def __init__(self, masking: Masking, clock: Clock) -> None:
        """``masking`` takes secrets and ids out of what is kept; ``clock`` stamps it."""
        self.masking: Final = masking
        self._clock = clock
        self._found: dict[str, Deviation] = {}
        self.left_out = 0
        """Deviations of further kinds, when there are too many."""

    def __iter__(self) -> Iterator[Deviation]:
        return iter(self._found.values())

    def __len__(self) -> int:
        return len(self._found)

    @property
    def names(self) -> list[str]:
        """The kinds by name."""
        return list(self._found)

    def add(self, name: str, expected: str, seen: str, example: object = None, *, is_grave: bool = False) -> None:
        """Count one that is seen now. ``example`` is the parsed message, or a text."""
        name, at_ns = self.masking.text(name), self._clock.now_ns()
        known = self._found.get(name)
        if known is not None:
            known.count += 1
            known.last_ns = at_ns
            known.is_grave = known.is_grave or is_grave
        elif len(self._found) >= MOST_KINDS:
            self.left_out += 1
        else:
            self._found[name] = Deviation(
                name=name,
                expected=expected,
                seen=self.masking.text(seen),
                example="" if example is None else self.masking.example(example),
                is_grave=is_grave,
                first_ns=at_ns,
                last_ns=at_ns,
            )

    def look_at(self, form: Form, value: object, where: str) -> None:
        """Add what is wrong with a value that should have a form."""
        for flaw in form.flaws(value, where):
            self.add(*flaw, value)
