"""Handmade results of a sweep: a grid over a few keys with figures from a formula, and a walk-forward split."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import polars as pl

HOUR_NS = 3_600_000_000_000
START_NS = 1_767_571_200 * 10**9
KEYS: dict[str, list[Any]] = {
    "strategy.stall_T_ms": [100, 250, 500, 1000],
    "strategy.ttl_ms": [400, 800, 1600],
    "strategy.quote_mode": ["inside", "join", "mid"],
}


def noise(*seeds: int) -> float:
    """A pseudo-random number from -1 to 1."""
    return math.sin(sum((seed + 1) * 12.9898 * (at + 1) for at, seed in enumerate(seeds)) * 43.758)


def made(number: int, span: int, values: Sequence[Any], hours: float) -> dict[str, Any]:
    """One run's figures: a hill in the first key, plus noise."""
    hill = 40 - abs(math.log2(float(values[0]) / 250)) * 30 - (15 if values[-1] == "mid" else 0)
    pnl = hours * (hill + 25 * noise(number, span))
    return {
        "pnl": round(pnl, 2),
        "max_drawdown": -round(hours * (30 + 20 * noise(number, span, 7)) + 5, 2),
        "fills": 100 + number,
        "quotes": 1_000 + number,
        "fill_ratio": (100 + number) / (1_000 + number),
        "strikes": 500,
        "volume": 0.1 * hours,
        "sharpe": pnl / 400,
        "seconds": 0.05,
        "output_hash": f"{number:08x}",
    }


def write(
    folder: Path, keys: Mapping[str, list[Any]] | None = None, *, folds: int = 4, failed: Sequence[int] = ()
) -> Path:
    """Write a folder of results; the sets in ``failed`` failed on all spans."""
    keys = KEYS if keys is None else keys
    steps = [
        {
            "fold": at,
            "train": [START_NS + (at - 1) * HOUR_NS, START_NS + (at + 1) * HOUR_NS],
            "test": [START_NS + (at + 1) * HOUR_NS, START_NS + (at + 2) * HOUR_NS],
        }
        for at in range(1, folds + 1)
    ]
    spans = [("all", folds + 2.0)]
    spans += [(f"{kind} {at}", hours) for at in range(1, folds + 1) for kind, hours in (("train", 2.0), ("test", 1.0))]
    rows: list[dict[str, Any]] = []
    for number, values in enumerate(product(*keys.values())):
        for at, (span, hours) in enumerate(spans):
            row = {
                "number": number,
                "span": span,
                "state": "done",
                "error": None,
                **dict(zip(keys, values, strict=True)),
            }
            figures = made(number, at, values, hours)
            if number in failed:
                row |= {"state": "failed", "error": f"worker <{number % 2}> lost"}
                figures = dict.fromkeys(figures)
            rows.append(row | figures)
    folder.mkdir(parents=True, exist_ok=True)
    table(rows).write_parquet(folder / "runs.parquet")
    about = {
        "format": 1,
        "command": "sweep data/raw/a.jsonl.zst --grid strategy.stall_T_ms=100,250,500,1000",
        "seed": 7,
        "tapes": [f"data/raw/FX_BTC_JPY_2026-01-05T0{at}.jsonl.zst" for at in range(folds + 2)],
        "method": "grid",
        "keys": dict(keys),
        "objectives": ["pnl", "max_drawdown"],
        "folds": steps,
        "config": {"strategy": {"size_min": 0.001}},
        "currency": "JPY",
        "deflated_sharpe": {
            "sharpe": 0.21,
            "trials": 36,
            "expected_max_sharpe": 0.17,
            "dsr": 0.78,
            "observations": 360,
            "skew": 0.2,
            "kurtosis": 4.1,
        },
        "digest": "5f0c1e9a7b3d",
    }
    (folder / "sweep.json").write_text(json.dumps(about))
    if steps:
        table(forward(rows, list(keys), folds)).write_parquet(folder / "out_of_sample.parquet")
    return folder


def forward(rows: Sequence[Mapping[str, Any]], keys: Sequence[str], folds: int) -> list[dict[str, Any]]:
    """The set chosen by each fold's training."""
    found = []
    for at in range(1, folds + 1):
        train, test = (
            {row["number"]: row for row in rows if row["span"] == f"{kind} {at}" and row["state"] == "done"}
            for kind in ("train", "test")
        )
        best = max(train, key=lambda number: train[number]["pnl"])
        better = sum(row["pnl"] > test[best]["pnl"] for row in test.values())
        figures = {
            f"{kind}_{name}": side[best][name]
            for kind, side in (("train", train), ("test", test))
            for name in ("pnl", "sharpe")
        }
        values = {key: train[best][key] for key in keys}
        found.append({"fold": at, "number": best, **values, **figures, "rank": better + 1, "sets": len(test)})
    return found


def table(rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Rows as a table."""
    return pl.DataFrame(rows, infer_schema_length=None)


def change(folder: Path, **fields: Any) -> None:
    """Change fields of ``sweep.json``."""
    path = folder / "sweep.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))
