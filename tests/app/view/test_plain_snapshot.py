"""A snapshot that went through JSON is the same, to the microsecond."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any

import orjson
import pytest

from stall_then_strike.app.view.plain_snapshot import snapshot_of
from stall_then_strike.app.view.snapshot import Snapshot, as_plain
from tests.app.view.snapshots import BAD, EMPTY, FULL, LIVE, TWO


def cut(value: Any) -> Any:
    """Stamps as whole microseconds."""
    if isinstance(value, tuple):
        return tuple(map(cut, value))
    if not is_dataclass(value) or isinstance(value, type):
        return value
    given = {one.name: getattr(value, one.name) for one in fields(value) if one.init}
    return replace(
        value,
        **{name: item // 1000 * 1000 if name.endswith("_ns") and item else cut(item) for name, item in given.items()},
    )


@pytest.mark.parametrize("seen", [EMPTY, FULL, LIVE, BAD, TWO])
def test_it_comes_back(seen: Snapshot) -> None:
    assert snapshot_of(orjson.loads(orjson.dumps(as_plain(seen)))) == cut(seen)


def test_another_versions_fields_are_left_out_or_have_their_default() -> None:
    told = as_plain(LIVE)
    told["weather"] = "fine"
    del told["equity"], told["instruments"][0]["bids"]
    assert snapshot_of(told) == replace(cut(LIVE), equity=())


NOT_ONE = [None, [], {}, {"ts": "now", "mode": "x", "instruments": []}]
WRONG = [as_plain(LIVE) | {"mode": 7}, as_plain(LIVE) | {"pnl_limit": "x"}]


@pytest.mark.parametrize("content", [*NOT_ONE, *WRONG])
def test_what_is_no_snapshot_is_told(content: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        snapshot_of(content)
