"""Parameter sets proposed by Optuna's TPE, the same ones for the same seed wherever they are run.

Sets are asked for in batches of a fixed size, before any of the batch is told, and told in the order of their numbers:
how many workers there are and who is done first changes nothing. An interrupted search is taken up by asking again
from the start and telling what is known. TPE: Bergstra et al., "Algorithms for Hyper-Parameter Optimization", 2011.
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
"""After the point, of fractions without a step: the venue's size step."""


class Search:
    """One study. Keeps no file: it is told again what it has to know."""

    def __init__(self, keys: Keys, *, seed: int, objectives: int) -> None:
        """``objectives`` is how many there are; of each, more is better."""
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._keys = keys
        self._distributions = {key: _distribution(values) for key, values in keys.items()}
        self._study = optuna.create_study(
            directions=["maximize"] * objectives,
            # Sets under way count as bad ones, so that a batch does not propose one place again and again.
            sampler=optuna.samplers.TPESampler(seed=seed % 2**32, constant_liar=True),
        )
        self._asked: list[Trial] = []

    def ask(self, count: int) -> list[dict[str, Value]]:
        """The next batch. The one before it has to be told first."""
        if self._asked:
            raise RuntimeError("a batch was asked for and not told")
        self._asked = [self._study.ask(self._distributions) for _ in range(count)]
        return [_values(self._keys, trial.params) for trial in self._asked]

    def tell(self, results: Sequence[Sequence[float] | None]) -> None:
        """What came of the batch, in its order: a figure for each objective, or None for a run that failed."""
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
