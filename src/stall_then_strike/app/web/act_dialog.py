"""The operator's commands as buttons: each asks first and says what will happen, then shows the daemon's answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from nicegui import ui

from stall_then_strike.app.control.socket_client import NoRun, Told, ask
from stall_then_strike.app.control.verbs import REASON_CHARS, Verb, one_line
from stall_then_strike.app.web.drawing.console_words import Words
from stall_then_strike.app.web.drawing.markup import Html, tag
from stall_then_strike.app.web.poller import Poller

STRONG: Final = frozenset({Verb.FLATTEN, Verb.HALT, Verb.STOP})
"""Acts that end trading or take a position away."""
WHO: Final = "console"


def html(content: Html, classes: str = "") -> ui.html:
    """Our own HTML on a page; every text in it is escaped by how it was made."""
    return ui.html(content, sanitize=False).classes(classes)


def act_bar(poller: Poller, words: Words) -> None:
    """Buttons for all acts."""
    with ui.element("div").classes("acts").props(f'role="group" aria-label="{words("acts")}"'):
        for verb in Verb:
            button = _button(words(f"act.{verb.value}"), "act strong" if verb in STRONG else "act")
            button.props(f'data-act="{verb.value}"')
            button.on("click", lambda verb=verb: _Question(verb, poller, words).open())


def _button(text: str, classes: str) -> ui.element:
    button = ui.element("button").classes(classes).props('type="button"')
    with button:
        ui.html(tag("span", text), sanitize=False)
    return button


class _Question:
    """One dialog, from the question to the answer."""

    def __init__(self, verb: Verb, poller: Poller, words: Words) -> None:
        self._verb, self._poller, self._words = verb, poller, words
        self._seen, self._reason, self._is_sent = "", "", False
        self._path = poller.path  # the run that is seen now: a later one is not meant
        self._dialog = ui.dialog().props("persistent")

    async def open(self) -> None:
        """Ask the operator; of a reload, show first what differs."""
        verb, words = self._verb, self._words
        with self._dialog, ui.element("div").classes("ask").props('role="alertdialog"') as self._box:
            html(tag("h2", words("act.question", act=words(f"act.{verb.value}"))))
            run = self._poller.seen.snapshot
            html(tag("p", words(f"act.{verb.value}.will"), tag("small", "" if run is None else f" {run.mode}")))
            if verb is Verb.RELOAD and not await self._shows_difference():
                self._buttons((words("act.close"), "act no", self._close))
            else:
                field = ui.element("input").classes("field").props(f'maxlength="{REASON_CHARS}"')
                field.props["placeholder"] = words("act.reason")
                field.props["aria-label"] = words("act.reason")
                field.on("input", self._typed, js_handler="(e) => emit(e.target.value)")
                go = "act go strong" if verb in STRONG else "act go"
                yes = (words(f"act.{verb.value}"), f"{go} yes", self._send)
                self._buttons((words("act.no"), "act no", self._close), yes)
        self._dialog.open()

    def _buttons(self, *buttons: tuple[str, str, Callable[[], object]]) -> None:
        with ui.element("div").classes("row"):
            for text, classes, act in buttons:
                _button(text, classes).on("click", act)

    def _typed(self, event: object) -> None:
        self._reason = one_line(str(getattr(event, "args", "")))

    async def _shows_difference(self) -> bool:
        told = await _told(self._path, "GET", self._verb)
        html(tag("p", self._words("act.differs")))
        html(tag("pre", self._words("act.lost") if told is None else told.text))
        self._seen = "" if told is None else str(told.content.get("digest", ""))
        return told is not None and told.is_done

    async def _send(self) -> None:
        """Send it once, however often the button is pressed, and show what became of it."""
        if self._is_sent:
            return
        self._is_sent, words = True, self._words
        self._box.clear()
        with self._box:
            html(tag("p", words("act.sending"), cls="told"))
        body = {"reason": f"{WHO}: {self._reason}" if self._reason else WHO}
        told = await _told(self._path, "POST", self._verb, body | ({"seen": self._seen} if self._seen else {}))
        self._poller.hurry()
        self._box.clear()
        with self._box:
            outcome = "" if told is None else f": {words('act.done' if told.is_done else 'act.refused')}"
            html(tag("h2", f"{words(f'act.{self._verb.value}')}{outcome}"))
            html(tag("p", words("act.lost") if told is None else told.text, cls="told", role="status"))
            self._buttons((words("act.close"), "act no", self._close))

    def _close(self) -> None:
        self._dialog.close()
        self._dialog.delete()


async def _told(path: Path, method: str, verb: Verb, body: dict[str, str] | None = None) -> Told | None:
    """The daemon's answer; None if there was none."""
    try:
        return await ask(path, method, verb.value, body)
    except NoRun:
        return None
