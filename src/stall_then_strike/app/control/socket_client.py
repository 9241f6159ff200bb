"""Asks the daemon over its Unix socket. Every question has a time limit."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final, NamedTuple

import aiohttp
import orjson

from stall_then_strike.app.control.socket_name import short_name

_LIMIT: Final = aiohttp.ClientTimeout(total=15)
_MOST_BYTES: Final = 4_000_000


class Told(NamedTuple):
    """The daemon's answer."""

    is_done: bool
    text: str
    content: dict[str, Any]
    """The whole answer, empty if it was not JSON."""


class NoRun(Exception):
    """Nobody answers at the socket."""


async def ask(path: Path, method: str, what: str, body: dict[str, str] | None = None) -> Told:
    """Send one request. Raises NoRun, also for a socket that another user has put there."""
    try:
        _check_owner(path)
        with short_name(path) as name:
            async with (
                aiohttp.ClientSession(connector=aiohttp.UnixConnector(name), timeout=_LIMIT) as session,
                session.request(method, f"http://daemon/{what}", json=body) as answer,
            ):
                raw = await answer.content.read(_MOST_BYTES)
                while (more := await answer.content.read(_MOST_BYTES)) and len(raw) <= _MOST_BYTES:
                    raw += more
                content = orjson.loads(raw) if answer.content_type == "application/json" else {}
                if not isinstance(content, dict):
                    raise NoRun(f"{path}: no run answers there")
                return Told(answer.status == 200, content.get("text") or raw.decode(errors="replace"), content)
    except TimeoutError as error:
        raise NoRun(f"{path}: no answer in {_LIMIT.total:.0f} s") from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise NoRun(f"{path}: {why}") from error


def _check_owner(path: Path) -> None:
    """Raise NoRun for the socket, or a link, of a user who is neither us nor root; OSError if there is none.

    Root may ask any user's run.
    """
    me, owner = os.geteuid(), path.lstat().st_uid
    if me and owner not in (0, me):
        raise NoRun(f"{path}: it belongs to user {owner}, whose answers are not believed")
