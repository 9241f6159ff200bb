"""The calls about accounts, orders, trades and transactions, without a socket."""

from __future__ import annotations

from typing import Any

import pytest

from stall_then_strike.sim.lighter.account_calls import AccountCalls
from stall_then_strike.sim.lighter.clearing.records import InForce, OrderTerms
from stall_then_strike.sim.lighter.query import Query
from stall_then_strike.sim.lighter.transactions import Refusal
from tests.sim.lighter.venue_rig import Client

HOUR_MS = 3_600_000


class Desk(Client):
    """A client who asks."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = AccountCalls(self.venue)
        self.crowd = self.venue.add_account(10**12, l1_address="0xAb")

    def ask(self, name: str, **given: object) -> Any:
        return self.calls.calls()[name](Query({key: str(value) for key, value in given.items()}))

    def ask_own(self, name: str, **given: object) -> Any:
        query = Query({key: str(value) for key, value in given.items()})
        return self.calls.own_calls()[name](query, self.account)

    def trades(self, *, own: bool = True, **given: object) -> list[Any]:
        given = {"sort_by": "trade_id", "limit": 100, **given}
        query = Query({key: str(value) for key, value in given.items()})
        return self.calls.trades(query, self.account if own else None)["trades"] or []

    def trade(self, size: int, *, maker: bool = False, market: int = 0) -> None:
        """Buy (or sell a negative size) of the crowd, as taker or as maker, at the market's price."""
        price = self.venue.accounts.markets[market].start_price
        sides = [(self.account, size < 0), (self.crowd, size > 0)]
        for who, is_ask in sides if maker else reversed(sides):
            self.venue.place(
                who.index, OrderTerms(market=market, is_ask=is_ask, size=abs(size), price=price), self.venue.now_ns
            )


def refused(code: int, call: Any, **given: object) -> None:
    with pytest.raises(Refusal) as caught:
        call(**given)
    assert caught.value.code == code, given


def test_an_account_by_index_and_by_address() -> None:
    desk = Desk()
    [found] = desk.ask("account", by="index", value=desk.account.index)["accounts"]
    assert (found["index"], found["collateral"], found["available_balance"]) == (
        desk.account.index, "100000.000000", "100000.000000",
    )  # fmt: skip
    assert found["positions"] == []
    by_address = desk.ask("account", by="l1_address", value="0xaB")
    assert [account["index"] for account in by_address["accounts"]] == [desk.crowd.index]
    subs = desk.ask("accountsByL1Address", l1_address="0xab")["sub_accounts"]
    assert [row["index"] for row in subs] == [desk.crowd.index]
    for given in ({"by": "name", "value": "x"}, {"by": "index"}, {"by": "index", "value": "x"}, {"value": "1"}):
        refused(20001, lambda **g: desk.ask("account", **g), **given)
    refused(21100, lambda **g: desk.ask("account", **g), by="index", value=5)
    refused(21100, lambda **g: desk.ask("account", **g), by="l1_address", value="0xcd")


def test_a_position_as_it_is_shown() -> None:
    desk = Desk()
    desk.trade(10_000)
    desk.venue.set_prices(0, 311_000, desk.venue.now_ns)
    [found] = desk.ask("account", by="index", value=desk.account.index)["accounts"]
    [position] = found["positions"]
    shown = {
        name: position[name] for name in ("sign", "position", "avg_entry_price", "position_value", "unrealized_pnl")
    }
    assert shown == {
        "sign": 1, "position": "1.0000", "avg_entry_price": "3100.00", "position_value": "3110.000000",
        "unrealized_pnl": "10.000000",
    }  # fmt: skip
    assert found["total_asset_value"] == "100010.000000"
    assert found["cross_initial_margin_requirement"] == "155.500000"
    assert found["cross_maintenance_margin_requirement"] == "37.320000"
    assert found["available_balance"] == "99854.500000"
    desk.trade(-10_000)
    [found] = desk.ask("account", by="index", value=desk.account.index)["accounts"]
    assert (found["positions"][0]["position"], found["positions"][0]["sign"]) == ("0.0000", 1)


