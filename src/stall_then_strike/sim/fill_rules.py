"""The rules by which paper orders are filled, as pure functions over integers.

Written once: paper trading calls them through ``PaperGateway``, research compiles them. All sizes in lots. The rules
lean against us where public data leave a doubt.
"""

from __future__ import annotations

from typing import Final, NamedTuple

SHARE_SCALE: Final = 1_000_000
"""Shares are integers out of this."""


class Queue(NamedTuple):
    """Where a resting order stands at its price."""

    ahead: int
    """Displayed size that trades before us."""
    level: int
    """Displayed size at our price when last seen, without us."""
    unseen: int
    """Traded at our price, but not yet shown as a decrease of the level (executions come about 0.1 s before it)."""


class Match(NamedTuple):
    """What one print does to one order: what those ahead take, and what we get."""

    passed: int
    filled: int


def join(displayed: int) -> Queue:
    """Queue up behind all that is displayed at our price; nobody is ahead where there is no level."""
    return Queue(ahead=displayed, level=displayed, unseen=0)


def match_at_price(ahead: int, remaining: int, traded: int) -> Match:
    """A print at our price serves those ahead first, then us with what is left of it."""
    passed = min(ahead, traded)
    return Match(passed, min(remaining, traded - passed))


def after_level(queue: Queue, displayed: int, share: int) -> Queue:
    """The level now displays another size.

    A decrease first uses up what was traded but not yet seen. The rest of it are cancels; ``share`` of them (out of
    SHARE_SCALE, rounded down) are taken to have stood ahead of us. Nobody can be ahead who is not displayed.
    """
    decrease = max(0, queue.level - displayed)
    seen = min(decrease, queue.unseen)
    cancelled = decrease - seen
    ahead = queue.ahead - cancelled * share // SHARE_SCALE
    return Queue(ahead=max(0, min(ahead, displayed)), level=displayed, unseen=queue.unseen - seen)


def share_ahead(queue: Queue, share: int, power: int) -> int:
    """Share of those leaving our level who stood ahead of us, out of SHARE_SCALE.

    With a ``power`` it follows from our place: f / (f + b), where f and b are that power of what is ahead of us and
    behind us, in thousandths of the level. Without, it is ``share``.
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
