"""Reads a plan of faults from a YAML file; `configs/faults.yml` is a documented sample.

The notation is that of the settings (`config/layers.py`): numbers are read from their text, nothing is expanded, and
duplicate or unknown keys are refused. All errors are reported at once, each as ``file:line: key: value, what is wrong;
accepted: what``.
"""

from __future__ import annotations

from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from stall_then_strike.config.fields import Number, Section
from stall_then_strike.config.layers import Tree, read_file, show
from stall_then_strike.sim.faults.kinds import (
    HALTS,
    SPECS,
    TX_REFUSALS,
    Fault,
    FaultKind,
    FaultPlan,
    FaultVenue,
    kinds_of,
)
from stall_then_strike.types.dto import BoardState, Health
from stall_then_strike.types.errors import ConfigError

_HEALTHS: Final = tuple(health for health in Health if health is not Health.UNKNOWN)


def _words(members: tuple[Enum, ...]) -> str:
    return ", ".join(str(member.value) for member in members)


class FaultEntry(Section):
    """One item of ``faults``; keys that are not given have the defaults of :class:`Fault`.

    The descriptions follow "accepted:" in error messages.
    """

    kind: FaultKind = Field(strict=False, description=_words(tuple(FaultKind)))
    name: str = Field(default="", description="text, under which strikes are counted")
    from_s: Number = Field(default=Decimal(0), description="seconds of venue time since the start, 0 or more")
    to_s: Number | None = Field(default=None, description="seconds of venue time since the start, above from_s")
    chance: Number = Field(default=Decimal(1), description="a number above 0 to 1")
    count: int | None = Field(default=None, description="a whole number, 1 or more")
    skip: int = Field(default=0, description="a whole number, 0 or more")
    channel: str | None = Field(default=None, description="text, a channel's name or a glob such as lightning_board_*")
    event: str | None = Field(default=None, description="text, an event_type such as EXECUTION")
    path: str | None = Field(default=None, description="text, a call's path or a glob such as /v1/me/*")
    method: str | None = Field(default=None, description="text: auth, subscribe or unsubscribe")
    seconds: Number | None = Field(default=None, description="a number of seconds")
    ticks: int = Field(default=1_000, description="a whole number of ticks")
    lots: int = Field(default=100_000, description="a whole number of lots (1e-8 BTC)")
    missing: tuple[str, ...] = Field(default=(), strict=False, description="a list of names of fields")
    blank: bool = Field(default=False, description="true or false")
    http_status: int | None = Field(default=None, description="a whole number, 200 to 599")
    backlog: bool = Field(default=False, description="true or false")
    health: Health = Field(default=Health.SUPER_BUSY, strict=False, description=_words(_HEALTHS))
    state: BoardState = Field(default=BoardState.CIRCUIT_BREAK, strict=False, description=_words(HALTS))
    by: int = Field(default=1, description="a whole number, 1 or more")
    code: int = Field(default=21_104, description=", ".join(map(str, TX_REFUSALS)))

    def fault(self) -> Fault:
        """The fault. Raises ValueError for values that do not fit together."""
        given: dict[str, Any] = {name: getattr(self, name) for name in self.model_fields_set}
        for name in given.keys() & {"from_s", "to_s", "chance", "seconds"}:
            given[name] = None if given[name] is None else float(given[name])
        return Fault(**given)


class FaultsFile(Section):
    """The whole file."""

    seed: int = Field(default=1, description="a whole number")
    faults: tuple[FaultEntry, ...] = Field(strict=False, description="a list of faults, each with a kind")


def load_fault_plan(path: str | Path, venue: FaultVenue = FaultVenue.BITFLYER) -> FaultPlan:
    """Read and check a plan for an exchange. Raises ConfigError, whose text lists every error and what is accepted."""
    tree = read_file(Path(path))
    try:
        file = FaultsFile.model_validate(tree.plain())
    except ValidationError as error:
        raise _refusal([_explain(detail, tree) for detail in error.errors(include_url=False)]) from error
    faults: list[Fault] = []
    problems: list[str] = []
    for index, entry in enumerate(file.faults):
        if venue not in SPECS[entry.kind].venues:
            origin = tree.nearest(("faults", index, "kind")).origin
            problems.append(f"{origin}: faults.{index}.kind: {_not_shown(entry.kind, venue)}")
            continue
        try:
            faults.append(entry.fault())
        except ValueError as error:
            for line in str(error).splitlines():
                key, _, text = line.partition(": ")
                origin = tree.nearest(("faults", index, key)).origin
                problems.append(f"{origin}: faults.{index}.{key}: {text}")
    if problems:
        raise _refusal(problems)
    return FaultPlan(tuple(faults), seed=file.seed)


def _not_shown(kind: FaultKind, venue: FaultVenue) -> str:
    return f"{kind.value} is no fault of {venue.value}'s exchange; accepted: {_words(kinds_of(venue))}"


def _refusal(problems: list[str]) -> ConfigError:
    if len(problems) == 1:
        return ConfigError(problems[0])
    return ConfigError("\n".join([f"{len(problems)} errors in the faults:", *(f"  {p}" for p in problems)]))


def _explain(detail: ErrorDetails, tree: Tree) -> str:
    path = detail["loc"]
    model, field = _field_at(path)
    node = tree.nearest(path)
    say = f"{node.origin}: {'.'.join(map(str, path))}:"
    if detail["type"] == "extra_forbidden":
        return f"{say} unknown key (given {show(node.plain())}); accepted: {', '.join(model.model_fields)}"
    accepted = f"a mapping with the keys {', '.join(model.model_fields)}" if field is None else field.description
    if detail["type"] == "missing":
        return f"{say} is missing; accepted: {accepted}"
    return f"{say} {show(node.plain())} is not accepted; accepted: {accepted}"


def _field_at(path: tuple[str | int, ...]) -> tuple[type[BaseModel], FieldInfo | None]:
    """The section at a path, and the field there; None for the section itself or an unknown key."""
    names: list[Any] = list(path)
    if len(names) > 1 and names[0] == "faults":
        return FaultEntry, FaultEntry.model_fields.get(str(names[2])) if len(names) > 2 else None
    return FaultsFile, FaultsFile.model_fields.get(str(names[0])) if names else None
