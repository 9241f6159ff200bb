"""Small random markets in which everything happens often: stalls, fills, lost deletions, halts, garbage."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson
from hypothesis import strategies as st

from stall_then_strike.app.trader.virtual import Message
from stall_then_strike.config.models import AppConfig
from tests.market_script import PRODUCT, START_NS, config

MS = 10**6
MID = 1_000
PAUSES = (0, 1, 5, 20, 60, 100, 150, 300)
STATES = ("CLOSED", "PREOPEN", "STARTING", "CIRCUIT BREAK", "NO SUCH STATE")


class _Tape:
    """One market, message by message. In a calm one most messages leave the best prices as they are."""

    def __init__(self, seed: int, *, is_calm: bool) -> None:
        self.rng = random.Random(seed)
        self.is_calm = is_calm
        self.now = START_NS + self.rng.randrange(10**9)
        self.mid = MID
        self.books: dict[str, dict[int, float]] = {"bids": {}, "asks": {}}
        self.exec_id = 0
        self.state = "RUNNING"
        self.messages: list[Message] = []
        self.calm = self.rng.choice((0.9, 0.97, 1)) if is_calm else self.rng.random()
        self.pauses = self.rng.choice(((0, 1, 5, 20, 60), (0, 5, 25, 100, 300))) if is_calm else PAUSES

    def size(self) -> float:
        return self.rng.choice((0.001, 0.002, 0.01, 0.5, round(self.rng.random() / 100 + 1e-8, 8)))

    def send(self, channel: str, content: Any) -> None:
        params = {"channel": channel + PRODUCT, "message": content}
        text = orjson.dumps({"jsonrpc": "2.0", "method": "channelMessage", "params": params}).decode()
        late = self.rng.random() < 0.02
        self.messages.append((self.now - (self.rng.randrange(400) * MS if late else 0), text))

    def board(self, channel: str, changes: dict[str, dict[int, float]], *, lie: int = 0) -> None:
        bids, asks = self.books["bids"], self.books["asks"]
        mid = (max(bids, default=0) + min(asks, default=0)) // 2 + lie
        levels = {
            side: [{"price": float(price), "size": size} for price, size in found.items()]
            for side, found in changes.items()
        }
        self.send(channel, {"mid_price": float(max(mid, 0)), **levels})

    def snapshot(self) -> None:
        rng, spread = self.rng, self.rng.choice((1, 2, 3, 8, 20))
        self.mid = max(100, self.mid + rng.randint(-6, 6))
        for side, sign in (("bids", -1), ("asks", 1)):
            best = self.mid if sign < 0 else self.mid + spread
            self.books[side] = {
                best + sign * n: self.size() for n in range(rng.randint(1, 12)) if not n or rng.random() < 0.7
            }
        self.board("lightning_board_snapshot_", self.books)

    def delta(self) -> None:
        rng, changes = self.rng, {"bids": {}, "asks": {}}  # type: dict[str, dict[int, float]]
        quiet = rng.random() < self.calm
        for side, sign in (("bids", -1), ("asks", 1)):
            book = self.books[side]
            for _ in range(rng.randint(0, 4)):
                best = (max(book) if sign < 0 else min(book)) if book else self.mid
                if quiet:
                    price, size = best + sign * rng.randint(0, 9), self.size()
                else:
                    price, size = best + sign * rng.randint(-3, 9), self.size() if rng.random() < 0.5 else 0.0
                other = self.books["asks" if sign < 0 else "bids"]
                through = other and (price >= min(other) if sign < 0 else price <= max(other))
                if price < 1 or (through and rng.random() < 0.9):
                    continue
                changes[side][price] = size
                book[price] = size
                if not size:
                    del book[price]
        self.board("lightning_board_", changes, lie=rng.choice((1, -1)) if rng.random() < 0.03 else 0)

    def trades(self) -> None:
        rng, items = self.rng, []
        for _ in range(rng.randint(1, 4)):
            side = rng.choice(("BUY", "SELL", "BUY", "SELL", ""))
            self.exec_id += rng.choice((0, 1, 1, 1, 2)) if self.exec_id else 1
            near = self.books["asks" if side == "BUY" else "bids"]
            best = (min(near) if side == "BUY" else max(near)) if near else self.mid
            price = float(max(1, best + rng.randint(-6, 6)))
            item = {"id": self.exec_id, "side": side, "price": price, "size": self.size()}
            seconds, ns = divmod(self.now, 10**9)
            date = f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{ns // 100:07}Z"
            names = {f"{of}_child_order_acceptance_id": f"JRF20260105-000000-{self.exec_id}" for of in ("buy", "sell")}
            items.append(item | ({"exec_date": date, **names} if self.exec_id % 7 else {}))
        self.send("lightning_executions_", items)

    def ticker(self) -> None:
        rng = self.rng
        if rng.random() < 0.15:
            self.state = "RUNNING" if self.state != "RUNNING" or rng.random() < 0.5 else rng.choice(STATES)
        self.send("lightning_ticker_", {"product_code": PRODUCT, "state": self.state})

    def odd(self) -> None:
        rng = self.rng
        kind = rng.randrange(5)
        if kind == 0:
            self.messages.append((self.now, None))
        elif kind == 1:
            self.messages.append((self.now, rng.choice(("", "{", "[]", "null", '{"id":1,"result":true}'))))
        elif kind == 2:
            self.send("lightning_board_", {"mid_price": 1.0, "bids": [{"price": 5.0, "size": -1.0}], "asks": []})
        elif kind == 3:
            self.send("lightning_board_", {"mid_price": 1.0, "bids": [{"price": 0.0, "size": 3.0}], "asks": []})
        else:
            self.now += rng.choice((700, 1_500, 30_000, 70_000, 4_000_000, 90_000_000)) * MS

    def step(self) -> None:
        rng = self.rng
        self.now += rng.choice(self.pauses) * MS + rng.choice((0, 0, 123_457))
        deltas, trades, tickers, snapshots = (0.8, 0.92, 0.97, 0.99) if self.is_calm else (0.6, 0.8, 0.9, 0.97)
        kind = rng.random()
        if kind < deltas:
            self.delta()
        elif kind < trades:
            self.trades()
        elif kind < tickers:
            self.ticker()
        elif kind < snapshots:
            self.snapshot()
        else:
            self.odd()


def random_tape(seed: int, messages: int, *, is_calm: bool = False) -> list[Message]:
    """So many messages, the same for the same seed."""
    tape = _Tape(seed, is_calm=is_calm)
    if seed % 7:
        tape.ticker()
        tape.snapshot()
    while len(tape.messages) < messages:
        tape.step()
    return tape.messages


def _latencies() -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {
            "kind": st.sampled_from(("constant", "uniform", "lognormal")),
            "median_ms": st.sampled_from((0, 20, 100, 700)),
            "spread_ms": st.sampled_from((0, 15)),
            "spike_share": st.sampled_from((0.0, 0.3)),
            "spike_sec": st.just(1),
            "spike_ms": st.sampled_from((500, 65_000)),
        }
    ).map(lambda keys: {**keys, "spread_ms": min(keys["spread_ms"], keys["median_ms"])})


@st.composite
def configs(draw: st.DrawFn) -> AppConfig:
    """Settings under which much happens within seconds."""

    def one(*values: Any) -> Any:
        return draw(st.sampled_from(values))

    strategy = {
        "stall_T_ms": one(1, 50, 100, 250),
        "min_spread_tick": one(1, 3),
        "ttl_ms": one(1, 100, 800, 5_000),
        "max_reverse_ticks": one(1, 2, 10),
        "size_min": one(0.001, 0.002, 0.01),
        "max_inventory_btc": one(0.01, 0.02, 0.5),
        "stale_ms": one(100, 700),
        "quote_mode": one("mid", "inside", "join"),
        "quote_offset_ticks": one(0, 1, 3),
        "close_type": one("market", "ioc"),
        "close_band_ticks": one(0, 2),
        "close_retry_ms": one(50, 500),
    }
    risk = {
        "daily_pnl_jpy": one(-30_000, -0.1, -0.01),
        "max_dd_jpy": one(-20_000, -0.1, -0.005),
        "max_rejects": one(1, 2, 10),
        "after_halt": one("exit", "wait"),
    }
    limits = one(
        {},
        {"small_orders_per_min": 14, "private_per_5min": 70, "reserve_private": 10},
        {"small_order_btc": 0.001},
        {"address_per_5min": 90},
    )
    session = {
        "day_start": one("00:00", "09:00", "09:01"),
        "quiet": one((), ({"start": "09:00:05", "end": "09:00:09", "why": "test"},)),
    }
    paper = {
        "seed": draw(st.integers(0, 2**40)),
        "order_latency": draw(_latencies()),
        "cancel_latency": draw(_latencies()),
        "queue_model": one("share", "pessimistic", "power"),
        "queue_cancel_share": one(0, 0.5, 1),
        "queue_power": one(1, 2, 4),
        "print_through": one("queue", "all"),
        "outbid_per_s": one(0, 0.9, 20),
        "maker_fee": one(0, -0.0002, 0.0001),
        "taker_fee": one(0, 0.0015),
        "funding_rate": one(0.0001, -0.00375),
        "funding_times": one((), ("09:00:07", "09:00:20", "10:00")),
    }
    return config(
        strategy=strategy, risk=risk, exchange=_decimals({"limits": limits}), session=session, paper=_decimals(paper)
    )


def _decimals(keys: dict[str, Any]) -> dict[str, Any]:
    return {
        key: Decimal(str(value)) if isinstance(value, float) else _decimals(value) if isinstance(value, dict) else value
        for key, value in keys.items()
    }
