"""The displayed book of one product, as a pybotters data store that is fast enough to be read at every message.

pybotters' own board sorts the whole book for each delta, copies each changed level for each watcher and unsubscribes
the snapshot channel after the first snapshot. This board keeps that class's public interface and replaces its
implementation by the sorted integers of `infra/levels.py`. A watcher is woken once per message.

The board knows nothing of our own orders, of time or of the book's status: see `orderbook_view.py`.

Venue facts (bitFlyer API documentation, realtime board channels): ``size`` is the total size at a price and zero
deletes the level; entries at price 0 appear when an auction executes market orders and mean nothing for the book.
Unlike pybotters, this board deliberately does not trim the book by ``mid_price``: that would hide the contradiction
that reveals a lost deletion.
"""

from __future__ import annotations

from asyncio import Queue
from collections.abc import Iterator
from math import floor, inf
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec
from pybotters.models import bitflyer as pybotters_bitflyer
from pybotters.store import StoreChange, StoreStream

from stall_then_strike.infra.levels import MAX_LEVELS, BoardError, Levels, Sizes
from stall_then_strike.types.dto import Side
from stall_then_strike.types.instrument import Instrument, Ticks

if TYPE_CHECKING:
    from pybotters.ws import ClientWebSocketResponse

Item = dict[str, Any]

# Enum members resolved once: in Python 3.11, reading one off its class costs as much as a call.
_BUY: Final = Side.BUY
_SELL: Final = Side.SELL

_Changes = tuple[Sizes, float, float]
"""Changed sizes by price in ticks, the lowest of these prices and the highest."""
_LARGE: Final = 1e6
"""Sizes from here on are checked as unusual ones are: lots of them may not be exact."""

SNAPSHOT_PREFIX: Final = "lightning_board_snapshot_"
DELTA_PREFIX: Final = "lightning_board_"


class WireLevel(msgspec.Struct, gc=False, frozen=True):
    """A changed level of a board message: the total size at a price. The numbers are not checked."""

    price: float
    size: float


class BoardMessage(msgspec.Struct, gc=False, frozen=True):
    """A message of both board channels."""

    mid_price: float
    bids: list[WireLevel]
    asks: list[WireLevel]


class BoardStream(StoreStream):
    """The stream that ``Board.watch`` returns. Only the newest change is queued, however slow the consumer is."""

    def __init__(self, store: Board) -> None:
        """Join the store's watchers."""
        self._queue: Queue[StoreChange] = Queue(maxsize=1)
        store._queues.append(self._queue)  # noqa: SLF001 - StoreStream does the same; its own queue is unbounded
        self._store = store


class Board(Levels, pybotters_bitflyer.Board):
    """Book of one product, own orders included.

    Items are pybotters' dicts: ``product_code``, ``side`` (``asks`` or ``bids``), ``price``, ``size``. They are made
    on request and belong to the caller.
    """

    def __init__(self, instrument: Instrument, *, max_levels: int = MAX_LEVELS) -> None:
        """Start empty."""
        self._ticks_per_one = float(instrument.ticks_per_one)
        self._lots_per_one = lots_per_one = float(instrument.lots_per_one)
        Levels.__init__(self, instrument.product_code, max_levels, lambda size: floor(size * lots_per_one + 0.5))
        pybotters_bitflyer.Board.__init__(self, "board")

    # --- Intake ------------------------------------------------------------------------------------------------------

    def apply_delta(self, message: BoardMessage | Item) -> int:
        """Apply a ``lightning_board`` message; return its mid price in ticks. Raises BoardError for a bad message."""
        content = board_message(message)
        mid, (bids, _, highest_bid), (asks, lowest_ask, _) = self._decode(content)
        self._change(bids, highest_bid, asks, lowest_ask)
        self.mid_price[self.product_code] = content.mid_price
        if self._queues or self._events:
            self._wake("update", content)
        return mid

    def apply_snapshot(self, message: BoardMessage | Item) -> int:
        """Replace the book by a ``lightning_board_snapshot`` message; return its mid price in ticks.

        Raises BoardError for a bad message.
        """
        content = board_message(message)
        mid, (bids, _, _), (asks, _, _) = self._decode(content)
        self.replace(bids, asks)
        self.mid_price[self.product_code] = content.mid_price
        self._wake("insert", content)
        return mid

    def clear(self) -> None:
        """Forget all levels."""
        self.replace({}, {})
        self.mid_price.clear()
        self._wake("delete")

    def _decode(self, message: BoardMessage) -> tuple[int, _Changes, _Changes]:
        """The mid price in ticks and the changes of both sides. Raises BoardError."""
        ticks_per_one, lots_per_one = self._ticks_per_one, self._lots_per_one
        try:
            if not message.mid_price >= 0:
                raise BoardError(f"mid_price {message.mid_price!r} is not a price")
            return (
                floor(message.mid_price * ticks_per_one + 0.5),
                _decode_levels(message.bids, ticks_per_one, lots_per_one),
                _decode_levels(message.asks, ticks_per_one, lots_per_one),
            )
        except (OverflowError, ValueError) as error:  # infinite; NaN, or a BoardError from below
            raise BoardError(str(error)) from None

    def _wake(self, operation: Literal["insert", "update", "delete"], message: BoardMessage | None = None) -> None:
        """Wake the watchers."""
        if self._queues:
            source = None if message is None else msgspec.to_builtins(message)
            change = StoreChange(self, operation, source, {"product_code": self.product_code})
            for queue in self._queues:
                if queue.full():
                    queue.get_nowait()
                queue.put_nowait(change)
        if self._events:
            self._set()

    # --- pybotters' interface ----------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Item]:
        """All items, asks before bids, best first."""
        yield from (self._item("asks", *level) for level in self.levels(_SELL))
        yield from (self._item("bids", *level) for level in self.levels(_BUY))

    def __reversed__(self) -> Iterator[Item]:
        """All items, in reverse order."""
        return reversed(list(self))

    def get(self, item: Item) -> Item | None:
        """The item with this ``product_code``, ``side`` and ``price``, or None."""
        try:
            product_code, side, price = item["product_code"], item["side"], item["price"]
        except KeyError:
            return None
        at = {"asks": _SELL, "bids": _BUY}.get(side)
        if at is None or product_code != self.product_code:
            return None
        ticks = Ticks(round(price * self._ticks_per_one))
        lots = self.size_at(at, ticks)
        if not lots or ticks / self._ticks_per_one != price:
            return None
        return self._item(side, ticks, lots)

    def find(self, query: Item | None = None) -> list[Item]:
        """Items that match all values of the query."""
        if not query:
            return list(self)
        return [item for item in self if all(key in item and item[key] == value for key, value in query.items())]

    def sorted(self, query: Item | None = None, limit: int | None = None) -> dict[str, list[Item]]:
        """Items of each side, best first, at most ``limit`` a side; levels behind the last one are not read."""
        wanted = {key: value for key, value in (query or {}).items() if key != "product_code"}
        if query and query.get("product_code", self.product_code) != self.product_code:
            return {"asks": [], "bids": []}
        result: dict[str, list[Item]] = {}
        for side, levels in (("asks", self.levels(_SELL)), ("bids", self.levels(_BUY))):
            found: list[Item] = []
            for level in levels:
                item = self._item(side, *level)
                if all(key in item and item[key] == value for key, value in wanted.items()):
                    found.append(item)
                    if len(found) == limit:
                        break
            result[side] = found
        return result

    def watch(self) -> BoardStream:
        """Stream of changes, one per message; only the newest is kept. ``source`` is the message.

        ``operation`` is ``update`` for a delta, ``insert`` for a snapshot and ``delete`` when the book was cleared.
        """
        return BoardStream(self)

    def _item(self, side: str, ticks: int, lots: int) -> Item:
        return {
            "product_code": self.product_code,
            "side": side,
            "price": ticks / self._ticks_per_one,
            "size": lots / self._lots_per_one,
        }

    def _onmessage(self, product_code: str, message: Item) -> None:
        """pybotters' entry point for deltas."""
        if product_code == self.product_code:
            self.apply_delta(message)


