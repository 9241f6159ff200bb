"""The command `sim_lighter`, as a process: its lines, its signals, its exit codes."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.e2e.forked import REPO, Forked, forked

READY = re.compile(r"sim_lighter ready rest=(http://\S+:\d+) ws=(ws://\S+:\d+/stream) markets=(\S+)\n")
ACCOUNT = re.compile(r"sim_lighter account index=(\d+) key_index=(\d+) key=0x([0-9a-f]{80}) plan=(\w+)\n")
ETH_ONLY = ("--markets", "ETH")


@asynccontextmanager
async def running(*flags: str, cwd: Path = REPO) -> AsyncIterator[tuple[Forked, re.Match[str], re.Match[str]]]:
    process = Forked("sim_lighter", *flags, cwd=cwd)
    try:
        assert process.stdout is not None
        lines = [await asyncio.to_thread(process.stdout.readline) for _ in range(2)]
        ready, account = READY.fullmatch(lines[0]), ACCOUNT.fullmatch(lines[1])
        assert ready is not None, lines
        assert account is not None, lines
        yield process, ready, account
    finally:
        process.kill()
        await asyncio.to_thread(process.communicate)


def run(*flags: str, cwd: Path = REPO) -> subprocess.CompletedProcess[str]:
    return forked("sim_lighter", *flags, cwd=cwd, timeout=60)


async def test_rest_and_stream_are_served_from_any_folder_until_a_signal(tmp_path: Path) -> None:
    async with running("--plan", "premium", "--collateral", "500", *ETH_ONLY, cwd=tmp_path) as (
        process,
        ready,
        account,
    ):
        assert (ready[3], account[2], account[4]) == ("ETH:0", "4", "premium")
        async with aiohttp.ClientSession() as session:
            query = {"by": "index", "value": account[1]}
            async with session.get(f"{ready[1]}/api/v1/account", params=query) as answer:
                assert (await answer.json())["accounts"][0]["collateral"] == "500.000000"
            async with session.ws_connect(ready[2]) as ws:
                assert (await ws.receive_json(timeout=10))["type"] == "connected"
                await ws.send_json({"type": "subscribe", "channel": "order_book/0"})
                book = (await ws.receive_json(timeout=10))["order_book"]
                assert float(book["bids"][0]["price"]) < float(book["asks"][0]["price"])
                assert (await ws.receive_json(timeout=10))["order_book"]["begin_nonce"] == book["nonce"]
        process.send_signal(signal.SIGINT)
        out, err = await asyncio.to_thread(process.communicate, 20)
        assert (process.returncode, err) == (0, "")
        assert "stopped: SIGINT; 1 connections" in out


async def test_printed_key_signs_for_the_sdk() -> None:
    lighter = pytest.importorskip("lighter")
    async with running(*ETH_ONLY) as (_, ready, account):
        signer = lighter.SignerClient(ready[1], int(account[1]), {int(account[2]): account[3]})
        try:
            assert await asyncio.to_thread(signer.check_client) is None
        finally:
            await signer.close()


def test_faults_come_from_the_packages_own_sample_and_are_counted(tmp_path: Path) -> None:
    done = run("--duration", "0.5", *ETH_ONLY, "--faults", "configs/faults-lighter.yml", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "faults that struck: none" in done.stdout


def test_a_taken_port_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("--port", str(port), *ETH_ONLY)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"sim_lighter: cannot listen on 127.0.0.1:{port}: " in done.stderr


def test_it_needs_no_sdk() -> None:
    code = "import sys; sys.modules['lighter'] = None; import stall_then_strike.app.sim_lighter as m; m.parser()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
