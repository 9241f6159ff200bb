"""What the venue checks before it answers 200. Pure.

A refusal consumes no nonce. What passes has its effect later, and may still fail then.

Venue facts (error table of 2026, circuits): a nonce is accepted when it is the expected one, or, with the attribute
skip-nonce, any larger one below 2^47. The minimums bind orders that may rest and modifies, the maximum binds all.
Orders that may rest end 5 minutes to 30 days ahead; IOC orders have expiry zero. A scheduled cancel-all is 5 minutes to
15 days ahead. 1,500 live orders per account, 1,000 per market. Not known: the code for a transaction that has expired
(here 21501), and at which distance a price counts as accidental (here 20 % beyond the mark price, and only with price
protection).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

from stall_then_strike.sim.lighter.clearing.accounts import Account, Accounts
from stall_then_strike.sim.lighter.clearing.contracts import FRACTION_ONE, LighterMarket
from stall_then_strike.sim.lighter.clearing.records import MARKET_STRIDE, Grouping, InForce, OrderType
from stall_then_strike.sim.lighter.crypto.schnorr import verify
from stall_then_strike.sim.lighter.transactions import INVALID_TX_INFO, Attribute, Refusal, Transaction, TxType
from stall_then_strike.types.dto import NS_PER_MS, NS_PER_S

INVALID_NONCE: Final = 21104
MOST_IN_BATCH: Final = 50
MINUTE_MS: Final = 60_000
DAY_MS: Final = 24 * 60 * MINUTE_MS
_LARGEST_NONCE: Final = 2**47
_LARGEST_PRICE: Final = 2**32 - 1
_LARGEST_BASE: Final = MARKET_STRIDE - 1
_MOST_LIVE: Final = 1_500
_MOST_LIVE_IN_MARKET: Final = 1_000
_ACCIDENTAL_PERCENT: Final = 20
_TRIGGERED: Final = frozenset(kind for kind in OrderType if kind.has_trigger)
_AUTH_AHEAD_S: Final = 8 * 3600


def as_account(accounts: Accounts, index: int) -> Account:
    """The account with that index. Raises Refusal (21100)."""
    account = accounts.by_index.get(index)
    if account is None:
        raise Refusal(21100, "account not found")
    return account


def check_token(accounts: Accounts, text: str, now_ns: int) -> tuple[int, int, str, bytes]:
    """Account, key index, signed text and signature of a token that is in time. Raises Refusal (20013, HTTP 401)."""
    parts = text.split(":")
    try:
        deadline_s, index, key_index = (int(part) for part in parts[:3])
        signature = bytes.fromhex(parts[3])
    except (ValueError, IndexError):
        raise invalid_auth("invalid auth string") from None
    if len(parts) != 4:
        raise invalid_auth("invalid auth string")
    now_s = now_ns // NS_PER_S
    if deadline_s <= now_s:
        raise invalid_auth("expired token")
    if deadline_s > now_s + _AUTH_AHEAD_S:
        raise invalid_auth("invalid deadline")
    account = accounts.by_index.get(index)
    if account is None or key_index not in account.keys:
        raise invalid_auth("invalid signature")
    return index, key_index, ":".join(parts[:3]), signature


def invalid_auth(why: str) -> Refusal:
    """The refusal of a token."""
    return Refusal(20013, f"invalid auth: {why}", 401)


class Admission:
    """The checks of one request: one transaction, or a batch that is admitted as a whole or not at all."""

    def __init__(self, accounts: Accounts, queued: Mapping[int, set[int]], now_ns: int) -> None:
        """``queued`` has, for each account, the client order indices that wait for their effect."""
        self._accounts = accounts
        self._queued = queued
        self._now_ms = now_ns // NS_PER_MS
        self._nonces: dict[int, int] = {}
        self._fresh: set[int] = set()
        self._added = 0

    def check_batch(self, txs: Sequence[Transaction], *, verifies: bool, is_protected: bool) -> None:
        """Check transactions in their order. Raises Refusal for the first that is refused."""
        first = txs[0]
        if any((tx.account, tx.api_key_index) != (first.account, first.api_key_index) for tx in txs):
            raise Refusal(21121, "batch transactions must have the same account and api key")
        if any(after.nonce <= before.nonce for before, after in pairwise(txs)):
            raise Refusal(21105, "nonces in the batch must be increasing")
        for tx in txs:
            self.check(tx, verifies=verifies, is_protected=is_protected)

    def check(self, tx: Transaction, *, verifies: bool, is_protected: bool) -> None:
        """Check one transaction. Raises Refusal."""
        account = as_account(self._accounts, tx.account)
        key = account.keys.get(tx.api_key_index)
        if key is None:
            raise Refusal(21109, "api key not found")
        if tx.expired_at_ms <= self._now_ms:
            raise Refusal(INVALID_TX_INFO, "invalid tx info: expired")
        if verifies and not verify(key.public_key, tx.hash, tx.signature):
            raise Refusal(21120, "invalid signature")
        self._check_nonce(tx, key.nonce)
        _check_attributes(tx.attributes)
        self._check_body(tx, account, is_protected=is_protected)
        self._nonces[tx.api_key_index] = tx.nonce + 1

    # --- inside ---------------------------------------------------------------------------------------------------

    def _check_nonce(self, tx: Transaction, expected: int) -> None:
        expected = self._nonces.get(tx.api_key_index, expected)
        is_good = expected <= tx.nonce < _LARGEST_NONCE if tx.skips_nonces else tx.nonce == expected
        if not is_good:
            raise Refusal(INVALID_NONCE, "invalid nonce")

    def _check_body(self, tx: Transaction, account: Account, *, is_protected: bool) -> None:
        body = tx.body
        match tx.type:
            case TxType.CREATE_ORDER:
                self._check_order(body, account)
                if is_protected:
                    self._check_accident(body)
            case TxType.CREATE_GROUPED_ORDERS:
                check_group(body["GroupingType"], tx.orders)
                for order in tx.orders:
                    self._check_order(order, account)
            case TxType.CANCEL_ORDER:
                self._market(body)
                _require(0 < body["Index"] < 2**60, 21700, "invalid order index")
            case TxType.MODIFY_ORDER:
                self._check_modify(body)
            case TxType.CANCEL_ALL_ORDERS:
                self._check_cancel_all(body, tx.attributes.get(Attribute.CANCEL_ALL_MARKET))
            case TxType.UPDATE_LEVERAGE:
                terms = self._market(body)
                _require(
                    terms.min_fraction <= body["InitialMarginFraction"] <= FRACTION_ONE,
                    21113,
                    "invalid margin fraction",
                )
                _require(body["MarginMode"] == 0, 21132, "margin mode cannot be changed: only cross is simulated")
        _require(not 0 < account.cancel_all_ms <= self._now_ms, 21122, "the scheduled cancel-all is due")

    def _market(self, body: Mapping[str, int]) -> LighterMarket:
        terms = self._accounts.markets.get(body["MarketIndex"])
        if terms is None:
            raise Refusal(21602, "invalid market index")
        return terms

    def _check_order(self, body: Mapping[str, int], account: Account) -> None:
        terms = self._market(body)
        base, price, client_index = body["BaseAmount"], body["Price"], body["ClientOrderIndex"]
        _require(0 <= client_index < MARKET_STRIDE, 21727, "invalid client order index")
        _require(body["ReduceOnly"] in {0, 1}, INVALID_TX_INFO, "invalid tx info")
        _require(1 - body["ReduceOnly"] <= base <= _LARGEST_BASE, 21701, "invalid base amount")
        _require(1 <= price <= _LARGEST_PRICE, 21702, "invalid price")
        _require(body["IsAsk"] in {0, 1}, 21703, "invalid is ask")
        _check_kind(body)
        self._check_expiry(body)
        if body["TimeInForce"] != InForce.IMMEDIATE_OR_CANCEL:
            _check_minimum(terms, base, price)
        _require(base * price <= terms.order_quote_limit, 21706, "order quote amount is over the limit")
        self._check_room(account, terms.market_id, client_index)

    def _check_room(self, account: Account, market: int, client_index: int) -> None:
        """The account's client indices and its count of live orders."""
        if client_index:
            places = (account.client_indices, self._queued.get(account.index, ()), self._fresh)
            is_taken = any(client_index in taken for taken in places)
            _require(not is_taken, 21728, "client order index already exists")
            self._fresh.add(client_index)
        self._added += 1
        _require(len(account.orders) + self._added <= _MOST_LIVE, 21717, "maximum active orders per account reached")
        here = sum(order.market == market for order in account.orders.values())
        _require(here + self._added <= _MOST_LIVE_IN_MARKET, 21718, "maximum active orders per market reached")

    def _check_expiry(self, body: Mapping[str, int]) -> None:
        expiry_ms, kind = body["OrderExpiry"], OrderType(body["Type"])
        if body["TimeInForce"] == InForce.IMMEDIATE_OR_CANCEL and not kind.has_trigger:
            _require(expiry_ms == 0, 21711, "invalid expiry")
        else:
            ahead_ms = expiry_ms - self._now_ms
            _require(5 * MINUTE_MS <= ahead_ms <= 30 * DAY_MS, 21711, "invalid expiry")

    def _check_accident(self, body: Mapping[str, int]) -> None:
        mark, price = self._accounts.prices[body["MarketIndex"]].mark, body["Price"]
        beyond = mark - price if body["IsAsk"] else price - mark
        _require(beyond * 100 <= mark * _ACCIDENTAL_PERCENT, 21733, "order price flagged as an accidental price")

    def _check_modify(self, body: Mapping[str, int]) -> None:
        terms = self._market(body)
        _require(0 < body["Index"] < 2**60, 21700, "invalid order index")
        _require(0 <= body["BaseAmount"] <= _LARGEST_BASE, 21701, "invalid base amount")
        _require(1 <= body["Price"] <= _LARGEST_PRICE, 21702, "invalid price")
        _require(0 <= body["TriggerPrice"] <= _LARGEST_PRICE, 21729, "invalid trigger price")
        _check_minimum(terms, body["BaseAmount"], body["Price"])
        _require(
            body["BaseAmount"] * body["Price"] <= terms.order_quote_limit, 21706, "order quote amount is over the limit"
        )

    def _check_cancel_all(self, body: Mapping[str, int], market: int | None) -> None:
        mode, time_ms = body["TimeInForce"], body["Time"]
        _require(mode in {0, 1, 2}, 21713, "invalid cancel all time in force")
        if mode == 1:
            ahead_ms = time_ms - self._now_ms
            _require(5 * MINUTE_MS <= ahead_ms <= 15 * DAY_MS, 21714, "invalid cancel all time")
        else:
            _require(time_ms == 0, 21714, "invalid cancel all time")
        if market is not None:
            _require(mode == 0, 21713, "invalid cancel all time in force")
            _require(market in self._accounts.markets, 21602, "invalid market index")


