"""The venue: accounts, markets, and transactions on their way from acceptance to effect. Pure.

It reads no clock: each call is given the time. :meth:`LighterVenue.submit` checks a transaction and answers;
:meth:`LighterVenue.advance` lets what is due have its effect and returns what happened. Everything follows from the
seed and the calls.

Venue facts: a transaction has its effect 0.2 to 0.3 s after its acceptance (measured by clients); those of one key
keep their order (likely). A cancel or modify of an unknown order, and an order whose client index is taken when its
turn comes, end without a word but in the transaction's record.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Final, NamedTuple

from stall_then_strike.sim.lighter.admission import MOST_IN_BATCH, Admission, as_account, check_token, invalid_auth
from stall_then_strike.sim.lighter.call_limits import TOO_MANY_REQUESTS, CallLimits
from stall_then_strike.sim.lighter.clearing.accounts import Account, ApiKey
from stall_then_strike.sim.lighter.clearing.contracts import MARKETS, MICRO, LighterMarket, Plan
from stall_then_strike.sim.lighter.clearing.records import (
    MARKET_STRIDE,
    Grouping,
    InForce,
    LighterOrder,
    LighterTrade,
    OrderTerms,
    OrderType,
    TxRecord,
    TxStatus,
)
from stall_then_strike.sim.lighter.clearing.trading_floor import TradingFloor
from stall_then_strike.sim.lighter.crypto.ecgfp5 import ORDER
from stall_then_strike.sim.lighter.crypto.schnorr import public_key, token_hash, verify
from stall_then_strike.sim.lighter.forms import Json, event_info, order_form, trade_form
from stall_then_strike.sim.lighter.transactions import Attribute, Refusal, Transaction, TxType, decode
from stall_then_strike.sim.lighter.venue_events import TxDone, VenueEvent
from stall_then_strike.types.dto import NS_PER_MS, NS_PER_S

OK: Final = 200
QUOTA_START: Final = 1_000
QUOTA_QUOTE: Final = 5 * MICRO
"""Trading so much earns one transaction; the venue's own number moves between 3 and 10 USD."""
FREE_EVERY_NS: Final = 15 * NS_PER_S
_FREE: Final = frozenset({TxType.CANCEL_ORDER, TxType.UPDATE_LEVERAGE})
CHAIN_ID: Final = 304
NO_MARKET: Final = 255
_SENDER: Final = re.compile(r'"AccountIndex\\?":\s*(\d{1,16})\b')
_TXS_KEPT: Final = 20_000
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
    limits_calls: bool = True
    """Whether the limits per minute are enforced."""
    has_volume_quota: bool = False
    """Whether premium accounts pay for orders, modifies and cancel-alls from a quota that trading refills."""


