"""The plan of a sweep: which keys take which values, over which spans of the tape, and the sweep's identity.

Every value is checked against the configuration's model before anything runs. Values that are valid alone but not
together are not refused here: that run fails, and the others go on.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import reduce
from pathlib import Path
from typing import Any, Final

from stall_then_strike.config.layers import Origin, Tree, merge, read_set, tree_of
from stall_then_strike.config.loader import app_config, effective_tree
from stall_then_strike.config.models import AppConfig
from stall_then_strike.types.dto import NS_PER_S
from stall_then_strike.types.errors import ConfigError

Value = Any
"""Value of a key, as read from YAML: int, Decimal, str, bool, a list or a mapping."""
Values = Mapping[str, Value]
"""One parameter set: its values by key."""

OBJECTIVES: Final = ("pnl", "max_drawdown", "sharpe")
"""Possible objectives; more is better for all of them (a drawdown is zero or negative)."""
MOST_SETS: Final = 100_000
_PREPARED: Final = (("exchange", "product_code"), ("exchange", "tick_size"), ("exchange", "size_step"))
_REPLAYED: Final = ("strategy", "risk", "session", "paper")
_FEWEST_INTERVALS: Final = 3
"""Fewest observations in a span, needed for a Sharpe ratio."""


@dataclass(frozen=True, slots=True)
class Range:
    """A range of numbers for a search, both ends included."""

    low: int | Decimal
    high: int | Decimal
    step: int | Decimal | None = None
    log: bool = False

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are tried, because both ends were written as such."""
        return isinstance(self.low, int) and isinstance(self.high, int)


Choices = tuple[Value, ...]
Keys = Mapping[str, Choices | Range]


@dataclass(frozen=True, slots=True)
class Span:
    """A part of the tape: from a stamp, included, to another, excluded."""

    name: str
    from_ns: int
    to_ns: int


@dataclass(frozen=True, slots=True)
class Fold:
    """A span to choose on, and a span to test the choice on."""

    number: int
    train: Span
    test: Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One sweep."""

    base: dict[str, Any]
    """The effective configuration, as plain values."""
    keys: Keys
    objectives: tuple[str, ...]
    whole: Span
    folds: tuple[Fold, ...]
    trials: int | None
    """Number of sets that a search tries per study; None for a grid."""
    batch: int
    seed: int
    sample_ns: int
    """Interval of observations for the Sharpe ratio."""
    min_fills: int = 1
    """Fewest fills of a run whose result counts; with fewer it is unknown."""

    @property
    def method(self) -> str:
        """``grid`` or ``tpe``."""
        return "grid" if self.trials is None else "tpe"

    @property
    def spans(self) -> tuple[Span, ...]:
        """All spans, in the order of results."""
        return (self.whole, *itertools.chain.from_iterable((fold.train, fold.test) for fold in self.folds))

    @property
    def runs(self) -> int:
        """Number of runs."""
        if self.trials is not None:
            return self.trials * (1 + 2 * len(self.folds))
        return _combinations(self.keys) * len(self.spans)


# --- reading the command line


def read_grid(texts: Iterable[str], base: AppConfig) -> dict[str, Choices]:
    """Read ``key.path=value,value,...`` from each text. Raises ConfigError with all errors."""
    found, problems = _read(texts, base, "--grid", lambda where, text: None)
    if (sets := _combinations(found)) > MOST_SETS:
        problems.append(f"--grid: {sets:,} parameter sets; accepted: {MOST_SETS:,} at most, or --search with --trials")
    _raise_all(problems)
    return {key: values for key, values in found.items() if isinstance(values, tuple)}


def read_search(texts: Iterable[str], base: AppConfig) -> dict[str, Choices | Range]:
    """Read ``key.path=low:high[:log|:step]`` or ``key.path=value,value,...``. Raises ConfigError with all errors."""
    found, problems = _read(texts, base, "--search", _range)
    _raise_all(problems)
    return found


def _read(
    texts: Iterable[str], base: AppConfig, flag: str, special: Callable[[str, str], Range | None]
) -> tuple[dict[str, Choices | Range], list[str]]:
    found: dict[str, Choices | Range] = {}
    problems: list[str] = []
    given: dict[str, list[tuple[str, Value]]] = {}
    for text in texts:
        key, equals, right = (part.strip() for part in text.partition("="))
        try:
            if not equals or not right:
                raise ConfigError(f"{flag} {text}: not understood; accepted: {_NOTATION[flag]}")
            if key in found:
                raise ConfigError(f"{flag} {key}: given twice; accepted: each key once")
            span = special(f"{flag} {text}: {key}", right)
            values: Choices = (span.low, span.high) if span else _listed(f"{key}={right}", flag)
            found[key] = span or values
            given[key] = [(f"{flag} {text}", value) for value in values]
        except ConfigError as error:
            problems.append(str(error))
    return found, [*problems, *_refused(given, base)]


_NOTATION: Final = {
    "--grid": "key.path=value,value,..., such as strategy.stall_T_ms=200,400,800",
    "--search": "key.path=low:high, low:high:log, low:high:step or value,value,..., "
    "such as strategy.stall_T_ms=100:2000:50",
}


def _listed(text: str, flag: str) -> Choices:
    """The values of ``key=value,value``, each in YAML's notation."""
    key, _, right = text.partition("=")
    try:
        node: Tree = read_set(f"{key}=[{right}]", flag)
    except ConfigError as error:
        raise ConfigError(str(error).replace(f"=[{right}]", f"={right}", 1)) from None
    for step in key.split("."):
        node = node.child(step) or node
    values = node.plain()
    if not values or any(values.count(value) > 1 for value in values):
        raise ConfigError(f"{flag} {text}: {key}: a value comes twice; accepted: {_NOTATION[flag]}")
    return tuple(values)


