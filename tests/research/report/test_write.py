"""The page: complete in both languages, without network, the same for the same input; and the command."""

from __future__ import annotations

import re
import shutil
import string
from pathlib import Path

import pytest

from stall_then_strike.app import report
from stall_then_strike.app.shell.command import EXIT_DONE, EXIT_USAGE
from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.logs.run_files import KINDS, RunFiles
from stall_then_strike.infra.logs.run_record import RunRecord
from stall_then_strike.research.figures.activity import Bin
from stall_then_strike.research.figures.estimates import Estimate
from stall_then_strike.research.report.drawing import thin
from stall_then_strike.research.report.labels import LANGUAGES, WORDS, Labels
from stall_then_strike.research.report.page import plotly_script
from stall_then_strike.research.report.run_charts import ratio_layout, ratio_top, ratio_trace
from stall_then_strike.research.report.run_data import read_run
from stall_then_strike.research.report.run_sections import comparison_page, run_page
from stall_then_strike.types.dto import Reason
from tests.research.figures.run_folder import hold, place, strike, trade, write
from tests.research.report.page_checks import assert_plotlys
from tests.shared_data import real_tape_path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "run"
    write(
        made, "trades", [trade(10, "A", "BUY", 9_990, "0.001"), trade(80, "B<b>", "SELL", 9_950, "0", "-0.04", "-0.04")]
    )
    write(made, "orders", [place(9, "A", "BUY", 9_990), place(9, "X", "SELL", 10_010)])
    write(
        made,
        "decisions",
        [hold(0, "budget"), strike(9, 260, 1000, 9_990, 10_010), hold(9, "quoting"), hold(90, "budget")],
    )
    return made


def page_of(folder: Path, *flags: str) -> str:
    out = folder.parent / "report.html"
    assert report.main([str(folder), "--out", str(out), *flags]) == 0
    return out.read_text()


@pytest.mark.parametrize("key", sorted(WORDS))
def test_each_word_is_there_in_both_languages_with_the_same_fields(key: str) -> None:
    assert len(WORDS[key]) == len(LANGUAGES)
    fields = [{name for _, name, _, _ in string.Formatter().parse(words) if name} for words in WORDS[key]]
    assert all(WORDS[key])
    assert fields[0] == fields[1]


def test_each_reason_has_a_word() -> None:
    words = [Labels("ja").reason(reason.label) for reason in Reason]
    assert not any(word.isascii() for word in words)


@pytest.mark.parametrize("language", LANGUAGES)
def test_page_loads_nothing(folder: Path, language: str) -> None:
    page = page_of(folder, "--lang", language)
    own = page.replace(plotly_script(), "")
    assert len(own) < len(page)
    assert "://" not in own
    assert not re.search(r"\b(src|href|url|@import)\s*[=(]", own)
    assert "default-src 'none'" in own
    assert f'<html lang="{language}">' in own


def test_same_input_gives_the_same_file(folder: Path) -> None:
    assert page_of(folder) == page_of(folder)


def test_one_trading_day_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By the session's calendar: the rows are of noon UTC, in the evening of that day in Tokyo."""
    whole, day = page_of(folder), page_of(folder, "--day", "2026-01-05")
    assert day == whole
    capsys.readouterr()
    assert report.main([str(folder), "--day", "2026-01-06"]) == 2
    assert "no rows of that day" in (said := capsys.readouterr().err) or "no logs" in said
    morning = ("--set", "session.day_start=22:00", "--day", "2026-01-05")
    assert report.main([str(folder), *morning]) == 2, "the day that begins at 22:00 has none of them"
    assert page_of(folder, "--set", "session.day_start=22:00", "--day", "2026-01-04")
    with pytest.raises(SystemExit):
        report.main([str(folder), "--day", "yesterday"])


