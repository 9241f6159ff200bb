"""The reference of all settings, from their models; and from the same words the comments of configs/base.yml.

The meaning of a setting is told once, in the description of its field. What accepts it, its default and its bounds are
the field's own. Which of the package's files give it another value is read from these files.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator, Mapping
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Any, Final, NamedTuple

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from stall_then_strike.config.changes import RISK_KEYS, STRATEGY_KEYS
from stall_then_strike.config.layers import NEUTRAL_NAMES, Tree, read_file
from stall_then_strike.config.loader import accepted, effective_tree
from stall_then_strike.config.models import AppConfig, QuietWindow
from stall_then_strike.types.text import plain
from studies.site.drawn import ROOT, cell

CONFIGS: Final = ROOT / "src/stall_then_strike/config/defaults"
BASE: Final = CONFIGS / "base.yml"
FILES: Final = ("venue-lighter", "lighter", "lighter-sim", "grid", "lighter-grid", "backtest", "sim", "paper", "live")
"""Files that are laid over base.yml, by their names."""
RELOADED: Final = STRATEGY_KEYS | RISK_KEYS
_UNITS: Final = re.compile(
    r", (ms|seconds|ticks|JPY|BTC|days|MB|quote currency|base currency|share of notional|bytes)(?=$| \(|;)"
)
_SUFFIXES: Final[Mapping[str, str]] = {
    "_ms": "ms",
    "_sec": "seconds",
    "_ticks": "ticks",
    "_tick": "ticks",
    "_bytes": "bytes",
    "_days": "days",
    "_mb": "MB",
    "_per_s": "a second",
    "_rate": "share of notional",
    "_fee": "share of notional",
    "_share": "share, 0 to 1",
}
_DIGITS: Final = ", at most 10 digits before the point and 9 after it"
_PAGE: Final = re.compile(r"docs/([\w-]+)\.md")
_PATTERN: Final = re.compile(r"matching (\S.*)$")
_COLUMNS: Final = ("key", "meaning", "default", "unit", "accepted", "reload", "set otherwise by")
_COLUMN: Final = 38
"""Where comments of base.yml begin."""
_WIDTH: Final = 120


class Setting(NamedTuple):
    """One key."""

    key: str
    field: FieldInfo
    default: object

    @property
    def name(self) -> str:
        """The key without its section."""
        return self.key.rsplit(".", 1)[-1]

    @property
    def meaning(self) -> str:
        """What it means, in words."""
        if not self.field.description:
            raise ValueError(f"{self.key} has no description: its field in config/ needs one")
        return self.field.description

    @property
    def unit(self) -> str:
        """What its number counts; empty for texts and for plain counts."""
        if self.field.annotation not in (int, Decimal) and "Decimal" not in str(self.field.annotation):
            return ""
        found = _UNITS.search(self.meaning)
        by_name = (unit for end, unit in _SUFFIXES.items() if self.name.endswith(end))
        return found[1] if found else next(by_name, "")


class Part(NamedTuple):
    """A section."""

    key: str
    model: type[BaseModel]
    settings: tuple[Setting, ...]


@cache
def parts() -> tuple[Part, ...]:
    """All sections, in the order of the configuration; the keys above all sections are the first part."""
    base = effective_tree(AppConfig())
    return tuple(part for part in _parts(AppConfig, "", base) if part.settings)


def _parts(model: type[BaseModel], key: str, tree: Mapping[str, Any]) -> Iterator[Part]:
    at = f"{key}." if key else ""
    inner = {name: field for name, field in model.model_fields.items() if _section(field) is not None}
    own = [Setting(at + name, field, tree[name]) for name, field in model.model_fields.items() if name not in inner]
    yield Part(key, model, tuple(own))
    for name, field in inner.items():
        section = _section(field)
        assert section is not None  # noqa: S101 - chosen by that
        yield from _parts(section, at + name, tree[name])


def _section(field: FieldInfo) -> type[BaseModel] | None:
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


# --- The page


def reference() -> str:
    """All sections as tables."""
    return "\n\n".join(_told(part) for part in parts())


def _told(part: Part) -> str:
    others = given_otherwise()
    head = [f"## {part.key}" if part.key else "## Above all sections", "", _lead(part.model), ""]
    optional = {
        "reload": any(one.key in RELOADED for one in part.settings),
        "set otherwise by": any(one.key in others for one in part.settings),
        "unit": any(one.unit for one in part.settings),
    }
    columns = [name for name in _COLUMNS if optional.get(name, True)]
    rows = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    for one in part.settings:
        cells = {
            "key": _names(one.key),
            "default": f"`{shown(one.default)}`",
            "accepted": cell(accepts(one.field)),
            "unit": one.unit,
            "meaning": cell(_PAGE.sub(r"[\1](\1.md)", _UNITS.sub("", one.meaning)) + _choices(one.field)),
            "reload": "at once" if one.key in RELOADED else "",
            "set otherwise by": "<br>".join(f"{name}: {value}" for name, value in others.get(one.key, ())),
        }
        rows.append(f"| {' | '.join(cells[name] for name in columns)} |")
    return "\n".join(head + rows)


def _lead(model: type[BaseModel]) -> str:
    text = inspect.cleandoc(model.__doc__ or "")
    return re.sub(r"``([^`]+)``", r"`\1`", text.replace("docs/", ""))


def _names(key: str) -> str:
    section, _, name = key.rpartition(".")
    short = next((new for (at, new), old in NEUTRAL_NAMES.items() if section.endswith(at) and old == name), None)
    return f"`{name}`" if short is None else f"`{name}`<br>or `{short}`"


def accepts(field: FieldInfo) -> str:
    """What a setting accepts, in words."""
    text = accepted(field.annotation, field).replace(_DIGITS, "")
    return _PATTERN.sub(lambda found: f"matching `{found[1]}`", text)


def _choices(field: FieldInfo) -> str:
    """What each word of a choice means, where its code says so."""
    kind = field.annotation
    if not (isinstance(kind, type) and issubclass(kind, Enum)):
        return ""
    told = [f"*{member.value}*: {text}" for member in kind if (text := _said(kind).get(member.name))]
    return "".join(f"<br>{line}" for line in told).replace("``", "`")


@cache
def _said(kind: type[Enum]) -> dict[str, str]:
    """The texts below the members of a choice, by their names."""
    (found,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(found, ast.ClassDef)  # noqa: S101 - the source of a class
    texts = {}
    for step, after in zip(found.body, found.body[1:], strict=False):
        if isinstance(step, ast.Assign) and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            name = step.targets[0]
            assert isinstance(name, ast.Name)  # noqa: S101 - a member
            texts[name.id] = str(after.value.value)
    return texts


def shown(value: object) -> str:
    """A value as settings have it."""
    match value:
        case bool():
            return str(value).lower()
        case Decimal():
            return plain(value)
        case str():
            return value or '""'
        case Mapping():
            return f"{{{', '.join(f'{key}: {shown(one)}' for key, one in value.items())}}}"
        case list() | tuple():
            return f"[{', '.join(map(shown, value))}]"
        case _:
            return str(value)


@cache
def given_otherwise() -> dict[str, tuple[tuple[str, str], ...]]:
    """The package's files that give a key another value than its default, and the value, by key."""
    defaults = {one.key: f"`{shown(one.default)}`" for part in parts() for one in part.settings}
    found: dict[str, list[tuple[str, str]]] = {}
    for name in ("base", *FILES):
        for key, value in _flat(read_file(CONFIGS / f"{name}.yml")):
            if key in defaults and value != defaults[key]:
                found.setdefault(key, []).append((f"{name}.yml", value))
    return {key: tuple(values) for key, values in found.items()}


