"""The page of a calibration: complete in both languages, without network, and refused without a result."""

from __future__ import annotations

import json
import string
from pathlib import Path

import orjson
import pytest

from stall_then_strike.app import report
from stall_then_strike.research.calibration.fit import as_json, calibrate
from stall_then_strike.research.report.calibration_page import CALIBRATION_WORDS, RESULT
from stall_then_strike.research.report.labels import LANGUAGES
from tests.research.calibration.live_market import record


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("calibration")
    orders, tape = record(made, 180)
    (made / RESULT).write_bytes(orjson.dumps(as_json(calibrate(orders, [tape])[0])))
    return made


def page_of(folder: Path, out: Path, language: str) -> str:
    assert report.main([str(folder), "--out", str(out), "--lang", language]) == 0
    return out.read_text()


@pytest.mark.parametrize("key", sorted(CALIBRATION_WORDS))
def test_each_word_is_there_in_both_languages_with_the_same_fields(key: str) -> None:
    words = CALIBRATION_WORDS[key]
    assert len(words) == len(LANGUAGES)
    assert all(words)
    fields = [{name for _, name, _, _ in string.Formatter().parse(text) if name} for text in words]
    assert fields[0] == fields[1]


@pytest.mark.parametrize("language", LANGUAGES)
def test_page_shows_real_and_predicted_beside_each_other(folder: Path, tmp_path: Path, language: str) -> None:
    page = page_of(folder, tmp_path / "page.html", language)
    figures = json.loads(page.split('<script id="figures" type="application/json">')[1].split("</script>")[0])
    ratios, markouts = figures
    assert len(ratios["data"]) == len(markouts["data"]) == 4
    assert ratios["data"][0]["name"] == CALIBRATION_WORDS["real"][LANGUAGES.index(language)]
    assert all(len(trace["y"]) == 5 for trace in markouts["data"])
    assert "pessimistic" in page
    assert page == page_of(folder, tmp_path / "again.html", language)


def test_page_of_one_minute_has_no_intervals(tmp_path: Path) -> None:
    orders, tape = record(tmp_path, 40)
    (tmp_path / RESULT).write_bytes(orjson.dumps(as_json(calibrate(orders, [tape])[0])))
    assert "pessimistic" in page_of(tmp_path, tmp_path / "page.html", "en")


@pytest.mark.parametrize("text", ["", "[]", '{"version":2}'])
def test_result_that_is_none_is_named(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / RESULT).write_text(text)
    assert report.main([str(tmp_path)]) == 2
    assert str(tmp_path / RESULT) in capsys.readouterr().err
