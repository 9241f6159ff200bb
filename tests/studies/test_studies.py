"""The study: the same to the byte each time, its parts add up, and the page in docs is of what the code would run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import pytest

from stall_then_strike.research.replay.compiled import CompiledReplay
from stall_then_strike.research.tables.columns import Columns
from stall_then_strike.research.tables.prepare import write_columns
from stall_then_strike.sim.exchange.source import iter_frames
from stall_then_strike.sim.market import Market
from stall_then_strike.types.dto import NS_PER_S
from studies.choices import START_NS, Settings, Study
from studies.findings import findings, gap, over
from studies.plots import plots
from studies.replays import MarketFigures, all_markets, prices, probe, replay
from studies.results import COMMAND, page, write
from studies.svg import Panel, Series, line_plot, number, ticks
from studies.tables import change, fixed, verdict

ROOT = Path(__file__).resolve().parents[2]
TINY = Study(
    seeds=(1, 2, 3, 4),
    seconds=60,
    latencies_ms=(5, 150),
    stalls_ms=(100, 250),
    ttls_ms=(400, 800),
    offsets_ticks=(1, 300),
    reverses_ticks=(2,),
)


@pytest.fixture(scope="module")
def markets() -> list[MarketFigures]:
    return all_markets(TINY, processes=1)


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_same_study_gives_the_same_files(markets: Sequence[MarketFigures], tmp_path: Path) -> None:
    write(TINY, markets, tmp_path / "one")
    write(TINY, all_markets(TINY, processes=1), tmp_path / "two")
    files = files_of(tmp_path / "one")
    assert files == files_of(tmp_path / "two")
    assert len(files) == 6


def test_parts_add_up_to_what_the_replay_says(tmp_path: Path) -> None:
    cfg = Settings(latency_ms=50, offset_ticks=100).config()
    frames = iter_frames(Market(seed=5, start_ns=START_NS), START_NS + 400 * NS_PER_S)
    write_columns(((frame.time_ns, frame.text) for frame in frames), cfg, tmp_path)
    columns = Columns(tmp_path)
    outcome = CompiledReplay(cfg, columns).run()
    hour = replay(cfg, columns, prices(columns)[0], 1.0)
    assert hour.quote_fills > 5
    assert hour.pnl == float(cfg.exchange.instrument().amount(outcome.pnl_today))
    assert sum(hour.parts.values()) == pytest.approx(hour.pnl)
    assert hour.parts["unpriced"] == hour.parts["fees"] == hour.parts["funding"] == 0


def test_page_in_docs_is_of_this_study() -> None:
    head = (ROOT / "docs" / "results.md").read_text(encoding="utf-8").split("\n##")[0]
    assert f"`{COMMAND}`" in head
    assert Study().digest() in head, f"settings have changed since docs/results.md was written: run `{COMMAND}`"
    told = f"the market or its replay has changed since docs/results.md was written: run `{COMMAND}`"
    assert probe(Study()) in head, told
    assert re.search(r"^results:.*\n\t.*-m studies$", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_each_plot_that_the_page_shows_is_in_docs_and_well_formed() -> None:
    shown = re.findall(r"!\[[^]]+\]\(([^)]+)\)", (ROOT / "docs" / "results.md").read_text(encoding="utf-8"))
    assert sorted(shown) == sorted(f"results/{path.name}" for path in (ROOT / "docs" / "results").iterdir())
    for name in shown:
        ElementTree.parse(ROOT / "docs" / name)  # noqa: S314 - our own file


def test_digest_knows_the_choices_apart() -> None:
    assert Study().digest() == Study().digest()
    assert Study(seconds=1).digest() != Study().digest()


def test_page_and_plots_tell_the_figures(markets: Sequence[MarketFigures]) -> None:
    found = findings(TINY, markets)
    text, drawn = page(found, "a probe"), plots(found)
    base = over(found.at(5))
    assert "a probe" in text
    assert f"Base settings at 5 ms latency: {verdict(base)}" in text
    assert set(drawn) == {"parts", "offset", "offset_parts", "stall", "ttl"}
    assert all(f"results/{name}.svg" in text for name in drawn)
    same = gap(found.at(5), found.at(5))
    assert same.value == 0
    assert change(same).endswith("not to be told from zero")


def test_grid_is_all_combinations_and_nothing_runs_twice() -> None:
    study = Study()
    assert len(set(study.grid())) == len(study.grid()) == 4 * 3 * 5 * 3
    assert len(set(study.all_settings())) == len(study.all_settings())
    for latency in study.latencies_ms:
        assert Settings(latency_ms=latency) in study.grid()
    cfg = Settings(latency_ms=150, stall_ms=500).config()
    assert cfg.strategy.stall_T_ms == 500
    assert cfg.paper.order_latency.median_ms == cfg.paper.cancel_latency.median_ms == 150


@pytest.mark.parametrize(
    ("low", "high", "marks"),
    [(0, 10, [0, 2, 4, 6, 8, 10]), (-155, 12, [-200, -150, -100, -50, 0, 50]), (0, 0, [0])],
)
def test_ticks_are_round_and_hold_both_ends(low: float, high: float, marks: list[float]) -> None:
    assert ticks(low, high) == marks


def test_numbers_have_thousands_and_no_negative_zero() -> None:
    assert [fixed(-1234.56), fixed(-0.04), fixed(7, 0)] == ["−1,234.6", "0.0", "7"]
    assert [number(-1500), number(0.25)] == ["−1,500", "0.25"]


def test_words_in_a_plot_cannot_break_it(markets: Sequence[MarketFigures]) -> None:
    figures = [over(findings(TINY, markets).at(5))]
    panel = Panel(title="<&>", axis='"a"', places=["<1>"], series=[Series(name="a & b", figures=figures)])
    drawn = ElementTree.fromstring(line_plot("t <>", "u", [panel]))  # noqa: S314 - our own text
    assert "a & b" in [element.text for element in drawn.iter() if element.tag.endswith("text")]
