"""Lighter on loopback with an account and a throw-away key, for a run without network and keys."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AsyncExitStack

import orjson

from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.clock import ScaledClock
from stall_then_strike.lighter.signing.account_keys import LighterAccount
from stall_then_strike.lighter.signing.signer import Secret
from stall_then_strike.sim.faults.kinds import FaultPlan
from stall_then_strike.sim.lighter.clearing.contracts import MARKETS, LighterMarket, Plan
from stall_then_strike.sim.lighter.crowd import Crowd
from stall_then_strike.sim.lighter.lighter_venue import LighterVenue, VenueSettings
from stall_then_strike.sim.lighter.realtime.channel_names import Subject, Topic
from stall_then_strike.sim.lighter.realtime.live_feed import LiveFeed
from stall_then_strike.sim.lighter_server import Credentials, LighterExchange


async def open_embedded_lighter(
    stack: AsyncExitStack, cfg: AppConfig, clock: ScaledClock, faults: FaultPlan | None
) -> tuple[AppConfig, LighterAccount]:
    """Start an exchange in this process until the stack closes, with other participants in the configured markets.

    Returns the settings with its addresses, and the account.
    """
    exchange = LighterExchange(
        clock=clock,
        markets=_markets(cfg),
        seed=cfg.sim.seed,
        plan=Plan(cfg.exchange.plan),
        has_crowd=True,
        faults=faults,
        signing_ns=clock.sources.wall_ns,
    )
    key = exchange.add_account(int(cfg.sim.collateral_jpy))
    await stack.enter_async_context(exchange)
    return cfg.at(exchange.base_url, exchange.ws_url), account_at(exchange, key)


def account_at(exchange: LighterExchange, key: Credentials) -> LighterAccount:
    """An account of an exchange on loopback, with its key."""
    return LighterAccount(
        base_url=exchange.base_url,
        account_index=key.account_index,
        api_key_index=key.api_key_index,
        private_key=Secret(key.private_key),
        source="embedded exchange",
    )


def lighter_frames(cfg: AppConfig, start_ns: int) -> Iterator[tuple[int, str]]:
    """The frames of the configured markets in virtual time, as a client hears them that has subscribed to all."""
    venue = LighterVenue(_markets(cfg), start_ns=start_ns, seed=cfg.sim.seed, settings=VenueSettings())
    feed = LiveFeed(venue, Crowd(venue, seed=cfg.sim.seed, start_ns=start_ns))
    subjects = [
        Subject(topic, market=each.exchange.market_index)
        for each in cfg.by_instrument()
        for topic in (Topic.MARKET_STATS, Topic.ORDER_BOOK, Topic.TRADE)
    ]
    feed.is_wanted = {subject.key for subject in subjects}.__contains__
    for subject in subjects:
        yield start_ns, orjson.dumps(feed.snapshot(subject)).decode()
    while True:
        for frame in feed.advance(feed.next_wake_ns()):
            yield frame.time_ns, frame.text


def _markets(cfg: AppConfig) -> list[LighterMarket]:
    traded = {each.exchange.market_index for each in cfg.by_instrument()}
    return [market for market in MARKETS if market.market_id in traded]
