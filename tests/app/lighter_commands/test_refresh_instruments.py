"""``refresh_instruments`` as its user knows it: tables, JSON, the file it keeps, exit codes."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from stall_then_strike.app.lighter_commands.refresh_instruments import main
from stall_then_strike.infra.clock import SystemClock
from stall_then_strike.lighter.markets import Markets
from stall_then_strike.sim.lighter_server import LighterExchange
from tests.lighter.listing import listing


async def refresh(base_url: str, *flags: str) -> int:
    """In a thread: the command has an event loop of its own."""
    return await asyncio.to_thread(main, ["--base-url", base_url, *flags])


@pytest.mark.parametrize("exchange", ["XLIGHTER", "lighter"])
async def test_instruments_of_the_exchange_are_shown_and_kept(
    exchange: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lighter", None)  # as if the SDK were not installed
    cache = tmp_path / "deep" / "lighter.json"
    async with LighterExchange(clock=SystemClock(), seed=1) as venue:
        code = await refresh(venue.base_url, "--exchange", exchange, "--cache", str(cache), "--json")
    told = capsys.readouterr()
    assert (code, told.err) == (0, "")
    shown = json.loads(told.out)
    assert (shown["exchange"], shown["cache"], shown["age_sec"]) == ("XLIGHTER", str(cache), 0)
    assert [row["symbol"] for row in shown["instruments"]] == [
        f"{s}-USDC" for s in ("ETH", "BTC", "SOL", "DOGE", "HYPE")
    ]
    assert shown["instruments"][0] == {
        "symbol": "ETH-USDC",
        "full_name": "XLIGHTER:SWAP:ETH-USDC",
        "exchange_symbol": "ETH",
        "market_id": 0,
        "market_type": "SWAP",
        "is_active": True,
        "base": "ETH",
        "quote": "USDC",
        "settle": "USDC",
        "tick_size": "0.01",
        "lot_size": "0.0001",
        "min_size": "0.005",
        "min_notional": "10",
    }
    kept = Markets.load(cache)
    assert kept is not None
    assert [market.ticker for market in kept.all()] == [row["symbol"] for row in shown["instruments"]]


async def test_table_has_perpetuals_and_spot_markets(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    async with listing() as venue:
        assert await refresh(venue.base_url) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0][:2] == ["3", "instruments"]
    assert lines[0][-2:] == ["not", "kept"]
    assert ["ETH-USDC", "0", "SWAP", "open", "0.01", "0.0001", "0.005", "10", "USDC"] in lines
    assert ["MKR-USDC", "28", "SWAP", "closed", "0.01", "0.0001", "0.005", "10", "USDC"] in lines
    assert ["ETH/USDC", "2048", "SPOT", "open", "0.01", "0.0001", "0.0051", "10", "USDC"] in lines


async def test_venue_in_trouble_ends_with_1_and_leaves_the_kept_list(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = tmp_path / "lighter.json"
    async with listing() as venue:
        assert await refresh(venue.base_url, "--cache", str(cache)) == 0
        before = cache.read_bytes()
        capsys.readouterr()
        venue.answer = (502, "<html>")
        assert await refresh(venue.base_url, "--cache", str(cache)) == 1
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "refresh_instruments: orderBooks: HTTP 502 without JSON\n")
    assert cache.read_bytes() == before


async def test_list_that_cannot_be_kept_is_shown_and_ends_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with listing() as venue:
        assert await refresh(venue.base_url, "--cache", str(tmp_path), "--json") == 1
    told = capsys.readouterr()
    assert len(json.loads(told.out)["instruments"]) == 3
    assert f"the list of markets is not cached in {tmp_path}" in told.err
