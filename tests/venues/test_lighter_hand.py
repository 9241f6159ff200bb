"""The watchdog's hand at Lighter, on the exchange on loopback: cancel-all, and the venue's own dead man's switch."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from stall_then_strike.app.shell import cli
from stall_then_strike.config.loader import app_config, read_layers
from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.accounts_file import FILE_VARIABLE
from stall_then_strike.infra.clock import SystemClock
from stall_then_strike.lighter.signing.account_keys import LighterAccount
from stall_then_strike.sim.faults.kinds import Fault, FaultKind
from stall_then_strike.sim.lighter.clearing.records import OrderTerms
from stall_then_strike.sim.lighter.transactions import Refusal
from stall_then_strike.sim.lighter_server import LighterExchange
from stall_then_strike.types.dto import NS_PER_MS
from stall_then_strike.types.errors import AuthRefused, ConfigError, NoAnswer
from stall_then_strike.venues.embedded_lighter import account_at
from stall_then_strike.venues.lighter_hand import AHEAD_NS, lighter_cancel_all
from stall_then_strike.venues.lighter_units import with_units

pytest.importorskip("lighter")
ENTRY = """
[[accounts]]
name = "{name}"
exchange = "XLIGHTER"
api_key = "0x"
secret = "{key.private_key}"
account_index = {key.account_index}
api_key_index = {key.api_key_index}
"""


@asynccontextmanager
async def room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, watch: str = ""
) -> AsyncIterator[tuple[LighterExchange, AppConfig, LighterAccount]]:
    """An exchange, and an account with two keys in ``accounts.toml``: its own and the watchdog's."""
    layers = read_layers(cli.DEFAULTS / "base.yml", cli.DEFAULTS / "lighter-sim.yml", [f"watch.account={watch!r}"])
    cfg = app_config(with_units(layers))
    async with LighterExchange(clock=SystemClock()) as exchange:
        key = exchange.add_account()
        keys = {"trader": key, "dog": exchange.add_key(key.account_index, 9), "stranger": exchange.add_account()}
        path = tmp_path / "accounts.toml"
        path.write_text("".join(ENTRY.format(name=name, key=one) for name, one in keys.items()))
        path.chmod(0o600)
        monkeypatch.setenv(FILE_VARIABLE, str(path))
        yield exchange, cfg.at(exchange.base_url, exchange.ws_url), account_at(exchange, key)


async def test_cancel_all_ends_every_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with room(tmp_path, monkeypatch) as (exchange, cfg, account):
        for market in (0, 1):
            terms = OrderTerms(market=market, is_ask=False, size=100, price=1_000)
            exchange.venue.place(account.account_index, terms, SystemClock().now_ns())
        books = exchange.venue.account(account.account_index)
        assert len(books.orders) == 2
        async with lighter_cancel_all(cfg, account) as hand:
            await hand.check_key()
            await hand.send()
            exchange.settle()
            while books.orders:
                exchange.settle()
            await hand.while_alive()
    assert not books.cancel_all_ms, "with the trader's own key the switch is not set"


async def test_cancel_all_is_sent_again_when_the_trader_has_taken_its_nonce(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with room(tmp_path, monkeypatch) as (exchange, cfg, account):
        refusals = [Refusal(21104, "invalid nonce")] * 2
        exchange.venue.refusal = lambda: refusals.pop() if refusals else None
        async with lighter_cancel_all(cfg, account) as hand:
            await hand.send()
            exchange.venue.refusal = lambda: Refusal(21104, "invalid nonce")
            with pytest.raises(NoAnswer, match="21104"):
                await hand.send()
    assert exchange.venue.account(account.account_index).keys[account.api_key_index].nonce == 1


async def test_switch_is_put_off_while_the_trader_lives_and_taken_back_when_it_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with room(tmp_path, monkeypatch, watch="dog") as (exchange, cfg, account):
        books = exchange.venue.account(account.account_index)
        before_ms = SystemClock().now_ns() // NS_PER_MS
        async with lighter_cancel_all(cfg, account) as hand:
            await hand.while_alive()
            await hand.while_alive()
            while not books.cancel_all_ms:
                exchange.settle()
            assert books.cancel_all_ms >= before_ms + AHEAD_NS // NS_PER_MS
            assert hand.is_set
            await hand.stand_down()
            while books.cancel_all_ms:
                exchange.settle()
            await hand.stand_down()
        assert books.keys[9].nonce == 2, "one to set it, one to take it back"
        assert books.keys[account.api_key_index].nonce == 0


async def test_switch_that_may_be_set_is_taken_back_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with room(tmp_path, monkeypatch, watch="dog") as (exchange, cfg, account):
        books = exchange.venue.account(account.account_index)
        async with lighter_cancel_all(cfg, account) as hand:
            exchange.faults.inject(Fault(kind=FaultKind.RESET_ANSWER, path="/api/v1/sendTx", count=1))
            await hand.while_alive()
            while not books.cancel_all_ms:
                exchange.settle()
            await hand.stand_down()
            while books.cancel_all_ms:
                exchange.settle()


async def test_switch_that_cannot_be_taken_back_is_not_asked_for_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        room(tmp_path, monkeypatch, watch="dog") as (exchange, cfg, account),
        lighter_cancel_all(cfg, account) as hand,
    ):
        await hand.while_alive()
        del exchange.venue.account(account.account_index).keys[9]
        before = exchange.audit.counts.total()
        for _ in range(20):  # as the watchdog does, twice a second
            await hand.stand_down()
        assert exchange.audit.counts.total() - before <= 2


async def test_watchdogs_key_must_be_another_one_of_the_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("trader", "stranger"):
        async with room(tmp_path, monkeypatch, watch=name) as (_, cfg, account):
            with pytest.raises(ConfigError, match=r"watch\.account.*accepted: "):
                async with lighter_cancel_all(cfg, account):
                    pass


async def test_key_that_is_not_registered_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with room(tmp_path, monkeypatch) as (exchange, cfg, account):
        del exchange.venue.account(account.account_index).keys[account.api_key_index]
        async with lighter_cancel_all(cfg, account) as hand:
            with pytest.raises(AuthRefused):
                await hand.check_key()