class Receipt(NamedTuple):
    """The answer to a transaction or a batch. ``code`` is 200 or the code of the refusal."""

    code: int
    message: str
    tx_hashes: tuple[str, ...] = ()
    due_ns: int = 0
    """When the last of them has its effect."""
    quota: int | None = None
    """What is left of the volume quota; None for an account without one."""
    http_status: int = 400
    """Of a refusal over REST."""

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
        self.floor = TradingFloor(markets, start_ns)
        self.accounts = self.floor.accounts
        self.pits = self.floor.pits
        self.trades = self.floor.trades
        self.limits = CallLimits(self.settings.plan, is_on=self.settings.limits_calls)
        self._random = Random(seed)
        self.txs: dict[str, TxRecord] = {}
        """Transactions by hash, oldest first."""
        self._queued: dict[int, set[int]] = {}
        self._last_due: dict[tuple[int, int], int] = {}
        self._tokens: dict[str, int] = {}
        self.mishap: Callable[[Transaction], bool] | None = None
        """A fault: whether an accepted transaction silently has no effect."""
        self.signing_ns: Callable[[], int] | None = None
        """The clock by which the SDK's signer ends transactions, where time here runs faster; None: it is the same."""
        self.clients_ns: Callable[[], int] | None = None
        """The clock by which clients state the times of tokens, orders and a scheduled cancel-all, likewise."""
        self.refusal: Callable[[], Refusal | None] | None = None
        """A fault: how a transaction or batch is refused, whatever is in it; None when it is not."""

    # --- accounts -------------------------------------------------------------------------------------------------

    def add_account(
        self, micro: int = 0, *, index: int | None = None, l1_address: str | None = None, plan: Plan | None = None
    ) -> Account:
        """Open an account with ``micro`` micro-USDC. Raises ValueError for an index that is taken."""
        taken = self.accounts.by_index
        index = max((other for other in taken if other < 2**47), default=100_000) + 1 if index is None else index
        address = f"0x{self._random.getrandbits(160):040x}" if l1_address is None else l1_address
        account = self.accounts.new_account(index, address, self.settings.plan if plan is None else plan)
        self.accounts.deposit(account, micro)
        return account

    def add_key(self, account: Account, api_key_index: int) -> bytes:
        """Register a throw-away key; return its private key, 40 bytes. Raises ValueError for a bad or taken index."""
        if not 0 <= api_key_index < 255 or api_key_index in account.keys:
            raise ValueError(f"account {account.index}: key index {api_key_index} is taken or not between 0 and 254")
        private = self._random.randrange(1, ORDER).to_bytes(40, "little")
        account.keys[api_key_index] = ApiKey(public_key(private), changed_ns=self.floor.now_ns)
        return private

    def account(self, index: int) -> Account:
        """An account. Raises Refusal (21100)."""
        return as_account(self.accounts, index)

    def sender(self, info: str) -> Account | None:
        """The account that a transaction, or the first of a batch's JSON list, says it comes from."""
        found = _SENDER.search(info)
        return None if found is None else self.accounts.by_index.get(int(found.group(1)))

    def next_nonce(self, index: int, api_key_index: int) -> int:
        """What the key's next transaction must carry. Raises Refusal (21100, 21109)."""
        key = self.account(index).keys.get(api_key_index)
        if key is None:
            raise Refusal(21109, "api key not found")
        return key.nonce

    def authenticate(self, token: str, now_ns: int) -> int:
        """The account that a token speaks for. Raises Refusal (20013)."""
        their_ns = now_ns if self.clients_ns is None else self.clients_ns()
        index, key_index, text, signature = check_token(self.accounts, token, their_ns)
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
        self.floor.move_to(now_ns)
        try:
            if self.refusal is not None and (refusal := self.refusal()) is not None:
                raise refusal
            txs = [self._decode(tx_type, info, now_ns) for tx_type, info in given]
            admission = Admission(self.accounts, self._queued, now_ns)
            admission.check_batch(txs, verifies=self.settings.verifies_orders, is_protected=is_protected)
            message, quota = self._pay_quota(self.accounts.by_index[txs[0].account], txs, now_ns)
        except Refusal as refused:
            return Receipt(refused.code, refused.message, http_status=refused.http_status)
        due_ns = 0
        for tx in txs:
            due_ns = self._accept(tx, now_ns)
        return Receipt(OK, message, tuple(tx.hash.hex() for tx in txs), due_ns, quota)

    def _decode(self, tx_type: int, info: str, now_ns: int) -> Transaction:
        """Read a transaction; its times are as far off in this venue's time as they are by the client's clocks."""
        tx = decode(tx_type, info, self.settings.chain_id)
        if self.clients_ns is not None:
            tx = tx.moved((now_ns - self.clients_ns()) // NS_PER_MS)
        if self.signing_ns is None:
            return tx
        return replace(tx, expired_at_ms=tx.expired_at_ms + (now_ns - self.signing_ns()) // NS_PER_MS)

    def _pay_quota(self, account: Account, txs: Sequence[Transaction], now_ns: int) -> tuple[str, int | None]:
        """Take the cost of transactions from the volume quota; return the answer's message and what is left."""
        if not self.settings.has_volume_quota or account.plan is Plan.STANDARD:
            return _message("didn't use volume quota"), None
        cost = sum(tx.type not in _FREE for tx in txs)
        left = QUOTA_START + account.volume.quote // QUOTA_QUOTE - account.quota_used
        if cost == 0 or (cost == 1 and now_ns >= account.free_after_ns):
            account.free_after_ns = now_ns + FREE_EVERY_NS if cost else account.free_after_ns
            return _message("didn't use volume quota"), left
        if cost > left:
            raise Refusal(TOO_MANY_REQUESTS, "Too Many Requests! volume quota is used up", 429)
        account.quota_used += cost
        return _message(f"{left - cost} volume quota remaining."), left - cost

    def _accept(self, tx: Transaction, now_ns: int) -> int:
        """Consume the nonce and plan the effect; return its time."""
        self.accounts.by_index[tx.account].keys[tx.api_key_index].nonce = tx.nonce + 1
        self._queued.setdefault(tx.account, set()).update(tx.client_indices)
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
            sequence_index=next(self.floor.sequence),
        )
        self.txs[record.hash] = record
        if len(self.txs) > _TXS_KEPT:
            del self.txs[next(iter(self.txs))]
        self.floor.agenda.at(due_ns, lambda time_ns: self._carry_out(tx, record, time_ns))
        return due_ns

    def _carry_out(self, tx: Transaction, record: TxRecord, now_ns: int) -> None:
        """Let a transaction have its effect."""
        self._queued[tx.account].difference_update(tx.client_indices)
        first = len(self.floor.events)
        error = "transaction expired" if tx.expired_at_ms * NS_PER_MS <= now_ns else ""
        if not error and (self.mishap is None or not self.mishap(tx)):
            error = self._effect(tx, now_ns, record.hash)
        done = replace(
            record,
            status=TxStatus.FAILED if error else TxStatus.EXECUTED,
            executed_ns=now_ns,
            block_height=self.floor.block_of(now_ns),
            event_info=event_info(tx.body.get("MarketIndex", NO_MARKET), self.floor.events[first:], error),
        )
        if record.hash in self.txs:
            self.txs[record.hash] = done
        self.floor.report([TxDone(tx.account, done)])

    def _effect(self, tx: Transaction, now_ns: int, tx_hash: str) -> str:
        """Do what the transaction says; return why it cannot be done, or nothing."""
        account, body = self.accounts.by_index[tx.account], tx.body
        match tx.type:
            case TxType.CREATE_ORDER | TxType.CREATE_GROUPED_ORDERS:
                return self._create(account, tx, now_ns, tx_hash)
            case TxType.CANCEL_ORDER:
                order = self.floor.find(account, body["MarketIndex"], body["Index"])
                if order is None:
                    return "order not found"
                self.floor.cancel(order, now_ns)
            case TxType.MODIFY_ORDER:
                return self._modify(account, tx, now_ns, tx_hash)
            case TxType.CANCEL_ALL_ORDERS if body["TimeInForce"] == 0:
                self.floor.clear(account, now_ns, tx.attributes.get(Attribute.CANCEL_ALL_MARKET))
            case TxType.CANCEL_ALL_ORDERS:
                self.floor.set_switch(account, body["Time"])
            case TxType.UPDATE_LEVERAGE:
                self.floor.set_leverage(account, body["MarketIndex"], body["InitialMarginFraction"])
        return ""

    def _create(self, account: Account, tx: Transaction, now_ns: int, tx_hash: str) -> str:
        if any(index in account.client_indices for index in tx.client_indices):
            return "client order index already exists"
        if any(0 < order["OrderExpiry"] * NS_PER_MS <= now_ns for order in tx.new_orders):
            return "order expired"
        terms = [
            OrderTerms(
                market=order["MarketIndex"],
                is_ask=bool(order["IsAsk"]),
                size=order["BaseAmount"],
                price=order["Price"],
                type=OrderType(order["Type"]),
                in_force=InForce(order["TimeInForce"]),
                client_index=order["ClientOrderIndex"],
                is_reduce_only=bool(order["ReduceOnly"]),
                trigger_price=order["TriggerPrice"],
                expiry_ms=order["OrderExpiry"],
                self_trade_mode=tx.attributes.get(Attribute.SELF_TRADE_MODE, 0),
                is_self_by_master=tx.attributes.get(Attribute.SELF_TRADE_EQUALITY) == 1,
            )
            for order in tx.new_orders
        ]
        if tx.type is TxType.CREATE_ORDER:
            self.floor.place(account, terms[0], now_ns, tx_hash)
        else:
            self.floor.place_group(account, Grouping(tx.body["GroupingType"]), terms, now_ns, tx_hash)
        return ""

    def _modify(self, account: Account, tx: Transaction, now_ns: int, tx_hash: str) -> str:
        body = tx.body
        order = self.floor.find(account, body["MarketIndex"], body["Index"])
        if order is None:
            return "order not found"
        if not order.type.has_trigger and (body["TriggerPrice"] or not body["BaseAmount"]):
            return "invalid modify of a plain order"
        terms = replace(order, version=tx.attributes.get(Attribute.ORDER_VERSION, order.version))
        self.floor.modify(terms, body["BaseAmount"], body["Price"], body["TriggerPrice"], now_ns, tx_hash)
        return ""

    # --- without a signature --------------------------------------------------------------------------------------

    def place(self, account: int, terms: OrderTerms, now_ns: int) -> int:
        """Place an order at once, as the crowd that makes the market does; return its index."""
        self.floor.move_to(now_ns)
        return self.floor.place(self.accounts.by_index[account], terms, now_ns)

    def cancel(self, order_index: int, now_ns: int) -> bool:
        """Cancel an order at once; return whether it was live."""
        self.floor.move_to(now_ns)
        order = self.pits[order_index // MARKET_STRIDE - 1].live.get(order_index)
        if order is None:
            return False
        self.floor.cancel(order, now_ns)
        return True

    def set_prices(self, market: int, index: int, now_ns: int, mark: int | None = None) -> None:
        """Set a market's index price and mark price, which is the same if not given."""
        self.floor.move_to(now_ns)
        self.floor.set_prices(market, index, index if mark is None else mark, now_ns)

    def order_forms(self, orders: Iterable[LighterOrder]) -> list[Json]:
        """Orders as lists and streams show them."""
        markets, block_of = self.accounts.markets, self.floor.block_of
        return [order_form(order, markets[order.market], block_of(order.updated_ns)) for order in orders]

    def trade_forms(self, trades: Iterable[LighterTrade]) -> list[Json]:
        """Trades as lists and streams show them."""
        return [trade_form(trade, self.accounts.markets[trade.market]) for trade in trades]

    # --- time -----------------------------------------------------------------------------------------------------

    @property
    def now_ns(self) -> int:
        """The time up to which everything has happened."""
        return self.floor.now_ns

    def advance(self, now_ns: int) -> list[VenueEvent]:
        """Let everything up to ``now_ns`` happen; return what happened since the last call, in its order."""
        self.floor.move_to(now_ns)
        events, self.floor.events = self.floor.events, []
        return events


def _message(text: str) -> str:
    return json.dumps({"ratelimit": text})
