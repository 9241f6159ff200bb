"""scripts/setup on a folder of its own, with empty lists: what it keeps, what it starts again, when it is idle."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

pytestmark = pytest.mark.slow  # each makes one or two virtual environments

Run = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that has been set up once; tests work on copies."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "scripts/poetry").mkdir(parents=True)
    shutil.copy(ROOT / "scripts/setup", folder / "scripts/setup")
    (folder / "scripts/poetry/requirements.lock").write_text("# nothing\n", encoding="utf-8")
    first = run(folder)
    assert first.returncode == 0, first.stderr
    return folder


def run(folder: Path, part: str = "poetry", **settings: str) -> Run:
    """Call the script there with a bare environment."""
    env = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "PYTHON": sys.executable, **settings}
    return subprocess.run(
        [folder / "scripts/setup", *part.split()],
        env=env,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


@pytest.fixture
def environment(made: Path) -> Path:
    """The environment of that folder, in order, with a file that tells whether it was made anew."""
    environment = made / ".tools/poetry"
    again = run(made)
    assert again.returncode == 0, again.stderr
    (environment / "kept").touch()
    return environment


def is_kept(environment: Path) -> bool:
    """Complete, and the same as before the run."""
    assert (environment / "setup-stamp").exists()
    assert not (environment / "unfinished").exists()
    return (environment / "kept").exists()


def test_second_run_does_nothing(made: Path, environment: Path) -> None:
    written_ns = (environment / "setup-stamp").stat().st_mtime_ns
    again = run(made)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert (environment / "setup-stamp").stat().st_mtime_ns == written_ns
    assert is_kept(environment)


def test_changed_list_is_installed_into_the_same_environment(made: Path, environment: Path) -> None:
    with (made / "scripts/poetry/requirements.lock").open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    again = run(made)
    assert again.returncode == 0, again.stderr
    assert "installing" in again.stdout
    assert is_kept(environment)


def test_environment_made_by_hand_is_kept_and_completed(made: Path, environment: Path) -> None:
    (environment / "setup-stamp").unlink()
    again = run(made)
    assert again.returncode == 0, again.stderr
    assert "installing" in again.stdout
    assert is_kept(environment)


def test_run_that_was_cut_short_is_started_again(made: Path, environment: Path) -> None:
    (environment / "setup-stamp").unlink()
    (environment / "unfinished").touch()
    shutil.rmtree(next(environment.glob("lib/*/site-packages/pip/_internal")))
    again = run(made)
    assert again.returncode == 0, again.stderr
    assert "making" in again.stdout
    assert not is_kept(environment)


def test_copied_folder_does_not_use_the_environment_of_the_original(
    made: Path, environment: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(made, tmp_path / "copy", symlinks=True)
    moved = run(copy)
    assert moved.returncode == 0, moved.stderr
    assert not is_kept(copy / ".tools/poetry")
    assert is_kept(environment)


def test_failed_install_keeps_what_there_was_and_is_tried_again(made: Path, environment: Path) -> None:
    listed = made / "scripts/poetry/requirements.lock"
    before = listed.read_text(encoding="utf-8")
    listed.write_text("no-hash-for-this==1.0\n", encoding="utf-8")
    failed = run(made)
    assert failed.returncode == 1
    assert "pip failed" in failed.stderr
    assert (environment / "kept").exists()
    assert not (environment / "setup-stamp").exists()
    listed.write_text(before, encoding="utf-8")
    assert run(made).returncode == 0
    assert is_kept(environment)


def test_python_that_does_not_run_is_refused_by_name(made: Path, environment: Path, tmp_path: Path) -> None:
    shim = tmp_path / "python3"
    shim.write_text("#!/bin/sh\nexit 127\n", encoding="utf-8")
    shim.chmod(0o755)
    refused = run(made, PYTHON=str(shim))
    assert refused.returncode == 1
    assert f"PYTHON={shim}" in refused.stderr
    assert is_kept(environment)


def test_environment_whose_python_is_gone_is_made_again_and_a_shim_that_does_not_run_is_passed_over(
    made: Path, environment: Path, tmp_path: Path
) -> None:
    for name, text in {
        "python3.13": "exit 127",
        "python3.12": "exit 127",
        "python3.11": f'exec {sys.executable} "$@"',
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    (environment / "bin/python").unlink()
    again = run(made, PYTHON="", PATH=f"{tmp_path}:/usr/bin:/bin")
    assert again.returncode == 0, again.stderr
    assert f"Python {sys.version.split()[0]}" in again.stdout
    assert not is_kept(environment)


# --- the parts of .venv

LISTS = ("requirements.lock", "requirements-run.lock", "requirements-crosscheck.lock")
BACKEND = """
import zipfile

def build_editable(folder, config_settings=None, metadata_directory=None):
    name = "nothing-1-py3-none-any.whl"
    with zipfile.ZipFile(f"{folder}/{name}", "w") as wheel:
        wheel.writestr("nothing-1.dist-info/METADATA", "Metadata-Version: 2.1\\nName: nothing\\nVersion: 1\\n")
        wheel.writestr("nothing-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("nothing-1.dist-info/RECORD", "")
    return name
"""


@pytest.fixture(scope="module")
def project(made: Path) -> Path:
    """The same folder, with a package that needs nothing; only the part for running has been set up."""
    for name in LISTS:
        (made / name).write_text(f"# {name}\n", encoding="utf-8")
    system = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    (made / "pyproject.toml").write_text(system, encoding="utf-8")
    (made / "backend.py").write_text(BACKEND, encoding="utf-8")
    first = run(made, "run")
    assert first.returncode == 0, first.stderr
    assert (made / ".venv/setup-stamp").exists()
    (made / ".venv/kept").touch()
    return made


def test_each_larger_part_completes_the_environment_and_the_smaller_ones_then_have_nothing_to_do(project: Path) -> None:
    environment = project / ".venv"
    for part, smaller in (("run", ()), ("", ("run",)), ("crosscheck", ("run", ""))):
        larger = run(project, part)
        assert larger.returncode == 0, larger.stderr
        assert ("installing" in larger.stdout) is (part != "run")
        written_ns = (environment / "setup-stamp").stat().st_mtime_ns
        for other in (part, *smaller):
            idle = run(project, other)
            assert (idle.returncode, idle.stdout, idle.stderr) == (0, "", ""), other
        assert (environment / "setup-stamp").stat().st_mtime_ns == written_ns
        assert is_kept(environment)


def test_changed_list_concerns_the_parts_that_have_it(project: Path) -> None:
    assert run(project).returncode == 0
    with (project / "requirements-crosscheck.lock").open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    assert "installing" in run(project, "crosscheck").stdout
    assert run(project, "").stdout == ""


def test_part_that_there_is_not_is_refused(project: Path) -> None:
    refused = run(project, "everything")
    assert refused.returncode == 1
    assert "no such part: everything" in refused.stderr
