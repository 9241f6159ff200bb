"""``notification``: what the venue tells the owner of an account: here its liquidations. Pure.

Form: WebSocket documentation of 2026. One notice for each order that the venue made to sell a position; ``price`` is
that of its last trade here, because what it means beside ``avg_price`` is not documented. Deleveraging and
announcements do not happen here. A notice stays unacknowledged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from stall_then_strike.sim.lighter.clearing.contracts import LighterMarket, usdc_text
from stall_then_strike.sim.lighter.clearing.match_rules import LIQUIDATED
from stall_then_strike.sim.lighter.clearing.records import LighterTrade
from stall_then_strike.types.dto import NS_PER_S


def notices(account: int, trades: Iterable[LighterTrade], markets: Mapping[int, LighterMarket]) -> list[dict[str, Any]]:
    """The notices of an account's liquidations among trades, in their order."""
    sales: dict[int, list[LighterTrade]] = {}
    for trade in trades:
        if trade.kind == LIQUIDATED and trade.taker.account == account:
            sales.setdefault(trade.taker.order_index, []).append(trade)
    return [_notice(account, sale, markets[sale[0].market]) for sale in sales.values()]


def _notice(account: int, sale: Sequence[LighterTrade], market: LighterMarket) -> dict[str, Any]:
    first, last = sale[0], sale[-1]
    size, quote = sum(trade.size for trade in sale), sum(trade.quote for trade in sale)
    seconds = first.time_ns // NS_PER_S
    made = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    name = f"liquidation_{first.trade_id}"
    return {
        "id": name,
        "created_at": made,
        "updated_at": made,
        "kind": "liquidation",
        "account_index": account,
        "content": {
            "id": name,
            "is_ask": not first.is_maker_ask,
            "usdc_amount": usdc_text(quote),
            "size": market.size_text(size),
            "market_index": market.market_id,
            "price": market.price_text(last.price),
            "timestamp": seconds,
            "avg_price": market.price_text(quote // size),
        },
        "ack": False,
        "acked_at": None,
    }
