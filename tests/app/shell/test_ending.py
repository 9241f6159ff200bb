"""The request to end: which signals hurry."""

from __future__ import annotations

import pytest

from stall_then_strike.app.shell.ending import Ending


@pytest.mark.parametrize(
    ("names", "hurries"),
    [
        (["SIGINT"], False),
        (["SIGINT", "SIGINT"], True),
        (["SIGHUP", "SIGTERM"], True),
        (["SIGHUP", "SIGHUP"], False),
        (["SIGINT", "SIGHUP"], False),
    ],
)
def test_a_second_signal_hurries_unless_the_terminal_closed(names: list[str], hurries: bool) -> None:
    ending = Ending()
    for name in names:
        ending.on_signal(name)
    assert (ending.wanted.is_set(), ending.hurry.is_set(), ending.why) == (True, hurries, names[0])
