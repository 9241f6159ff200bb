"""Lighter on loopback with an account and a throw-away key, for a run without network and keys."""

from __future__ import annotations

from contextlib import AsyncExitStack

from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.clock import ScaledClock
from stall_then_strike.lighter.signing.account_keys import LighterAccount
from stall_then_strike.lighter.signing.signer import Secret
from stall_then_strike.sim.faults.kinds import FaultPlan
from stall_then_strike.sim.lighter.clearing.contracts import MARKETS, Plan
from stall_then_strike.sim.lighter_server import Credentials, LighterExchange


async def open_embedded_lighter(
    stack: AsyncExitStack, cfg: AppConfig, clock: ScaledClock, faults: FaultPlan | None
) -> tuple[AppConfig, LighterAccount]:
    """Start an exchange in this process until the stack closes, with other participants in the configured markets.

    Returns the settings with its addresses, and the account.
    """
    traded = {each.exchange.market_index for each in cfg.by_instrument()}
    exchange = LighterExchange(
        clock=clock,
        markets=[market for market in MARKETS if market.market_id in traded],
        seed=cfg.sim.seed,
        plan=Plan(cfg.exchange.plan),
        has_crowd=True,
        faults=faults,
    )
    key = exchange.add_account(int(cfg.sim.collateral_jpy))
    await stack.enter_async_context(exchange)
    return at_exchange(cfg, exchange), account_at(exchange, key)


def at_exchange(cfg: AppConfig, exchange: LighterExchange) -> AppConfig:
    """The settings with the addresses of an exchange on loopback."""
    urls = {"base_url": exchange.base_url, "ws_url": exchange.ws_url}
    return cfg.model_copy(update={"exchange": cfg.exchange.model_copy(update=urls)})


def account_at(exchange: LighterExchange, key: Credentials) -> LighterAccount:
    """An account of an exchange on loopback, with its key."""
    return LighterAccount(
        base_url=exchange.base_url,
        account_index=key.account_index,
        api_key_index=key.api_key_index,
        private_key=Secret(key.private_key),
        source="embedded exchange",
    )
