"""Parameter sets proposed by Optuna's TPE; the same seed gives the same sets, wherever the runs are made.

Sets are proposed in batches of a fixed size, and the results of a batch are given back in the order of its numbers.
The number of workers and the order in which they finish therefore have no effect. An interrupted search is continued by
proposing again from the start and giving back the known results. TPE: Bergstra et al., "Algorithms for Hyper-Parameter
Optimization", 2011.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import Trial, TrialState

from stall_then_strike.research.sweep.plan import Keys, Range, Value

_DIGITS: Final = 8
"""Decimals of fractions without a step, as in the venue's size step."""


class Search:
    """One study. It keeps no file: known results are given to it again."""

    def __init__(self, keys: Keys, *, seed: int, objectives: int) -> None:
        """``objectives`` is the number of objectives; more is better for each."""
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._keys = keys
        self._distributions = {key: _distribution(values) for key, values in keys.items()}
        self._study = optuna.create_study(
            directions=["maximize"] * objectives,
            # Sets without a result yet count as bad, so that a batch does not propose the same place repeatedly.
            sampler=optuna.samplers.TPESampler(seed=seed % 2**32, constant_liar=True),
        )
        self._asked: list[Trial] = []

    def ask(self, count: int) -> list[dict[str, Value]]:
        """Propose the next batch. Call :meth:`tell` for the previous one first."""
        if self._asked:
            raise RuntimeError("the previous batch has no results yet")
        self._asked = [self._study.ask(self._distributions) for _ in range(count)]
        return [_values(self._keys, trial.params) for trial in self._asked]

    def tell(self, results: Sequence[Sequence[float] | None]) -> None:
        """Give back the results of the batch, in its order: a figure per objective, or None for a failed run."""
        for trial, result in zip(self._asked, results, strict=True):
            if result is None:
                self._study.tell(trial, state=TrialState.FAIL)
            else:
                self._study.tell(trial, list(result))
        self._asked = []


def _distribution(values: tuple[Value, ...] | Range) -> BaseDistribution:
    if isinstance(values, tuple):
        return CategoricalDistribution(tuple(range(len(values))))
    if isinstance(values.low, int) and isinstance(values.high, int):
        step = int(values.step or 1)
        high = values.low + (values.high - values.low) // step * step
        return IntDistribution(values.low, high, log=values.log, step=step)
    if values.step is not None:
        return IntDistribution(0, int((values.high - values.low) / values.step))
    return FloatDistribution(float(values.low), float(values.high), log=values.log)


def _values(keys: Keys, params: Mapping[str, Any]) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for key, values in keys.items():
        drawn = params[key]
        if isinstance(values, tuple):
            found[key] = values[drawn]
        elif values.whole and not isinstance(values.step, Decimal):
            found[key] = drawn
        elif values.step is not None:
            found[key] = values.low + drawn * Decimal(values.step)
        else:
            low, high = Decimal(values.low), Decimal(values.high)
            found[key] = min(max(round(Decimal(repr(drawn)), _DIGITS), low), high)
    return found
