"""YAML layers as trees that remember where every value came from.

A tree holds what one source says: a file, or one ``--set``. Each of its nodes carries an :class:`Origin`. Merging keeps
the origin of the value that wins, so a refusal can name the line that has to be changed.

The reader accepts a part of YAML 1.2's core schema. Numbers with a fraction or an exponent are decimals, read from
their text (``0.001`` is one thousandth, ``1e-8`` needs no dot). The conversions of YAML 1.1 do not happen: ``06:00`` is
text and not 360, ``2026-11-21`` is text, ``no`` is text and not false. Duplicate keys, anchors, aliases and tags of
other languages are refused. Nothing is expanded: ``${HOME}`` is seven characters.

Some keys of the specification name an asset, whatever is traded. A source may give them by a neutral name instead; the
tree has the specification's. ``strategy: NAME`` is short for a section with this name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import yaml

from stall_then_strike.config.fields import is_secret
from stall_then_strike.types.errors import ConfigError

_TAG: Final = "tag:yaml.org,2002:"
_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "null": (r"~|null|Null|NULL|", "~nN\0"),
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (r"[-+]?[0-9]+", "-+0123456789"),
    "float": (
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+0123456789.",
    ),
}
"""Plain scalars that are not text, and their possible first characters. The first match counts."""

RESOLVERS: Final = {
    first: [(_TAG + tag, re.compile(rf"(?:{words})\Z")) for tag, (words, firsts) in _WORDS.items() if first in firsts]
    for first in sorted({first for _, firsts in _WORDS.values() for first in firsts})
}
# PyYAML looks up the empty scalar under the empty string.
RESOLVERS[""] = RESOLVERS.pop("\0")

NEUTRAL_NAMES: Final[Mapping[tuple[str, str], str]] = {
    ("strategy", "max_inventory"): "max_inventory_btc",
    ("risk", "daily_pnl"): "daily_pnl_jpy",
    ("risk", "max_drawdown"): "max_dd_jpy",
    ("limits", "small_order"): "small_order_btc",
    ("sim", "collateral"): "collateral_jpy",
}
"""The specification's key for a section and a neutral name."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value was given: a file with its line, or a ``--set``."""

    source: str
    line: int | None = None

    def __str__(self) -> str:
        """The origin as the operator reads it."""
        return self.source if self.line is None else f"{self.source}:{self.line}"


Scalar = str | int | bool | Decimal | None


@dataclass(frozen=True, slots=True)
class Tree:
    """A value, its origin, and the origins of everything in it."""

    value: Scalar | list[Tree] | dict[str, Tree]
    origin: Origin

    def plain(self) -> Any:
        """The value alone, as nested dicts and lists."""
        if isinstance(self.value, dict):
            return {key: child.plain() for key, child in self.value.items()}
        if isinstance(self.value, list):
            return [child.plain() for child in self.value]
        return self.value

    def at(self, path: tuple[str | int, ...]) -> Tree | None:
        """The node at a path, or None if nothing was given there."""
        node: Tree | None = self
        for step in path:
            node = None if node is None else node.child(step)
        return node

    def nearest(self, path: tuple[str | int, ...]) -> Tree:
        """The node at a path, or the deepest one above it that was given."""
        node = self
        for step in path:
            child = node.child(step)
            if child is None:
                return node
            node = child
        return node

    def child(self, step: str | int) -> Tree | None:
        """The node one level down, by key or index, or None if nothing was given there."""
        if isinstance(self.value, dict):
            return self.value.get(str(step))
        if isinstance(self.value, list) and isinstance(step, int) and step < len(self.value):
            return self.value[step]
        return None


def tree_of(value: Any, origin: Origin) -> Tree:
    """Plain dicts, lists and scalars as a tree whose nodes all have one origin."""
    if isinstance(value, Mapping):
        return Tree({str(key): tree_of(child, origin) for key, child in value.items()}, origin)
    if isinstance(value, list):
        return Tree([tree_of(item, origin) for item in value], origin)
    return Tree(value, origin)


def merge(under: Tree, over: Tree) -> Tree:
    """Lay one tree over another. Mappings merge key by key, and anything else is replaced."""
    if not isinstance(under.value, dict) or not isinstance(over.value, dict):
        return over
    merged = dict(under.value)
    for key, child in over.value.items():
        merged[key] = merge(merged[key], child) if key in merged else child
    return Tree(merged, over.origin)


class _Reader(yaml.SafeLoader):
    """Composes nodes with their marks. PyYAML constructs no values."""

    yaml_implicit_resolvers = RESOLVERS

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Refuse aliases. A few nested ones are gigabytes, and no configuration is long enough to need any."""
        if self.check_event(yaml.AliasEvent):
            mark: yaml.Mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]  # bare in the stubs
            raise yaml.MarkedYAMLError(problem="anchors and aliases are not accepted", problem_mark=mark)
        return super().compose_node(parent, index)


def read_file(path: Path) -> Tree:
    """Read one YAML file, which must be a mapping. Raises ConfigError with the path, and the line if there is one."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}; accepted: a YAML file") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text (byte {error.start}); accepted: a YAML file") from error
    tree = _specified(_parse(text, str(path), with_lines=True))
    if not isinstance(tree.value, dict):
        what = "is empty" if tree.value is None else f"holds {show(tree.plain())} and not a mapping"
        raise ConfigError(f"{path}: {what}; accepted: a mapping of sections, such as `strategy:`")
    return tree


