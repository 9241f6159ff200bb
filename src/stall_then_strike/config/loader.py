"""From YAML layers to an :class:`AppConfig`, and back to YAML.

The layers are a base file, an override, and any number of ``--set key.path=value``. A later layer wins. A
configuration that cannot be used is refused with all of its faults at once, each as ``where: key path: value, what is
wrong; accepted: what``. ``layers`` reads the files, ``models`` says what is allowed, and this module joins the two.
Credentials are not configuration: they come from the environment, and are read where they are used.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from datetime import time
from decimal import Decimal
from enum import Enum
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from stall_then_strike.config.fields import is_secret
from stall_then_strike.config.layers import RESOLVERS, Tree, read_file, read_set, show
from stall_then_strike.config.models import AppConfig
from stall_then_strike.config.venue_layers import with_venue
from stall_then_strike.types.errors import ConfigError
from stall_then_strike.types.text import plain

_BOUNDS: Final = (("ge", "{} or more"), ("gt", "above {}"), ("le", "{} or less"), ("lt", "below {}"))


def load_app_config(
    base_path: str | Path, override_path: str | Path | None = None, sets: Sequence[str] = ()
) -> AppConfig:
    """Read the layers and check them.

    Raises ConfigError. Its text lists everything that is wrong, and what is accepted instead.
    """
    return app_config(read_layers(base_path, override_path, sets))


def read_layers(base_path: str | Path, override_path: str | Path | None = None, sets: Sequence[str] = ()) -> Tree:
    """The layers as one tree. Raises ConfigError for those that cannot be read."""
    trees: list[Tree] = []
    problems: list[str] = []
    for path in (base_path, *(() if override_path is None else (override_path,))):
        try:
            trees.append(read_file(Path(path)))
        except ConfigError as error:
            problems.append(str(error))
    for text in sets:
        try:
            trees.append(read_set(text))
        except ConfigError as error:
            problems.append(str(error))
    if problems:
        raise _refusal(problems)
    return with_venue(trees)


def app_config(tree: Tree) -> AppConfig:
    """Check a whole configuration. Raises ConfigError as :func:`load_app_config` does."""
    try:
        return AppConfig.model_validate(tree.plain())
    except ValidationError as error:
        raise explained(error, tree) from error


def explained(
    error: ValidationError, tree: Tree, root: type[BaseModel] = AppConfig, at: tuple[str | int, ...] = ()
) -> ConfigError:
    """What is wrong in the section at a path, which ``root`` describes; by default in the whole configuration."""
    details = error.errors(include_url=False)
    return _refusal([line for detail in details for line in _explain(detail, tree, root, at)])


def located(problem: str, tree: Tree, at: tuple[str | int, ...]) -> ConfigError:
    """A problem with the value at a path, with the layer that gave it."""
    given = tree.at(at) or tree.at(_inherited(at))
    return ConfigError(f"{given.origin if given else 'built-in default'}: {_dotted(at)}: {problem}")


def effective_yaml(cfg: AppConfig) -> str:
    """The whole configuration as YAML, defaults included. The loader reads it back to an equal configuration."""
    return yaml.dump(
        _dumpable(cfg), Dumper=_Writer, sort_keys=False, allow_unicode=True, default_flow_style=False, width=120
    )


def effective_tree(cfg: AppConfig) -> dict[str, Any]:
    """The same as plain dicts, lists and scalars, with decimals kept. `AppConfig` reads it back to an equal one."""
    tree: dict[str, Any] = _dumpable(cfg)
    return tree


def config_digest(cfg: AppConfig) -> str:
    """Twelve hex digits that are equal for equal effective configurations, addresses, folders and account left out.

    They say what a run is told to do and not where, so two runs on different ports are equal.
    """
    plain = cfg.model_copy(update={"exchange": AppConfig().exchange.model_copy(update={"limits": cfg.exchange.limits})})
    account = cfg.account.model_copy(update={"name": ""})
    plain = plain.model_copy(
        update={"journal": AppConfig().journal, "account": account, "control": AppConfig().control}
    )
    return sha256(effective_yaml(plain).encode()).hexdigest()[:12]


def _refusal(problems: Sequence[str]) -> ConfigError:
    if len(problems) == 1:
        return ConfigError(problems[0])
    return ConfigError("\n".join([f"{len(problems)} errors in the configuration:", *(f"  {p}" for p in problems)]))


# --- Saying what is wrong --------------------------------------------------------------------------------------------


def _explain(detail: ErrorDetails, tree: Tree, root: type[BaseModel], at: tuple[str | int, ...]) -> Iterator[str]:
    """One line for each problem of one pydantic error."""
    kind = detail["type"]
    model, field = _field_at(detail["loc"], root)
    path = (*at, *detail["loc"])
    if kind == "value_error" and field is None:
        # This comes from a validator over several keys. Its lines start with the key, relative to its own section.
        for line in str(detail["ctx"]["error"]).splitlines():
            key, _, text = line.partition(": ")
            full = (*path, *(int(step) if step.isdigit() else step for step in key.split(".")))
            given = tree.at(full) or tree.at(_inherited(full))
            yield f"{given.origin if given else 'built-in default'}: {_dotted(full)}: {text}"
        return
    node = tree.at(path) or tree.at(_inherited(path)) or tree.nearest(path)
    say = f"{node.origin}: {_dotted(path)}:"
    if kind == "extra_forbidden":
        yield f"{say} {_unknown(path, node.plain(), model)}"
    elif kind == "missing" and field is not None:
        yield f"{say} is missing; accepted: {_accepted(field.annotation, field)}"
    else:
        annotation = model if field is None else _annotation_at(field, path)
        wrong = f" ({detail['ctx']['error']})" if kind == "value_error" else ""
        yield f"{say} {show(node.plain())} is not accepted{wrong}; accepted: {_accepted(annotation, field)}"


def _inherited(path: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Where an instrument's key is taken from if it is not given: ``strategy``, ``parameters`` or ``exchange``."""
    if path[:1] != ("instruments",) or len(path) < 3:
        return path
    return path[2:] if path[2] in ("strategy", "parameters") else ("exchange", *path[2:])


