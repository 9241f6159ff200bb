"""Faults of the exchange as values: kinds of faults, one fault, a plan of them. Pure.

A :class:`Fault` says what goes wrong (its kind), to what (channel, event type, path or JSON-RPC method), how often
(chance, count, how many are skipped first) and when (``[from_s, to_s)``, seconds of venue time since the exchange was
made, or since the fault was injected). `injector.py` decides which faults strike. It is asked where they strike: frames
in `frame_faults.py`, HTTP in `call_faults.py`, sockets and the venue's condition in `socket_scene.py` and `scene.py`,
answers on sockets in `sim/hub.py`, bitFlyer's orders in `bitflyer/desk.py`, its lists in `bitflyer/private_rest.py`,
Lighter's transactions in `sim/lighter_desk.py`.

Most faults change what a client sees, not what happened: ledger, order states and audit stay correct. Only faults of
effects change what happens (a lost request, an order that vanished or was refused, an ignored cancel), and the ledger
and the audit then show that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum, unique
from fnmatch import fnmatchcase
from typing import Any, Final, TypeVar

from stall_then_strike.sim.bitflyer.ledger import KEPT_S
from stall_then_strike.sim.bitflyer.private_wire import LISTS
from stall_then_strike.types.dto import NS_PER_S, BoardState, Health


@unique
class FaultKind(StrEnum):
    """What goes wrong, grouped by where it strikes. ``seconds``, ``ticks`` and ``lots`` are the fault's fields."""

    # Frames of public channels and of `child_order_events`; with an event type, only the events of that type in them.
    LOSE_FRAME = "lose_frame"
    DELAY_FRAME = "delay_frame"
    """The frame leaves ``seconds`` late; later frames overtake it."""
    DUPLICATE_FRAME = "duplicate_frame"
    """The frame is sent a second time, ``seconds`` later."""
    REORDER_FRAME = "reorder_frame"
    """The frame changes places with the next one of its channel, or leaves after ``seconds`` if there is none."""
    FREEZE_FEED = "freeze_feed"
    """No frame leaves until the window ends; then, with ``backlog``, all of them in one burst."""
    WRONG_MID = "wrong_mid"
    """``mid_price`` is off by ``ticks``."""
    WRONG_OUTSTANDING = "wrong_outstanding"
    """``outstanding_size`` of an EXECUTION is too large by ``lots``."""
    LOSE_FIELDS = "lose_fields"
    """Fields of an event are left out, or null."""
    PHANTOM_EXECUTION = "phantom_execution"
    """``seconds`` after an ORDER, a false EXECUTION of its remaining size is sent, with an id of its own."""
    LOSE_DELETION = "lose_deletion"
    """The deletion of a best price is missing from the deltas."""

    # Answers on sockets.
    LOSE_REPLY = "lose_reply"
    DELAY_REPLY = "delay_reply"
    CUT_REPLY = "cut_reply"
    """The connection is cut instead."""
    REFUSE_AUTH = "refuse_auth"
    """The key is refused."""
    FAIL_AUTH = "fail_auth"
    """The login fails with an internal error, which says nothing about the key."""

    # Sockets and the network.
    CLOSE_SOCKETS = "close_sockets"
    """Every socket is closed with 1012 when the window begins."""
    ABORT_SOCKETS = "abort_sockets"
    """Every connection is cut when the window begins, without a close frame."""
    HALF_OPEN = "half_open"
    """The present sockets fall silent and send no pongs either; they are cut when the window ends."""
    REFUSE_SOCKETS = "refuse_sockets"
    """Handshakes are answered by 503."""
    RESET_SOCKETS = "reset_sockets"
    """Connections are reset during the handshake."""
    CUT_NETWORK = "cut_network"
    """Sockets as in ``half_open``; new ones and HTTP calls get no answer and are reset when the window ends."""
    RESET_NETWORK = "reset_network"
    """All sockets are cut; new ones and HTTP calls are reset at once."""

    # HTTP calls, before they take effect.
    LOSE_REQUEST = "lose_request"
    """The request never arrives and is never answered."""
    RESET_REQUEST = "reset_request"
    """The request never arrives and the connection is reset."""
    OVER_LIMIT = "over_limit"
    """429, status -1; the headers say that the window lasts for another ``seconds``."""
    SERVER_ERROR = "server_error"
    """An HTML page with 500, 502 or 503."""
    OVERLOADED = "overloaded"
    """500, status -208: not accepted."""
    ORDER_NOT_FOUND = "order_not_found"
    """A cancel is answered by 400, status -111, although the order is live."""

    # HTTP calls, after they took effect.
    LOSE_ANSWER = "lose_answer"
    RESET_ANSWER = "reset_answer"
    DELAY_ANSWER = "delay_answer"
    ERROR_AFTER_EFFECT = "error_after_effect"
    """As ``server_error``, but the call has taken effect."""
    HTML_PAGE = "html_page"
    """An HTML page in place of the answer, by default with 200."""
    TRUNCATED_JSON = "truncated_json"
    EMPTY_BODY = "empty_body"
    JSON_ARRAY = "json_array"
    """The answer is wrapped in an array."""
    STUCK_REMAINING = "stuck_remaining"
    """``x-ratelimit-remaining`` says 1 (seen in turmoil, client logs)."""
    STRIP_ANSWER = "strip_answer"
    """Fields of the answer's rows are left out, or null."""
    WRONG_DATE = "wrong_date"
    """The answer's `Date` is ahead by ``seconds`` (behind, if negative); nothing else is shifted."""
    STALE_LIST = "stale_list"
    """One of :data:`LISTS` shows the state of ``seconds`` ago."""

    # Orders.
    VANISH_ORDER = "vanish_order"
    """An order is accepted with 200 but never registered, and has no event."""
    NO_MARGIN = "no_margin"
    """An order that would open a position is refused by 400, status -205; one that only closes is accepted."""
    FAIL_MARGIN = "fail_margin"
    """An order that would open a position is accepted with 200 and then fails: ORDER_FAILED, lack of margin."""
    IGNORE_CANCEL = "ignore_cancel"
    """A cancel is answered with 200 but has no effect and no event."""

    # The venue's condition.
    BUSY = "busy"
    """The venue's health is busy, and effects and events take up to ``seconds``."""
    HALT_BOARD = "halt_board"
    """The board leaves RUNNING; the last ``seconds`` of the window are PREOPEN."""
    MAINTENANCE = "maintenance"
    """CLOSED with the sockets closed by 1012, then STARTING, then PREOPEN, a third of the window each."""
    CLOCK_SKEW = "clock_skew"
    """The venue's clock is ahead by ``seconds`` (behind, if negative): `Date`, limits' reset, signatures."""

    # Lighter: frames.
    OFFSET_JUMP = "offset_jump"
    """From this frame on, the book's offset is higher by ``by``; nothing is missing."""
    NONCE_GAP = "nonce_gap"
    """``begin_nonce`` of a book update is ``by`` above the nonce of the message before, though nothing is missing."""
    CROSSED_SNAPSHOT = "crossed_snapshot"
    """A book's snapshot has an ask at its best bid."""

    # Lighter: transactions.
    REFUSE_TX = "refuse_tx"
    """A transaction is refused with ``code`` before it takes effect, over REST and the socket, whatever is in it."""
    SILENT_CANCEL = "silent_cancel"
    """An order is accepted with 200 and never made. Its transaction counts as executed; nothing else tells of it."""
    UNSEEN_ORDER = "unseen_order"
    """An order that was sent over the socket is in no update about orders; lists and snapshots have it."""

    # Lighter: answers.
    STALE_NONCE = "stale_nonce"
    """``nextNonce`` is ``by`` too low."""
    NULL_LIST = "null_list"
    """The list in the answer is null."""

    # Lighter: sockets.
    CLOSE_IDLE = "close_idle"
    """A client that has sent nothing for ``seconds`` of real time is disconnected."""
    SHUTDOWN = "shutdown"
    """The server says that it closes in ``seconds``, does so, and refuses handshakes until the window ends."""


