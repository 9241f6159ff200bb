"""Faults inside bitFlyer's frames: wrong figures, missing fields, executions that never were.

The faults of time, and the windows, are in `frame_faults.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import Any, Final

from stall_then_strike.sim.bitflyer.ledger import Fill
from stall_then_strike.sim.bitflyer.private_venue import PrivateVenue
from stall_then_strike.sim.bitflyer.private_wire import EVENTS_CHANNEL, Number, PrivateWire
from stall_then_strike.sim.bitflyer.venue_account import ChildOrder, ChildState
from stall_then_strike.sim.bitflyer.wire import Wire
from stall_then_strike.sim.exchange.several_markets import products_of
from stall_then_strike.sim.exchange.source import Frame, MarketSource
from stall_then_strike.sim.faults.frame_faults import FrameFaults
from stall_then_strike.sim.faults.injector import ArmedFault, FaultInjector
from stall_then_strike.sim.faults.kinds import Fault, FaultKind
from stall_then_strike.sim.faults.scene import FaultScene
from stall_then_strike.types.dto import ExecId, OrderId
from stall_then_strike.types.instrument import Ticks
from stall_then_strike.types.text import plain

_PHANTOM_STEP: Final = 1_000_000
"""Distance of phantom ids from the newest real id: the market needs days to reach them."""
_MID: Final = '"mid_price":'


class FaultyFeed(FrameFaults[MarketSource]):
    """A market source with faults."""

    def __init__(
        self, source: MarketSource, faults: FaultInjector, scene: FaultScene, private: PrivateVenue | None = None
    ) -> None:
        """Nobody else may advance ``source``."""
        super().__init__(source, faults, scene)
        self._private = private
        self._products = products_of(source)
        self._private_wire = PrivateWire(source.instrument)
        self._phantoms = 0
        self._edits: dict[FaultKind, Callable[[Fault, Frame], Frame]] = {
            FaultKind.WRONG_MID: self._with_wrong_mid,
            FaultKind.WRONG_OUTSTANDING: self._with_wrong_outstanding,
            FaultKind.LOSE_FIELDS: self._without_fields,
        }

    # --- inside a frame -------------------------------------------------------------------------------------------

    def _split(self, frame: Frame, event: str) -> tuple[Frame, list[Frame]] | None:
        """A frame with the events of a type, and frames with the others; None without an event of that type."""
        if frame.channel != EVENTS_CHANNEL:
            return None
        rows = _rows(frame)
        hit = [row for row in rows if row.get("event_type") == event]
        if not hit:
            return None
        if len(hit) == len(rows):
            return frame, []
        rest = [row for row in rows if row.get("event_type") != event]
        return self._with_rows(frame, hit), [self._with_rows(frame, rest)]

    def _defers(self, one: ArmedFault, hit: Frame) -> bool:
        if one.fault.kind is not FaultKind.PHANTOM_EXECUTION:
            return False
        self._plan_phantoms(one, hit)
        return True

    def _edited(self, one: ArmedFault, frame: Frame) -> Frame | None:
        edit = self._edits.get(one.fault.kind)
        return None if edit is None else edit(one.fault, frame)

    def _with_rows(self, frame: Frame, rows: list[dict[str, Any]]) -> Frame:
        return replace(frame, text=self._private_wire.message(rows))

    def _with_wrong_mid(self, fault: Fault, frame: Frame) -> Frame:
        head, found, tail = frame.text.partition(_MID)
        if not found:
            return frame
        digits, comma, rest = tail.partition(",")
        unit = next(one.instrument for code, one in self._products.items() if frame.channel.endswith(f"_{code}"))
        mid = unit.to_ticks(Decimal(digits))
        return replace(frame, text=f"{head}{found}{Wire(unit).price(Ticks(mid + fault.ticks))}{comma}{rest}")

    def _with_wrong_outstanding(self, fault: Fault, frame: Frame) -> Frame:
        rows = _rows(frame)
        for row in rows:
            if row.get("outstanding_size") is None:  # removed by another fault
                continue
            unit = self._products[row["product_code"]].instrument if "product_code" in row else self.source.instrument
            wrong = Decimal(row["outstanding_size"]) + unit.size(fault.lots)
            row["outstanding_size"] = Number(plain(wrong))
        return self._with_rows(frame, rows)

    def _without_fields(self, fault: Fault, frame: Frame) -> Frame:
        return self._with_rows(frame, [fault.stripped(row) for row in _rows(frame)])

    # --- phantom executions ---------------------------------------------------------------------------------------

    def _plan_phantoms(self, one: ArmedFault, registered: Frame) -> None:
        if one.is_on(registered.time_ns) and registered.account is not None:
            for row in _rows(registered):
                if row.get("child_order_acceptance_id") is not None:
                    phantom = partial(self._phantom, one, registered.account, row["child_order_acceptance_id"])
                    self._wait(registered.time_ns + one.fault.span_ns, phantom)

    def _phantom(self, one: ArmedFault, account: str, acceptance_id: str, now_ns: int) -> Frame | None:
        """An EXECUTION of an order's remaining size, if the order is live then and the fault strikes."""
        found = self._live(account, acceptance_id)
        if found is None or found[1].state is not ChildState.ACTIVE or not one.strikes(now_ns):
            return None
        source, order = found
        newest = max((execution.exec_id for execution in source.executions()), default=2_600_000_000)
        self._phantoms += 1
        fill = Fill(
            exec_id=ExecId(newest + _PHANTOM_STEP + self._phantoms),
            time_ns=now_ns,
            side=order.side,
            price=order.price or source.depth(1).mid,
            size=order.remaining,
            order_id=order.acceptance_id,
            registered_id=order.registered_id,
        )
        row = {**PrivateWire(source.instrument).executed(order, fill), "outstanding_size": 0}
        text = self._private_wire.message([row])
        return Frame(time_ns=now_ns, channel=EVENTS_CHANNEL, text=text, account=account)

    def _live(self, name: str, acceptance_id: str) -> tuple[MarketSource, ChildOrder] | None:
        """An account's live order, and its product."""
        for code, venue in {} if self._private is None else self._private.products.items():
            account = venue.accounts.get(name)
            order = None if account is None else account.live.get(OrderId(acceptance_id))
            if order is not None:
                return self._products[code], order
        return None


def _rows(frame: Frame) -> list[dict[str, Any]]:
    """The events of a message; numbers keep their digits."""
    rows: list[dict[str, Any]] = json.loads(frame.text, parse_int=Number, parse_float=Number)["params"]["message"]
    return rows
