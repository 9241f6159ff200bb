"""What an installation can do without the optional extras, and without the repository around it."""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import sys
import tomllib
import venv
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from stall_then_strike.app.sts.program import VERBS
from tests.e2e.commands import REPO, SAMPLE, UNLAGGING, rows
from tests.e2e.forked import forked

PROJECT: dict[str, Any] = tomllib.loads((REPO / "pyproject.toml").read_text())
COMMANDS = sorted(PROJECT["project"]["scripts"])
TARGETS = PROJECT["project"]["scripts"].values()
SCRIPTS = {target.partition(":")[0].removeprefix("stall_then_strike.app.") for target in TARGETS}
MODULES = sorted(SCRIPTS | {verb.module for verb in VERBS.values()})


def module_of(distribution: str) -> str:
    """The module that a package is imported by: what its name begins with."""
    return distribution.partition("-")[0]


EXTRAS: dict[str, list[str]] = {
    extra: [module_of(Requirement(line).name) for line in lines]
    for extra, lines in PROJECT["project"]["optional-dependencies"].items()
}
TIMEOUT_S = 90

WITHOUT = """
import json, runpy, sys
lacking = json.loads(sys.argv[1])
sys.modules.update(dict.fromkeys(lacking))  # None: as if it were not installed
sys.argv = sys.argv[2:]
"""
RUN = WITHOUT + "runpy.run_module(f'stall_then_strike.app.{sys.argv[0]}', run_name='__main__', alter_sys=False)"
HELP_OF_ALL = (
    "import importlib\n"
    "for name in sys.argv:\n"
    "    main = importlib.import_module(f'stall_then_strike.app.{name}').main\n"
    "    try:\n"
    "        code = main(['--help'])\n"
    "    except SystemExit as end:\n"
    "        code = end.code\n"
    "    assert code == 0, name\n"
)
HELP = WITHOUT + HELP_OF_ALL
HELP_OF_SCRIPTS = """
import importlib.metadata
for script in importlib.metadata.distribution("stall_then_strike").entry_points.select(group="console_scripts"):
    print("help of", script.name, flush=True)
    try:
        code = script.load()(["--help"])
    except SystemExit as end:
        code = end.code
    assert code == 0, script
"""
LOOKING = """
import json, sys
wanted = set(json.loads(sys.argv[1]))
sys.argv = sys.argv[2:]

class Look:
    def find_spec(self, name, *how):
        if name in wanted:
            sys.stderr.write(f"looks for {name}\\n")

sys.meta_path.insert(0, Look())
"""
"""Nothing lacks, and each look for one of these modules is told, also of those that do without."""


@functools.cache
def lacking_all_extras() -> list[str]:
    """Every installed module that the project's own requirements do not bring: the extras', and those for tests."""
    wanted, brought = [Requirement(line) for line in PROJECT["project"]["dependencies"]], {"stall-then-strike"}
    while wanted:
        requirement = wanted.pop()
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        if name in brought or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        brought.add(name)
        try:
            further = [Requirement(line) for line in requires(name) or ()]
        except PackageNotFoundError:
            continue
        wanted += [inner for inner in further if not inner.marker or inner.marker.evaluate({"extra": ""})]
    return sorted(
        module
        for module, distributions in packages_distributions().items()
        if module.isidentifier() and not any(re.sub(r"[-_.]+", "-", name).lower() in brought for name in distributions)
    )


def without(
    lacking: list[str], folder: Path, *args: str | Path, program: str = RUN
) -> subprocess.CompletedProcess[str]:
    """One command where these modules are not installed, in a folder of its own."""
    return subprocess.run(
        [sys.executable, "-c", program, json.dumps(lacking), *map(str, args)],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
        env={**os.environ, "COLUMNS": "120"},
    )