def _range(where: str, text: str) -> Range | None:
    """A range, or None if this is a list of values. Raises ConfigError."""
    parts = [part.strip() for part in text.split(":")]
    numbers = [_number(part) for part in parts]
    if len(parts) not in (2, 3) or numbers[0] is None or numbers[1] is None:
        return None
    low, high = numbers[0], numbers[1]
    log = len(parts) == 3 and parts[2] == "log"
    step = numbers[2] if len(parts) == 3 and not log else None
    if len(parts) == 3 and not log and (step is None or step <= 0):
        raise ConfigError(f"{where}: {parts[2]} is not a step; accepted: log, or a number above 0")
    if not low < high or (step is not None and step > high - low):
        raise ConfigError(f"{where}: the range is empty; accepted: low below high, a step up to high - low")
    if log and low <= 0:
        raise ConfigError(f"{where}: {low} has no logarithm; accepted: above 0 with log")
    if step is not None and isinstance(step, Decimal):
        low, high = Decimal(low), Decimal(high)
    return Range(low, high, step, log)


def _number(text: str) -> int | Decimal | None:
    try:
        number = Decimal(text)
    except ArithmeticError:
        return None
    if not number.is_finite():
        return None
    return int(number) if text.lstrip("+-").isdigit() else number


def _refused(given: Mapping[str, Sequence[tuple[str, Value]]], base: AppConfig) -> Iterator[str]:
    """Error messages for values that no parameter set can use."""
    tree = effective_tree(base)
    for key, values in given.items():
        others = [[(other, value) for _, value in found] for other, found in given.items() if other != key]
        for where, value in values:
            try:
                cfg = configured(tree, {key: value}, where)
            except ConfigError as error:
                cfg_of = _first_accepted(tree, key, value, others)
                if cfg_of is None:
                    yield str(error)
                    continue
                cfg = cfg_of
            if _columns_of(cfg) != _columns_of(base):
                yield f"{where}: {key}: the tape is prepared once for all sets; accepted: keys that do not change that"


def _first_accepted(
    tree: dict[str, Any], key: str, value: Value, others: Sequence[Sequence[tuple[str, Value]]]
) -> AppConfig | None:
    for combination in itertools.islice(itertools.product(*others), 10_000):
        try:
            return configured(tree, {**dict(combination), key: value}, "")
        except ConfigError:
            continue
    return None


def idle_keys(keys: Keys, base: AppConfig) -> list[str]:
    """Keys whose values have no effect on a replay."""
    tree, idle = effective_tree(base), []
    for key, values in keys.items():
        tried = (values.low, values.high) if isinstance(values, Range) else values
        changed = False
        for value in tried:
            try:
                changed = changed or replayed(configured(tree, {key: value}, "")) != replayed(base)
            except ConfigError:  # valid only together with another key's value
                changed = True
        if not changed:
            idle.append(key)
    return idle


# --- sets and spans


def configured(base: dict[str, Any], values: Values, origin: str) -> AppConfig:
    """The configuration of one set. Raises ConfigError, with ``origin`` as the place of the set's values."""
    tree = tree_of(base, Origin("configuration"))
    over = []
    for key, value in values.items():
        node = tree_of(value, Origin(origin))
        for step in reversed(key.split(".")):
            node = Tree({step: node}, Origin(origin))
        over.append(node)
    return app_config(reduce(merge, over, tree))


def grid(keys: Mapping[str, Choices]) -> Iterator[dict[str, Value]]:
    """Every combination, the last key's values changing fastest."""
    for combination in itertools.product(*keys.values()):
        yield dict(zip(keys, combination, strict=True))