@unique
class FaultVenue(StrEnum):
    """Which embedded exchange shows a kind of fault."""

    BITFLYER = "bitFlyer"
    LIGHTER = "Lighter"


@unique
class Site(StrEnum):
    """Where a kind of fault strikes."""

    FRAME = "frame"
    REPLY = "reply"
    AUTH = "auth"
    HANDSHAKE = "handshake"
    CALL = "call"
    ANSWER = "answer"
    LIST = "list"
    ORDER = "order"
    MARGIN = "margin"
    REGISTRATION = "registration"
    CANCEL = "cancel"
    TX = "tx"
    EFFECT = "effect"
    EVENTS = "events"
    SCENE = "scene"
    """The venue as a whole: the fault begins and ends once, with its window."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KindSpec:
    """What a kind accepts besides chance, count and window, and its defaults."""

    site: Site
    takes: frozenset[str] = frozenset()
    """Fields of :class:`Fault` that may be set; all others must keep their defaults."""
    seconds: float = 0.0
    """Default of ``seconds``."""
    channel: str = "*"
    event: str | None = None
    path: str = "*"
    http_status: int = 200
    needs_end: bool = False
    """Whether ``to_s`` must be given."""
    venues: frozenset[FaultVenue] = frozenset(FaultVenue)


def _spec(site: Site, *takes: str, venue: FaultVenue | None = FaultVenue.BITFLYER, **rules: Any) -> KindSpec:
    """The rules of a kind, by default one of bitFlyer's exchange alone; None for one that every exchange shows."""
    venues = frozenset(FaultVenue) if venue is None else frozenset({venue})
    return KindSpec(site=site, takes=frozenset(takes), venues=venues, **rules)


