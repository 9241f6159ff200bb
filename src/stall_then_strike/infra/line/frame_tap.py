"""The interface of a listener to a connection: raw frames, before they are parsed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class FrameTap(Protocol):
    """Called in the event loop: must neither block nor raise."""

    def on_frame(self, data: bytes, recv_ns: int) -> None:
        """A text frame arrived; ``data`` is unchanged, ``recv_ns`` the stamp of its receipt."""
        ...

    def on_connected(self, now_ns: int) -> None:
        """A connection was made; its frames follow."""
        ...

    def on_dropped(self, now_ns: int, why: str) -> None:
        """The connection was lost."""
        ...


class Taps:
    """Several listeners to one connection."""

    def __init__(self, taps: Sequence[FrameTap]) -> None:
        """They are called in this order."""
        self._taps = taps

    def on_frame(self, data: bytes, recv_ns: int) -> None:
        """Tell each."""
        for tap in self._taps:
            tap.on_frame(data, recv_ns)

    def on_connected(self, now_ns: int) -> None:
        """Tell each."""
        for tap in self._taps:
            tap.on_connected(now_ns)

    def on_dropped(self, now_ns: int, why: str) -> None:
        """Tell each."""
        for tap in self._taps:
            tap.on_dropped(now_ns, why)
