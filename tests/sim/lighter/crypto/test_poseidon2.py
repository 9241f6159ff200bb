"""The hash, held against published values."""

from __future__ import annotations

import orjson
import pytest

from stall_then_strike.sim.lighter.crypto.goldilocks import P
from stall_then_strike.sim.lighter.crypto.poseidon2 import hash_words, permute
from tests.shared_data import lighter_file


def test_published_values() -> None:
    known = orjson.loads(lighter_file("crypto_params.json").read_bytes())
    assert permute(range(12)) == tuple(map(int, known["permute_of_0_to_11"]))
    assert hash_words(range(1, 11)) == tuple(map(int, known["hash5_of_1_to_10"]))


def test_the_first_words_do_not_depend_on_how_many_are_asked_for() -> None:
    assert hash_words(range(9), 4) == hash_words(range(9))[:4]


@pytest.mark.parametrize(("words", "same"), [([-1, 2], [P - 1, 2]), ([P + 3], [3])])
def test_words_are_reduced(words: list[int], same: list[int]) -> None:
    assert hash_words(words) == hash_words(same)


def test_order_and_number_of_words_count() -> None:
    seen = {hash_words(words) for words in ([1, 2], [2, 1], [1, 2, 3], list(range(9)), list(range(10)))}
    assert len(seen) == 5