def test_comparison_tells_the_runs_apart(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "run"
    write(other, "decisions", [hold(0, "budget"), hold(60, "spread")])
    page = page_of(folder, "--compare", str(other))
    assert "other/run" in page
    assert "There was no fill." in page


def test_figures_are_plotlys_and_use_known_colours(folder: Path) -> None:
    run = read_run(folder, AppConfig())
    for language in LANGUAGES:
        pages = [run_page(run, Labels(language)), comparison_page(run, run, Labels(language))]
        figures = [figure for page in pages for section in page.sections for figure in section.figures]
        assert figures
        assert_plotlys(figures)


def test_tape_run_has_every_chart(tmp_path: Path) -> None:
    from stall_then_strike.app import run_paper

    tape = real_tape_path()
    assert run_paper.main(["--tape", str(tape), "--log-dir", str(tmp_path / "logs")]) == 0
    run = read_run(tmp_path / "logs", AppConfig(), tapes=[tape])
    assert run.parts is not None
    assert sum(run.parts.values()) == run.books.total
    keys = [section.key for section in run_page(run, Labels("en")).sections]
    assert {"equity", "price", "split", "markouts", "fate", "reasons", "latency", "limits"} <= set(keys)


def test_twenty_thousand_fills_are_summed_whole_and_drawn_thin(tmp_path: Path) -> None:
    rows = []
    for number in range(10_000):
        second = number * 3599 / 10_000
        rows.append(trade(second, f"A{number}", "BUY", 9_990, "0.001"))
        rows.append(trade(second, f"B{number}", "SELL", 9_991, "0", "0.001", "1", tag="close"))
    write(tmp_path, "trades", rows)
    write(tmp_path, "decisions", [hold(0, "budget"), hold(3599, "budget")])
    run = read_run(tmp_path, AppConfig())
    assert run.jpy(run.books.realised - run.books.funding) == 10
    page = run_page(run, Labels("en"))
    assert any("20,000" in note for note in page.notes)
    for section in page.sections:
        for figure in section.figures:
            assert all(len(trace.get("x", ())) <= 4_001 for trace in figure["data"])


def test_every_share_is_inside_its_chart() -> None:
    """The scale follows the bins with enough quotes; a bin of few quotes may have a share far above it."""
    bins = [
        Bin(low=low, high=low + 100, filled=Estimate(n=n, value=share, low=0.0, high=high, blocks=n))
        for low, n, share, high in ((0, 400, 0.05, 0.08), (100, 2, 0.5, 0.97), (200, 3, 0.0, 0.6))
    ]
    top = ratio_top(bins)
    trace = ratio_trace(bins, "x", "@blue", top)
    low, high = ratio_layout("x", bins, top, Labels("en"))["yaxis"]["range"]
    assert all(low < value < high for value in trace["y"])
    assert trace["text"] == ["", "50 %", ""]
    assert trace["customdata"][1] == ["50.0", 2]
    of_another_run = Bin(low=0, high=1, filled=Estimate(n=99, value=0.3, low=0.2, high=0.4, blocks=9))
    assert ratio_top(bins, [of_another_run]) > 40


def test_times_are_of_the_language_or_of_the_zone_asked_for() -> None:
    stamp_ns = 1_767_571_200_123_000_000
    assert Labels("en").moment(stamp_ns) == "2026-01-05 00:00:00"
    assert Labels("ja").moment(stamp_ns) == "2026-01-05 09:00:00"
    assert Labels("ja", "America/New_York").stamp(stamp_ns) == "2026-01-04 19:00:00.123"


@pytest.mark.parametrize(
    ("flags", "shown"),
    [((), "UTC"), (("--lang", "ja"), "Asia/Tokyo"), (("--lang", "ja", "--tz", "Europe/London"), "Europe/London")],
)
def test_page_names_its_zone(flags: tuple[str, ...], shown: str, tmp_path: Path) -> None:
    write(tmp_path, "decisions", [hold(0, "budget"), hold(3599, "budget")])
    assert report.main([str(tmp_path), *flags]) == EXIT_DONE
    assert shown in (tmp_path / "report.html").read_text(encoding="utf-8").partition("<script")[0]


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../x", "Asia"])
def test_no_zone_is_refused(zone: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        report.main([str(tmp_path), "--tz", zone])
    assert ended.value.code == EXIT_USAGE
    assert "is not a zone; accepted: IANA names" in capsys.readouterr().err


def test_thinning_keeps_ends_and_extremes() -> None:
    values = [0.0] * 50_000
    values[12_345], values[40_001] = 7.0, -9.0
    kept = thin(values, 100)
    assert {0, 12_345, 40_001, 49_999} <= set(kept)
    assert len(kept) <= 100


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["absent"], "no such folder"),
        (["{run}", "--tape", "absent.jsonl"], "not a file or folder"),
        (["{run}", "--journal", "absent.sqlite3"], "no journal"),
        (["{run}", "--compare", "absent"], "no such folder"),
        (["{run}", "--set", "nothing.such=1"], "nothing"),
        (["{run}/trades/trades-20260105.csv"], "sweep"),
    ],
)
def test_what_cannot_be_used_is_told_and_nothing_is_written(
    folder: Path, flags: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = folder / "out.html"
    assert report.main([*(flag.format(run=folder) for flag in flags), "--out", str(out)]) == 2
    assert told in capsys.readouterr().err
    assert not out.exists()


def run_in(root: Path, number: int, mode: str, source: Path, product: str = "FX_BTC_JPY") -> Path:
    """A run with the rows of a folder."""
    folder = root / f"20260105T12000{number}Z-{mode}-bitflyer"
    for kind in KINDS:
        shutil.copytree(source / kind, folder / kind)
    record = RunRecord(
        mode=mode, venue="bitflyer", source="<somewhere>", instruments=(product,), configuration="c0ffee", version="1",
        started=f"2026-01-05T12:00:0{number}.000000Z",
    )  # fmt: skip
    record.write(RunFiles(folder).record)
    return folder


def test_a_page_names_its_run_and_leaves_out_the_others(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Three runs of the same time in one folder, and rows of an older version."""
    for number, mode in ((1, "backtest"), (2, "live"), (3, "live")):
        last = run_in(folder, number, mode, folder)
    for flags, fills, named in (
        ((), 2, "Run 20260105T120003Z-live-bitflyer: live, FX_BTC_JPY of bitflyer, configuration c0ffee"),
        (("--run", "20260105T120001Z"), 2, "Run 20260105T120001Z-backtest-bitflyer: backtest"),
        (("--run", "unknown"), 2, "Unknown run: rows of an older version"),
        (("--all",), 4, "2 runs were added up, as requested"),
    ):
        page = page_of(folder, *flags)
        assert named in page
        assert re.search(rf"Fills</[^>]+>\s*<[^>]+>{fills}<", page), fills
    capsys.readouterr()
    assert report.main([str(folder), "--run", "3"]) == 2
    assert "accepted: 20260105T120003Z-live-bitflyer, 20260105T120002Z" in capsys.readouterr().err
    mixed = ("--run", "20260105T120001Z", "--run", "20260105T120002Z")
    assert report.main([str(folder), *mixed]) == 2
    assert "runs of several modes, venues or instruments are not put into one report" in capsys.readouterr().err
    assert report.main([str(last)]) == 0
    assert capsys.readouterr().out == f"{last / 'report.html'}\n"
    pair = page_of(folder, "--run", "20260105T120002Z", "--compare", str(last))
    assert "Comparison: 20260105T120002Z-live-bitflyer and 20260105T120003Z-live-bitflyer" in pair


def test_a_run_of_another_product_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_in(folder, 1, "live", folder, "ETH_JPY")
    assert report.main([str(folder)]) == 2
    assert "run 20260105T120001Z-live-bitflyer is of ETH_JPY, the settings are of FX_BTC_JPY" in capsys.readouterr().err
