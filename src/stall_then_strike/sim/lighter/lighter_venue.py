"""The venue: accounts, markets, and transactions on their way from acceptance to effect. Pure.

It reads no clock: each call is given the time. :meth:`LighterVenue.submit` checks a transaction and answers;
:meth:`LighterVenue.advance` lets what is due have its effect and returns what happened. Everything follows from the
seed and the calls.

Venue facts: a transaction has its effect 0.2 to 0.3 s after its acceptance (measured by clients); those of one key
keep their order (likely). A cancel or modify of an unknown order, and an order whose client index is taken when its
turn comes, end without a word but in the transaction's record.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from random import Random
from typing import Final, NamedTuple

import orjson

from stall_then_strike.sim.exchange.agenda import Agenda
from stall_then_strike.sim.lighter.admission import MOST_IN_BATCH, Admission, as_account, check_token, invalid_auth
from stall_then_strike.sim.lighter.clearing.accounts import Account, Accounts, ApiKey, Prices
from stall_then_strike.sim.lighter.clearing.contracts import MARKETS, MICRO, LighterMarket, Plan
from stall_then_strike.sim.lighter.clearing.records import (
    MARKET_STRIDE,
    InForce,
    LighterOrder,
    LighterTrade,
    OrderTerms,
    OrderType,
    TxRecord,
    TxStatus,
)
from stall_then_strike.sim.lighter.clearing.trading_pit import TradingPit
from stall_then_strike.sim.lighter.crypto.ecgfp5 import ORDER
from stall_then_strike.sim.lighter.crypto.schnorr import public_key, token_hash, verify
from stall_then_strike.sim.lighter.transactions import Attribute, Refusal, Transaction, TxType, decode
from stall_then_strike.sim.lighter.venue_events import (
    OrderChanged,
    PositionChanged,
    PricesChanged,
    Traded,
    TxDone,
    VenueEvent,
)
from stall_then_strike.types.dto import NS_PER_MS, NS_PER_S

OK: Final = 200
CHAIN_ID: Final = 304
_BLOCK_NS: Final = 80 * NS_PER_MS
"""Measured in December 2025: 78 blocks in 6 seconds."""
_FIRST_BLOCK: Final = 230_000_000
_DAY_NS: Final = 86_400 * NS_PER_S
_TXS_KEPT: Final = 20_000
_TRADES_KEPT: Final = 10_000
_TOKENS_KEPT: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueSettings:
    """How the venue behaves."""

    plan: Plan = Plan.STANDARD
    """The plan of accounts that name none."""
    chain_id: int = CHAIN_ID
    """What clients must sign for: the SDK signs for mainnet at any address that it does not know."""
    verifies_orders: bool = True
    """Off, signatures of transactions are not checked, for speed; hashes and tokens always are."""
    delay_ms: tuple[int, int] = (200, 300)
    """From acceptance to effect, shortest and longest."""


class Receipt(NamedTuple):
    """The answer to a transaction or a batch. ``code`` is 200 or the code of the refusal."""

    code: int
    message: str
    tx_hashes: tuple[str, ...] = ()
    due_ns: int = 0
    """When the last of them has its effect."""

    @property
    def tx_hash(self) -> str:
        """The hash of a single transaction; empty after a refusal."""
        return self.tx_hashes[0] if self.tx_hashes else ""


class LighterVenue:
    """All markets and accounts of the venue."""

    def __init__(
        self,
        markets: Iterable[LighterMarket] = MARKETS,
        *,
        start_ns: int,
        seed: int = 0,
        settings: VenueSettings | None = None,
    ) -> None:
        """Open the markets at ``start_ns``, with empty books and no accounts."""
        self.settings = VenueSettings() if settings is None else settings
        self.accounts = Accounts(markets)
        self.now_ns = start_ns
        self._start_ns = start_ns
        self._random = Random(seed)
        self._agenda = Agenda()
        self._events: list[VenueEvent] = []
        self._sequence = count(13_000_000_000)
        trade_ids = count(19_000_000_001)
        self.pits = {
            market.market_id: TradingPit(market, self.accounts, trade_ids=trade_ids, block_of=self.block_of)
            for market in self.accounts.markets.values()
        }
        self.trades: dict[int, deque[LighterTrade]] = {market: deque(maxlen=_TRADES_KEPT) for market in self.pits}
        """The newest trades of each market, oldest first."""
        self.txs: dict[str, TxRecord] = {}
        """Transactions by hash, oldest first."""
        self._queued: dict[int, set[int]] = {}
        self._last_due: dict[tuple[int, int], int] = {}
        self._tokens: dict[str, int] = {}
        self._pending: set[int] = set()
        self.mishap: Callable[[Transaction], bool] | None = None
        """A fault: whether an accepted transaction silently has no effect."""
        self.refusal: Callable[[], Refusal | None] | None = None
        """A fault: how a transaction or batch is refused, whatever is in it; None when it is not."""

    # --- accounts -------------------------------------------------------------------------------------------------

    def add_account(
        self, micro: int = 0, *, index: int | None = None, l1_address: str | None = None, plan: Plan | None = None
    ) -> Account:
        """Open an account with ``micro`` micro-USDC. Raises ValueError for an index that is taken."""
        taken = self.accounts.by_index
        index = max((other for other in taken if other < 2**47), default=100_000) + 1 if index is None else index
        if index in taken:
            raise ValueError(f"account {index} exists already")
        address = f"0x{self._random.getrandbits(160):040x}" if l1_address is None else l1_address
        account = taken[index] = Account(index, address, self.settings.plan if plan is None else plan)
        self.accounts.deposit(account, micro)
        return account

    def add_key(self, account: Account, api_key_index: int) -> bytes:
        """Register a throw-away key; return its private key, 40 bytes. Raises ValueError for a bad or taken index."""
        if not 0 <= api_key_index < 255 or api_key_index in account.keys:
            raise ValueError(f"account {account.index}: key index {api_key_index} is taken or not between 0 and 254")
        private = self._random.randrange(1, ORDER).to_bytes(40, "little")
        account.keys[api_key_index] = ApiKey(public_key(private), changed_ns=self.now_ns)
        return private

    def account(self, index: int) -> Account:
        """An account. Raises Refusal (21100)."""
        return as_account(self.accounts, index)

    def next_nonce(self, index: int, api_key_index: int) -> int:
        """What the key's next transaction must carry. Raises Refusal (21100, 21109)."""
        key = self.account(index).keys.get(api_key_index)
        if key is None:
            raise Refusal(21109, "api key not found")
        return key.nonce

    def authenticate(self, token: str, now_ns: int) -> int:
        """The account that a token speaks for. Raises Refusal (20013)."""
        index, key_index, text, signature = check_token(self.accounts, token, now_ns)
        if self._tokens.get(token) == index:
            return index
        if not verify(self.accounts.by_index[index].keys[key_index].public_key, token_hash(text), signature):
            raise invalid_auth("invalid signature")
        if len(self._tokens) >= _TOKENS_KEPT:
            self._tokens.clear()
        self._tokens[token] = index
        return index

    # --- transactions ---------------------------------------------------------------------------------------------

    def submit(self, tx_type: int, info: str, now_ns: int, *, is_protected: bool = False) -> Receipt:
        """Take a transaction in, or refuse it. ``is_protected`` is the request's price protection."""
        return self._take([(tx_type, info)], now_ns, is_protected=is_protected)

    def submit_batch(self, tx_types: Sequence[int], infos: Sequence[str], now_ns: int, most: int = 50) -> Receipt:
        """Take a batch in as a whole, or refuse it as a whole. ``most`` is 50 over REST and 15 over the socket."""
        if len(tx_types) != len(infos) or not tx_types:
            return Receipt(21513, "tx types and tx infos must have the same length")
        if len(tx_types) > min(most, MOST_IN_BATCH):
            return Receipt(21514, f"a batch has at most {most} transactions")
        return self._take(list(zip(tx_types, infos, strict=True)), now_ns, is_protected=False)

    def _take(self, given: list[tuple[int, str]], now_ns: int, *, is_protected: bool) -> Receipt:
        self._move_to(now_ns)
        try:
            if self.refusal is not None and (refusal := self.refusal()) is not None:
                raise refusal
            txs = [decode(tx_type, info, self.settings.chain_id) for tx_type, info in given]
            admission = Admission(self.accounts, self._queued, now_ns)
            admission.check_batch(txs, verifies=self.settings.verifies_orders, is_protected=is_protected)
        except Refusal as refused:
            return Receipt(refused.code, refused.message)
        due_ns = 0
        for tx in txs:
            due_ns = self._accept(tx, now_ns)
        return Receipt(OK, '{"ratelimit": "didn\'t use volume quota"}', tuple(tx.hash.hex() for tx in txs), due_ns)

    def _accept(self, tx: Transaction, now_ns: int) -> int:
        """Consume the nonce and plan the effect; return its time."""
        self.accounts.by_index[tx.account].keys[tx.api_key_index].nonce = tx.nonce + 1
        if client_index := tx.body.get("ClientOrderIndex"):
            self._queued.setdefault(tx.account, set()).add(client_index)
        shortest, longest = (ms * NS_PER_MS for ms in self.settings.delay_ms)
        key = (tx.account, tx.api_key_index)
        due_ns = max(now_ns + self._random.randint(shortest, longest), self._last_due.get(key, 0))
        self._last_due[key] = due_ns
        record = TxRecord(
            hash=tx.hash.hex(),
            type=tx.type,
            info=tx.info,
            account=tx.account,
            api_key_index=tx.api_key_index,
            nonce=tx.nonce,
            expire_at_ms=tx.expired_at_ms,
            queued_ns=now_ns,
            sequence_index=next(self._sequence),
        )
        self.txs[record.hash] = record
        if len(self.txs) > _TXS_KEPT:
            del self.txs[next(iter(self.txs))]
        self._agenda.at(due_ns, lambda time_ns: self._carry_out(tx, record, time_ns))
        return due_ns

    def _carry_out(self, tx: Transaction, record: TxRecord, now_ns: int) -> None:
        """Let a transaction have its effect."""
        self._queued.get(tx.account, set()).discard(tx.body.get("ClientOrderIndex", 0))
        first = len(self._events)
        error = "transaction expired" if tx.expired_at_ms * NS_PER_MS <= now_ns else ""
        if not error and (self.mishap is None or not self.mishap(tx)):
            error = self._effect(tx, now_ns, record.hash)
        done = replace(
            record,
            status=TxStatus.FAILED if error else TxStatus.EXECUTED,
            executed_ns=now_ns,
            block_height=self.block_of(now_ns),
            event_info=_event_info(tx, self._events[first:], error),
        )
        if record.hash in self.txs:
            self.txs[record.hash] = done
        self._events.append(TxDone(tx.account, done))

    def _effect(self, tx: Transaction, now_ns: int, tx_hash: str) -> str:
        """Do what the transaction says; return why it cannot be done, or nothing."""
        account = self.accounts.by_index[tx.account]
        match tx.type:
            case TxType.CREATE_ORDER:
                return self._create(account, tx, now_ns, tx_hash)
            case TxType.CANCEL_ORDER:
                order = self._find(account, tx.body)
                if order is None:
                    return "order not found"
                self._report(self.pits[order.market].cancel(order, now_ns))
            case TxType.MODIFY_ORDER:
                return self._modify(account, tx, now_ns, tx_hash)
            case TxType.CANCEL_ALL_ORDERS:
                self._cancel_all(account, tx, now_ns)
            case TxType.UPDATE_LEVERAGE:
                market = tx.body["MarketIndex"]
                self.accounts.position(account, market).fraction = tx.body["InitialMarginFraction"]
                self._events.append(PositionChanged(account.index, market))
            case TxType.CREATE_GROUPED_ORDERS:
                raise AssertionError("refused at admission")
        return ""

    def _create(self, account: Account, tx: Transaction, now_ns: int, tx_hash: str) -> str:
        body = tx.body
        if body["ClientOrderIndex"] in account.client_indices:
            return "client order index already exists"
        if 0 < body["OrderExpiry"] * NS_PER_MS <= now_ns:
            return "order expired"
        terms = OrderTerms(
            market=body["MarketIndex"],
            is_ask=bool(body["IsAsk"]),
            size=body["BaseAmount"],
            price=body["Price"],
            type=OrderType(body["Type"]),
            in_force=InForce(body["TimeInForce"]),
            client_index=body["ClientOrderIndex"],
            is_reduce_only=bool(body["ReduceOnly"]),
            trigger_price=body["TriggerPrice"],
            expiry_ms=body["OrderExpiry"],
            self_trade_mode=tx.attributes.get(Attribute.SELF_TRADE_MODE, 0),
            is_self_by_master=tx.attributes.get(Attribute.SELF_TRADE_EQUALITY) == 1,
        )
        self._place(account, terms, now_ns, tx_hash)
        return ""

    def _modify(self, account: Account, tx: Transaction, now_ns: int, tx_hash: str) -> str:
        order, body = self._find(account, tx.body), tx.body
        if order is None:
            return "order not found"
        is_plain = not order.type.has_trigger
        if is_plain and (body["TriggerPrice"] or not body["BaseAmount"]):
            return "invalid modify of a plain order"
        version = tx.attributes.get(Attribute.ORDER_VERSION, order.version)
        changed = replace(order, version=version)
        pit = self.pits[order.market]
        self._report(pit.modify(changed, body["BaseAmount"], body["Price"], body["TriggerPrice"], now_ns, tx_hash))
        return ""

    def _find(self, account: Account, body: Mapping[str, int]) -> LighterOrder | None:
        """The live order that an index or client index names."""
        index = body["Index"]
        order = account.orders.get(account.client_indices.get(index, 0) if index < MARKET_STRIDE else index)
        return order if order is not None and order.market == body["MarketIndex"] else None

    def _cancel_all(self, account: Account, tx: Transaction, now_ns: int) -> None:
        mode, time_ms = tx.body["TimeInForce"], tx.body["Time"]
        if mode == 0:
            self._clear(account, now_ns, tx.attributes.get(Attribute.CANCEL_ALL_MARKET))
        else:
            account.cancel_all_ms = time_ms
        if mode == 1:
            self._agenda.at(time_ms * NS_PER_MS, lambda at_ns: self._switch(account, time_ms, at_ns))

    def _switch(self, account: Account, time_ms: int, now_ns: int) -> None:
        """Let the dead man's switch fall, unless another time was set since."""
        if account.cancel_all_ms == time_ms:
            self._clear(account, now_ns, None)
            account.cancel_all_ms = 0

    def _clear(self, account: Account, now_ns: int, market: int | None) -> None:
        for order in list(account.orders.values()):
            if market is None or order.market == market:
                self._report(self.pits[order.market].cancel(order, now_ns))

    def day_of(self, market: int) -> dict[str, float | int | str]:
        """What the last day's trades made of a market, as details and statistics show it; from the trades kept."""
        terms, prices = self.accounts.markets[market], self.accounts.prices[market]
        day = [trade for trade in self.trades[market] if trade.time_ns > self.now_ns - _DAY_NS]
        unit = 10**terms.price_decimals
        size, quote = sum(trade.size for trade in day), sum(trade.quote for trade in day)
        low, high = min((trade.price for trade in day), default=0), max((trade.price for trade in day), default=0)
        change = (day[-1].price - day[0].price) * 100 / day[0].price if day else 0.0
        interest = sum(abs(account.size_in(market)) for account in self.accounts.by_index.values()) // 2
        return {
            "last_trade_price": self.pits[market].last_price / unit,
            "daily_trades_count": len(day),
            "daily_base_token_volume": size / 10**terms.size_decimals,
            "daily_quote_token_volume": quote / MICRO,
            "daily_price_low": low / unit,
            "daily_price_high": high / unit,
            "daily_price_change": change,
            "open_interest": interest / 10**terms.size_decimals,
            "mark_price": terms.price_text(prices.mark),
            "index_price": terms.price_text(prices.underlying),
        }

    # --- without a signature --------------------------------------------------------------------------------------

    def place(self, account: int, terms: OrderTerms, now_ns: int) -> int:
        """Place an order at once, as the crowd that makes the market does; return its index."""
        self._move_to(now_ns)
        return self._place(self.accounts.by_index[account], terms, now_ns, self._internal_hash(now_ns))

    def _place(self, owner: Account, terms: OrderTerms, now_ns: int, tx_hash: str) -> int:
        pit = self.pits[terms.market]
        number = pit.new_number(is_ask=terms.is_ask)
        order = LighterOrder(
            order_index=pit.index_of(number),
            client_index=terms.client_index,
            market=terms.market,
            account=owner.index,
            is_ask=terms.is_ask,
            size=terms.size,
            remaining=terms.size,
            price=terms.price,
            type=terms.type,
            in_force=terms.in_force,
            number=number,
            is_reduce_only=terms.is_reduce_only,
            trigger_price=terms.trigger_price,
            expiry_ms=terms.expiry_at(now_ns),
            self_trade_mode=terms.self_trade_mode,
            is_self_by_master=terms.is_self_by_master,
            created_ns=now_ns,
            updated_ns=now_ns,
        )
        owner.order_count += 1
        self._report(pit.enter(order, now_ns, tx_hash))
        return order.order_index

    def cancel(self, order_index: int, now_ns: int) -> bool:
        """Cancel an order at once; return whether it was live."""
        self._move_to(now_ns)
        pit = self.pits[order_index // MARKET_STRIDE - 1]
        order = pit.live.get(order_index)
        if order is None:
            return False
        self._report(pit.cancel(order, now_ns))
        return True

    def set_prices(self, market: int, index: int, now_ns: int, mark: int | None = None) -> None:
        """Set a market's index price and mark price, which is the same if not given."""
        self._move_to(now_ns)
        before = self.accounts.prices[market]
        after = Prices(index if mark is None else mark, index, before.funding)
        if after != before:
            self.accounts.prices[market] = after
            self._report([PricesChanged(market)])

    # --- time -----------------------------------------------------------------------------------------------------

    def next_due_ns(self) -> int | None:
        """When :meth:`advance` has something to do; None when nothing is planned."""
        times = [pit.engine.next_expiry_ns() for pit in self.pits.values()]
        return min((time_ns for time_ns in (*times, self._agenda.next_ns()) if time_ns is not None), default=None)

    def advance(self, now_ns: int) -> list[VenueEvent]:
        """Let everything up to ``now_ns`` happen; return what happened since the last call, in its order."""
        self._move_to(now_ns)
        events, self._events = self._events, []
        return events

    def block_of(self, now_ns: int) -> int:
        """The block height at a time."""
        return _FIRST_BLOCK + (now_ns - self._start_ns) // _BLOCK_NS

    def _move_to(self, now_ns: int) -> None:
        while (due_ns := self.next_due_ns()) is not None and due_ns <= now_ns:
            self.now_ns = max(self.now_ns, due_ns)
            for pit in self.pits.values():
                if pit.engine.next_expiry_ns() is not None:
                    self._report(pit.expire(due_ns))
            if self._agenda.next_ns() == due_ns:
                self._agenda.step()
        self.now_ns = max(self.now_ns, now_ns)

    def _report(self, events: list[VenueEvent]) -> None:
        """Keep events for the next :meth:`advance`, and what the venue remembers of them."""
        self._events += events
        for event in events:
            if isinstance(event, Traded):
                self.trades[event.market].append(event.trade)

    def _internal_hash(self, now_ns: int) -> str:
        """The synthetic hash of a trade without a client's transaction: sequence, time, zeros."""
        return f"{next(self._sequence):016x}{now_ns // NS_PER_MS:016x}".ljust(80, "0")


def _event_info(tx: Transaction, events: list[VenueEvent], error: str) -> str:
    """The short form of what a transaction did."""
    info: dict[str, object] = {"m": tx.body.get("MarketIndex", 255)}
    trades = [event.trade for event in events if isinstance(event, Traded)]
    orders = {event.order.order_index: event.order for event in events if isinstance(event, OrderChanged)}
    if trades:
        last = trades[-1]
        info["t"] = {"p": last.price, "s": last.size, "tf": last.taker.fee, "mf": last.maker.fee}
        info["mo"] = _short(orders.get(last.maker.order_index))
        info["to"] = _short(orders.get(last.taker.order_index))
    elif tx.type is TxType.CREATE_ORDER:
        info["to"] = _short(next(iter(orders.values()), None))
    return orjson.dumps({**info, "ae": error}).decode()


def _short(order: LighterOrder | None) -> dict[str, int]:
    if order is None:
        return {}
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
        "t0": 0,
        "t1": 0,
        "c0": 0,
    }


__all__ = ["LighterVenue", "Receipt", "VenueSettings"]
