"""``pool_data`` and ``pool_info`` of the liquidity pool, the only pool of this venue. Pure.

Forms: WebSocket documentation of 2026. Nobody holds shares of the pool here, so that it has neither returns nor prices
of shares; what it says of itself is its collateral.
"""

from __future__ import annotations

from typing import Any

from stall_then_strike.sim.lighter.clearing.accounts import Account
from stall_then_strike.sim.lighter.forms import pico_text

Message = dict[str, Any]


def pool_data(
    account: Account,
    *,
    orders: Message | None = None,
    trades: Message | None = None,
    positions: Message | None = None,
    fundings: Message | None = None,
) -> Message:
    """What the pool does: dictionaries by market, in which empty means unchanged."""
    return {
        "account": account.index,
        "trades": trades or {},
        "orders": orders or {},
        "positions": positions or {},
        "shares": [],
        "funding_histories": fundings or {},
    }


def pool_info(account: Account) -> Message:
    """What the pool is."""
    return {
        "pool_info": {
            "status": 0,
            "operator_fee": "0.0000",
            "min_operator_share_rate": "0.0000",
            "total_shares": 0,
            "operator_shares": 0,
            "annual_percentage_yield": 0.0,
            "sharpe_ratio": 0.0,
            "daily_returns": [],
            "share_prices": [],
            "strategies": [{"collateral": pico_text(account.collateral)}],
        }
    }
