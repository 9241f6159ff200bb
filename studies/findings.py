"""What is estimated from the replays: for each setting a row of figures, and walk-forward over the recorded pieces.

Intervals are of 95 %. A minute of a market is one observation, whatever the number of fills in it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from stall_then_strike.research.figures.estimates import Estimate, t_quantile
from studies.choices import BASE, Settings, Study
from studies.replays import ARRAYS, Floats, MarketFigures, Piece, Run

REAL: Final = Path(__file__).with_name("real_results.json")
"""The recorded half of the page's figures, for those who have no tapes."""
PART_NAMES: Final = {
    "spread_quotes": "spread earned by quotes",
    "adverse_quotes": "adverse selection, 1 s",
    "spread_closes": "spread paid by closes",
    "adverse_closes": "move after closes, 1 s",
    "inventory": "later moves (inventory)",
}
"""The parts of ``research.figures.profit`` that are shown. The spans have no fees and no funding."""
FEWEST: Final = 30
"""Fills; a setting with fewer is unknown, whatever it made."""
_SHARE: Final = 0.25
"""A setting that made fewer fills than this share of the base's may not be chosen: not trading is no answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One setting over all markets of a source."""

    result: Estimate
    """JPY an hour."""
    against: Estimate
    """Against the base settings, minute by minute: the market's own moods cancel out."""
    alike: Estimate
    """The same at equal volume: against what the base settings make for each BTC."""
    parts: dict[str, Estimate]
    """JPY an hour; they add up to the result."""
    per_btc: float
    """Result, JPY per BTC traded; 0 without trades."""
    total_fills: float
    """Fills of quotes in all markets."""
    an_hour: dict[str, float]
    """Fills, volume (BTC), and the counts of `replays.Run`, an hour."""

    @property
    def is_known(self) -> bool:
        """Whether there were fills enough to say anything."""
        return self.total_fills >= FEWEST


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed(Piece):
    """One market, for the table of what was replayed."""

    results: list[Estimate]
    """Of ``Study.modes``, JPY an hour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A setting that earlier pieces chose, on the next piece."""

    piece: str
    chosen: str
    made: float
    """JPY an hour where it was chosen."""
    kept: Estimate
    """JPY an hour on the piece."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward:
    """Walk-forward: each piece is traded with what did best on the pieces before it."""

    folds: list[Judged]
    row: Row
    """All pieces that were judged, against the base settings on the same pieces."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """All figures of the recorded or of the generated markets."""

    pieces: list[Replayed]
    skipped: dict[str, str]
    """Files that are no tapes for the study, and why."""
    rows: dict[Settings, Row]
    forward: Forward | None
    """Over ``Study.all_settings`` at the default latency; None where there are not enough pieces."""

    @property
    def hours(self) -> float:
        """Of market."""
        return sum(piece.seconds for piece in self.pieces) / 3_600


def findings(study: Study, markets: Sequence[MarketFigures], skipped: dict[str, str] | None = None) -> Findings:
    """The figures of markets of one source."""
    every = study.all_settings()
    hours = sum(market.seconds for market in markets) / 3_600
    base = joined([market.runs[every.index(BASE)] for market in markets])
    rows = {one: row(joined([market.runs[at] for market in markets]), base, hours) for at, one in enumerate(every)}
    modes = [every.index(one) for one in study.modes()]
    pieces = [
        Replayed(
            results=[rate(market.runs[at].pnl, market.seconds / 3_600) for at in modes],
            **{name: getattr(market, name) for name in Piece.__dataclass_fields__},
        )
        for market in markets
    ]
    return Findings(pieces=pieces, skipped=skipped or {}, rows=rows, forward=forward(every, markets))


def joined(runs: Sequence[Run]) -> Run:
    """Runs over several markets as one."""
    arrays = {name: np.concatenate([getattr(run, name) for run in runs]) for name in ARRAYS}
    return Run(**arrays, counts={name: sum(run.counts[name] for run in runs) for name in runs[0].counts})


def rate(values: Floats, hours: float) -> Estimate:
    """The sum of minutes' values an hour. The last minute of a market may be short: sums are compared, not means."""
    n, value = len(values), float(values.sum()) / hours
    if n < 2:
        return Estimate(n=n, value=value, low=None, high=None, blocks=n)
    half = t_quantile(n - 1) * math.sqrt(n * float(values.var(ddof=1))) / hours
    return Estimate(n=n, value=value, low=value - half, high=value + half, blocks=n)


