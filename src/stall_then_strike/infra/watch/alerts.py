"""Alerts to the operator through apprise: mail, chats, push messages, anything it has a URL for.

An alert must never disturb trading. ``send`` puts it into a bounded queue and returns; one daemon thread talks to the
sinks one after the other, because apprise uses blocking HTTP. A hanging sink delays other alerts, and the end of the
program by at most :data:`CLOSE_S`, but never the event loop.

The URLs contain tokens and passwords. No text, log line, error or ``repr`` from here shows one: a sink is identified by
its position in the list. The logs of apprise and its HTTP library are switched off, because they do show them.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import warnings
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from dotenv import dotenv_values
from loguru import logger

from stall_then_strike.infra.clock import Clock
from stall_then_strike.types.dto import NS_PER_S
from stall_then_strike.types.errors import ConfigError

if TYPE_CHECKING:
    from apprise import Apprise, NotifyType

URLS_VARIABLE: Final = "STALL_ALERT_URLS"
QUEUE_ALERTS: Final = 100
"""Alerts that may wait for a slow sink; beyond that the oldest that is not urgent is dropped."""
CLOSE_S: Final = 2.0
"""How long closing waits for undelivered alerts, in seconds."""

_SILENCED: Final = ("apprise", "urllib3", "requests", "requests_oauthlib", "oauthlib")


class AlertKind(StrEnum):
    """The subject of an alert. The pause between alerts applies to each kind separately."""

    HALT = "halt"
    """Trading has stopped until the operator or the next trading day."""
    WATCHDOG = "watchdog"
    """The watchdog acted, or cannot act."""
    DISCONNECT = "disconnect"
    """The venue has been unreachable for longer than the limit, or is back."""
    RECONCILIATION = "reconciliation"
    """The venue's account differs from ours."""
    CLOCK = "clock"
    """The machine slept, the process stood still, or a clock was set."""
    JOURNAL = "journal"
    """Another program locks it, or prevents its write-ahead log from being reset."""
    MARGIN = "margin"
    """The collateral is too small for the quotes."""
    DISK = "disk"
    """Disk space for logs, journal and recordings is running out."""
    SUMMARY = "summary"
    """The trading day's result."""
    START = "start"
    STOP = "stop"


URGENT: Final = frozenset({AlertKind.HALT, AlertKind.WATCHDOG})
"""Delivered before all others, and dropped last."""
_WARNINGS: Final = frozenset(
    {
        AlertKind.DISCONNECT,
        AlertKind.RECONCILIATION,
        AlertKind.CLOCK,
        AlertKind.JOURNAL,
        AlertKind.MARGIN,
        AlertKind.DISK,
    }
)


@dataclass(frozen=True, slots=True)
class AlertUrls:
    """apprise URLs in the operator's order; they are secret."""

    urls: tuple[str, ...] = field(default=(), repr=False)

    @property
    def masked(self) -> tuple[str, ...]:
        """What may be shown of each: its service."""
        return tuple(f"{url.partition('://')[0]}://***" for url in self.urls)


def load_alert_urls(env_file: Path = Path(".env"), environ: Mapping[str, str] = os.environ) -> AlertUrls:
    """The URLs in :data:`URLS_VARIABLE`, from the environment or else from the file; none if both lack it.

    White space or commas separate them; a comma within a URL, such as between recipients, is part of it. Raises
    ConfigError if the file exists but cannot be read.
    """
    text = environ.get(URLS_VARIABLE)
    if text is None:
        try:
            text = dotenv_values(env_file, interpolate=False, encoding="utf-8-sig").get(URLS_VARIABLE)
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{env_file}: cannot be read: {type(error).__name__}") from error
    words = re.split(r"\s+|,(?=\s|[A-Za-z][A-Za-z0-9+.-]*://)", text or "")
    return AlertUrls(tuple(url for word in words if (url := word.strip(","))))


@dataclass(slots=True, eq=False)
class _Letter:
    kind: AlertKind
    title: str
    text: str
    file: Path | None = None


