"""The rules of the venue that a configuration names: the one place where they are chosen."""

from __future__ import annotations

from stall_then_strike.config.models import AppConfig
from stall_then_strike.config.venue import LIGHTER
from stall_then_strike.engine.venue.rules import VenueRules
from stall_then_strike.infra.bitflyer.bitflyer_rules import bitflyer_rules
from stall_then_strike.lighter.lighter_rules import lighter_rules
from stall_then_strike.lighter.limiter import PLANS


def venue_rules(cfg: AppConfig) -> VenueRules:
    """The rules of ``exchange.name``, with the times and limits of the configuration."""
    exchange = cfg.exchange
    if exchange.name == LIGHTER:
        return lighter_rules(cfg.account, exchange.instrument(), PLANS[exchange.plan])
    return bitflyer_rules(cfg)
