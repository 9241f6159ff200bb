"""Every scenario of the list has a test that names it: `test_a1_...`, or `A1:` in a docstring."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

TESTS = Path(__file__).parent
WANTED = {"a": 18, "b": 14, "c": 13, "d": 11, "e": 10, "f": 10, "g": 9}
"""Groups and how many scenarios each has: order life, reconnect, restart, REST and limits, market data, risk and
persistence, fill model."""
PROPERTIES = {
    "ledger_conserves",
    "reconcile_is_idempotent",
    "reconcile_converges_in_one_pass",
    "any_live_state_can_end",
    "an_end_has_no_exit",
    "exposure_never_exceeds_the_cap",
    "same_seed_same_hashes",
}
"""Group H, by the names of its tests."""


@functools.cache
def names_and_docstrings() -> tuple[set[str], str]:
    names: set[str] = set()
    texts: list[str] = []
    for path in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                names.add(node.name)
                texts.append(ast.get_docstring(node) or "")
    return names, "\n".join(texts)


def test_every_scenario_has_a_test() -> None:
    names, text = names_and_docstrings()
    told = {found.lower() for line in re.findall(r"((?:[A-G]\d{1,2}(?:, )?)+):", text) for found in line.split(", ")}
    named = {found for name in names for found in re.findall(r"(?<=_)[a-g]\d{1,2}(?=_)", name)}
    wanted = {f"{group}{number}" for group, count in WANTED.items() for number in range(1, count + 1)}
    assert sorted(wanted - told - named) == []


def test_every_property_has_a_test() -> None:
    names, _ = names_and_docstrings()
    assert sorted(words for words in PROPERTIES if not any(words in name for name in names)) == []
