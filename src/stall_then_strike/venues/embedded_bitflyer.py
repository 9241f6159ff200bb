"""bitFlyer on loopback with an account, for `run_live` without network and API key, and its products."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from secrets import token_hex, token_urlsafe

from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.bitflyer.credentials import Credentials
from stall_then_strike.infra.clock import ScaledClock
from stall_then_strike.sim.bitflyer.keys import ApiKey
from stall_then_strike.sim.bitflyer.private_venue import PrivateSettings, PrivateVenue
from stall_then_strike.sim.bitflyer.venue_hours import Calendar
from stall_then_strike.sim.bitflyer_server import BitflyerExchange
from stall_then_strike.sim.exchange.flow_model import REGIMES, FlowModel
from stall_then_strike.sim.exchange.several_markets import Markets
from stall_then_strike.sim.exchange.source import MarketSource, iter_frames
from stall_then_strike.sim.faults.kinds import FaultPlan
from stall_then_strike.sim.market import Market
from stall_then_strike.types.instrument import Instrument


def bitflyer_frames(cfg: AppConfig, start_ns: int) -> Iterator[tuple[int, str]]:
    """The frames of all instruments' public channels in virtual time."""
    return ((frame.time_ns, frame.text) for frame in iter_frames(source_of(_markets(cfg, start_ns))))


def open_markets(
    instruments: Sequence[Instrument], seed: int, start_ns: int, model: FlowModel | None = None
) -> list[Market]:
    """A market for each product, with seeds that count up, so that a product alone is the first of several.

    A product of the first one's assets follows its price.
    """
    markets: list[Market] = []
    for number, unit in enumerate(instruments):
        first = markets[0] if markets else None
        is_same = first is not None and (first.instrument.base, first.instrument.quote) == (unit.base, unit.quote)
        markets.append(
            Market(
                seed=seed + number,
                start_ns=start_ns,
                instrument=unit,
                model=model,
                ids=None if first is None else first.ids,
                leader=first if is_same else None,
            )
        )
    return markets


def source_of(markets: Sequence[Market]) -> MarketSource:
    """What an exchange with these products advances."""
    return Markets(markets) if len(markets) > 1 else markets[0]


def open_accounts(markets: Sequence[Market], keys: Sequence[ApiKey], settings: PrivateSettings) -> PrivateVenue:
    """The accounts in all products; returns the private side of the first."""
    first = PrivateVenue(markets[0], keys, settings)
    for market in markets[1:]:
        PrivateVenue(market, beside=first)
    return first


async def open_embedded(
    stack: AsyncExitStack, cfg: AppConfig, clock: ScaledClock, faults: FaultPlan | None
) -> tuple[AppConfig, Credentials]:
    """Start an exchange in this process until the stack closes: a new market and account, open around the clock.

    Returns the settings with its addresses, and the account's key.
    """
    markets = _markets(cfg, clock.now_ns())
    key = ApiKey(key=token_hex(11), secret=token_urlsafe(32))
    settings = PrivateSettings(
        seed=cfg.sim.seed, collateral_jpy=cfg.sim.collateral_jpy, calendar=Calendar(maintenance=None)
    )
    venue = open_accounts(markets, [key], settings)
    exchange = await stack.enter_async_context(
        BitflyerExchange(source_of(markets), clock=clock, private=venue, faults=faults)
    )
    at_exchange = cfg.at(exchange.base_url, exchange.ws_url)
    return at_exchange, Credentials(key=key.key, secret=key.secret, source="embedded exchange")


def _markets(cfg: AppConfig, start_ns: int) -> list[Market]:
    """A market for each instrument."""
    units = [each.exchange.instrument() for each in cfg.by_instrument()]
    return open_markets(units, cfg.sim.seed, start_ns, REGIMES[cfg.sim.market])
