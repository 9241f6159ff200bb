"""Serves the console: NiceGUI's pages behind the front door, both behind the guard, in one event loop.

NiceGUI keeps nothing: it is given no storage secret, so it makes no cookies and no files, and no history of messages,
so a browser that comes back loads its page anew. Browsers speak over WebSockets only.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvicorn
from fastapi import FastAPI
from nicegui import app as nicegui_app
from nicegui import core, ui

from stall_then_strike.app.shell import cli
from stall_then_strike.app.web.front_door import FrontDoor
from stall_then_strike.app.web.guard import MOST_SOCKETS, Guard
from stall_then_strike.app.web.pages import Desk, add_pages, is_watched
from stall_then_strike.app.web.places import Places
from stall_then_strike.app.web.poller import Poller
from stall_then_strike.app.web.sessions import Sessions
from stall_then_strike.app.web.why_asking import WhyDesk
from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.clock import SystemClock

_MOST_MESSAGE: Final = 64 * 1024
"""Largest message from a browser, bytes."""
_RECONNECT_S: Final = 10.0
_ICON: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#1d5fbf"/>'
    '<path d="M6 20h8v-8h6v4h6" fill="none" stroke="#fff" stroke-width="3"/></svg>'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What was asked for on the command line."""

    log_dir: Path
    run: str | None
    """Which of its runs; None for the newest."""
    cfg: AppConfig
    why_flags: tuple[str, ...]
    """What ``why`` is given besides the question."""
    host: str
    port: int
    names: tuple[str, ...]
    """By which browsers may ask, besides those of loopback."""


class _Server(uvicorn.Server):
    """Uvicorn without signal handlers, as the command has its own; it says when it listens."""

    def __init__(self, config: uvicorn.Config, on_open: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_open = on_open

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets)
        self._on_open()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None of them."""
        yield


async def serve(wanted: Wanted, sessions: Sessions, tell: Callable[[str], None]) -> None:
    """Serve until a stop signal comes. ``tell`` is given the address once it is open. Raises OSError."""
    clock = SystemClock()
    config = uvicorn.Config(
        "",
        ws="websockets-sansio",
        ws_max_size=_MOST_MESSAGE,
        log_level="warning",
        access_log=False,
        server_header=False,
        limit_concurrency=2 * MOST_SOCKETS,
        timeout_keep_alive=10,
        timeout_graceful_shutdown=2,
        h11_max_incomplete_event_size=16 * 1024,
        proxy_headers=False,
    )
    family = socket.AF_INET6 if ":" in wanted.host else socket.AF_INET
    door = socket.create_server((wanted.host, wanted.port), family=family)
    port = door.getsockname()[1]
    cookie = f"sts_console_{port}"  # cookies do not know ports: two consoles on one machine need two names
    places = Places(wanted.log_dir, wanted.cfg, wanted.run)
    poller = Poller(lambda: places.socket, is_watched, clock)
    why = WhyDesk(wanted.why_flags)
    desk = Desk(poller=poller, clock=clock, places=places, why=why)
    app = _application(desk, FrontDoor(sessions, poller, clock, cookie))
    config.app = Guard(app, sessions, clock, cookie, wanted.names)
    server = _Server(config, lambda: tell(f"http://{f'[{wanted.host}]' if ':' in wanted.host else wanted.host}:{port}"))

    def stop(_: str) -> None:
        server.should_exit = True

    with cli.signals_heard(stop):
        async with asyncio.TaskGroup() as tasks:
            owned = [tasks.create_task(part) for part in (poller.run(), desk.follow_log())]
            await server.serve(sockets=[door])
            for task in owned:
                task.cancel()


def _application(desk: Desk, door: FrontDoor) -> FastAPI:
    add_pages(desk)
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, routes=[*door.routes()])
    ui.run_with(
        app,
        title="stall then strike",
        favicon=_ICON,
        dark=None,
        reconnect_timeout=_RECONNECT_S,
        message_history_length=0,
        gzip_middleware_factory=None,
        tailwind=False,
        show_welcome_message=False,
    )
    nicegui_app.config.socket_io_js_transports = ["websocket"]
    core.sio.eio.transports = ["websocket"]
    core.sio.eio.max_http_buffer_size = _MOST_MESSAGE
    return app
