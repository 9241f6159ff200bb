"""Decodes bitFlyer's public realtime channels: one text frame in, at most one event out.

The feed parses, checks and routes frames, applies board messages to the board and has the view update the book's
status. It knows no socket, no clock and no task: a recorded tape takes the same path as the live stream. Messages of
the private channel are passed on unread; `private_feed.py` reads them.

The wire is not trusted. A frame that breaks its channel's format is counted by kind and logged now and then; nothing is
raised. If it was a board message, the book misses its changes: the levels stay as they were, and the book is SUSPECT
until a later message agrees with it. An unreadable execution does not affect the others of its message.

Venue facts (bitFlyer API documentation, realtime API; the rest measured): data comes as JSON-RPC notifications
``channelMessage``; requests with an id are answered with that id; execution ids of one product rise by one, and
``side`` is empty in an auction; the ticker carries the state of the board; missed messages are not sent again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from math import floor
from typing import Any, Final

import msgspec
import orjson

from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.bitflyer.store import DELTA_PREFIX, SNAPSHOT_PREFIX, Board, BoardMessage
from stall_then_strike.infra.bitflyer.wire_name import order_name
from stall_then_strike.infra.levels import BoardError
from stall_then_strike.infra.line.refusals import SHOWN_CHARS, Absences, Refusals, in_words
from stall_then_strike.infra.market_source import FeedStatistics, MarketEvent, OfRecordings, Refusal, RefusedFrame
from stall_then_strike.infra.orderbook_view import OrderBookView
from stall_then_strike.types.dto import (
    NO_ORDER,
    BoardSnapshot,
    BoardState,
    ExecId,
    OrderId,
    PublicTrade,
    PublicTrades,
    Side,
    VenueStatus,
)
from stall_then_strike.types.instrument import Lots, Ticks

EXECUTIONS_PREFIX: Final = "lightning_executions_"
TICKER_PREFIX: Final = "lightning_ticker_"
EVENTS_CHANNEL: Final = "child_order_events"
"""The private channel. Its frames are refused unless the feed was given ``on_private``."""

REMEMBERED_EXECUTIONS: Final = 4_096
"""How many of the latest execution ids are kept to detect duplicates."""

_BEGINNING: Final = '{"jsonrpc":"2.0","method":"channelMessage","params":{"channel":'
"""How the venue begins each notification."""
_HEAD_CHARS: Final = 200
"""How much of an unparsable frame is searched for its channel."""

MAX_TRADES: Final = 10_000
"""Most executions in one message; a longer one is refused. The most seen is 16."""

_UNREAD: Final = frozenset({Refusal.TOO_LONG, Refusal.NOT_JSON, Refusal.BATCH, Refusal.BAD_PARAMS})
"""Refused frames whose channel can only be found by searching their beginning."""


class _BoardParams(msgspec.Struct, gc=False):
    message: BoardMessage


class _BoardFrame(msgspec.Struct, gc=False):
    params: _BoardParams


_board_frame: Final = msgspec.json.Decoder(_BoardFrame).decode


class MarketFeed(OfRecordings):
    """Decoder of the public channels of one product."""

    def __init__(
        self,
        cfg: AppConfig,
        board: Board | None = None,
        on_private: Callable[[Any, int], None] | None = None,
        *,
        is_quiet: bool = False,
        is_recorded: bool = False,
    ) -> None:
        """Feed ``board``, or a new one if None.

        ``on_private`` gets the message of each private frame with its receive stamp; without it such frames are refused
        as frames of an unknown channel. ``is_quiet``: refused frames are counted but not logged. ``is_recorded``: the
        frames come from a tape, so answers to any request are accepted: the recorder sent those requests.
        """
        instrument = cfg.exchange.instrument()
        product = instrument.product_code
        self.board: Final = Board(instrument) if board is None else board
        self.view: Final = OrderBookView(self.board, instrument)
        self.board_channel: Final = DELTA_PREFIX + product
        self.snapshot_channel: Final = SNAPSHOT_PREFIX + product
        self.executions_channel: Final = EXECUTIONS_PREFIX + product
        self.ticker_channel: Final = TICKER_PREFIX + product
        self.heard_ns: Final[dict[str, int]] = {}
        """Receive stamp of the last valid message of each channel."""
        self.replies: Final[dict[int, str | None]] = {}
        """Answers to the requests announced by ``expect_replies``, by id: None for success, or the venue's error."""

        self.product: Final = product
        self._on_private = on_private
        self._max_frame_bytes = cfg.ws.max_frame_bytes
        self._ticks_per_one = float(instrument.ticks_per_one)
        self._lots_per_one = float(instrument.lots_per_one)
        self._has_snapshot = False
        self._awaited: frozenset[int] = frozenset()
        self._is_recorded = is_recorded
        self._last_exec_id = 0
        self._recent_ids: set[int] = set()
        self._recent_order: deque[int] = deque()

        self._board_snapshots = 0
        self._board_deltas = 0
        self._deltas_before_snapshot = 0
        self._executions = 0
        self._replies = 0
        self._execution_gaps = 0
        self._executions_missing = 0
        self._refusals = Refusals("frame(s)", is_quiet=is_quiet)
        self._absent = Absences(is_quiet=is_quiet)
        # How the venue begins a change of the board. One that begins otherwise takes more time, and is read as well.
        self._delta_text: Any = f'{_BEGINNING}"{self.board_channel}",'
        self._delta_bytes: Any = self._delta_text.encode()
        self._board_names = tuple(f'"{name}"'.encode() for name in (self.board_channel, self.snapshot_channel))

    @property
    def channels(self) -> tuple[str, ...]:
        """The public channels, in the order in which to subscribe them."""
        return (self.snapshot_channel, self.board_channel, self.executions_channel, self.ticker_channel)

    @property
    def frame_names(self) -> tuple[str, ...]:
        """The texts by which this product's frames are told from others'."""
        return self.channels

    # --- Connection --------------------------------------------------------------------------------------------------

    def on_connect(self) -> None:
        """A new connection begins: its deltas are ignored until its first snapshot."""
        self._has_snapshot = False
        self._last_exec_id = 0
        self.heard_ns.clear()

    def on_disconnect(self, now_ns: int) -> BoardSnapshot:
        """The connection is lost: the book is UNKNOWN. Returns a snapshot with that status."""
        self._has_snapshot = False
        self.view.on_disconnect(now_ns)
        return self.view.snapshot(now_ns)

    def expect_replies(self, ids: Iterable[int]) -> None:
        """Requests with these ids are being sent on a new connection; earlier answers are forgotten."""
        self._awaited = frozenset(ids)
        self.replies.clear()

    # --- Frames ------------------------------------------------------------------------------------------------------

    def on_text(self, text: str | bytes, recv_ns: int) -> MarketEvent | None:
        """Take one text frame as received."""
        try:
            if len(text) > self._max_frame_bytes:
                raise RefusedFrame(Refusal.TOO_LONG, f"{len(text)} bytes")
            if text.startswith(self._delta_text if text.__class__ is str else self._delta_bytes):
                try:
                    delta = _board_frame(text).params.message
                except (ValueError, RecursionError):
                    pass  # what is wrong is found below
                else:
                    return self._on_delta(delta, recv_ns)
            try:
                message = orjson.loads(text)
            except ValueError as error:
                raise RefusedFrame(Refusal.NOT_JSON, str(error)) from None
            return self._take(message, recv_ns)
        except RefusedFrame as refused:
            is_of_book = refused.kind is Refusal.BAD_BOARD or (
                refused.kind in _UNREAD and self._names_board(text[:_HEAD_CHARS])
            )
            return self._refuse(refused, text[:SHOWN_CHARS], recv_ns, is_of_book=is_of_book)

    def on_message(self, message: Any, recv_ns: int) -> MarketEvent | None:
        """Take one message that is already parsed, such as a line of a tape."""
        try:
            return self._take(message, recv_ns)
        except RefusedFrame as refused:
            return self._refuse(refused, "", recv_ns, is_of_book=refused.kind is Refusal.BAD_BOARD)

    def _names_board(self, head: str | bytes) -> bool:
        """Whether the beginning of an unreadable frame names a board channel."""
        raw = head.encode(errors="replace") if isinstance(head, str) else head
        return any(name in raw for name in self._board_names)

    def _refuse(
        self, refused: RefusedFrame, shown: str | bytes, recv_ns: int, *, is_of_book: bool
    ) -> BoardSnapshot | None:
        """Count a refused frame. If it was a board message, the book becomes SUSPECT: it misses the frame's changes."""
        self._refusals.add(refused.kind, refused.why, shown, recv_ns)
        if not is_of_book or not self._has_snapshot:
            return None
        self.view.doubt()
        return self.view.snapshot(recv_ns)

    def on_binary(self, data: bytes, recv_ns: int) -> None:
        """Count a binary frame as refused; the venue sends none."""
        self._refusals.add(Refusal.BINARY, f"{len(data)} bytes", data[:SHOWN_CHARS], recv_ns)

    def statistics(self) -> FeedStatistics:
        """Counts so far."""
        return FeedStatistics(
            board_snapshots=self._board_snapshots,
            board_deltas=self._board_deltas,
            deltas_before_snapshot=self._deltas_before_snapshot,
            executions=self._executions,
            replies=self._replies,
            mid_checked=self.view.checked,
            mid_agreed=self.view.agreed,
            execution_gaps=self._execution_gaps,
            executions_missing=self._executions_missing,
            refused=self._refusals.counts(),
        )

    # --- Channels ----------------------------------------------------------------------------------------------------

    def _take(self, message: Any, recv_ns: int) -> MarketEvent | None:
        try:
            params = message["params"]
            channel, content = params["channel"], params["message"]
            is_data = message["method"] == "channelMessage"
        except (KeyError, TypeError):
            self._on_other(message)
            return None
        if not is_data:
            raise RefusedFrame(Refusal.UNKNOWN_METHOD)
        # Most frequent channel first.
        if channel == self.board_channel:
            return self._on_delta(content, recv_ns)
        if channel == self.ticker_channel:
            return self._on_ticker(content, recv_ns)
        if channel == self.executions_channel:
            return self._on_executions(content, recv_ns)
        if channel == self.snapshot_channel:
            return self._on_snapshot(content, recv_ns)
        if channel == EVENTS_CHANNEL and self._on_private is not None:
            self._on_private(content, recv_ns)
            return None
        raise RefusedFrame(Refusal.UNKNOWN_CHANNEL)

    def _on_delta(self, content: Any, recv_ns: int) -> BoardSnapshot | None:
        if not self._has_snapshot:
            self._deltas_before_snapshot += 1
            self.heard_ns[self.board_channel] = recv_ns
            return None
        try:
            mid = self.board.apply_delta(content)
        except BoardError as error:
            raise RefusedFrame(Refusal.BAD_BOARD, str(error)) from None
        self._board_deltas += 1
        self.heard_ns[self.board_channel] = recv_ns
        return self.view.on_board(mid, False, recv_ns)

    def _on_snapshot(self, content: Any, recv_ns: int) -> BoardSnapshot:
        try:
            mid = self.board.apply_snapshot(content)
        except BoardError as error:
            raise RefusedFrame(Refusal.BAD_BOARD, str(error)) from None
        self._has_snapshot = True
        self._board_snapshots += 1
        self.heard_ns[self.snapshot_channel] = recv_ns
        return self.view.on_board(mid, True, recv_ns)

    def _on_executions(self, content: Any, recv_ns: int) -> PublicTrades | None:
        if type(content) is not list or len(content) > MAX_TRADES:
            raise RefusedFrame(Refusal.BAD_EXECUTIONS, "not an array, or too long")
        trades = self._take_trades(content, recv_ns)
        if content and not trades:
            return None
        self.heard_ns[self.executions_channel] = recv_ns
        fresh = tuple(trade for trade in trades if self._is_new(trade.exec_id))
        self._executions += len(fresh)
        return PublicTrades(ts_ns=recv_ns, trades=fresh) if fresh else None

    def _take_trades(self, content: list[Any], recv_ns: int) -> list[PublicTrade]:
        """The readable executions of a message."""
        trades = []
        for item in content:
            try:
                trades.append(self._decode_trade(item))
            except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
                self._refusals.add(Refusal.BAD_EXECUTIONS, str(error), "", recv_ns)
        return trades

    def _decode_trade(self, item: Any) -> PublicTrade:
        exec_id, side, price, size = item["id"], item.get("side"), item["price"], item["size"]
        if type(exec_id) is not int or exec_id <= 0:
            raise ValueError("id is not a positive integer")
        if side is None:
            self._absent.add("a public execution", "side", "as in an auction")
        elif type(side) is not str:
            raise TypeError("side is not a word")
        if type(price) not in (int, float) or type(size) not in (int, float) or not price > 0 or not size > 0:
            raise ValueError("price or size is not a positive number")
        ticks = round(price * self._ticks_per_one)
        if ticks / self._ticks_per_one != price:
            raise ValueError(f"price {price!r} is off the grid")
        return PublicTrade(
            exec_id=ExecId(exec_id),
            taker=Side(side) if side else None,
            price=Ticks(ticks),
            size=Lots(floor(size * self._lots_per_one + 0.5)),
            buy_order_id=_name_of(item.get("buy_child_order_acceptance_id")),
            sell_order_id=_name_of(item.get("sell_child_order_acceptance_id")),
        )

    def _is_new(self, exec_id: int) -> bool:
        """Note an execution id. Returns False for a duplicate."""
        if exec_id in self._recent_ids:
            return False
        self._recent_ids.add(exec_id)
        self._recent_order.append(exec_id)
        if len(self._recent_order) > REMEMBERED_EXECUTIONS:
            self._recent_ids.discard(self._recent_order.popleft())
        if self._last_exec_id and exec_id > self._last_exec_id + 1:
            self._execution_gaps += 1
            self._executions_missing += exec_id - self._last_exec_id - 1
        self._last_exec_id = max(self._last_exec_id, exec_id)
        return True

    def _on_ticker(self, content: Any, recv_ns: int) -> VenueStatus:
        if type(content) is not dict:
            raise RefusedFrame(Refusal.BAD_TICKER, "not an object")
        product, word = content.get("product_code"), content.get("state")
        if (product is not None and product != self.product) or (word is not None and type(word) is not str):
            raise RefusedFrame(Refusal.BAD_TICKER, "of another product, or state is not a word")
        self.heard_ns[self.ticker_channel] = recv_ns
        if word is None:
            self._absent.add("the ticker", "state", "as it was; getboardstate tells it too")
            return VenueStatus(ts_ns=recv_ns)
        try:
            state = BoardState(word)
        except ValueError:
            state = BoardState.UNKNOWN
        return VenueStatus(ts_ns=recv_ns, state=state)

    def _on_other(self, message: Any) -> None:
        """Take a message that is not a notification with channel and content: an answer, or garbage."""
        if type(message) is list:
            raise RefusedFrame(Refusal.BATCH)
        if type(message) is not dict:
            raise RefusedFrame(Refusal.NOT_AN_OBJECT)
        if "id" in message and ("result" in message or "error" in message):
            self._on_reply(message)
        elif message.get("method") == "channelMessage":
            raise RefusedFrame(Refusal.BAD_PARAMS)
        else:
            raise RefusedFrame(Refusal.UNKNOWN_METHOD)

    def _on_reply(self, message: dict[str, Any]) -> None:
        request = message["id"]
        if type(request) is not int or (request not in self._awaited and not self._is_recorded):
            raise RefusedFrame(Refusal.STRAY_REPLY)
        self._replies += 1
        error, result = message.get("error"), message.get("result")
        is_yes = error is None and result is True
        self.replies[request] = None if is_yes else in_words(result if error is None else error)


def _name_of(value: Any) -> OrderId:
    """The order id of one side of a public trade; NO_ORDER if missing or unusable: the trade is valid without it."""
    return order_name(value) or NO_ORDER