class Alerts:
    """Sends alerts; without URLs it does nothing.

    The constructor checks the URLs. The thread runs inside the ``with`` block, whose exit waits for the last alerts.
    """

    def __init__(self, urls: AlertUrls, *, pause_sec: float, clock: Clock, source: str = "stall_then_strike") -> None:
        """Check the URLs. Every title begins with ``source``.

        Raises ConfigError if apprise is not installed or does not accept a URL.
        """
        self._sinks: Final = _sinks(urls)
        self._pause_ns: Final = round(pause_sec * NS_PER_S)
        self._clock = clock
        self._source = source
        self.dropped = 0
        """Alerts that were not sent: the queue was full, or the program ended."""
        self._told_ns: dict[AlertKind, int] = {}
        self._held_back: Counter[AlertKind] = Counter()
        self._queue: deque[_Letter] = deque()
        self._changed = threading.Condition()  # guards the queue and the counts above; never held while a sink sends
        self._is_closing = False
        self._thread = threading.Thread(target=self._deliver_all, name="alerts", daemon=True)

    @property
    def is_on(self) -> bool:
        """Whether there is any sink."""
        return bool(self._sinks)

    def __repr__(self) -> str:
        """Show the number of sinks, not their URLs."""
        return f"Alerts({len(self._sinks)} sinks)"

    def send(self, kind: AlertKind, title: str, text: str, file: Path | None = None) -> None:
        """Queue an alert, perhaps with a file for sinks that take files. Never blocks and never raises.

        Within the pause after one of the same kind it is only counted, and the next alert reports the count.
        """
        if not self._sinks:
            return
        now_ns = self._clock.now_ns()
        with self._changed:
            told_ns = self._told_ns.get(kind)
            if told_ns is not None and now_ns - told_ns < self._pause_ns:
                self._held_back[kind] += 1
                return
            self._told_ns[kind] = now_ns
            if held_back := self._held_back.pop(kind, 0):
                text = f"{text}\n({held_back} more of this kind since the last alert)"
            self._put(_Letter(kind, title, text, file))

    def try_each(self) -> list[bool]:
        """Send a test to each sink now, waiting for it; whether each took it. For a command that tries them."""
        letter = _Letter(AlertKind.START, "test", "This is a test: alerts of the trader arrive here.")
        return [self._deliver(letter, number) for number in range(1, len(self._sinks) + 1)]

    def close(self) -> None:
        """Deliver queued alerts for at most :data:`CLOSE_S`; drop the rest. Safe to call twice."""
        with self._changed:
            if self._is_closing:
                return
            self._is_closing = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(CLOSE_S)
        if not self._thread.is_alive():
            return
        with self._changed:
            left = len(self._queue) + 1
            self.dropped += left
            self._queue.clear()
        logger.warning("{} alert(s) not delivered: a sink does not answer", left)

    def __enter__(self) -> Self:
        """Start the thread."""
        if self._sinks:
            self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        """Close."""
        self.close()

    def _put(self, letter: _Letter) -> None:
        """Queue one; if the queue is full, drop one that is not urgent."""
        if self._is_closing:
            self.dropped += 1
            return
        self._queue.append(letter)
        if len(self._queue) > QUEUE_ALERTS:
            lesser = next((other for other in self._queue if other.kind not in URGENT), self._queue[0])
            self._queue.remove(lesser)
            self.dropped += 1
        self._changed.notify()

    def _take(self) -> _Letter | None:
        """Wait for the next one, urgent ones first; None once closed and empty."""
        with self._changed:
            while not self._queue:
                if self._is_closing:
                    return None
                self._changed.wait()
            letter = next((other for other in self._queue if other.kind in URGENT), self._queue[0])
            self._queue.remove(letter)
            return letter

    def _deliver_all(self) -> None:
        """Run the thread: the only place that waits for a sink."""
        while (letter := self._take()) is not None:
            for number in range(1, len(self._sinks) + 1):
                self._deliver(letter, number)

    def _deliver(self, letter: _Letter, number: int) -> bool:
        """Deliver a letter to a sink; without its file if it is not taken with it."""
        why = self._tried(letter, number, letter.file)
        if why and letter.file is not None:
            letter = replace(letter, text=f"{letter.text}\n(the file {letter.file} could not be sent along)")
            why = self._tried(letter, number, None)
        if not why:
            return True
        logger.warning(
            "alert {} was not delivered by sink {} of {}: {}", letter.kind.value, number, len(self._sinks), why
        )
        return False

    def _tried(self, letter: _Letter, number: int, file: Path | None) -> str:
        """Why a sink did not take a letter; empty if it did."""
        try:
            is_taken = self._sinks[number - 1].notify(
                body=letter.text,
                title=f"{self._source}: {letter.title}",
                notify_type=_notify_type(letter.kind),
                body_format="text",
                attach=None if file is None else str(file),
            )
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything, and the text may hold its URL
            return type(error).__name__
        return "" if is_taken else "it did not take it"


def _sinks(urls: AlertUrls) -> list[Apprise]:
    """One apprise object per URL, so that their failures can be distinguished."""
    if not urls.urls:
        return []
    try:
        import apprise  # noqa: F401 - only checks that it is installed
    except ImportError as error:
        raise ConfigError(
            f"{URLS_VARIABLE} is set, but alerts need apprise; install stall-then-strike[alerts], or unset it"
        ) from error
    for name in _SILENCED:
        silenced = logging.getLogger(name)
        silenced.setLevel(logging.CRITICAL + 1)
        silenced.disabled = True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # its plugins import deprecated modules
        sinks = [_sink(url) for url in urls.urls]
    good = [sink for sink in sinks if sink is not None]
    if len(good) < len(sinks):
        raise ConfigError(
            f"{URLS_VARIABLE}: URL {sinks.index(None) + 1} of {len(sinks)} is not accepted; accepted: apprise URLs, "
            "such as tgram://TOKEN/CHAT, mailto://USER:PASSWORD@HOST or json://HOST (see the apprise wiki)"
        )
    return good


def _sink(url: str) -> Apprise | None:
    """The apprise object of a URL; None if apprise does not accept it."""
    from apprise import Apprise, AppriseAsset

    # Both settings keep delivery in our own thread. Otherwise apprise uses a thread pool, for which the interpreter
    # waits at exit as long as a sink hangs. Its HTTP calls have their own limits: 4 s to connect, 4 s to answer.
    sink = Apprise(asset=AppriseAsset(async_mode=False, service_timeout=0))
    return sink if sink.add(url) else None


def _notify_type(kind: AlertKind) -> NotifyType:
    from apprise import NotifyType

    if kind in URGENT:
        return NotifyType.FAILURE
    return NotifyType.WARNING if kind in _WARNINGS else NotifyType.INFO
