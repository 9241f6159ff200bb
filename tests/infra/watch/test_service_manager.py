"""What systemd is told, and that nobody waits for it."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from stall_then_strike.infra.watch.service_manager import ServiceManager


def test_words_reach_the_socket(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        manager = ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "30000000"})
        assert manager.period_s == 10
        manager.ready()
        manager.alive("all is well")
        manager.alive()
        manager.stopping()
        said = [systemd.recv(100) for _ in range(4)]
    assert said == [b"READY=1", b"WATCHDOG=1\nSTATUS=all is well", b"WATCHDOG=1", b"STOPPING=1"]


def test_abstract_address() -> None:
    name = f"sts-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(f"\0{name}")
        ServiceManager({"NOTIFY_SOCKET": f"@{name}"}).ready()
        assert systemd.recv(100) == b"READY=1"


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"NOTIFY_SOCKET": "/nowhere/notify"},
        {"WATCHDOG_USEC": "1000000"},
        {"NOTIFY_SOCKET": "/nowhere/notify", "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"},
        {"NOTIFY_SOCKET": "x" * 200},
    ],
)
def test_without_systemd_nothing_happens(environ: dict[str, str]) -> None:
    manager = ServiceManager(environ)
    assert manager.period_s is None
    manager.ready()
    manager.alive("x")


def test_a_socket_that_nobody_reads_is_not_waited_for(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        manager = ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "notify")})
        for _ in range(5_000):
            manager.alive("x" * 100)
