"""Commands at Lighter as their user knows them: the exchange is ``sim_lighter``, a process of its own."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from stall_then_strike.infra.accounts_file import FILE_VARIABLE
from tests.e2e.commands import Process, app_log, read_line, run, running, wait_until
from tests.e2e.test_doctor import verdicts
from tests.e2e.test_watchdog import TRADER

pytest.importorskip("lighter")
ENTRY = """
[[accounts]]
name = "{name}"
exchange = "XLIGHTER"
api_key = "0x0"
secret = "{key}"
account_index = {index}
api_key_index = {key_index}
"""
ACCOUNT = re.compile(
    r"sim_lighter account index=(?P<index>\d+) key_index=(?P<key_index>\d+) key=(?P<key>\S+) plan=builder"
)
NAMES = ("trader", "dog")
LIMIT_S = 2
SWITCH = "the venue's own cancel-all is"


@dataclass
class Place:
    """The exchange, its account with two keys in ``accounts.toml``, and a folder for everything else."""

    rest: str
    ws: str
    account_index: int
    secrets: tuple[str, ...]
    folder: Path

    @property
    def heartbeat(self) -> Path:
        return self.folder / "journal" / "ETH.heartbeat"

    @property
    def log(self) -> str:
        return app_log(self.folder / "logs")

    def account(self) -> dict[str, Any]:
        time.sleep(0.2)  # 800 such calls a minute are allowed
        with urlopen(f"{self.rest}/api/v1/account?by=index&value={self.account_index}", timeout=20) as answer:  # noqa: S310 - http only
            (found,) = json.loads(answer.read())["accounts"]
        assert isinstance(found, dict)
        return found

    def orders(self) -> int:
        return int(self.account().get("total_order_count") or 0)

    def switch_ms(self) -> int:
        return int(self.account().get("cancel_all_time") or 0)

    def place_two(self) -> None:
        for side, price in (("buy", "2900"), ("sell", "3400")):
            flags = ("--account", "trader", "--base-url", self.rest, "--yes", "--post-only")
            placed = run("lighter", "place", "ETH", side, "0.05", "--price", price, *flags)
            assert placed.returncode == 0, placed.stderr
        wait_until("both orders on the book", lambda: self.orders() == 2)

    def flags(self, *more: str) -> list[str]:
        sets = (
            "env=live",
            "exchange.name=lighter",
            "exchange.plan=builder",
            "exchange.product_code=ETH-USDC",
            f"exchange.base_url={self.rest}",
            f"exchange.ws_url={self.ws}",
            f"journal.dir={self.folder / 'journal'}",
            f"watch.heartbeat_limit_sec={LIMIT_S}",
            "watch.heartbeat_sec=0.2",
            "watch.min_free_disk_mb=1",
            "strategy.size_min=0.02",
            *more,
        )
        return ["--log-dir", str(self.folder / "logs"), *(word for one in sets for word in ("--set", one))]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setenv("STALL_ALERT_URLS", "")
    with running("sim_lighter", "--plan", "builder", "--keys", "2", "--markets", "ETH,SOL") as exchange:
        ready = read_line(exchange, r"sim_lighter ready rest=(\S+) ws=(\S+)")
        assert exchange.stdout is not None
        keys = [found for _ in NAMES if (found := ACCOUNT.match(exchange.stdout.readline())) is not None]
        path = tmp_path / "accounts.toml"
        path.write_text(
            "".join(ENTRY.format(name=name, **key.groupdict()) for name, key in zip(NAMES, keys, strict=True))
        )
        path.chmod(0o600)
        monkeypatch.setenv(FILE_VARIABLE, str(path))
        secrets = tuple(key["key"].removeprefix("0x") for key in keys)
        yield Place(ready[1], ready[2], int(keys[0]["index"]), secrets, tmp_path)


def test_doctor_finds_all_ready_and_sends_nothing(place: Place) -> None:
    done = run("doctor", *place.flags("account.name=trader", "watch.account=dog"))
    assert done.returncode == 0, done.stdout
    found = verdicts(done.stdout)
    assert set(found.values()) == {"ok"}, done.stdout
    assert {
        "credentials",
        "venue",
        "market",
        "api key",
        "collateral",
        "margin",
        "open orders",
        "position",
    } <= found.keys()
    assert not any(secret in done.stdout + done.stderr for secret in place.secrets)
    assert place.orders() == place.switch_ms() == 0


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        (("account.name=nobody",), 2, "account.name: 'nobody': no such account of XLIGHTER"),
        (("account.name=trader", "watch.account=trader"), 2, "watch.account: 'trader' is no other key of account"),
        (("account.name=trader", "exchange.product_code=FOO"), 2, "no such market"),
    ],
)
def test_doctor_says_what_to_mend(more: tuple[str, ...], code: int, said: str, place: Place) -> None:
    done = run("doctor", *place.flags(*more))
    assert (done.returncode, said in " ".join(done.stdout.split())) == (code, True), done.stdout


@contextmanager
def watching(place: Place, *more: str) -> Iterator[Process]:
    with running("watchdog", *place.flags("account.name=trader", *more)) as dog:
        wait_until("the watchdog's start", lambda: "waiting for a heartbeat" in place.log)
        yield dog


@contextmanager
def trading(place: Place) -> Iterator[Process]:
    with running("python", "-c", TRADER, place.heartbeat) as trader:
        wait_until("the watch over it", lambda: "the trader is alive: watching" in place.log)
        yield trader


@pytest.mark.slow
def test_orders_of_a_killed_trader_are_cancelled_and_until_then_the_venue_would_have_done_it(
    place: Place, alerted: list[str]
) -> None:
    place.place_two()
    with watching(place, "watch.account=dog") as dog:
        with trading(place) as trader:
            wait_until("the venue's switch", place.switch_ms)
            trader.send_signal(signal.SIGKILL)
            wait_until("the end of all orders", lambda: place.orders() == 0)
            wait_until("the word on it", lambda: "cancel-all 1 of 2 was accepted" in place.log)
            wait_until("the alert", lambda: alerted)
            assert "no heartbeat: cancel-all 1 of 2 was accepted; positions are left open" in alerted[0]
        dog.send_signal(signal.SIGTERM)
        assert dog.wait(20) == 0
    assert f"{SWITCH} set" in place.log
    assert place.switch_ms(), "nobody has said that the trader stopped in good order"
    assert not any(secret in place.log for secret in place.secrets)


@pytest.mark.slow
def test_clean_end_of_the_trader_takes_the_venues_switch_back_and_cancels_nothing(place: Place) -> None:
    place.place_two()
    with watching(place, "watch.account=dog"):
        with trading(place) as trader:
            wait_until("the venue's switch", place.switch_ms)
            trader.send_signal(signal.SIGTERM)
            assert trader.wait(20) == 0
        wait_until("the switch taken back", lambda: place.switch_ms() == 0)
    assert f"{SWITCH} taken back" in place.log
    assert "the trader stopped in good order" in place.log
    assert place.orders() == 2


def test_panic_button_cancels_all_markets_at_once(place: Place) -> None:
    place.place_two()
    done = run("watchdog", "--now", "--yes", *place.flags("account.name=trader"))
    assert (done.returncode, done.stderr) == (0, "")
    assert "the venue accepted the cancel-all" in done.stdout
    wait_until("the end of all orders", lambda: place.orders() == 0)


def test_markets_are_recorded_and_the_tapes_are_traded(place: Place, tmp_path: Path) -> None:
    at = ("--set", f"exchange.base_url={place.rest}", "--set", f"exchange.ws_url={place.ws}")
    raw, log_dir = tmp_path / "raw", tmp_path / "record"
    flags = ("--product", "ETH-USDC", "--product", "SOL", "--out", raw, "--log-dir", log_dir, "--duration", "4")
    done = run("record", "--venue", "lighter", *flags, *at)
    assert (done.returncode, done.stderr) == (0, "")
    tapes = sorted(raw.glob("*.jsonl.zst"))
    assert [re.split(r"-\d{8}T", tape.name)[0] for tape in tapes] == ["ETH", "SOL"]
    only_eth = ("--set", "exchange.product_code=ETH")
    traded = run("backtest", "--venue", "XLIGHTER", tapes[0], *only_eth, *at, "--log-dir", tmp_path / "backtest")
    assert traded.returncode == 0, traded.stderr
    assert "USDC" in traded.stdout
    refused = run("backtest", tapes[0], "--log-dir", tmp_path / "none")
    assert refused.returncode == 2
    assert "accepted: settings of lighter, such as --set exchange.name=lighter" in refused.stderr
    for name, words in (
        (("--product", "FOO"), "--product: instruments.0.product_code: "),
        (("--product", "ETH:0.01"), "tells the price step"),
    ):
        wrong = run("record", "--venue", "lighter", *name, *at, "--out", tmp_path / "none")
        assert (wrong.returncode, words in wrong.stderr) == (2, True), wrong.stderr
    assert not (tmp_path / "none").exists()
