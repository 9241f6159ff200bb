"""The documented form of a JSON value, and how a value differs from it. Pure; knows no venue.

A form is strict where the parsers are tolerant: it also tells of a field that nobody reads, or of a stamp with fewer
decimals. What a parser cannot do without is the parser's own rule and is not repeated here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple, Protocol

from stall_then_strike.infra.line.refusals import plain

MISSING: Final = "is missing"
UNKNOWN: Final = "is not known"
OTHER: Final = "has another form"


class Flaw(NamedTuple):
    """One difference."""

    name: str
    """The field with its place, and what is wrong with it: ``ticker.state is missing``."""
    expected: str
    seen: str


class Form(Protocol):
    """What a value should look like."""

    @property
    def words(self) -> str:
        """The form, for a report."""
        ...

    def flaws(self, value: Any, where: str) -> Iterator[Flaw]:
        """How a value at ``where`` differs from the form."""
        ...


@dataclass(frozen=True, slots=True)
class Plain:
    """A value without parts."""

    words: str
    fits: Callable[[Any], bool]

    def flaws(self, value: Any, where: str) -> Iterator[Flaw]:
        """At most one."""
        if not self.fits(value):
            yield Flaw(f"{where} {OTHER}", self.words, _shown(value))


@dataclass(frozen=True, slots=True)
class Fields:
    """An object with these fields. Those in ``optional`` may be missing."""

    fields: Mapping[str, Form]
    optional: frozenset[str] = frozenset()

    @property
    def words(self) -> str:
        """The names of the fields."""
        return f"an object with {', '.join(self.fields)}"

    def flaws(self, value: Any, where: str) -> Iterator[Flaw]:
        """Missing fields, fields that are not documented, and what is wrong inside the others."""
        if not isinstance(value, dict):
            yield Flaw(f"{where} {OTHER}", self.words, _shown(value))
            return
        for name, form in self.fields.items():
            if name in value:
                yield from form.flaws(value[name], f"{where}.{name}")
            elif name not in self.optional:
                yield Flaw(
                    f"{where}.{name} {MISSING}", form.words, f"only {', '.join(map(_shown, value)) or 'nothing'}"
                )
        for name in value:
            if name not in self.fields:
                yield Flaw(f"{where}.{_shown(name)} {UNKNOWN}", "no such field", _shown(value[name]))


@dataclass(frozen=True, slots=True)
class ListOf:
    """An array whose items have one form."""

    item: Form

    @property
    def words(self) -> str:
        """The form of the items."""
        return f"a list, each {self.item.words}"

    def flaws(self, value: Any, where: str) -> Iterator[Flaw]:
        """Those of the items, all under the list's name."""
        if not isinstance(value, list):
            yield Flaw(f"{where} {OTHER}", "a list", _shown(value))
            return
        for item in value:
            yield from self.item.flaws(item, where)


def like(pattern: str, words: str) -> Plain:
    """A text of a pattern."""
    compiled = re.compile(pattern, re.ASCII)
    return Plain(words, lambda value: isinstance(value, str) and compiled.fullmatch(value) is not None)


def one_of(accepted: Iterable[str]) -> Plain:
    """One of these texts."""
    known = tuple(accepted)
    return Plain(f"one of {', '.join(word or 'an empty text' for word in known)}", lambda value: value in known)


def words_of(kind: type[StrEnum], unlike: StrEnum) -> Plain:
    """A member of an enumeration, except the one that stands for unknown words."""
    return one_of(member.value for member in kind if member is not unlike)


def or_null(form: Plain) -> Plain:
    """The form, or null."""
    return Plain(f"{form.words}, or null", lambda value: value is None or form.fits(value))


NUMBER: Final = Plain("a number", lambda value: type(value) in (int, float))
WHOLE: Final = Plain("a whole number of 0 or more", lambda value: type(value) is int and value >= 0)
TEXT: Final = Plain("a text", lambda value: isinstance(value, str))
ANYTHING: Final = Plain("anything", lambda _: True)


def _shown(value: object) -> str:
    return f'"{plain(value)}"' if isinstance(value, str) and not value.isidentifier() else plain(value)
