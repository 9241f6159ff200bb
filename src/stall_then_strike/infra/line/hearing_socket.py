"""pybotters' socket, with what pybotters and aiohttp leave out: prompt frames, and the reason text of a close frame.

pybotters hands a frame over two turns of the event loop after it has read it. Here the frame's handler is called where
it is read, as soon as the login is over: while pybotters waits for its answer, it gets the frames itself.

Venue fact (other people's logs): the daily maintenance closes with 1012 and ``scheduled maintenance``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import aiohttp
import pybotters
from pybotters.ws import ClientWebSocketResponse

_LONGEST: Final = 123
"""Most bytes of a close frame's text, by the protocol."""
_TEXT: Final = aiohttp.WSMsgType.TEXT


class HearingSocket(ClientWebSocketResponse):
    """pybotters' socket, which calls a handler of text frames itself and has ``close_words``."""

    close_words = ""
    """The venue's reason as one printable line; empty if it gave none."""

    def __init__(self, on_text: Callable[[bytes, ClientWebSocketResponse], None], *args: Any, **kwargs: Any) -> None:
        """``on_text`` gets all text frames after the login; it must not raise."""
        super().__init__(*args, **kwargs)
        self._on_text = on_text

    async def receive(self, *args: Any, **kwargs: Any) -> Any:
        """Read until there is a message for pybotters."""
        while True:
            message: Any = await super().receive(*args, **kwargs)
            if message.type is not _TEXT or not self._is_logged_in():
                break
            self._on_text(message.data, self)
        if message.type is aiohttp.WSMsgType.CLOSE:
            self.close_words = close_words(message)
        return message

    def _is_logged_in(self) -> bool:
        """Whether pybotters' login is over, or there is none."""
        login = self.__dict__.get("_authtask")
        return login is None or login.done()


def close_words(message: aiohttp.WSMessage) -> str:
    """The reason of a close frame as one printable line; empty if it gives none."""
    words = message.extra if isinstance(message.extra, str) else ""
    return "".join(c if c.isprintable() else " " for c in words[:_LONGEST])


def use_hearing_sockets(client: pybotters.Client, on_text: Callable[[bytes, ClientWebSocketResponse], None]) -> None:
    """Make the client use this class for its sockets; pybotters has no option for that."""
    client._session._ws_response_class = partial(HearingSocket, on_text)  # type: ignore[assignment] # noqa: SLF001 - there is no public way
