"""The study: the same to the byte each time, its parts add up, and the page in docs is of what the code would run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import orjson
import pytest

from stall_then_strike.research.figures.log_rows import Fill
from stall_then_strike.research.figures.mid_path import MidPath
from stall_then_strike.research.figures.profit import keep_books, split
from stall_then_strike.research.replay.compiled import CompiledReplay
from stall_then_strike.research.replay.kernel_rows import RowReader
from stall_then_strike.research.replay.kernel_state import LOG_NEW, LOG_TRADE
from stall_then_strike.research.report.run_data import SPLIT_HORIZON_NS
from stall_then_strike.research.tables.columns import Columns
from stall_then_strike.research.tables.prepare import write_columns
from stall_then_strike.sim.exchange.source import iter_frames
from stall_then_strike.sim.market import Market
from stall_then_strike.types.dto import NS_PER_S, TradeLogRow
from studies import __main__ as command
from studies import findings as estimates
from studies.choices import BASE, JOIN, START_NS, Settings, Study
from studies.findings import Findings, findings, forward, joined, load, rate, row, save
from studies.plots import plots
from studies.recorded import tapes_in
from studies.replays import GENERATED, MarketFigures, Run, all_markets, mean_of_runs, prices, probe, replay
from studies.results import COMMAND, page, write
from studies.svg import Panel, Series, line_plot, number, ticks
from studies.tables import fixed, verdict
from studies.tried import TRIED, section

ROOT = Path(__file__).resolve().parents[2]
TINY = Study(
    seeds=(1, 2),
    seconds=90,
    draws=1,
    latencies_ms=(5,),
    stalls_ms=(250,),
    ttls_ms=(400, 800),
    offsets_ticks=(1, 300, 700),
    reverses_ticks=(2,),
    spreads_ticks=(1,),
)
PLOTS = {"parts", "offset", "spread", "stall", "ttl", "reverse", "latency"}


def tape(path: Path, seed: int, seconds: int, product: str = "FX_BTC_JPY") -> None:
    """A tape of a generated market, written as a recorder writes it."""
    frames = iter_frames(Market(seed=seed, start_ns=START_NS), START_NS + seconds * NS_PER_S)
    lines = (
        b'{"recv_ns":%d,"msg":%s}\n' % (frame.time_ns, frame.text.replace("FX_BTC_JPY", product).encode())
        for frame in frames
    )
    path.write_bytes(b"".join(lines))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recorded tapes: two of the product, one of another, and a file that is no tape."""
    there = tmp_path_factory.mktemp("tapes")
    tape(there / "derived-FX_BTC_JPY-20250716T051227Z-1s.jsonl", 21, 70)
    tape(there / "FX_BTC_JPY-20210405T172849Z-1s.jsonl", 22, 70)
    tape(there / "BTC_JPY-20210405T172849Z-1s.jsonl", 23, 30, "BTC_JPY")
    (there / "samples.jsonl").write_bytes(orjson.dumps({"about": "no tape"}) + b"\n")
    return there


@pytest.fixture(scope="module")
def markets(folder: Path) -> list[MarketFigures]:
    return all_markets(TINY, tapes_in(folder).tapes, processes=1)


def both(markets: Sequence[MarketFigures]) -> tuple[Findings, Findings]:
    real = findings(TINY, [market for market in markets if market.source != GENERATED], {"other.jsonl": "not a tape"})
    return real, findings(TINY, [market for market in markets if market.source == GENERATED])


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_tapes_are_found_in_order_of_time_and_the_others_named(folder: Path) -> None:
    found = tapes_in(folder)
    assert [path.name[:10] for path in found.tapes] == ["FX_BTC_JPY", "derived-FX"]
    assert found.skipped == {
        "BTC_JPY-20210405T172849Z-1s.jsonl": "not a tape of FX_BTC_JPY",
        "samples.jsonl": "not a tape",
    }
    assert tapes_in(None).tapes == []


