"""Makes the missing runs of a sweep, in a fixed order."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from stall_then_strike.research.sweep.plan import Choices, Plan, Span, as_json, grid
from stall_then_strike.research.sweep.pool import Pool
from stall_then_strike.research.sweep.result import is_known, score
from stall_then_strike.research.sweep.runs import Record, Run
from stall_then_strike.research.sweep.sweep_journal import RunJournal
from stall_then_strike.types.errors import ConfigError


class Driver:
    """Makes the missing runs of one sweep."""

    def __init__(self, plan: Plan, journal: RunJournal, told: Callable[[Record], None]) -> None:
        """``journal`` is open; ``told`` is called with each new record."""
        self._plan, self._journal, self._told = plan, journal, told

    def drive(self, pool: Pool) -> bool:
        """Make all missing runs; return False if stopped before the end. Raises PoolError, LogError, ConfigError."""
        return self._drive_grid(pool) if self._plan.trials is None else self._drive_search(pool, self._plan.trials)

    @property
    def missing(self) -> int:
        """Number of runs without a record."""
        return self._plan.runs - len(self._journal.records)

    def _make(self, pool: Pool, runs: Iterator[Run], count: int) -> None:
        for record in pool.records(runs, count):
            self._journal.append(record)
            self._told(record)

    def _drive_grid(self, pool: Pool) -> bool:
        keys: dict[str, Choices] = {key: values for key, values in self._plan.keys.items() if isinstance(values, tuple)}
        runs = (
            Run(number, span, values)
            for number, values in enumerate(grid(keys))
            for span in self._plan.spans
            if (number, span.name) not in self._journal.records
        )
        self._make(pool, runs, self.missing)
        return not self.missing

    def _drive_search(self, pool: Pool, trials: int) -> bool:
        """Make one study over the whole tape, and one per fold, which learns from its train span only."""
        studies: list[tuple[Span, ...]] = [(self._plan.whole,), *((fold.train, fold.test) for fold in self._plan.folds)]
        return all(self._study(pool, number, spans, trials) for number, spans in enumerate(studies))

    def _study(self, pool: Pool, study: int, spans: tuple[Span, ...], trials: int) -> bool:
        from stall_then_strike.research.sweep.search import Search

        plan, known = self._plan, self._journal.records
        search = Search(plan.keys, seed=plan.seed + study, objectives=len(plan.objectives))
        for first in range(0, trials, plan.batch):
            numbers = range(study * trials + first, study * trials + min(first + plan.batch, trials))
            sets = dict(zip(numbers, search.ask(len(numbers)), strict=True))
            runs = [Run(number, span, values) for number, values in sets.items() for span in spans]
            self._check(runs)
            missing = [run for run in runs if (run.number, run.span.name) not in known]
            self._make(pool, iter(missing), len(missing))
            if any((run.number, run.span.name) not in known for run in missing):
                return False
            search.tell([self._result(known[number, spans[0].name]) for number in numbers])
        return True

    def _result(self, record: Record) -> list[float] | None:
        """The objectives for the search; None for a failed run or one with too few fills."""
        is_result = record.done and is_known(record, self._plan.min_fills)
        return [score(record, name) for name in self._plan.objectives] if is_result else None

    def _check(self, runs: list[Run]) -> None:
        """Check that recorded runs have the parameter sets that are proposed now. Raises ConfigError."""
        for run in runs:
            record = self._journal.records.get((run.number, run.span.name))
            if record is not None and record.values != as_json(run.values):
                raise ConfigError(
                    f"{self._journal.folder}: parameter set {run.number} differs from what the search proposes now "
                    "(another version of optuna?); accepted: a new folder by --out"
                )