def test_what_lacks_without_extras_is_what_they_bring() -> None:
    bare = set(lacking_all_extras())
    assert {package for packages in EXTRAS.values() for package in packages} | {"numpy", "dask"} <= bare
    assert not {"aiohttp", "pydantic", "rich", "yaml", "stall_then_strike"} & bare


def test_the_layers_contract_forbids_every_package_of_an_extra() -> None:
    contracts = {contract["id"]: contract for contract in PROJECT["tool"]["importlinter"]["contracts"]}
    assert {package for packages in EXTRAS.values() for package in packages} <= set(
        contracts["base"]["forbidden_modules"]
    )


def test_every_command_starts_without_extras(tmp_path: Path) -> None:
    done = without(lacking_all_extras(), tmp_path, *MODULES, program=HELP)
    assert (done.returncode, done.stderr) == (0, "")


def test_no_command_looks_for_an_extra_when_it_starts(tmp_path: Path) -> None:
    """So it starts without any one of them as it does without all."""
    each = sorted({"numpy", *(package for packages in EXTRAS.values() for package in packages)})
    done = without(each, tmp_path, *MODULES, program=LOOKING + HELP_OF_ALL)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_look_for_an_extra_is_told(tmp_path: Path) -> None:
    done = without(["numpy"], tmp_path, program=LOOKING + "import importlib.util; importlib.util.find_spec('numpy')")
    assert done.stderr == "looks for numpy\n"


def test_paper_trades_without_extras(tmp_path: Path) -> None:
    flags = ("--sim", "--speed", "max", "--duration", "60", "--seed", "7")
    done = without(lacking_all_extras(), tmp_path, "run_paper", *flags)
    assert (done.returncode, done.stderr) == (0, "")
    assert rows(tmp_path / "logs", "trades")


def test_live_trades_without_extras(tmp_path: Path) -> None:
    flags = ("--config", REPO / "configs/sim.yml", "--yes", "--duration", "30", "--set", "sim.speed=15", *UNLAGGING)
    done = without(lacking_all_extras(), tmp_path, "run_live", "--base", REPO / "configs/base.yml", *flags)
    assert (done.returncode, done.stderr) == (0, "")
    assert rows(tmp_path / "logs", "orders")


def test_backtest_without_extras_gives_the_rows_of_one_with_them(tmp_path: Path) -> None:
    runs = [without(lacking_all_extras(), tmp_path, "backtest", SAMPLE, "--log-dir", "bare")]
    engine = ("--engine", "interpreted")  # the other one would compile itself first
    for name, lacking, flags in (("all", [], engine), ("one", ["numba"], ()), ("two", ["numpy"], ())):
        words = (SAMPLE, "--log-dir", name, *flags)
        runs.append(forked("backtest", *words, cwd=tmp_path, lacking=lacking, timeout=TIMEOUT_S))
    assert [(done.returncode, done.stderr) for done in runs] == [(0, "")] * len(runs)
    assert len({done.stdout.splitlines()[-1] for done in runs}) == 1


