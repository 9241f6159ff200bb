"""Both languages have all texts, with the same values in them."""

from __future__ import annotations

import re
import string
from pathlib import Path

import pytest

import stall_then_strike.app.web as web
from stall_then_strike.app.control.verbs import Verb
from stall_then_strike.app.view.grades import Grade
from stall_then_strike.app.web.drawing.console_words import TEXTS, Words, language_of
from stall_then_strike.types.dto import Reason

SOURCES = "\n".join(
    path.read_text() for path in Path(str(web.__file__)).parent.rglob("*.py") if path.stem != "console_words"
)


GRADES = {grade.value for grade in Grade}
"""Texts that are asked for by a grade's value."""


def values(text: str) -> set[str | None]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def test_both_languages_have_the_same_texts_with_the_same_values() -> None:
    assert {key: values(ours) for key, (ours, _) in TEXTS.items()} == {
        key: values(ja) for key, (_, ja) in TEXTS.items()
    }
    assert all(text.strip() for both in TEXTS.values() for text in both)


def test_every_reason_and_command_is_told() -> None:
    assert {f"reason.{reason.label}" for reason in Reason} <= set(TEXTS)
    assert {f"act.{verb.value}{part}" for verb in Verb for part in ("", ".will")} <= set(TEXTS)


def test_no_text_is_missing_and_none_is_left_over() -> None:
    asked = set(re.findall(r"""words\(\s*["']([a-z_.]+)["']""", SOURCES)) | set(re.findall(r'"(state\.\w+)"', SOURCES))
    assert asked <= set(TEXTS)
    made = {"reason", "unit", *re.findall(r"""words\(f["']([a-z_.]+)\.\{""", SOURCES)}
    left = {key for key in TEXTS if key not in asked and f'"{key}"' not in SOURCES}
    assert {key for key in left if not any(key.startswith(f"{start}.") for start in made)} <= GRADES


@pytest.mark.parametrize(
    ("cookie", "accepted", "language"),
    [("ja", "en", "ja"), ("", "ja-JP,en;q=0.5", "ja"), ("", "fr,ja;q=0.4", "ja"), ("xx", "", "en"), ("", "de", "en")],
)
def test_the_language_is_the_chosen_one_or_the_browsers(cookie: str, accepted: str, language: str) -> None:
    assert language_of(cookie, accepted) == language


def test_ages_are_short() -> None:
    told = [Words("en").age(seconds) for seconds in (-1, 0.44, 12.3, 119, 185, 9_000)]
    assert told == ["0.0 s", "0.4 s", "12 s", "119 s", "3 min", "2 h"]
    assert Words("ja").age(185) == "3 分"
