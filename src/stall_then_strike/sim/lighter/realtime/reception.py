"""Who is on the stream: admission of clients, their sessions, and what anybody of them is subscribed to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random
from uuid import UUID

from aiohttp import web

from stall_then_strike.sim.exchange.request_log import Audit, Received
from stall_then_strike.sim.lighter.realtime.live_feed import LiveFeed
from stall_then_strike.sim.lighter.realtime.stream import StreamDesk, StreamSession
from stall_then_strike.sim.lighter.realtime.stream_limits import Caller, StreamLimits


class Reception:
    """Makes the sessions of all connections, and tells the feed whom it has to write for."""

    def __init__(
        self,
        desk: StreamDesk,
        feed: LiveFeed,
        *,
        limits: StreamLimits,
        seed: int,
        audit: Audit,
        now_ns: Callable[[], int],
    ) -> None:
        """``seed`` decides the sessions' ids; ``audit`` records every request."""
        self._desk = desk
        self._limits = limits
        self._callers: dict[str, Caller] = {}
        self._ids = Random(f"sessions {seed}")
        self._audit = audit
        self._now_ns = now_ns
        self._sessions: list[StreamSession] = []
        self._wanted: frozenset[str] = frozenset()
        self._watched: frozenset[int] = frozenset()
        feed.is_wanted = lambda key: key in self._wanted
        feed.accounts.is_watched = lambda account: account in self._watched

    @property
    def refused(self) -> Counter[str]:
        """Connections, messages and subscriptions refused over a limit."""
        return sum((caller.refused for caller in self._callers.values()), Counter())

    def admits(self, request: web.Request) -> bool:
        """Whether a client may connect; the attempt is counted."""
        return self._caller(request).may_connect(self._now_ns())

    def new_session(self, request: web.Request, on_change: Callable[[], None]) -> StreamSession:
        """The session of a client that was admitted."""
        caller = self._caller(request)
        caller.connections += 1

        def changed() -> None:
            self._note_subscriptions()
            on_change()

        session = StreamSession(
            self._desk,
            caller,
            str(UUID(int=self._ids.getrandbits(128), version=4)),
            is_readonly=request.query.get("readonly") == "true",
            on_change=changed,
            on_request=self._record,
        )
        self._sessions.append(session)
        return session

    def _caller(self, request: web.Request) -> Caller:
        """What counts for the client's address."""
        address = request.remote or ""
        return self._callers.setdefault(address, Caller(self._limits, address))

    def _note_subscriptions(self) -> None:
        self._sessions = [session for session in self._sessions if not session.is_closed]
        subjects = {key: subject for session in self._sessions for key, subject in session.subjects.items()}
        self._wanted = frozenset(subjects)
        self._watched = frozenset(one.account for one in subjects.values() if one.account is not None)

    def _record(self, what: str, body: str, answer: str) -> None:
        self._audit.add(
            Received(time_ns=self._now_ns(), transport="ws", account=None, what=what, body=body, answer=answer)
        )