def test_same_study_gives_the_same_files(markets: Sequence[MarketFigures], folder: Path, tmp_path: Path) -> None:
    write(TINY, *both(markets), tmp_path / "one")
    write(TINY, *both(all_markets(TINY, tapes_in(folder).tapes, processes=2)), tmp_path / "two")
    files = files_of(tmp_path / "one")
    assert files == files_of(tmp_path / "two")
    assert set(files) == {"results.md", *(f"results/{name}.svg" for name in PLOTS)}


def test_minutes_and_parts_add_up_to_what_the_replay_and_the_report_say(tmp_path: Path) -> None:
    settings = Settings(latency_ms=50, offset_ticks=100)
    cfg = settings.config()
    frames = iter_frames(Market(seed=5, start_ns=START_NS), START_NS + 400 * NS_PER_S)
    write_columns(((frame.time_ns, frame.text) for frame in frames), cfg, tmp_path)
    columns = Columns(tmp_path)
    mids = prices(columns)[0]
    run, unit = replay(settings, columns, mids), cfg.exchange.instrument()
    outcome = CompiledReplay(cfg, columns).run()
    assert len(run.pnl) == 7
    assert run.fills.sum() > 5
    assert run.pnl.sum() == pytest.approx(float(unit.amount(outcome.total)))
    path = MidPath()
    for ts_ns, doubled in zip(mids.stamps.tolist(), mids.doubled.tolist(), strict=True):
        path.add(ts_ns, doubled)
    log = outcome.log[np.isin(outcome.log["kind"], (LOG_NEW, LOG_TRADE))]
    fills = [
        fill_of(one)
        for one in RowReader(cfg).read(log, outcome.started_ns, outcome.first_order_ns)
        if isinstance(one, TradeLogRow)
    ]
    books = keep_books(fills, [], path.at, None, outcome.end_ns)
    parts = split(fills, books, path.at, path, SPLIT_HORIZON_NS, outcome.end_ns)
    for name in ("spread_quotes", "adverse_quotes", "spread_closes", "adverse_closes"):
        assert getattr(run, name).sum() == pytest.approx(float(unit.amount(parts[name]) / 2)), name
    assert run.volume.sum() == pytest.approx(float(unit.size(books.volume)))


def fill_of(found: TradeLogRow) -> Fill:
    return Fill(
        ts_ns=found.ts_ns,
        order_id=found.order_id,
        side=found.side,
        price=found.price,
        size=found.size,
        fee=found.fee,
        tag=found.tag,
        pnl=found.pnl_jpy,
        pnl_cum=found.pnl_cum_jpy,
        inventory_after=found.inventory_after,
    )


