"""A long book equals a plain one after every change, however it is read; deep levels and deleted ones included."""

from __future__ import annotations

from itertools import islice
from random import Random

import pytest

from stall_then_strike.infra.levels import NEAR, SPARE_LEVELS, BoardError, Levels
from stall_then_strike.types.dto import Side
from stall_then_strike.types.instrument import Lots, Ticks

PRICES = 12 * NEAR
"""Prices of a side: so many that most of them are far from the touch."""


def changes(rng: Random, first: int, model: dict[int, int]) -> dict[Ticks, Lots]:
    """Mostly near the touch, half of them deletions; now and then the touch is swept away."""
    if rng.random() < 0.02:
        return {Ticks(first + at): Lots(0) for at in range(rng.randrange(PRICES))}
    reach = rng.choice((1, NEAR, PRICES))
    new = {Ticks(first + rng.randrange(reach)): Lots(rng.choice((0, 1, 7))) for _ in range(rng.randrange(12))}
    return new if model else {**new, Ticks(first + PRICES): Lots(3)}


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("reads", [0, 1, NEAR + 2, 10 * PRICES], ids="read to {}".format)
def test_book_equals_two_plain_dicts(seed: int, reads: int) -> None:
    rng, book = Random(seed), Levels("X")
    plain: dict[Side, dict[int, int]] = {Side.BUY: {}, Side.SELL: {}}
    for step in range(1_200):
        # Bids and asks get the same changes, mirrored, so that one half of the code cannot differ from the other.
        asks = changes(rng, 10_000 + step // 10, plain[Side.SELL])
        bids = {
            Ticks(30_000 - price): lots for price, lots in changes(rng, 10_000 + step // 10, plain[Side.BUY]).items()
        }
        if step % 400 == 399:
            plain = {Side.BUY: {}, Side.SELL: {}}
            book.replace(bids, asks)
        else:
            book.merge(bids, asks)
        for side, new in ((Side.BUY, bids), (Side.SELL, asks)):
            plain[side] = {price: lots for price, lots in {**plain[side], **new}.items() if lots}
            in_order = sorted(plain[side].items(), reverse=side is Side.BUY)
            best = in_order[0] if in_order else (0, 0)
            assert (book.best(side), book.size_at(side, book.best(side))) == best
            assert list(islice(book.levels(side), reads)) == in_order[:reads]
            for price in new:
                assert book.size_at(side, price) == plain[side].get(price, 0)
    assert len(book) == sum(map(len, plain.values()))


def test_deleted_levels_do_not_pile_up() -> None:
    book = Levels("X")
    for price in range(1, 10 * SPARE_LEVELS):
        book.merge({Ticks(price): Lots(1), Ticks(1): Lots(2)}, {})
        book.merge({Ticks(price): Lots(0), Ticks(1): Lots(2)}, {})
    assert list(book.levels(Side.BUY)) == [(1, 2)]
    assert len(book._bids.sizes) <= SPARE_LEVELS + 2


def test_only_levels_that_are_there_count_towards_the_most() -> None:
    book = Levels("X", 3)
    for price in range(1, 20):
        book.merge({Ticks(price): Lots(1)}, {})
        book.merge({Ticks(price): Lots(0)}, {})
    book.merge({Ticks(1): Lots(1), Ticks(2): Lots(1)}, {})
    with pytest.raises(BoardError, match="more than 3"):
        book.merge({}, {Ticks(price): Lots(1) for price in range(3, 7)})
    with pytest.raises(BoardError, match="more than 3"):
        book.merge({Ticks(1): Lots(0), Ticks(2): Lots(0)}, {})
    assert list(book.levels(Side.BUY)) == [(2, 1), (1, 1)]
