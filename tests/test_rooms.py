"""The house: each folder's map names what is in it, and no name stands for two things."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

import stall_then_strike

HOUSE = Path(stall_then_strike.__file__).parent
ROOMS = sorted(path.parent for path in HOUSE.rglob("__init__.py") if path.parent != HOUSE)
MOST_FILES = 15
FACES = {"lighter": ["DealerConfig", "LighterDealer"]}
"""Rooms that users of the library import from by the room's name, and what they find there."""


SPECIFIED = {"account", "factory"}
"""Names that the specification of Lighter's connector gives to a module in more than one room."""


def name_of(room: Path) -> str:
    return room.relative_to(HOUSE).as_posix()


@pytest.mark.parametrize("room", ROOMS, ids=name_of)
def test_map_of_a_room_names_all_that_is_in_it(room: Path) -> None:
    module = ast.parse((room / "__init__.py").read_text(encoding="utf-8"))
    named = re.findall(r"^ *(\w+/?) {2,}\S", ast.get_docstring(module, clean=False) or "", re.MULTILINE)
    there = [path.stem for path in room.glob("*.py") if path.name != "__init__.py"]
    there += [f"{path.parent.name}/" for path in room.glob("*/__init__.py")]
    assert sorted(named) == sorted(there)
    if name_of(room) not in FACES:
        is_hooked = name_of(room) == "app"  # what loads a command is told of Ctrl-C before it is loaded
        assert len(module.body) == 1 + is_hooked, "the map is all that stands there"


@pytest.mark.parametrize("name", FACES)
def test_face_of_a_room_is_imports_and_nothing_else(name: str) -> None:
    _, *imports, names = ast.parse((HOUSE / name / "__init__.py").read_text(encoding="utf-8")).body
    assert all(isinstance(step, ast.ImportFrom) for step in imports)
    assert isinstance(names, ast.Assign)
    assert ast.literal_eval(names.value) == FACES[name]


@pytest.mark.parametrize("room", ROOMS, ids=name_of)
def test_no_room_is_too_full(room: Path) -> None:
    assert len([path for path in room.glob("*.py") if path.name != "__init__.py"]) <= MOST_FILES


def test_no_name_stands_for_two_things() -> None:
    places: defaultdict[str, list[str]] = defaultdict(list)
    for path in HOUSE.rglob("*.py"):
        if path.name != "__init__.py":
            places[path.stem].append(name_of(path))
    assert [found for name, found in places.items() if len(found) > 1 and name not in SPECIFIED] == []


def test_tests_mirror_the_rooms() -> None:
    tests = Path(__file__).parent
    lost = [
        f"{name_of(room)}/test_{path.stem}.py"
        for room in ROOMS
        for path in room.glob("*.py")
        if path.stem not in SPECIFIED
        for test in tests.rglob(f"test_{path.stem}.py")
        if test.parent != tests / name_of(room) and test.parent.name not in {"e2e", "live"}
    ]
    assert lost == []
