"""Results of a sweep: rankings, the value of the best set, and the files.

``runs.parquet`` has one row per parameter set and span, ``out_of_sample.parquet`` one per fold of the walk-forward
split. Rows are ordered by number and span, not by time; only ``seconds`` differs when a sweep is repeated.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import polars as pl

from stall_then_strike.research.sweep.overfitting import DeflatedSharpe, Moments, deflated_sharpe
from stall_then_strike.research.sweep.plan import Keys, Plan, Range, as_json, keys_json
from stall_then_strike.research.sweep.runs import METRICS, Record
from stall_then_strike.research.sweep.sweep_journal import RESULTS, replace_file
from stall_then_strike.types.dto import NS_PER_S
from stall_then_strike.types.instrument import base_of, quote_of

_TYPES: Final = {int: pl.Int64(), float: pl.Float64(), str: pl.String()}


def ordered(records: Iterable[Record], plan: Plan) -> list[Record]:
    """Records ordered by number, then by span."""
    place = {span.name: n for n, span in enumerate(plan.spans)}
    return sorted(records, key=lambda record: (record.number, place[record.span]))


def ranked(records: Iterable[Record], span: str, objective: str, min_fills: int = 1) -> list[Record]:
    """Successful runs of a span, the best first; equal ones by number.

    Runs with fewer fills than ``min_fills`` come last, whatever they made: their result is unknown. Otherwise a set
    that hardly trades would win whenever trading loses.
    """
    done = [record for record in records if record.span == span and record.done]
    return sorted(done, key=lambda record: (not is_known(record, min_fills), -score(record, objective), record.number))


def is_known(record: Record, min_fills: int) -> bool:
    """Whether a successful run has enough fills for a result."""
    fills = record.metrics["fills"]
    return fills is None or bool(fills >= min_fills)


def score(record: Record, objective: str) -> float:
    """A run's value of an objective. An undefined Sharpe ratio (nothing happened) counts as zero."""
    found = record.metrics[objective]
    return 0.0 if found is None else float(found)


def front(records: Sequence[Record], objectives: Sequence[str], min_fills: int = 1) -> set[int]:
    """Numbers of the runs on the Pareto front of the objectives, of those whose result is known."""
    known = [record for record in records if is_known(record, min_fills)]
    points = {record.number: tuple(score(record, name) for name in objectives) for record in known}

    def beaten(point: tuple[float, ...]) -> bool:
        return any(
            other != point and all(a >= b for a, b in zip(other, point, strict=True)) for other in points.values()
        )

    return {number for number, point in points.items() if not beaten(point)}


# --- walk-forward


def out_of_sample(records: Sequence[Record], plan: Plan) -> list[dict[str, Any]]:
    """For each fold: the set chosen on its train span, and the result of that set on its test span."""
    rows: list[dict[str, Any]] = []
    objective, least = plan.objectives[0], plan.min_fills
    for fold in plan.folds:
        tested = ranked(records, fold.test.name, objective, least)
        trained = ranked(records, fold.train.name, objective, least)
        chosen = trained[0] if trained and is_known(trained[0], least) else None
        place = [n for n, record in enumerate(tested, 1) if chosen is not None and record.number == chosen.number]
        test = tested[place[0] - 1] if place else None
        known = [record for record in tested if is_known(record, least)]
        rows.append(
            {
                "fold": fold.number,
                "number": chosen.number if chosen else None,
                **{key: chosen.values[key] if chosen else None for key in plan.keys},
                "train_pnl": chosen.metrics["pnl"] if chosen else None,
                "test_pnl": test.metrics["pnl"] if test else None,
                "train_sharpe": chosen.metrics["sharpe"] if chosen else None,
                "test_sharpe": test.metrics["sharpe"] if test else None,
                "rank": place[0] if place and place[0] <= len(known) else None,
                "sets": len(known),
            }
        )
    return rows


# --- overfitting


