"""A sweep's page: with one key or many, with failures, with and without a walk-forward split."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from stall_then_strike.app import report
from stall_then_strike.research.report.labels import LANGUAGES, Labels
from stall_then_strike.research.report.page import plotly_script
from stall_then_strike.research.report.run_sections import Page
from stall_then_strike.research.report.sweep_charts import KEYS_ALONE, LINES, PAIRS
from stall_then_strike.research.report.sweep_data import SetFigures, read_sweep
from stall_then_strike.research.report.sweep_scales import Scale, by_weight, front, key_text, pairs
from stall_then_strike.research.report.sweep_sections import sweep_page
from stall_then_strike.research.report.sweep_words import rank_agreement
from tests.research.report.page_checks import assert_plotlys
from tests.research.sweep import sweep_folder as made


def page_of(folder: Path, language: str = "en") -> Page:
    return sweep_page(read_sweep(folder), Labels(language))


def text_of(page: Page) -> str:
    return "\n".join([*page.subtitle, *page.summary, *page.notes])


@pytest.mark.parametrize("language", LANGUAGES)
def test_command_knows_a_sweep_and_writes_one_file_that_loads_nothing(tmp_path: Path, language: str) -> None:
    folder = made.write(tmp_path / "sweep <1>", failed=[3])
    assert report.main([str(folder), "--lang", language]) == 0
    own = (folder / "report.html").read_text().replace(plotly_script(), "")
    assert "://" not in own
    assert not re.search(r"\b(src|href|url|@import)\s*[=(]", own)
    assert html.escape("sweep <1>") in own
    assert "<1>" not in own  # nor in the error of the failed runs


def test_same_results_give_the_same_file(tmp_path: Path) -> None:
    folder = made.write(tmp_path / "sweep")
    pages = []
    for name in ("a.html", "b.html"):
        assert report.main([str(folder), "--out", str(tmp_path / name)]) == 0
        pages.append((tmp_path / name).read_bytes())
    assert pages[0] == pages[1]


def test_page_has_every_part(tmp_path: Path) -> None:
    page = page_of(made.write(tmp_path, failed=[3, 4]))
    keys = ["forward", "forward_dots", "trade", "best", "heats", "parallel", "alone", "failures"]
    assert [section.key for section in page.sections] == keys
    told = text_of(page)
    for fact in ("strategy.stall_T_ms: 100, 250, 500, 1000", "seed 7", "34 sets", "324 runs, 18 failed", "6 tape(s)"):
        assert fact in told
    failed = page.sections[-1].table
    assert failed is not None
    assert [row[0].text for row in failed.rows] == ["worker <0> lost", "worker <1> lost"]
    assert [row[1].text for row in failed.rows] == ["9", "9"]


def test_best_sets_are_ranked_and_those_of_the_front_are_bold(tmp_path: Path) -> None:
    folder = made.write(tmp_path)
    figures = read_sweep(folder)
    runs = pl.read_parquet(folder / "runs.parquet").filter(pl.col("span") == "all").sort("pnl", descending=True)
    table = next(section.table for section in page_of(folder).sections if section.key == "best")
    assert table is not None
    assert [row[0].text for row in table.rows] == [f"#{number}" for number in runs["number"][: len(table.rows)]]
    bold = {row[0].text for row in table.rows if row[0].is_strong}
    assert bold
    assert bold == {f"#{one.number}" for one in front(figures.sets)} & {row[0].text for row in table.rows}


def test_sets_without_a_fill_rank_last_and_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = made.made

    def some_idle(number: int, *args: Any) -> dict[str, Any]:
        return figures(number, *args) | ({"fills": 0, "pnl": 0.0, "max_drawdown": 0.0} if number < 2 else {})

    monkeypatch.setattr(made, "made", lambda *args: some_idle(*args))
    made.write(tmp_path)
    read = read_sweep(tmp_path)
    assert {one.number for one in read.sets[-2:]} == {0, 1}
    assert not {0, 1} & {one.number for one in front(read.sets)}
    assert "2 of 36 sets had fewer than 1 fills" in text_of(page_of(tmp_path))
    assert not {0, 1} & {one.number for one in read.known}, "no chart has them"


def test_sets_with_few_fills_are_unknown(tmp_path: Path) -> None:
    """The handmade sets have 100 fills and their number; the best by profit is of the lower half."""
    made.write(tmp_path)
    best = read_sweep(tmp_path).sets[0].number
    made.change(tmp_path, min_fills=101 + best)
    read = read_sweep(tmp_path)
    assert read.sets[0].number > best
    assert [one.is_known for one in read.sets] == [True] * (35 - best) + [False] * (best + 1)


def test_page_says_mode_market_and_period(tmp_path: Path) -> None:
    made.write(tmp_path)
    made.change(tmp_path, source="derived+real", span=[made.START_NS, made.START_NS + made.HOUR_NS])
    told = "\n".join(page_of(tmp_path).subtitle)
    assert "Mode: paper fills" in told
    assert "Market: derived: " in told
    assert "; real" in told
    assert "2026-01-05 00:00:00 to 2026-01-05 01:00:00 UTC (1:00:00)" in told


def test_front_has_all_that_nothing_beats_and_nothing_else() -> None:
    amounts = [(10, 5), (9, 4), (9, 6), (8, 4), (3, 1), (2, 2), (10, 5)]
    sets = [
        SetFigures(number=at, values=(at,), made={"pnl": float(pnl), "max_drawdown": float(fall)})
        for at, (pnl, fall) in enumerate(amounts)
    ]
    assert [one.number for one in front(sets)] == [0, 1, 4]


def test_out_of_sample_table_has_each_fold_and_the_sums(tmp_path: Path) -> None:
    folder = made.write(tmp_path)
    kept = pl.read_parquet(folder / "out_of_sample.parquet")
    table = page_of(folder).sections[0].table
    assert table is not None
    assert [row[0].text for row in table.rows] == ["1", "2", "3", "4", "Sum", "An\xa0hour"]
    assert table.rows[-2][7].text == f"{kept['test_pnl'].sum():,.2f}"
    assert table.rows[0][-1].text.split() == [str(kept["rank"][0]), "/", "36"]


def test_fold_without_a_choice_is_shown_and_not_counted(tmp_path: Path) -> None:
    folder = made.write(tmp_path)
    kept = pl.read_parquet(folder / "out_of_sample.parquet")
    names = [name for name in kept.columns if name not in ("fold", "sets")]
    first = pl.col("fold") == 1
    lost = kept.with_columns(pl.when(first).then(None).otherwise(pl.col(name)).alias(name) for name in names)
    lost.write_parquet(folder / "out_of_sample.parquet")
    page = page_of(folder)
    table = page.sections[0].table
    assert table is not None
    assert table.rows[0][2].text == "—"
    assert table.rows[-2][7].text == f"{kept.filter(~first)['test_pnl'].sum():,.2f}"
    assert any("in 3 fold(s)" in sentence for sentence in page.summary)


def test_without_a_sharpe_ratio_a_set_counts_as_nothing(tmp_path: Path) -> None:
    folder = made.write(tmp_path, folds=0)
    made.change(folder, objectives=["sharpe"], observation_s=60)
    rewrite(folder, lambda runs: runs.with_columns(sharpe=pl.when(pl.col("number") > 0).then(pl.col("sharpe"))))
    figures = read_sweep(folder)
    assert len(figures.sets) == 36
    assert next(one for one in figures.sets if one.number == 0).made["sharpe"] == 0
    assert "per observation of 60 s" in text_of(page_of(folder))


def test_heat_map_holds_medians_over_the_other_keys(tmp_path: Path) -> None:
    folder = made.write(tmp_path)
    runs = pl.read_parquet(folder / "runs.parquet").filter(pl.col("span") == "all")
    section = next(section for section in page_of(folder).sections if section.key == "heats")
    assert len(section.figures) == 3
    for figure in section.figures:
        trace = figure["data"][0]
        x, y = (
            next(key for key in made.KEYS if key.endswith(figure["layout"][axis]["title"]["text"]))
            for axis in ("xaxis", "yaxis")
        )
        for row, y_text in enumerate(trace["y"]):
            for column, x_text in enumerate(trace["x"]):
                cell = runs.filter((pl.col(x).cast(str) == x_text) & (pl.col(y).cast(str) == y_text))
                assert trace["z"][row][column] == pytest.approx(cell["pnl"].median())
                assert trace["customdata"][row][column] == cell.height


def test_many_keys_show_the_weightiest_and_say_what_is_left_out(tmp_path: Path) -> None:
    keys: dict[str, list[Any]] = {f"strategy.k{at}": [at + 1.5, at + 2.5] for at in range(7)}
    keys["risk.k0"] = [1, 2]
    folder = made.write(tmp_path, keys, folds=0)
    page, figures = page_of(folder), read_sweep(folder)
    assert len(pairs(figures)) == 28
    assert figures.keys[by_weight(figures)[0]] == "strategy.k0"
    shown = {section.key: len(section.figures) for section in page.sections}
    assert shown["heats"] == PAIRS
    assert shown["alone"] == KEYS_ALONE
    assert "22 of 28 pairs" in text_of(page)
    assert "2 of 8 keys" in text_of(page)
    assert "no walk-forward split" in text_of(page)
    assert "forward" not in shown
    # two keys with the same last part are shown in full
    table = next(section.table for section in page.sections if section.key == "best")
    assert table is not None
    assert {"strategy.k0", "risk.k0", "k1"} <= set(table.head)


def test_values_of_a_search_are_put_into_bins_and_lines_are_limited(tmp_path: Path) -> None:
    values = [round(100 + 1.37 * at, 3) for at in range(700)]
    folder = made.write(tmp_path, {"strategy.stall_T_ms": values, "strategy.quote_mode": ["mid", "join"]}, folds=0)
    made.change(
        folder, method="tpe", keys={"strategy.stall_T_ms": {"low": 100, "high": 1100}, "strategy.quote_mode": ["a"]}
    )
    page = page_of(folder)
    assert "strategy.stall_T_ms: 100 to 1100" in text_of(page)
    heat = next(section for section in page.sections if section.key == "heats").figures[0]["data"][0]
    assert sorted((len(heat["x"]), len(heat["y"]))) == [2, 8]
    assert sum(map(sum, heat["customdata"])) == 1400
    lines = next(section for section in page.sections if section.key == "parallel").figures[0]["data"]
    assert sum(trace["x"].count(None) for trace in lines) == LINES
    assert f"{LINES} of 1,400 sets" in text_of(page)


def test_a_key_is_named_whole_if_its_last_part_is_anothers_too() -> None:
    names = ["paper.order_latency.median_ms", "paper.cancel_latency.median_ms", "strategy.ttl_ms"]
    assert [key_text(name, names) for name in names] == [*names[:2], "ttl_ms"]


def test_bins_hold_about_the_same_and_every_value_has_a_place() -> None:
    scale = Scale([at**2 for at in range(80)])
    places = [scale.place(at**2) for at in range(80)]
    assert places == sorted(places)
    assert [places.count(place) for place in range(8)] == [10] * 8
    assert scale.height(0) == 0
    assert scale.height(79**2) == 1


def test_without_all_of_the_tapes_sets_are_compared_by_their_training(tmp_path: Path) -> None:
    folder = made.write(tmp_path)
    runs = pl.read_parquet(folder / "runs.parquet").filter(pl.col("span") != "all")
    runs.write_parquet(folder / "runs.parquet")
    figures = read_sweep(folder)
    assert figures.spans == ["train 1", "train 2", "train 3", "train 4"]
    one = figures.sets[0]
    trained = runs.filter((pl.col("number") == one.number) & pl.col("span").str.starts_with("train"))
    assert one.made["pnl"] == pytest.approx(trained["pnl"].mean())
    assert "training 1, training 2" in text_of(page_of(folder))


@pytest.mark.parametrize(
    ("dsr", "words"), [(0.2, "no reason to trade"), (0.78, "not enough for confidence"), (0.97, "more than the best")]
)
def test_deflated_sharpe_is_judged_in_words(tmp_path: Path, dsr: float, words: str) -> None:
    folder = made.write(tmp_path)
    about = json.loads((folder / "sweep.json").read_text())["deflated_sharpe"]
    made.change(folder, deflated_sharpe=about | {"dsr": dsr})
    told = " ".join(page_of(folder).summary)
    assert words in told
    assert "36 worthless sets" in told


@pytest.mark.parametrize("language", LANGUAGES)
def test_little_to_show_is_no_fault(tmp_path: Path, language: str) -> None:
    folder = made.write(tmp_path, {"strategy.stall_T_ms": [250]}, folds=0, failed=[0])
    made.change(folder, deflated_sharpe=None)
    assert [section.key for section in page_of(folder, language).sections] == ["failures"]
    folder = made.write(tmp_path / "one", {"strategy.stall_T_ms": [250]}, folds=2)
    made.change(folder, deflated_sharpe={"sharpe": None, "trials": 1, "expected_max_sharpe": None, "dsr": None,
                                         "observations": 0})  # fmt: skip
    keys = [section.key for section in page_of(folder, language).sections]
    assert keys == ["forward", "forward_dots", "trade", "best"]


def test_ranks_agree_where_training_tells_the_test(tmp_path: Path) -> None:
    folder = made.write(tmp_path)
    runs = pl.read_parquet(folder / "runs.parquet")
    test = pl.col("span").str.starts_with("test")
    for sign in (1, -1):
        runs.with_columns(
            pnl=pl.when(test | pl.col("span").str.starts_with("train"))
            .then(pl.col("number") * pl.when(test).then(sign).otherwise(2))
            .otherwise(pl.col("pnl"))
        ).write_parquet(folder / "runs.parquet")
        assert rank_agreement(read_sweep(folder)) == pytest.approx(sign)


@pytest.mark.parametrize("language", LANGUAGES)
def test_figures_are_plotlys_and_use_known_colours(tmp_path: Path, language: str) -> None:
    figures = [figure for section in page_of(made.write(tmp_path), language).sections for figure in section.figures]
    assert len(figures) == 9
    assert_plotlys(figures)


def rewrite(folder: Path, how: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    how(pl.read_parquet(folder / "runs.parquet")).write_parquet(folder / "runs.parquet")


SPOILED: dict[str, Callable[[Path], object]] = {
    "no sweep.json": lambda folder: (folder / "sweep.json").unlink(),
    "no json": lambda folder: (folder / "sweep.json").write_text("{"),
    "format": lambda folder: made.change(folder, format=2),
    "fold": lambda folder: made.change(folder, folds=[{"fold": 1, "train": [5, 5], "test": [5, 6]}]),
    "no runs": lambda folder: (folder / "runs.parquet").unlink(),
    "no parquet": lambda folder: (folder / "runs.parquet").write_text("number,span"),
    "column": lambda folder: rewrite(folder, lambda runs: runs.drop("strategy.ttl_ms")),
    "not a number": lambda folder: rewrite(folder, lambda runs: runs.with_columns(sharpe=pl.lit("high"))),
    "span": lambda folder: rewrite(folder, lambda runs: runs.with_columns(span=pl.lit("test 1"))),
    "no forward": lambda folder: (folder / "out_of_sample.parquet").unlink(),
}


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("no sweep.json", "sweep.json cannot be read"),
        ("no json", "sweep.json: Invalid JSON"),
        ("format", "sweep.json: format"),
        ("fold", "sweep.json: folds.0"),
        ("no runs", "runs.parquet: no such file"),
        ("no parquet", "runs.parquet cannot be read as Parquet"),
        ("column", "runs.parquet: no column strategy.ttl_ms"),
        ("not a number", "runs.parquet: sharpe: 'high'"),
        ("span", "runs.parquet: no run has the span"),
        ("no forward", "out_of_sample.parquet: no such file"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, how: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = made.write(tmp_path / "sweep")
    SPOILED[how](folder)
    assert report.main([str(folder), "--out", str(tmp_path / "out.html")]) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out.html").exists()


def test_flags_of_runs_and_single_files_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = made.write(tmp_path / "sweep")
    assert report.main([str(folder), "--compare", str(folder)]) == 2
    assert report.main([str(folder / "runs.parquet")]) == 2
    told = capsys.readouterr().err
    assert "has a sweep" in told
    assert "give the folder" in told
