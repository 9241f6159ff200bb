"""Replays one order through the paper venue's fill rules, apart from all others, under any queue model.

A :class:`Track` has everything that can matter to one order, in the tape's order: its arrival, the sizes that others
display at its price, the prints that met it, and the opposite levels through its price. Tracks are made once
(``quote_tracks``); :func:`played` then takes microseconds, so that many queue models can be tried. For one order it
does the same as ``PaperGateway``; a test compares them fill by fill.

Prints that contain our own fills: ``own`` of a print's size filled our real order. The replayed order takes the real
one's place, so the print fills it like any other; but ``own`` is not expected as a decrease of the others' level
(``unseen``), because the others lost nothing. A print in which our own closing order was the taker (``is_self``)
fills those ahead, as it really did, but never us: an account cannot trade with itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from stall_then_strike.sim import fill_rules
from stall_then_strike.sim.fill_rules import Match, Queue
from stall_then_strike.sim.paper import UNSEEN_NS
from stall_then_strike.types.dto import Side

ARRIVAL: Final = 0
BOOK: Final = 1
PRINT_AT: Final = 2
"""A print at the order's price."""
PRINT_THROUGH: Final = 3
UNKNOWN: Final = -1
"""Stands for the displayed size while the book is suspect."""

Levels = tuple[tuple[int, int], ...]
"""Prices and sizes that others display on the opposite side, at the order's price or through it; best first."""


class Happening(NamedTuple):
    """One event that may matter to an order."""

    ts_ns: int
    kind: int
    size: int
    """Size displayed by others at the order's price, or printed size."""
    own: int = 0
    """Of a print: the part that filled real orders of ours."""
    is_self: bool = False
    """Of a print: whether our own order was the taker."""
    is_open: bool = True
    """Of a book: whether the venue matches."""
    levels: Levels = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """Everything that an order meets from its arrival to its end."""

    side: Side
    price: int
    size: int
    happenings: tuple[Happening, ...]


class QueueRule(NamedTuple):
    """A queue model, as the arguments of ``fill_rules.share_ahead``: share out of SHARE_SCALE, and power."""

    share: int
    power: int
    queues_through: bool = True
    """Whether a print through the price serves those ahead first (``paper.print_through``)."""


class ModelFill(NamedTuple):
    """One predicted fill."""

    ts_ns: int
    price: int
    size: int


def played(track: Track, rule: QueueRule) -> list[ModelFill]:
    """The fills of this order by the rules."""
    fills: list[ModelFill] = []
    remaining, queue, traded_ns = track.size, None, 0
    taken: dict[int, int] = {}
    for what in track.happenings:
        if not remaining:
            break
        if what.kind == ARRIVAL or what.kind == BOOK:
            if what.kind == BOOK:
                _see(taken, what.levels)
                queue = _requeued(queue, what, traded_ns, rule)
            if what.is_open:
                remaining = _take(track, what, remaining, taken, fills)
            if what.kind == ARRIVAL and what.size != UNKNOWN:
                queue = fill_rules.join(what.size)
        elif queue is not None:
            match, queue = _printed(queue, what, remaining, rule)
            if what.kind == PRINT_AT:
                traded_ns = what.ts_ns
            if match.filled and not what.is_self:
                fills.append(ModelFill(what.ts_ns, track.price, match.filled))
                remaining -= match.filled
    return fills


def _printed(queue: Queue, what: Happening, remaining: int, rule: QueueRule) -> tuple[Match, Queue]:
    """What a print does to the order and to its place."""
    ahead, level, unseen = queue
    if what.kind == PRINT_AT:
        unseen += what.size - what.own
    elif not rule.queues_through:
        ahead = 0
    match = fill_rules.match_behind(ahead, remaining, what.size)
    return match, Queue(ahead - match.passed, level, unseen)


def _requeued(queue: Queue | None, what: Happening, traded_ns: int, rule: QueueRule) -> Queue:
    if queue is None:
        return fill_rules.join(what.size)
    if what.size == queue.level:
        return queue
    if what.ts_ns - traded_ns > UNSEEN_NS:
        queue = queue._replace(unseen=0)
    return fill_rules.after_level(queue, what.size, fill_rules.share_ahead(queue, rule.share, rule.power))


def _see(taken: dict[int, int], levels: Levels) -> None:
    """Cap the sizes we have taken by what is still displayed: a level that shrank may have lost just that."""
    if taken:
        shown = dict(levels)
        for price in list(taken):
            if price in shown:
                taken[price] = min(taken[price], shown[price])
            else:
                del taken[price]


def _take(track: Track, what: Happening, remaining: int, taken: dict[int, int], fills: list[ModelFill]) -> int:
    """Match with the opposite side: on arrival at its prices; later only with levels through our price, at ours."""
    for price, displayed in what.levels:
        if not remaining or (what.kind == BOOK and price == track.price):
            break
        size = min(remaining, displayed - taken.get(price, 0))
        if size > 0:
            taken[price] = taken.get(price, 0) + size
            fills.append(ModelFill(what.ts_ns, price if what.kind == ARRIVAL else track.price, size))
            remaining -= size
    return remaining