def test_the_liquidation_price_is_where_value_meets_maintenance() -> None:
    desk = Desk()
    accounts, account = desk.venue.accounts, desk.account
    accounts.deposit(account, -99_000 * 10**6)
    for size in (30_000, -60_000):
        desk.trade(size)
        [position] = desk.ask("account", by="index", value=account.index)["accounts"][0]["positions"]
        price = round(float(position["liquidation_price"]) * 100)
        healthy, broken = (price + 2, price - 2) if account.size_in(0) > 0 else (price - 2, price + 2)
        for mark, is_healthy in ((healthy, True), (broken, False)):
            accounts.prices[0] = accounts.prices[0]._replace(mark=mark)
            health = accounts.health(account)
            assert (health.value >= health.maintenance) is is_healthy
        accounts.prices[0] = accounts.prices[0]._replace(mark=310_000)


def test_keys_and_nonces() -> None:
    desk = Desk()
    index = desk.account.index
    desk.create()
    [key] = desk.ask("apikeys", account_index=index)["api_keys"]
    assert (key["api_key_index"], key["nonce"], len(key["public_key"])) == (4, 1, 80)
    assert desk.ask("nextNonce", account_index=index, api_key_index=4) == {"code": 200, "nonce": 1}
    refused(21109, lambda **g: desk.ask("apikeys", **g), account_index=index, api_key_index=5)
    refused(21109, lambda **g: desk.ask("nextNonce", **g), account_index=index, api_key_index=5)
    refused(21100, lambda **g: desk.ask("nextNonce", **g), account_index=5, api_key_index=4)
    refused(20001, lambda **g: desk.ask("nextNonce", **g), account_index=index)


def test_orders_open_and_closed() -> None:
    desk = Desk()
    for n in range(1, 6):
        desk.create(ClientOrderIndex=n, MarketIndex=n % 2, Price=310_000 if n % 2 == 0 else 930_000)
    desk.settle()
    assert [o["client_order_index"] for o in desk.ask_own("accountActiveOrders")["orders"]] == [1, 2, 3, 4, 5]
    assert [o["client_order_index"] for o in desk.ask_own("accountActiveOrders", market_id=0)["orders"]] == [2, 4]
    for n in (1, 2, 3):
        desk.cancel(n, market=n % 2)
    desk.settle()
    first = desk.ask_own("accountInactiveOrders", limit=2)
    assert [o["client_order_index"] for o in first["orders"]] == [3, 2], "newest first"
    last = desk.ask_own("accountInactiveOrders", limit=2, cursor=first["next_cursor"])
    assert [o["client_order_index"] for o in last["orders"]] == [1]
    assert "next_cursor" not in last
    assert desk.ask_own("accountInactiveOrders", limit=9, ask_filter=0)["orders"] == []
    now_ms = desk.venue.now_ns // 10**6
    span = f"{now_ms - 1_000}-{now_ms}"
    assert len(desk.ask_own("accountInactiveOrders", limit=9, between_timestamps=span)["orders"]) == 3
    assert desk.ask_own("accountInactiveOrders", limit=9, between_timestamps="1-2")["orders"] == []
    wanted = desk.ask_own("accountOrders", client_order_indexes="1,5,77")["orders"]
    assert [(o["client_order_index"], o["status"]) for o in wanted] == [(5, "open"), (1, "canceled")]
    for given in ({"limit": 0}, {"limit": 101}, {}, {"limit": 5, "ask_filter": 3}, {"limit": 5, "cursor": "x"}):
        refused(20001, lambda **g: desk.ask_own("accountInactiveOrders", **g), **given)
    refused(20001, lambda **g: desk.ask_own("accountOrders", **g), client_order_indexes=",".join(map(str, range(21))))