def board_message(message: BoardMessage | Item) -> BoardMessage:
    """A parsed message in its form. Raises BoardError if it has another."""
    if message.__class__ is BoardMessage:
        return message
    try:
        return msgspec.convert(message, BoardMessage)
    except (msgspec.ValidationError, OverflowError) as error:  # an integer that no float can hold
        raise BoardError(str(error)) from None


def _decode_levels(levels: list[WireLevel], ticks_per_one: float, lots_per_one: float) -> _Changes:
    """Sizes by price in ticks, all checked, and the lowest and the highest price; the hot loop of the project.

    Sizes stay as they are on the wire: most of them are never read.
    """
    changes: Sizes = {}
    lowest, highest = inf, 0.0
    for level in levels:
        ticks = level.price * ticks_per_one
        size = level.size
        if ticks <= 0.0 or not 0.0 <= size < _LARGE or not ticks.is_integer():
            ticks = _checked_ticks(level.price, size, ticks_per_one, lots_per_one)
            if not ticks:
                continue
        changes[ticks] = size
        if ticks > highest:
            highest = ticks
        if ticks < lowest:
            lowest = ticks
    return changes, lowest, highest


def _checked_ticks(price: float, size: float, ticks_per_one: float, lots_per_one: float) -> float:
    """Ticks of an unusual level; zero for a level to be ignored. Raises BoardError for an impossible one."""
    if not size >= 0:
        raise BoardError(f"size {size!r} is not a size")
    if not price >= 0:
        raise BoardError(f"price {price!r} is not a price")
    floor(size * lots_per_one)  # raises for one that is too large for a float
    # The double nearest to a decimal price equals the correctly rounded quotient of its ticks, so compare those.
    ticks = round(price * ticks_per_one)
    if ticks / ticks_per_one != price:
        raise BoardError(f"price {price!r} is off the grid")
    return float(ticks)


class BitflyerStore(pybotters_bitflyer.bitFlyerDataStore):
    """pybotters' bitFlyer stores with our board; the snapshot channel stays subscribed.

    The session feeds the board directly, which is faster than ``onmessage``. ``onmessage`` works too, for tapes and
    for programs written against pybotters.
    """

    def __init__(self, instrument: Instrument) -> None:
        """Make the stores. ``instrument`` is the product of the board."""
        self._instrument = instrument
        super().__init__()

    def _init(self) -> None:
        super()._init()
        self._stores["board"] = Board(self._instrument)

    @property
    def board(self) -> Board:
        """The book."""
        board = self._stores["board"]
        if not isinstance(board, Board):
            raise AssertionError("the board is made in _init and never replaced")
        return board

    def _onmessage(self, msg: Item, ws: ClientWebSocketResponse | None = None) -> None:
        """Route one parsed message. Unlike pybotters, this does not unsubscribe the channel after a snapshot."""
        channel = msg["params"]["channel"] if "params" in msg else ""
        product_code = self._instrument.product_code
        if channel == SNAPSHOT_PREFIX + product_code:
            self.board.apply_snapshot(msg["params"]["message"])
            self._snapshots.add(product_code)
        elif channel == DELTA_PREFIX + product_code:
            if product_code in self._snapshots:
                self.board.apply_delta(msg["params"]["message"])
        elif not channel.startswith(DELTA_PREFIX):
            super()._onmessage(msg, ws)
