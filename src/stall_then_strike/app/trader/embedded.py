"""The embedded exchange with an account, for `run_live` without network and API key."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex, token_urlsafe

from stall_then_strike.app.shell import cli
from stall_then_strike.config.models import AppConfig, ExchangeConfig
from stall_then_strike.infra.bitflyer.credentials import Credentials
from stall_then_strike.infra.clock import Clock
from stall_then_strike.sim.bitflyer.keys import ApiKey
from stall_then_strike.sim.bitflyer.private_venue import PrivateSettings, PrivateVenue
from stall_then_strike.sim.bitflyer.venue_hours import Calendar
from stall_then_strike.sim.bitflyer_server import BitflyerExchange
from stall_then_strike.sim.faults.plan_file import load_fault_plan
from stall_then_strike.sim.market import Market


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """A running exchange, and the account's credentials."""

    exchange: BitflyerExchange
    venue: PrivateVenue
    credentials: Credentials

    def addresses(self, exchange: ExchangeConfig) -> ExchangeConfig:
        """The settings with this exchange's addresses."""
        return exchange.model_copy(update={"base_url": self.exchange.base_url, "ws_url": self.exchange.ws_url})


async def open_embedded(stack: AsyncExitStack, cfg: AppConfig, clock: Clock) -> Embedded:
    """Start an exchange in this process until the stack closes: a new market and account, open around the clock.

    Raises ConfigError for an unusable fault plan.
    """
    market = Market(seed=cfg.sim.seed, start_ns=clock.now_ns(), instrument=cfg.exchange.instrument())
    key = ApiKey(key=token_hex(11), secret=token_urlsafe(32))
    settings = PrivateSettings(
        seed=cfg.sim.seed, collateral_jpy=cfg.sim.collateral_jpy, calendar=Calendar(maintenance=None)
    )
    venue = PrivateVenue(market, [key], settings)
    faults = load_fault_plan(cli.settings_file(Path(cfg.sim.faults))) if cfg.sim.faults else None
    exchange = await stack.enter_async_context(BitflyerExchange(market, clock=clock, private=venue, faults=faults))
    credentials = Credentials(key=key.key, secret=key.secret, source="embedded exchange")
    return Embedded(exchange=exchange, venue=venue, credentials=credentials)