def _flat(tree: Tree, key: str = "") -> Iterator[tuple[str, str]]:
    known = {one.key for part in parts() for one in part.settings}
    if key not in known and isinstance(tree.value, dict):
        for name, child in tree.value.items():
            yield from _flat(child, f"{key}.{name}" if key else name)
    elif isinstance(tree.value, list) and tree.value and any(isinstance(one.value, dict) for one in tree.value):
        yield key, f"{len(tree.value)} of them"
    elif isinstance(tree.value, dict) and tree.value:
        yield key, "its own"
    else:
        yield key, f"`{cell(shown(tree.plain()))}`"


# --- The comments of base.yml


def commented(text: str) -> str:
    """base.yml with each setting's meaning beside it. Lines of comment alone and sections' own comments stay."""
    meanings = {one.key: one.meaning for part in parts() for one in part.settings}
    lines: list[str] = []
    path: list[str] = []
    for line in text.splitlines():
        found = re.match(r"( *)([A-Za-z]\w*):(?: |$)", line)
        if found is not None:
            path = [*path[: len(found[1]) // 2], found[2]]
        elif re.match(rf" {{{_COLUMN}}}# ", line):
            continue  # the end of a longer comment
        meaning = meanings.get(".".join(path)) if found is not None else None
        lines += [line] if meaning is None else _beside(line, meaning)
    return "\n".join(lines) + "\n"


def _beside(line: str, meaning: str) -> list[str]:
    bare = re.sub(r"\s+# .*$", "", line)
    first, *rest = textwrap.wrap(meaning, _WIDTH - max(_COLUMN, len(bare) + 2) - 2)
    return [f"{bare:<{_COLUMN - 2}}  # {first}", *(f"{'':{_COLUMN}}# {more}" for more in rest)]


def quiet_window() -> str:
    """The keys of a quiet time."""
    rows = [f"| `{name}` | {cell(field.description or '')} |" for name, field in QuietWindow.model_fields.items()]
    return "\n".join(["| key of a window | meaning |", "|---|---|", *rows])
