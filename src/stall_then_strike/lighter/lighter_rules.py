"""Lighter's rules, as the data that the engine reads.

Venue facts (API documentation and rate limits of 2026, the rollup's published circuits, reports of other clients): a
client order index names an order from the start, and every list and event tells it; a message on the socket carries 15
transactions; a resting order ends 5 minutes to 30 days ahead; minimums do not bind IOC orders; of two orders of one
owner the resting one is cancelled; REST may show an order ten seconds late; funding is told payment by payment.
"""

from __future__ import annotations

from enum import StrEnum, unique
from typing import Final

from stall_then_strike.config.models import AccountConfig
from stall_then_strike.engine.venue.rules import Ended, Limit, VenueRules
from stall_then_strike.lighter.limiter import MINUTE_NS, OTHER_WEIGHT, WEIGHTS, PlanLimits
from stall_then_strike.lighter.ws import WS_BATCH
from stall_then_strike.types.dto import NS_PER_MS, NS_PER_S
from stall_then_strike.types.instrument import Instrument

EXPIRY_NS: Final = 6 * 60 * NS_PER_S
"""The venue's shortest is 5 minutes, counted when the transaction is accepted and by the venue's clock."""
LAG_NS: Final = 5 * NS_PER_S
"""Two lists as far apart as this that lack an order prove its absence: the second one comes after ten seconds."""
PAGES: Final = 3
"""Most pages of trades in a report, of 100 trades each."""
REPORT_CALLS: Final = 3 + PAGES
"""Open orders, ended orders, trades, the account."""
_SEND_WEIGHT: Final = WEIGHTS["sendTx"]
_REPORT_WEIGHT: Final = 2 * OTHER_WEIGHT + WEIGHTS["accountInactiveOrders"] + PAGES * WEIGHTS["trades"]
_QUERY_WEIGHT: Final = -(-_REPORT_WEIGHT // (REPORT_CALLS * _SEND_WEIGHT))
"""A question of the longest report, in sends, on average; those of shorter ones weigh less."""
_SMALL_PAYMENT: Final = 1
"""USDC. The average entry price is told with the decimals of prices, and fees are finer than money is counted."""


@unique
class LimitName(StrEnum):
    """The limits of one minute. The venue's answers report none of them."""

    REQUESTS = "requests"
    """Everything that a standard account asks or sends, over REST or the socket."""
    WEIGHT = "weight"
    """The same of an account on another plan, in sends of weight 6."""
    SENDS = "sends"
    """Transactions' messages of such an account."""


def lighter_rules(account: AccountConfig, instrument: Instrument, plan: PlanLimits) -> VenueRules:
    """The rules for an account on a plan."""
    return VenueRules(
        own_names=True,
        batch=WS_BATCH,
        expiry_ns=EXPIRY_NS,
        post_only=True,
        refuses_self_trade=False,
        closes_dust=True,
        report_calls=REPORT_CALLS,
        ended=Ended.ALL,
        lag_ns=LAG_NS,
        history_lag_ns=int(account.list_lag_sec * NS_PER_S),
        stamp_early_ns=30 * NS_PER_S,
        stamp_late_ns=90 * NS_PER_S,
        ghost_ns=3 * account.doubt_ms * NS_PER_MS,
        vanish_ns=int(account.vanish_sec * NS_PER_S),
        print_grace_ns=500 * NS_PER_MS,  # one connection
        small_payment=instrument.to_money(_SMALL_PAYMENT),
        carry_share=None,
        limits=lighter_limits(plan),
    )


def lighter_limits(plan: PlanLimits) -> tuple[Limit, ...]:
    """The limits of a plan. ``elsewhere`` leaves room for questions about nonces."""
    if plan.sends is None:
        return (
            Limit(
                name=LimitName.REQUESTS,
                most=plan.most,
                window_ns=MINUTE_NS,
                reserve=20,
                elsewhere=4,
                send=1,
                cancel=1,
                query=1,
            ),
        )
    return (
        Limit(
            name=LimitName.WEIGHT,
            most=plan.most // _SEND_WEIGHT,
            window_ns=MINUTE_NS,
            reserve=400,
            elsewhere=100,
            send=1,
            cancel=1,
            query=_QUERY_WEIGHT,
        ),
        Limit(name=LimitName.SENDS, most=plan.sends, window_ns=MINUTE_NS, reserve=400, send=1, cancel=1),
    )
