"""Stop signals during work that may be lost, the log of commands, and what to type."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from loguru import logger

from stall_then_strike.app import state
from stall_then_strike.app.shell import cli
from stall_then_strike.app.shell.command import EXIT_FAILED, EXIT_USAGE, command
from tests.other_user import reachable_folder, restricted


def test_signal_whose_exception_was_lost_is_raised_again() -> None:
    with cli.signals_held(), cli.interruptible() as check:
        check()
        with suppress(cli.Interrupted):  # as in a callback from C
            signal.raise_signal(signal.SIGTERM)
        with pytest.raises(cli.Interrupted, match="SIGTERM"):
            check()


@pytest.mark.parametrize(("error", "said"), [("KeyboardInterrupt", "interrupted\n"), ("ValueError", "Traceback")])
def test_ctrl_c_while_a_command_is_imported_shows_no_traceback(error: str, said: str) -> None:
    program = f"import stall_then_strike.app\nraise {error}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == (-signal.SIGINT if error == "KeyboardInterrupt" else 1)
    assert done.stderr.startswith(said)


def test_file_of_another_user_is_named_without_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    @command("look")
    def main(argv: Sequence[str] | None = None) -> int:
        return int((folder / "journal").exists())

    with reachable_folder() as folder, restricted(folder, 0o000):
        assert main() == EXIT_FAILED
    assert capsys.readouterr().err == f"look: {folder}/journal: Permission denied\n"


def test_settings_of_another_user_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with reachable_folder() as folder, restricted(folder, 0o000):
        assert state.main(["--config", str(folder / "x.yml")]) == EXIT_USAGE
    said = f"state: --config {folder}/x.yml: cannot be read: Permission denied; accepted: a YAML file\n"
    assert capsys.readouterr().err == said


def test_a_command_is_named_as_the_shell_finds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "my env/bin"
    own.mkdir(parents=True)
    for name in ("python", "sts"):
        (own / name).touch(mode=0o755)
    monkeypatch.setattr(sys, "executable", str(own / "python"))
    monkeypatch.setenv("PATH", "/usr/bin")
    monkeypatch.chdir(tmp_path)
    assert (cli.as_typed("sts"), cli.as_typed("nowhere")) == ("'my env/bin/sts'", "nowhere")
    monkeypatch.setenv("PATH", f"{own}:/usr/bin")
    assert cli.as_typed("sts") == "sts"


def test_what_a_command_does_not_show_is_logged_again_after_it(capsys: pytest.CaptureFixture[str]) -> None:
    @command("quiet", silent="tests")
    def main(argv: Sequence[str] | None = None) -> int:
        logger.warning("the warning")
        return 0

    assert main() == 0
    assert "the warning" not in capsys.readouterr().err
    lines: list[str] = []
    sink = logger.add(lines.append, format="{message}")
    logger.warning("afterwards")
    logger.remove(sink)
    assert lines == ["afterwards\n"]
