"""The command ``lighter`` against the exchange on loopback: what it shows, sends, asks and refuses."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lighter")

from stall_then_strike.app.lighter_commands import lighter_cli
from stall_then_strike.app.lighter_commands.lighter_cli import main
from stall_then_strike.lighter.signing.account_keys import VARIABLES
from stall_then_strike.sim.lighter_server import Credentials, LighterExchange
from tests.lighter.dealer_rig import exchange


class Room:
    """An exchange in a thread, and the command in this one."""

    def __init__(self, venue: LighterExchange, capsys: pytest.CaptureFixture[str]) -> None:
        self.venue, self.capsys = venue, capsys
        self.credentials = venue.add_account(10_000)

    def run(self, *args: str, code: int = 0) -> tuple[str, str]:
        name, *more = args
        given = main([name, "--base-url", self.venue.base_url, *more])
        out, err = self.capsys.readouterr()
        assert given == code, out + err
        assert self.credentials.private_key.removeprefix("0x") not in out + err
        return out, err

    def json(self, *args: str, code: int = 0) -> Any:
        return json.loads(self.run(*args, "--json", code=code)[0])

    def orders(self) -> list[tuple[int, int, int, bool]]:
        """Market, price, size and whether it sells, of each order on the exchange's own books."""
        account = self.venue.venue.account(self.credentials.account_index)
        return [(order.market, order.price, order.size, order.is_ask) for order in account.orders.values()]

    def place(self, *args: str, code: int = 0) -> Any:
        return self.json("place", *args, code=code)["order"]


@pytest.fixture(scope="module")
def venue() -> Iterator[LighterExchange]:
    up, down = threading.Event(), asyncio.Event()
    found: list[Any] = []

    async def serve() -> None:
        async with exchange() as opened:
            found.extend((opened, asyncio.get_running_loop()))
            up.set()
            await down.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert up.wait(20)
    try:
        yield found[0]
    finally:
        found[1].call_soon_threadsafe(down.set)
        thread.join(20)


def know(monkeypatch: pytest.MonkeyPatch, credentials: Credentials) -> None:
    for name, value in zip(VARIABLES, credentials, strict=True):
        monkeypatch.setenv(name, str(value))


def of_another(room: Room, monkeypatch: pytest.MonkeyPatch, *terms: str) -> None:
    """An order of another account."""
    maker = Room(room.venue, room.capsys)
    know(monkeypatch, maker.credentials)
    maker.place(*terms)
    know(monkeypatch, room.credentials)


@pytest.fixture
def room(
    venue: LighterExchange, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Room:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(lighter_cli, "LOOKS_S", (0.05,) * 40)
    made = Room(venue, capsys)
    know(monkeypatch, made.credentials)
    return made


def test_markets_need_no_account(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name)
    out, err = room.run("markets")
    assert err == ""
    assert max(map(len, out.splitlines())) <= 80
    assert [line.split()[:4] for line in out.splitlines() if " BTC " in line] == [["1", "BTC", "0.1", "0.00001"]]
    [btc] = [market for market in room.json("markets") if market["symbol"] == "BTC"]
    assert (btc["market_index"], btc["price_step"], btc["is_active"]) == (1, "0.1", True)


def test_an_order_is_placed_changed_and_cancelled(room: Room) -> None:
    placed = room.place("ETH", "buy", "0.01", "--price", "2000.5")
    assert room.orders() == [(0, 200_050, 100, False)]
    assert placed["status"] == "open"
    number = str(placed["client_order_index"])
    out, _ = room.run("orders")
    assert number in out
    assert max(map(len, out.splitlines())) <= 80

    out, _ = room.run("modify", number, "--price", "1999", "--size", "0.02")
    assert out.startswith("ETH buy 0.0200 at 1999.00: open, 0.0000 filled; id ")
    assert room.orders() == [(0, 199_900, 200, False)]
    room.run("modify", placed["order_id"], "--size", "0.03")
    assert room.orders() == [(0, 199_900, 300, False)]

    assert room.run("cancel", number)[0] == "cancelled: none of them is open any more\n"
    assert room.orders() == []
    assert room.run("orders")[0] == "no open orders\n"


def test_orders_of_all_markets_are_listed_and_cancelled(room: Room) -> None:
    room.place("ETH", "sell", "0.01", "--price", "9000", "--post-only")
    btc = room.place("BTC", "buy", "0.001", "--price", "50000")
    assert room.orders() == [(0, 900_000, 100, True), (1, 500_000, 100, False)]
    out, _ = room.run("orders")
    assert "post-only" in out
    assert len(room.json("orders", "--symbol", "BTC")) == 1
    assert room.json("cancel", str(btc["client_order_index"])) == {"gone": True, "left": []}
    assert room.orders() == [(0, 900_000, 100, True)]
    room.place("BTC", "buy", "0.001", "--price", "50000")
    room.run("cancel-all")
    assert room.orders() == []


def test_a_trade_shows_in_positions_and_balance(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    of_another(room, monkeypatch, "SOL", "sell", "1", "--price", "150")
    assert room.run("positions")[0] == "no positions\n"
    out, _ = room.run("place", "SOL", "buy", "0.5", "--market", "--bound", "155", "--yes")
    assert out.startswith("SOL buy 0.500 at market, 155.000 at worst: filled, 0.500 filled at 150.000 on average; id ")
    positions = room.json("positions")
    assert Decimal(positions["SOL"]["size"]) == Decimal("0.5")
    out, _ = room.run("positions")
    assert "+0.500" in out
    assert max(map(len, out.splitlines())) <= 80
    assert Decimal(room.json("balance")["collateral"]) < 10_000  # the taker's fee
    out, _ = room.run("balance")
    assert "collateral" in out
    assert max(map(len, out.splitlines())) <= 80


def test_what_the_venue_cancels_by_itself_is_a_failure(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    of_another(room, monkeypatch, "DOGE", "sell", "100", "--price", "0.2")
    order = room.place("DOGE", "buy", "100", "--price", "0.21", "--post-only", code=1)
    assert order["status"] == "canceled-post-only"
    assert room.orders() == []


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("place", "ETH", "buy", "0.01", "--price", "2000.005"), "not a whole number of steps of 0.01"),
        (("place", "ETH", "buy", "0.01", "--price", "2000.00000000000000001"), "not a whole number of steps"),
        (("place", "ETH", "buy", "0.00001", "--price", "2000"), "not a whole number of steps of 0.0001"),
        (("place", "BTC", "buy", "0.00001", "--price", "50000"), "below the minimum"),
        (("place", "ETH", "buy", "0.01", "--price", "42949673.01"), "out of range"),
        (("place", "NONE", "buy", "1", "--price", "1"), "no such market"),
        (("cancel", "12345"), "not among the open orders"),
        (("modify", "12345", "--price", "1"), "not among the open orders"),
    ],
)
def test_what_cannot_be_sent_is_refused(room: Room, args: tuple[str, ...], said: str) -> None:
    before = room.venue.venue.next_nonce(room.credentials.account_index, room.credentials.api_key_index)
    _, err = room.run(*args, code=2)
    assert said in err
    after = room.venue.venue.next_nonce(room.credentials.account_index, room.credentials.api_key_index)
    assert after == before


