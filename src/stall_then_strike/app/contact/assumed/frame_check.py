"""What the checks of a session's raw frames have in common, whatever the venue."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from stall_then_strike.app.contact.assumed.deviations import Deviations
from stall_then_strike.app.contact.assumed.heard import ChannelFigures, Heard

_MID_SHARE: Final = 0.02
"""Share of messages whose mid may disagree: one in 219 did at bitFlyer, after a lost deletion."""
_MID_FEW: Final = 3


class FrameCheck(ABC):
    """A `FrameTap` that notes deviations."""

    def __init__(self, deviations: Deviations) -> None:
        """Nothing was heard yet."""
        self._found, self._add = deviations, deviations.add
        self._heard: dict[str, Heard] = {}
        self._refused: Mapping[str, int] = {}
        self._checked = self._agreed = 0
        self._mid: Any = None
        """The first message whose mid disagreed; None if all agreed."""
        self.is_connected = False
        self.connects = 0
        self.frames = 0
        self.last_ns = 0
        """When the last frame came."""

    # --- as a tap

    def on_connected(self, now_ns: int) -> None:
        """A connection was made."""
        self.is_connected = True
        self.connects += 1

    def on_dropped(self, now_ns: int, why: str) -> None:
        """The connection was lost."""
        self.is_connected = False
        for heard in self._heard.values():  # it may have been given up because one was silent
            if heard.last_ns is not None:
                heard.gaps_ns.append(now_ns - heard.last_ns)
                heard.last_ns = None
        self._add("the connection was lost", expected="it lasts", seen=why)

    def on_frame(self, data: bytes, recv_ns: int) -> None:
        """Check one text frame."""
        self.frames += 1
        self.last_ns = recv_ns
        try:
            message = orjson.loads(data)
        except ValueError as error:
            shown = data[:200].decode(errors="replace")
            self._add("a frame is not JSON", "JSON", str(error), shown, is_grave=True)
            return
        self._on_message(message, recv_ns)

    @abstractmethod
    def _on_message(self, message: Any, recv_ns: int) -> None:
        """Check one message."""

    def _note_refused(self, refused: Mapping[str, int], message: Any) -> None:
        """Note what the trader's decoder has refused of a message, by its counts."""
        for what, count in refused.items():
            if count != self._refused.get(what, 0):
                name = f"the parser refuses: {what}"
                self._add(name, "it reads every message", "it cannot read this one", message, is_grave=True)
        self._refused = dict(refused)

    # --- over time

    def _judge_mid(self, expected: str, how: str) -> None:
        differ = self._checked - self._agreed
        if self._mid is not None and differ > max(_MID_FEW, _MID_SHARE * self._checked):
            seen = f"{how} in {differ:,} of {self._checked:,} messages"
            self._add("mid_price is not the book's", expected, seen, self._mid, is_grave=True)

    def figures(self) -> Sequence[ChannelFigures]:
        """What each channel did."""
        return [heard.figures(name) for name, heard in sorted(self._heard.items())]

    @property
    def mids(self) -> tuple[int, int]:
        """Messages whose mid was compared, and those that agreed."""
        return self._checked, self._agreed
