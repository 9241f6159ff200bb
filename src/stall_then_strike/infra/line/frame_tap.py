"""The interface of a listener to a connection: raw frames, before they are parsed."""

from __future__ import annotations

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
