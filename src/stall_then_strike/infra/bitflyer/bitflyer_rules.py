"""bitFlyer's rules, as the data that the engine reads.

Sources, unless said otherwise: API documentation. Limits per 5 minutes: all calls of an IP address, private calls of
the account, order sends; per minute: small orders. A single cancel counts as a private call only.
"""

from __future__ import annotations

from enum import StrEnum, unique
from typing import Final

from stall_then_strike.config.models import AppConfig, ExchangeConfig
from stall_then_strike.engine.venue.rules import Ended, Limit, VenueRules
from stall_then_strike.types.dto import NS_PER_MS, NS_PER_S

MINUTE_TO_EXPIRE: Final = 1
"""Of every order that we send."""
EXPIRY_NS: Final = MINUTE_TO_EXPIRE * 60 * NS_PER_S
LAG_NS: Final = 2 * NS_PER_S
PUBLIC_CALLS: Final = 25
"""Public calls in 5 minutes that share the address limit with the private ones: the board state every 15 s, and the
pre-flight checks."""
REPORT_CALLS: Final = 8
"""Lists of orders (two if the first is full), up to four pages of executions, positions, collateral."""
_WINDOW_NS: Final = 300 * NS_PER_S
_SMALL_WINDOW_NS: Final = 60 * NS_PER_S
_SMALL_PAYMENT: Final = 10
"""JPY."""
_CARRY_SHARE: Final = 200
"""Funding is at most 0.375 % of the position's value, leverage points are 0.04 % a day."""


@unique
class LimitName(StrEnum):
    """The limits. The venue's answers report all but the last in headers."""

    PRIVATE = "private"
    ORDERS = "orders"
    ADDRESS = "address"
    """All calls from this address, public ones included. Answers to public calls report it."""
    SMALL = "small orders"


def bitflyer_rules(cfg: AppConfig) -> VenueRules:
    """The rules, with the times and limits of the configuration."""
    account = cfg.account
    return VenueRules(
        own_names=False,
        batch=1,
        expiry_ns=EXPIRY_NS,
        post_only=False,
        refuses_self_trade=True,  # -159, since 2024-03
        closes_dust=False,
        report_calls=REPORT_CALLS,
        ended=Ended.EXECUTED,
        lag_ns=LAG_NS,
        history_lag_ns=int(account.list_lag_sec * NS_PER_S),
        stamp_early_ns=30 * NS_PER_S,
        stamp_late_ns=90 * NS_PER_S,
        ghost_ns=3 * account.doubt_ms * NS_PER_MS,
        vanish_ns=int(account.vanish_sec * NS_PER_S),  # others reported orders that were queued for minutes, 2018
        print_grace_ns=500 * NS_PER_MS,  # both channels use one connection
        small_payment=cfg.exchange.instrument().to_money(_SMALL_PAYMENT),
        carry_share=_CARRY_SHARE,
        limits=bitflyer_limits(cfg.exchange),
    )


def bitflyer_limits(exchange: ExchangeConfig) -> tuple[Limit, ...]:
    """The four limits."""
    limits = exchange.limits
    return (
        Limit(
            name=LimitName.ADDRESS,
            most=limits.address_per_5min,
            window_ns=_WINDOW_NS,
            reserve=limits.reserve_private,
            elsewhere=PUBLIC_CALLS,
            send=1,
            cancel=1,
            query=1,
        ),
        Limit(
            name=LimitName.PRIVATE,
            most=limits.private_per_5min,
            window_ns=_WINDOW_NS,
            reserve=limits.reserve_private,
            send=1,
            cancel=1,
            query=1,
        ),
        Limit(
            name=LimitName.ORDERS,
            most=limits.orders_per_5min,
            window_ns=_WINDOW_NS,
            reserve=limits.reserve_orders,
            send=1,
        ),
        Limit(
            name=LimitName.SMALL,
            most=limits.small_orders_per_min,
            window_ns=_SMALL_WINDOW_NS,
            reserve=limits.reserve_small_orders,
            send=1,
            up_to=exchange.instrument().to_lots(limits.small_order_btc),
        ),
    )