def test_page_in_docs_is_of_this_study() -> None:
    foot = (ROOT / "docs" / "results.md").read_text(encoding="utf-8").rpartition("\n## ")[2]
    assert f"`{COMMAND}`" in foot
    assert Study().digest() in foot, f"settings have changed since docs/results.md was written: run `{COMMAND}`"
    told = f"the market or its replay has changed since docs/results.md was written: run `{COMMAND}`"
    assert probe(Study()) in foot, told
    assert re.search(r"^results:.*\n\t.*-m studies$", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_recorded_figures_that_are_kept_are_of_this_study_and_on_the_page() -> None:
    kept, digest = load()
    text = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    assert digest == Study().digest()
    assert verdict(kept.rows[BASE].result) in text
    assert all(piece.name in text for piece in kept.pieces)


def test_each_plot_that_the_page_shows_is_in_docs_and_well_formed() -> None:
    shown = re.findall(r"!\[[^]]+\]\(([^)]+)\)", (ROOT / "docs" / "results.md").read_text(encoding="utf-8"))
    assert sorted(shown) == sorted(f"results/{path.name}" for path in (ROOT / "docs" / "results").iterdir())
    for name in shown:
        ElementTree.parse(ROOT / "docs" / name)  # noqa: S314 - our own file


def test_digest_knows_the_choices_apart() -> None:
    assert Study().digest() == Study().digest()
    assert Study(seconds=1).digest() != Study().digest()


def test_page_and_plots_tell_the_figures(markets: Sequence[MarketFigures]) -> None:
    real, made = both(markets)
    text, drawn = page(TINY, real, made, "a probe"), plots(TINY, real, made)
    assert "a probe" in text
    assert f"{verdict(real.rows[BASE].result)} on recorded markets; {verdict(made.rows[BASE].result)} on" in text
    assert "Skipped: `other.jsonl` (not a tape)." in text
    assert set(drawn) == PLOTS
    assert all(f"results/{name}.svg" in text for name in drawn)
    assert real.rows[BASE].against.value == real.rows[BASE].alike.value == 0
    assert [piece.source for piece in real.pieces] == ["recorded", "derived"]


def test_kept_figures_make_the_same_page(markets: Sequence[MarketFigures], tmp_path: Path) -> None:
    real, made = both(markets)
    save(real, "a digest", tmp_path / "kept.json")
    kept, digest = load(tmp_path / "kept.json")
    assert digest == "a digest"
    assert page(TINY, kept, made, "") == page(TINY, real, made, "")


def test_without_tapes_the_command_says_so_and_refuses_figures_of_other_settings(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    markets: Sequence[MarketFigures],
) -> None:
    (tmp_path / "tapes").mkdir()
    kept = tmp_path / "kept.json"
    monkeypatch.setattr(estimates, "REAL", kept)
    monkeypatch.setattr(command, "Study", lambda: TINY)
    monkeypatch.setattr(command, "load", lambda: load(kept))
    flags = ["--tapes", str(tmp_path / "tapes"), "--out", str(tmp_path / "out"), "--processes", "1"]
    real, _ = both(markets)
    save(real, "0000", kept)
    with pytest.raises(SystemExit, match="of other settings"):
        command.main(flags)
    save(real, TINY.digest(), kept)
    command.main(flags)
    assert "no recorded tapes here" in capsys.readouterr().out
    assert verdict(real.rows[BASE].result) in (tmp_path / "out" / "results.md").read_text(encoding="utf-8")


# --- estimates


def run_of(pnl: Sequence[float], volume: Sequence[float]) -> Run:
    zeros = np.zeros(len(pnl))
    return Run(
        pnl=np.asarray(pnl, float),
        spread_quotes=zeros,
        adverse_quotes=zeros,
        spread_closes=zeros,
        adverse_closes=zeros,
        volume=np.asarray(volume, float),
        fills=np.asarray(volume, float) * 1_000,
        counts={"strikes": 2.0},
    )


BASELINE = run_of([-4, -8, -2, -6] * 5, [0.04, 0.05, 0.03, 0.04] * 5)


def test_trading_less_of_the_same_is_better_an_hour_and_not_at_equal_volume() -> None:
    half = run_of(list(BASELINE.pnl / 2), list(BASELINE.volume / 2))
    found = row(half, BASELINE, 20 / 60)
    assert found.against.verdict == 1
    assert found.alike.value == pytest.approx(0)
    assert found.per_btc == pytest.approx(BASELINE.pnl.sum() / BASELINE.volume.sum())
    idle = row(run_of([0] * 20, [0] * 20), BASELINE, 20 / 60)
    assert idle.against.verdict == 1
    assert idle.alike.value == idle.per_btc == 0
    assert not idle.is_known


def test_better_fills_are_better_at_equal_volume() -> None:
    better = run_of(list(BASELINE.pnl + 3), list(BASELINE.volume))
    found = row(better, BASELINE, 20 / 60)
    assert found.alike.value == pytest.approx(3 * 60)
    assert found.alike.verdict == 1


def test_rate_compares_sums_of_minutes() -> None:
    found = rate(np.asarray([1.0, 3.0]), 0.5)
    assert found.value == 8
    assert found.high is not None
    assert found.high - found.value == pytest.approx(12.7062 * np.sqrt(2 * 2) / 0.5)
    assert rate(np.asarray([1.0]), 0.5).low is None


def test_mean_of_draws_and_joined_markets() -> None:
    other = run_of(list(BASELINE.pnl + 2), list(BASELINE.volume))
    mean, whole = mean_of_runs([BASELINE, other]), joined([BASELINE, other])
    assert mean.pnl.sum() == pytest.approx(BASELINE.pnl.sum() + 20)
    assert (mean.counts["strikes"], whole.counts["strikes"]) == (2.0, 4.0)
    assert len(whole.pnl) == 40


def market_of(name: str, runs: Sequence[Run], seconds: float) -> MarketFigures:
    return MarketFigures(
        name=name, source="recorded", begins="", seconds=seconds, messages=1, trades=1, median_spread=1.0, runs=[*runs]
    )


def test_walk_forward_chooses_on_earlier_pieces_only_and_never_a_setting_that_hardly_trades() -> None:
    idle = run_of([0] * 20, [0] * 20)
    good, bad = run_of([1] * 20, list(BASELINE.volume)), run_of([-20] * 20, list(BASELINE.volume))
    every = [BASE, JOIN, replace(BASE, ttl_ms=400), replace(BASE, latency_ms=5)]
    early = [market_of(name, [BASELINE, good, idle, good], 1_200) for name in ("a", "b")]
    late = [market_of(name, [BASELINE, bad, idle, good], 1_200) for name in ("c", "d", "e")]
    found = forward(every, [*early, *late])
    assert found is not None
    assert [fold.chosen for fold in found.folds] == ["quote_mode join", "base", "base"]
    assert [round(fold.made) for fold in found.folds] == [60, -300, -300]
    assert [round(fold.kept.value) for fold in found.folds] == [-1200, -300, -300]
    assert found.row.against.value == pytest.approx(-300)
    assert forward(every, early) is None


def test_grid_is_all_combinations_and_nothing_runs_twice() -> None:
    study = Study()
    assert len(set(study.grid())) == len(study.grid()) == 6 * 2 * 2 * 2
    assert len(set(study.all_settings())) == len(study.all_settings())
    assert {BASE, JOIN, *study.modes()} <= set(study.all_settings())
    cfg = Settings(latency_ms=150, stall_ms=500, spread_ticks=7).config(draw=3)
    assert (cfg.strategy.stall_T_ms, cfg.strategy.min_spread_tick, cfg.paper.seed) == (500, 7, 3)
    assert cfg.paper.order_latency.median_ms == cfg.paper.cancel_latency.median_ms == 150
    assert BASE.config().paper.order_latency.kind.value != "constant"
    assert Settings(quote_mode="join", offset_ticks=1_000).words() == "quote_mode join, quote_offset_ticks 1,000"


@pytest.mark.parametrize(
    ("low", "high", "marks"),
    [(0, 10, [0, 2, 4, 6, 8, 10]), (-155, 12, [-200, -150, -100, -50, 0, 50]), (0, 0, [0])],
)
def test_ticks_are_round_and_hold_both_ends(low: float, high: float, marks: list[float]) -> None:
    assert ticks(low, high) == marks


def test_numbers_have_thousands_and_no_negative_zero() -> None:
    assert [fixed(-1234.56), fixed(-0.04), fixed(7, 0)] == ["−1,234.6", "0.0", "7"]
    assert [number(-1500), number(0.25)] == ["−1,500", "0.25"]


def test_words_in_a_plot_cannot_break_it() -> None:
    figures = [rate(BASELINE.pnl, 1.0)]
    panel = Panel(title="<&>", axis='"a"', places=["<1>"], series=[Series(name="a & b", figures=figures)])
    drawn = ElementTree.fromstring(line_plot("t <>", "u", [panel]))  # noqa: S314 - our own text
    assert "a & b" in [element.text for element in drawn.iter() if element.tag.endswith("text")]


def test_what_was_tried_is_told_with_its_figures_and_none_that_helped_was_left_out() -> None:
    held = orjson.loads(TRIED.read_bytes())
    text = section()
    assert {trial["key"] for trial in held["trials"]} >= set("abcdefg")
    for trial in held["trials"]:
        for start, found in trial["rows"].items():
            assert f"| {trial['title']} |" in text
            assert fixed(found["result"][0]) in text
            better = {name: found[name][0] > found[name][1] for name in ("against", "alike", "existing")}
            helped = better["against"] and (better["alike"] or better["existing"])
            assert not helped, f"{trial['title']}, from {start}: by the page's own rule it becomes an option"
