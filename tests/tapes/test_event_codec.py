"""Events to JSON and back: equal values of equal types, for any numbers."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stall_then_strike.tapes.event_codec import EVENTS, decode, decode_event, encode, encode_event
from stall_then_strike.tapes.event_log import Beginning
from stall_then_strike.types import dto

INTS = st.integers(-(10**30), 10**30)
WORDS = st.text(max_size=20)  # lone surrogates included

st.register_type_strategy(int, INTS)
st.register_type_strategy(str, WORDS)


def fill_events() -> st.SearchStrategy[dto.FillEvent]:
    """Fills have rules of their own."""
    return st.builds(
        dto.FillEvent,
        price=st.integers(1, 10**30),
        size=st.integers(1, 10**30),
        order_id=WORDS,
        client_order_id=st.none() | WORDS,
    )


st.register_type_strategy(dto.FillEvent, fill_events())
st.register_type_strategy(
    dto.OrderEvent,
    st.builds(
        dto.OrderEvent,
        order_id=WORDS,
        client_order_id=st.none() | WORDS,
        terms=st.none() | st.builds(dto.OrderTerms),
    ),
)


def through_json(content: Any) -> Any:
    return json.loads(json.dumps(content))


def same(left: Any, right: Any) -> bool:
    """Equal, with equal types at every depth, because an enum's member equals its value."""
    if type(left) is not type(right) or left != right:
        return False
    if is_dataclass(left):
        return all(same(getattr(left, f.name), getattr(right, f.name)) for f in fields(left))
    if isinstance(left, tuple):
        return all(map(same, left, right))
    return True


def test_every_kind_of_event_is_known() -> None:
    assert set(EVENTS.values()) == set(get_args(dto.Event))


@pytest.mark.parametrize("kind", EVENTS.values(), ids=EVENTS)
def test_event_comes_back_as_it_went(kind: type) -> None:
    @given(st.from_type(kind))
    def check(event: Any) -> None:
        name, content = encode_event(event)
        assert same(decode_event(name, through_json(content)), event)

    check()


@given(st.from_type(Beginning))
def test_what_a_core_starts_from_comes_back_as_it_went(beginning: Beginning) -> None:
    assert same(decode(Beginning, through_json(encode(beginning))), beginning)


TICK = {"ts_ns": 1}
FILL = encode(dto.FillEvent(ts_ns=1, exec_id=1, side=dto.Side.BUY, price=1, size=1, order_id="x"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("Tock", TICK),
        ("Tick", {}),
        ("Tick", {**TICK, "more": 1}),
        ("Tick", {"ts_ns": "1"}),
        ("Tick", {"ts_ns": 1.0}),
        ("Tick", {"ts_ns": True}),
        ("Tick", {"ts_ns": None}),
        ("Tick", [1]),
        ("FillEvent", {**FILL, "side": "BOTH"}),
        ("FillEvent", {**FILL, "size": 0}),
        ("PublicTrades", TICK),
    ],
)
def test_what_is_no_event_is_refused(kind: str, content: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the words are the reader's business
        decode_event(kind, content)


def test_values_without_a_place_are_refused() -> None:
    with pytest.raises(TypeError):
        encode(1.5)


def test_fields_that_came_later_have_their_defaults() -> None:
    """Older recordings can be read; required fields must be there, and unknown ones must not."""
    event = dto.ReportFailed(ts_ns=1, detail="no answer", calls=7)
    kind, content = encode_event(event)
    assert decode_event(kind, {name: value for name, value in content.items() if name != "calls"}).calls == 4  # type: ignore[union-attr]
    for broken in ({"ts_ns": 1}, {**content, "more": 1}):
        with pytest.raises(ValueError, match="not the fields of ReportFailed"):
            decode_event(kind, broken)
