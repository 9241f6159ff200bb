"""A socket that keeps the reason text of the venue's close frame, which pybotters and aiohttp drop.

Venue fact (other people's logs): the daily maintenance closes with 1012 and ``scheduled maintenance``.
"""

from __future__ import annotations

from typing import Any, Final

import aiohttp
import pybotters
from pybotters.ws import ClientWebSocketResponse

_LONGEST: Final = 123
"""Most bytes of a close frame's text, by the protocol."""


class HearingSocket(ClientWebSocketResponse):
    """pybotters' socket with ``close_words``."""

    close_words = ""
    """The venue's reason as one printable line; empty if it gave none."""

    async def receive(self, *args: Any, **kwargs: Any) -> Any:
        """Read the next message."""
        message: Any = await super().receive(*args, **kwargs)
        if message.type is aiohttp.WSMsgType.CLOSE:
            self.close_words = close_words(message)
        return message


def close_words(message: aiohttp.WSMessage) -> str:
    """The reason of a close frame as one printable line; empty if it gives none."""
    words = message.extra if isinstance(message.extra, str) else ""
    return "".join(c if c.isprintable() else " " for c in words[:_LONGEST])


def hear_closes(client: pybotters.Client) -> None:
    """Make the client use this class for its sockets; pybotters has no option for that."""
    client._session._ws_response_class = HearingSocket  # noqa: SLF001 - there is no public way
