"""The calls about accounts: public ones, and those for an account's own eyes. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from stall_then_strike.sim.lighter.clearing.accounts import Account
from stall_then_strike.sim.lighter.clearing.records import LighterTrade
from stall_then_strike.sim.lighter.forms import (
    Json,
    account_form,
    funding_form,
    tx_form,
)
from stall_then_strike.sim.lighter.lighter_venue import OK, LighterVenue
from stall_then_strike.sim.lighter.market_calls import Call
from stall_then_strike.sim.lighter.query import ALL, MOST_ROWS, Query, invalid_param
from stall_then_strike.sim.lighter.transactions import Refusal
from stall_then_strike.types.dto import NS_PER_MS

OwnCall = Callable[[Query, Account], Json]
_MOST_CLIENT_INDICES: Final = 20
_MOST_MARKETS: Final = 50


class AccountCalls:
    """Answers from the venue's accounts and transactions."""

    def __init__(self, venue: LighterVenue) -> None:
        """``venue`` is at the current time whenever a call is made."""
        self._venue = venue

    def calls(self) -> dict[str, Call]:
        """The public calls by name."""
        return {
            "account": self._account,
            "accountsByL1Address": self._accounts_by_address,
            "apikeys": self._api_keys,
            "nextNonce": self._next_nonce,
            "tx": self._tx,
            "txs": self._txs,
            "accountTxs": self._account_txs,
        }

    def own_calls(self) -> dict[str, OwnCall]:
        """The calls that want the account's token."""
        return {
            "accountActiveOrders": self._active_orders,
            "accountInactiveOrders": self._inactive_orders,
            "accountOrders": self._orders_by_client_index,
            "accountLimits": self._limits,
            "positionFunding": self._position_funding,
            "liquidations": self._liquidations,
        }

    # --- accounts -------------------------------------------------------------------------------------------------

    def _account(self, query: Query) -> Json:
        if query.one_of("by", ("index", "l1_address")) == "index":
            found = [self._venue.account(query.whole("value"))]
        else:
            found = self._of_address(query.text("value"))
        forms = [account_form(self._venue.accounts, account) for account in found]
        return {"code": OK, "total": len(forms), "accounts": forms}

    def _of_address(self, address: str) -> list[Account]:
        everyone = self._venue.accounts.by_index.values()
        found = [account for account in everyone if account.l1_address.lower() == address.lower()]
        if not found:
            raise Refusal(21100, "account not found")
        return found

    def _accounts_by_address(self, query: Query) -> Json:
        address = query.text("l1_address")
        rows = [
            {"code": 0, "account_type": 0, "index": account.index, "l1_address": account.l1_address}
            for account in self._of_address(address)
        ]
        return {"code": OK, "l1_address": address, "sub_accounts": rows}

    def _api_keys(self, query: Query) -> Json:
        account, wanted = self._venue.account(query.whole("account_index")), query.whole("api_key_index", ALL)
        keys = {n: key for n, key in account.keys.items() if wanted in {n, ALL}}
        if not keys:
            raise Refusal(21109, "api key not found")
        rows = [
            {
                "account_index": account.index,
                "api_key_index": n,
                "nonce": key.nonce,
                "public_key": key.public_key.hex(),
                "transaction_time": key.changed_ns // 1_000,
            }
            for n, key in sorted(keys.items())
        ]
        return {"code": OK, "api_keys": rows}

    def _next_nonce(self, query: Query) -> Json:
        nonce = self._venue.next_nonce(query.whole("account_index"), query.whole("api_key_index"))
        return {"code": OK, "nonce": nonce}

    def _limits(self, _query: Query, account: Account) -> Json:
        fees = account.plan.fees
        return {
            "code": OK,
            "max_llp_percentage": 0,
            "user_tier": account.plan.value,
            "can_create_public_pool": False,
            "max_llp_amount": "0.000000",
            "current_maker_fee_tick": fees.maker,
            "current_taker_fee_tick": fees.taker,
            "effective_lit_stakes": "0",
            "leased_lit": "0",
            "user_tier_name": account.plan.value,
        }

    def _position_funding(self, query: Query, account: Account) -> Json:
        wanted, (start_ns, end_ns) = query.numbers("market_ids", _MOST_MARKETS), query.span_ns()
        side = query.one_of("side", ("all", "long", "short"), "all")
        paid = [
            entry
            for entry in reversed(account.fundings)
            if (not wanted or entry.market in wanted)
            and start_ns <= entry.time_ns <= end_ns
            and side in {"all", "long" if entry.position_size > 0 else "short"}
        ]
        rows, more = query.page(paid)
        markets = self._venue.accounts.markets
        return {"code": OK, "position_fundings": [funding_form(row, markets[row.market]) for row in rows], **more}

    def _liquidations(self, query: Query, _account: Account) -> Json:
        query.whole("limit", most=MOST_ROWS)
        return {"code": OK, "liquidations": []}

    # --- orders and trades ----------------------------------------------------------------------------------------

    def _active_orders(self, query: Query, account: Account) -> Json:
        market = query.whole("market_id", ALL)
        orders = [order for order in account.orders.values() if market in {order.market, ALL}]
        return {"code": OK, "orders": self._venue.order_forms(orders)}

    def _inactive_orders(self, query: Query, account: Account) -> Json:
        market, span_ms = query.whole("market_id", ALL), query.numbers("between_timestamps", 2, "-")
        is_ask = _side_filter(query)
        closed = [
            order
            for order in reversed(account.closed)
            if market in {order.market, ALL}
            and is_ask in {None, order.is_ask}
            and (len(span_ms) < 2 or span_ms[0] <= order.updated_ns // NS_PER_MS <= span_ms[1])
        ]
        rows, more = query.page(closed)
        return {"code": OK, "orders": self._venue.order_forms(rows), **more}

    def _orders_by_client_index(self, query: Query, account: Account) -> Json:
        wanted = set(query.numbers("client_order_indexes", _MOST_CLIENT_INDICES))
        orders = [*account.orders.values(), *reversed(account.closed)]
        return {"code": OK, "orders": self._venue.order_forms([o for o in orders if o.client_index in wanted])}

    def trades(self, query: Query, account: Account | None) -> Json:
        """All trades kept, or an account's own."""
        key = _SORTS[query.one_of("sort_by", tuple(_SORTS))]
        is_rising = query.one_of("sort_dir", ("asc", "desc"), "desc") == "asc"
        market, order_index = query.whole("market_id", ALL), query.whole("order_index", 0)
        kind = query.one_of("type", ("all", "trade", "liquidation", "deleverage", "market-settlement"), "all")
        role, is_ask = query.one_of("role", ("all", "maker", "taker"), "all"), _side_filter(query)
        from_id = query.whole("from", 0)
        own = None if account is None else account.index
        kept = [
            trade
            for trade in (account.trades if account is not None else self._all_trades())
            if market in {trade.market, ALL}
            and order_index in {0, trade.ask.order_index, trade.bid.order_index}
            and kind in {"all", trade.kind}
            and trade.trade_id >= from_id
            and (role == "all" or own in {None, _party_of(trade, role)})
            and (is_ask is None or own in {None, (trade.ask if is_ask else trade.bid).account})
        ]
        rows, more = query.page(sorted(kept, key=key, reverse=not is_rising))
        return {"code": OK, "trades": self._venue.trade_forms(rows) or None, **more}

    def _all_trades(self) -> list[LighterTrade]:
        return [trade for kept in self._venue.trades.values() for trade in kept]

    # --- transactions ---------------------------------------------------------------------------------------------

    def _tx(self, query: Query) -> Json:
        if query.one_of("by", ("hash", "sequence_index")) == "hash":
            tx = self._venue.txs.get(query.text("value").lower().removeprefix("0x"))
        else:
            wanted = query.whole("value")
            tx = next((tx for tx in self._venue.txs.values() if tx.sequence_index == wanted), None)
        if tx is None:
            raise Refusal(21500, "transaction not found")
        form = tx_form(tx, self._venue.account(tx.account).l1_address)
        return {"code": OK, **form, "committed_at": 0, "verified_at": 0}

    def _txs(self, query: Query) -> Json:
        return self._tx_list(query, None)

    def _account_txs(self, query: Query) -> Json:
        query.one_of("by", ("account_index",))
        return self._tx_list(query, self._venue.account(query.whole("value")).index)

    def _tx_list(self, query: Query, account: int | None) -> Json:
        limit, start = query.whole("limit", most=MOST_ROWS), query.whole("index", 0)
        found = [tx for tx in reversed(self._venue.txs.values()) if account in {None, tx.account}]
        owners = self._venue.accounts.by_index
        rows = [tx_form(tx, owners[tx.account].l1_address) for tx in found[start : start + limit]]
        return {"code": OK, "txs": rows}


_SORTS: Final[dict[str, Callable[[LighterTrade], int]]] = {
    "block_height": lambda trade: trade.block_height,
    "timestamp": lambda trade: trade.time_ns,
    "trade_id": lambda trade: trade.trade_id,
}


def _party_of(trade: LighterTrade, role: str) -> int:
    return (trade.maker if role == "maker" else trade.taker).account


def _side_filter(query: Query) -> bool | None:
    """Asks only, bids only, or both (-1)."""
    word = query.text("ask_filter", "-1")
    if word not in {"-1", "0", "1"}:
        raise invalid_param()
    return None if word == "-1" else word == "1"
