"""Carries the operator's commands out on a run, as events of its core, and says what became of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from loguru import logger

from stall_then_strike.app.control.reloading import Commanded, Reloading
from stall_then_strike.app.control.verbs import Act, Answer, Verb
from stall_then_strike.app.shell.ending import Ending
from stall_then_strike.types.dto import Command, Control, Reason


class CommandDesk:
    """Takes commands one after the other. It belongs to the trader's event loop."""

    def __init__(
        self,
        trader: Commanded,
        ending: Ending,
        reloading: Reloading | None,
        on_act: Callable[[], None] = lambda: None,
    ) -> None:
        """``reloading`` is None for a run whose settings cannot be read anew; ``on_act`` is called after each act."""
        self._on_act = on_act
        self.reloading: Final = reloading
        self._trader, self._ending, self._portfolio = trader, ending, trader.portfolio
        self._acts: Final[Mapping[Verb, Callable[[Act], Answer]]] = {
            Verb.PAUSE: self._pause,
            Verb.RESUME: self._resume,
            Verb.CANCEL_ALL: self._cancel_all,
            Verb.FLATTEN: self._flatten,
            Verb.HALT: self._halt,
            Verb.STOP: self._stop,
        }

    async def act(self, act: Act, seen: str = "") -> Answer:
        """Carry one command out. ``seen`` is the digest of the settings that the operator was shown."""
        if self._ending.wanted.is_set() and act.verb not in (Verb.HALT, Verb.CANCEL_ALL):
            answer = Answer(False, f"the run is ending: {self._ending.why}")
        elif act.verb is not Verb.RELOAD:
            answer = self._acts[act.verb](act)
        elif self.reloading is None:
            answer = Answer(False, "this run's settings cannot be read anew")
        else:
            answer = await self.reloading.apply(act, seen)
        self._on_act()
        logger.log(
            "INFO" if answer.is_done else "WARNING",
            "operator: {} {}: {}{}",
            act.verb.value,
            act.detail,
            "" if answer.is_done else "refused: ",
            answer.text,
        )
        return answer

    def _command(self, command: Command, act: Act) -> None:
        now_ns = self._trader.clock.now_ns()
        self._trader.on_event(Control(ts_ns=now_ns, command=command, reason=Reason.OPERATOR, detail=act.detail))

    @property
    def _paused(self) -> Reason | None:
        return self._portfolio.first.shared.paused

    def _quotes(self) -> str:
        """How many quotes are live, in words."""
        count = sum(len(core.orders.quotes()) for core in self._portfolio.cores)
        return "no quote is live" if not count else f"{count} quote{'s are' if count > 1 else ' is'} being taken back"

    def _held(self) -> str:
        """The positions, in words; empty if there are none."""
        held = ((core.instrument, core.inventory.position) for core in self._portfolio.cores)
        return " and ".join(f"{unit.size(lots):+f} {unit.base}" for unit, lots in held if lots)

    def _pause(self, act: Act) -> Answer:
        if self._paused is not None:
            return Answer(True, "was paused already")
        self._command(Command.PAUSE, act)
        return Answer(True, f"paused; {self._quotes()}; exits go on")

    def _resume(self, act: Act) -> Answer:
        halted, paused = self._portfolio.halted, self._paused
        if halted is None and paused is None:
            return Answer(True, "neither paused nor halted: nothing to lift")
        self._command(Command.RESUME, act)
        lifted = [f"the halt {halted.label}"] if halted is not None else []
        return Answer(True, f"lifted: {' and '.join([*lifted, *(['the pause'] if paused is not None else [])])}")

    def _cancel_all(self, act: Act) -> Answer:
        self._command(Command.CANCEL_ALL, act)
        more = "" if self._paused is not None else "; the strategy may quote again (pause keeps it from that)"
        return Answer(True, self._quotes() + more)

    def _flatten(self, act: Act) -> Answer:
        halted = self._portfolio.halted
        if halted is not None and self._portfolio.first.kill_switch.keeps_position:
            return Answer(False, f"the halt {halted.label} leaves the position to you: close it at the venue")
        held = self._held()
        self._command(Command.FLATTEN, act)
        closing = f"closing {held}" if held else "there is no position"
        return Answer(True, f"paused; {self._quotes()}; {closing}; nothing is held until resumed")

    def _halt(self, act: Act) -> Answer:
        before = self._portfolio.halted
        self._command(Command.HALT, act)
        if before is not None and self._portfolio.halted is before:
            return Answer(True, f"was halted already: {before.label}")
        held = self._held()
        return Answer(True, f"halted; {self._quotes()}; {f'closing {held}' if held else 'there is no position'}")

    def _stop(self, act: Act) -> Answer:
        self._ending.ask(f"stopped {act.detail}")
        return Answer(True, "stopping in good order")