def _unknown(path: tuple[str | int, ...], value: object, model: type[BaseModel]) -> str:
    """The message about a key that nobody reads, with the key that was probably meant."""
    name = str(path[-1])
    shown = "" if is_secret(name) else f" (given {show(value)})"
    hint = ""
    if is_secret(name):
        hint = "; credentials belong in .env or accounts.toml"
    elif "." not in name and (close := difflib.get_close_matches(name, model.model_fields, n=1, cutoff=0.6)):
        hint = f"; did you mean {_dotted((*path[:-1], close[0]))}?"
    else:
        # It may be the right word in the wrong section, or one level too far to the left.
        by_name = {known.rsplit(".", 1)[-1]: known for known in _key_paths(AppConfig)}
        by_name.update({known: known for known in _key_paths(AppConfig)})
        if close := difflib.get_close_matches(name, by_name, n=1, cutoff=0.75):
            hint = f"; did you mean {by_name[close[0]]} (one level of the YAML per dot)?"
    return f"unknown key{shown}{hint}; accepted: {', '.join(model.model_fields)}"


def _dotted(path: tuple[str | int, ...]) -> str:
    return ".".join(map(str, path))


def _key_paths(model: type[BaseModel], above: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield above + name
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _key_paths(field.annotation, f"{above}{name}.")


def _field_at(path: tuple[str | int, ...], root: type[BaseModel]) -> tuple[type[BaseModel], FieldInfo | None]:
    """The section in which a path ends, and its field there: None for a section itself or an unknown key."""
    model = root
    field: FieldInfo | None = None
    for step in path:
        if isinstance(step, int):
            inner = get_args(field.annotation)[0] if field is not None else None
        else:
            field = model.model_fields.get(step)
            inner = None if field is None else field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            model, field = inner, None
    return model, field


def _annotation_at(field: FieldInfo, path: tuple[str | int, ...]) -> Any:
    """The type that is expected at a path: a list's own type, or with an index that of its items."""
    return get_args(field.annotation)[0] if isinstance(path[-1], int) else field.annotation


def _accepted(annotation: Any, field: FieldInfo | None) -> str:
    """What a key accepts, and what it means."""
    described = f" ({field.description})" if field is not None and field.description else ""
    return accepted(annotation, field) + described


def accepted(annotation: Any, field: FieldInfo | None = None) -> str:
    """What a key of this type accepts, in words, with the field's bounds."""
    if get_origin(annotation) is tuple:
        text = f"a list, each item {accepted(get_args(annotation)[0])}"
    elif get_origin(annotation) is dict:
        text = "a mapping with the strategy's own keys"
    elif get_origin(annotation) is Literal:
        text = " or ".join(map(str, get_args(annotation)))
    elif hasattr(annotation, "__metadata__"):  # Annotated, in a list
        return accepted(get_args(annotation)[0], field)
    elif not isinstance(annotation, type):
        raise AssertionError(f"no words for {annotation!r}: a new kind of setting needs some")
    elif issubclass(annotation, Enum):
        text = ", ".join(str(member.value) for member in annotation)
    elif issubclass(annotation, BaseModel):
        text = f"a mapping with the keys {', '.join(annotation.model_fields)}"
    else:
        words: Mapping[type, str] = {
            bool: "true or false",
            int: "a whole number",
            Decimal: "a number",
            str: "text",
        }
        text = words.get(annotation, 'a time of day, "HH:MM" or "HH:MM:SS"')
    if field is None:
        return text
    bounds = [
        words.format(f"{bound:f}" if isinstance(bound, Decimal) else bound)
        for name, words in _BOUNDS
        for meta in field.metadata
        if (bound := getattr(meta, name, None)) is not None
    ]
    patterns = [f"matching {meta.pattern}" for meta in field.metadata if getattr(meta, "pattern", None)]
    if annotation is Decimal:
        bounds.append("at most 10 digits before the point and 9 after it")
    return ", ".join([text, *bounds, *patterns])


# --- Writing it back -------------------------------------------------------------------------------------------------


class _Writer(yaml.SafeDumper):
    """Quotes exactly what the reader would not read as text."""

    yaml_implicit_resolvers = RESOLVERS

    def ignore_aliases(self, data: Any) -> bool:
        """Write everything in full, because the reader accepts no aliases."""
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Indent the items of a list under their key."""
        super().increase_indent(flow, False)


def _write_decimal(writer: yaml.SafeDumper, value: Decimal) -> yaml.ScalarNode:
    text = plain(value)
    return writer.represent_scalar("tag:yaml.org,2002:float" if "." in text else "tag:yaml.org,2002:int", text)


def _write_text(writer: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    # A time of day is text here. Other YAML readers take it for the number 360, so it is quoted for them.
    style = '"' if ":" in value and value[:1].isdigit() else None
    return writer.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Writer.add_representer(Decimal, _write_decimal)
_Writer.add_representer(str, _write_text)


def _dumpable(value: object) -> Any:
    match value:
        case BaseModel():
            return {name: _dumpable(getattr(value, name)) for name in type(value).model_fields}
        case tuple():
            return [_dumpable(item) for item in value]
        case Enum():
            return value.value
        case time():
            return value.isoformat(timespec="seconds" if value.second else "minutes")
        case _:
            return value
