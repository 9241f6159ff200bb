"""A recorded live run without a clock: quotes on the embedded exchange in virtual time, and the tape of it.

The truth is the exchange's: our orders rest in its one matching engine, by price and time. The same arguments give the
same tape and orders on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path

import orjson

from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.bitflyer.feed import MarketFeed
from stall_then_strike.infra.bitflyer.private_feed import PrivateFeed
from stall_then_strike.research.calibration.live_orders import LiveFill, LiveOrder, LiveRecord
from stall_then_strike.sim.bitflyer.desk import Delays
from stall_then_strike.sim.bitflyer.private_venue import PrivateSettings
from stall_then_strike.sim.exchange.flow_model import Band, FlowModel
from stall_then_strike.sim.exchange.source import Frame
from stall_then_strike.types.dto import NS_PER_MS, NS_PER_S, ClientOrderId, FillEvent, OrderEventKind, OrderId, Side
from stall_then_strike.types.instrument import Ticks, fx_btc_jpy
from tests.sim.private_rig import NO_CALENDAR, NO_LIMITS, Room, order

STEP_S = 0.05
SIZE = Decimal("0.02")
CROWDED = FlowModel(
    volatility=100.0,
    trend=0.0,
    jumps_per_s=0.0,
    bands=(
        Band(near_ticks=300, far_ticks=340, per_s=6.0, patience_s=1.5),
        Band(near_ticks=1_000, far_ticks=3_000, per_s=4.0, patience_s=3.5),
        Band(near_ticks=3_000, far_ticks=30_000, per_s=1.0, patience_s=9.0),
    ),
    join_share=0.7,
    undercut_share=0.0,
    guard=100.0,
    snipe_chance=0.0,
    takers_per_s=4.0,
    taker_floor=0.8,
    busy=0.0,
    impact=0.0,
    requotes=0,
    echo_share=0.0,
    parts_share=0.0,
    regime_spread=0.0,
    widening=0.0,
    quiets_per_s=0.0,
)
"""Many orders join the best price and most are cancelled, so fills depend on which cancels were ahead of us. Cancels
are independent of the place in the queue, so the true model is the power law with exponent 1. Nobody reacts to takers:
with the default reactions, few of our orders could tell one model from another."""


@dataclass
class Quoter:
    """Joins the best price on both sides, cancels after a while, and repeats."""

    room: Room
    ttl_s: float
    pause_s: float
    back_ticks: int = 0
    feed: MarketFeed = field(default_factory=lambda: MarketFeed(AppConfig(), is_quiet=True))
    private: PrivateFeed = field(default_factory=lambda: PrivateFeed(fx_btc_jpy()))
    lines: list[tuple[int, str]] = field(default_factory=list)
    orders: dict[str, LiveOrder] = field(default_factory=dict)
    sides: int = 0

    def hear(self, frame: Frame) -> None:
        if frame.account is None:
            if not frame.channel.startswith("!"):
                self.lines.append((frame.time_ns, frame.text))
                self.feed.on_text(frame.text, frame.time_ns)
            return
        message = orjson.loads(frame.text)["params"]["message"]
        for event in self.private.decode(message, frame.time_ns):
            assert event.order_id is not None
            known = self.orders[event.order_id]
            if isinstance(event, FillEvent):
                fill = LiveFill(exec_id=event.exec_id, ts_ns=event.ts_ns, price=event.price, size=event.size)
                known = replace(known, fills=(*known.fills, fill), is_live=known.executed + fill.size < known.size)
            elif event.kind is OrderEventKind.REGISTERED:
                known = replace(known, registered_ns=event.ts_ns, is_registered_told=True)
            elif event.kind is OrderEventKind.CANCELLED:
                known = replace(known, cancelled_ns=event.ts_ns, is_live=False)
            self.orders[event.order_id] = known

    def place(self, side: Side, price: int) -> None:
        units, now_ns = fx_btc_jpy(), self.room.now_ns
        name = self.room.send(order(side.value, price, float(SIZE), minute_to_expire=1))
        self.orders[name] = LiveOrder(
            name=ClientOrderId(f"q{len(self.orders):05d}"),
            order_id=OrderId(name),
            tag="stall",
            side=side,
            price=Ticks(price),
            size=units.to_lots(SIZE),
            ttl_ns=int(self.ttl_s * NS_PER_S),
            sent_ns=now_ns,
            accepted_ns=now_ns + 50 * NS_PER_MS,
            registered_ns=None,
            is_registered_told=False,
            cancel_sent_ns=None,
            cancelled_ns=None,
            expired_ns=None,
            is_live=True,
            fills=(),
        )

    def step(self) -> None:
        room = self.room
        room.frames.clear()
        room.advance(STEP_S)
        for frame in sorted(room.frames, key=lambda frame: frame.time_ns):
            self.hear(frame)
        now_ns = room.now_ns
        live = [known for known in self.orders.values() if known.is_live]
        for known in live:
            if known.cancel_sent_ns is None and now_ns >= known.sent_ns + known.ttl_ns and known.order_id:
                room.cancel(known.order_id)
                self.orders[known.order_id] = replace(known, cancel_sent_ns=now_ns)
        last = max((known.sent_ns for known in self.orders.values()), default=0)
        board = self.feed.board
        if not live and now_ns >= last + int(self.pause_s * NS_PER_S) and board.best_bid and board.best_ask:
            self.place(Side.BUY, board.best_bid - self.back_ticks)
            self.place(Side.SELL, board.best_ask + self.back_ticks)


def record(
    folder: Path,
    seconds: float,
    *,
    ttl_s: float = 4.0,
    pause_s: float = 0.5,
    back_ticks: int = 0,
    seed: int = 1,
    model: FlowModel = CROWDED,
    delays: Delays | None = None,
) -> tuple[LiveRecord, Path]:
    """Record for that long; return the orders and the tape."""
    settings = PrivateSettings(
        seed=seed,
        limits=NO_LIMITS,
        calendar=NO_CALENDAR,
        collateral_jpy=Decimal(10_000_000_000),
        delays=Delays() if delays is None else delays,
    )
    quoter = Quoter(Room(settings=settings, model=model), ttl_s, pause_s, back_ticks)
    for _ in range(int(seconds / STEP_S)):
        quoter.step()
    tape = folder / "FX_BTC_JPY-20260921T14Z.jsonl"
    tape.write_text("".join(f'{{"recv_ns":{ns},"msg":{text}}}\n' for ns, text in quoter.lines))
    return LiveRecord(cfg=AppConfig(), sources=(tape,), orders=tuple(quoter.orders.values())), tape
