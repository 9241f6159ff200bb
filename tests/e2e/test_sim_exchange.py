"""The command `sim_exchange`, as a process: its lines, its signals, its exit codes."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import signal
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.e2e.forked import Forked, forked

READY = re.compile(r"sim_exchange ready rest=(http://\S+:\d+) ws=(ws://\S+:\d+/json-rpc) product=(\w+)\n")
DELTA = '{"jsonrpc":"2.0","method":"channelMessage","params":{"channel":"lightning_board_FX_BTC_JPY","message":{}}}'


@asynccontextmanager
async def running(*flags: str) -> AsyncIterator[tuple[Forked, re.Match[str]]]:
    """One that is open all day: what a test sees must not depend on the hour at which it runs."""
    process = Forked("sim_exchange", *(() if "--tape" in flags else ("--maintenance", "off")), *flags)
    try:
        ready = READY.fullmatch(await line_of(process))
        assert ready is not None
        yield process, ready
    finally:
        process.kill()
        await asyncio.to_thread(process.communicate)


async def line_of(process: Forked) -> str:
    """Its next line."""
    assert process.stdout is not None
    return await asyncio.to_thread(process.stdout.readline)


async def end_of(process: Forked) -> tuple[str, str]:
    """What it has still to say, once it has ended."""
    return await asyncio.to_thread(process.communicate, 20)


def run(*flags: str) -> subprocess.CompletedProcess[str]:
    return forked("sim_exchange", *flags, timeout=30)


async def first_message(ws_url: str) -> Any:
    async with aiohttp.ClientSession() as session, session.ws_connect(ws_url) as ws:
        await ws.send_json({"method": "subscribe", "params": {"channel": "lightning_board_FX_BTC_JPY"}})
        return await ws.receive_json(timeout=10)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_signal_stops_a_serving_exchange_in_good_order(number: signal.Signals) -> None:
    async with running("--seed", "3") as (process, ready):
        rest, ws, product = ready.groups()
        assert product == "FX_BTC_JPY"
        assert (await first_message(ws))["method"] == "channelMessage"
        async with aiohttp.ClientSession() as session, session.get(f"{rest}/v1/gethealth?product_code={product}") as r:
            assert await r.json() == {"status": "NORMAL"}
        process.send_signal(number)
        out, err = await end_of(process)
        assert process.returncode == 0
        assert err == ""
        assert f"--set exchange.ws_url={ws}" in out
        assert f"stopped: {number.name}; 1 connections" in out


async def call(rest: str, key: str, secret: str, order: str = "") -> tuple[int, Any]:
    """A signed call: for the collateral, or with an order."""
    method, target = ("POST", "/v1/me/sendchildorder") if order else ("GET", "/v1/me/getcollateral")
    signature = hmac.new(secret.encode(), f"1790000000{method}{target}{order}".encode(), hashlib.sha256).hexdigest()
    headers = {"ACCESS-KEY": key, "ACCESS-TIMESTAMP": "1790000000", "ACCESS-SIGN": signature}
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, rest + target, data=order or None, headers=headers) as answer,
    ):
        return answer.status, await answer.json()


@pytest.mark.parametrize("flags", [(), ("--api-key", "demo", "--api-secret", "made-up", "--collateral", "7")])
async def test_printed_key_is_accepted(flags: tuple[str, ...]) -> None:
    async with running("--speed", "20", *flags) as (process, ready):
        line = await line_of(process)
        account = re.fullmatch(r"sim_exchange account key=(\S{4,}) secret=(\S{7,})\n", line)
        assert account is not None
        status, answer = await call(ready[1], account[1], account[2])
        assert (status, answer["collateral"]) == (200, 7.0 if flags else 1_000_000.0)
        assert (await call(ready[1], account[1], "another"))[0] == 401
        if flags:
            assert account.groups() == ("demo", "made-up")


@pytest.mark.parametrize(("yen", "is_whole"), [("exact", False), ("shown", True), ("settled", True)])
async def test_money_is_in_whole_yen_on_request(yen: str, is_whole: bool) -> None:
    keys = ("demo", "made-up")
    async with running("--yen", yen, "--api-key", keys[0], "--api-secret", keys[1]) as (_, ready):
        order = '{"product_code":"FX_BTC_JPY","child_order_type":"MARKET","side":"BUY","size":0.0013}'
        status, answer = await call(ready[1], *keys, order)
        assert status == 200, answer
        needed = 0.0
        async with asyncio.timeout(20):
            while not needed:
                _, answer = await call(ready[1], *keys)
                needed = answer["require_collateral"]
        assert (needed == int(needed)) is is_whole


async def test_tape_is_played_to_its_end_and_the_command_with_it(tmp_path: Path) -> None:
    tape = tmp_path / "t.jsonl"
    tape.write_text("".join(f'{{"recv_ns":{n},"msg":{DELTA}}}\n' for n in range(3)))
    async with running("--tape", str(tape), "--speed", "max") as (process, ready):
        assert (await first_message(ready[2]))["params"]["message"] == {}
        out, _ = await end_of(process)
        assert process.returncode == 0
        assert "stopped: end of tape" in out


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("::1", r"\[::1\]"),
        ("localhost", r"(127\.0\.0\.1|\[::1\])"),
        ("0.0.0.0", r"127\.0\.0\.1"),  # noqa: S104 - what is tested
        ("::", r"\[::1\]"),
    ],
)
async def test_urls_can_be_used_whatever_the_host(host: str, shown: str) -> None:
    async with running("--host", host) as (process, ready):
        assert re.match(f"http://{shown}:", ready[1])
        assert "params" in await first_message(ready[2])
        line = await line_of(process)
        account = re.fullmatch(r"sim_exchange account key=(\S+) secret=(\S+)\n", line)
        assert account is not None
        assert (await call(ready[1], account[1], account[2]))[0] == 200


def test_duration_ends_the_command() -> None:
    done = run("--duration", "0.2", "--speed", "10")
    assert (done.returncode, done.stderr) == (0, "")
    assert "stopped: duration over" in done.stdout


async def test_faults_of_a_file_strike_and_are_counted(tmp_path: Path) -> None:
    plan = tmp_path / "faults.yml"
    plan.write_text("faults:\n  - { kind: server_error, path: /v1/gethealth, http_status: 503 }\n")
    async with running("--faults", str(plan)) as (process, ready):
        async with aiohttp.ClientSession() as session, session.get(f"{ready[1]}/v1/gethealth") as answer:
            assert answer.status == 503
        process.send_signal(signal.SIGINT)
        out, err = await end_of(process)
        assert (process.returncode, err) == (0, "")
        assert "faults that struck: server_error 1" in out


def test_chaos_runs() -> None:
    done = run("--chaos", "1", "--duration", "1", "--speed", "30")
    assert (done.returncode, done.stderr) == (0, "")
    assert "faults that struck: " in done.stdout


def test_taken_port_is_a_failure_in_words() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("--port", str(port))
    assert (done.returncode, done.stdout) == (1, "")
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr
    assert "Traceback" not in done.stderr


def test_tape_that_breaks_while_it_plays_is_a_failure_in_words(tmp_path: Path) -> None:
    tape = tmp_path / "t.jsonl"
    tape.write_text(f'{{"recv_ns":1,"msg":{DELTA}}}\nbroken\n{{"recv_ns":2,"msg":{DELTA}}}\n')
    done = run("--tape", str(tape), "--duration", "10")
    assert done.returncode == 1
    assert "t.jsonl:2:" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--speed", "0"), "accepted: above 0 to 100, or max"),
        (("--speed", "fast"), "accepted: above 0 to 100, or max"),
        (("--port", "70000"), "accepted: 0 to 65535"),
        (("--port", "-1"), "accepted: 0 to 65535"),
        (("--duration", "-3"), "accepted: seconds above 0"),
        (("--tape", "none.jsonl"), "none.jsonl: No such file"),
        (("--tape", "none.jsonl", "--seed", "3"), "not allowed with"),
        (("--collateral", "-5"), "accepted: whole JPY above 0"),
        (("--maintenance", "24:00"), "accepted: 00:00 to 23:59, or off"),
        (("--tape", "none.jsonl", "--api-key", "k"), "not allowed with --tape"),
        (("--faults", "none.yml"), "--faults none.yml: cannot be read"),
        (("--faults", "none.yml", "--chaos", "1"), "not allowed with"),
        (("--chaos", "1", "--duration", "1"), "accepted: 20 or more of the exchange's time"),
        (("--what",), "unrecognized arguments"),
    ],
)
def test_bad_arguments_are_refused_with_what_is_accepted(flags: tuple[str, ...], words: str) -> None:
    done = run(*flags)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_empty_tape_is_refused(tmp_path: Path) -> None:
    tape = tmp_path / "empty.jsonl"
    tape.touch()
    done = run("--tape", str(tape))
    assert done.returncode == 2
    assert "empty.jsonl: contains no message" in done.stderr
