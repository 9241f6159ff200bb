"""Which rate limit delayed strikes: the budget is counted again from the requests that were sent before.

No log has it for each moment. Sends and cancels are in the decision log, account queries in the journal; the limits are
those of the present configuration. Calls of others on the account and pauses after a refusal are in neither, and are
left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Final

from stall_then_strike.config.models import AppConfig
from stall_then_strike.engine.strategy import QUOTE_WORDS
from stall_then_strike.engine.venue.budget import Budget
from stall_then_strike.infra.logs.log_reader import DecisionLine
from stall_then_strike.types.dto import NS_PER_S, Reason
from stall_then_strike.venues.venue_rules import venue_rules

MEMORY_NS: Final = 302 * NS_PER_S
"""A little longer than the longest window."""
NOT_COUNTED: Final = "none by our own recorded calls: calls of others on the account, or a pause after a refusal"
USUAL_CALLS: Final = 4
"""Calls of one account query; more are rare, and not recorded."""
_ORDER: Final = re.compile(r"(?:place_limit|close_market) \w+ ([\d.]+)@")
_CANCELS: Final = re.compile(r"cancel_all_stall (\d+)")


def budget_waits(rows: Iterable[DecisionLine], questions: Iterable[int], cfg: AppConfig) -> Mapping[int, str]:
    """What each hold with the reason BUDGET waited for, in words, by the stamp of its row. ``rows`` are oldest
    first."""
    unit, waits = cfg.exchange.instrument(), dict[int, str]()
    budget, quote = Budget(venue_rules(cfg).limits), unit.to_lots(cfg.strategy.size_min)
    asked = sorted(questions)
    for row in rows:
        now_ns = row.ts_ns
        while asked and asked[0] <= now_ns:
            budget.spend_questions(asked.pop(0), USUAL_CALLS)
        if row.decision_type == "hold":
            if row.reason == Reason.BUDGET.label:
                budget.strike_at_ns(now_ns, 2, quote)
                wait = budget.wait(now_ns)
                waits[now_ns] = NOT_COUNTED if wait is None else wait.text(now_ns)
            continue
        sizes = [unit.to_lots(Decimal(size)) for size in _ORDER.findall(row.actions)]
        if row.decision_type in QUOTE_WORDS and sizes:
            budget.spend_strike(now_ns, len(sizes), sizes[0])
        else:
            for size in sizes:
                budget.spend_order(now_ns, size)
        for count in _CANCELS.findall(row.actions):
            budget.spend_cancel(now_ns, int(count))
    return waits
