"""LighterDealer: orders, cancels and queries for one Lighter account, with as little code as possible.

Names, arguments and defaults are those of the specification. Where the venue has moved on since it was written, the
venue's facts win, and docs/lighter.md lists each difference:

- Signing happens when a message leaves, not when an order is queued: a signature fixes the nonce and lives ten minutes.
- An IOC order has expiry 0; a resting one gets 28 days from the signer.
- A batch holds at most 50 transactions; longer queues go out as several. The venue gives one answer for a batch; when
  it refuses one, the batch is halved until only what it objects to is left out.
- What the SDK calls its high-level functions is signing followed by sendTx. Here that is one message of one
  transaction, because the SDK's own counter of nonces runs ahead after an error.
- Prices and sizes are converted exactly. One that is off the market's step, below its minimum or out of range raises
  UnfitOrder before anything is sent.
- An accepted transaction is only queued by the venue: its effect follows 0.2 to 0.3 s later, or never. Look at the
  account's orders, by client order index.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from stall_then_strike.infra.clock import Clock, SystemClock
from stall_then_strike.lighter.client import REST_BATCH, LighterClient
from stall_then_strike.lighter.dealer_config import DealerConfig
from stall_then_strike.lighter.instruments import LighterInstrumentLoader, cache_file
from stall_then_strike.lighter.limiter import PREMIUM, STANDARD, Limiter
from stall_then_strike.lighter.markets import Market, Markets, Number
from stall_then_strike.lighter.signing import order_forms
from stall_then_strike.lighter.signing.intents import (
    COI_MAX,
    CancelAll,
    CancelOrder,
    Intent,
    ModifyOrder,
    NewOrder,
    index_of,
)
from stall_then_strike.lighter.signing.key_line import Item, KeyLine, Status
from stall_then_strike.lighter.signing.own_orders import ClientIndexes, OwnOrders
from stall_then_strike.lighter.signing.sender import Sender
from stall_then_strike.lighter.signing.signer import Signer
from stall_then_strike.lighter.signing.tokens import Tokens
from stall_then_strike.lighter.ws import WS_BATCH, LighterWebSocketManager
from stall_then_strike.types.errors import BatchFailed, VenueError

_STANDARD_KEY: Final = "LighterDealer"


@dataclass(slots=True, eq=False)
class _Ticket:
    """An intent in the queue, and what became of it."""

    intent: Intent
    item: Item | None = None

    def told(self) -> dict[str, Any]:
        """The entry of this intent in an answer."""
        item, intent = self.item, self.intent
        told: dict[str, Any] = {"kind": type(intent).__name__, "status": "queued"}
        if isinstance(intent, NewOrder):
            told["client_order_index"] = intent.client_order_index
            told["market_index"] = intent.market_index
        elif not isinstance(intent, CancelAll):
            told["order_id"] = index_of(intent)
            told["market_index"] = intent.market_index
        if item is not None:
            told["status"] = str(item.status)
            if item.signed is not None:
                told["nonce"], told["tx_hash"] = item.signed.nonce, item.signed.tx_hash
            if item.error is not None:
                told["error"] = str(item.error)
                told["code"] = item.error.code if isinstance(item.error, VenueError) else None
        return told


class LighterDealer:
    """Trades one account on one market; cancels and queries reach all of them. Make it with ``create``.

    Calls raise ConfigError for wrong settings, UnfitOrder for orders that the market cannot take, BatchFailed when
    something that was sent is not accepted (its ``results`` tell what became of each), and other VenueErrors for
    questions. One event loop only.
    """

    def __init__(self, cfg: DealerConfig, logger: Any = None, *, clock: Clock | None = None) -> None:
        """Open nothing yet; needs a running event loop. Raises ConfigError."""
        self.cfg: Final = cfg
        self.log: Final = logger if logger is not None else logging.getLogger(_STANDARD_KEY)
        self._clock: Final = clock or SystemClock()
        keys = cfg.keys()
        self.signer: Final = Signer(cfg.base_url, cfg.account_index, keys)
        first = next(iter(keys))
        self.tokens: Final = Tokens(self.signer, first, self._clock)
        self.limiter: Final = Limiter(
            self._clock,
            STANDARD if cfg.standard_account else PREMIUM,
            per_minute=cfg.ip_weight_per_minute,
            jitter_ms=cfg.jitter_ms,
        )
        self.calls: Final = LighterClient(
            self.signer.client.api_client, cfg.account_index, self.limiter, self.tokens, self._clock
        )
        self.orders: Final = OwnOrders()
        self._sender = Sender([self._line(key) for key in keys], self.orders)
        self._client_indexes = ClientIndexes(self._clock)
        self.markets = Markets()
        self._market: Market | None = None
        self._is_immediate: Final = cfg.prefer_high_level or not cfg.use_websocket
        self._queue: list[_Ticket] = []
        self._flushing = asyncio.Lock()
        self._blocks = 0
        """How many ``batch`` blocks are open."""
        self._is_closed = False

    def _line(self, key: int) -> KeyLine:
        return KeyLine(
            key,
            self.signer,
            self.calls.send,
            self.calls,
            self._clock,
            batch_limit=REST_BATCH,
            on_trouble=lambda line: self.log.warning("%s", line),
        )

    # --- Life --------------------------------------------------------------------------------------------------------

    @classmethod
    async def create(cls, cfg: DealerConfig, logger: Any = None) -> LighterDealer:
        """A dealer that knows its market's scales. Asks the venue for its markets unless a fresh list is cached."""
        dealer = cls(cfg, logger)
        try:
            await dealer.refresh_markets(cache_file(cfg.base_url))
        except BaseException:
            await dealer.signer.aclose()
            raise
        return dealer

    @classmethod
    async def from_config(cls, path: str = "config.json", symbol: str = "ETH", logger: Any = None) -> LighterDealer:
        """A dealer from a JSON file. ``symbol`` is for a file that names no market."""
        return await cls.create(DealerConfig.from_file(Path(path), symbol), logger)

    async def aclose(self) -> None:
        """Send what waits in the queue, and close. A second call does nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            if self._queue:
                await self.flush()
        finally:
            await self.signer.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._drop()  # whoever failed half-way has not decided to trade
        await self.aclose()

    async def refresh_markets(self, cache: Path | None = None) -> Markets:
        """Read the venue's markets, or the cache if it is fresh, and find the configured one. Raises ConfigError."""
        loader = LighterInstrumentLoader(
            self.cfg.base_url,
            cache=cache,
            clock=self._clock,
            ask=self.calls.order_books,
            on_trouble=lambda line: self.log.warning("%s", line),
            markets=self.markets,
        )
        self.markets = await loader.load(lambda markets: self._configured(markets) is not None)
        self._choose()
        return self.markets

    def _configured(self, markets: Markets) -> Market | None:
        cfg = self.cfg
        return markets.find(cfg.symbol) if cfg.symbol is not None else markets.at(cfg.market_index or 0)

    def _choose(self) -> None:
        """Set the market of this dealer. Raises ConfigError."""
        cfg, markets = self.cfg, self.markets
        market = markets.named(cfg.symbol) if cfg.symbol is not None else markets.indexed(cfg.market_index or 0)
        cfg.require_scales(market)
        self._market = market
        cfg.market_index = market.market_index

    @property
    def market(self) -> Market:
        """The market that orders go to."""
        if self._market is None:
            raise RuntimeError("the market is not known yet: use LighterDealer.create")
        return self._market

    @property
    def queued(self) -> int:
        """How many transactions wait for a flush."""
        return len(self._queue)

    # --- Queries -----------------------------------------------------------------------------------------------------

    async def fetch_order(self, order_id: str | int) -> dict[str, Any]:
        """Find an order by client order index or order index: open ones, then ended ones, then the public book.

        Empty if there is none.
        """
        index = order_forms.index_from(order_id)
        found = _of_index(await self.fetch_open_orders(self._market_of(index)), index)
        if not found and index <= COI_MAX:
            found = _of_index(await self.calls.orders_of([index]), index)
        if not found:
            found = _of_index(await self.calls.inactive_orders(), index)
        if not found and index > COI_MAX:
            book = await self.calls.book_orders(self._market_of(index), 250)
            found = _of_index([*(book.get("asks") or []), *(book.get("bids") or [])], index)
        return found

    async def fetch_open_orders(self, market_index: int | None = None) -> list[dict[str, Any]]:
        """Open orders of a market (default: the dealer's own; 255: all).

        Renews the map of client order index to order index.
        """
        market = self.market.market_index if market_index is None else market_index
        listed = await self.calls.active_orders(market)
        self.orders.on_listed(listed)
        return listed

    async def fetch_my_balance(self) -> dict[str, Any] | str:
        """Collateral, and what of it is available, in USDC."""
        account = await self.calls.account()
        names = ("collateral", "available_balance", "total_asset_value", "cross_asset_value")
        return {name: Decimal(account[name]) for name in names if account.get(name)}

    async def fetch_my_position(self, symbol: str | None = None) -> dict[str, Any] | Decimal | None:
        """The signed size in a market, zero if flat; without a symbol, the positions of all markets by symbol."""
        rows = (await self.calls.account()).get("positions") or []
        if symbol is not None:
            wanted = self.markets.named(symbol).market_index
            return next((_signed(row) for row in rows if row.get("market_id") == wanted), Decimal(0))
        return {
            str(row.get("symbol") or row["market_id"]): {**row, "size": size} for row in rows if (size := _signed(row))
        }

    async def get_next_nonce(self, api_key_index: int | None = None) -> int:
        """The nonce that the venue expects next from a key, by default the first. It may lag just after a send."""
        return await self.calls.next_nonce(next(iter(self.cfg.keys())) if api_key_index is None else api_key_index)

    # --- Orders ------------------------------------------------------------------------------------------------------

    async def create_limit_order(
        self,
        price: Number,
        size: Number,
        *,
        nonce_override: int | None = None,
        post_only: bool = False,
        reduce_only: bool = False,
    ) -> dict[str, Any]:
        """Queue, or send at once, a limit order that rests for 28 days. ``size`` above zero buys, below zero sells.

        The answer has ``client_order_index`` and ``status`` (queued or accepted). With ``nonce_override`` it goes out
        alone under that nonce.
        """
        coi = self._client_indexes.new()
        order = order_forms.limit_order(
            self.market, coi, price, size, post_only=post_only, reduce_only=reduce_only, nonce=nonce_override
        )
        return await self._submit(order)

    async def create_market_order(
        self, size: Number, avg_execution_price: Number | None = None, *, reduce_only: bool = False
    ) -> dict[str, Any]:
        """Buy or sell now (IOC). Goes out at once with all that is queued, except within a ``batch`` block.

        ``avg_execution_price`` bounds the average price. By default that is 5 % beyond the best opposite price: the
        venue may refuse an extreme one (codes 21733, 21734).
        """
        market = self.market
        bound = avg_execution_price
        if bound is None:
            book = await self.calls.book_orders(market.market_index, 1)
            bound = order_forms.market_bound(market, book, size)
        coi = self._client_indexes.new()
        order = order_forms.market_order(market, coi, size, bound, reduce_only=reduce_only)
        return await self._submit(order, is_urgent=True)

    async def cancel_order(self, order_id: str | int) -> dict[str, Any]:
        """Cancel by client order index or order index. The venue accepts a cancel of an unknown order in silence.

        With ``prefer_high_level`` it is sent at once; if that fails, it is queued for the next flush.
        """
        cancel = self._cancel_of(order_id)
        try:
            return await self._submit(cancel)
        except BatchFailed as error:
            if not self.cfg.prefer_high_level:
                raise
            self.log.warning("%s; queued for the next flush", error)
            return await self._enqueue(_Ticket(cancel))

    async def cancel_all_orders(self) -> dict[str, Any]:
        """Cancel all orders of all markets. Goes out at once after all that is queued, except within ``batch``."""
        return await self._submit(CancelAll(), is_urgent=True)

    async def update_order(
        self, order_id: str | int, price: Number | None, quantity: Number | None, trigger_price: Number | None = None
    ) -> dict[str, Any]:
        """Change price, total size (the filled part included) or trigger price. The order loses its time priority.

        What is None stays as it is, as far as the order is known or listed. Raises UnfitOrder.
        """
        index = order_forms.index_from(order_id)
        market = self.markets.indexed(self._market_of(index))
        known = self.orders.find(index)
        if (price is None or quantity is None) and (known is None or known.price is None or known.base_amount is None):
            await self.fetch_open_orders(market.market_index)
            known = self.orders.find(index)
        modify = order_forms.modification(
            market, index, known, price=price, quantity=quantity, trigger_price=trigger_price
        )
        return await self._submit(modify)

    def _market_of(self, index: int) -> int:
        return self.orders.market(index, self.market.market_index)

    def _cancel_of(self, order_id: str | int) -> CancelOrder:
        index = order_forms.index_from(order_id)
        return CancelOrder(market_index=self._market_of(index), index=index)

    # --- Sending -----------------------------------------------------------------------------------------------------

    async def flush(self) -> dict[str, Any]:
        """Send the queue, in batches of at most 50. Raises BatchFailed if anything was not accepted."""
        async with self._flushing:
            tickets, self._queue = self._queue, []
            return await self._send(tickets)

    @asynccontextmanager
    async def batch(self, *, auto_flush: bool = True) -> AsyncIterator[Self]:
        """Hold back all automatic flushes within the block; flush once at its end unless ``auto_flush`` is False.

        If the block fails, what it queued is dropped.
        """
        before = tuple(self._queue)
        self._blocks += 1
        try:
            yield self
        except BaseException:
            self._drop(before)
            raise
        finally:
            self._blocks -= 1
        if auto_flush and self._blocks == 0:
            await self.flush()

    async def batch_cancel_and_create(
        self,
        *,
        cancel_order_indices: Sequence[int | str] | None = None,
        cancel_client_order_indices: Sequence[int | str] | None = None,
        new_limit_orders: Sequence[tuple[Number, Number]] | None = None,
        fetch_if_unresolved: bool = True,
    ) -> dict[str, Any]:
        """Cancel several and place several limit orders in one batch, after all that is queued.

        Client order indexes are resolved to order indexes, after fetching the open orders if need be; one that stays
        unresolved is cancelled by its client order index, which the venue accepts too. New orders are pairs of price
        and signed size.
        """
        own = [order_forms.index_from(index) for index in cancel_client_order_indices or ()]
        if fetch_if_unresolved and any(self.orders.order_index(coi) is None for coi in own):
            await self.fetch_open_orders()
        indexes = [*(cancel_order_indices or ()), *(self.orders.order_index(coi) or coi for coi in own)]
        cancels = [_Ticket(self._cancel_of(index)) for index in indexes]
        creates = [
            self._ticket(order_forms.limit_order(self.market, self._client_indexes.new(), price, size))
            for price, size in new_limit_orders or ()
        ]
        self._queue += [*cancels, *creates]
        flushed = await self.flush() if self._blocks == 0 else {}
        return {
            "cancels": [ticket.told() for ticket in cancels],
            "creates": [ticket.told() for ticket in creates],
            "flushed": flushed,
        }

    async def send_over(self, socket: LighterWebSocketManager | None) -> None:
        """Send transactions over this socket, at most 15 in a message, or with None over REST again.

        Not part of the specification, whose batches always go over REST.
        """
        if socket is None:
            await self._sender.route(self.calls.send, REST_BATCH)
        else:
            await self._sender.route(socket.send_signed, WS_BATCH)

    async def _submit(self, intent: Intent, *, is_urgent: bool = False) -> dict[str, Any]:
        """Send at once, or queue and flush when it is time. Returns what became of the intent."""
        ticket = self._ticket(intent)
        if self._is_immediate:
            await self._send([ticket])
            return ticket.told()
        return await self._enqueue(ticket, is_urgent=is_urgent)

    def _ticket(self, intent: Intent) -> _Ticket:
        if isinstance(intent, NewOrder | ModifyOrder):
            self.orders.on_planned(intent)
        return _Ticket(intent)

    async def _enqueue(self, ticket: _Ticket, *, is_urgent: bool = False) -> dict[str, Any]:
        if self._is_closed:
            raise RuntimeError("the dealer is closed")
        self._queue.append(ticket)
        if self._blocks == 0 and (is_urgent or len(self._queue) >= self.cfg.max_ws_batch):
            await self.flush()
        return ticket.told()

    async def _send(self, tickets: Sequence[_Ticket]) -> dict[str, Any]:
        """Send, note what became of each, and return the answer. Raises BatchFailed."""
        if tickets:
            items = await self._sender.send([ticket.intent for ticket in tickets])
            for ticket, item in zip(tickets, items, strict=True):
                ticket.item = item
        results = tuple(ticket.told() for ticket in tickets)
        failed = [result for result in results if result["status"] != str(Status.ACCEPTED)]
        if failed:
            texts = "; ".join(sorted({str(result.get("error")) for result in failed}))
            failure = BatchFailed("flush", f"{len(failed)} of {len(results)} not accepted: {texts}", results=results)
            raise failure from next((t.item.error for t in tickets if t.item and t.item.error), None)
        self.log.debug("%d transactions accepted", len(results))
        return {"code": 200, "accepted": len(results), "tx_hash": [r["tx_hash"] for r in results], "results": results}

    def _drop(self, before: Sequence[_Ticket] = ()) -> None:
        """Forget what is queued and was not before."""
        known = set(before)
        left = [ticket for ticket in self._queue if ticket in known]
        if dropped := len(self._queue) - len(left):
            self.log.warning("%d queued transactions dropped after an error", dropped)
            self._queue = left


def _of_index(orders: Sequence[Mapping[str, Any]], index: int) -> dict[str, Any]:
    """The order that has this number as either of its indexes; empty if there is none."""
    key = "client_order_index" if index <= COI_MAX else "order_index"
    return next((dict(order) for order in orders if order.get(key) == index), {})


def _signed(row: Mapping[str, Any]) -> Decimal:
    """Size of a position, negative if short. The venue gives an unsigned text and a sign."""
    return Decimal(str(row.get("position") or 0)) * (-1 if row.get("sign") == -1 else 1)
