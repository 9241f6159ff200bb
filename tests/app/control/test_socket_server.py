"""Who is let in at the socket, and what becomes of the file."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from stall_then_strike.app.control import doorway
from stall_then_strike.app.control.command_desk import CommandDesk
from stall_then_strike.app.control.metrics_server import MetricsServer
from stall_then_strike.app.control.socket_client import ask
from stall_then_strike.app.control.socket_server import SocketServer
from stall_then_strike.app.shell.ending import Ending
from tests.app.control.control_rig import OnStage
from tests.app.view.snapshots import LIVE

KNOCK = """
import os, socket, sys
os.setgid(65534), os.setuid(65534)
with socket.socket(socket.AF_UNIX) as line:
    line.settimeout(10)
    try:
        line.connect(sys.argv[1])
        line.sendall(b"POST /halt HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 2\\r\\n\\r\\n{}")
        sys.stdout.write(repr(line.recv(100)))
    except OSError as error:
        sys.stdout.write(type(error).__name__)
"""


ASK = """
import asyncio, os, sys
from pathlib import Path
from stall_then_strike.app.control.socket_client import NoRun, ask
os.setgid(65534), os.setuid(65534)
try:
    sys.stdout.write(asyncio.run(ask(Path(sys.argv[1]), "POST", "halt", {})).text)
except NoRun as error:
    sys.stdout.write(str(error))
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that all users may enter."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[tuple[OnStage, Path]]:
    stage, path = OnStage(), folder / "control.sock"
    server = SocketServer(path, CommandDesk(stage, Ending(), None), lambda: LIVE)
    serving = asyncio.create_task(server.serve())
    try:
        yield stage, path
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        assert not path.exists()


async def knock(path: Path, program: str = KNOCK) -> str:
    """What another user hears."""
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", program, path], capture_output=True, text=True, timeout=30, check=True
    )
    return done.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
async def test_another_user_is_not_let_in(open_folder: Path) -> None:
    async with served(open_folder) as (stage, path):
        assert path.stat().st_mode & 0o777 == 0o600
        assert await knock(path) == "PermissionError"
        path.chmod(0o666)  # somebody has opened it to all
        assert await knock(path) in ("b''", "ConnectionResetError", "BrokenPipeError")
        assert stage.events == []
        assert (await ask(path, "GET", "status")).is_done


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
async def test_another_users_socket_is_not_believed(open_folder: Path) -> None:
    async with served(open_folder) as (stage, path):
        os.chown(path, 12_345, -1)
        path.chmod(0o666)
        assert "it belongs to user 12345" in await knock(path, ASK)
        assert stage.events == []
        os.chown(path, 0, -1)
        assert "belongs" not in await knock(path, ASK), "root may serve anybody, and then does not let in"
        link = path.with_name("link")
        link.symlink_to(path)
        os.chown(link, 12_345, -1, follow_symlinks=False)
        assert "it belongs to user 12345" in await knock(link, ASK), "it may lead elsewhere the next time"


async def test_status_of_a_run_can_be_read(tmp_path: Path) -> None:
    async with served(tmp_path) as (_, path):
        told = await ask(path, "GET", "status")
        assert told.content["snapshot"]["mode"] == LIVE.mode
        assert told.text.startswith(LIVE.mode)
        assert not (await ask(path, "GET", "reload")).is_done
        assert not (await ask(path, "POST", "fly", {})).is_done
        assert "extra" in (await ask(path, "POST", "pause", {"x": "y"})).text.lower()


async def test_idle_visitors_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as may come stay silent, and one reads nothing: they are sent away in time."""
    monkeypatch.setattr(doorway, "LIFE_S", 0.3)
    async with served(tmp_path) as (_, path):
        idle = [socket.socket(socket.AF_UNIX) for _ in range(doorway.MOST_OPEN)]
        for line in idle:
            line.connect(str(path))
        idle[0].sendall(b"GET /status HTTP/1.1\r\nHost: x\r\n\r\n" * 50)
        async with asyncio.timeout(5):
            assert (await ask(path, "GET", "status")).is_done
        for line in idle:
            line.close()


async def test_a_socket_of_somebody_else_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    server = SocketServer(path, CommandDesk(OnStage(), Ending(), None), lambda: LIVE)
    serving = asyncio.create_task(server.serve())
    await asyncio.sleep(0.05)
    path.unlink()
    path.touch()
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    assert path.exists()


async def test_a_socket_in_a_deep_folder_is_served(tmp_path: Path) -> None:
    path = tmp_path / ("d" * 100) / "control.sock"
    path.parent.mkdir()
    server = SocketServer(path, CommandDesk(OnStage(), Ending(), None), lambda: LIVE)
    serving = asyncio.create_task(server.serve())
    assert (await ask(path, "GET", "status")).is_done
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    assert not path.exists()


async def test_figures_are_for_this_machine_only() -> None:
    server = MetricsServer(0, lambda: "sts_info 1\n")
    serving = asyncio.create_task(server.serve())
    answers = {}
    for host in ("127.0.0.1", "localhost:9464", "evil.example"):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(f"GET /metrics HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        answers[host] = int((await reader.read()).split()[1])
        writer.close()
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    assert answers == {"127.0.0.1": 200, "localhost:9464": 200, "evil.example": 403}
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", server.port)
