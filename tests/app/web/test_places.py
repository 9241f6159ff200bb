"""Which run of a log folder is seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from stall_then_strike.app.web import places as module
from stall_then_strike.app.web.places import Places
from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.logs.run_folder import RunFolder
from stall_then_strike.infra.logs.run_record import Mode

CFG = AppConfig()


@pytest.fixture(autouse=True)
def _without_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAUSE_NS", 0)


def run(root: Path, mode: Mode) -> RunFolder:
    return RunFolder(root, CFG, mode, "here")


def test_without_runs_the_folder_stands_for_one(tmp_path: Path) -> None:
    assert Places(tmp_path, CFG).socket == tmp_path / "control.sock"


def test_a_live_run_is_followed_by_the_next_live_run_and_never_by_one_on_paper(tmp_path: Path) -> None:
    places = Places(tmp_path, CFG)
    with run(tmp_path, "paper-sim") as before:
        pass
    assert places.files.folder == before.folder, "nothing runs: what there is"
    with run(tmp_path, "live") as first:
        assert places.files.folder == first.folder
    with run(tmp_path, "paper-sim"):
        assert places.files.folder == first.folder
        with run(tmp_path, "live") as second:
            assert places.files.folder == second.folder


def test_one_of_several_can_be_named(tmp_path: Path) -> None:
    with run(tmp_path, "live") as live, run(tmp_path, "paper-feed") as paper:
        assert Places(tmp_path, CFG, live.name).files.folder == live.folder
        assert Places(tmp_path, CFG).files.folder == paper.folder
