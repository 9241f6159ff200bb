"""The venue's JSON objects of 2026: what REST answers and the streams carry. Pure.

Zero-valued optional fields are absent, as Go's encoder leaves them out. Amounts are texts with all their decimals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from stall_then_strike.sim.lighter.clearing.accounts import PICO, Account, Accounts, Position
from stall_then_strike.sim.lighter.clearing.candles import Candle
from stall_then_strike.sim.lighter.clearing.contracts import (
    FRACTION_ONE,
    MICRO,
    LighterMarket,
    Plan,
    decimal_text,
    usdc_text,
)
from stall_then_strike.sim.lighter.clearing.records import FundingPaid, LighterOrder, LighterTrade, Party, TxRecord
from stall_then_strike.sim.lighter.venue_events import OrderChanged, Traded, VenueEvent
from stall_then_strike.types.dto import NS_PER_MS

Json = dict[str, Any]
NS_PER_US: Final = 1_000
USDC_ID: Final = 3


def pico_text(pico: int) -> str:
    """Pico-USDC as the venue writes USDC: six decimals, rounded down."""
    return usdc_text(pico // PICO)


def order_form(order: LighterOrder, market: LighterMarket, block_height: int) -> Json:
    """An order."""
    first, second = (*order.children, 0, 0)[:2]
    return {
        "order_index": order.order_index,
        "client_order_index": order.client_index,
        "order_id": str(order.order_index),
        "client_order_id": str(order.client_index),
        "market_index": order.market,
        "owner_account_index": order.account,
        "initial_base_amount": market.size_text(order.size),
        "price": market.price_text(order.price),
        "nonce": order.number,
        "remaining_base_amount": market.size_text(order.remaining),
        "is_ask": order.is_ask,
        "base_size": order.remaining,
        "base_price": order.price,
        "filled_base_amount": market.size_text(order.filled),
        "filled_quote_amount": usdc_text(order.filled_quote),
        "side": order.side,
        "type": order.type.word,
        "time_in_force": _IN_FORCE[order.in_force],
        "reduce_only": order.is_reduce_only,
        "trigger_price": market.price_text(order.trigger_price),
        "order_expiry": order.expiry_ms,
        "status": order.status.word,
        "trigger_status": _trigger_status(order),
        "trigger_time": order.trigger_ns // NS_PER_MS,
        "parent_order_index": order.parent_index,
        "parent_order_id": str(order.parent_index),
        "to_trigger_order_id_0": str(first),
        "to_trigger_order_id_1": str(second),
        "to_cancel_order_id_0": str(order.sibling_index),
        "integrator_fee_collector_index": "0",
        "integrator_taker_fee": "0",
        "integrator_maker_fee": "0",
        "block_height": block_height,
        "timestamp": order.updated_ns // NS_PER_MS,
        "created_at": order.created_ns // NS_PER_MS,
        "updated_at": order.updated_ns // NS_PER_MS,
        "transaction_time": order.updated_ns // NS_PER_US,
    }


_IN_FORCE: Final = ("immediate-or-cancel", "good-till-time", "post-only")


def _trigger_status(order: LighterOrder) -> str:
    if not order.type.has_trigger:
        return "na"
    if order.waits_for_parent:
        return "parent-order"
    return "ready" if order.trigger_ns else "mark-price"


def simple_order_form(order: LighterOrder, market: LighterMarket) -> Json:
    """An order in a list of the book's orders."""
    return {
        "order_index": order.order_index,
        "order_id": str(order.order_index),
        "owner_account_index": order.account,
        "initial_base_amount": market.size_text(order.size),
        "remaining_base_amount": market.size_text(order.remaining),
        "price": market.price_text(order.price),
        "order_expiry": order.expiry_ms,
        "transaction_time": order.updated_ns // NS_PER_US,
    }


def trade_form(trade: LighterTrade, market: LighterMarket) -> Json:
    """A trade. Fees, realised profit and changes of sign are absent when they are zero."""
    ask, bid = trade.ask, trade.bid
    form: Json = {
        "trade_id": trade.trade_id,
        "trade_id_str": str(trade.trade_id),
        "tx_hash": trade.tx_hash,
        "type": trade.kind,
        "market_id": trade.market,
        "size": market.size_text(trade.size),
        "price": market.price_text(trade.price),
        "usd_amount": usdc_text(trade.quote),
        "ask_id": ask.order_index,
        "ask_id_str": str(ask.order_index),
        "bid_id": bid.order_index,
        "bid_id_str": str(bid.order_index),
        "ask_client_id": ask.client_index,
        "ask_client_id_str": str(ask.client_index),
        "bid_client_id": bid.client_index,
        "bid_client_id_str": str(bid.client_index),
        "ask_account_id": ask.account,
        "bid_account_id": bid.account,
        "is_maker_ask": trade.is_maker_ask,
        "block_height": trade.block_height,
        "timestamp": trade.time_ns // NS_PER_MS,
        **_party_form("taker", trade.taker, market),
        **_party_form("maker", trade.maker, market),
        "transaction_time": trade.time_ns // NS_PER_US,
    }
    for name, party in (("ask", ask), ("bid", bid)):
        if party.pnl:
            form[f"{name}_account_pnl"] = usdc_text(party.pnl)
    return form


