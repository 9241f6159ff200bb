"""What the desk answers to commands that are refused or change nothing."""

from __future__ import annotations

import pytest

from stall_then_strike.app.control.command_desk import CommandDesk
from stall_then_strike.app.control.verbs import Act, Verb, one_line
from stall_then_strike.app.shell.ending import Ending
from stall_then_strike.types.dto import Command, Control, Reason
from tests.app.control.control_rig import OnStage


def halted(reason: Reason) -> OnStage:
    stage = OnStage(risk={"after_halt": "wait"})
    stage.on_event(Control(ts_ns=0, command=Command.HALT, reason=reason))
    return stage


async def test_flatten_leaves_a_position_to_the_operator() -> None:
    answer = await CommandDesk(halted(Reason.AUTH_REFUSED), Ending(), None).act(Act(Verb.FLATTEN, "me"))
    assert answer == (False, "the halt auth_refused leaves the position to you: close it at the venue")


async def test_what_is_so_already_is_said() -> None:
    stage = halted(Reason.OPERATOR)
    desk = CommandDesk(stage, Ending(), None)
    assert (await desk.act(Act(Verb.HALT, "me"))).text == "was halted already: operator"
    assert (await desk.act(Act(Verb.PAUSE, "me"))).text == "paused; no quote is live; exits go on"
    assert (await desk.act(Act(Verb.PAUSE, "me"))).text == "was paused already"
    assert (await desk.act(Act(Verb.RESUME, "me"))).text == "lifted: the halt operator and the pause"
    assert (await desk.act(Act(Verb.RESUME, "me"))).text == "neither paused nor halted: nothing to lift"
    assert not (await desk.act(Act(Verb.RELOAD, "me"))).is_done


@pytest.mark.parametrize("verb", [verb for verb in Verb if verb not in (Verb.HALT, Verb.CANCEL_ALL)])
async def test_a_run_that_ends_takes_no_more_but_halt_and_cancel(verb: Verb) -> None:
    ending = Ending()
    ending.ask("SIGTERM")
    stage = OnStage()
    answer = await CommandDesk(stage, ending, None).act(Act(verb, "me"))
    assert answer == (False, "the run is ending: SIGTERM")
    assert stage.events == []
    assert (await CommandDesk(stage, ending, None).act(Act(Verb.CANCEL_ALL, "me"))).is_done


def test_a_reason_is_one_line() -> None:
    assert one_line("a\r\nb\x1b[31m\x00 c\u2028d" + "x" * 500)[:12] == "a b [31m c d"
    assert len(one_line("x" * 500)) == 200