_PRIVATE: Final = "child_order_events"
_K = FaultKind
_L: Final = FaultVenue.LIGHTER
SPECS: Final[dict[FaultKind, KindSpec]] = {
    _K.LOSE_FRAME: _spec(Site.FRAME, "channel", "event", venue=None),
    _K.DELAY_FRAME: _spec(Site.FRAME, "channel", "event", "seconds", seconds=2.0, venue=None),
    _K.DUPLICATE_FRAME: _spec(Site.FRAME, "channel", "event", "seconds", venue=None),
    _K.REORDER_FRAME: _spec(Site.FRAME, "channel", "event", "seconds", seconds=5.0, venue=None),
    _K.FREEZE_FEED: _spec(Site.FRAME, "channel", "backlog", needs_end=True, venue=None),
    _K.WRONG_MID: _spec(Site.FRAME, "channel", "ticks", channel="lightning_board_*"),
    _K.WRONG_OUTSTANDING: _spec(Site.FRAME, "lots", channel=_PRIVATE, event="EXECUTION"),
    _K.LOSE_FIELDS: _spec(Site.FRAME, "event", "missing", "blank", channel=_PRIVATE, event="EXECUTION"),
    _K.PHANTOM_EXECUTION: _spec(Site.FRAME, "seconds", channel=_PRIVATE, event="ORDER"),
    _K.LOSE_DELETION: _spec(Site.SCENE, "count"),
    _K.LOSE_REPLY: _spec(Site.REPLY, "method", venue=None),
    _K.DELAY_REPLY: _spec(Site.REPLY, "method", "seconds", seconds=2.0, venue=None),
    _K.CUT_REPLY: _spec(Site.REPLY, "method", venue=None),
    _K.REFUSE_AUTH: _spec(Site.AUTH, venue=None),
    _K.FAIL_AUTH: _spec(Site.AUTH),
    _K.CLOSE_SOCKETS: _spec(Site.SCENE, venue=None),
    _K.ABORT_SOCKETS: _spec(Site.SCENE, venue=None),
    _K.HALF_OPEN: _spec(Site.SCENE, venue=None),
    _K.REFUSE_SOCKETS: _spec(Site.HANDSHAKE, venue=None),
    _K.RESET_SOCKETS: _spec(Site.HANDSHAKE, venue=None),
    _K.CUT_NETWORK: _spec(Site.SCENE, needs_end=True, venue=None),
    _K.RESET_NETWORK: _spec(Site.SCENE, needs_end=True, venue=None),
    _K.LOSE_REQUEST: _spec(Site.CALL, "path", venue=None),
    _K.RESET_REQUEST: _spec(Site.CALL, "path", venue=None),
    _K.OVER_LIMIT: _spec(Site.CALL, "path", "seconds", seconds=60.0, venue=None),
    _K.SERVER_ERROR: _spec(Site.CALL, "path", "http_status", http_status=500, venue=None),
    _K.OVERLOADED: _spec(Site.CALL, "path", path="/v1/me/sendchildorder"),
    _K.ORDER_NOT_FOUND: _spec(Site.CALL, path="/v1/me/cancelchildorder"),
    _K.LOSE_ANSWER: _spec(Site.ANSWER, "path", venue=None),
    _K.RESET_ANSWER: _spec(Site.ANSWER, "path", venue=None),
    _K.DELAY_ANSWER: _spec(Site.ANSWER, "path", "seconds", seconds=2.0, venue=None),
    _K.ERROR_AFTER_EFFECT: _spec(Site.ANSWER, "path", "http_status", http_status=502, venue=None),
    _K.HTML_PAGE: _spec(Site.ANSWER, "path", "http_status", venue=None),
    _K.TRUNCATED_JSON: _spec(Site.ANSWER, "path", venue=None),
    _K.EMPTY_BODY: _spec(Site.ANSWER, "path", venue=None),
    _K.JSON_ARRAY: _spec(Site.ANSWER, "path", venue=None),
    _K.STUCK_REMAINING: _spec(Site.ANSWER, "path"),
    _K.STRIP_ANSWER: _spec(Site.ANSWER, "path", "missing", "blank", path="/v1/me/getexecutions"),
    _K.WRONG_DATE: _spec(Site.ANSWER, "path", "seconds", seconds=20.0),
    _K.STALE_LIST: _spec(Site.LIST, "path", "seconds", seconds=30.0, path="/v1/me/get*"),
    _K.VANISH_ORDER: _spec(Site.ORDER),
    _K.NO_MARGIN: _spec(Site.MARGIN),
    _K.FAIL_MARGIN: _spec(Site.REGISTRATION),
    _K.IGNORE_CANCEL: _spec(Site.CANCEL),
    _K.BUSY: _spec(Site.SCENE, "seconds", "health", seconds=4.0),
    _K.HALT_BOARD: _spec(Site.SCENE, "seconds", "state", seconds=2.0, needs_end=True),
    _K.MAINTENANCE: _spec(Site.SCENE, needs_end=True),
    _K.CLOCK_SKEW: _spec(Site.SCENE, "seconds", seconds=120.0),
    _K.OFFSET_JUMP: _spec(Site.FRAME, "channel", "by", channel="order_book/*", venue=_L),
    _K.NONCE_GAP: _spec(Site.FRAME, "channel", "by", channel="order_book/*", event="update", venue=_L),
    _K.CROSSED_SNAPSHOT: _spec(Site.FRAME, "channel", channel="order_book/*", event="subscribed", venue=_L),
    _K.REFUSE_TX: _spec(Site.TX, "code", venue=_L),
    _K.SILENT_CANCEL: _spec(Site.EFFECT, venue=_L),
    _K.UNSEEN_ORDER: _spec(Site.EVENTS, venue=_L),
    _K.STALE_NONCE: _spec(Site.ANSWER, "by", path="/api/v1/nextNonce", venue=_L),
    _K.NULL_LIST: _spec(Site.ANSWER, "path", path="/api/v1/accountActiveOrders", venue=_L),
    _K.CLOSE_IDLE: _spec(Site.SCENE, "seconds", seconds=1.0, needs_end=True, venue=_L),
    _K.SHUTDOWN: _spec(Site.SCENE, "seconds", seconds=1.0, needs_end=True, venue=_L),
}
"""The rules of each kind."""


