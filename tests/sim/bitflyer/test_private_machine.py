"""Random lives of orders at the exchange, with the flow around them, against a naive model that only reads events.

The model is a client in its simplest form: it believes the events of its account and nothing else. Whatever is sent,
cancelled or hit, in the end its position, cash and open orders are the venue's, exactly.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import orjson
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from stall_then_strike.sim.bitflyer.private_venue import PrivateSettings
from stall_then_strike.sim.exchange.flow_model import FlowModel
from stall_then_strike.types.dto import BoardState, Side
from stall_then_strike.types.instrument import Ticks
from tests.sim.exchange_rig import PRODUCT
from tests.sim.private_rig import NO_CALENDAR, NO_LIMITS, Room, order

ENDS = {"CANCEL", "EXPIRE", "ORDER_FAILED"}


class AgainstEvents(RuleBasedStateMachine):
    """One account in a live market."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: dict[str, Side] = {}
        self.refused = 0

    @initialize(seed=st.integers(0, 5))
    def open(self, seed: int) -> None:
        options = PrivateSettings(seed=seed, limits=NO_LIMITS, calendar=NO_CALENDAR, collateral_jpy=Decimal(3_000_000))
        self.room = Room(settings=options, model=FlowModel(takers_per_s=3.0))

    @rule(
        side=st.sampled_from(Side),
        offset=st.one_of(st.none(), st.integers(-600, 1_500)),
        lots=st.integers(100_000, 5_000_000),
        tif=st.sampled_from(["GTC", "GTC", "IOC", "FOK"]),
        minutes=st.integers(1, 2),
    )
    def send(self, side: Side, offset: int | None, lots: int, tif: str, minutes: int) -> None:
        best = self.room.market.engine.best_price(side)
        price = None if offset is None or best is None else best + side.sign * offset
        fields = order(side.value, price, str(Decimal(lots) / 10**8), time_in_force=tif, minute_to_expire=minutes)
        status, answer = self.room.post("sendchildorder", fields)
        if status == 200:
            self.sent[answer["child_order_acceptance_id"]] = side
        else:
            assert answer["status"] in {-159, -205, -204}
            self.refused += 1

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(list(self.sent)))
        fields = {"product_code": PRODUCT, "child_order_acceptance_id": name}
        status, answer = self.room.post("cancelchildorder", fields)
        assert status == 200 or answer["status"] in {-111, -204}

    @rule()
    def cancel_all(self) -> None:
        self.room.post("cancelallchildorders", {"product_code": PRODUCT})

    @rule(seconds=st.sampled_from([0.02, 0.2, 2.0, 61.0]))
    def pass_time(self, seconds: float) -> None:
        self.room.advance(seconds)

    @rule(state=st.sampled_from([BoardState.RUNNING, BoardState.RUNNING, BoardState.PREOPEN, BoardState.CLOSED]))
    def change_state(self, state: BoardState) -> None:
        self.room.market.set_condition(state=state)

    @invariant()
    def ledger_is_sound(self) -> None:
        state = self.room.venue.ledger()
        assert state.position == sum(f.side.sign * f.size for f in state.fills)
        paid = sum(f.side.sign * f.price * f.size for f in state.fills)
        mark = Ticks(12_345_678)
        assert state.worth(mark) == 3_000_000 * 10**8 - paid + state.position * mark
        assert len({f.exec_id for f in state.fills}) == len(state.fills)

    def teardown(self) -> None:
        if not hasattr(self, "room"):
            return
        self.room.market.set_condition(state=BoardState.RUNNING)
        self.room.advance(1)
        self.room.post("cancelallchildorders", {"product_code": PRODUCT})
        self.room.advance(1)
        self.check_events()
        self.check_calls()
        assert self.room.venue.live_orders == 0

    def check_events(self) -> None:
        """Each order's events are complete, and the fills together give the ledger."""
        state = self.room.venue.ledger()
        stories: dict[str, list[dict[str, Any]]] = {name: [] for name in self.sent}
        for event in self.room.events():
            stories[event["child_order_acceptance_id"]].append(event)
        seen: list[tuple[int, str, int, int]] = []
        for name, story in stories.items():
            kinds = [e["event_type"] for e in story if e["event_type"] != "CANCEL_FAILED"]
            left = story[0].get("size")
            assert kinds[0] in {"ORDER", "ORDER_FAILED"}
            for event in story:
                if event["event_type"] == "EXECUTION":
                    assert event["side"] == self.sent[name]
                    left = Decimal(str(left)) - Decimal(str(event["size"]))
                    assert Decimal(str(event["outstanding_size"])) == left
                    lots = int(Decimal(str(event["size"])) * 10**8)
                    seen.append((event["exec_id"], event["side"], event["price"], lots))
            ends = [kind for kind in kinds if kind in ENDS]
            assert ends == ([] if left == 0 else kinds[-1:])
            assert left == 0 or ends
        assert sorted(seen) == [(f.exec_id, f.side.value, f.price, f.size) for f in state.fills]

    def check_calls(self) -> None:
        """Private calls agree with the ledger, and every fill was published."""
        state = self.room.venue.ledger()
        lots = self.room.get("getpositions")
        sizes = sum(int(Decimal(str(lot["size"])) * 10**8) * (1 if lot["side"] == "BUY" else -1) for lot in lots)
        assert sizes == state.position
        shown = self.room.get("getexecutions", f"product_code={PRODUCT}&count=500")
        assert [row["id"] for row in shown] == [f.exec_id for f in reversed(state.fills)][:500]
        rows = self.room.get("getchildorders", f"product_code={PRODUCT}&count=500")
        assert all(row["executed_size"] > 0 and row["child_order_state"] != "ACTIVE" for row in rows)
        executed = sum(int(Decimal(str(row["executed_size"])) * 10**8) for row in rows)
        assert executed == sum(f.size for f in state.fills)
        public = {e["id"] for f in self.room.frames if "executions" in f.channel for e in message(f.text)}
        assert {f.exec_id for f in state.fills} <= public


def message(text: str) -> Any:
    return orjson.loads(text)["params"]["message"]


TestAgainstEvents = AgainstEvents.TestCase
TestAgainstEvents.settings = settings(max_examples=settings().max_examples // 2, stateful_step_count=40)