def read_set(text: str, flag: str = "--set") -> Tree:
    """Read one ``key.path=value`` with the value in YAML. Raises ConfigError with the text and the flag."""
    path, equals, value = text.partition("=")
    steps = path.strip().split(".")
    source = f"{flag} {path}={'***' if is_secret(path) else value}" if equals else f"{flag} {path}"
    if not equals or not all(steps):
        raise ConfigError(f"{source}: not understood; accepted: key.path=value, such as strategy.ttl_ms=800")
    tree = _parse(value, source, with_lines=False)
    for step in reversed(steps):
        tree = Tree({step: tree}, Origin(source))
    return _specified(tree)


def _specified(tree: Tree, section: str = "") -> Tree:
    """A source with the specification's keys for neutral names. Raises ConfigError if it gives both for one."""
    if isinstance(tree.value, list):
        return Tree([_specified(item, section) for item in tree.value], tree.origin)
    if not isinstance(tree.value, dict):
        return tree
    children: dict[str, Tree] = {}
    for key, child in tree.value.items():
        if key == "parameters":  # their names are the strategy's
            children[key] = child
            continue
        if key == "strategy" and isinstance(child.value, str):
            child = Tree({"name": child}, child.origin)
        name = NEUTRAL_NAMES.get((section, key), key)
        if name in children:
            neutral = next(short for (_, short), long in NEUTRAL_NAMES.items() if long == name)
            raise ConfigError(f"{child.origin}: {section}: {name} and {neutral} are the same; accepted: one of them")
        children[name] = _specified(child, key)
    return Tree(children, tree.origin)


def show(value: object) -> str:
    """A value as YAML would write it, cut to a readable length."""
    match value:
        case None:
            text = "null"
        case bool():
            text = str(value).lower()
        case str():
            text = '"' + value.encode("unicode_escape").decode().replace('"', '\\"') + '"'
        case Mapping():
            text = "{" + ", ".join(f"{k}: {'***' if is_secret(k) else show(v)}" for k, v in value.items()) + "}"
        case list():
            text = "[" + ", ".join(map(show, value)) + "]"
        case _:
            text = str(value)
    return text if len(text) <= 100 else text[:97] + "..."


def _parse(text: str, source: str, *, with_lines: bool) -> Tree:
    try:
        node = yaml.compose(text, Loader=_Reader)
        return Tree(None, Origin(source)) if node is None else _tree(node, source, with_lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        origin = Origin(source, mark.line + 1 if mark and with_lines else None)
        raise ConfigError(f"{origin}: {error.problem or error.context}; accepted: YAML") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{source}: {' '.join(str(error).split())}; accepted: YAML") from error
    except RecursionError as error:
        raise ConfigError(f"{source}: is nested too deeply; accepted: YAML of a few levels") from error


def _tree(node: yaml.Node, source: str, with_lines: bool) -> Tree:
    origin = Origin(source, node.start_mark.line + 1 if with_lines else None)
    if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
        children: dict[str, Tree] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a key must be a word", problem_mark=key_node.start_mark)
            if key_node.value in children:
                problem = f"{key_node.value}: given twice, first at {children[key_node.value].origin}"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key_node.start_mark)
            child = _tree(value_node, source, with_lines)
            # The line of the key and not of the block under it, because people look there.
            line = key_node.start_mark.line + 1 if with_lines else None
            children[key_node.value] = Tree(child.value, Origin(source, line))
        return Tree(children, origin)
    if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
        return Tree([_tree(child, source, with_lines) for child in node.value], origin)
    if isinstance(node, yaml.ScalarNode):
        return Tree(_scalar(node), origin)
    raise yaml.MarkedYAMLError(problem=f"the tag {node.tag} is not accepted", problem_mark=node.start_mark)


def _scalar(node: yaml.ScalarNode) -> Scalar:
    kind, text = node.tag.removeprefix(_TAG), str(node.value)
    if kind == "str":
        return text
    if kind not in _WORDS or not re.fullmatch(_WORDS[kind][0], text):
        raise yaml.MarkedYAMLError(problem=f"{text}: the tag {node.tag} is not accepted", problem_mark=node.start_mark)
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() == "true"
    if len(text) > 40:
        raise yaml.MarkedYAMLError(
            problem=f"{text[:20]}...: a number of {len(text)} characters", problem_mark=node.start_mark
        )
    if kind == "int":
        return int(text)
    return Decimal(text.replace(".", "") if text[-1] in "fFnN" else text)
