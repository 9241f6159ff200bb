"""docs/lighter.md tells of every method, field and test that there is, and of none that there is not."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields
from pathlib import Path

from stall_then_strike.lighter import DealerConfig, LighterDealer

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/lighter.md").read_text(encoding="utf-8")
BESIDE_THE_TABLE = {"refresh_markets", "send_over"}


def table(heading: str) -> str:
    return PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]


def test_every_method_is_in_the_table() -> None:
    methods = {name for name, _ in inspect.getmembers(LighterDealer, callable) if not name.startswith("_")}
    rows = [row.split("|")[1] for row in table("Methods").splitlines() if row.startswith("| `")]
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == methods - BESIDE_THE_TABLE


def test_every_named_test_exists() -> None:
    written = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests/lighter").glob("test_*.py"))
    named = set(re.findall(r"`(test_\w+)`", table("Methods")))
    assert {name for name in named if f"def {name}(" not in written} == set()


def test_every_field_is_in_the_table() -> None:
    assert {field.name for field in fields(DealerConfig)} <= set(re.findall(r"`(\w+)`", PAGE))
