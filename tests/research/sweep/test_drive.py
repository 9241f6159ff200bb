"""A sweep's order of work: proposals do not depend on who finishes first, and a resumed sweep equals a whole one."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from stall_then_strike.app.view.sweep_screen import best_table
from stall_then_strike.research.sweep.drive import Driver
from stall_then_strike.research.sweep.plan import Plan, Range, Span, folds_of
from stall_then_strike.research.sweep.result import (
    deflated,
    front,
    ordered,
    out_of_sample,
    ranked,
    write_tables,
)
from stall_then_strike.research.sweep.runs import METRICS, Record, Run, failed
from stall_then_strike.research.sweep.search import Search
from stall_then_strike.research.sweep.sweep_journal import RunJournal
from stall_then_strike.types.errors import ConfigError, LogError
from tests.research.sweep.test_plan import MINUTE, plan

KEYS = {
    "strategy.stall_T_ms": Range(100, 2_000, 50),
    "strategy.max_reverse_ticks": Range(2, 2_000, None, True),
    "strategy.max_inventory_btc": Range(Decimal("0.01"), Decimal("0.2")),
    "strategy.size_min": Range(Decimal("0.001"), Decimal("0.004"), Decimal("0.001")),
    "strategy.quote_mode": ("mid", "join"),
}


def figures(run: Run) -> Record:
    """A made-up result: a pure function of the set and the span, as a replay is."""
    if run.values.get("strategy.stall_T_ms", 0) == 1_300:
        return failed(run, "made to fail")
    rng = random.Random(json.dumps([str(value) for value in run.values.values()]) + run.span.name)
    stall = float(run.values.get("strategy.stall_T_ms", 0))
    pnl = -((stall - 700) ** 2) / 1e4 + rng.random()
    metrics = {**dict.fromkeys(METRICS), "pnl": pnl, "max_drawdown": -abs(rng.gauss(0, 5)), "sharpe": pnl / 50}
    metrics |= {"observations": 60, "skew": 0.1, "kurtosis": 3.2, "fills": rng.randint(0, 9), "quotes": 10}
    values = failed(run, "").values
    return Record(
        number=run.number, span=run.span.name, values=values, error=None, metrics=metrics, seconds=rng.random()
    )


class MadeUpPool:
    """Returns records in any order, and may be stopped after some."""

    def __init__(self, seed: int = 0, stop_after: int | None = None) -> None:
        self.rng, self.left, self.made = random.Random(seed), stop_after, 0

    def records(self, runs: Iterable[Run], count: int) -> Iterator[Record]:
        given = list(runs)
        assert len(given) == count
        self.rng.shuffle(given)
        for run in given:
            if self.left == self.made:
                return
            self.made += 1
            yield figures(run)


def search_plan(**changes: Any) -> Plan:
    folds = folds_of(Span("all", 0, 100 * MINUTE), 2, Decimal("0.6"), MINUTE)
    fields: dict[str, Any] = {"keys": KEYS, "trials": 23, "batch": 5, "objectives": ("pnl", "max_drawdown")}
    return plan(**{**fields, "folds": folds, **changes})


def grid_plan() -> Plan:
    folds = folds_of(Span("all", 0, 100 * MINUTE), 2, Decimal("0.6"), MINUTE)
    return plan(keys={"strategy.stall_T_ms": (100, 700, 1_300, 1_900), "risk.stop_flat": (True, False)}, folds=folds)


def drive(folder: Path, of: Plan, pool: MadeUpPool) -> tuple[bool, list[Record]]:
    told: list[Record] = []
    with RunJournal(folder) as journal:
        journal.open("d", {}, {"format": 1})
        whole = Driver(of, journal, told.append).drive(pool)
        assert len(told) == pool.made
        return whole, ordered(journal.records.values(), of)


@pytest.mark.parametrize("of", [grid_plan(), search_plan(), search_plan(objectives=("sharpe",), folds=())])
def test_order_and_interruptions_change_nothing(of: Plan, tmp_path: Path) -> None:
    whole, undisturbed = drive(tmp_path / "a", of, MadeUpPool(1))
    assert whole
    assert len(undisturbed) == of.runs
    turns, rest = 0, tmp_path / "b"
    while not drive(rest, of, MadeUpPool(turns, stop_after=7))[0]:
        turns += 1
        with (rest / "runs.jsonl").open("ab") as file:
            file.write(b'{"number": 3, "sp')  # the process was killed in the middle of a line
    assert turns == (of.runs - 1) // 7
    again = drive(rest, of, MadeUpPool(9))[1]
    assert again == undisturbed
    for name, records in (("a", undisturbed), ("b", again)):
        write_tables(tmp_path / name, records, of)
    for name in ("runs", "out_of_sample"):
        frames = [pl.read_parquet(tmp_path / folder / f"{name}.parquet") for folder in ("a", "b")]
        assert_frame_equal(*frames)


def test_same_seed_same_proposals_another_seed_others(tmp_path: Path) -> None:
    sets = [
        [record.values for record in drive(tmp_path / str(n), search_plan(seed=seed), MadeUpPool(n))[1]]
        for n, seed in enumerate((1, 1, 2))
    ]
    assert sets[0] == sets[1] != sets[2]


def test_proposals_are_in_range_and_exact() -> None:
    search = Search(KEYS, seed=3, objectives=1)
    for _ in range(8):
        sets = search.ask(10)
        for values in sets:
            assert values["strategy.stall_T_ms"] in range(100, 2_001, 50)
            assert 2 <= values["strategy.max_reverse_ticks"] <= 2_000
            assert values["strategy.size_min"] in [Decimal(n) / 1_000 for n in range(1, 5)]
            inventory = values["strategy.max_inventory_btc"]
            assert Decimal("0.01") <= inventory <= Decimal("0.2")
            assert inventory % Decimal("1e-8") == 0
            assert values["strategy.quote_mode"] in ("mid", "join")
        search.tell([None if n % 7 == 0 else [-float(values["strategy.stall_T_ms"])] for n, values in enumerate(sets)])
    with pytest.raises(RuntimeError):
        [search.ask(1) for _ in range(2)]


def test_a_search_finds_what_a_few_random_sets_do_not() -> None:
    search = Search({"a": Range(0, 1_000)}, seed=5, objectives=1)
    found: list[int] = []
    for _ in range(8):
        sets = search.ask(10)
        found += [int(values["a"]) for values in sets]
        search.tell([[-abs(value - 777.0)] for value in found[-10:]])
    assert min(abs(value - 777) for value in found[20:]) < 5
    assert sum(abs(value - 777) < 100 for value in found[40:]) > 20


def test_a_search_learns_from_the_train_span_alone(tmp_path: Path) -> None:
    of = search_plan()
    records = drive(tmp_path, of, MadeUpPool())[1]
    spans = {record.number: set[str]() for record in records}
    for record in records:
        spans[record.number].add(record.span)
    assert [spans[n] for n in (0, 22, 23, 45, 46, 68)] == [
        *[{"all"}] * 2,
        *[{"train 1", "test 1"}] * 2,
        *[{"train 2", "test 2"}] * 2,
    ]


def test_a_folder_of_other_proposals_is_refused(tmp_path: Path) -> None:
    drive(tmp_path, search_plan(), MadeUpPool(stop_after=4))
    with pytest.raises(ConfigError, match="another version of optuna"):
        drive(tmp_path, search_plan(seed=8), MadeUpPool())


def test_a_folder_belongs_to_one_sweep_and_one_process(tmp_path: Path) -> None:
    with RunJournal(tmp_path) as journal:
        journal.open("d", {"seed": 1, "keys": [1]}, {"format": 1})
        with pytest.raises(LogError, match="in use by another sweep"), RunJournal(tmp_path):
            pass
    with RunJournal(tmp_path) as journal, pytest.raises(ConfigError, match=r"another sweep \(other seed\)"):
        journal.open("e", {"seed": 2, "keys": [1]}, {"format": 1})


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"runs.parquet": "x"}, "and no sweep.json"),
        ({"sweep.json": "{"}, "sweep.json"),
        ({"sweep.json": '{"format": 9}'}, "format 1"),
        ({"sweep.json": '{"format": 1, "digest": "d"}', "runs.jsonl": '{"number": 1}\n'}, "not a run"),
    ],
)
def test_folders_of_something_else_are_left_alone(files: dict[str, str], words: str, tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with RunJournal(tmp_path) as journal, pytest.raises(ConfigError, match=words):
        journal.open("d", {}, {"format": 1})
    assert {name: (tmp_path / name).read_text() for name in files} == files


def test_failed_runs_are_rows_and_can_be_made_again(tmp_path: Path) -> None:
    of = grid_plan()
    records = drive(tmp_path, of, MadeUpPool())[1]
    write_tables(tmp_path, records, of)
    runs = pl.read_parquet(tmp_path / "runs.parquet")
    bad = runs.filter(pl.col("state") == "failed")
    assert len(bad) == 2 * 5
    assert bad["error"].unique().to_list() == ["made to fail"]
    assert bad["pnl"].null_count() == len(bad)
    assert runs["number"].to_list() == [n for n in range(8) for _ in range(5)]
    assert runs["span"].to_list()[:5] == ["all", "train 1", "test 1", "train 2", "test 2"]
    assert runs.schema["strategy.stall_T_ms"] == pl.Int64
    assert runs.schema["risk.stop_flat"] == pl.Boolean
    with RunJournal(tmp_path) as journal:
        journal.open("d", {}, {"format": 1})
        journal.forget(lambda record: not record.done)
        pool = MadeUpPool()
        assert Driver(of, journal, lambda _: None).drive(pool)
        assert pool.made == 10


def record(number: int, span: str, pnl: float | None, sharpe: float | None = 0.1) -> Record:
    metrics = {**dict.fromkeys(METRICS), "pnl": pnl, "sharpe": sharpe, "max_drawdown": -1.0}
    metrics |= {"observations": 60, "skew": 0.0, "kurtosis": 3.0}
    error = None if pnl is not None else "failed"
    values = {"strategy.ttl_ms": 400 + number}
    return Record(number=number, span=span, values=values, error=error, metrics=metrics, seconds=0.0)


def test_out_of_sample_is_the_train_spans_choice_on_the_test_span() -> None:
    of = plan(folds=folds_of(Span("all", 0, 100 * MINUTE), 2, Decimal("0.6"), MINUTE))
    records = [
        *(record(n, "train 1", pnl) for n, pnl in enumerate((5.0, 9.0, None, 9.0))),
        *(record(n, "test 1", pnl) for n, pnl in enumerate((3.0, 1.0, 7.0, 2.0))),
        *(record(n, "train 2", None) for n in range(4)),
    ]
    rows = out_of_sample(records, of)
    assert [row["number"] for row in rows] == [1, None]  # the lower number of equal sets; none to choose from
    assert rows[0]["strategy.ttl_ms"] == 401
    assert (rows[0]["train_pnl"], rows[0]["test_pnl"]) == (9.0, 1.0)
    assert (rows[0]["rank"], rows[0]["sets"]) == (4, 4)
    assert rows[1]["test_pnl"] is None


def test_trials_of_the_deflated_ratio_are_the_different_sets_that_were_run() -> None:
    of = plan(folds=folds_of(Span("all", 0, 100 * MINUTE), 1, Decimal("0.6"), MINUTE))
    records = [record(n, "all", float(n), sharpe=n / 10) for n in range(5)]
    twice = Record(number=5, span="all", values=records[4].values, error=None, metrics=records[4].metrics, seconds=1.0)
    found = deflated([*records, twice, record(6, "all", None), record(7, "train 1", 99.0)], of)
    assert found is not None
    assert found[0].number == 4
    assert found[1].trials == 5
    assert found[1].sharpe == 0.4
    assert deflated([record(0, "all", 1.0, sharpe=None)], plan()) is None
    assert deflated([record(0, "all", None)], plan()) is None


def test_a_set_without_fills_is_no_result() -> None:
    of = plan(folds=folds_of(Span("all", 0, 100 * MINUTE), 1, Decimal("0.6"), MINUTE))
    records = [record(n, span, pnl) for span in ("all", "train 1", "test 1") for n, pnl in enumerate((-2.0, 0.0, -1.0))]
    for found in records:
        found.metrics["fills"] = 7 if found.metrics["pnl"] else 0
    assert [r.number for r in ranked(records, "all", "pnl")] == [2, 0, 1]
    assert front(records[:3], ("pnl", "max_drawdown")) == {2}
    assert out_of_sample(records, of)[0]["number"] == 2
    table = best_table(records, of, 10)
    assert list(table.columns[0].cells) == ["2", "0", "1?"]
    assert "? 1 with fewer than 1 fills: result unknown" in str(table.caption)
    assert out_of_sample([one for one in records if one.number == 1], of)[0]["number"] is None


def test_ranks_and_the_front() -> None:
    records = [record(n, "all", pnl) for n, pnl in enumerate((1.0, 3.0, 3.0, None))]
    assert [r.number for r in ranked(records, "all", "pnl")] == [1, 2, 0]
    for n, drawdown in enumerate((-1.0, -5.0, -6.0)):
        records[n].metrics["max_drawdown"] = drawdown
    assert front(records[:3], ("pnl", "max_drawdown")) == {0, 1}
