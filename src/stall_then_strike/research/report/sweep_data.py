"""The results of a sweep, read from its folder: ``sweep.json``, ``runs.parquet``, ``out_of_sample.parquet``.

A set is one choice of values for the swept keys; a run is one set on one span of the tapes ("all", "train 1", "test 1",
...). Amounts are floats: they are compared and drawn, never booked. A drawdown is a depth, so it is not negative.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Final, Literal, Self

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from stall_then_strike.research.figures.log_rows import ReportInputError

SWEEP: Final = "sweep.json"
RUNS: Final = "runs.parquet"
OUT_OF_SAMPLE: Final = "out_of_sample.parquet"

METRICS: Final = (
    "pnl", "max_drawdown", "sharpe", "fills", "quotes", "fill_ratio", "strikes", "volume", "markout_1s", "seconds",
)  # fmt: skip
"""Columns of ``runs.parquet`` that are shown if present. ``seconds`` is the duration of the run."""
DEPTHS: Final = frozenset({"max_drawdown"})
"""Metrics where less is better."""

Value = float | int | str | bool | None
"""Value of a key."""


class Fold(BaseModel):
    """One fold of a walk-forward split. Spans are UTC nanoseconds, from (included) to (excluded)."""

    model_config = ConfigDict(frozen=True)

    fold: int
    train: tuple[int, int]
    test: tuple[int, int]

    @model_validator(mode="after")
    def _is_forward(self) -> Self:
        if self.train[0] >= self.train[1] or self.test[0] >= self.test[1]:
            raise ValueError("a span ends before it begins")
        return self


class Deflated(BaseModel):
    """The best set's Sharpe ratio, compared with the best of as many worthless sets."""

    model_config = ConfigDict(frozen=True)

    sharpe: float | None
    """Per observation, not per year; None, like the others, if there were too few data."""
    trials: int
    expected_max_sharpe: float | None
    dsr: float | None = Field(ge=0, le=1)
    """Probability that the true ratio is above the one expected by luck."""
    observations: int


class SweepFile(BaseModel):
    """The part of ``sweep.json`` that the report uses."""

    model_config = ConfigDict(frozen=True)

    format: Literal[1]
    command: str = ""
    seed: int
    tapes: list[str]
    source: str = "unknown"
    """Of what market the tapes are: real, derived, generated, mixed or unknown."""
    span: tuple[int, int] | None = None
    """Period of the tapes, UTC nanoseconds."""
    min_fills: int = 1
    """Fewest fills of a known result."""
    method: str
    keys: dict[str, Any] = Field(min_length=1)
    objectives: list[str] = Field(min_length=1)
    folds: list[Fold] = []
    currency: str = "JPY"
    base: str = "BTC"
    """The asset of sizes."""
    deflated_sharpe: Deflated | None = None
    digest: str = ""
    observation_s: float | None = None
    """Interval of the observations for Sharpe ratios."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetFigures:
    """One set and its figures, each the mean over the spans that sets are compared by."""

    number: int
    values: tuple[Value, ...]
    """One value per key."""
    made: Mapping[str, float]
    is_known: bool = True
    """Whether it has enough fills for a result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One run that failed."""

    number: int
    span: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The set chosen by a fold's training, and its result in the test. Missing values are None."""

    fold: int
    number: int | None
    values: tuple[Value, ...]
    train_pnl: float | None
    test_pnl: float | None
    train_sharpe: float | None
    test_sharpe: float | None
    test_rank: int | None
    sets: int | None
    """Number of sets in the ranking."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepFigures:
    """Everything that a report shows of a sweep."""

    name: str
    about: SweepFile
    keys: tuple[str, ...]
    runs: int
    failures: list[Failure]
    spans: list[str]
    """Spans that sets are compared by: all of the tapes, or else the training spans."""
    sets: list[SetFigures]
    """Sets with a value of the first objective, best first; those with too few fills last."""
    pnl: Mapping[str, Mapping[int, float]]
    """Profit by span and set number."""
    chosen: list[Chosen]

    @property
    def known(self) -> list[SetFigures]:
        """The sets whose result is known, best first."""
        return [one for one in self.sets if one.is_known]

    @property
    def objective(self) -> str:
        """The first objective, by which sets are ranked."""
        return self.about.objectives[0]

    @property
    def hours(self) -> dict[str, float]:
        """Lengths of the folds' spans in hours, by name."""
        return {
            f"{kind} {fold.fold}": (span[1] - span[0]) / 3.6e12
            for fold in self.about.folds
            for kind, span in (("train", fold.train), ("test", fold.test))
        }


def is_sweep(folder: Path) -> bool:
    """Whether this is a folder of a sweep's results."""
    return any((folder / name).is_file() for name in (SWEEP, RUNS))


