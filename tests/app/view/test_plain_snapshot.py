"""A snapshot that went over the socket is the same."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import orjson
import pytest

from stall_then_strike import __version__
from stall_then_strike.app.view.plain_snapshot import OtherVersion, answer_of, encoded, snapshot_in, snapshot_of
from stall_then_strike.app.view.snapshot import Snapshot
from tests.app.view.snapshots import BAD, EMPTY, FULL, LIVE, TWO


def told_of(seen: Snapshot) -> Any:
    """What arrives."""
    return orjson.loads(encoded(seen))


def test_digits_stay_and_nothing_else_passes_for_a_text() -> None:
    assert encoded({"price": Decimal("13600000.50")}) == b'{"price":"13600000.50"}'
    with pytest.raises(TypeError):
        encoded({"price": object()})


@pytest.mark.parametrize("seen", [EMPTY, FULL, LIVE, BAD, TWO])
def test_it_comes_back(seen: Snapshot) -> None:
    assert snapshot_of(told_of(seen)) == seen


def test_another_versions_fields_are_left_out_or_have_their_default() -> None:
    told = told_of(LIVE)
    told["weather"] = "fine"
    del told["equity"], told["instruments"][0]["bids"]
    assert snapshot_of(told) == replace(LIVE, equity=(), instruments=(replace(LIVE.instruments[0], bids=()),))


NOT_ONE = [None, [], {}, {"ts_ns": "now", "mode": "x", "instruments": []}]
WRONG = [told_of(LIVE) | {"mode": 7}, told_of(LIVE) | {"pnl_limit": "x"}]


def test_an_answer_that_cannot_be_read_names_both_versions() -> None:
    answer = orjson.loads(answer_of(LIVE, "fine"))
    assert (snapshot_in(answer), answer["version"], answer["text"]) == (LIVE, __version__, "fine")
    for told in ({**answer, "version": "9.1", "snapshot": WRONG[0]}, {"version": "9.1", "text": "fine"}):
        with pytest.raises(
            OtherVersion, match=rf"the run is of version 9\.1, this program of {__version__}, which can"
        ):
            snapshot_in(told)
    with pytest.raises(OtherVersion, match="of version not told"):
        snapshot_in({})


@pytest.mark.parametrize("content", [*NOT_ONE, *WRONG])
def test_what_is_no_snapshot_is_told(content: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        snapshot_of(content)
