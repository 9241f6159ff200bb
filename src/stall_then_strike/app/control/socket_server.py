"""The daemon's Unix socket: HTTP with JSON, for the user of the process and for root.

``GET /status`` is the run, ``GET /reload`` what new settings would change, ``POST /VERB`` a command with the body
``{"reason": TEXT}``. The socket's mode is 0600 from its first moment. The kernel says whose process is on the other
side (``SO_PEERCRED``); another user's is sent away before a byte of it is read, also if somebody has changed the mode.
"""

from __future__ import annotations

import os
import pwd
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import orjson
from aiohttp import web
from loguru import logger
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stall_then_strike.app.control.command_desk import CommandDesk
from stall_then_strike.app.control.doorway import MOST_BYTES, Doorway, plain_answer
from stall_then_strike.app.control.socket_name import short_name
from stall_then_strike.app.control.verbs import Act, Verb, one_line
from stall_then_strike.app.view.plain_snapshot import answer_of
from stall_then_strike.app.view.snapshot import Snapshot
from stall_then_strike.app.view.summary import minute_line
from stall_then_strike.types.errors import ConfigError

_CREDENTIALS: Final = struct.Struct("3i")  # pid, uid, gid (unix(7))


class CommandBody(BaseModel):
    """The body of a command."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    reason: str = Field(default="", max_length=1000)
    seen: str = Field(default="", max_length=12, pattern="^[0-9a-f]*$")


class SocketServer:
    """Commands and status of one run."""

    def __init__(self, path: Path, desk: CommandDesk, snapshot: Callable[[], Snapshot]) -> None:
        """Make the socket; a run holds its log folder, so one that is there is left from a killed process.

        Raises OSError.
        """
        self._path, self._desk, self._snapshot = path, desk, snapshot
        self._seen: Snapshot | None = None
        self._encoded = b""
        me = os.geteuid()
        self._names = {0: "root", me: _name_of(me)}
        app = web.Application(client_max_size=MOST_BYTES)
        app.router.add_get("/status", self._status)
        app.router.add_get("/reload", self._preview)
        for verb in Verb:
            app.router.add_post(f"/{verb.value}", self._command)
        self._door = _listen(path)
        self._inode = path.stat().st_ino
        self._doorway = Doorway(self._door, app, self._admit)

    async def serve(self) -> None:
        """Serve until cancelled, then remove the socket."""
        try:
            await self._doorway.serve()
        finally:
            with suppress(OSError):
                if self._path.stat().st_ino == self._inode:
                    self._path.unlink()

    def _admit(self, visitor: socket.socket) -> str | None:
        _, uid, _ = _CREDENTIALS.unpack(visitor.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        if uid not in self._names:
            logger.warning("operator: user {} is not let in", uid)
            return None
        return self._names[uid]

    # --- requests

    async def _status(self, request: web.Request) -> web.Response:
        seen = self._snapshot()
        if seen is not self._seen:
            self._seen = seen
            self._encoded = answer_of(seen, status_text(seen))
        answer = web.Response(body=self._encoded, content_type="application/json")
        answer.force_close()
        return answer

    async def _preview(self, request: web.Request) -> web.Response:
        reloading = self._desk.reloading
        if reloading is None:
            return plain_answer("this run's settings cannot be read anew", 409)
        try:
            preview = await reloading.preview()
        except ConfigError as error:
            return plain_answer(f"nothing is changed: {error}", 409)
        return _json({"text": preview.text(), "digest": preview.digest}, 200)

    async def _command(self, request: web.Request) -> web.Response:
        try:
            body = CommandBody.model_validate_json(await request.read() or b"{}")
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
            return plain_answer(f"not understood: {wrong}", 400)
        act = Act(Verb(request.path[1:]), f"{self._doorway.guest(request)} over the socket", one_line(body.reason))
        done = await self._desk.act(act, body.seen)
        return _json({"done": done.is_done, "text": done.text}, 200 if done.is_done else 409)


def status_text(seen: Snapshot) -> str:
    """The run in some lines, for a person."""
    lines = [f"{seen.mode}, {minute_line(seen)}"]
    if seen.halt is not None:
        lines.append(f"HALTED: {seen.halt.reason} {seen.halt.detail}".rstrip())
    if seen.paused:
        lines.append("PAUSED by the operator" + (", and no position may be held" if seen.paused == "flatten" else ""))
    for one in seen.instruments:
        lines += [
            f"{one.product} {order.side} {order.remaining:f} @ {order.price or 'market'} {order.state}"
            for order in one.orders
        ]
    return "\n".join(lines)


def _json(content: dict[str, Any], status: int) -> web.Response:
    answer = web.Response(body=orjson.dumps(content), status=status, content_type="application/json")
    answer.force_close()
    return answer


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _listen(path: Path) -> socket.socket:
    """A listening socket that only its owner may open."""
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        with suppress(FileNotFoundError):
            path.unlink()
        os.fchmod(door.fileno(), 0o600)  # Linux makes the file with the mode of the socket, so it is never wider
        with short_name(path) as name:
            door.bind(name)
        path.chmod(0o600)
        door.listen(16)
    except OSError:
        door.close()
        raise
    return door