def test_a_refused_key_is_told_and_not_shown(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    stranger = Room(room.venue, room.capsys).credentials
    know(monkeypatch, room.credentials._replace(private_key=stranger.private_key))
    _, err = room.run("orders", code=2)
    assert "20013" in err
    assert stranger.private_key.removeprefix("0x") not in err


@pytest.mark.parametrize("name", VARIABLES)
def test_missing_and_wrong_credentials_are_named_and_not_shown(
    room: Room, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "secret-thing")
    _, err = room.run("balance", code=2)
    assert name in err
    assert "secret-thing" not in err
    monkeypatch.delenv(name)
    _, err = room.run("balance", code=2)
    assert f"{name}: neither in the environment nor in" in err


def test_credentials_come_from_a_file(room: Room, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    values = [f"{name}={value}\n" for name, value in zip(VARIABLES, room.credentials, strict=True)]
    for name in VARIABLES:
        monkeypatch.delenv(name)
    (tmp_path / ".env").write_text("".join(values))
    assert room.json("orders") == []


@pytest.mark.parametrize(("answer", "n_orders"), [("y\n", 1), ("n\n", 0), ("\n", 0)])
def test_the_operator_is_asked_before_it_goes_elsewhere(
    room: Room, monkeypatch: pytest.MonkeyPatch, answer: str, n_orders: int
) -> None:
    monkeypatch.setattr(lighter_cli, "is_own_machine", lambda host: False)
    ours, theirs = pty.openpty()
    os.write(ours, answer.encode())
    with os.fdopen(theirs) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        out, _ = room.run("place", "ETH", "buy", "0.01", "--price", "2000", code=1 - n_orders)
    os.close(ours)
    assert "buy 0.01 ETH at 2000 (20.00 USDC)\n  account" in out
    assert f"{room.venue.base_url}\nSend it? [y/N] " in out
    assert ("nothing was sent" in out) is (n_orders == 0)
    assert len(room.orders()) == n_orders


def test_leave_is_given_beforehand(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lighter_cli, "is_own_machine", lambda host: False)
    out, _ = room.run("place", "ETH", "buy", "0.01", "--price", "2000", "--yes")
    assert "Send it?" not in out
    assert len(room.orders()) == 1


def test_venue_out_of_reach(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["balance", "--base-url", "http://127.0.0.1:1"]) == 1
    assert "no connection" in room.capsys.readouterr().err
    assert main(["markets", "--base-url", "nowhere"]) == 2


def test_account_of_the_accounts_file_is_chosen_by_its_name(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = room.credentials
    entry = (
        f'[[accounts]]\nname = "NAME"\nexchange = "LIGHTER"\napi_key = "0x1"\nsecret = "{key.private_key}"\n'
        f"account_index = {key.account_index}\napi_key_index = {key.api_key_index}\n"
    )
    path = tmp_path / "accounts.toml"
    path.write_text(entry.replace("NAME", "main") + entry.replace("NAME", "second"))
    path.chmod(0o600)
    monkeypatch.setenv("STALL_ACCOUNTS_FILE", str(path))
    monkeypatch.chdir(tmp_path)
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert room.json("balance", "--account", "second")["collateral"] == "10000.000000"
    assert "--account: not given, and" in room.run("balance", code=2)[1]
    path.write_text(entry.replace("NAME", "only"))
    assert room.json("balance")["collateral"] == "10000.000000"


def test_missing_extra_is_told() -> None:
    code = (
        "import sys; sys.modules['lighter'] = None; "
        "from stall_then_strike.app.lighter_commands.lighter_cli import main; "
        "sys.exit(main(['balance', '--base-url', 'http://127.0.0.1:1']))"
    )
    env = os.environ | dict(zip(VARIABLES, ("1", "4", "ab" * 40), strict=True))
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert "pip install 'stall-then-strike[lighter]'" in done.stderr
