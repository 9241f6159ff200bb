"""Values of ``types.dto`` as JSON and back, exactly: integers of any length, enums by value, tuples as arrays.

There is no hand-written code for a type: the type of a field is read from its annotation. So a field that is added to
an event is recorded without further work, and older recordings get the field's default. A value that does not match its
type is refused when it is read.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

from stall_then_strike.types import dto

EVENTS: Final[dict[str, type]] = {kind.__name__: kind for kind in get_args(dto.Event)}
"""All event types by name."""

Decoder = Callable[[Any], Any]


def encode(value: Any) -> Any:
    """A value as objects that ``json`` can write. Raises TypeError for an unsupported type."""
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, str | int):
        return value
    if is_dataclass(value):
        return {field.name: encode(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple):
        names = getattr(value, "_fields", None)
        if names is not None:
            return {name: encode(item) for name, item in zip(names, value, strict=True)}
        return [encode(item) for item in value]
    raise TypeError(f"{type(value).__name__} cannot be recorded")


def encode_event(event: dto.Event) -> tuple[str, Any]:
    """An event's type name and content."""
    return type(event).__name__, encode(event)


def decode_event(kind: str, content: Any) -> dto.Event:
    """The event of a type name and content. Raises ValueError."""
    if kind not in EVENTS:
        raise ValueError(f"{kind!r} is not a kind of event")
    event: dto.Event = decode(EVENTS[kind], content)
    return event


def decode(kind: Any, content: Any) -> Any:
    """A value of the type ``kind`` from what ``json`` has read. Raises ValueError."""
    try:
        return _decoder(kind)(content)
    except TypeError as error:
        raise ValueError(str(error)) from error


@cache
def _decoder(kind: Any) -> Decoder:
    origin = get_origin(kind)
    if hasattr(kind, "__supertype__"):  # a NewType
        return _decoder(kind.__supertype__)
    if origin in (Union, types.UnionType):
        return _optional(kind)
    if origin is tuple:
        return _array(kind)
    if kind in (int, str, bool):
        return _exactly(kind)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind
    if is_dataclass(kind) or hasattr(kind, "_fields"):
        return _record(kind)
    raise TypeError(f"{kind!r} cannot be recorded")


def _exactly(kind: type) -> Decoder:
    def take(content: Any) -> Any:
        if type(content) is not kind:
            raise ValueError(f"{content!r} is not of type {kind.__name__}")
        return content

    return take


def _optional(kind: Any) -> Decoder:
    arms = [arm for arm in get_args(kind) if arm is not type(None)]
    if len(arms) != 1:
        raise TypeError(f"{kind!r} cannot be recorded")
    inner = _decoder(arms[0])
    return lambda content: None if content is None else inner(content)


def _array(kind: Any) -> Decoder:
    arms = get_args(kind)
    if len(arms) != 2 or arms[1] is not Ellipsis:
        raise TypeError(f"{kind!r} cannot be recorded")
    inner = _decoder(arms[0])

    def take(content: Any) -> Any:
        if type(content) is not list:
            raise ValueError(f"{content!r} is not an array")
        return tuple(map(inner, content))

    return take


def _with_defaults(kind: Any) -> frozenset[str]:
    """The fields that may be missing, because they have a default."""
    if is_dataclass(kind):
        return frozenset(field.name for field in fields(kind) if field.default is not MISSING)
    return frozenset(kind._field_defaults)


def _record(kind: Any) -> Decoder:
    parts = {name: _decoder(hint) for name, hint in get_type_hints(kind).items()}
    needed = parts.keys() - _with_defaults(kind)

    def take(content: Any) -> Any:
        if type(content) is not dict or not needed <= content.keys() <= parts.keys():
            raise ValueError(f"not the fields of {kind.__name__}: {content!r}")
        try:
            return kind(**{name: parts[name](value) for name, value in content.items()})
        except ValueError as error:
            raise ValueError(f"{kind.__name__}: {error}") from error

    return take
