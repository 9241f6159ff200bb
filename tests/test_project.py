"""The project itself: locks in step, one version everywhere, nothing private or local in what is shared."""

from __future__ import annotations

import functools
import importlib.metadata
import itertools
import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.markers import Marker
from packaging.tags import compatible_tags, cpython_tags, mac_platforms
from packaging.utils import parse_wheel_filename

import stall_then_strike

ROOT = Path(__file__).resolve().parent.parent
POETRY = ROOT / ".tools/bin/poetry"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

LISTS = {
    "requirements.lock": frozenset({"main", "dev", "docs", "notebook"}),
    "requirements-crosscheck.lock": frozenset({"crosscheck"}),
}
"""What scripts/setup installs, and the dependency groups of it; the first has all extras."""
PYTHONS = ("3.11", "3.12", "3.13")
SYSTEMS = (
    {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"},
    {"sys_platform": "darwin", "platform_system": "Darwin", "os_name": "posix"},
    {"sys_platform": "win32", "platform_system": "Windows", "os_name": "nt"},
)
CPYTHON = {"implementation_name": "cpython", "platform_python_implementation": "CPython"}
PLATFORMS = {
    "linux x86_64": [f"manylinux_2_{minor}_x86_64" for minor in range(17, 36)]
    + ["manylinux2014_x86_64", "manylinux1_x86_64"],
    "linux aarch64": [f"manylinux_2_{minor}_aarch64" for minor in range(17, 36)] + ["manylinux2014_aarch64"],
    "macOS arm64": list(mac_platforms((14, 0), "arm64")),
}


def requirements(path: str) -> dict[str, tuple[str, Marker | None, frozenset[str]]]:
    """Package name to version, condition and hashes, for each entry of a requirements file."""
    found = {}
    for entry in (ROOT / path).read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
        match = re.fullmatch(r"([a-z0-9-]+)==(\S+)(?: ; (.+?))?((?:\s+--hash=sha256:[0-9a-f]{64})+)", entry.rstrip())
        assert match is not None, f"{path}: no pinned and hashed package: {entry[:100]}"
        name, version, marker, hashes = match.groups()
        assert name not in found, f"{path}: {name} twice"
        found[name] = (version, Marker(marker) if marker else None, frozenset(re.findall(r"sha256:[0-9a-f]+", hashes)))
    return found


def poetry(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the project's Poetry, with no settings from the environment: a mirror's address would enter its answer."""
    if not POETRY.exists():
        hint = "Poetry is not set up: run `make setup`"
        pytest.fail(hint) if "CI" in os.environ else pytest.skip(hint)
    env = {name: value for name, value in os.environ.items() if not name.startswith("POETRY_")}
    return subprocess.run(
        [POETRY, "--no-interaction", "--no-ansi", *arguments],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )


def shared_files() -> list[Path]:
    """What git has or would take."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


@functools.cache
def packages() -> list[dict[str, Any]]:
    """All of poetry.lock. Not read where these tests are only collected, which each worker does."""
    found: list[dict[str, Any]] = tomllib.loads((ROOT / "poetry.lock").read_text(encoding="utf-8"))["package"]
    return found


def locked(groups: frozenset[str]) -> list[dict[str, Any]]:
    """Packages of poetry.lock that one of these groups needs."""
    return [package for package in packages() if groups & set(package["groups"])]


@pytest.mark.parametrize("path", LISTS)
def test_list_has_the_packages_and_hashes_of_poetry_lock(path: str) -> None:
    exported = {name: (version, hashes) for name, (version, _, hashes) in requirements(path).items()}
    wanted = {p["name"]: (p["version"], frozenset(f["hash"] for f in p["files"])) for p in locked(LISTS[path])}
    assert exported == wanted, "run `make lock`"


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system["sys_platform"])
@pytest.mark.parametrize("python", PYTHONS)
def test_list_has_the_conditions_of_poetry_lock(python: str, system: dict[str, str], path: str) -> None:
    here = {
        **CPYTHON,
        **system,
        "python_version": python,
        "python_full_version": f"{python}.0",
    }
    extras = PYPROJECT["project"]["optional-dependencies"]

    def is_wanted(package: dict[str, Any]) -> bool:
        # One condition for all groups, or one for each group that has one.
        markers = package.get("markers", {})
        groups = LISTS[path] & set(package["groups"])
        of_groups = [markers if isinstance(markers, str) else markers.get(group) for group in groups]
        return any(
            marker is None or Marker(marker).evaluate({**here, "extra": extra})
            for marker in of_groups
            for extra in extras  # the list has all of them
        )

    exported = {name for name, (_, marker, _) in requirements(path).items() if marker is None or marker.evaluate(here)}
    assert exported == {package["name"] for package in locked(LISTS[path]) if is_wanted(package)}, "run `make lock`"


def test_lists_are_what_poetry_exports() -> None:
    """The two that this asks about differ in what they select; the third is part of the first (`test_operations`)."""
    for path, selection in (
        ("requirements.lock", ("--all-extras", "--with", "dev,docs,notebook")),
        ("requirements-crosscheck.lock", ("--only", "crosscheck")),
    ):
        answer = poetry("export", "--without-urls", *selection)
        assert answer.returncode == 0, answer.stderr
        assert answer.stdout.rstrip() == (ROOT / path).read_text(encoding="utf-8").rstrip(), "run `make lock`"


def test_poetry_lock_fits_pyproject() -> None:
    answer = poetry("check", "--lock")
    assert answer.returncode == 0, f"run `make lock`\n{answer.stdout}{answer.stderr}"


def test_list_of_poetry_itself_has_the_pinned_versions() -> None:
    listed = requirements("scripts/poetry/requirements.lock")
    wanted = tomllib.loads((ROOT / "scripts/poetry/pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins = dict(dependency.split(" ==") for dependency in wanted["dependencies"])
    assert {name: listed[name][0] for name in pins} == pins, "run `scripts/lock --poetry`"


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("python", PYTHONS)
def test_no_package_has_to_be_compiled(python: str, platform: str) -> None:
    version = (3, int(python.removeprefix("3.")))
    tags = {
        *cpython_tags(version, platforms=PLATFORMS[platform]),
        *compatible_tags(version, interpreter=f"cp3{version[1]}", platforms=PLATFORMS[platform]),
    }
    to_compile = [
        package["name"]
        for package in packages()
        if tags.isdisjoint(
            itertools.chain.from_iterable(
                parse_wheel_filename(file["file"])[3] for file in package["files"] if file["file"].endswith(".whl")
            )
        )
    ]
    assert to_compile == []


def test_version_is_one_everywhere() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## \[?(\d+\.\d+\.\d+)", changelog, re.MULTILINE)
    assert newest is not None, "CHANGELOG.md has no heading such as `## 0.1.0`"
    version = PYPROJECT["project"]["version"]
    assert stall_then_strike.__version__ == version
    assert newest.group(1) == version
    assert importlib.metadata.version("stall-then-strike") == version, "run `make setup`"


def test_package_under_test_is_the_one_of_this_folder() -> None:
    assert Path(stall_then_strike.__file__).is_relative_to(ROOT / "src"), "run `make setup`"


def test_no_shared_file_names_a_package_index() -> None:
    # An index is a matter of the machine. In pieces, or this file would be the first to break the rule.
    address = re.compile(
        r"--(extra-)?index" + r"-url\b|--find" + r"-links\b|--trusted" + r"-host\b"
        r"|\[\[tool\.poetry\." + r"source\]\]|\[package\." + r"source\]"
        r"|https?://[^\s\"'<>)]+/simple" + r"\b"
    )
    found = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path in shared_files()
        for match in address.finditer(path.read_text(encoding="utf-8", errors="replace"))
    ]
    assert found == []


def test_env_example_names_the_keys_and_no_values() -> None:
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    settings = [line for line in lines if line and not line.startswith("#")]
    lighter = [f"LIGHTER_{name}=" for name in ("ACCOUNT_INDEX", "API_KEY_INDEX", "API_KEY_PRIVATE_KEY")]
    assert settings == ["BITFLYER_API_KEY=", "BITFLYER_API_SECRET=", "STALL_ALERT_URLS=", *lighter]


@pytest.mark.parametrize(
    "name", [".env", "logs/trades/2026-01-01.csv", "data/raw/tape.jsonl.zst", ".venv/x", ".tools/x"]
)
def test_git_ignores_secrets_and_what_runs_leave(name: str) -> None:
    shared_files()  # skips outside git
    assert subprocess.run(["git", "check-ignore", "-q", name], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize(
    "folder", ["logs/runtime", "logs/trades", "logs/orders", "logs/decisions", "data/raw", "data/results"]
)
def test_git_keeps_the_folders_that_runs_fill(folder: str) -> None:
    assert ROOT / folder / ".gitkeep" in shared_files()


def test_tests_that_want_the_machine_for_themselves_are_where_make_looks_for_them() -> None:
    told = re.search(r"^ALONE := (.+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert told is not None
    marked = [path for path in (ROOT / "tests").rglob("test_*.py") if "pytest.mark.alone" in path.read_text("utf-8")]
    homes = [ROOT / folder for folder in told[1].split()]
    there = [path for path in marked if any(home in path.parents for home in homes)]
    assert there
    assert [path for path in marked if path not in there and path != Path(__file__)] == []
