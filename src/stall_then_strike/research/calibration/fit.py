"""Compares paper fills with live ones: which queue model, with which parameter, predicts the real fills best.

The real orders are given: their prices, and when they took effect and ended. Nothing reacts to a predicted fill. A
model fills each order by the rules of ``sim.fill_rules`` (``fill_replay``), and its loss is

    mean |y' - y|  +  |mean (y' - y)|

where y is the filled part of a real order and y' the predicted one: the error of single orders plus the error of the
overall fill ratio. The share is searched in steps of a hundredth, the power among its four values. Outcomes change in
jumps, so a range of parameters is equally good; its middle is taken.

*Uncertainty.* Orders within one minute count as one observation, because they share the market's move. The parameter's
interval comes from resampled minutes, from the lower ends to the upper ends of the resamples' best ranges. It is never
narrower than what the orders can distinguish. Ratios and markouts have the intervals of ``estimates``.

Not fitted: the size ahead at arrival, for which the rules have no parameter, and the reaction of others to an order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from stall_then_strike.config.models import PrintThrough, QueueModel
from stall_then_strike.research.calibration.fill_replay import ModelFill, QueueRule, Track, played
from stall_then_strike.research.calibration.live_latencies import samples
from stall_then_strike.research.calibration.live_orders import CalibrationError, LiveOrder, LiveRecord
from stall_then_strike.research.calibration.quote_tracks import Hearing, TrackReader, Tracks, hear, in_order, placed
from stall_then_strike.research.figures.estimates import Estimate, mean_of
from stall_then_strike.research.figures.mid_path import MidPath
from stall_then_strike.sim.fill_rules import SHARE_SCALE
from stall_then_strike.tapes.sequence import one_run
from stall_then_strike.tapes.tape_reader import TapeError
from stall_then_strike.types.dto import NS_PER_MS, NS_PER_S

HORIZONS_NS: Final = tuple(NS_PER_MS * ms for ms in (100, 1_000, 5_000, 10_000, 60_000))
BLOCK_NS: Final = 60 * NS_PER_S
RESAMPLES: Final = 1_000
SHARES: Final = tuple(SHARE_SCALE * n // 100 for n in range(101))
POWERS: Final = (1, 2, 3, 4)
_TIE: Final = 1e-12
_CANCEL_NS: Final = 100 * NS_PER_MS
"""Duration of a cancel, if none was measured."""
F64 = npt.NDArray[np.float64]
Outcome = tuple[ModelFill, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fills:
    """Statistics of fills, real or predicted."""

    ratio: Estimate | None
    """Mean filled part of the orders."""
    touched: Estimate | None
    """Share of orders with any fill."""
    markouts: Mapping[str, Estimate | None]
    """By horizon in seconds: move of the mid in the fill's favour, ticks, weighted by size."""
    time_to_fill_ms: Estimate | None
    """From the order's effect to its first fill."""
    median_time_to_fill_ms: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelResult:
    """One queue model with its best parameter, beside the real fills."""

    model: str
    parameter: float | None
    low: float | None
    """Lower end of the parameter's 95 % interval; None without one."""
    high: float | None
    loss: float
    wins: float | None
    """Share of resamples in which it was the best model; None if there are none, or the orders cannot tell."""
    fills: Fills
    difference: Estimate | None
    """Predicted less real fill ratio, order by order."""
    both: int
    only_real: int
    only_predicted: int
    neither: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """The whole result."""

    product: str
    sources: tuple[str, ...]
    tapes: tuple[str, ...]
    from_ns: int
    until_ns: int
    orders: int
    """Quotes that were compared."""
    never_on_the_book: int
    not_on_tape: int
    """Quotes that the tapes do not cover completely, from their sending to their end."""
    sensitive: int
    """Quotes whose predicted outcome depends on the model: only these matter to the fit."""
    queued: int
    """Quotes with other size ahead of them at their arrival."""
    private_lag_ms: float | None
    """How much later a fill arrives on the private channel than on the executions channel; negative: earlier."""
    display_lag_ms: float
    real: Fills
    models: tuple[ModelResult, ...]
    best: str | None
    """The model with the lowest loss; None if the orders cannot tell."""

    @property
    def best_model(self) -> ModelResult | None:
        """The result of the best model."""
        return next((result for result in self.models if result.model == self.best), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One order with its track and its real fills."""

    order: LiveOrder
    track: Track
    effect_ns: int
    real: Outcome

    @property
    def block(self) -> int:
        """Its minute: the block of observations that it belongs to."""
        return self.order.sent_ns // BLOCK_NS

    def part(self, fills: Sequence[ModelFill]) -> float:
        """The part of the order that these fills make up."""
        return sum(fill.size for fill in fills) / self.track.size


def calibrate(record: LiveRecord, tapes: Sequence[Path]) -> tuple[Calibration, dict[str, list[float]]]:
    """Fit all models and return the result and the samples of latencies, which need the private channel's lag.

    Raises CalibrationError when the tapes cannot be read or no quote can be compared.
    """
    quotes = [order for order in record.orders if order.is_quote]
    if not quotes:
        raise CalibrationError(f"{_sources(record)}: no quotes; accepted: a record in which the strategy quoted")
    try:
        files = in_order(tapes)
        hearing = hear(files, record.cfg.exchange.product_code, record.names)
        lag_ns, measured = hearing.private_lag_ns(quotes)
        cancel_ns = usual_cancel_ns(quotes, lag_ns)
        ready = [found for order in quotes if (found := placed(order, hearing, lag_ns, cancel_ns)) is not None]
        tracks = TrackReader(record.cfg, ready, record.names).read(one_run(files))
    except (TapeError, OSError) as error:
        raise CalibrationError(f"the tape cannot be read: {error}") from error
    compared = [
        Compared(
            order=found.order,
            track=tracks.tracks[found.order.name],
            effect_ns=found.effect_ns,
            real=_real(found.order, hearing, lag_ns),
        )
        for found in ready
        if found.order.name in tracks.tracks
    ]
    if not compared:
        raise CalibrationError(
            f"{', '.join(map(str, tapes))}: none of the {len(quotes)} quotes of {_sources(record)} is on the tapes; "
            "accepted: the tapes that were recorded during the run"
        )
    lag = lag_ns if measured else None
    result = _result(record, files, hearing, tracks, compared, len(quotes) - len(ready), lag)
    return result, samples(record.orders, hearing, lag_ns)


def usual_cancel_ns(orders: Sequence[LiveOrder], lag_ns: int) -> int:
    """The median time from sending a cancel to its effect, in the time of the executions channel."""
    found = [
        order.cancelled_ns - lag_ns - order.cancel_sent_ns
        for order in orders
        if order.cancelled_ns is not None and order.cancel_sent_ns is not None
    ]
    return max(0, int(median(found))) if found else _CANCEL_NS


def _sources(record: LiveRecord) -> str:
    return ", ".join(map(str, record.sources))


def _real(order: LiveOrder, hearing: Hearing, lag_ns: int) -> Outcome:
    return tuple(
        ModelFill(hearing.own_ns.get(fill.exec_id, fill.ts_ns - lag_ns), fill.price, fill.size) for fill in order.fills
    )


# --- fitting ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Candidates:
    """The filled part of every order under every rule."""

    rules: tuple[QueueRule, ...]
    parts: F64
    """Rules x orders."""
    sensitive: int


def try_all(compared: Sequence[Compared], print_through: PrintThrough = PrintThrough.QUEUE) -> Candidates:
    """Try all rules on all orders; an order with the same outcome under both extremes is tried no further."""
    is_queued = print_through is PrintThrough.QUEUE
    rules = (
        *(QueueRule(share, 0, is_queued) for share in SHARES),
        *(QueueRule(0, power, is_queued) for power in POWERS),
    )
    parts = np.empty((len(rules), len(compared)))
    sensitive = 0
    for at, one in enumerate(compared):
        # Outcomes are monotonous in the share: if the smallest and the largest agree, so do all between.
        least, most = (played(one.track, rule) for rule in (rules[0], rules[len(SHARES) - 1]))
        parts[:, at] = one.part(least)
        if least != most:
            sensitive += 1
            parts[:, at] = [one.part(played(one.track, rule)) for rule in rules]
    return Candidates(rules, parts, sensitive)


def _losses(errors: F64, sums: F64, counts: F64, weights: F64) -> F64:
    """Losses, resamples x rules, from each block's sums of absolute and of signed errors."""
    n = weights @ counts
    return np.asarray((weights @ errors.T + np.abs(weights @ sums.T)) / n[:, None])


@dataclass(frozen=True, slots=True)
class Fit:
    """The best rule of one model, and the ends of its interval, as indices of rules."""

    model: str
    best: int
    low: int | None
    high: int | None
    loss: float
    wins: float | None


def fit(candidates: Candidates, real: F64, blocks: Sequence[int]) -> list[Fit]:
    """The best rule of each model, by the loss of this module."""
    wrong = candidates.parts - real[None, :]
    names, index = np.unique(np.asarray(blocks), return_inverse=True)
    member = np.zeros((len(blocks), len(names)))
    member[np.arange(len(blocks)), index] = 1.0
    errors, sums, counts = np.abs(wrong) @ member, wrong @ member, member.sum(axis=0)
    whole = _losses(errors, sums, counts, np.ones((1, len(names))))[0]
    resampled: F64 | None = None
    if len(names) > 1:
        drawn = np.random.default_rng(1).multinomial(len(names), np.full(len(names), 1 / len(names)), RESAMPLES)
        resampled = _losses(errors, sums, counts, drawn.astype(np.float64))
    groups = _groups()
    best_of = None
    if resampled is not None:
        # Ties go to the model with the fewest parameters: pessimistic, power, share.
        best_of = np.argmin(
            np.stack([resampled[:, rules].min(axis=1) - _TIE * n for n, rules in _ranked(groups)]), axis=0
        )
    found = []
    for model, rules in groups.items():
        low, high = _stretch(whole[rules])
        ends: tuple[int | None, int | None] = (None, None)
        wins = None
        if resampled is not None and best_of is not None:
            stretches = np.array([_stretch(row[rules]) for row in resampled])
            ends = (
                rules[int(np.quantile(stretches[:, 0], 0.025, method="lower"))],
                rules[int(np.quantile(stretches[:, 1], 0.975, method="higher"))],
            )
            wins = float(np.mean(best_of == _RANK.index(model)))
        best = rules[(low + high) // 2]
        found.append(Fit(model, best, *ends, float(whole[best]), wins))
    return found


_RANK: Final = (QueueModel.PESSIMISTIC.value, QueueModel.POWER.value, QueueModel.SHARE.value)


def _ranked(groups: Mapping[str, list[int]]) -> list[tuple[int, list[int]]]:
    return [(len(_RANK) - at, groups[model]) for at, model in enumerate(_RANK)]


def _groups() -> dict[str, list[int]]:
    """Each model's rules, as indices of ``Candidates.rules``."""
    return {
        QueueModel.SHARE.value: list(range(len(SHARES))),
        QueueModel.PESSIMISTIC.value: [0],
        QueueModel.POWER.value: [len(SHARES) + at for at in range(len(POWERS))],
    }


def _stretch(losses: F64) -> tuple[int, int]:
    """First and last index of the lowest loss."""
    best = np.flatnonzero(losses <= losses.min() + _TIE)
    return int(best[0]), int(best[-1])


def parameter_of(rule: QueueRule, model: str) -> float | None:
    """The value of the setting for a rule; None for a model without a parameter."""
    if model == QueueModel.SHARE.value:
        return rule.share / SHARE_SCALE
    return float(rule.power) if model == QueueModel.POWER.value else None


# --- result -----------------------------------------------------------------------------------------------------------


def _result(
    record: LiveRecord,
    tapes: Sequence[Path],
    hearing: Hearing,
    tracks: Tracks,
    compared: Sequence[Compared],
    absent: int,
    lag_ns: int | None,
) -> Calibration:
    candidates = try_all(compared, record.cfg.paper.print_through)
    real = np.array([one.part(one.real) for one in compared])
    blocks = [one.block for one in compared]
    models = []
    for found in fit(candidates, real, blocks):
        rule = candidates.rules[found.best]
        outcomes = [tuple(played(one.track, rule)) for one in compared]
        pairs = [(bool(one.real), bool(outcome)) for one, outcome in zip(compared, outcomes, strict=True)]
        low, high = (
            None if at is None else parameter_of(candidates.rules[at], found.model) for at in (found.low, found.high)
        )
        models.append(
            ModelResult(
                model=found.model,
                parameter=parameter_of(rule, found.model),
                low=low,
                high=high,
                loss=found.loss,
                wins=found.wins if candidates.sensitive else None,
                fills=_fills(compared, outcomes, tracks.path),
                difference=mean_of([float(d) for d in candidates.parts[found.best] - real], blocks),
                both=pairs.count((True, True)),
                only_real=pairs.count((True, False)),
                only_predicted=pairs.count((False, True)),
                neither=pairs.count((False, False)),
            )
        )
    best = min(models, key=lambda result: (round(result.loss, 12), _RANK.index(result.model))).model
    return Calibration(
        product=record.cfg.exchange.product_code,
        sources=tuple(map(str, record.sources)),
        tapes=tuple(map(str, tapes)),
        from_ns=hearing.first_ns,
        until_ns=hearing.last_ns,
        orders=len(compared),
        never_on_the_book=absent,
        not_on_tape=tracks.broken,
        sensitive=candidates.sensitive,
        queued=sum(one.track.happenings[0].size > 0 for one in compared),
        private_lag_ms=None if lag_ns is None else lag_ns / NS_PER_MS,
        display_lag_ms=tracks.lag.usual_ns / NS_PER_MS,
        real=_fills(compared, [one.real for one in compared], tracks.path),
        models=tuple(models),
        best=best if candidates.sensitive else None,
    )


def _fills(compared: Sequence[Compared], outcomes: Sequence[Outcome], path: MidPath) -> Fills:
    blocks = [one.block for one in compared]
    waits = [
        (max(0, outcome[0].ts_ns - one.effect_ns) / NS_PER_MS, one.block)
        for one, outcome in zip(compared, outcomes, strict=True)
        if outcome
    ]
    return Fills(
        ratio=mean_of([one.part(outcome) for one, outcome in zip(compared, outcomes, strict=True)], blocks),
        touched=mean_of([float(bool(outcome)) for outcome in outcomes], blocks),
        markouts={f"{ns / NS_PER_S:g}": _markout(compared, outcomes, path, ns) for ns in HORIZONS_NS},
        time_to_fill_ms=mean_of([wait for wait, _ in waits], [block for _, block in waits]),
        median_time_to_fill_ms=median(wait for wait, _ in waits) if waits else None,
    )


def _markout(
    compared: Sequence[Compared], outcomes: Sequence[Outcome], path: MidPath, horizon_ns: int
) -> Estimate | None:
    """A ratio of sums, because fills differ in size; its interval comes from linearisation."""
    values, weights, blocks = [], [], []
    for one, outcome in zip(compared, outcomes, strict=True):
        for fill in outcome:
            mid = path.at(fill.ts_ns + horizon_ns)
            if mid is not None:
                values.append(one.track.side.sign * (mid - 2 * fill.price) / 2)
                weights.append(fill.size)
                blocks.append(fill.ts_ns // BLOCK_NS)
    if not values:
        return None
    total = sum(weights)
    ratio = sum(value * weight for value, weight in zip(values, weights, strict=True)) / total
    scaled = [(v - ratio) * w * len(values) / total for v, w in zip(values, weights, strict=True)]
    around = mean_of(scaled, blocks)
    if around is None or around.low is None or around.high is None:
        return Estimate(n=len(values), value=ratio, low=None, high=None, blocks=1)
    return Estimate(n=len(values), value=ratio, low=ratio + around.low, high=ratio + around.high, blocks=around.blocks)


def as_json(result: Calibration) -> dict[str, Any]:
    """The result as plain values."""
    return {"version": 1, **asdict(result)}
