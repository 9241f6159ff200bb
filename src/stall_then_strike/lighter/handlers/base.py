"""What all handlers of Lighter's channels have in common.

A handler belongs to one channel of one market (or account) and turns its decoded messages into values. It knows no
socket and no clock, so that recorded messages take the same path as live ones.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Final, Generic, TypeVar

Message = dict[str, Any]
V = TypeVar("V", covariant=True)


class Unreadable(ValueError):
    """A message of the channel has not its form."""


class Handler(ABC, Generic[V]):
    """Messages of one channel in, values out."""

    def __init__(self, kind: str, subject: int | str) -> None:
        """``kind`` is the channel's, such as ``order_book``; ``subject`` its market, account or ``all``."""
        self.kind: Final = kind
        self.channel: Final = f"{kind}/{subject}"
        """The name in requests."""
        self.wire_name: Final = f"{kind}:{subject}"
        """The name in messages."""
        self._first, self._later = f"subscribed/{kind}", f"update/{kind}"

    def can_handle(self, message: Mapping[str, Any]) -> bool:
        """Whether it is a message of this channel."""
        return message.get("type") in (self._first, self._later) and message.get("channel") == self.wire_name

    def is_first(self, message: Mapping[str, Any]) -> bool:
        """Whether it is the first message of a subscription, which holds what there is already."""
        return message.get("type") == self._first

    @abstractmethod
    def handle(self, message: Message, recv_ns: int) -> V | None:
        """The value of a message; None if it tells nothing new. Raises Unreadable."""

    def on_gap(self) -> None:
        """Messages may have been missed: what is known may be out of date until the next first message."""