def kinds_of(venue: FaultVenue) -> tuple[FaultKind, ...]:
    """The kinds that an exchange shows."""
    return tuple(kind for kind, spec in SPECS.items() if venue in spec.venues)


TX_REFUSALS: Final[Mapping[int, str]] = {
    21_104: "invalid nonce",
    21_120: "invalid signature",
    21_136: "please update your SDK version",
    21_506: "too many pending txs",
}
"""Lighter's refusals of transactions that a fault can show, and their messages (that of 21136 is not known)."""
HALTS: Final = (BoardState.CIRCUIT_BREAK, BoardState.CLOSED, BoardState.STARTING, BoardState.PREOPEN)
_SPREADING: Final = frozenset({_K.DELAY_FRAME, _K.DUPLICATE_FRAME, _K.REORDER_FRAME, _K.DELAY_REPLY, _K.DELAY_ANSWER})
"""Kinds that have effects for ``seconds`` beyond their window."""
_MOMENTARY: Final = frozenset({_K.CLOSE_SOCKETS, _K.ABORT_SOCKETS})
"""Kinds that are over as soon as they begin."""
_BUSY_SPREAD: Final = 2.0
"""Under load both an effect and its event are late."""
_FOR_ALL: Final = frozenset({"kind", "name", "from_s", "to_s", "chance", "count", "skip"})
_BEFORE_ITS_TIME: Final = frozenset({_K.CLOCK_SKEW, _K.WRONG_DATE})
"""Kinds whose seconds may be negative."""
_SHORTEST_MAINTENANCE_S: Final = 6
_V = TypeVar("_V")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault. Raises ValueError with a line ``field: why; accepted: what`` for each mistake.

    ``channel`` and ``path`` are globs on full names (``lightning_board_*``, ``order_book/0``, ``/v1/me/*``), where
    ``*`` also matches slashes; ``event`` and ``method`` are exact. None means the kind's default (:data:`SPECS`), which
    is mostly any.
    """

    kind: FaultKind
    name: str = ""
    """Label under which strikes are counted; empty for the kind."""
    from_s: float = 0.0
    to_s: float | None = None
    """End of the window; None for never."""
    chance: float = 1.0
    """Probability of striking each matching thing."""
    count: int | None = None
    """Largest number of strikes; None for any number."""
    skip: int = 0
    """Number of matching things that are skipped first: 1 skips the first login and strikes from the second on."""
    channel: str | None = None
    event: str | None = None
    """``event_type`` in `child_order_events`: only events of that type are struck, not others in the same frame. On
    Lighter ``subscribed`` or ``update``, the first part of a frame's type."""
    path: str | None = None
    method: str | None = None
    """JSON-RPC method: ``auth``, ``subscribe`` or ``unsubscribe``; on Lighter a message's type, ``jsonapi/sendtx``."""
    seconds: float | None = None
    """Seconds of venue time; the meaning depends on the kind."""
    ticks: int = 1_000
    """Added to the mid; may be negative."""
    lots: int = 100_000
    """Added to the outstanding size; may be negative."""
    missing: tuple[str, ...] = ("commission", "sfd")
    """Fields that are left out."""
    blank: bool = False
    """Whether the missing fields are null instead of absent."""
    http_status: int | None = None
    backlog: bool = False
    """Whether the frames that were held back are sent in the end."""
    health: Health = Health.SUPER_BUSY
    state: BoardState = BoardState.CIRCUIT_BREAK
    """The board's state during a halt."""
    by: int = 1
    """How far a number of Lighter's is off."""
    code: int = 21_104
    """Lighter's error code."""

    def __post_init__(self) -> None:
        """Report all mistakes at once."""
        problems = [*self._window_problems(), *self._option_problems()]
        if problems:
            raise ValueError("\n".join(problems))

    @property
    def label(self) -> str:
        """The label under which strikes are counted."""
        return self.name or self.kind.value

    @property
    def spec(self) -> KindSpec:
        """The rules of its kind."""
        return SPECS[self.kind]

    def stripped(self, row: Mapping[str, _V]) -> dict[str, _V | None]:
        """A row of JSON without the missing fields, or with null in their place."""
        if self.blank:
            return {name: None if name in self.missing else value for name, value in row.items()}
        return {name: value for name, value in row.items() if name not in self.missing}

    @property
    def span_ns(self) -> int:
        """``seconds``, or the kind's default, in nanoseconds."""
        return round((self.spec.seconds if self.seconds is None else self.seconds) * NS_PER_S)

    @property
    def quiet_from_s(self) -> float | None:
        """When its last effect is over, on the window's scale; None for never."""
        if self.kind in _MOMENTARY:
            return self.from_s
        if self.to_s is None:
            return None
        spread = self.span_ns / NS_PER_S
        if self.kind in _SPREADING:
            return self.to_s + spread
        return self.to_s + _BUSY_SPREAD * spread if self.kind is FaultKind.BUSY else self.to_s

    def _window_problems(self) -> list[str]:
        problems = []
        if self.from_s < 0:
            problems.append(f"from_s: {self.from_s} is before the start; accepted: 0 or more")
        if self.to_s is not None and self.to_s <= self.from_s:
            problems.append(f"to_s: {self.to_s} is not after from_s; accepted: above {self.from_s}")
        if self.to_s is None and self.spec.needs_end:
            problems.append(f"to_s: is missing; accepted: a number, because {self.kind.value} needs an end")
        if not 0 < self.chance <= 1:
            problems.append(f"chance: {self.chance} is not a probability; accepted: above 0 to 1")
        if self.count is not None and self.count < 1:
            problems.append(f"count: {self.count} is too small; accepted: 1 or more")
        if self.skip < 0:
            problems.append(f"skip: {self.skip} is negative; accepted: 0 or more")
        if self.spec.site is Site.SCENE:
            given = {"chance": self.chance != 1, "skip": self.skip != 0, "count": self.count is not None}
            problems += [
                f"{name}: {self.kind.value} strikes once, when its window begins; accepted: nothing"
                for name, is_given in given.items()
                if is_given and name not in self.spec.takes
            ]
        return problems

    def _option_problems(self) -> list[str]:
        problems = [*self._halt_problems(), *self._list_problems()]
        for field in fields(self):
            if field.name not in _FOR_ALL | self.spec.takes and getattr(self, field.name) != field.default:
                takes = ", ".join(sorted(self.spec.takes)) or "nothing"
                problems.append(f"{field.name}: {self.kind.value} does not take it; accepted: {takes}")
        if self.seconds is not None and self.seconds < 0 and self.kind not in _BEFORE_ITS_TIME:
            problems.append(f"seconds: {self.seconds} is negative; accepted: 0 or more")
        if self.http_status is not None and not 200 <= self.http_status <= 599:
            problems.append(f"http_status: {self.http_status} is out of range; accepted: 200 to 599")
        if not self.missing:
            problems.append("missing: is empty; accepted: a list of names of fields")
        if self.by < 1:
            problems.append(f"by: {self.by} is too small; accepted: 1 or more")
        if self.code not in TX_REFUSALS:
            accepted = ", ".join(map(str, TX_REFUSALS))
            problems.append(f"code: {self.code} is not a refusal; accepted: {accepted}")
        if self.health is Health.UNKNOWN:
            problems.append("health: UNKNOWN is never sent; accepted: any other")
        return problems

    def _list_problems(self) -> list[str]:
        if self.kind is not FaultKind.STALE_LIST:
            return []
        problems = []
        if self.seconds is not None and self.seconds > KEPT_S:
            problems.append(f"seconds: {self.seconds} is too long ago; accepted: 0 to {KEPT_S}")
        if self.path is not None and not any(fnmatchcase(path, self.path) for path in LISTS):
            problems.append(f"path: {self.path} matches no list; accepted: {', '.join(LISTS)}, or a glob")
        return problems

    def _halt_problems(self) -> list[str]:
        problems = []
        if self.state not in HALTS:
            problems.append(f"state: {self.state.value} is not a halt; accepted: {', '.join(h.value for h in HALTS)}")
        if self.to_s is not None and self.kind is FaultKind.HALT_BOARD and self.to_s - self.from_s < 2:
            problems.append(f"to_s: {self.to_s} makes the halt too short; accepted: {self.from_s + 2} or more")
        if (
            self.to_s is not None
            and self.kind is FaultKind.MAINTENANCE
            and self.to_s - self.from_s < _SHORTEST_MAINTENANCE_S
        ):
            earliest = self.from_s + _SHORTEST_MAINTENANCE_S
            problems.append(f"to_s: {self.to_s} makes the maintenance too short; accepted: {earliest} or more")
        return problems


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """Faults and their seed. Each fault draws from its own generator, so that one does not influence another."""

    faults: tuple[Fault, ...] = ()
    seed: int = 1

    @property
    def quiet_from_s(self) -> float | None:
        """When the last effect of all faults is over; None for never."""
        ends = [fault.quiet_from_s for fault in self.faults]
        known = [end for end in ends if end is not None]
        return max(known, default=0.0) if len(known) == len(ends) else None