def row(run: Run, base: Run, hours: float) -> Row:
    """The figures of a setting, minute by minute beside those of the base settings."""
    known = {name: getattr(run, name) for name in PART_NAMES if name != "inventory"}
    known["inventory"] = run.pnl - sum(known.values())
    return Row(
        result=rate(run.pnl, hours),
        against=rate(run.pnl - base.pnl, hours),
        alike=rate(at_equal_volume(run, base), hours),
        parts={name: rate(values, hours) for name, values in known.items()},
        per_btc=_over(run.pnl.sum(), run.volume.sum()),
        total_fills=float(run.fills.sum()),
        an_hour={
            "fills": float(run.fills.sum()) / hours,
            "volume": float(run.volume.sum()) / hours,
            **{name: count / hours for name, count in run.counts.items()},
        },
    )


def at_equal_volume(run: Run, base: Run) -> Floats:
    """Each minute's result less what the base settings make of its volume. The base's own error is counted too."""
    price = _over(base.pnl.sum(), base.volume.sum())
    scale = _over(run.volume.sum(), base.volume.sum())
    found: Floats = (run.pnl - price * run.volume) - scale * (base.pnl - price * base.volume)
    return found


def _over(above: float, below: float) -> float:
    return float(above / below) if below else 0.0


def forward(every: Sequence[Settings], markets: Sequence[MarketFigures]) -> Forward | None:
    """Choose on the pieces before, judge on the next: the longer pieces, each after at least two others."""
    choices = [at for at, one in enumerate(every) if one.latency_ms == 0]
    base = every.index(BASE)
    judged = [at for at, market in enumerate(markets) if at >= 2 and market.seconds >= _LONG_S]
    if not judged:
        return None
    folds, runs = [], []
    for at in judged:
        before = markets[:at]
        hours = sum(market.seconds for market in before) / 3_600
        least = _SHARE * sum(market.runs[base].fills.sum() for market in before)
        made = {
            one: sum(market.runs[one].pnl.sum() for market in before) / hours
            for one in choices
            if sum(market.runs[one].fills.sum() for market in before) >= least
        }
        best = max(made, key=lambda one: float(made[one]))
        run = markets[at].runs[best]
        runs.append(run)
        folds.append(
            Judged(
                piece=markets[at].name,
                chosen=every[best].words(),
                made=float(made[best]),
                kept=rate(run.pnl, markets[at].seconds / 3_600),
            )
        )
    hours = sum(markets[at].seconds for at in judged) / 3_600
    return Forward(folds=folds, row=row(joined(runs), joined([markets[at].runs[base] for at in judged]), hours))


_LONG_S: Final = 300


# --- the recorded half, kept


def save(found: Findings, digest: str, path: Path = REAL) -> None:
    """Write the figures of the recorded markets."""
    rows = [{"settings": asdict(one), "row": asdict(held)} for one, held in found.rows.items()]
    content = {
        "digest": digest,
        "pieces": [asdict(piece) for piece in found.pieces],
        "skipped": found.skipped,
        "rows": rows,
        "forward": None if found.forward is None else asdict(found.forward),
    }
    path.write_text(json.dumps(_rounded(content), indent=1) + "\n", encoding="utf-8")


def load(path: Path = REAL) -> tuple[Findings, str]:
    """The figures of the recorded markets as they were last written, and the digest of the study they are of."""
    held: Any = json.loads(path.read_text(encoding="utf-8"))
    walked = held["forward"]
    found = Findings(
        pieces=[
            Replayed(**{**piece, "results": [Estimate(**one) for one in piece["results"]]}) for piece in held["pieces"]
        ],
        skipped=held["skipped"],
        rows={Settings(**one["settings"]): _row(one["row"]) for one in held["rows"]},
        forward=None
        if walked is None
        else Forward(
            folds=[Judged(**{**fold, "kept": Estimate(**fold["kept"])}) for fold in walked["folds"]],
            row=_row(walked["row"]),
        ),
    )
    return found, held["digest"]


def _row(held: dict[str, Any]) -> Row:
    parts = {name: Estimate(**one) for name, one in held["parts"].items()}
    estimates = {name: Estimate(**held[name]) for name in ("result", "against", "alike")}
    return Row(**{**held, **estimates, "parts": parts})


def _rounded(held: Any) -> Any:
    """Floats with the digits that are shown and two more: the same figures are the same file on every machine."""
    if isinstance(held, float):
        return round(held, 4)
    if isinstance(held, dict):
        return {name: _rounded(value) for name, value in held.items()}
    return [_rounded(value) for value in held] if isinstance(held, list) else held
