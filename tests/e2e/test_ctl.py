"""``ctl`` and a paper run as processes of their own, with systemd's socket played by the test."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import orjson
import pytest

from stall_then_strike.app.control.ctl import main
from tests.e2e.commands import REPO, TIMEOUT_S, app_log, newest, wait_until

BIN = Path(sys.executable).parent


def test_a_run_is_commanded_reloaded_and_watched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logs, settings, notes = tmp_path / "logs", tmp_path / "mine.yml", tmp_path / "notify"
    settings.write_text("env: sim\nstrategy: {ttl_ms: 700}\n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(notes))
        systemd.settimeout(TIMEOUT_S)
        process = subprocess.Popen(
            [BIN / "run_paper", "--sim", "--config", settings, "--log-dir", logs],
            cwd=REPO,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "NOTIFY_SOCKET": str(notes), "WATCHDOG_USEC": "300000"},
            start_new_session=True,
        )
        try:
            assert systemd.recv(4096) == b"READY=1"
            alive = systemd.recv(4096)
            assert alive.startswith(b"WATCHDOG=1\nSTATUS=")
            assert b"position " in alive
            heard_s = [heard_at(systemd) for _ in range(10)]
            shortest_s = min(later - earlier for earlier, later in pairwise(heard_s))
            assert shortest_s < 0.2, "three times in WatchdogSec, of which a busy machine lengthens some"
            _commanded(logs, capsys)
            settings.write_text("env: sim\nstrategy: {ttl_ms: 600}\n")
            process.send_signal(signal.SIGHUP)
            said = "settings changed: by SIGHUP: strategy.ttl_ms: 700 -> 600"
            wait_until("the new settings", lambda: said in app_log(logs))
            settings.write_text("env: sim\nstrategy: {ttl_ms: -1}\nrisk: {max_rejects: 12}\n")
            assert main(["reload", "--yes", "--log-dir", str(logs)]) == 1
            assert "nothing is changed" in capsys.readouterr().err
            assert main(["stop", "--yes", "--reason", "over", "--log-dir", str(logs)]) == 0
            assert process.wait(TIMEOUT_S) == 0
        finally:
            process.kill()
            process.wait()
    assert not (newest(logs) / "control.sock").exists()
    assert main(["status", "--log-dir", str(logs)]) == 1
    assert "ctl: no run answers" in capsys.readouterr().err


def heard_at(systemd: socket.socket) -> float:
    """When the next word came that the run is alive."""
    assert systemd.recv(4096).startswith(b"WATCHDOG=1")
    return time.monotonic()


def _commanded(logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    at = ["--log-dir", str(logs)]
    assert (newest(logs) / "control.sock").stat().st_mode & 0o777 == 0o600
    assert main(["pause", *at]) == 2
    assert "there is no terminal; accepted: --yes" in capsys.readouterr().err
    assert main(["pause", "--yes", *at]) == 0
    assert capsys.readouterr().out.startswith("paused; ")
    assert main(["status", "--json", *at]) == 0
    seen = orjson.loads(capsys.readouterr().out)
    assert (seen["paused"], seen["halt"]) == ("paused", None)
    assert main(["resume", "--yes", *at]) == 0
    capsys.readouterr()
    assert main(["status", *at]) == 0
    assert "PAUSED" not in capsys.readouterr().out


def test_wrong_arguments_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for args in (["fly"], ["pause", "--json"], []):
        with pytest.raises(SystemExit) as ended:
            main(args)
        assert ended.value.code == 2
    assert "--json goes with status only" in capsys.readouterr().err
