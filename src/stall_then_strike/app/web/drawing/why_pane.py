"""The answer of ``why`` on a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from stall_then_strike.app.view.grades import Grade
from stall_then_strike.app.web.drawing.console_words import Words
from stall_then_strike.app.web.drawing.markup import Html, joined, tag
from stall_then_strike.app.web.drawing.panes import card, sign

_MOST_LINES: Final = 400
_PROBLEMS: Final = {"busy": "why.busy"}


def why_pane(story: Mapping[str, Any] | None, problem: str, words: Words) -> Html:
    """A story, or why there is none."""
    if story is None:
        text = words(_PROBLEMS[problem]) if problem in _PROBLEMS else words("why.failed", error=problem)
        return card(words("why"), tag("p", text, cls="empty"))
    asked = card(
        words("why.asked", moment=_moment(story)),
        tag("p", str(story["verdict"]) if story["found"] else words("why.none"), cls="big"),
        *(tag("p", str(run), cls="note") for run in story["runs"]),
    )
    if not story["found"]:
        return asked
    holds = [
        tag("li", tag("time", _clock(hold["from"])), sign(Grade.NONE, words), tag("span", str(hold["text"])))
        for hold in story["holds"]
    ]
    held = card(words("why.holds"), tag("ol", *holds, cls="log")) if holds else ""
    notes = tag("p", *(f"{note} " for note in story["notes"]), cls="empty")
    return joined((asked, held, card(words("why.line"), _time_line(story, words), notes)))


def _moment(story: Mapping[str, Any]) -> str:
    return str(story["zero"] or story["asked"]).replace("T", " ")[:23]


def _clock(stamp: object) -> str:
    return str(stamp)[11:23]


def _time_line(story: Mapping[str, Any], words: Words) -> Html:
    lines = [
        tag(
            "li",
            tag("time", _clock(line["ts"])),
            sign(Grade.WARN if line["out_of_the_ordinary"] else Grade.NONE, words),
            tag("span", tag("b", str(line["what"])), f" {line['text']}", _order(line["order"])),
            cls="now" if line["ts"] == story["zero"] else None,
        )
        for line in story["timeline"][:_MOST_LINES]
    ]
    return tag("ol", *lines, cls="log")


def _order(name: object) -> Html:
    return joined((" ", tag("a", str(name), href=f"/why?at={name}"))) if name else Html("")
