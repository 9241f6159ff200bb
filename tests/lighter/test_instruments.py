"""The loader over real HTTP: what it reads, by which names it is found, and what becomes of an answer that fails."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from stall_then_strike.infra.clock import SystemClock, VirtualClock
from stall_then_strike.lighter.client import ask_order_books
from stall_then_strike.lighter.instruments import FRESH_NS, LighterInstrumentLoader, cache_file
from stall_then_strike.lighter.markets import Markets
from stall_then_strike.sim.lighter.clearing.contracts import MARKETS
from stall_then_strike.sim.lighter_server import LighterExchange
from stall_then_strike.types.errors import ConfigError, NoAnswer, NotSent, Rejected, Throttled, VenueError
from tests.lighter.listing import PERP, listing
from tests.shared_data import lighter_file

START_NS = 1_800_000_000 * 10**9


async def test_markets_of_the_exchange_become_instruments_with_its_own_units() -> None:
    async with LighterExchange(clock=SystemClock(), seed=1) as venue:
        loader = LighterInstrumentLoader(venue.base_url)
        await loader.refresh()
    assert loader.market_id_to_ticker == {terms.market_id: f"{terms.symbol}-USDC" for terms in MARKETS}
    assert loader.ticker_to_market_id == {ticker: index for index, ticker in loader.market_id_to_ticker.items()}
    for terms in MARKETS:
        unit = loader.instrument(f"{terms.symbol}-USDC")
        assert (unit.product_code, unit.base, unit.quote) == (terms.symbol, terms.symbol, "USDC")
        assert (unit.ticks_per_one, unit.lots_per_one) == (10**terms.price_decimals, 10**terms.size_decimals)
        assert (unit.min_size, unit.min_notional) == (terms.min_base, terms.min_quote)
        assert loader.instruments()[f"{terms.symbol}-USDC"] is unit is loader.instrument(terms.market_id)
    assert 0 <= loader.age_ns() < 60 * 10**9


async def test_perpetual_and_spot_market_of_one_asset_are_told_apart_in_every_form() -> None:
    async with listing() as venue:
        loader = LighterInstrumentLoader(venue.base_url)
        await loader.load()
    assert loader.ticker_to_market_id == {"ETH-USDC": 0, "MKR-USDC": 28, "ETH/USDC": 2048}
    perps = ("ETH", "ETH-USDC", "ETH/USDC:USDC", "XLIGHTER:SWAP:ETH-USDC", "LIGHTER:SWAP:ETH-USDC", "eth-usdc", 0)
    spots = ("ETH/USDC", "XLIGHTER:SPOT:ETH-USDC", "lighter:spot:eth-usdc", 2048)
    assert {loader.market(name).market_index for name in perps} == {0}
    assert {loader.market(name).market_index for name in spots} == {2048}
    assert [loader.market(name).full_name for name in (0, 2048)] == ["XLIGHTER:SWAP:ETH-USDC", "XLIGHTER:SPOT:ETH-USDC"]
    assert [loader.market(name).is_active for name in ("ETH", "MKR")] == [True, False]
    spot = loader.instrument("ETH/USDC")
    assert (spot.base, spot.quote, spot.size(spot.min_size)) == ("ETH", "USDC", Decimal("0.0051"))
    for name in ("ETH-USD", "XLIGHTER:SPOT:MKR-USDC", "BINANCE:SWAP:ETH-USDC", ""):
        with pytest.raises(ConfigError, match=r"no such market .*; accepted: ETH, MKR, ETH/USDC"):
            loader.market(name)


def test_names_of_the_captured_list_are_all_different() -> None:
    path = lighter_file("rest_orderBooks_20251208.json")
    body: Any = json.loads(path.read_text())
    while "order_books" not in body:
        body = body.get("response") or body["body"]
    markets = Markets.from_wire(body, as_of_ns=1, source="captured").all()
    names = [name for market in markets for name in set(market.names())]
    assert len(markets) == len(body["order_books"]) == 119
    assert len(set(names)) == len(names)
    for market, row in zip(markets, sorted(body["order_books"], key=lambda row: row["market_id"]), strict=True):
        unit = market.instrument
        assert market.market_type == {"perp": "SWAP", "spot": "SPOT"}[row["market_type"]]
        assert unit.size(unit.min_size) == Decimal(row["min_base_amount"])
        assert unit.amount(unit.min_notional) == Decimal(row["min_quote_amount"])


async def test_list_is_kept_with_its_age_and_asked_for_again_after_an_hour(tmp_path: Path) -> None:
    clock, cache = VirtualClock(START_NS), tmp_path / "deep" / "lighter.json"
    async with listing() as venue:

        def loader() -> LighterInstrumentLoader:
            return LighterInstrumentLoader(venue.base_url, cache=cache, clock=clock)

        await loader().load()
        clock.advance_to(START_NS + FRESH_NS - 1)
        kept = loader()
        await kept.load()
        assert (venue.asked, kept.age_ns(), kept.markets.source) == (1, FRESH_NS - 1, str(cache))
        assert kept.ticker_to_market_id == {"ETH-USDC": 0, "MKR-USDC": 28, "ETH/USDC": 2048}
        assert not kept.market("MKR").is_active
        await loader().load(lambda markets: markets.find("NEW") is not None)
        assert venue.asked == 2
        clock.advance_to(START_NS + 3 * FRESH_NS)
        await loader().load()
        assert venue.asked == 3


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        ((502, "<html>"), NoAnswer, "HTTP 502"),
        ((429, "<html>"), Throttled, "HTTP 429"),
        ((302, ""), NoAnswer, "HTTP 302"),
        ((200, "{"), NoAnswer, "HTTP 200 without JSON"),
        ((400, '{"code": 20001, "message": "invalid param"}'), Rejected, "invalid param"),
        ((200, '{"code": 200, "order_books": null}'), NoAnswer, "no market that can be read"),
        ([], NoAnswer, "no market that can be read"),
        ([PERP | {"supported_size_decimals": None}], NoAnswer, "no market that can be read"),
    ],
)
async def test_answer_that_fails_leaves_the_list_and_its_cache_as_they_were(
    answer: Any, kind: type[VenueError], words: str, tmp_path: Path
) -> None:
    cache, clock, told = tmp_path / "lighter.json", VirtualClock(START_NS), list[str]()
    async with listing() as venue:
        loader = LighterInstrumentLoader(venue.base_url, cache=cache, clock=clock, on_trouble=told.append)
        await loader.refresh()
        before = cache.read_bytes()
        venue.answer = answer
        clock.advance_to(START_NS + 2 * FRESH_NS)
        with pytest.raises(kind, match=words):
            await loader.refresh()
        await loader.load()
    assert cache.read_bytes() == before
    assert len(loader.markets) == 3
    assert words in told[0]
    assert f"going on with the {cache}, 2 h old" in told[0]


async def test_venue_that_is_not_there_leaves_the_built_in_table() -> None:
    async with listing() as venue:
        gone = venue.base_url
    told: list[str] = []
    loader = LighterInstrumentLoader(gone, on_trouble=told.append)
    with pytest.raises(NotSent, match="orderBooks: no connection"):
        await loader.refresh()
    await loader.load()
    assert loader.instrument("BTC-USDC").tick_size == Decimal("0.1")
    assert "going on with the built-in table" in told[0]


async def test_silent_venue_is_given_up() -> None:
    has_hung_up = asyncio.Event()

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        await writer.wait_closed()
        has_hung_up.set()

    async with await asyncio.start_server(hear, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(NoAnswer, match="orderBooks: no answer"):
            await ask_order_books(f"http://127.0.0.1:{port}", SystemClock(), limit_s=0.05)
        await has_hung_up.wait()


async def test_cache_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    told: list[str] = []
    async with listing() as venue:
        loader = LighterInstrumentLoader(venue.base_url, cache=tmp_path / "file" / "x.json", on_trouble=told.append)
        await loader.refresh()
    assert len(loader.markets) == 3
    assert "the list of markets is not cached in" in told[0]


def test_usual_cache_is_one_file_a_venue_and_none_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/c")
    assert cache_file("https://mainnet.zklighter.elliot.ai") == Path(
        "/c/stall-then-strike/lighter-mainnet.zklighter.elliot.ai-https.json"
    )
    assert cache_file("http://127.0.0.1:8000") is None


def test_address_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="base_url: 'mainnet'; accepted: http"):
        LighterInstrumentLoader("mainnet")