@pytest.mark.parametrize(
    ("command", "package"),
    [
        (["report", "logs"], "polars"),
        (["sweep", "--tape", SAMPLE, "--grid", "strategy.ttl_ms=500,600"], "numpy"),
        (["sweep", "--tape", SAMPLE, "--grid", "strategy.ttl_ms=500,600"], "numba"),
        (["sweep", "--tape", SAMPLE, "--search", "strategy.ttl_ms=500:600", "--trials", "2", "--serial"], "optuna"),
        (["sweep", "--tape", "memory://tape.jsonl", "--grid", "strategy.ttl_ms=500,600"], "fsspec"),
        (["backtest", SAMPLE, "--engine", "compiled"], "numba"),
        (["tape", "convert", SAMPLE, "--to", "parquet", "-o", "tape"], "polars"),
        (["tape", "convert", SAMPLE, "--to", "npz", "-o", "tape.npz"], "numpy"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(map(str, value[:1])),
)
def test_what_needs_an_extra_names_it_and_sends_nothing_else(
    command: list[str | Path], package: str, tmp_path: Path
) -> None:
    done = forked(*map(str, command), cwd=tmp_path, lacking=[package], timeout=TIMEOUT_S)
    assert done.returncode == 2, done.stderr
    assert done.stderr.splitlines()[-1].startswith(f"{command[0]}: needs {package} from the extra research")
    assert "Traceback" not in done.stderr


# --- The wheel where nothing else is


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The commands of the wheel with the packages of the image and no others. It takes half a minute."""
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    if subprocess.run([*pip, "--version"], capture_output=True, check=False).returncode:
        pytest.skip("there is no pip in this environment")

    def call(*args: str | Path) -> None:
        done = subprocess.run([*pip, *map(str, args)], cwd=REPO, capture_output=True, text=True, check=False)
        if done.returncode and "CI" not in os.environ and "No matching distribution" in done.stderr:
            pytest.skip("no package index can be reached")
        assert done.returncode == 0, done.stderr

    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv/bin/python"
    call("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, REPO)
    listed, strict = REPO / "requirements-run.lock", ("--require-hashes", "--only-binary", ":all:")
    call(f"--python={python}", "install", "--no-compile", "--no-deps", *strict, "-r", listed)
    call(f"--python={python}", "install", "--no-deps", "--no-index", *folder.glob("*.whl"))
    return folder / "venv/bin"


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """A folder with nothing in it, whose name has a blank and is not ASCII."""
    folder = tmp_path / "空の フォルダ"
    folder.mkdir()
    return folder


def call(installed: Path, folder: Path, command: str, *args: str | Path) -> subprocess.CompletedProcess[str]:
    """One installed command, with nothing of this environment."""
    return subprocess.run(
        [installed / command, *args],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8", "COLUMNS": "120"},
    )


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_installed_commands_help(installed: Path, empty: Path) -> None:
    """All in one process; the test of the settings starts a third of them by their scripts."""
    assert {path.name for path in installed.iterdir()} >= set(COMMANDS)
    done = call(installed, empty, "python", "-c", HELP_OF_SCRIPTS)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(re.findall("^help of (.*)$", done.stdout, re.MULTILINE)) == COMMANDS
    assert list(empty.iterdir()) == []


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_installed_paper_trades_in_an_empty_folder(installed: Path, empty: Path) -> None:
    done = call(installed, empty, "run_paper", "--sim", "--duration", "10")
    assert (done.returncode, done.stderr) == (0, "")
    assert rows(empty / "logs", "orders")
    assert [path.name for path in empty.iterdir()] == ["logs"]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_installed_settings_are_there_and_a_folder_of_ones_own_wins(installed: Path, empty: Path) -> None:
    for command in ("run_paper", "run_live", "backtest", "record", "doctor", "watchdog"):
        assert "ttl_ms: 800" in call(installed, empty, command, "--check").stdout, command
    (empty / "configs").mkdir()
    base = (REPO / "configs/base.yml").read_text()
    (empty / "configs/base.yml").write_text(base.replace("ttl_ms: 800", "ttl_ms: 801"))
    assert "ttl_ms: 801" in call(installed, empty, "run_live", "--check").stdout
    (empty / "mine.yml").write_text(base.replace("ttl_ms: 800", "ttl_ms: 802"))
    assert "ttl_ms: 802" in call(installed, empty, "run_live", "--check", "--base", "mine.yml").stdout


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_mistake_in_packaged_settings_names_the_packaged_file(installed: Path, empty: Path) -> None:
    done = call(installed, empty, "run_live", "--config", "configs/sim.yml", "--yes", "--set", "env=paper")
    assert done.returncode == 2
    # Limits of one's own that are not found are never replaced by others.
    done = call(installed, empty, "run_live", "--config", "configs/live.yml", "--yes")
    assert done.returncode == 2
    assert f"--config configs/live.yml: no such file in {empty}" in done.stderr
    assert str(installed.parent) in done.stderr