def _party_form(role: str, party: Party, market: LighterMarket) -> Json:
    form: Json = {
        f"{role}_position_size_before": market.size_text(party.size_before),
        f"{role}_entry_quote_before": usdc_text(party.entry_quote_before),
        f"{role}_initial_margin_fraction_before": party.fraction_before,
    }
    if party.fee:
        form[f"{role}_fee"] = party.fee
    if party.has_sign_changed:
        form[f"{role}_position_sign_changed"] = True
    return form


def tx_form(tx: TxRecord, l1_address: str) -> Json:
    """A transaction."""
    return {
        "hash": tx.hash,
        "type": tx.type,
        "info": tx.info,
        "event_info": tx.event_info,
        "status": tx.status,
        "transaction_index": tx.sequence_index % 1_000,
        "l1_address": l1_address,
        "account_index": tx.account,
        "nonce": tx.nonce,
        "expire_at": tx.expire_at_ms,
        "block_height": tx.block_height,
        "queued_at": tx.queued_ns // NS_PER_MS,
        "executed_at": tx.executed_ns // NS_PER_MS,
        "sequence_index": tx.sequence_index,
        "parent_hash": "",
        "api_key_index": tx.api_key_index,
        "transaction_time": tx.executed_ns // NS_PER_US,
    }


