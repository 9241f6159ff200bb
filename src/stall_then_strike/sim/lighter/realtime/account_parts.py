"""What the messages of the private channels say, beside their channel and type. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stall_then_strike.sim.lighter.clearing.accounts import Account
from stall_then_strike.sim.lighter.clearing.contracts import MICRO
from stall_then_strike.sim.lighter.forms import USDC_ID, asset_form

Message = dict[str, Any]


def market_part(
    account: Account,
    *,
    orders: Sequence[Message] = (),
    trades: Sequence[Message] = (),
    position: Message | None = None,
    funding: Message | None = None,
) -> Message:
    """``account_market`` of a perpetual, which has no assets."""
    return {
        "account": account.index,
        "assets": None,
        "funding_history": funding,
        "orders": list(orders),
        "position": position,
        "trades": list(trades),
    }


def positions_part(positions: Message, fundings: Mapping[str, Sequence[Message]]) -> Message:
    """Positions, and the last funding of each market when there was one."""
    last = {market: rows[-1] for market, rows in fundings.items()}
    return {
        "positions": positions,
        "shares": [],
        "last_funding_round": {market: row["change"] for market, row in last.items()} or None,
        "last_funding_discount": {market: row["discount"] for market, row in last.items()} or None,
    }


def assets_part(account: Account) -> Message:
    """``account_all_assets``."""
    return {"assets": {str(USDC_ID): asset_form(account)}}


def account_part(
    account: Account,
    *,
    positions: Message | None = None,
    trades: Message | None = None,
    fundings: Message | None = None,
) -> Message:
    """``account_all``: empty maps mean unchanged."""
    return {
        "account": account.index,
        "assets": assets_part(account)["assets"] if positions is not None else {},
        "funding_histories": fundings or {},
        "positions": positions or {},
        "shares": [],
        "trades": trades or {},
    }


def volumes(account: Account) -> Message:
    """Counts and volumes: all of them of the account's whole life here, which is shorter than a day."""
    trades, quote = account.volume.trades, account.volume.quote / MICRO
    spans = ("daily", "weekly", "monthly", "total")
    counts = {f"{span}_trades_count": trades for span in spans}
    return {**counts, **{f"{span}_volume": quote for span in spans}}
