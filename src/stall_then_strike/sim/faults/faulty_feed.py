"""Faults of frames: lost, late, duplicated, reordered or wrong.

It wraps a :class:`~stall_then_strike.sim.exchange.source.MarketSource` and is passive like it. Late frames wait in its
own outbox and leave by their stamps, and windows begin and end by theirs, so that everything happens in venue time at
any speed and in virtual time. While the injector is idle and nothing waits, frames pass through unchanged.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from fnmatch import fnmatchcase
from heapq import heappop, heappush
from typing import Any, Final

from stall_then_strike.sim.bitflyer.ledger import Fill
from stall_then_strike.sim.bitflyer.private_venue import PrivateVenue
from stall_then_strike.sim.bitflyer.private_wire import EVENTS_CHANNEL, Number, PrivateWire
from stall_then_strike.sim.bitflyer.venue_account import ChildOrder, ChildState
from stall_then_strike.sim.bitflyer.wire import Wire
from stall_then_strike.sim.exchange.markets import products_of
from stall_then_strike.sim.exchange.source import CONTROL_PREFIX, Frame, MarketSource
from stall_then_strike.sim.faults.injector import ArmedFault, FaultInjector
from stall_then_strike.sim.faults.kinds import Fault, FaultKind, Site
from stall_then_strike.sim.faults.scene import FaultScene
from stall_then_strike.types.dto import ExecId, OrderId
from stall_then_strike.types.instrument import Ticks
from stall_then_strike.types.text import plain

_PHANTOM_STEP: Final = 1_000_000
"""Distance of phantom ids from the newest real id: the market needs days to reach them."""
_MID: Final = '"mid_price":'


@dataclass(frozen=True, slots=True)
class _Phantom:
    """A planned phantom execution; it is sent if its order is still live then."""

    armed: ArmedFault
    account: str
    acceptance_id: str


_Waiting = Frame | _Phantom


class FaultyFeed:
    """A market source with faults; the exchange advances it in place of its source."""

    def __init__(
        self, source: MarketSource, faults: FaultInjector, scene: FaultScene, private: PrivateVenue | None = None
    ) -> None:
        """Nobody else may advance ``source``."""
        self._source = source
        self._faults = faults
        self._scene = scene
        self._private = private
        self._products = products_of(source)
        self._private_wire = PrivateWire(source.instrument)
        self._waiting: list[tuple[int, int, _Waiting]] = []
        self._entered = 0
        self._swapped: dict[tuple[str, str | None], list[int]] = {}
        """Outbox numbers of the frames that change places with the next frame of their channel and account."""
        self._phantoms = 0
        self._edits: dict[FaultKind, Callable[[Fault, Frame], Frame]] = {
            FaultKind.WRONG_MID: self._with_wrong_mid,
            FaultKind.WRONG_OUTSTANDING: self._with_wrong_outstanding,
            FaultKind.LOSE_FIELDS: self._without_fields,
        }

    # --- as a source ----------------------------------------------------------------------------------------------

    def next_wake_ns(self) -> int | None:
        """When :meth:`advance` next has something to do; None when the market has ended and no frame waits."""
        wake_ns = self._source.next_wake_ns()
        moments = [] if wake_ns is None else [wake_ns, *self._scene_moments()]
        if self._waiting:
            moments.append(self._waiting[0][0])
        return min(moments, default=None)

    def advance(self, until_ns: int) -> list[Frame]:
        """Advance to a time and return the frames that left by then, in order."""
        if self._faults.is_idle and not self._waiting:
            return self._source.advance(until_ns)
        sent: list[Frame] = []
        while (moment_ns := min(self._scene_moments(), default=until_ns + 1)) <= until_ns:
            sent += self._walk(moment_ns)
            sent += self._turn(moment_ns)
        sent += self._walk(until_ns)
        self._faults.forget(until_ns)
        return sent

    # --- windows --------------------------------------------------------------------------------------------------

    def _scene_moments(self) -> list[int]:
        moments = []
        for one in self._faults.at(Site.SCENE):
            moment_ns = one.to_ns if one.has_begun else one.from_ns
            if moment_ns is not None:
                moments.append(moment_ns)
        return moments

    def _turn(self, moment_ns: int) -> list[Frame]:
        """Begin and end the scenes that are due. A time in the past (the fault was just injected) means now."""
        now_ns = max(moment_ns, self._source.now_ns)
        frames: list[Frame] = []
        for one in list(self._faults.at(Site.SCENE)):
            if not one.has_begun and one.from_ns <= moment_ns:
                frames += self._scene.begin(one, now_ns)
                if one.to_ns is None and one.fault.quiet_from_s is not None:  # over as soon as begun
                    frames += self._scene.end(one, now_ns)
            elif one.has_begun and one.to_ns is not None and one.to_ns <= moment_ns:
                frames += self._scene.end(one, now_ns)
        return frames

    # --- frames ---------------------------------------------------------------------------------------------------

    def _walk(self, until_ns: int) -> list[Frame]:
        sent: list[Frame] = []
        for frame in self._source.advance(until_ns):
            sent += self._due(frame.time_ns)
            if frame.channel.startswith(CONTROL_PREFIX):
                sent.append(frame)
                continue
            # The frames that wait for this one are released even if this one is held back itself.
            passed = self._swapped.pop((frame.channel, frame.account), [])
            sent += self._through(frame)
            sent += self._now(passed, frame.time_ns)
        return sent + self._due(until_ns)

    def _due(self, until_ns: int) -> list[Frame]:
        frames: list[Frame] = []
        while self._waiting and self._waiting[0][0] <= until_ns:
            time_ns, _, waiting = heappop(self._waiting)
            frame = self._phantom(waiting, time_ns) if isinstance(waiting, _Phantom) else waiting
            if frame is not None:
                frames.append(replace(frame, time_ns=time_ns))
        return frames

    def _now(self, numbers: list[int], now_ns: int) -> list[Frame]:
        """Release the frames that waited for the one that just passed."""
        if not numbers:
            return []
        taken = [entry for entry in self._waiting if entry[1] in numbers]
        self._waiting = sorted(entry for entry in self._waiting if entry[1] not in numbers)
        return [replace(frame, time_ns=now_ns) for _, _, frame in sorted(taken) if isinstance(frame, Frame)]

    def _wait(self, time_ns: int, waiting: _Waiting) -> int:
        self._entered += 1
        heappush(self._waiting, (time_ns, self._entered, waiting))
        return self._entered

    def _through(self, frame: Frame) -> list[Frame]:
        frames = [frame]
        for one in list(self._faults.at(Site.FRAME)):
            frames = [result for f in frames for result in self._struck(one, f)]
        return frames

    def _struck(self, one: ArmedFault, frame: Frame) -> list[Frame]:
        """The frames that leave now after one fault may have struck a frame."""
        fault = one.fault
        if not fnmatchcase(frame.channel, fault.channel or fault.spec.channel):
            return [frame]
        event = fault.event or fault.spec.event
        hit, rest = frame, list[Frame]()
        if event is not None:
            split = self._split(frame, event)
            if split is None:
                return [frame]
            hit, rest = split
        if fault.kind is FaultKind.PHANTOM_EXECUTION:
            self._plan_phantoms(one, hit)
            return [frame]
        if not one.strikes(frame.time_ns):
            return [frame]
        if (edit := self._edits.get(fault.kind)) is not None:
            return [*rest, edit(fault, hit)]
        return self._displaced(one, frame, hit, rest)

    def _displaced(self, one: ArmedFault, frame: Frame, hit: Frame, rest: list[Frame]) -> list[Frame]:
        """The frames that leave now when a fault of time strikes. ``frame`` is split into ``hit`` and ``rest``."""
        late_ns = frame.time_ns + one.fault.span_ns
        match one.fault.kind:
            case FaultKind.LOSE_FRAME:
                pass
            case FaultKind.DELAY_FRAME:
                self._wait(late_ns, hit)
            case FaultKind.DUPLICATE_FRAME:
                if late_ns == frame.time_ns:
                    return [frame, hit]
                self._wait(late_ns, hit)
                return [frame]
            case FaultKind.REORDER_FRAME:
                self._swapped.setdefault((hit.channel, hit.account), []).append(self._wait(late_ns, hit))
            case FaultKind.FREEZE_FEED:
                if one.fault.backlog and one.to_ns is not None:
                    self._wait(one.to_ns, hit)
            case _:
                raise AssertionError(f"{one.fault.kind.value} does not strike frames")
        return rest

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
            unit = self._products[row["product_code"]].instrument if "product_code" in row else self._source.instrument
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
                    phantom = _Phantom(one, registered.account, row["child_order_acceptance_id"])
                    self._wait(registered.time_ns + one.fault.span_ns, phantom)

    def _phantom(self, phantom: _Phantom, now_ns: int) -> Frame | None:
        """An EXECUTION of an order's remaining size, if the order is live and the fault strikes."""
        found = self._live(phantom)
        if found is None or found[1].state is not ChildState.ACTIVE or not phantom.armed.strikes(now_ns):
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
        return Frame(time_ns=now_ns, channel=EVENTS_CHANNEL, text=text, account=phantom.account)

    def _live(self, phantom: _Phantom) -> tuple[MarketSource, ChildOrder] | None:
        """The live order that a phantom is planned for, and its product."""
        for code, venue in {} if self._private is None else self._private.products.items():
            account = venue.accounts.get(phantom.account)
            order = None if account is None else account.live.get(OrderId(phantom.acceptance_id))
            if order is not None:
                return self._products[code], order
        return None


def _rows(frame: Frame) -> list[dict[str, Any]]:
    """The events of a message; numbers keep their digits."""
    rows: list[dict[str, Any]] = json.loads(frame.text, parse_int=Number, parse_float=Number)["params"]["message"]
    return rows
