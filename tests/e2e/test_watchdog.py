"""The command `watchdog`, as a process beside a trader that dies, hangs or stops, at the embedded exchange."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from stall_then_strike.infra.watch.heartbeat import age_sec
from stall_then_strike.sim.bitflyer.keys import ApiKey
from tests.e2e.commands import Process, app_log, read_line, run, running, wait_until
from tests.e2e.conftest import ALERT_TOKEN
from tests.sim.private_rig import sign

KEY = ApiKey(key="demo-key", secret="made-up-secret")
WATCHDOG = ("watchdog",)
EXCHANGE = ("sim_exchange",)
LIMIT_S = 2

TRADER = """
import asyncio, signal, sys
from pathlib import Path
from stall_then_strike.infra.clock import SystemClock
from stall_then_strike.infra.watch.heartbeat import Heartbeat

async def main():
    heart = Heartbeat(Path(sys.argv[1]), SystemClock(), period_sec=0.2)
    beating = asyncio.create_task(heart.run())
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    beating.cancel()
    heart.stopped()

asyncio.run(main())
"""


@dataclass
class Place:
    """The exchange with two orders of ours on it, and a folder for everything else."""

    rest: str
    folder: Path

    @property
    def heartbeat(self) -> Path:
        return self.folder / "journal" / "FX_BTC_JPY.heartbeat"

    def beat(self, state: str, age_s: int) -> None:
        """Write a heartbeat of that age."""
        self.heartbeat.parent.mkdir(exist_ok=True)
        beat = {"run_ns": 1, "pid": 4711, "beat": 1, "time_ns": 1, "state": state}
        self.heartbeat.write_text(json.dumps(beat))
        # Stamped ahead of now, so that a slow start of the command does not age a young one past the limit.
        os.utime(self.heartbeat, ns=(0, time.time_ns() + (30 - 2 * age_s) * 10**9))

    @property
    def log(self) -> str:
        return app_log(self.folder / "logs")

    def call(self, method: str, target: str, fields: Any = None) -> Any:
        body = b"" if fields is None else json.dumps(fields).encode()
        headers = {**sign(KEY, method, target, body), "Content-Type": "application/json"}
        request = Request(self.rest + target, data=body or None, headers=headers, method=method)  # noqa: S310 - http only
        with urlopen(request, timeout=20) as answer:  # noqa: S310 - the same
            text = answer.read()
        return json.loads(text) if text else None

    def live(self) -> int:
        orders = self.call("GET", "/v1/me/getchildorders?product_code=FX_BTC_JPY&child_order_state=ACTIVE")
        return len(orders)

    def place_two(self) -> None:
        mid = self.call("GET", "/v1/getboard?product_code=FX_BTC_JPY")["mid_price"]
        for side, factor in (("BUY", 0.97), ("SELL", 1.03)):
            order = {"product_code": "FX_BTC_JPY", "child_order_type": "LIMIT", "side": side, "size": 0.01}
            self.call("POST", "/v1/me/sendchildorder", {**order, "price": round(mid * factor)})
        wait_until("both orders on the book", lambda: self.live() == 2)

    def flags(self) -> list[str]:
        sets = {
            "env": "sim",
            "exchange.base_url": self.rest,
            "journal.dir": str(self.folder / "journal"),
            "watch.heartbeat_limit_sec": str(LIMIT_S),
            "watch.heartbeat_sec": "0.2",
        }
        return [
            "--log-dir",
            str(self.folder / "logs"),
            *(word for key, value in sets.items() for word in ("--set", f"{key}={value}")),
        ]


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BITFLYER_API_KEY", KEY.key)
    monkeypatch.setenv("BITFLYER_API_SECRET", KEY.secret)
    monkeypatch.setenv("STALL_ALERT_URLS", "")


@pytest.fixture
def place(tmp_path: Path, keys: None) -> Iterator[Place]:
    with running(*EXCHANGE, "--maintenance", "off", "--api-key", KEY.key, "--api-secret", KEY.secret) as exchange:
        found = read_line(exchange, r"sim_exchange ready rest=(\S+)")
        here = Place(found[1], tmp_path)
        here.place_two()
        yield here


@contextmanager
def trading(place: Place) -> Iterator[Process]:
    """A trader, alive and watched."""
    with running("python", "-c", TRADER, place.heartbeat) as trader:
        wait_until("the watch over it", lambda: "the trader is alive: watching" in place.log)
        yield trader


@contextmanager
def watching(place: Place) -> Iterator[Process]:
    with running(*WATCHDOG, *place.flags()) as dog:
        wait_until("the watchdog's start", lambda: "waiting for a heartbeat" in place.log)
        yield dog


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_orders_of_a_killed_or_hung_trader_are_cancelled_and_the_operator_is_told(
    number: signal.Signals, place: Place, alerted: list[str]
) -> None:
    with watching(place) as dog:
        with trading(place) as trader:
            trader.send_signal(number)
            wait_until("the end of all orders", lambda: place.live() == 0)
            wait_until("the word on it", lambda: alerted)
            assert alerted == [
                "watchdog FX_BTC_JPY: no heartbeat: cancel-all 1 of 2 was accepted; positions are left open"
            ]
            if number == signal.SIGSTOP:
                trader.send_signal(signal.SIGCONT)
                wait_until("the return", lambda: "the heartbeat is back" in place.log)
                place.place_two()  # which the watchdog leaves alone now
        dog.send_signal(signal.SIGTERM)
        assert dog.wait(20) == 0
    assert "stopped watching" in place.log
    assert KEY.secret not in place.log
    assert KEY.key not in place.log
    assert ALERT_TOKEN not in place.log


@pytest.mark.slow
def test_clean_end_of_the_trader_sends_nothing(place: Place) -> None:
    with watching(place):
        with trading(place) as trader:
            trader.send_signal(signal.SIGTERM)
            assert trader.wait(20) == 0
            wait_until("twice the limit", lambda: (age_sec(place.heartbeat, time.time_ns()) or 0) > 2 * LIMIT_S)
        assert "the trader stopped in good order" in place.log
    assert place.live() == 2
    assert "cancel-all" not in place.log


def test_panic_button_cancels_at_once(place: Place) -> None:
    done = run(*WATCHDOG, "--now", "--yes", *place.flags())
    assert (done.returncode, done.stderr) == (0, "")
    assert "the venue accepted the cancel-all" in done.stdout
    wait_until("the end of all orders", lambda: place.live() == 0)


@pytest.mark.parametrize(
    ("state", "age_s", "goes_on"), [("running", 0, True), ("running", 60, False), ("stopped", 0, False)]
)
def test_panic_button_tells_of_a_trader_that_goes_on(place: Place, state: str, age_s: int, goes_on: bool) -> None:
    place.beat(state, age_s)
    done = run(*WATCHDOG, "--now", "--yes", *place.flags())
    assert (done.returncode, done.stderr) == (0, "")
    assert ("A trader goes on quoting: process 4711, last heartbeat" in done.stdout) is goes_on


def test_panic_button_without_a_terminal_needs_yes(place: Place) -> None:
    done = run(*WATCHDOG, "--now", *place.flags())
    assert (done.returncode, done.stdout) == (2, "")
    assert "accepted: --now --yes" in done.stderr
    assert place.live() == 2


@pytest.mark.parametrize("flags", [(), ("--now", "--yes")])
def test_wrong_keys_are_refused_in_a_line(
    flags: tuple[str, ...], place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BITFLYER_API_SECRET", "another-secret")
    done = run(*WATCHDOG, *flags, *place.flags())
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("watchdog: /v1/me/")
    assert "HTTP 401" in done.stderr
    assert "another-secret" not in done.stderr
    assert "Traceback" not in done.stderr
    assert place.live() == 2


def test_missing_keys_are_refused(tmp_path: Path, keys: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BITFLYER_API_KEY", "")
    done = run(*WATCHDOG, *Place("http://127.0.0.1:9", tmp_path).flags())
    assert done.returncode == 2
    assert "BITFLYER_API_KEY" in done.stderr


def test_panic_button_at_a_dead_venue_is_a_failure_in_words(tmp_path: Path, keys: None) -> None:
    done = run(*WATCHDOG, "--now", "--yes", *Place("http://127.0.0.1:9", tmp_path).flags())
    assert (done.returncode, done.stdout) == (1, "")
    assert "watchdog: /v1/me/cancelallchildorders: ClientConnectorError" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("content", "age_s", "code", "words"),
    [
        (None, 0, 1, "no heartbeat in "),
        ("running", 0, 0, "running, last heartbeat "),
        ("running", 60, 1, "silent, without a report that it stopped, last heartbeat "),
        ("stopped", 0, 1, "stopped, last heartbeat "),
    ],
)
def test_alive_answers_by_its_exit_code(content: str | None, age_s: int, code: int, words: str, tmp_path: Path) -> None:
    here = Place("http://127.0.0.1:9", tmp_path)
    if content is not None:
        here.beat(content, age_s)
    done = run(*WATCHDOG, "--alive", *here.flags())
    assert (done.returncode, done.stderr) == (code, "")
    assert done.stdout.startswith(words)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--yes",), "--yes needs --now"),
        (("--now", "--alive"), "not allowed with"),
        (("--set", "env=paper"), "env: paper has no orders to cancel"),
        (("--set", "watch.heartbeat_limit_sec=1"), "watch.heartbeat_limit_sec"),
    ],
)
def test_bad_arguments_are_refused(flags: tuple[str, ...], words: str) -> None:
    done = run(*WATCHDOG, *flags)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
