"""Figures for Prometheus on the loopback address: ``GET /metrics``, and nothing else.

A page in a browser on this machine could reach the port by a name of its own, so the request has to name the loopback
address.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from aiohttp import web

from stall_then_strike.app.control.doorway import MOST_BYTES, Doorway, plain_answer
from stall_then_strike.app.control.metrics_text import CONTENT_TYPE

HOST = "127.0.0.1"
_NAMES = frozenset({HOST, "localhost"})


class MetricsServer:
    """Serves the text that a function makes."""

    def __init__(self, port: int, text: Callable[[], str]) -> None:
        """Listen; ``port`` 0 takes a free one. Raises OSError."""
        self._text = text
        door = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            door.bind((HOST, port))
            door.listen(16)
        except OSError:
            door.close()
            raise
        self.port: int = door.getsockname()[1]
        app = web.Application(client_max_size=MOST_BYTES)
        app.router.add_get("/metrics", self._metrics)
        self._doorway = Doorway(door, app)

    async def serve(self) -> None:
        """Serve until cancelled."""
        await self._doorway.serve()

    async def _metrics(self, request: web.Request) -> web.Response:
        if request.host.partition(":")[0] not in _NAMES:
            return plain_answer("ask for it by 127.0.0.1 or localhost", 403)
        answer = web.Response(body=self._text().encode(), headers={"Content-Type": CONTENT_TYPE})
        answer.force_close()
        return answer
