"""``market_stats`` of one market: prices, the day's trades, the funding. Pure.

Venue facts (captures): prices and rates are texts, the day's figures floats; rates are percent an hour with four
decimals (12 in 1/1,000,000 is ``"0.0012"``); ``current_funding_rate`` estimates the next payment, ``funding_rate`` is
the last one, made at ``funding_timestamp``. Before the first round here, the last one shows what a quiet hour pays.
"""

from __future__ import annotations

from typing import Any, Final

from stall_then_strike.sim.lighter.clearing.contracts import MICRO, decimal_text, usdc_text
from stall_then_strike.sim.lighter.clearing.funding_rates import CLAMP_BIG, CLAMP_SMALL, INTEREST, FundingRound
from stall_then_strike.sim.lighter.clearing.trading_floor import TradingFloor
from stall_then_strike.types.dto import NS_PER_MS, NS_PER_S

_HOUR_NS: Final = 3_600 * NS_PER_S
_QUIET_RATE: Final = 12
_NO_LIMIT: Final = "72057594037927936.000000"
"""2^56: what the venue shows as limit of the open interest."""


def market_figures(floor: TradingFloor, market_id: int, mid: int | None) -> dict[str, Any]:
    """The market's object; ``mid`` is that of the displayed book, None while a side is empty."""
    market, prices, day = floor.accounts.markets[market_id], floor.accounts.prices[market_id], floor.days[market_id]
    funding = floor.funding[market_id]
    day.forget(floor.now_ns)
    held = sum(abs(account.size_in(market_id)) for account in floor.accounts.by_index.values()) // 2
    paid = funding.rounds[-1] if funding.rounds else _before_the_first(floor.now_ns)
    return {
        "symbol": market.symbol,
        "market_id": market_id,
        "index_price": market.price_text(prices.underlying),
        "mark_price": market.price_text(prices.mark),
        "mid_price": market.price_text(prices.mark if mid is None else mid),
        "open_interest": usdc_text(held * prices.mark),
        "open_interest_limit": _NO_LIMIT,
        "funding_clamp_small": _percent(CLAMP_SMALL),
        "funding_clamp_big": _percent(CLAMP_BIG),
        "base_interest_rate": _percent(INTEREST),
        "last_trade_price": market.price_text(day.last or prices.mark),
        "current_funding_rate": _percent(funding.estimate()),
        "funding_rate": _percent(paid.rate),
        "funding_timestamp": paid.time_ns // NS_PER_MS,
        "daily_base_token_volume": day.base / 10**market.size_decimals,
        "daily_quote_token_volume": day.quote / MICRO,
        "daily_price_low": (day.low or prices.mark) / 10**market.price_decimals,
        "daily_price_high": (day.high or prices.mark) / 10**market.price_decimals,
        "daily_price_change": day.change,
    }


def _before_the_first(now_ns: int) -> FundingRound:
    return FundingRound(now_ns // _HOUR_NS * _HOUR_NS, _QUIET_RATE, 0)


def _percent(rate: int) -> str:
    """A rate in 1/1,000,000 as percent."""
    return decimal_text(rate, 4)
