"""One order through the paper venue's fill rules, apart from all others: what a queue model makes of it.

A :class:`Track` is all that can matter to one order, in the tape's order: its arrival, the sizes displayed by others at
its price, the prints that met it, and what the other side displayed through it. Tracks are made once
(``quote_tracks``); :func:`played` then asks a queue model in microseconds, so that many models can be tried. It is
``PaperGateway``'s telling for one order, and a test holds it to that, fill for fill.

Prints with our own part in them. ``own`` of a print's size were, in truth, fills of our real order. The order that is
played takes its real twin's place, so this print serves it like any other; but it is not expected to show as a decrease
of the others' level (``unseen``), for they lost nothing by it. A print in which our own closing order was the taker
(``is_self``) serves those ahead, who really were served, and never us: nobody trades with himself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from stall_then_strike.sim import fill_rules
from stall_then_strike.sim.fill_rules import Queue
from stall_then_strike.types.dto import NS_PER_S, Side

ARRIVAL: Final = 0
BOOK: Final = 1
PRINT_AT: Final = 2
"""At the order's price."""
PRINT_THROUGH: Final = 3
UNKNOWN: Final = -1
"""Displayed size while the book cannot be believed."""
_UNSEEN_NS: Final = 1 * NS_PER_S
"""As in ``sim.paper``."""

Levels = tuple[tuple[int, int], ...]
"""Price and size of what others display on the other side, at the order's price or through it; best first."""


class Happening(NamedTuple):
    """One thing that may matter to one order."""

    ts_ns: int
    kind: int
    size: int
    """Displayed by others at the order's price, or printed."""
    own: int = 0
    """Of a print: what of it were fills of real orders of ours."""
    is_self: bool = False
    """Of a print: whether our own order was the taker."""
    is_open: bool = True
    """Of a book: whether the venue matches."""
    levels: Levels = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """What an order meets from its arrival to its end."""

    side: Side
    price: int
    size: int
    happenings: tuple[Happening, ...]


class QueueRule(NamedTuple):
    """A queue model as ``fill_rules.share_ahead`` takes it: share out of SHARE_SCALE, and power (0: the share)."""

    share: int
    power: int


class ModelFill(NamedTuple):
    """One predicted fill."""

    ts_ns: int
    price: int
    size: int


def played(track: Track, rule: QueueRule) -> list[ModelFill]:
    """The fills that the rules give this order."""
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
            if what.kind == PRINT_AT:
                match = fill_rules.match_at_price(queue.ahead, remaining, what.size)
                filled = match.filled
                queue = Queue(queue.ahead - match.passed, queue.level, queue.unseen + what.size - what.own)
                traded_ns = what.ts_ns
            else:
                filled = min(remaining, what.size)
                queue = queue._replace(ahead=0)
            if filled and not what.is_self:
                fills.append(ModelFill(what.ts_ns, track.price, filled))
                remaining -= filled
    return fills


def _requeued(queue: Queue | None, what: Happening, traded_ns: int, rule: QueueRule) -> Queue:
    if queue is None:
        return fill_rules.join(what.size)
    if what.size == queue.level:
        return queue
    if what.ts_ns - traded_ns > _UNSEEN_NS:
        queue = queue._replace(unseen=0)
    return fill_rules.after_level(queue, what.size, fill_rules.share_ahead(queue, rule.share, rule.power))


def _see(taken: dict[int, int], levels: Levels) -> None:
    """Of a level that shrank, what is left may be just what was taken."""
    if taken:
        shown = dict(levels)
        for price in list(taken):
            if price in shown:
                taken[price] = min(taken[price], shown[price])
            else:
                del taken[price]


def _take(track: Track, what: Happening, remaining: int, taken: dict[int, int], fills: list[ModelFill]) -> int:
    """Match with the other side: at its prices on arrival; later only with what is priced through us, at ours."""
    for price, displayed in what.levels:
        if not remaining or (what.kind == BOOK and price == track.price):
            break
        size = min(remaining, displayed - taken.get(price, 0))
        if size > 0:
            taken[price] = taken.get(price, 0) + size
            fills.append(ModelFill(what.ts_ns, price if what.kind == ARRIVAL else track.price, size))
            remaining -= size
    return remaining