def _check_attributes(attributes: Mapping[int, int]) -> None:
    """Nobody has approved an integrator here; the self-trade attributes have few values."""
    _require(not attributes.get(Attribute.INTEGRATOR_ACCOUNT), 21149, "integrator is not approved")
    is_known = attributes.get(Attribute.SELF_TRADE_MODE, 0) in range(4)
    is_known = is_known and attributes.get(Attribute.SELF_TRADE_EQUALITY, 0) in range(2)
    _require(is_known, INVALID_TX_INFO, "invalid tx info")


def check_group(grouping: int, orders: Sequence[Mapping[str, int]]) -> None:
    """Check how the orders of a group fit together. Raises Refusal (21743)."""
    fits = grouping in set(Grouping) and len(orders) == (
        3 if grouping == Grouping.ONE_TRIGGERS_A_ONE_CANCELS_THE_OTHER else 2
    )
    _require(fits, 21743, "invalid grouping")
    if grouping == Grouping.ONE_CANCELS_THE_OTHER:
        first, waiting = None, list(orders)
        fits = all(order["ReduceOnly"] == 1 for order in orders)
    else:
        first, *waiting = orders
        fits = first["Type"] in {OrderType.LIMIT, OrderType.MARKET}
        fits = fits and all(order["IsAsk"] != first["IsAsk"] and order["BaseAmount"] == 0 for order in waiting)
        fits = fits and first["OrderExpiry"] in {0, waiting[0]["OrderExpiry"]}
    kinds = {order["Type"] in {OrderType.STOP_LOSS, OrderType.STOP_LOSS_LIMIT} for order in waiting}
    fits = fits and all(order["Type"] in _TRIGGERED for order in waiting) and len(kinds) == len(waiting)
    for name in ("MarketIndex", "OrderExpiry", "IsAsk", "BaseAmount"):
        fits = fits and len({order[name] for order in waiting}) == 1
    _require(fits and len({order["MarketIndex"] for order in orders}) == 1, 21743, "invalid grouping")


def _check_kind(body: Mapping[str, int]) -> None:
    """Type, time in force and trigger price, and what each demands of the others."""
    _require(0 <= body["Type"] <= OrderType.TWAP, 21704, "invalid order type")
    kind = OrderType(body["Type"])
    _require(kind is not OrderType.TWAP, 21618, "order type is not supported in this market")
    _require(body["TimeInForce"] in {0, 1, 2}, 21705, "invalid time in force")
    if kind.is_market:
        _require(body["TimeInForce"] == InForce.IMMEDIATE_OR_CANCEL, 21705, "invalid time in force")
    if kind.has_trigger:
        _require(1 <= body["TriggerPrice"] <= _LARGEST_PRICE, 21729, "invalid trigger price")
    else:
        _require(body["TriggerPrice"] == 0, 21729, "invalid trigger price")


def _check_minimum(terms: LighterMarket, base: int, price: int) -> None:
    """A size of zero is the position's, whatever that is."""
    is_enough = not base or (base >= terms.min_base and base * price >= terms.min_quote)
    _require(is_enough, 21706, "order base or quote amount is below the minimum")


def _require(is_met: bool, code: int, message: str) -> None:
    if not is_met:
        raise Refusal(code, message)
