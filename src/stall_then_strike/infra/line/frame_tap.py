"""Who listens in on a connection: frames as they came, before anybody has read them."""

from __future__ import annotations

from typing import Protocol


class FrameTap(Protocol):
    """Told from within the event loop: must neither wait nor raise."""

    def on_frame(self, data: bytes, recv_ns: int) -> None:
        """One text frame, untouched, with the stamp of its receipt."""
        ...

    def on_connected(self, now_ns: int) -> None:
        """A connection was made; its frames follow."""
        ...

    def on_dropped(self, now_ns: int, why: str) -> None:
        """It is gone."""
        ...
