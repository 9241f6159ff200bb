"""Faults inside the frames of Lighter's stream: offsets that jump, nonces that do not meet, a crossed snapshot.

The faults of time, and the windows, are in `frame_faults.py`. Snapshots do not come from the feed but answer a
subscription; :meth:`LighterFrames.snapshot` lets faults strike them, except those of time.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any, Final

import orjson

from stall_then_strike.sim.exchange.source import Frame
from stall_then_strike.sim.faults.frame_faults import FrameFaults
from stall_then_strike.sim.faults.injector import ArmedFault, FaultInjector
from stall_then_strike.sim.faults.kinds import FaultKind, Site
from stall_then_strike.sim.faults.lighter_scene import LighterScene
from stall_then_strike.sim.lighter.realtime.live_feed import LiveFeed

_IN_SNAPSHOTS: Final = frozenset({FaultKind.LOSE_FRAME, FaultKind.OFFSET_JUMP, FaultKind.CROSSED_SNAPSHOT})
_EDITS: Final = frozenset({FaultKind.OFFSET_JUMP, FaultKind.NONCE_GAP, FaultKind.CROSSED_SNAPSHOT})


class LighterFrames(FrameFaults[LiveFeed]):
    """The live feed with faults."""

    def __init__(self, source: LiveFeed, faults: FaultInjector, scene: LighterScene) -> None:
        """Nobody else may advance ``source``."""
        super().__init__(source, faults, scene)
        self._jumps: Counter[str] = Counter()
        """How far the offset of each book has jumped, by channel."""

    def advance(self, until_ns: int) -> list[Frame]:
        """Advance to a time and return the frames that left by then, in order."""
        frames = super().advance(until_ns)
        return [self._shifted(frame) for frame in frames] if self._jumps else frames

    def snapshot(self, frame: Frame) -> Frame | None:
        """A snapshot as faults leave it; None when it is lost."""
        for one in list(self._faults.at(Site.FRAME)):
            if one.fault.kind in _IN_SNAPSHOTS:
                left = self._struck(one, frame)
                if not left:
                    return None
                frame = left[0]
        return self._shifted(frame)

    def _split(self, frame: Frame, event: str) -> tuple[Frame, list[Frame]] | None:
        return (frame, []) if f'"type":"{event}/' in frame.text else None

    def _edited(self, one: ArmedFault, frame: Frame) -> Frame | None:
        if one.fault.kind not in _EDITS:
            return None
        message: dict[str, Any] = orjson.loads(frame.text)
        book = message.get("order_book")
        if book is None:
            return frame
        if one.fault.kind is FaultKind.OFFSET_JUMP:
            self._jumps[frame.channel] += one.fault.by
            return frame
        if one.fault.kind is FaultKind.NONCE_GAP:
            book["begin_nonce"] += one.fault.by
        elif book["bids"] and book["asks"]:
            book["asks"][0]["price"] = book["bids"][min(1, len(book["bids"]) - 1)]["price"]
        return replace(frame, text=orjson.dumps(message).decode())

    def _shifted(self, frame: Frame) -> Frame:
        by = self._jumps.get(frame.channel, 0)
        if not by:
            return frame
        message: dict[str, Any] = orjson.loads(frame.text)
        message["offset"] += by
        message["order_book"]["offset"] += by
        return replace(frame, text=orjson.dumps(message).decode())
