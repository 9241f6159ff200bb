"""The rules that fill paper orders, as pure functions over integers.

Paper trading calls them through ``PaperGateway``; research compiles the same functions. All sizes are in lots. Where
public data is ambiguous, the rules assume the case that is worse for us.
"""

from __future__ import annotations

from typing import Final, NamedTuple

SHARE_SCALE: Final = 1_000_000
"""A share is an integer out of this number."""


class Queue(NamedTuple):
    """Where a resting order stands at its price."""

    ahead: int
    """Displayed size with priority over us."""
    level: int
    """Displayed size at our price when last seen, without us."""
    unseen: int
    """Traded at our price, but not yet shown as a decrease of the level (executions come about 0.1 s before it)."""


class Match(NamedTuple):
    """Effect of one print on one order: the size that fills orders ahead of us, and the size that fills ours."""

    passed: int
    filled: int


def join(displayed: int) -> Queue:
    """Join the queue behind everything displayed at our price; nobody is ahead at an empty price."""
    return Queue(ahead=displayed, level=displayed, unseen=0)


def stands_inside(side: int, price: int, best: int) -> bool:
    """Whether an order improves the best of its side, so that others may outbid it. ``side``: +1: buy, -1: sell."""
    return best != 0 and (price - best) * side > 0


def match_behind(ahead: int, remaining: int, traded: int) -> Match:
    """A print at our price or through it fills the orders ahead first, then ours with the rest."""
    passed = min(ahead, traded)
    return Match(passed, min(remaining, traded - passed))


def after_level(queue: Queue, displayed: int, share: int) -> Queue:
    """Our place after the level's displayed size changed.

    A decrease first uses up what was traded but not yet seen in the book. The rest of it is cancels; ``share`` of them
    (out of SHARE_SCALE, rounded down) is assumed to have stood ahead of us. The size ahead never exceeds the displayed
    size.
    """
    decrease = max(0, queue.level - displayed)
    seen = min(decrease, queue.unseen)
    cancelled = decrease - seen
    ahead = queue.ahead - cancelled * share // SHARE_SCALE
    return Queue(ahead=max(0, min(ahead, displayed)), level=displayed, unseen=queue.unseen - seen)


def share_ahead(queue: Queue, share: int, power: int) -> int:
    """Share of the size cancelled at our level that stood ahead of us, out of SHARE_SCALE.

    With ``power`` zero it is ``share``. Otherwise it follows from our place: f / (f + b), where f and b are the size
    ahead of us and behind us, in thousandths of the level, raised to ``power``.
    """
    if power == 0:
        return share
    if queue.level <= 0:
        return 0
    front = queue.ahead * 1000 // queue.level
    ahead, behind = 1, 1
    for _ in range(power):
        ahead *= front
        behind *= 1000 - front
    return SHARE_SCALE * ahead // (ahead + behind)


def fee(price: int, size: int, rate: tuple[int, int]) -> int:
    """Fee of a fill at a rate given as numerator and denominator, rounded up to a whole money unit, against us."""
    numerator, denominator = rate
    return -(-price * size * numerator // denominator)


def funding(position: int, mid2: int, rate: tuple[int, int]) -> int:
    """What a settlement costs: position times mid (half of ``mid2``) times rate, rounded up, against us.

    Longs pay a positive rate, shorts receive it.
    """
    numerator, denominator = rate
    return -(-position * mid2 * numerator // (2 * denominator))
