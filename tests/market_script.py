"""Small markets written by hand: wire frames at chosen milliseconds, traded in virtual time by the real parts.

Everything between the frame's text and the log rows is the program's own; only the market is made up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Self

import orjson

from stall_then_strike.app.trader.trader import PaperTrader
from stall_then_strike.app.trader.virtual import VirtualRun
from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.bitflyer.feed import MarketFeed
from stall_then_strike.infra.clock import VirtualClock
from stall_then_strike.types.dto import DecisionLogRow, OrderLogRow, TradeLogRow

START_NS = 1_767_571_200 * 10**9  # 2026-01-05 09:00 in Tokyo: no quiet time within hours
MS = 10**6
PRODUCT = "FX_BTC_JPY"
FAR = 9_000_000  # JPY: a bid that nobody minds

Levels = Mapping[int, float]

CONSTANT_LATENCY = {"kind": "constant", "median_ms": 20, "spread_ms": 0}


def config(**sections: Mapping[str, Any]) -> AppConfig:
    """Defaults with a constant latency of 20 ms and nobody who outbids, and these sections over them."""
    paper: dict[str, Any] = {"order_latency": CONSTANT_LATENCY, "cancel_latency": CONSTANT_LATENCY, "outbid_per_s": 0}
    tree: dict[str, Any] = {"paper": paper}
    for name, keys in sections.items():
        exact = {key: Decimal(str(value)) if isinstance(value, float) else value for key, value in keys.items()}
        tree[name] = {**tree.get(name, {}), **exact}
    return AppConfig.model_validate(tree)


class Script:
    """Frames in the order of writing, each at a time in milliseconds after the start."""

    def __init__(self) -> None:
        self.frames: list[tuple[int, str]] = []
        self._bids: dict[int, float] = {}
        self._asks: dict[int, float] = {}
        self._exec_id = 1000

    def text(self, at_ms: float, text: str) -> Self:
        """Any text at all."""
        self.frames.append((START_NS + int(at_ms * MS), text))
        return self

    def send(self, at_ms: float, channel: str, message: Any) -> Self:
        """One channel message."""
        params = {"channel": f"{channel}{PRODUCT}", "message": message}
        return self.text(at_ms, orjson.dumps({"jsonrpc": "2.0", "method": "channelMessage", "params": params}).decode())

    def ticker(self, at_ms: float, state: str = "RUNNING") -> Self:
        """A ticker, for the board's state."""
        return self.send(at_ms, "lightning_ticker_", {"product_code": PRODUCT, "state": state, "ltp": 1.0})

    def tickers(self, from_ms: float, to_ms: float, every_ms: float = 500) -> Self:
        """Tickers all along: the socket lives, whatever the board does."""
        at = from_ms
        while at < to_ms:
            self.ticker(at)
            at += every_ms
        return self

    def snapshot(self, at_ms: float, bids: Levels, asks: Levels) -> Self:
        """A whole book."""
        self._bids, self._asks = dict(bids), dict(asks)
        return self.send(at_ms, "lightning_board_snapshot_", self._message(bids, asks, None))

    def delta(
        self, at_ms: float, bids: Levels | None = None, asks: Levels | None = None, *, mid: float | None = None
    ) -> Self:
        """Changed levels, 0 deletes; the mid is that of the book so built unless given."""
        for side, changes in ((self._bids, bids or {}), (self._asks, asks or {})):
            for price, size in changes.items():
                side[price] = size
                if not size:
                    del side[price]
        return self.send(at_ms, "lightning_board_", self._message(bids or {}, asks or {}, mid))

    def alive(self, from_ms: float, to_ms: float, every_ms: float = 100) -> Self:
        """Deltas far from the touch, so that the feed lives while the best stands still."""
        at, size = from_ms, 1.0
        while at < to_ms:
            size += 1.0
            self.delta(at, bids={FAR: size})
            at += every_ms
        return self

    def trade(self, at_ms: float, taker: str, price: int, size: float) -> Self:
        """One public execution."""
        self._exec_id += 1
        item = {
            "id": self._exec_id,
            "side": taker,
            "price": float(price),
            "size": size,
            "exec_date": "2026-01-05T00:00:00.0000000Z",
            "buy_child_order_acceptance_id": f"JRF20260105-000000-{self._exec_id}",
            "sell_child_order_acceptance_id": f"JRF20260105-000001-{self._exec_id}",
        }
        return self.send(at_ms, "lightning_executions_", [item])

    def _message(self, bids: Levels, asks: Levels, mid: float | None) -> dict[str, Any]:
        if mid is None:
            mid = (max(self._bids, default=0) + min(self._asks, default=0)) // 2
        return {
            "mid_price": float(mid),
            "bids": [{"price": float(p), "size": s} for p, s in bids.items()],
            "asks": [{"price": float(p), "size": s} for p, s in asks.items()],
        }

    def in_order(self) -> list[tuple[int, str]]:
        """Frames by time; those of one time in the order of writing."""
        return sorted(self.frames, key=lambda frame: frame[0])


@dataclass
class RowList:
    """Log rows in memory."""

    rows: list[TradeLogRow | OrderLogRow | DecisionLogRow] = field(default_factory=list)

    def write(self, row: TradeLogRow | OrderLogRow | DecisionLogRow) -> None:
        self.rows.append(row)


@dataclass
class Traded:
    """What a run left behind."""

    trader: PaperTrader
    feed: MarketFeed
    rows: list[TradeLogRow | OrderLogRow | DecisionLogRow]

    @property
    def decisions(self) -> list[DecisionLogRow]:
        return [row for row in self.rows if isinstance(row, DecisionLogRow)]

    @property
    def trades(self) -> list[TradeLogRow]:
        return [row for row in self.rows if isinstance(row, TradeLogRow)]

    @property
    def orders(self) -> list[OrderLogRow]:
        return [row for row in self.rows if isinstance(row, OrderLogRow)]

    def at_ms(self, decision_type: str) -> list[float]:
        """When decisions of this type were made, in milliseconds after the start."""
        return [(row.ts_ns - START_NS) / MS for row in self.decisions if row.decision_type == decision_type]

    def reasons(self, decision_type: str) -> list[str]:
        """Why decisions of this type were made."""
        return [row.reason.label for row in self.decisions if row.decision_type == decision_type]


def trade(frames: Script | Iterable[tuple[int, str]], cfg: AppConfig | None = None) -> Traded:
    """Trade frames in virtual time."""
    cfg = cfg or config()
    messages = frames.in_order() if isinstance(frames, Script) else frames
    clock, feed, log = VirtualClock(0), MarketFeed(cfg), RowList()
    trader = PaperTrader(cfg, clock, feed, log)
    asyncio.run(VirtualRun(trader, clock, feed).run(messages))
    return Traded(trader, feed, log.rows)
