"""`sts init`: a folder to trade from."""

from __future__ import annotations

from pathlib import Path

import pytest

from stall_then_strike.app import run_paper
from stall_then_strike.app.shell import cli
from stall_then_strike.app.shell.command import EXIT_DONE, EXIT_FAILED
from stall_then_strike.app.sts.start_folder import main


def test_makes_settings_keys_and_folders_from_which_commands_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["trading"]) == EXIT_DONE
    assert "cd trading && sts run_paper --sim" in capsys.readouterr().out
    folder = tmp_path / "trading"
    assert {path.name for path in (folder / "configs").iterdir()} == {path.name for path in cli.DEFAULTS.glob("*.yml")}
    assert (folder / ".env").stat().st_mode & 0o777 == 0o600
    assert "BITFLYER_API_KEY=" in (folder / ".env").read_text()
    monkeypatch.chdir(folder)
    (folder / "configs/paper.yml").write_text("env: paper\nstrategy: {ttl_ms: 777}\n")
    assert run_paper.main(["--check"]) == EXIT_DONE
    assert "ttl_ms: 777" in capsys.readouterr().out


def test_keeps_what_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / ".env").write_text("BITFLYER_API_KEY=mine\n")
    assert main([str(tmp_path)]) == EXIT_DONE
    assert main([str(tmp_path)]) == EXIT_DONE
    assert (tmp_path / ".env").read_text() == "BITFLYER_API_KEY=mine\n"
    told = capsys.readouterr().out
    assert f"kept  {tmp_path / '.env'}\n" in told
    assert f"kept  {tmp_path / 'configs/base.yml'}\n" in told


def test_file_in_the_way_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "configs").write_text("")
    assert main([str(tmp_path)]) == EXIT_FAILED
    assert f"init: {tmp_path / 'configs'} cannot be written" in capsys.readouterr().err
