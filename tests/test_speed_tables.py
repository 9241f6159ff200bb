"""The tables of speed figures in the documents are as the benchmarks write them, whatever the figures are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from benchmarks.__main__ import documents
from benchmarks.rows import Figure, Reading, Row, Section, amount, listed, marked, table, write
from benchmarks.sections import SECTIONS

ROOT = Path(__file__).resolve().parents[1]
NOTHING = {section.key: [Row(figure, "not here") for figure in section.figures] for section in SECTIONS}
BLOCKS = [(name, block, text) for name, blocks in documents(NOTHING).items() for block, text in blocks.items()]
FAST = Figure(key="fast", name="fast", unit="µs", beside="slow loop", goal=10, p99_goal=40, ratio_goal=1)
MANY = Figure(key="many", name="many", unit="/s", beside="few", goal=1_000, is_rate=True)


def cells(content: str) -> list[list[str]]:
    """Of the table's lines, all of which have the same number."""
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in content.splitlines() if line.startswith("|")]
    assert len({len(line) for line in lines}) == 1
    return lines


@pytest.mark.parametrize(("name", "block", "text"), BLOCKS, ids=[f"{name}-{block}" for name, block, _ in BLOCKS])
def test_documents_have_the_tables_that_would_be_written(name: str, block: str, text: str) -> None:
    found = marked(block).findall((ROOT / name).read_text(encoding="utf-8"))
    assert len(found) == 1
    content = found[0][1]
    if block == "machine":
        return
    there, wanted = cells(content), cells(text)
    assert [line[0] for line in there] == [line[0] for line in wanted], "the same figures in the same order"
    assert [line[4:5] for line in there] == [line[4:5] for line in wanted], "with the same goals"


def test_every_figure_has_a_key_of_its_own_in_its_section() -> None:
    for section in SECTIONS:
        keys = [figure.key for figure in section.figures]
        assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    ("reading", "is_met", "times"),
    [
        (Reading(value=9, p99=40, other=18), True, "2.00"),
        (Reading(value=11, p99=40, other=22), False, "2.00"),
        (Reading(value=9, p99=41, other=18), False, "2.00"),
        (Reading(value=9, p99=40, other=8.1), False, "0.900"),
        ("no such program", None, ""),
    ],
)
def test_a_goal_is_met_or_not(reading: Reading | str, is_met: bool | None, times: str) -> None:
    row = Row(FAST, reading)
    assert row.is_met is is_met
    assert row.cells()[2] == times
    assert row.cells()[3] == "≤ 10 (40), never slower"


def test_of_a_rate_more_is_better() -> None:
    assert Row(MANY, Reading(value=2_000, other=500)).cells() == ("2,000 /s", "few 500", "4.00", "≥ 1,000", "met")
    assert Row(MANY, Reading(value=999)).is_met is False


def test_three_digits_count() -> None:
    assert list(map(amount, (0, 0.0123, 0.351, 1.4249, 13.06, 481.4, 62_345))) == [
        "0", "0.012", "0.351", "1.42", "13.1", "481", "62,300"
    ]  # fmt: skip


def test_what_cannot_be_measured_says_why_and_takes_no_other_section_along() -> None:
    def fails(quick: bool) -> Mapping[str, Reading | str]:
        raise ModuleNotFoundError("No module named 'hftbacktest'")

    rows = Section(key="x", title="x", figures=[FAST, MANY], measure=fails).rows(quick=True)
    assert [row.cells()[:2] for row in rows] == [
        ("not measured", "ModuleNotFoundError: No module named 'hftbacktest'")
    ] * 2
    assert "not measured" in listed(rows)


def test_a_block_is_replaced_and_the_rest_stays(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- bench x -->\n\nold\n\n<!-- end -->\nafter\n<!-- bench y -->\n\ny\n\n<!-- end -->\n")
    write(page, {"x": table([Row(MANY, Reading(value=2_000))])})
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n<!-- bench x -->\n\n| what | median (p99) |")
    assert text.endswith("| met |\n\n<!-- end -->\nafter\n<!-- bench y -->\n\ny\n\n<!-- end -->\n")
    with pytest.raises(ValueError, match="0 blocks for z"):
        write(page, {"z": ""})
