"""Reading the runtime log back."""

from __future__ import annotations

from pathlib import Path

from stall_then_strike.infra.logs.runtime_reader import runtime_lines
from stall_then_strike.types.dto import NS_PER_S
from tests.infra.journal.journal_rig import TS

LINES = """\
2026-11-21 07:30:12.000Z | INFO     | too old
2026-11-21 07:30:13.500Z | WARNING  | fills | with a bar
Traceback (most recent call last):
2026-11-21 07:30:14.000Z | INFO     | later
2026-11-21 07:30:20.000Z | INFO     | too new
2026-11-21 07:30:13.600Z | INFO     | cut"""


def test_lines_of_the_span_from_all_files_in_order(tmp_path: Path) -> None:
    (tmp_path / "app.log").write_text(LINES)
    (tmp_path / "app.2026-11-21_00-00-00_000000.log").write_text("2026-11-21 07:30:13.400Z | INFO     | rotated\n")
    (tmp_path / "ws.log").write_text("2026-11-21 07:30:13.450Z | DEBUG    | of the connection\n")
    found = runtime_lines(tmp_path, TS, TS + 2 * NS_PER_S)
    assert [(line.level, line.text) for line in found] == [
        ("INFO", "rotated"),
        ("WARNING", "fills | with a bar"),
        ("INFO", "later"),
    ]


def test_no_folder_has_no_lines(tmp_path: Path) -> None:
    assert runtime_lines(tmp_path / "nowhere", 0, TS) == []
