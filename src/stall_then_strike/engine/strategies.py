"""The strategy that a configuration names: stall-then-strike, another of ours, or a class of the user's own.

A user's class is imported by its name from where Python finds modules; the commands add the configuration's folder and
the current one. This is the only import by name in the engine, and it happens before a run begins.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Final, TypeGuard

from pydantic import BaseModel, ValidationError

from stall_then_strike.config.models import AppConfig
from stall_then_strike.config.trading import STALL_THEN_STRIKE
from stall_then_strike.engine import context
from stall_then_strike.engine.sandbox import Sandbox
from stall_then_strike.engine.strategy import Strategy
from stall_then_strike.engine.strategy_stall import stall_then_strike
from stall_then_strike.types.errors import ConfigError
from stall_then_strike.types.instrument import Instrument

_OURS: Final[Mapping[str, str]] = {"grid": "stall_then_strike.engine.strategy_grid.Grid"}
"""Our other strategies by their short names."""
_ACCEPTED: Final = f"accepted: {', '.join([STALL_THEN_STRIKE, *_OURS])}, or module.Class of your own"


class StrategyUnusable(ConfigError):
    """The strategy that is named cannot be made; ``at`` is the key that says so."""

    def __init__(self, problem: str, *at: str) -> None:
        """``problem`` says what is accepted, too."""
        super().__init__(f"{'.'.join(at)}: {problem}")
        self.problem, self.at = problem, at


class ParametersUnfit(StrategyUnusable):
    """The strategy's model does not take its parameters."""

    def __init__(self, model: type[BaseModel], error: ValidationError) -> None:
        """``model`` says what would be accepted."""
        super().__init__(str(error), "parameters")
        self.model, self.error = model, error


def configured(cfg: AppConfig, instrument: Instrument) -> Strategy:
    """The strategy of one instrument. Raises StrategyUnusable."""
    name, given = cfg.strategy.name, cfg.parameters
    if name == STALL_THEN_STRIKE:
        if given:
            raise StrategyUnusable(f"{STALL_THEN_STRIKE} has its settings in strategy; accepted: none", "parameters")
        return stall_then_strike(cfg, instrument)
    kind = _class(name)
    try:
        parameters = given if kind.Parameters is None else kind.Parameters.model_validate(given)
        return Sandbox(kind(parameters), cfg, instrument)
    except ValidationError as error:
        if kind.Parameters is not None and error.title == kind.Parameters.__name__:
            raise ParametersUnfit(kind.Parameters, error) from error
        raise _unfit(name, error) from error
    except Exception as error:  # whatever a user's class raises, the start ends with a clear text
        raise _unfit(name, error) from error


def _unfit(name: str, error: Exception) -> StrategyUnusable:
    """What a strategy's own check says. It may begin with the key that is meant."""
    key, colon, said = str(error).partition(": ")
    if isinstance(error, ValueError) and colon and key.isidentifier():
        return StrategyUnusable(said, "parameters", key)
    told = str(error) if isinstance(error, ValueError) else repr(error)
    return StrategyUnusable(f"{name} does not take them: {told}; accepted: what its class says", "parameters")


def _class(name: str) -> type[context.Strategy]:
    """The class of a name. Raises StrategyUnusable."""
    module_name, dot, class_name = _OURS.get(name, name).rpartition(".")
    if not dot:
        raise StrategyUnusable(f"{name} is no strategy; {_ACCEPTED}", "strategy", "name")
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise _not_imported(module_name, error) from error
        places = "the configuration's folder, the current folder or the environment"
        raise StrategyUnusable(
            f"there is no module {module_name}; accepted: one in {places}", "strategy", "name"
        ) from error
    except Exception as error:  # whatever a user's module raises
        raise _not_imported(module_name, error) from error
    kind = getattr(module, class_name, None)
    if not _is_strategy(kind):
        found = [key for key, value in vars(module).items() if _is_strategy(value) and value is not context.Strategy]
        accepted = ", ".join(found) or f"a subclass of {context.__name__}.Strategy"
        where = getattr(module, "__file__", module_name)
        raise StrategyUnusable(f"{where} has no strategy {class_name}; accepted: {accepted}", "strategy", "name")
    return kind


def _is_strategy(value: object) -> TypeGuard[type[context.Strategy]]:
    return isinstance(value, type) and issubclass(value, context.Strategy)


def _not_imported(module_name: str, error: Exception) -> StrategyUnusable:
    return StrategyUnusable(
        f"{module_name} cannot be imported: {error!r}; accepted: a module without errors", "strategy", "name"
    )