def position_form(accounts: Accounts, account: Account, market_id: int) -> Json:
    """A position, flat or not."""
    position, market = accounts.position(account, market_id), accounts.markets[market_id]
    mark, size = accounts.prices[market_id].mark, position.size
    orders = [order for order in account.orders.values() if order.market == market_id]
    pending = sum(order.type.has_trigger and not order.trigger_ns for order in orders)
    form: Json = {
        "market_id": market_id,
        "symbol": market.symbol,
        "initial_margin_fraction": decimal_text(position.fraction, 2),
        "open_order_count": len(orders) - pending,
        "pending_order_count": pending,
        "position_tied_order_count": sum(order.is_reduce_only for order in orders),
        "sign": -1 if size < 0 else 1,
        "position": market.size_text(abs(size)),
        "avg_entry_price": market.price_text(position.entry_quote // abs(size) if size else 0),
        "position_value": usdc_text(abs(size) * mark),
        "unrealized_pnl": usdc_text(position.pnl(mark)),
        "realized_pnl": usdc_text(position.realized),
        "liquidation_price": _liquidation_text(accounts, account, market, position),
        "margin_mode": 0,
        "allocated_margin": "0.000000",
        "total_discount": "0.000000",
    }
    if position.funding_paid:
        form["total_funding_paid_out"] = pico_text(position.funding_paid)
    return form


def _liquidation_text(accounts: Accounts, account: Account, market: LighterMarket, position: Position) -> str:
    """The mark price at which the account's value meets its maintenance requirement; zero when there is none."""
    size = position.size
    if not size:
        return "0"
    health, mark = accounts.health(account), accounts.prices[market.market_id].mark
    own = abs(size) * mark * PICO * market.maintenance_fraction // FRACTION_ONE
    slope = size * FRACTION_ONE - abs(size) * market.maintenance_fraction
    price = (size * mark * PICO - health.value + health.maintenance - own) * FRACTION_ONE // (slope * PICO)
    return market.price_text(price) if price > 0 else "0"


def account_form(accounts: Accounts, account: Account) -> Json:
    """An account with its positions and assets."""
    health = accounts.health(account)
    pending = sum(order.type.has_trigger and not order.trigger_ns for order in account.orders.values())
    return {
        "code": 0,
        "account_type": 0,
        "index": account.index,
        "l1_address": account.l1_address,
        "cancel_all_time": account.cancel_all_ms,
        "total_order_count": len(account.orders),
        "total_isolated_order_count": 0,
        "pending_order_count": pending,
        "available_balance": pico_text(accounts.available(account)),
        "status": 1,
        "collateral": pico_text(account.collateral),
        "transaction_time": 0,
        "account_trading_mode": 0,
        "account_index": account.index,
        "name": "",
        "description": "",
        "can_invite": False,
        "referral_points_percentage": "",
        "can_rfq": False,
        "can_rfq_market_ids": None,
        "created_at": 0,
        "metadata": {"color": ""},
        "positions": [position_form(accounts, account, market) for market in sorted(account.positions)],
        "assets": [asset_form(account)],
        "total_asset_value": pico_text(health.value),
        "cross_asset_value": pico_text(health.value),
        "cross_initial_margin_requirement": pico_text(health.initial),
        "cross_maintenance_margin_requirement": pico_text(health.maintenance),
        "shares": [],
        "pending_unlocks": [],
        "approved_integrators": [],
    }


def asset_form(account: Account) -> Json:
    """The account's USDC: all of it is margin."""
    return {
        "symbol": "USDC",
        "asset_id": USDC_ID,
        "balance": "0.000000",
        "locked_balance": "0.000000",
        "margin_mode": "disabled",
        "margin_balance": pico_text(account.collateral),
    }


def stats_form(accounts: Accounts, account: Account) -> Json:
    """What ``user_stats`` says of an account."""
    health = accounts.health(account)
    leverage = health.notional * 100 // health.value if health.value > 0 else 0
    usage = health.initial * 10_000 // health.value if health.value > 0 else 0
    figures = {
        "collateral": pico_text(account.collateral),
        "portfolio_value": pico_text(health.value),
        "leverage": decimal_text(leverage, 2),
        "available_balance": pico_text(accounts.available(account)),
        "margin_usage": decimal_text(usage, 2),
        "buying_power": "0",
    }
    return {"account_trading_mode": 0, **figures, "cross_stats": dict(figures), "total_stats": dict(figures)}


def funding_form(paid: FundingPaid, market: LighterMarket) -> Json:
    """A funding payment of a position; the rate is in percent."""
    return {
        "timestamp": paid.time_ns // 1_000_000_000,
        "market_id": paid.market,
        "funding_id": paid.funding_id,
        "change": pico_text(paid.change),
        "rate": decimal_text(paid.rate, 4),
        "position_size": market.size_text(abs(paid.position_size)),
        "position_side": "long" if paid.position_size > 0 else "short",
        "discount": "0.000000",
    }


def order_book_form(market: LighterMarket, plan: Plan) -> Json:
    """A market in the list of markets; fees in percent."""
    fees = plan.fees
    return {
        "symbol": market.symbol,
        "market_id": market.market_id,
        "market_type": "perp",
        "base_asset_id": 0,
        "quote_asset_id": 0,
        "status": "active",
        "taker_fee": decimal_text(fees.taker, 4),
        "is_taker_fee_enabled": True,
        "maker_fee": decimal_text(fees.maker, 4),
        "is_maker_fee_enabled": True,
        "liquidation_fee": "1.0000",
        "min_base_amount": market.size_text(market.min_base),
        "min_quote_amount": usdc_text(market.min_quote),
        "order_quote_limit": usdc_text(market.order_quote_limit),
        "supported_size_decimals": market.size_decimals,
        "supported_price_decimals": market.price_decimals,
        "supported_quote_decimals": 6,
    }


def details_form(market: LighterMarket, plan: Plan, day: Mapping[str, Any]) -> Json:
    """A market with its terms and its last day: ``day`` has the fields that trades make."""
    return {
        **order_book_form(market, plan),
        "size_decimals": market.size_decimals,
        "price_decimals": market.price_decimals,
        "quote_multiplier": 1,
        "default_initial_margin_fraction": market.default_fraction,
        "min_initial_margin_fraction": market.min_fraction,
        "maintenance_margin_fraction": market.maintenance_fraction,
        "closeout_margin_fraction": market.closeout_fraction,
        **day,
        "daily_chart": {},
        "market_config": {
            "market_margin_mode": 0,
            "insurance_fund_account_index": 2**48 - 1,
            "liquidation_mode": 0,
            "force_reduce_only": False,
            "trading_hours": "",
            "funding_fee_discounts_enabled": False,
            "hidden": False,
            "rfq_enabled": False,
        },
        "strategy_index": 0,
    }


def candle_form(candle: Candle, market: LighterMarket, shift_ms: int = 0) -> Json:
    """A candle; its time is the period's start, plus ``shift_ms``."""
    unit = 10**market.price_decimals
    return {
        "t": candle.start_ns // NS_PER_MS + shift_ms,
        "o": candle.open / unit,
        "h": candle.high / unit,
        "l": candle.low / unit,
        "c": candle.close / unit,
        "v": candle.base / 10**market.size_decimals,
        "V": candle.quote / MICRO,
        "i": candle.last_trade_id,
    }


def event_info(market: int, events: Sequence[VenueEvent], error: str) -> str:
    """The short form of what a transaction did: the last trade and its orders, or the order that it touched."""
    info: Json = {"m": market}
    trades = [event.trade for event in events if isinstance(event, Traded)]
    orders = {event.order.order_index: event.order for event in events if isinstance(event, OrderChanged)}
    if trades:
        last = trades[-1]
        info["t"] = {"p": last.price, "s": last.size, "tf": last.taker.fee, "mf": last.maker.fee}
        info["mo"] = _short(orders.get(last.maker.order_index))
        info["to"] = _short(orders.get(last.taker.order_index))
    elif orders:
        info["to"] = _short(next(iter(orders.values()), None))
    return orjson.dumps({**info, "ae": error}).decode()


def _short(order: LighterOrder | None) -> dict[str, int]:
    if order is None:
        return {}
    first, second = (*order.children, 0, 0)[:2]
    return {
        "i": order.order_index,
        "u": order.client_index,
        "a": order.account,
        "is": order.size,
        "p": order.price,
        "rs": order.remaining,
        "ia": int(order.is_ask),
        "ot": order.type,
        "f": order.in_force,
        "ro": int(order.is_reduce_only),
        "tp": order.trigger_price,
        "e": order.expiry_ms,
        "st": order.status,
        "ts": 0,
        "t0": first,
        "t1": second,
        "c0": order.sibling_index,
    }
