"""Compiled functions are never taken from a cache of other sources."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import stall_then_strike
from stall_then_strike.research.replay.kernel_cache import imported

PACKAGE = Path(stall_then_strike.__file__).parent
KERNELS = ("research/replay/venue_steps.py", "research/tables/scan.py")
SWEEP = ("research/sweep/runs.py",)
DIGESTS = (
    "from stall_then_strike.research.replay.kernel_cache import sources\n"
    f"print(sources(), sources({SWEEP}))"  # of kernels, and of a sweep
)


def names(paths: set[Path]) -> set[str]:
    return {path.relative_to(PACKAGE).as_posix() for path in paths}


def digests(folder: Path) -> list[str]:
    """As the package in this folder says."""
    return subprocess.run(
        [sys.executable, "-c", DIGESTS],
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()


def test_every_module_with_compiled_functions_counts() -> None:
    uses = re.compile(r"research\.replay\.jit import .*\bjit\b")
    compiled = {path for path in PACKAGE.rglob("*.py") if uses.search(path.read_text())}
    assert len(compiled) > 4
    assert compiled <= imported(KERNELS)


@pytest.mark.parametrize("roots", [KERNELS, SWEEP])
def test_every_module_that_is_loaded_with_them_counts(roots: tuple[str, ...]) -> None:
    modules = [f"stall_then_strike.{root.removesuffix('.py').replace('/', '.')}" for root in roots]
    listed = "\n".join(f"import {module}" for module in modules) + (
        "\nimport sys\n"
        "print(*(module.__file__ for name, module in sys.modules.items() if name.startswith('stall_then_strike.')))"
    )
    loaded = subprocess.run([sys.executable, "-c", listed], capture_output=True, text=True, check=True).stdout.split()
    packages = {path for path in map(Path, loaded) if path.name == "__init__.py"}
    assert names(set(map(Path, loaded)) - packages) <= names(imported(roots))


@pytest.mark.parametrize(
    ("file", "before", "after", "moves"),
    [
        ("infra/levels.py", "MAX_LEVELS: Final = ", "MAX_LEVELS: Final = 1_", (True, True)),
        ("sim/fill_rules.py", "def join(", "def  join(", (True, True)),
        ("engine/strategy_stall.py", "def decide(", "def  decide(", (True, True)),
        ("types/names.py", '"""', '""" ', (True, True)),
        ("engine/gates.py", "def first_gate(", "def  first_gate(", (True, True)),
        ("infra/bitflyer/feed.py", '"""', '""" ', (False, True)),
        ("app/view/panel.py", '"""', '""" ', (False, False)),
    ],
)
def test_change_of_a_source_makes_another_cache(
    file: str, before: str, after: str, moves: tuple[bool, bool], tmp_path: Path
) -> None:
    shutil.copytree(PACKAGE, tmp_path / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))
    first = digests(tmp_path)
    changed = tmp_path / PACKAGE.name / file
    text = changed.read_text()
    assert before in text
    changed.write_text(text.replace(before, after, 1))
    assert tuple(a != b for a, b in zip(first, digests(tmp_path), strict=True)) == moves
