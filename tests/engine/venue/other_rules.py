"""The rules of a made-up venue, as far from bitFlyer's as they can be: neutral code has to work from them too."""

from __future__ import annotations

from typing import Final

from stall_then_strike.engine.venue.rules import Ended, Limit, VenueRules
from stall_then_strike.types.dto import NS_PER_MS, NS_PER_S
from stall_then_strike.types.instrument import Money

OTHER_RULES: Final = VenueRules(
    own_names=True,
    batch=50,
    expiry_ns=300 * NS_PER_S,
    post_only=True,
    refuses_self_trade=False,
    closes_dust=True,
    report_calls=4,
    ended=Ended.NONE,
    lag_ns=1_500 * NS_PER_MS,
    history_lag_ns=75 * NS_PER_S,
    stamp_early_ns=NS_PER_S,
    stamp_late_ns=5 * NS_PER_S,
    ghost_ns=20 * NS_PER_S,
    vanish_ns=30 * NS_PER_S,
    print_grace_ns=300 * NS_PER_MS,
    small_payment=Money(10**7),
    carry_share=None,
    limits=(
        Limit(name="weight", most=400, window_ns=60 * NS_PER_S, reserve=60, elsewhere=5, send=1, cancel=1, query=5),
        Limit(name="second", most=12, window_ns=NS_PER_S, reserve=4, send=1, cancel=1),
    ),
)