def folds_of(whole: Span, folds: int, train_share: Decimal, sample_ns: int) -> tuple[Fold, ...]:
    """Walk-forward folds: each has a train span and a test span after it; the next fold is one test span later.

    Test spans are equally long, adjacent, and end with the tape. ``train_share`` is the train span's share of train and
    test together. Raises ConfigError for too short spans.
    """
    if not folds:
        return ()
    share = Fraction(train_share)
    ahead = share / (1 - share)
    unit = Fraction(whole.to_ns - whole.from_ns) / (ahead + folds)
    if min(unit, unit * ahead) < _FEWEST_INTERVALS * sample_ns:
        shortest = min(unit, unit * ahead) / NS_PER_S
        raise ConfigError(
            f"--folds {folds}: a span would be {float(shortest):.0f} s; "
            f"accepted: {_FEWEST_INTERVALS * sample_ns // NS_PER_S} s (three times --observe) or more"
        )

    def edge(tests: Fraction) -> int:
        return whole.from_ns + math.floor(unit * tests) if tests < ahead + folds else whole.to_ns

    return tuple(
        Fold(
            number,
            Span(f"train {number}", edge(Fraction(number - 1)), edge(ahead + number - 1)),
            Span(f"test {number}", edge(ahead + number - 1), edge(ahead + number)),
        )
        for number in range(1, folds + 1)
    )


# --- identity


def replayed(cfg: AppConfig) -> dict[str, Any]:
    """The part of a configuration that a replay depends on: without addresses, folders and logs."""
    tree = effective_tree(cfg)
    exchange = {name: value for name, value in tree["exchange"].items() if not name.endswith("_url")}
    return {"exchange": exchange, **{name: tree[name] for name in _REPLAYED}}


def identity(plan: Plan, cfg: AppConfig, *, tapes: Sequence[str], program: str) -> dict[str, Any]:
    """Everything that a result depends on. ``tapes`` are digests of the tapes, ``program`` is one of the code."""
    return {
        "program": program,
        "tapes": list(tapes),
        "configuration": as_json(replayed(cfg)),
        "latency files": _latency_files(plan, cfg),
        "keys": keys_json(plan.keys),
        "method": plan.method,
        "trials": plan.trials,
        "batch": plan.batch if plan.trials is not None else None,
        "objectives": list(plan.objectives),
        "seed": plan.seed,
        "folds": [[fold.train.from_ns, fold.train.to_ns, fold.test.to_ns] for fold in plan.folds],
        "observe": plan.sample_ns,
        "min_fills": plan.min_fills,
    }


def digest_of(held: Mapping[str, Any]) -> str:
    """Digest of an identity, sixteen hex digits."""
    return hashlib.sha256(json.dumps(held, sort_keys=True).encode()).hexdigest()[:16]


def keys_json(keys: Keys) -> dict[str, Any]:
    """Keys for JSON: lists of values, or ranges."""
    return {
        key: [as_json(value) for value in values] if isinstance(values, tuple) else _range_json(values)
        for key, values in keys.items()
    }


def as_json(value: Value) -> Any:
    """A value for JSON; decimals become floats."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, Mapping):
        return {str(key): as_json(child) for key, child in value.items()}
    return [as_json(item) for item in value] if isinstance(value, list | tuple) else value


def _range_json(values: Range) -> dict[str, Any]:
    found = {"low": as_json(values.low), "high": as_json(values.high)}
    if values.step is not None:
        found["step"] = as_json(values.step)
    return {**found, "log": True} if values.log else found


def _latency_files(plan: Plan, cfg: AppConfig) -> list[str]:
    """Digests of the files of recorded latencies that runs may read."""
    names = {cfg.paper.order_latency.file, cfg.paper.cancel_latency.file}
    for key in ("paper.order_latency.file", "paper.cancel_latency.file"):
        values = plan.keys.get(key, ())
        names |= {str(value) for value in values} if isinstance(values, tuple) else set()
    found = []
    for name in sorted(names - {""}):
        try:
            found.append(hashlib.sha256(Path(name).read_bytes()).hexdigest())
        except OSError as error:
            raise ConfigError(f"latency file {name}: {error.strerror}; accepted: a file") from None
    return found


def _columns_of(cfg: AppConfig) -> tuple[Any, ...]:
    tree = effective_tree(cfg)
    return (*(tree[section][name] for section, name in _PREPARED), cfg.ws.max_frame_bytes)


def _combinations(keys: Keys) -> int:
    return math.prod(len(values) for values in keys.values() if isinstance(values, tuple))


def _raise_all(problems: Sequence[str]) -> None:
    if problems:
        raise ConfigError("\n".join(problems))
