"""A snapshot made again of its plain form, for programs that ask the daemon over its socket."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from decimal import Decimal, InvalidOperation
from enum import Enum, StrEnum
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from stall_then_strike.app.view.snapshot import Snapshot
from stall_then_strike.infra.logs.log_reader import stamp_ns


def snapshot_of(content: object) -> Snapshot:
    """The snapshot of which :func:`as_plain` made ``content``; stamps are whole microseconds.

    Fields that are not known here are left out, and absent ones have their default: the daemon may be of another
    version. Raises ValueError.
    """
    try:
        made: Snapshot = _made(Snapshot, content)
    except (TypeError, KeyError, InvalidOperation, AttributeError) as error:
        raise ValueError(f"no snapshot: {error}") from error
    return made


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _made(kind: Any, value: Any) -> Any:
    if get_origin(kind) in (Union, UnionType):
        return None if value is None else _made(next(one for one in get_args(kind) if one is not NoneType), value)
    if get_origin(kind) is tuple:
        return tuple(_made(get_args(kind)[0], item) for item in value)
    if is_dataclass(kind):
        return _of_fields(kind, value)
    if kind is Decimal:
        return Decimal(value)
    if issubclass(kind, StrEnum):
        return kind(value)
    if issubclass(kind, Enum):
        return kind[value.upper()]
    return float(value) if kind is float else _checked(kind, value)


def _of_fields(kind: Any, content: Mapping[str, Any]) -> Any:
    hints, given = _hints(kind), {}
    for one in fields(kind):
        name = one.name.removesuffix("_ns")
        if not one.init or (name not in content and not _is_needed(one)):
            continue
        value = content[name]
        given[one.name] = stamp_ns(value) if one.name.endswith("_ns") else _made(hints[one.name], value)
    return kind(**given)


def _is_needed(one: Field[Any]) -> bool:
    return one.default is MISSING and one.default_factory is MISSING


def _checked(kind: type, value: Any) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"{value!r:.40} is no {kind.__name__}")
    return value
