"""LighterFactory: all parts that live trading needs at Lighter, from configuration and account.

One signer, one line of calls with the plan's limits, and one socket serve all instruments: their market data, the
account's channels and the transactions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.clock import Clock
from stall_then_strike.infra.line.connection_rules import PAUSE_MAX_S
from stall_then_strike.infra.line.socket_line import LineRules
from stall_then_strike.lighter.account import LighterAccountProcessor
from stall_then_strike.lighter.broker import LighterBroker
from stall_then_strike.lighter.client import LighterClient
from stall_then_strike.lighter.data import LighterDataProvider
from stall_then_strike.lighter.limiter import PLANS, Limiter
from stall_then_strike.lighter.market_feed import LighterMarketFeed
from stall_then_strike.lighter.markets import Markets, configured_market
from stall_then_strike.lighter.signing.account_keys import LighterAccount
from stall_then_strike.lighter.signing.signer import Signer
from stall_then_strike.lighter.signing.tokens import Tokens
from stall_then_strike.lighter.ws import LighterWebSocketManager
from stall_then_strike.types.dto import NS_PER_S, Event

_MOST_WAIT_NS: Final = NS_PER_S
"""A call for which the plan's limits have no room for so long is not made: the engine has its own budget."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketParts:
    """What hears the markets; it needs neither account nor signer. Nothing is connected."""

    socket: LighterWebSocketManager
    data: LighterDataProvider
    feeds: tuple[LighterMarketFeed, ...]
    """Of the instruments, in the order of the configuration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LighterParts(MarketParts):
    """What one account's trading is made of. Nothing is connected."""

    signer: Signer
    tokens: Tokens
    calls: LighterClient
    broker: LighterBroker
    account: LighterAccountProcessor

    async def aclose(self) -> None:
        """Close the SDK's connections."""
        await self.signer.aclose()


def market_parts(
    cfg: AppConfig, clock: Clock, tokens: Tokens | None = None, account_index: int | None = None
) -> MarketParts:
    """What hears the markets of a configuration, and with ``tokens`` an account's channels. ``cfg`` has their units."""
    each = tuple(configured_market(one.exchange) for one in cfg.by_instrument())
    pause_s = float(cfg.ws.reconnect_min_sec)
    rules = LineRules(
        first_pause_s=pause_s,
        longest_pause_s=max(pause_s, PAUSE_MAX_S),
        most_tries=None,
        answer_s=float(cfg.pybotters.timeout_sec),
    )
    socket = LighterWebSocketManager(cfg.exchange.ws_url, tokens=tokens, rules=rules, clock=clock)
    markets = Markets(each, source="the configuration")
    data = LighterDataProvider(socket, markets, base_url=cfg.exchange.base_url, runs_socket=False)
    feeds = tuple(LighterMarketFeed(market, account_index=account_index) for market in each)
    return MarketParts(socket=socket, data=data, feeds=feeds)


class LighterFactory:
    """Makes the parts of one account."""

    def __init__(self, cfg: AppConfig, account: LighterAccount, clock: Clock) -> None:
        """``cfg`` has the markets' units."""
        self._cfg, self._account, self._clock = cfg, account, clock
        self.markets: Final = tuple(configured_market(each.exchange) for each in cfg.by_instrument())

    def make(self, sinks: Sequence[Callable[[Event], None]]) -> LighterParts:
        """All parts; each sink gets its instrument's account events. Raises ConfigError without the extra."""
        cfg, owner, clock = self._cfg, self._account, self._clock
        exchange = cfg.exchange
        signer = Signer(exchange.base_url, owner.account_index, {owner.api_key_index: owner.private_key})
        tokens = Tokens(signer, owner.api_key_index, clock)
        limiter = Limiter(clock, PLANS[exchange.plan], most_wait_ns=_MOST_WAIT_NS)
        limit_s = float(cfg.pybotters.timeout_sec)
        calls = LighterClient(signer.client.api_client, owner.account_index, limiter, tokens, clock, limit_s=limit_s)
        market = market_parts(cfg, clock, tokens, owner.account_index)
        socket, markets = market.socket, market.data.markets
        return LighterParts(
            signer=signer,
            tokens=tokens,
            calls=calls,
            socket=socket,
            data=market.data,
            feeds=market.feeds,
            broker=LighterBroker(signer, [owner.api_key_index], calls, limiter, clock, markets=markets, socket=socket),
            account=LighterAccountProcessor(owner.account_index, self.markets, socket, calls, clock, sinks=sinks),
        )
