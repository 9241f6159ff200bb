"""A missing snapshot is asked for at once, then ever more rarely, and patiently while an answer may be under way."""

from __future__ import annotations

import random
from itertools import pairwise

from stall_then_strike.infra.line.healing import LONGEST_S, PATIENCE_S, WHOLE_S, Healing


def test_first_loss_is_healed_at_once_and_the_next_after_a_pause() -> None:
    healing = Healing(0.0, random.Random(1))
    assert not healing.is_due(0.1, is_whole=True)
    assert healing.lost(0.2)
    assert not healing.is_due(0.3, is_whole=True)
    assert not healing.lost(0.4)
    assert [healing.is_due(at, is_whole=False) for at in (0.5, 1.3)] == [False, True]


def test_pauses_grow_to_the_longest_and_begin_anew_after_a_good_time() -> None:
    healing, now_s, asked = Healing(0.0, random.Random(1)), 0.0, []
    while len(asked) < 12:
        now_s += 0.25
        if healing.lost(now_s):
            asked.append(now_s)
    gaps = [later - earlier for earlier, later in pairwise(asked)]
    assert gaps[0] <= 1.25
    assert LONGEST_S / 2 <= gaps[-1] <= LONGEST_S + 0.25
    healing.is_due(now_s, is_whole=True)
    assert healing.lost(now_s + WHOLE_S)


def test_answer_that_does_not_come_is_waited_for() -> None:
    healing = Healing(0.0, random.Random(1))
    assert not healing.is_due(PATIENCE_S - 0.1, is_whole=False)
    assert healing.is_due(PATIENCE_S, is_whole=False)
    assert not healing.is_due(2 * PATIENCE_S - 0.1, is_whole=False)
    healing.asked(2 * PATIENCE_S)
    assert not healing.is_due(3 * PATIENCE_S - 0.1, is_whole=False)
    assert healing.is_due(3 * PATIENCE_S, is_whole=False)