def deflated(records: Sequence[Record], plan: Plan) -> tuple[Record, DeflatedSharpe] | None:
    """The best set over the whole tape, and its deflated Sharpe ratio; None if it has none, or too few fills.

    Equal sets that a search proposed twice count as one trial. A set without a ratio counts with zero.
    """
    best = next(iter(ranked(records, plan.whole.name, plan.objectives[0], plan.min_fills)), None)
    if best is None or not is_known(best, plan.min_fills) or best.metrics["sharpe"] is None:
        return None
    trials = {
        json.dumps(record.values, sort_keys=True): score(record, "sharpe")
        for record in ordered(records, plan)
        if record.span == plan.whole.name and record.done
    }
    found = Moments(
        observations=best.metrics["observations"],
        sharpe=best.metrics["sharpe"],
        skew=best.metrics["skew"],
        kurtosis=best.metrics["kurtosis"],
    )
    return best, deflated_sharpe(found, list(trials.values()))


# --- files


def head(plan: Plan, *, command: str, tapes: Sequence[str], source: str) -> dict[str, Any]:
    """The content of ``sweep.json`` before the first run. ``source`` says of what market the tapes are."""
    return {
        "format": 1,
        "command": command,
        "seed": plan.seed,
        "tapes": list(tapes),
        "source": source,
        "min_fills": plan.min_fills,
        "method": plan.method,
        "keys": keys_json(plan.keys),
        "objectives": list(plan.objectives),
        "folds": [
            {
                "fold": fold.number,
                "train": [fold.train.from_ns, fold.train.to_ns],
                "test": [fold.test.from_ns, fold.test.to_ns],
            }
            for fold in plan.folds
        ],
        "span": [plan.whole.from_ns, plan.whole.to_ns],
        "observation_s": plan.sample_ns / NS_PER_S,
        "trials": plan.trials,
        "config": as_json(plan.base),
        "base": base_of(plan.base["exchange"]["product_code"]),
        "currency": quote_of(plan.base["exchange"]["product_code"]),
        "deflated_sharpe": None,
    }


def worth(found: tuple[Record, DeflatedSharpe] | None) -> dict[str, Any] | None:
    """``deflated_sharpe`` of ``sweep.json``; None without one."""
    return None if found is None else {"number": found[0].number, **asdict(found[1])}


def write_tables(folder: Path, records: Sequence[Record], plan: Plan) -> None:
    """Write both tables, each atomically. Raises OSError."""
    kinds = {key: _kind(key, plan.keys) for key in plan.keys}
    rows = [
        {
            "number": record.number,
            "span": record.span,
            "state": "done" if record.done else "failed",
            "error": record.error,
            **{key: _cell(record.values[key], kinds[key]) for key in plan.keys},
            **record.metrics,
            "seconds": record.seconds,
        }
        for record in ordered(records, plan)
    ]
    schema = {"number": pl.Int64(), "span": pl.String(), "state": pl.String(), "error": pl.String(), **kinds}
    schema |= {name: _TYPES[kind] for name, kind in METRICS.items()} | {"seconds": pl.Float64()}
    replace_file(folder / RESULTS[0], _parquet(rows, schema))
    told = [
        {name: _cell(value, kinds[name]) if name in kinds else value for name, value in row.items()}
        for row in out_of_sample(records, plan)
    ]
    schema = {"fold": pl.Int64(), "number": pl.Int64(), **kinds}
    schema |= dict.fromkeys(("train_pnl", "test_pnl", "train_sharpe", "test_sharpe"), pl.Float64())
    replace_file(folder / RESULTS[1], _parquet(told, {**schema, "rank": pl.Int64(), "sets": pl.Int64()}))


def _parquet(rows: Sequence[Mapping[str, Any]], schema: Mapping[str, pl.DataType]) -> bytes:
    content = io.BytesIO()
    pl.DataFrame(rows, schema=dict(schema), orient="row").write_parquet(content)
    return content.getvalue()


def _kind(key: str, keys: Keys) -> pl.DataType:
    """A column's type: that of its values; text, as JSON, if they have several types."""
    values = keys[key]
    if isinstance(values, Range):
        return pl.Int64() if values.whole and (values.step is None or isinstance(values.step, int)) else pl.Float64()
    kinds = {type(as_json(value)) for value in values}
    if kinds == {bool}:
        return pl.Boolean()
    if kinds == {int}:
        return pl.Int64()
    return pl.Float64() if kinds <= {int, float} else pl.String()


def _cell(value: Any, kind: pl.DataType) -> Any:
    if value is None:
        return None
    if isinstance(kind, pl.String) and not isinstance(value, str):
        return json.dumps(value)
    return float(value) if isinstance(kind, pl.Float64) else value
