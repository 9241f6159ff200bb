"""bitFlyer's JSON, written from integers. The only place in `sim` where ticks and lots become decimal text.

Numbers follow the recorded tape: prices and sizes always with a decimal point (``5860832.0``, ``0.0``), never in
exponent form, because the venue prints decimals and not binary floats. Times: realtime messages have seven decimals
and ``Z``; REST has neither the ``Z`` nor a fixed number of decimals (measured; API documentation). A frame has no
blanks, and its fields are in the venue's order.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

import orjson

from stall_then_strike.sim.exchange.source import Channel, Depth, Execution, Level, Ticker
from stall_then_strike.types.dto import NS_PER_S
from stall_then_strike.types.instrument import Instrument, Lots, Ticks

_WS_DIGITS: Final = 7
_REST_DIGITS: Final = 3


@lru_cache(maxsize=64)
def second_text(second: int, pattern: str) -> str:
    """UTC text of a Unix second; cached, because many stamps share one."""
    return datetime.fromtimestamp(second, UTC).strftime(pattern)


def ws_time(time_ns: int) -> str:
    """A stamp as in realtime messages: ``2021-12-12T23:05:29.9692063Z`` (truncated, not rounded)."""
    second, rest = divmod(time_ns, NS_PER_S)
    return f"{second_text(second, '%Y-%m-%dT%H:%M:%S')}.{rest // 10 ** (9 - _WS_DIGITS):0{_WS_DIGITS}d}Z"


def rest_time(time_ns: int) -> str:
    """A stamp as in REST answers: UTC without ``Z``, without trailing zeros, without an empty fraction."""
    second, rest = divmod(time_ns, NS_PER_S)
    fraction = f"{rest // 10 ** (9 - _REST_DIGITS):0{_REST_DIGITS}d}".rstrip("0")
    return second_text(second, "%Y-%m-%dT%H:%M:%S") + (f".{fraction}" if fraction else "")


def error_body(status: int, message: str) -> str:
    """A REST error body; ``status`` is the venue's own number, independent of HTTP's."""
    return orjson.dumps({"status": status, "error_message": message, "data": None}).decode()


def _digits(scale: int) -> int:
    """Number of decimals of a power of ten."""
    digits = len(str(scale)) - 1
    if scale != 10**digits:
        raise ValueError(f"wire numbers need a decimal step, got 1/{scale}")
    return digits


class Wire:
    """Encoder for one product."""

    def __init__(self, instrument: Instrument) -> None:
        """Raises ValueError for an instrument whose steps are not powers of ten."""
        self._product = instrument.product_code
        self._tick_digits = _digits(instrument.ticks_per_one)
        self._lot_digits = _digits(instrument.lots_per_one)
        self._ticks_per_one = instrument.ticks_per_one
        self._lots_per_one = instrument.lots_per_one
        self._head = {
            channel: f'{{"jsonrpc":"2.0","method":"channelMessage","params":{{"channel":"{channel.of(self._product)}"'
            ',"message":'
            for channel in Channel
        }

    def price(self, ticks: Ticks) -> str:
        """A price in quote currency."""
        if self._tick_digits == 0:
            return f"{ticks}.0"
        whole, rest = divmod(ticks, self._ticks_per_one)
        return f"{whole}.{f'{rest:0{self._tick_digits}d}'.rstrip('0') or '0'}"

    def size(self, lots: Lots) -> str:
        """A size in base currency."""
        whole, rest = divmod(lots, self._lots_per_one)
        if not rest:
            return f"{whole}.0"
        return f"{whole}.{f'{rest:0{self._lot_digits}d}'.rstrip('0')}"

    def frame(self, channel: Channel, message: str) -> str:
        """A channel message as one text frame (JSON-RPC 2.0 notification)."""
        return f"{self._head[channel]}{message}}}}}"

    def level(self, level: Level) -> str:
        """One level of the board."""
        return f'{{"price":{self.price(level[0])},"size":{self.size(level[1])}}}'

    def board(self, depth: Depth) -> str:
        """A board, a snapshot or a delta; all have the same shape."""
        bids = ",".join(map(self.level, depth.bids))
        asks = ",".join(map(self.level, depth.asks))
        return f'{{"mid_price":{self.price(depth.mid)},"bids":[{bids}],"asks":[{asks}]}}'

    def executions(self, executions: Iterable[Execution], *, rest: bool = False) -> str:
        """A list of executions, for the realtime channel or for ``getexecutions``."""
        stamp = rest_time if rest else ws_time
        return (
            "["
            + ",".join(
                f'{{"id":{e.exec_id},"side":"{"" if e.taker is None else e.taker.value}"'
                f',"price":{self.price(e.price)},"size":{self.size(e.size)},"exec_date":"{stamp(e.time_ns)}"'
                f',"buy_child_order_acceptance_id":"{e.buy_order_id}"'
                f',"sell_child_order_acceptance_id":"{e.sell_order_id}"}}'
                for e in executions
            )
            + "]"
        )

    def ticker(self, ticker: Ticker, *, rest: bool = False) -> str:
        """A ticker, for the realtime channel or for ``getticker``."""
        stamp = rest_time(ticker.time_ns) if rest else ws_time(ticker.time_ns)
        volume = self.size(ticker.volume)
        return (
            f'{{"product_code":"{self._product}","state":"{ticker.state.value}","timestamp":"{stamp}"'
            f',"tick_id":{ticker.tick_id}'
            f',"best_bid":{self.price(ticker.best_bid[0])},"best_ask":{self.price(ticker.best_ask[0])}'
            f',"best_bid_size":{self.size(ticker.best_bid[1])},"best_ask_size":{self.size(ticker.best_ask[1])}'
            f',"total_bid_depth":{self.size(ticker.bid_depth)},"total_ask_depth":{self.size(ticker.ask_depth)}'
            f',"market_bid_size":{self.size(ticker.waiting_bid)},"market_ask_size":{self.size(ticker.waiting_ask)}'
            f',"ltp":{self.price(ticker.last_price)}'
            f',"volume":{volume},"volume_by_product":{volume}}}'
        )