def test_trades_are_filtered_sorted_and_paged() -> None:
    desk = Desk()
    for size, maker, market in ((50, False, 0), (60, True, 0), (-70, False, 1), (80, True, 1)):
        desk.trade(size, maker=maker, market=market)
        desk.settle(1_000)
    sizes = [trade["size"] for trade in desk.trades()]
    assert sizes == ["0.00080", "0.00070", "0.0060", "0.0050"], "newest first"
    assert [trade["size"] for trade in desk.trades(sort_dir="asc", sort_by="timestamp")] == sizes[::-1]
    assert [trade["size"] for trade in desk.trades(market_id=0)] == sizes[2:]
    assert [trade["size"] for trade in desk.trades(role="maker")] == [sizes[0], sizes[2]]
    assert [trade["size"] for trade in desk.trades(role="taker")] == [sizes[1], sizes[3]]
    assert [trade["size"] for trade in desk.trades(ask_filter=1)] == [sizes[1]]
    assert [trade["size"] for trade in desk.trades(limit=1, cursor=2)] == [sizes[2]]
    newest = desk.trades()[0]
    assert [trade["size"] for trade in desk.trades(order_index=newest["bid_id"])] == [sizes[0]]
    assert [trade["size"] for trade in desk.trades(**{"from": newest["trade_id"]})] == [sizes[0]]
    assert desk.trades(type="liquidation") == []
    assert len(desk.trades(own=False)) == 4
    refused(20001, desk.trades, sort_by="size")


def test_funding_of_positions() -> None:
    desk = Desk()
    desk.trade(10_000)
    desk.settle(2 * HOUR_MS)
    rows = desk.ask_own("positionFunding", limit=10)["position_fundings"]
    assert len(rows) == 2
    assert {row["change"] for row in rows} == {"-0.037200"}
    assert (rows[0]["rate"], rows[0]["position_side"], rows[0]["position_size"]) == ("0.0012", "long", "1.0000")
    assert rows[0]["timestamp"] % 3_600 == 0
    assert desk.ask_own("positionFunding", limit=10, side="short")["position_fundings"] == []
    assert desk.ask_own("positionFunding", limit=10, market_ids="1,2")["position_fundings"] == []
    assert len(desk.ask_own("positionFunding", limit=1)["position_fundings"]) == 1


def test_transactions() -> None:
    desk = Desk()
    receipts = [desk.create(), desk.cancel(7)]
    desk.settle()
    found = desk.ask("tx", by="hash", value=receipts[0].tx_hash)
    assert desk.ask("tx", by="sequence_index", value=found["sequence_index"]) == found
    assert (found["type"], found["status"], found["nonce"]) == (14, 2, 0)
    for name, given in (("txs", {}), ("accountTxs", {"by": "account_index", "value": desk.account.index})):
        rows = desk.ask(name, limit=5, **given)["txs"]
        assert [row["hash"] for row in rows] == [receipts[1].tx_hash, receipts[0].tx_hash]
    assert desk.ask("accountTxs", limit=5, by="account_index", value=desk.crowd.index)["txs"] == []
    refused(21500, lambda **g: desk.ask("tx", **g), by="hash", value="00")
    refused(21500, lambda **g: desk.ask("tx", **g), by="sequence_index", value=1)


def test_limits_and_liquidations() -> None:
    desk = Desk()
    assert desk.ask_own("accountLimits")["user_tier"] == "standard"
    assert desk.ask_own("liquidations", limit=5) == {"code": 200, "liquidations": []}


def test_an_ioc_order_is_shown_in_its_final_state() -> None:
    desk = Desk()
    desk.venue.place(
        desk.account.index,
        OrderTerms(market=0, is_ask=True, size=50, price=310_000, in_force=InForce.IMMEDIATE_OR_CANCEL),
        desk.venue.now_ns,
    )
    [order] = desk.ask_own("accountInactiveOrders", limit=1)["orders"]
    assert (order["time_in_force"], order["status"], order["order_expiry"], order["side"]) == (
        "immediate-or-cancel", "canceled-not-enough-liquidity", 0, "sell",
    )  # fmt: skip
    assert (order["remaining_base_amount"], order["base_size"]) == ("0.0000", 0)