def read_sweep(folder: Path) -> SweepFigures:
    """Read the results of a sweep. Raises ReportInputError, which names the file."""
    about = _read_about(folder / SWEEP)
    keys = tuple(about.keys)
    rows = _rows(folder / RUNS, {"number", "span", "state", *keys, "pnl", "max_drawdown", *about.objectives})
    done, failures = [], []
    for row in rows:
        if row["state"] == "failed":
            failures.append(Failure(number=row["number"], span=row["span"], error=str(row.get("error") or "")))
        else:
            done.append(row)
    found = [str(row["span"]) for row in rows]
    spans = ["all"] if "all" in found else sorted({span for span in found if span.startswith("train ")}, key=_place)
    if not spans:
        raise ReportInputError(f"{folder / RUNS}: no run has the span all or train; accepted: results of `sweep`")
    figures: dict[str, dict[int, float]] = {}
    for row in done:
        if (pnl := _figure(row, "pnl", folder / RUNS)) is not None:
            figures.setdefault(row["span"], {})[row["number"]] = pnl
    return SweepFigures(
        name=folder.resolve().name,
        about=about,
        keys=keys,
        runs=len(rows),
        failures=failures,
        spans=spans,
        sets=_sets(done, spans, keys, about, folder / RUNS),
        pnl=figures,
        chosen=_chosen(folder / OUT_OF_SAMPLE, keys) if about.folds else [],
    )


def _read_about(path: Path) -> SweepFile:
    try:
        return SweepFile.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ReportInputError(f"{path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ReportInputError(f"{path}: {f'{where}: ' if where else ''}{first['msg']}") from error


def _rows(path: Path, wanted: set[str]) -> list[dict[str, Any]]:
    if not path.is_file():
        raise ReportInputError(f"{path}: no such file; was the sweep completed?")
    try:
        table = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ReportInputError(f"{path} cannot be read as Parquet: {str(error).splitlines()[0]}") from error
    if missing := sorted(wanted - set(table.columns)):
        raise ReportInputError(f"{path}: no column {', '.join(missing)}")
    return table.to_dicts()


def _place(span: str) -> tuple[str, int]:
    kind, _, number = span.partition(" ")
    return kind, int(number) if number.isdigit() else 0


def _figure(row: Mapping[str, Any], name: str, path: Path) -> float | None:
    """A metric as a number; None if missing."""
    value = row.get(name)
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise ReportInputError(f"{path}: {name}: {value!r} is not a number") from error
    if not math.isfinite(number):
        return None
    return abs(number) if name in DEPTHS else number


def _sets(
    done: Sequence[Mapping[str, Any]], spans: Sequence[str], keys: Sequence[str], about: SweepFile, path: Path
) -> list[SetFigures]:
    """Sets with figures in every span, best first."""
    shown = tuple(dict.fromkeys((*about.objectives, *METRICS)))
    values: dict[int, tuple[Value, ...]] = {}
    made: dict[int, dict[str, list[float]]] = {}
    for row in done:
        if row["span"] not in spans:
            continue
        values[row["number"]] = tuple(row[key] for key in keys)
        figures = made.setdefault(row["number"], {})
        for name in shown:
            figure = _figure(row, name, path)
            if figure is None and name == "sharpe" and name in row:
                figure = 0.0  # nothing happened
            if figure is not None:
                figures.setdefault(name, []).append(figure)
    first = about.objectives[0]
    whole = {
        number: {name: fmean(found) for name, found in figures.items()}
        for number, figures in made.items()
        if len(figures.get(first, ())) == len(spans)
    }
    sign = 1 if first in DEPTHS else -1
    sets = [
        SetFigures(
            number=number,
            values=values[number],
            made=made_of,
            is_known=made_of.get("fills", about.min_fills) >= about.min_fills,
        )
        for number, made_of in whole.items()
    ]
    return sorted(sets, key=lambda one: (not one.is_known, sign * one.made[first], one.number))


def _chosen(path: Path, keys: Sequence[str]) -> list[Chosen]:
    wanted = {"fold", "number", *keys, "train_pnl", "test_pnl", "train_sharpe", "test_sharpe", "rank", "sets"}
    return [
        Chosen(
            fold=row["fold"],
            number=row["number"],
            values=tuple(row[key] for key in keys),
            train_pnl=_figure(row, "train_pnl", path),
            test_pnl=_figure(row, "test_pnl", path),
            train_sharpe=_figure(row, "train_sharpe", path),
            test_sharpe=_figure(row, "test_sharpe", path),
            test_rank=row["rank"],
            sets=row["sets"],
        )
        for row in sorted(_rows(path, wanted), key=lambda row: row["fold"])
    ]
