"""The order table and the state diagram in docs/design/orders.md are those of the engine."""

from __future__ import annotations

import pytest

from stall_then_strike.engine.orders import NEXT, TERMINAL, OrderState
from studies.order_states import INPUTS, PAGE, diagram, table, with_drawing


def test_page_is_what_the_command_draws() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == with_drawing(text), "run `make diagrams`"


def test_diagram_has_an_arrow_for_every_change_of_state() -> None:
    lines = [line.strip() for line in diagram().splitlines()]
    for before, moves in NEXT.items():
        for by, after in moves.items():
            if before is after:
                continue
            starts = {f"{before} --> {after}: "} | ({f"live --> {after}: "} if before not in TERMINAL else set())
            arrows = [line for line in lines if any(line.startswith(start) for start in starts)]
            assert any(by in line.partition(": ")[2].split(", ") for line in arrows), (before, by, after)


def test_table_has_every_input_and_state() -> None:
    head, _, *rows = table().splitlines()
    assert head.count("|") == len(OrderState) + 2
    assert len(rows) == len(INPUTS)


def test_page_without_its_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="marks"):
        with_drawing("# Orders\n")
