"""The command: where it listens, what it tells, what it refuses, and what it needs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stall_then_strike.app.shell.command import EXIT_DONE, EXIT_FAILED, EXIT_USAGE
from stall_then_strike.app.web.console import _check_address, main, parser
from tests.app.web.console_rig import TOKEN, console


def test_an_address_for_others_is_warned_of_when_it_is_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    _check_address(parser().parse_args(["--host", "192.168.0.7", "--open-to-network"]))
    assert "WARNING: listening at 192.168.0.7, unencrypted" in capsys.readouterr().err


def test_a_token_that_can_be_guessed_is_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STS_CONSOLE_TOKEN", "hunter2")
    assert main([]) == EXIT_USAGE
    error = capsys.readouterr().err
    assert error == "console: STS_CONSOLE_TOKEN: the token is too short; accepted: 16 characters or more\n"


def test_a_log_folder_that_is_none_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert main(["--log-dir", str(tmp_path / "file")]) == EXIT_USAGE
    said = f"console: --log-dir {tmp_path}/file: cannot be read: Not a directory; accepted: a folder of runs\n"
    assert capsys.readouterr().err == said


def test_without_the_extra_it_says_what_to_install(tmp_path: Path) -> None:
    blocked = "import sys; sys.modules['nicegui'] = None\nfrom stall_then_strike.app.web.console import main\n"
    program = [sys.executable, "-c", f"{blocked}sys.exit(main([]))"]
    done = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == EXIT_USAGE
    assert done.stderr == (
        "console: needs nicegui from the extra console, which is not installed; "
        "accepted: pip install 'stall-then-strike[console]', in a clone `make setup`\n"
    )


def test_the_token_is_made_and_told_once_and_a_signal_ends_it(tmp_path: Path) -> None:
    env = {name: value for name, value in os.environ.items() if name != "STS_CONSOLE_TOKEN"}
    process = subprocess.Popen(
        [Path(sys.executable).parent / "sts", "console", "--port", "0"],
        cwd=tmp_path,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("console: http://127.0.0.1:")
    assert len(process.stdout.readline().removeprefix("token: ").strip()) == 32
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (EXIT_DONE, "")
    assert err == "console: logs does not exist yet: its first run is shown once there is one\n"
    assert not list(tmp_path.iterdir())


def test_a_given_token_is_never_told_and_a_taken_port_is(tmp_path: Path) -> None:
    with console(tmp_path / "logs", tmp_path / "first") as first:
        taken = subprocess.run(
            [Path(sys.executable).parent / "sts", "console", "--port", str(first.port)],
            cwd=tmp_path,
            env={**os.environ, "STS_CONSOLE_TOKEN": TOKEN},
            capture_output=True,
            text=True,
            check=False,
        )
        assert taken.returncode == EXIT_FAILED
        assert f"127.0.0.1:{first.port}: Address already in use" in taken.stderr
        first.process.terminate()
        out, err = first.process.communicate(timeout=30)
        assert TOKEN not in out + err
