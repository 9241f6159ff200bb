"""The channels of a connection: the requests to subscribe, and which of them the venue did not grant.

Every request has an id, because the venue acknowledges only requests with one. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class FailedSubscription:
    """A subscription that failed."""

    channel: str
    refusal: str | None
    """The venue's message; None if it did not answer."""


class Subscriptions:
    """The same channels on every connection, in this order."""

    def __init__(self, channels: Iterable[str], replies: Mapping[int, str | None]) -> None:
        """``replies`` is filled as answers arrive, by request id: None is an acknowledgement, a text a refusal."""
        self.channels = dict(enumerate(channels, start=1))
        """Channels by request id."""
        self._ids = {channel: number for number, channel in self.channels.items()}
        self._replies = replies

    def requests(self) -> list[dict[str, Any]]:
        """The requests to send on a new connection."""
        return [
            {"method": "subscribe", "params": {"channel": channel}, "id": number}
            for number, channel in self.channels.items()
        ]

    def is_granted(self, channel: str) -> bool:
        """Whether the venue acknowledged the channel."""
        number = self._ids.get(channel, 0)
        return number in self._replies and self._replies[number] is None

    def unanswered(self) -> list[str]:
        """The channels for which no answer has arrived."""
        return [channel for number, channel in self.channels.items() if number not in self._replies]

    def fault(self, *, is_late: bool) -> FailedSubscription | None:
        """The first subscription that failed; an unanswered one counts as failed only if ``is_late``."""
        for number, channel in self.channels.items():
            if number not in self._replies:
                if is_late:
                    return FailedSubscription(channel, None)
            elif (refusal := self._replies[number]) is not None:
                return FailedSubscription(channel, refusal)
        return None
