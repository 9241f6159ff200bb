"""What may be commanded, and how it is said."""

from __future__ import annotations

from enum import StrEnum, unique
from typing import Final, NamedTuple

REASON_CHARS: Final = 200


@unique
class Verb(StrEnum):
    """One command of the operator."""

    PAUSE = "pause"
    RESUME = "resume"
    CANCEL_ALL = "cancel-all"
    FLATTEN = "flatten"
    HALT = "halt"
    STOP = "stop"
    RELOAD = "reload"


MEANING: Final = {
    Verb.PAUSE: "take the quotes back and send none until resumed; exits go on",
    Verb.RESUME: "lift the pause, or the halt, and trade again",
    Verb.CANCEL_ALL: "take back the quotes that are live now; quoting goes on",
    Verb.FLATTEN: "take the quotes back, close the position, and stay flat until resumed",
    Verb.HALT: "trip the kill switch: take the quotes back and close the position",
    Verb.STOP: "end the program in good order",
    Verb.RELOAD: "read the settings anew and apply what may change while trading",
}
"""What each command does, for questions and help."""


class Act(NamedTuple):
    """A command with who gave it and why."""

    verb: Verb
    who: str
    reason: str = ""

    @property
    def detail(self) -> str:
        """For the journal."""
        return f"by {self.who}: {self.reason}" if self.reason else f"by {self.who}"


class Answer(NamedTuple):
    """What became of a command."""

    is_done: bool
    text: str


def one_line(text: str) -> str:
    """A reason as one line of printable characters, of at most ``REASON_CHARS``."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())[:REASON_CHARS]
